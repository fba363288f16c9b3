//! What is held of a namespace: its newest version, and the newest that is loaded (V3).

use std::sync::Arc;

use crate::base::planted::{self, Bug};
use crate::base::time::Timestamp;
use crate::format::head::Head;
use crate::format::segment::Directory;
use crate::machine::request::Tag;
use crate::namespace::overlay::Decoded;
use crate::namespace::snapshot::Snapshot;
use crate::ops::snapshot::Held;
use crate::service::task::TaskId;

/// What is held of the namespace.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct View {
    /// Whether anything is known at all.
    pub(super) is_known: bool,
    /// The newest version known; `None` if there was no head.
    pub(super) version: Option<(Tag, Arc<Head>)>,
    /// The newest version whose log and directories are here.
    pub(super) loaded: Option<(Tag, Arc<Snapshot>)>,
    /// When the check began that last said what the newest version is.
    pub(super) checked_at: Option<Timestamp>,
    /// The last operation that had begun when all that was read was dropped. What it and those before it
    /// hold is of before.
    dropped_at: Option<TaskId>,
    /// The newest version as such an operation had it loaded, until the next look at what is to be done.
    passing: Option<(Tag, Arc<Snapshot>)>,
}

impl View {
    /// Whether it is known that there was no head.
    pub(super) const fn is_absent(&self) -> bool {
        self.is_known && self.version.is_none()
    }

    /// Where there was no head there may be one now.
    pub(super) const fn doubt(&mut self) {
        self.is_known = self.version.is_some();
    }

    /// The newest version, if anything is known, with its snapshot if that is here.
    pub(super) fn held(&self) -> Option<Held> {
        self.is_known.then(|| {
            let tag = self.version.as_ref().map(|(tag, _)| tag);
            let is_one = |loaded| Some(loaded) == tag || planted::is(Bug::HeldIsMixed);
            let loaded = self.loaded.as_ref().filter(|(loaded, _)| is_one(loaded));
            let snapshot = loaded.map(|(_, snapshot)| snapshot.clone());
            Held { version: self.version.clone(), snapshot }
        })
    }

    /// The newest version that is loaded.
    pub(super) fn loaded(&self) -> Option<Held> {
        let (tag, snapshot) = self.loaded.clone()?;
        Some(Held { version: Some((tag, snapshot.head.clone())), snapshot: Some(snapshot) })
    }

    /// Drops what is loaded, and with it what the operations hold that have begun, of which this is the last.
    pub(super) fn drop_loaded(&mut self, last: TaskId) {
        self.loaded = None;
        self.dropped_at = Some(last);
    }

    /// Lets upkeep see what is not to be held, for once: where somebody drops everything again and again,
    /// nothing would ever be built else.
    pub(super) fn lend(&mut self) -> bool {
        let passing = self.passing.take();
        let lends = passing.is_some() && self.loaded.is_none();
        if lends {
            self.loaded = passing;
        }
        lends
    }

    /// Upkeep has seen it.
    pub(super) fn take_back(&mut self, lends: bool) {
        if lends {
            self.loaded = None;
        }
    }

    /// Whether what this operation read was dropped meanwhile.
    pub(super) fn was_dropped_since(&self, by: TaskId) -> bool {
        Some(by) <= self.dropped_at && !planted::is(Bug::PurgeIsUndone)
    }

    /// Whether the newest version known is loaded.
    pub(super) fn is_loaded(&self) -> bool {
        let tag = self.version.as_ref().map(|(tag, _)| tag);
        self.loaded.as_ref().map(|(tag, _)| tag) == tag
    }

    /// The newest version that is loaded.
    pub(super) fn snapshot(&self) -> Option<&Arc<Snapshot>> {
        self.loaded.as_ref().map(|(_, snapshot)| snapshot)
    }

    /// The newest version, if there is one.
    pub(super) const fn version(&self) -> Option<&(Tag, Arc<Head>)> {
        self.version.as_ref()
    }

    /// Takes what an operation found, unless something newer is here (V3). `batches` and `directory`
    /// are what the operation knows of it beside the head, so that it need not be read.
    pub(super) fn adopt(
        &mut self,
        by: TaskId,
        held: Held,
        batches: &[Decoded],
        directory: Option<Arc<Directory>>,
    ) {
        let step = |version: &Option<(Tag, Arc<Head>)>| version.as_ref().map(|(_, head)| head.step);
        let is_older = self.is_known && step(&held.version) < step(&self.version);
        if is_older && !planted::is(Bug::OlderIsAdopted) {
            return;
        }
        self.is_known = true;
        self.version = held.version;
        let is_dropped = self.was_dropped_since(by);
        let Some((tag, head)) = &self.version else { return };
        let mut snapshot = held.snapshot.map(|snapshot| (tag.clone(), snapshot));
        if is_dropped {
            self.passing = snapshot.take();
        }
        if snapshot.is_some() {
            self.loaded = snapshot;
        } else if self.loaded.as_ref().is_some_and(|(loaded, _)| loaded == tag) {
        } else if let Some((old, snapshot)) = self.loaded.take() {
            let directory: Vec<_> = directory.into_iter().collect();
            self.loaded = Some(match Snapshot::advance(snapshot, head, batches, &directory) {
                Ok(next) => (tag.clone(), Arc::new(next)),
                Err(snapshot) => (old, snapshot),
            });
        }
    }
}
