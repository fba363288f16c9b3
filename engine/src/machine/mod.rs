//! How the pure part asks for anything.
//!
//! A machine is one operation, written as plain data. It advances in *rounds*: it asks for a batch of
//! requests, the driver has all of them in flight together, and the next step brings the replies, in
//! the order of the requests. Between two steps a machine is only a value, so an explorer can copy
//! it, compare it, and try every way the round could have gone.
//!
//! | module      | what it answers                                                            |
//! |-------------|----------------------------------------------------------------------------|
//! | [`request`] | What can a store be asked, and what can it answer?                         |
//! | [`flight`]  | A round is under way: what is sent next, what is repeated, when is it over? |
//! | [`publish`] | A conditional write got no answer. What became of it?                      |
//! | [`drive`]   | How does a machine run on a store and a clock of my own?                   |
//!
//! # Invariants
//!
//! What every driver keeps, in production and in simulation:
//!
//! - **M1** A round ends at its last reply or at its `until`, whichever comes first. What is not
//!   answered by then is [`Reply::Lost`]; should it be answered later, nobody
//!   hears of it.
//! - **M2** A read may be repeated and hedged until its round ends, so it is lost only then. A write
//!   is sent once: whether to repeat it is for the machine to know.
//! - **M3** `now` never goes back. It is read after the replies have arrived and before the next
//!   round is sent.
//! - **M4** A round changes at most one object that others can see, on a condition. So it happens at
//!   one moment, and a crash is before or after it.

pub mod drive;
pub mod flight;
pub mod publish;
pub mod request;

use core::fmt::Debug;
use core::hash::Hash;

use crate::base::time::Timestamp;
use request::{Reply, Request};

/// An operation as plain data, between two rounds.
///
/// A machine begins with a function of its own, by habit called `start`, which returns its first
/// step. There is no machine that has not begun.
pub trait Machine: Clone + Eq + Hash + Debug {
    /// What the operation comes to.
    type Output;

    /// Takes the replies of the round that just ended and begins the next one, or finishes.
    ///
    /// `replies` holds one reply for each request of the round, in the same order.
    fn step(self, now: Timestamp, replies: Vec<Reply>) -> Step<Self>;

    /// Whether the next step may compute for more than a few milliseconds, so that a driver with
    /// threads steps it on a thread for computing.
    fn is_heavy(&self) -> bool {
        false
    }
}

/// What a machine wants next. Waiting gives the machine back, being done does not: a finished
/// machine cannot be stepped.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[must_use = "a machine that is not driven on stands still"]
pub enum Step<M: Machine> {
    /// Do this round, then step the machine on.
    Wait(M, Round),
    /// The operation is over.
    Done(M::Output),
}

impl<M: Machine> Step<M> {
    /// The step of an outer machine that holds this one: `hold` wraps the machine while it waits,
    /// `end` says what follows when it is done.
    pub fn within<N: Machine>(
        self,
        hold: impl FnOnce(M) -> N,
        end: impl FnOnce(M::Output) -> Step<N>,
    ) -> Step<N> {
        match self {
            Self::Wait(machine, round) => Step::Wait(hold(machine), round),
            Self::Done(output) => end(output),
        }
    }
}

/// A batch of requests in flight together, and the time they are given.
///
/// A round without requests has no last reply and so ends at `until`: that is how a machine sleeps.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Round {
    /// What to ask of the store.
    pub requests: Vec<Request>,
    /// The latest end of the round.
    pub until: Timestamp,
}

impl Round {
    /// A round of one request.
    pub fn ask(request: Request, until: Timestamp) -> Self {
        Self { requests: vec![request], until }
    }

    /// A round of several requests.
    pub const fn ask_all(requests: Vec<Request>, until: Timestamp) -> Self {
        Self { requests, until }
    }

    /// A round of waiting.
    pub const fn sleep(until: Timestamp) -> Self {
        Self { requests: Vec::new(), until }
    }
}
