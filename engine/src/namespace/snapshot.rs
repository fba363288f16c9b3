//! What one node holds of a namespace at one head: all that a query, a flush or a merge starts from.
//!
//! # Invariants
//!
//! - **Q1** The directories are those of the manifest's segments, in the same order. The overlay is the
//!   log of the same head.

use std::sync::Arc;

use crate::format::head::{Head, Live, State};
use crate::format::layout::Place;
use crate::format::segment::Directory;
use crate::namespace::overlay::Overlay;

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
