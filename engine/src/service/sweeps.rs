//! When this node looks for orphans of a namespace.
//!
//! What crashed or overtaken work leaves behind is named by nobody, and a listing alone finds it. So a
//! node sweeps a namespace now and then for as long as it has to do with it. And when its own work is
//! over it *owes* a sweep, to be paid once whatever others began before has had its time; until then a
//! driver must not forget the namespace.

use core::time::Duration;

use crate::base::id::Stamp;
use crate::base::planted::{self, Bug};
use crate::base::time::Timestamp;
use crate::format::head::Head;

/// What this node has swept of a namespace, and what it owes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Sweeps {
    is_running: bool,
    /// When orphans, or a head where there was none, were last looked for, and the head's step then.
    last: (Timestamp, Option<Stamp>),
    /// Since when a sweep is owed, and the newest step that was known then.
    owed: Option<(Timestamp, Option<Stamp>)>,
}

/// What was begun so long ago is over, whoever began it.
pub(super) const WORK_TIME_MAX: Duration = Duration::from_secs(630);

impl Sweeps {
    pub(super) const fn new(now: Timestamp) -> Self {
        Self { is_running: false, last: (now, None), owed: None }
    }

    /// Work that may leave something behind is over, or somebody saw what nobody names.
    pub(super) const fn owe(&mut self, now: Timestamp) {
        self.owed = Some((now, None));
    }

    /// Whether a sweep runs or is owed.
    pub(super) fn is_owing(&self) -> bool {
        self.is_running || (self.owed.is_some() && !planted::is(Bug::SweepIsNotOwed))
    }

    /// Since when a sweep is owed.
    pub(super) fn owes_since(&self) -> Option<Timestamp> {
        self.owed.map(|(since, _)| since)
    }

    /// Takes note of the newest version. What came before it is swept by the sweep that is owed.
    pub(super) fn notice(&mut self, head: &Head) {
        if let Some((_, step @ None)) = &mut self.owed {
            *step = Some(head.step);
        }
    }

    /// There is no head, so there is nothing that could be deleted (H3).
    pub(super) const fn forgive(&mut self) {
        self.owed = None;
    }

    /// When the next sweep is due. Orphans are looked for every so often; what is owed is due when it
    /// has had its time, or as soon as that.
    pub(super) fn due_at(&self, every: Duration) -> Option<Timestamp> {
        let owed = self.owed.map(|(since, _)| since + every.min(WORK_TIME_MAX));
        let next = owed.into_iter().fold(self.last.0 + every, Ord::min);
        (!self.is_running).then_some(next)
    }

    /// Whether a sweep is due.
    pub(super) fn is_due(&self, now: Timestamp, every: Duration) -> bool {
        self.due_at(every).is_some_and(|at| at <= now)
    }

    /// Begins the sweep that is due of a namespace whose newest step is `step`. Says before which step
    /// all work has had its time.
    pub(super) fn begin(&mut self, now: Timestamp, step: Stamp, every: Duration) -> Stamp {
        let patience = every.min(WORK_TIME_MAX);
        let owed = self.owed.take_if(|(since, _)| *since + patience <= now);
        let floor = owed.and_then(|(_, step)| step).max(self.last.1);
        self.is_running = true;
        self.last = (now, Some(step));
        floor.unwrap_or_default()
    }

    /// Nothing could be swept, for no head is known. It is looked for one instead.
    pub(super) fn looked_for_head(&mut self, now: Timestamp) {
        self.last.0 = now;
        if let Some((since, _)) = &mut self.owed {
            *since = now;
        }
    }

    /// A sweep is over. If it left something, another is owed.
    pub(super) fn ended(&mut self, now: Timestamp, is_complete: bool) {
        self.is_running = planted::is(Bug::SweeperRunsOnce);
        if !is_complete {
            self.owed.get_or_insert((now, None));
        }
    }
}
