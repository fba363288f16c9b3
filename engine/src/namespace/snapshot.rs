//! What one node holds of a namespace at one head: all that a query, a flush or a merge starts from.
//!
//! # Invariants
//!
//! - **Q1** The directories are those of the manifest's segments, in the same order. The overlay is the
//!   log of the same head.

use std::sync::Arc;

use crate::base::planted::{self, Bug};
use crate::format::head::{Head, Live, State};
use crate::format::layout::Place;
use crate::format::manifest::SegmentRef;
use crate::format::segment::Directory;
use crate::namespace::overlay::{Decoded, Overlay};

/// A namespace at one moment. Immutable, shared.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Snapshot {
    /// Where its objects lie.
    pub place: Place,
    /// Its head.
    pub head: Arc<Head>,
    /// What is committed and not indexed.
    pub overlay: Arc<Overlay>,
    /// The directories of its segments.
    pub directories: Vec<Arc<Directory>>,
}

impl Snapshot {
    /// A snapshot of these.
    ///
    /// # Panics
    ///
    /// If they do not belong together (Q1).
    pub fn new(
        place: Place,
        head: Arc<Head>,
        overlay: Arc<Overlay>,
        directories: Vec<Arc<Directory>>,
    ) -> Self {
        assert_eq!(place.incarnation, head.incarnation, "Q1: a place of another incarnation");
        let snapshot = Self { place, head, overlay, directories };
        let live = snapshot.live();
        let held = snapshot.directories.iter().map(|directory| directory.segment());
        assert!(live.manifest.segments.iter().eq(held), "Q1: directories of other segments");
        let entries = snapshot.overlay.entries().iter().map(|entry| entry.cursor);
        let committed = live.log.entries.iter().map(|entry| entry.cursor);
        assert!(entries.eq(committed), "Q1: an overlay of another log");
        snapshot
    }

    /// The snapshot at a newer head, if all that the head names is here or among `batches` and
    /// `directories`; otherwise this one again.
    ///
    /// # Errors
    ///
    /// This snapshot, unchanged.
    ///
    /// # Panics
    ///
    /// Never: what is not here was found among what is given.
    pub fn advance(
        self: Arc<Self>,
        head: &Arc<Head>,
        batches: &[Decoded],
        directories: &[Arc<Directory>],
    ) -> Result<Self, Arc<Self>> {
        let same = head.incarnation == self.head.incarnation;
        let same = same || planted::is(Bug::AdvanceAcrossLives);
        let Some(live) = head.live().filter(|_| same) else {
            return Err(self);
        };
        let known = self.directories.iter().chain(directories);
        let known: Vec<_> = live
            .manifest
            .segments
            .iter()
            .map_while(|segment| known.clone().find(|known| known.segment() == segment).cloned())
            .collect();
        let here = |cursor| self.overlay.entry(cursor).is_some();
        let given = |cursor| batches.iter().any(|batch| batch.cursor == cursor);
        let cursors = live.log.entries.iter().map(|entry| entry.cursor);
        let whole = cursors.clone().all(|cursor| here(cursor) || given(cursor));
        if known.len() < live.manifest.segments.len() || !whole {
            return Err(self);
        }
        let Self { place, mut overlay, .. } = Arc::unwrap_or_clone(self);
        let last = overlay.entries().last().map(|entry| entry.cursor);
        let grown = Arc::make_mut(&mut overlay);
        grown.absorb(live.log.indexed);
        for cursor in cursors.filter(|cursor| last.is_none_or(|last| last < *cursor)) {
            let entry = batches.iter().find(|batch| batch.cursor == cursor);
            grown.push(entry.expect("all that is not here was given").clone());
        }
        Ok(Self::new(place, head.clone(), overlay, known))
    }

    /// The directory of a segment, if it is held.
    pub fn directory_of(&self, segment: &SegmentRef) -> Option<&Arc<Directory>> {
        self.directories.iter().find(|directory| directory.segment() == segment)
    }

    /// What its head says of the namespace.
    ///
    /// # Panics
    ///
    /// If the namespace was deleted: nobody makes a snapshot of a tombstone.
    pub fn live(&self) -> &Live {
        match &self.head.state {
            State::Live(live) => live,
            State::Tombstone => panic!("Q1: a snapshot of a tombstone"),
        }
    }
}
