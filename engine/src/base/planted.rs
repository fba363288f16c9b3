//! Planted bugs: known ways to lose data, switched on one at a time by tests that must find them.
//!
//! A production build is made without the feature `planted`. There [`is`] is a constant `false`, so
//! the branches it guards are compiled out.

/// Every bug that can be planted. The numbers are those of the list in `docs/testing.md`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Bug {
    /// A lost reply to the head put is taken as success.
    LostIsSuccess = 1,
    /// A publication drops the ring of recent commit ids.
    PublicationDropsRing = 7,
    /// A head names a log object whose creation was not confirmed.
    UnstoredIsNamed = 23,
    /// A lookup takes the first row of an id that it finds, dead or not.
    DeadRowsAreFound = 45,
    /// A filter is taken over all rows that a segment holds, dead ones too.
    DeadRowsAreFiltered = 80,
    /// A row answers though the overlay has a newer word on its id.
    OverlaidRowsAnswer = 85,
    /// Orphans are deleted though work in flight may still publish them.
    OrphansAboveFloor = 51,
    /// An idempotency key is looked up in the log only.
    KeysInLogOnly = 116,
    /// Trash is deleted without raising the floor.
    TrashWithoutFloor = 110,
    /// A deletion that was overtaken by a commit counts as done.
    DeleteGivesUpWhenOvertaken = 16,
}

/// Whether `bug` is switched on.
#[cfg(not(feature = "planted"))]
pub const fn is(bug: Bug) -> bool {
    let _ = bug;
    false
}

#[cfg(feature = "planted")]
pub use switch::{choose, is};

#[cfg(feature = "planted")]
mod switch {
    use core::sync::atomic::{AtomicU8, Ordering};

    use super::Bug;

    /// The bug that is on in this process; 0 is none. One process looks for one bug at a time.
    static CHOSEN: AtomicU8 = AtomicU8::new(0);

    /// Whether `bug` is switched on.
    pub fn is(bug: Bug) -> bool {
        CHOSEN.load(Ordering::Relaxed) == bug as u8
    }

    /// Switches one bug on, or all off.
    pub fn choose(bug: Option<Bug>) {
        CHOSEN.store(bug.map_or(0, |bug| bug as u8), Ordering::Relaxed);
    }
}
