//! Sets of positions in a segment.

use core::hash::{Hash, Hasher};
use core::ops::Range;

use roaring::RoaringBitmap;

/// Some positions of one segment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Positions(pub RoaringBitmap);

impl Positions {
    /// All positions below `rows`.
    pub fn all(rows: u32) -> Self {
        let mut all = Self::default();
        all.insert(0..rows);
        all
    }

    /// Adds a stretch of positions.
    pub fn insert(&mut self, stretch: Range<u32>) {
        self.0.insert_range(stretch);
    }

    /// Whether one of them lies in this stretch.
    pub fn meets(&self, stretch: Range<u32>) -> bool {
        self.0.range(stretch).next().is_some()
    }

    /// How many there are.
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Hash for Positions {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.len().hash(state);
        self.0.iter().for_each(|position| position.hash(state));
    }
}
