//! What one node holds of a namespace at one head: all that a query, a flush or a merge starts from.
//!
//! # Invariants
//!
//! - **Q1** The directories are those of the manifest's segments, in the same order. The overlay is the
//!   log of the same head.
//! - **Q3** What is kept beside them follows from them: the keys of their parts, which rows are dead, and,
//!   as far as a query has looked, which rows the overlay replaced. A word of the overlay stays until a flush makes a segment
//!   that kills the row it replaced, so what was found is true as long as the segments are the same.

use std::sync::Arc;

use crate::base::id::Cursor;
use crate::base::name::Key;
use crate::base::planted::{self, Bug};
use crate::format::head::{Head, Live, State};
use crate::format::layout::Place;
use crate::format::manifest::{Extent, SegmentRef};
use crate::format::segment::Directory;
use crate::index::positions::Positions;
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
    /// The keys of the parts of each segment: a query asks for a thousand stretches of a few objects.
    keys: Arc<Vec<Vec<Key>>>,
    /// Where the dead rows of each segment are.
    dead: Arc<Vec<Positions>>,
    /// Which rows of each segment the overlay replaced, as far as somebody looked.
    replaced: Arc<Vec<Replaced>>,
}

/// Which rows of one segment the overlay replaced.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Replaced {
    /// The last entry of the log that was looked at.
    pub until: Cursor,
    /// Where the rows are that it and those before it replaced.
    pub positions: Positions,
}

/// What a query found out about replaced rows, for those that come after it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Learned {
    segments: Vec<SegmentRef>,
    replaced: Vec<Replaced>,
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
        let all = || directories.iter().map(|directory| &**directory);
        let dead = Arc::new(all().map(|directory| Positions(directory.dead(all()))).collect());
        let keys = Arc::new(all().map(|directory| directory.segment().keys(&place)).collect());
        let replaced = Arc::new(vec![Replaced::default(); directories.len()]);
        Self { place, head, overlay, directories, keys, dead, replaced }.checked()
    }

    /// This snapshot, if what it is made of belongs together (Q1).
    fn checked(self) -> Self {
        let snapshot = self;
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
        let same = known.iter().zip(&self.directories).all(|(a, b)| a == b)
            && (known.len() == self.directories.len() || planted::is(Bug::DeadOfFewerSegments));
        let Self { place, mut overlay, keys, dead, replaced, .. } = Arc::unwrap_or_clone(self);
        let last = overlay.entries().last().map(|entry| entry.cursor);
        let grown = Arc::make_mut(&mut overlay);
        grown.absorb(live.log.indexed);
        for cursor in cursors.filter(|cursor| last.is_none_or(|last| last < *cursor)) {
            let entry = batches.iter().find(|batch| batch.cursor == cursor);
            grown.push(entry.expect("all that is not here was given").clone());
        }
        if same {
            let (head, directories) = (head.clone(), known);
            let snapshot = Self { place, head, overlay, directories, keys, dead, replaced };
            return Ok(snapshot.checked());
        }
        Ok(Self::new(place, head.clone(), overlay, known))
    }

    /// The key of the object in which a stretch of a segment lies, by its place in the manifest.
    ///
    /// # Panics
    ///
    /// If it is no stretch of that segment (Q3).
    pub fn key(&self, segment: usize, extent: &Extent) -> &Key {
        assert_eq!(self.keys.len(), self.directories.len(), "Q3: the keys are of these segments");
        &self.keys[segment][extent.part as usize]
    }

    /// Where the dead rows of a segment are, by its place in the manifest.
    ///
    /// # Panics
    ///
    /// If there is no such segment (Q3).
    pub fn dead(&self, segment: usize) -> &Positions {
        assert_eq!(
            self.dead.len(),
            self.directories.len(),
            "Q3: what is dead is of these segments"
        );
        &self.dead[segment]
    }

    /// Which rows of a segment the overlay replaced, as far as somebody looked.
    pub fn replaced(&self, segment: usize) -> &Replaced {
        &self.replaced[segment]
    }

    /// What a query found out that began with this snapshot: for each segment what it knows now.
    ///
    /// # Panics
    ///
    /// If it does not say something of every segment (Q1).
    pub fn learned(&self, replaced: Vec<Replaced>) -> Option<Learned> {
        assert_eq!(replaced.len(), self.directories.len(), "Q1: one word for each segment");
        let is_new = replaced != *self.replaced;
        let segments = self.directories.iter().map(|directory| directory.segment().clone());
        is_new.then(|| Learned { segments: segments.collect(), replaced })
    }

    /// The same snapshot, with what a query found out about it, or about an older one with the same
    /// segments (Q3).
    #[must_use]
    pub fn learn(self: Arc<Self>, learned: &Learned) -> Arc<Self> {
        let held = self.directories.iter().map(|directory| directory.segment());
        if !held.eq(&learned.segments) {
            return self;
        }
        // Of a log that this snapshot has not seen it must not speak.
        let committed = self.live().log.committed;
        let mut snapshot = Arc::unwrap_or_clone(self);
        for (known, found) in
            Arc::make_mut(&mut snapshot.replaced).iter_mut().zip(&learned.replaced)
        {
            if known.until < found.until && found.until <= committed {
                *known = found.clone();
            }
        }
        Arc::new(snapshot)
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
