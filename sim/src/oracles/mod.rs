//! What must hold whatever the world does, one property a file.
//!
//! | module              | oracle                                                              |
//! |---------------------|---------------------------------------------------------------------|
//! | [`linearizability`] | O1 answers fit one order of requests · O2 what is acknowledged can be recovered · O3 what is refused is never seen · O4 a key has one effect |
//! | [`reading`]         | one order of the requests that explains what was seen               |
//! | [`history`]         | O1 once more, from what clients saw alone, by [`wgl`]                |
//! | [`recovery`]        | what O2 recovers: the documents that an object store holds, without the engine |
//! | [`register`]        | O5 heads form one chain · O6 what is counted is there                |
//! | [`reachability`]    | O7 what a head names exists                                         |
//! | [`reuse`]           | O8 no name, id, nonce or row is given out twice                     |
//! | [`snapshots`]       | O9 a query is answered as of the head it began at                   |
//! | [`search`]          | O10 what is found is what brute force finds                         |
//! | [`cache`]           | O11 a cache hands out what was read                                  |
//! | [`cost`]            | O13 rounds and requests are within their budgets                    |
//! | [`bounds`]          | O14 nothing grows without end                                       |
//! | [`witness`]         | who sees every change of a namespace and asks the others            |
//!
//! O12 (queues) has no machine to look at: see `docs/testing.md`.

pub mod bounds;
pub mod cache;
pub mod cost;
pub mod history;
pub mod linearizability;
pub mod reachability;
pub mod reading;
pub mod recovery;
pub mod register;
pub mod reuse;
pub mod search;
pub mod snapshots;
pub mod wgl;
pub mod witness;

use std::fmt;

/// A property that does not hold, and what was seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broken {
    /// Which property.
    pub oracle: Oracle,
    /// What was seen.
    pub what: String,
}

/// The properties, by their numbers in `docs/testing.md`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Oracle {
    /// Answers fit one order of requests, each between its beginning and its end.
    Linearizable,
    /// What is acknowledged can be recovered from the store alone.
    Recoverable,
    /// What was reported as not done never appears.
    Refused,
    /// One effect per idempotency key.
    Idempotent,
    /// Every version of a register has one predecessor.
    Chain,
    /// Counters equal what they count.
    Conserved,
    /// What a head names exists; what was deleted is not named again.
    Reachable,
    /// Names, ids, nonces and row numbers are never given out twice.
    Unique,
    /// A query is answered as of the head it began at.
    Snapshot,
    /// What is found is what brute force finds.
    Search,
    /// A cache hands out what was read of just that, since it was last dropped.
    Cached,
    /// Rounds and requests are within their budgets.
    Cost,
    /// Nothing grows without end.
    Bounded,
    /// Once the faults stop, everything gets quiet.
    Live,
    /// The engine's own assertions hold.
    Sound,
}

impl Oracle {
    /// Its number.
    pub const fn number(self) -> &'static str {
        match self {
            Self::Linearizable => "O1",
            Self::Recoverable => "O2",
            Self::Refused => "O3",
            Self::Idempotent => "O4",
            Self::Chain => "O5",
            Self::Conserved => "O6",
            Self::Reachable => "O7",
            Self::Unique => "O8",
            Self::Snapshot => "O9",
            Self::Search => "O10",
            Self::Cached => "O11",
            Self::Cost => "O13",
            Self::Bounded => "O14",
            Self::Live => "L",
            Self::Sound => "A",
        }
    }
}

impl Oracle {
    /// What is broken, as a value.
    ///
    /// # Errors
    ///
    /// Always.
    pub fn broken<T>(self, what: impl Into<String>) -> Result<T, Broken> {
        Err(Broken { oracle: self, what: what.into() })
    }

    /// Demands that something holds.
    ///
    /// # Errors
    ///
    /// [`Broken`] if it does not.
    pub fn demand(self, holds: bool, what: impl FnOnce() -> String) -> Result<(), Broken> {
        if holds { Ok(()) } else { self.broken(what()) }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?}) is broken: {}", self.oracle.number(), self.oracle, self.what)
    }
}
