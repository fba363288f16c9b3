//! Makes one segment from several neighbours, in bounded memory.
//!
//! # Story
//!
//! 1. **Planning**: yield once, for the next step computes. Then find the rows that are dead at the
//!    snapshot and say in which order everything is read.
//! 2. **Reading**: a round reads the next window and creates the parts that became full meanwhile. The
//!    step that ends it writes the window into the output:
//!    - first the pages, column by column, the ids last;
//!    - then the blocks of ids, one stream for each input, merged by id;
//!    - then the blocks of idempotency records, likewise; those older than the retention are left out.
//!    - a part is not known to be stored: pause (3).
//! 3. **Pausing**: sleep a little, then create what is missing under new names, and nothing else, so
//!    that parts do not pile up.
//!
//! When all is read, the directory is written and the last parts are created (2, with nothing to read).
//! What it comes to is an edit, for a publication to apply to the head of that time.
//!
//! # Invariants
//!
//! - **J1** Rows keep their numbers. Those that are dead at the snapshot are left out; those that die
//!   later are killed by row number, in the output as in the inputs.
//! - **J2** A kill is kept while a segment outside the inputs holds its row, and only then.
//! - **J3** Held at any time: the window that was read, the parts that it filled, those being created,
//!   and the directory to come. A round asks for one window at most.

mod plan;
mod streams;
mod writing;

use core::ops::Range;
use std::sync::Arc;

use crate::base::id::Nonces;
use crate::base::limits;
use crate::base::time::{Timestamp, WallTime};
use crate::format::segment::writer::Draft;
use crate::machine::request::Reply;
use crate::machine::{Machine, Round, Step};
use crate::namespace::segments::MergeEdit;
use crate::namespace::snapshot::Snapshot;
use crate::ops::read::{ReadError, Stretches};
use crate::ops::upload::Uploads;
use plan::Plan;
use writing::Writing;

/// A merge on its way. See the [module](self) for its story.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Merge {
    snapshot: Arc<Snapshot>,
    range: Range<usize>,
    settings: Settings,
    deadline: Timestamp,
    uploads: Uploads,
    state: State,
}

/// How a merge goes about it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Settings {
    /// Bytes that one round reads at most, unless one page is larger (J3).
    pub window_bytes: usize,
    /// Idempotency records from before this moment are left out.
    pub records_since: WallTime,
}

impl Default for Settings {
    /// A window of 8 MiB, so that a merge holds about 64 MiB; all records are kept.
    fn default() -> Self {
        Self { window_bytes: limits::WINDOW_BYTES / 4, records_since: WallTime(0) }
    }
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum State {
    Planning,
    Reading { work: Work, asked: Stretches },
    Pausing { work: Work },
}

/// How far a merge has come.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Work {
    /// There is more to read.
    Writing(Box<Writing>),
    /// All is written. There is no segment if nothing was left.
    Written(Option<Draft>),
}

impl Merge {
    /// Begins to merge the segments of this range.
    ///
    /// # Panics
    ///
    /// If the snapshot has no such segments, or the range is empty.
    pub fn start(
        now: Timestamp,
        snapshot: Arc<Snapshot>,
        range: Range<usize>,
        nonces: Nonces,
        settings: Settings,
        deadline: Timestamp,
    ) -> Step<Self> {
        let there = range.end <= snapshot.directories.len() && !range.is_empty();
        assert!(there, "E1: there are no segments {range:?} to merge");
        let uploads = Uploads::new(snapshot.place.clone(), snapshot.head.step, nonces);
        let state = State::Planning;
        let machine = Self { snapshot, range, settings, deadline, uploads, state };
        Step::Wait(machine, Round::sleep(now))
    }

    fn plan(self) -> Step<Self> {
        match Plan::new(self.snapshot.clone(), self.range.clone()) {
            Ok(plan) => {
                let writing = Writing::new(plan, self.settings.records_since);
                self.read(Work::Writing(Box::new(writing)))
            }
            Err(bad) => Step::Done(Err(bad.into())),
        }
    }

    /// Asks for the next window and creates the parts that are full.
    fn read(mut self, work: Work) -> Step<Self> {
        let Work::Writing(mut writing) = work else { return self.ask(work, Stretches::default()) };
        let wanted = match writing.next_window(self.settings.window_bytes) {
            Ok(wanted) => wanted,
            Err(bad) => return Step::Done(Err(bad.into())),
        };
        while let Some(part) = writing.ready() {
            self.uploads.add(part);
        }
        if wanted.is_empty() {
            let (parts, draft) = writing.finish();
            for part in parts {
                self.uploads.add(part);
            }
            return self.ask(Work::Written(draft), Stretches::default());
        }
        let inputs = &self.snapshot.directories[self.range.clone()];
        let wanted = wanted.into_iter().map(|(at, extent)| (inputs[at].segment(), extent));
        let asked = Stretches::together(&self.snapshot.place, wanted);
        self.ask(Work::Writing(writing), asked)
    }

    fn ask(mut self, work: Work, asked: Stretches) -> Step<Self> {
        let requests: Vec<_> = asked.requests().chain(self.uploads.requests()).collect();
        match work {
            Work::Written(draft) if requests.is_empty() => self.end(draft),
            work => {
                let round = Round::ask_all(requests, self.deadline);
                self.state = State::Reading { work, asked };
                Step::Wait(self, round)
            }
        }
    }

    /// Takes a window, and what became of the parts.
    fn take(
        mut self,
        now: Timestamp,
        mut work: Work,
        asked: &Stretches,
        mut replies: Vec<Reply>,
    ) -> Step<Self> {
        self.uploads.settle(replies.split_off(asked.len()));
        let bodies = match asked.bodies(replies) {
            Ok(bodies) => bodies,
            Err(error) => return Step::Done(Err(error)),
        };
        if let Work::Writing(writing) = &mut work
            && let Err(bad) = writing.write(bodies)
        {
            return Step::Done(Err(bad.into()));
        }
        if self.uploads.is_done() {
            return self.read(work);
        }
        let until = now + self.uploads.pause();
        if self.deadline <= until {
            return Step::Done(Err(ReadError::Late));
        }
        self.state = State::Pausing { work };
        Step::Wait(self, Round::sleep(until))
    }

    fn end(self, draft: Option<Draft>) -> Step<Self> {
        let inputs = self.snapshot.directories[self.range].iter();
        let inputs = inputs.map(|input| input.segment().name()).collect();
        let output = draft.map(|draft| draft.named(&self.uploads.names()));
        Step::Done(Ok(MergeEdit { inputs, output }))
    }
}

impl Machine for Merge {
    /// The edit to publish. No error leaves anything behind but orphans.
    type Output = Result<MergeEdit, ReadError>;

    fn step(mut self, now: Timestamp, replies: Vec<Reply>) -> Step<Self> {
        match core::mem::replace(&mut self.state, State::Planning) {
            State::Planning => self.plan(),
            State::Reading { work, asked } => self.take(now, work, &asked, replies),
            // Only the parts: with another window they would pile up.
            State::Pausing { work } => self.ask(work, Stretches::default()),
        }
    }

    fn is_heavy(&self) -> bool {
        !matches!(self.state, State::Pausing { .. })
    }
}
