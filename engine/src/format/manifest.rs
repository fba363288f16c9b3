//! What is indexed: part of the head.

use serde::{Deserialize, Serialize};

use crate::base::id::{Generation, Row};
use crate::format::layout::ObjectName;

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

impl SegmentRef {
    /// Size of all its objects, in bytes.
    pub fn stored_bytes(&self) -> u64 {
        self.parts.iter().map(|part| u64::from(part.bytes)).sum()
    }
}
