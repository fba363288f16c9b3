//! What is indexed: part of the head.

use serde::{Deserialize, Serialize};

use crate::base::blob::Blob;
use crate::base::id::{Generation, Row};
use crate::base::name::Key;
use crate::format::frame::{BadObject, Damage};
use crate::format::layout::{Family, ObjectName, Place};

/// The segments and what is known of them together.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Manifest {
    /// How many publications there were.
    pub generation: Generation,
    /// The row number that the next new document version gets.
    pub next_row: Row,
    /// The segments, by ascending rows.
    pub segments: Vec<SegmentRef>,
    /// Documents that live in the segments: rows added and killed by none. Exact.
    pub live_rows: u64,
    /// Size of all rows in the segments as bills count it, killed ones that no merge has dropped
    /// included.
    pub logical_bytes: u64,
}

/// What a manifest says of a segment: where it lies and what it covers.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct SegmentRef {
    /// The objects it is made of.
    pub parts: Vec<Part>,
    /// Where its directory lies: what a reader needs before anything else.
    pub directory: Extent,
    /// The first row number it covers.
    pub base: Row,
    /// The row number after the last it covers.
    pub end: Row,
    /// How many rows of that range it holds. A merge leaves out those that were killed.
    pub rows: u32,
    /// How many rows it kills, in itself or elsewhere.
    pub kills: u64,
    /// Size of its rows as bills count it, in bytes.
    pub logical_bytes: u64,
}

/// One object of a segment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Part {
    /// Its name.
    pub name: ObjectName,
    /// Its size, in bytes.
    pub bytes: u32,
}

/// A stretch of one part of a segment: what is read, checked and cached together.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct Extent {
    /// Which part.
    pub part: u32,
    /// Its first byte.
    pub start: u32,
    /// How many bytes.
    pub bytes: u32,
    /// The CRC-32 of these bytes.
    pub crc: u32,
}

impl Extent {
    /// Checks that `bytes`, read from the object `key`, are those of this stretch.
    ///
    /// # Errors
    ///
    /// [`BadObject`] if they are not.
    pub fn check(&self, key: &Key, bytes: &Blob) -> Result<(), BadObject> {
        let (found, expected) = (bytes.len() as u64, u64::from(self.bytes));
        if found != expected {
            return Err(Damage::Length { found, expected }.of(key));
        }
        let intact = bytes.crc32() == self.crc;
        intact.then_some(()).ok_or_else(|| Damage::Checksum.of(key))
    }

    /// The byte after its last.
    pub const fn end(&self) -> u64 {
        self.start as u64 + self.bytes as u64
    }
}

impl SegmentRef {
    /// The keys of the objects it is made of, in order.
    pub fn keys(&self, place: &Place) -> Vec<Key> {
        self.parts.iter().map(|part| place.object(Family::Segment, part.name)).collect()
    }

    /// The key of the object in which a stretch of this segment lies.
    ///
    /// # Panics
    ///
    /// If it is no stretch of this segment: those of its directory are.
    pub fn key(&self, place: &Place, extent: &Extent) -> Key {
        place.object(Family::Segment, self.parts[extent.part as usize].name)
    }

    /// Whether a stretch lies inside one of its parts.
    pub fn holds(&self, extent: &Extent) -> bool {
        let part = self.parts.get(extent.part as usize);
        part.is_some_and(|part| extent.end() <= u64::from(part.bytes))
    }

    /// What tells this segment from all others: the object in which its directory lies.
    ///
    /// # Panics
    ///
    /// If its directory lies in none of its parts.
    pub fn name(&self) -> ObjectName {
        self.parts[self.directory.part as usize].name
    }

    /// Size of all its objects, in bytes.
    pub fn stored_bytes(&self) -> u64 {
        self.parts.iter().map(|part| u64::from(part.bytes)).sum()
    }
}
