//! Sets of row numbers: the rows that a segment kills, the rows that it holds.
//!
//! # Bytes
//!
//! The portable form of a 64-bit roaring bitmap.

use core::hash::{Hash, Hasher};

use roaring::{RoaringBitmap, RoaringTreemap};

use crate::base::blob::Blob;
use crate::base::id::Row;
use crate::format::frame::Damage;

/// A set of row numbers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RowSet {
    rows: RoaringTreemap,
}

impl RowSet {
    /// How many there are.
    pub fn len(&self) -> u64 {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether this row is one of them.
    pub fn contains(&self, row: Row) -> bool {
        self.rows.contains(row.0)
    }

    /// Adds a row. Says whether it was not one of them yet.
    pub fn insert(&mut self, row: Row) -> bool {
        self.rows.insert(row.0)
    }

    /// The greatest.
    pub fn last(&self) -> Option<Row> {
        self.rows.max().map(Row)
    }

    /// The rows, ascending.
    pub fn iter(&self) -> impl Iterator<Item = Row> {
        self.rows.iter().map(Row)
    }

    /// The rows from `base` (inclusive) to `end` (exclusive), ascending, counted from `base`.
    pub fn between(&self, base: Row, end: Row) -> impl Iterator<Item = u32> {
        let reach = move |row: &u64| *row < end.0;
        let mut rows = self.rows.iter();
        rows.advance_to(base.0);
        rows.take_while(reach).map(move |row| (row - base.0) as u32)
    }

    pub(crate) fn encode(&self) -> Blob {
        let mut bytes = Vec::with_capacity(self.rows.serialized_size());
        self.rows.serialize_into(&mut bytes).expect("a Vec takes all bytes");
        bytes.into()
    }

    pub(crate) fn decode(bytes: &Blob) -> Result<Self, Damage> {
        let wrong = Damage::Content("its kills are no set of row numbers");
        let mut from = bytes.as_slice();
        let rows = RoaringTreemap::deserialize_from(&mut from).map_err(|_| wrong)?;
        from.is_empty().then_some(Self { rows }).ok_or(wrong)
    }
}

impl Hash for RowSet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.len().hash(state);
        self.rows.iter().for_each(|row| row.hash(state));
    }
}

/// The bytes of a set of 32-bit numbers, portable.
pub(crate) fn encode_bitmap(bitmap: &RoaringBitmap) -> Blob {
    let mut bytes = Vec::with_capacity(bitmap.serialized_size());
    bitmap.serialize_into(&mut bytes).expect("a Vec takes all bytes");
    bytes.into()
}

pub(crate) fn decode_bitmap(bytes: &Blob) -> Result<RoaringBitmap, Damage> {
    let wrong = Damage::Content("its rows are no set of numbers");
    let mut from = bytes.as_slice();
    let bitmap = RoaringBitmap::deserialize_from(&mut from).map_err(|_| wrong)?;
    from.is_empty().then_some(bitmap).ok_or(wrong)
}
