//! The hot part of a segment: everything that a reader needs before it reads anything else.
//!
//! # Bytes
//!
//! One frame of kind `Directory`, whose body is the postcard form of `Stored`.
//!
//! # Invariants
//!
//! - **T1** There are as many offsets as positions, and the last row lies before the segment's end.
//! - **T2** Every stretch lies inside one of the parts that the manifest names.
//! - **T3** A key is in the filter of its blocks, so "certainly not here" is never wrong.

use core::hash::{Hash, Hasher};

use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};

use crate::base::blob::Blob;
use crate::base::id::{AttributeId, Row};
use crate::base::limits::SEGMENT_ROWS_MAX;
use crate::base::name::Key;
use crate::base::value::Id;
use crate::format::blocks::{BlockIndex, BlockRef};
use crate::format::columns::Column;
use crate::format::filter::Filter;
use crate::format::frame::{self, BadObject, Damage, Kind};
use crate::format::ids;
use crate::format::layout::Place;
use crate::format::manifest::{Extent, SegmentRef};
use crate::format::rows::{RowSet, decode_bitmap, encode_bitmap};

/// What is where in a segment. Two are equal if they are of the same segment.
#[derive(Clone, Debug)]
pub struct Directory {
    segment: SegmentRef,
    offsets: Offsets,
    kills: RowSet,
    ids: Column,
    id_blocks: BlockIndex,
    columns: Vec<(AttributeId, Column)>,
    records: BlockIndex,
}

/// Which rows of the range it covers a segment holds.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Offsets {
    /// All of them.
    All,
    /// These, counted from the first.
    Some(RoaringBitmap),
}

/// A directory as it is written.
#[derive(Serialize, Deserialize)]
pub(super) struct Stored {
    /// A 32-bit roaring bitmap; empty bytes if the segment holds all rows of its range.
    pub(super) offsets: Blob,
    pub(super) kills: Blob,
    pub(super) ids: Column,
    pub(super) id_blocks: Vec<BlockRef>,
    pub(super) id_filter: Blob,
    pub(super) columns: Vec<(AttributeId, Column)>,
    pub(super) records: Vec<BlockRef>,
    pub(super) record_filter: Blob,
}

impl Directory {
    /// Reads the directory of a segment. `bytes` is what stands in `segment.directory`, which lies in
    /// the object `key`.
    ///
    /// # Errors
    ///
    /// [`BadObject`] if these are not the bytes of this segment's directory.
    pub fn decode(segment: &SegmentRef, key: &Key, bytes: &Blob) -> Result<Self, BadObject> {
        segment.directory.check(key, bytes)?;
        let stored: Stored = frame::decode(Kind::Directory, key, bytes)?;
        let directory = Self::from_stored(segment, stored).map_err(|damage| damage.of(key))?;
        directory.check().map_err(|damage| damage.of(key))?;
        Ok(directory)
    }

    fn from_stored(segment: &SegmentRef, stored: Stored) -> Result<Self, Damage> {
        let offsets = if stored.offsets.is_empty() {
            Offsets::All
        } else {
            Offsets::Some(decode_bitmap(&stored.offsets)?)
        };
        let id_filter = Filter::decode(stored.id_filter)?;
        let record_filter = Filter::decode(stored.record_filter)?;
        Ok(Self {
            segment: segment.clone(),
            offsets,
            kills: RowSet::decode(&stored.kills)?,
            ids: stored.ids,
            id_blocks: BlockIndex { blocks: stored.id_blocks, filter: id_filter },
            columns: stored.columns,
            records: BlockIndex { blocks: stored.records, filter: record_filter },
        })
    }

    fn check(&self) -> Result<(), Damage> {
        let SegmentRef { base, end, rows, kills, .. } = self.segment;
        let span = end.0.checked_sub(base.0).filter(|span| *span <= SEGMENT_ROWS_MAX);
        let span = span.ok_or(Damage::Content("T1: it covers an impossible range of rows"))?;
        let whole = match &self.offsets {
            Offsets::All => span == u64::from(rows),
            Offsets::Some(offsets) => {
                let inside = offsets.max().is_none_or(|last| u64::from(last) < span);
                inside && offsets.len() == u64::from(rows)
            }
        };
        whole.then_some(()).ok_or(Damage::Content("T1: its rows are not those of the manifest"))?;
        let killed = self.kills.len() == kills;
        killed
            .then_some(())
            .ok_or(Damage::Content("T1: its kills are not those of the manifest"))?;
        self.id_blocks.check()?;
        self.records.check()?;
        let ascending = self.columns.is_sorted_by(|(a, _), (b, _)| a < b);
        ascending.then_some(()).ok_or(Damage::Content("C1: its columns are out of order"))?;
        let columns = || self.columns.iter().map(|(_, column)| column).chain([&self.ids]);
        columns().try_for_each(|column| column.check(rows))?;
        let pages = columns().flat_map(Column::pages).map(|page| page.extent);
        let blocks = self.id_blocks.blocks().iter().chain(self.records.blocks());
        let inside = pages.chain(blocks.map(|block| block.extent)).all(|e| self.segment.holds(&e));
        inside.then_some(()).ok_or(Damage::Content("T2: a stretch lies in no part"))
    }

    /// What the manifest says of the segment.
    pub const fn segment(&self) -> &SegmentRef {
        &self.segment
    }

    /// The key of the object in which a stretch named here lies.
    pub fn key(&self, place: &Place, extent: &Extent) -> Key {
        self.segment.key(place, extent)
    }

    /// How many positions there are.
    pub const fn rows(&self) -> u32 {
        self.segment.rows
    }

    /// The position of a row; `None` if the segment does not hold it.
    pub fn position_of(&self, row: Row) -> Option<u32> {
        let offset = row.0.checked_sub(self.segment.base.0)?;
        let offset = u32::try_from(offset).ok().filter(|_| row < self.segment.end)?;
        match &self.offsets {
            Offsets::All => Some(offset),
            Offsets::Some(offsets) => {
                offsets.contains(offset).then(|| (offsets.rank(offset) - 1) as u32)
            }
        }
    }

    /// The row at a position.
    ///
    /// # Panics
    ///
    /// If there is no such position.
    pub fn row_at(&self, position: u32) -> Row {
        assert!(position < self.rows(), "T1: there is no position {position}");
        let offset = match &self.offsets {
            Offsets::All => position,
            Offsets::Some(offsets) => offsets.select(position).expect("T1: the position exists"),
        };
        Row(self.segment.base.0 + u64::from(offset))
    }

    /// The rows of all positions, in order.
    pub fn row_numbers(&self) -> impl Iterator<Item = Row> {
        let base = self.segment.base.0;
        let (all, some) = match &self.offsets {
            Offsets::All => (self.rows(), None),
            Offsets::Some(offsets) => (0, Some(offsets)),
        };
        let offsets = (0..all).chain(some.into_iter().flatten());
        offsets.map(move |offset| Row(base + u64::from(offset)))
    }

    /// The rows that this segment ends, anywhere.
    pub const fn kills(&self) -> &RowSet {
        &self.kills
    }

    /// The positions whose rows were killed by any of these directories.
    pub fn dead<'a>(&self, all: impl IntoIterator<Item = &'a Self>) -> RoaringBitmap {
        let SegmentRef { base, end, .. } = self.segment;
        let mut offsets = RoaringBitmap::new();
        for directory in all {
            offsets.extend(directory.kills.between(base, end));
        }
        match &self.offsets {
            Offsets::All => offsets,
            Offsets::Some(held) => {
                let places =
                    held.iter().zip(0_u32..).filter(|(offset, _)| offsets.contains(*offset));
                places.map(|(_, position)| position).collect()
            }
        }
    }

    /// Whether the id may be in the segment. `false` is certain.
    pub fn may_contain(&self, id: &Id) -> bool {
        self.id_blocks.may_contain(&ids::encode(id))
    }

    /// The one block of ids that can hold this one. Open it as an
    /// [`IdBlock`](crate::format::ids::IdBlock).
    pub fn id_block(&self, id: &Id) -> Option<&BlockRef> {
        self.id_blocks.block(&ids::encode(id))
    }

    /// All blocks of ids, by ascending ids.
    pub fn id_blocks(&self) -> &[BlockRef] {
        self.id_blocks.blocks()
    }

    /// The column that says which id stands at a position: see
    /// [`ColumnPage::id`](crate::format::columns::ColumnPage::id).
    pub const fn ids(&self) -> &Column {
        &self.ids
    }

    /// The column of an attribute; `None` if no row here has a value of it.
    pub fn column(&self, attribute: AttributeId) -> Option<&Column> {
        let place = self.columns.binary_search_by_key(&attribute, |(id, _)| *id).ok()?;
        Some(&self.columns[place].1)
    }

    /// All columns, by ascending attributes.
    pub fn columns(&self) -> &[(AttributeId, Column)] {
        &self.columns
    }

    /// The one block of idempotency records that can hold this key, if any does. Open it as a
    /// [`RecordBlock`](crate::format::idempotency::RecordBlock).
    pub fn record_block(&self, key: &str) -> Option<&BlockRef> {
        let key = key.as_bytes();
        self.records.block(key).filter(|_| self.records.may_contain(key))
    }

    /// How many idempotency records there are at most.
    pub(crate) const fn records_max(&self) -> u64 {
        self.records.keys_max()
    }

    /// All blocks of idempotency records, by ascending keys.
    pub fn record_blocks(&self) -> &[BlockRef] {
        self.records.blocks()
    }
}

impl Stored {
    /// The offsets of these rows, as they are written. The last lies before `end`.
    pub(super) fn offsets(rows: &RowSet, base: Row, end: Row) -> Blob {
        if rows.len() == end.0 - base.0 {
            return Blob::default();
        }
        encode_bitmap(&rows.between(base, end).collect())
    }
}

impl PartialEq for Directory {
    fn eq(&self, other: &Self) -> bool {
        self.segment == other.segment
    }
}

impl Eq for Directory {}

impl Hash for Directory {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.segment.hash(state);
    }
}
