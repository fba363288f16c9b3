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
use core::time::Duration;
use std::sync::Arc;

use crate::base::id::Nonces;
use crate::base::limits;
use crate::base::time::{Timestamp, WallTime};
use crate::format::segment::Directory;
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
    plan: MergePlan,
    window_bytes: usize,
    uploads: Uploads,
    state: State,
}

/// What to merge, and how.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct MergePlan {
    /// The segments, and who kills rows in them.
    pub snapshot: Arc<Snapshot>,
    /// Which of its segments.
    pub segments: Range<usize>,
    /// For the names of objects.
    pub nonces: Nonces,
    /// What day it is.
    pub wall: WallTime,
    /// How long idempotency keys count.
    pub idempotency_retention: Duration,
    /// When to give up.
    pub deadline: Timestamp,
}

/// What a merge made.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Merged {
    /// What it changes.
    pub edit: MergeEdit,
    /// The directory of the segment it made, if it made one, so that nobody here has to read it.
    pub directory: Option<Arc<Directory>>,
}

/// Why nothing was made. Nothing is left behind but orphans.
pub type MergeError = ReadError;

/// What a round reads at most, in bytes, unless one page is larger (J3). A merge holds about seven
/// of these; larger ones would need fewer rounds.
const WINDOW_BYTES: usize = limits::WINDOW_BYTES / 4;

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
    /// Begins to merge.
    ///
    /// # Panics
    ///
    /// If the snapshot has no such segments, or there are none to merge.
    pub fn start(now: Timestamp, plan: MergePlan) -> Step<Self> {
        Self::with(now, plan, WINDOW_BYTES)
    }

    /// Begins to merge in windows of this size.
    pub(super) fn with(now: Timestamp, plan: MergePlan, window_bytes: usize) -> Step<Self> {
        let MergePlan { snapshot, segments, nonces, .. } = &plan;
        let there = segments.end <= snapshot.directories.len() && !segments.is_empty();
        assert!(there, "E1: there are no segments {segments:?} to merge");
        let uploads = Uploads::new(snapshot.place.clone(), snapshot.head.step, nonces.clone());
        let machine = Self { plan, window_bytes, uploads, state: State::Planning };
        Step::Wait(machine, Round::sleep(now))
    }

    fn plan(self) -> Step<Self> {
        let MergePlan { snapshot, segments, wall, idempotency_retention, .. } = &self.plan;
        match Plan::new(snapshot.clone(), segments.clone()) {
            Ok(plan) => {
                let retention =
                    u64::try_from(idempotency_retention.as_millis()).unwrap_or(u64::MAX);
                let writing = Writing::new(plan, WallTime(wall.0.saturating_sub(retention)));
                self.read(Work::Writing(Box::new(writing)))
            }
            Err(bad) => Step::Done(Err(bad.into())),
        }
    }

    /// Asks for the next window and creates the parts that are full.
    fn read(mut self, work: Work) -> Step<Self> {
        let Work::Writing(mut writing) = work else { return self.ask(work, Stretches::default()) };
        let wanted = match writing.next_window(self.window_bytes) {
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
        let MergePlan { snapshot, segments, .. } = &self.plan;
        let inputs = &snapshot.directories[segments.clone()];
        let wanted = wanted.into_iter().map(|(at, extent)| (inputs[at].segment(), extent));
        let asked = Stretches::together(&snapshot.place, wanted);
        self.ask(Work::Writing(writing), asked)
    }

    fn ask(mut self, work: Work, asked: Stretches) -> Step<Self> {
        let requests: Vec<_> = asked.requests().chain(self.uploads.requests()).collect();
        match work {
            Work::Written(draft) if requests.is_empty() => self.end(draft),
            work => {
                let round = Round::ask_all(requests, self.plan.deadline);
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
        if self.plan.deadline <= until {
            return Step::Done(Err(MergeError::Late));
        }
        self.state = State::Pausing { work };
        Step::Wait(self, Round::sleep(until))
    }

    fn end(self, draft: Option<Draft>) -> Step<Self> {
        let MergePlan { snapshot, segments, .. } = &self.plan;
        let inputs = snapshot.directories[segments.clone()].iter();
        let inputs = inputs.map(|input| input.segment().name()).collect();
        let made = draft.map(|draft| draft.named(&snapshot.place, &self.uploads.names()));
        let (output, directory) = made.unzip();
        let edit = MergeEdit { inputs, output };
        Step::Done(Ok(Merged { edit, directory: directory.map(Arc::new) }))
    }
}

impl Machine for Merge {
    type Output = Result<Merged, MergeError>;

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
