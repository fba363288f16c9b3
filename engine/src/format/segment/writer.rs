//! Makes a segment, section by section, and gives its parts away as soon as they are full.
//!
//! # Story
//!
//! 1. [`begin`](SegmentWriter::begin) says how much there may be.
//! 2. For each attribute, by ascending number: [`column`](SegmentWriter::column), then the values of
//!    all positions with [`value`](SegmentWriter::value).
//! 3. For each document, in the order of rows: [`document`](SegmentWriter::document).
//! 4. For each id, in the order of ids: [`id`](SegmentWriter::id).
//! 5. For each record, in the order of keys: [`record`](SegmentWriter::record).
//! 6. [`finish`](SegmentWriter::finish) writes the directory.
//!
//! Whenever [`ready`](SegmentWriter::ready) has a part, it can be uploaded and forgotten.
//!
//! # Invariants
//!
//! - **W1** Held at any time: the part being filled, parts not yet taken, one page, one block, and the
//!   directory to come. So memory does not grow with the values written.

use std::collections::VecDeque;

use crate::base::blob::Blob;
use crate::base::id::{AttributeId, Row};
use crate::base::limits::PART_BYTES_MAX;
use crate::base::value::{Id, IdType, Type, Value};
use crate::format::blocks::{BlockBuilder, BlockRef};
use crate::format::columns::build::{BuiltPage, PageBuilder};
use crate::format::columns::{Column, Page};
use crate::format::filter::FilterBuilder;
use crate::format::frame::{self, Kind};
use crate::format::layout::{ObjectName, Place};
use crate::format::log::IdempotencyRecord;
use crate::format::manifest::{Extent, Part, SegmentRef};
use crate::format::rows::RowSet;
use crate::format::segment::directory::{Directory, Stored};
use crate::format::{idempotency, ids};

/// A segment being made. See the [module](self) for the order of calls.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct SegmentWriter {
    parts: Parts,
    bounds: Bounds,
    rows: RowSet,
    logical_bytes: u64,
    columns: Vec<(AttributeId, ColumnWriter)>,
    ids: ColumnWriter,
    id_blocks: BlocksWriter,
    records: BlocksWriter,
}

/// What a segment will cover, known before it is written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Bounds {
    /// The first row number it covers.
    pub base: Row,
    /// The row number after the last.
    pub end: Row,
    /// At least as many as there will be documents.
    pub rows_max: u64,
    /// At least as many as there will be idempotency records.
    pub records_max: u64,
}

/// A segment that is written and whose objects are not named yet.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Draft {
    part_bytes: Vec<u32>,
    directory: Extent,
    directory_bytes: Blob,
    base: Row,
    end: Row,
    rows: u32,
    kills: u64,
    logical_bytes: u64,
}

/// The objects of a segment.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
struct Parts {
    filling: Vec<u8>,
    /// Sizes of those that are full.
    full: Vec<u32>,
    ready: VecDeque<Blob>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct ColumnWriter {
    builder: PageBuilder,
    column: Column,
    next: u32,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct BlocksWriter {
    builder: BlockBuilder,
    blocks: Vec<BlockRef>,
    filter: FilterBuilder,
    last: Box<[u8]>,
}

impl SegmentWriter {
    /// Begins a segment whose ids are of the kind of `ids`.
    pub fn begin(bounds: Bounds, ids: IdType) -> Self {
        Self {
            parts: Parts::default(),
            bounds,
            rows: RowSet::default(),
            logical_bytes: 0,
            columns: Vec::new(),
            ids: ColumnWriter::new(Type::Scalar(ids::column_type(ids))),
            id_blocks: BlocksWriter::new(bounds.rows_max),
            records: BlocksWriter::new(bounds.records_max),
        }
    }

    /// Begins the column of an attribute. Values pushed from now on are its.
    ///
    /// # Panics
    ///
    /// If its number is not greater than those before.
    pub fn column(&mut self, attribute: AttributeId, value_type: Type) {
        self.end_column();
        let last = self.columns.last().map(|(last, _)| *last);
        assert!(last < Some(attribute), "C1: columns are written by ascending numbers");
        self.columns.push((attribute, ColumnWriter::new(value_type)));
    }

    /// Adds the value at the next position of the column that was begun last.
    ///
    /// # Panics
    ///
    /// If no column was begun, or the value is not of its type.
    pub fn value(&mut self, value: Option<&Value>) {
        self.logical_bytes += value.map_or(0, Value::logical_bytes);
        let (_, column) = self.columns.last_mut().expect("W: a column was begun");
        column.push(&mut self.parts, value);
    }

    /// Adds the next document, by ascending rows.
    ///
    /// # Panics
    ///
    /// If its row lies outside the bounds or is not greater than those before.
    pub fn document(&mut self, row: Row, id: &Id) {
        self.end_column();
        let ascends = self.rows.last().is_none_or(|last| last < row);
        let Bounds { base, end, .. } = self.bounds;
        assert!(ascends && base <= row && row < end, "T1: {row:?} is out of order or of bounds");
        self.rows.insert(row);
        self.logical_bytes += id.logical_bytes();
        self.ids.push(&mut self.parts, Some(&ids::to_value(id)));
    }

    /// Adds where an id stands, by ascending ids.
    ///
    /// # Panics
    ///
    /// If it is not greater than those before.
    pub fn id(&mut self, id: &Id, position: u32) {
        self.id_key(&ids::encode(id), position);
    }

    /// Adds where an encoded id stands.
    pub(crate) fn id_key(&mut self, id: &[u8], position: u32) {
        self.ids.end(&mut self.parts);
        self.id_blocks.push(&mut self.parts, id, &position.to_le_bytes());
    }

    /// Adds an idempotency record, by ascending keys.
    ///
    /// # Panics
    ///
    /// If its key is not greater than those before.
    pub fn record(&mut self, record: &IdempotencyRecord) {
        self.id_blocks.end(&mut self.parts);
        self.records.push(&mut self.parts, record.key.as_bytes(), &idempotency::encode(record));
    }

    /// The next part that is full, in order, to be uploaded.
    pub fn ready(&mut self) -> Option<Blob> {
        self.parts.ready.pop_front()
    }

    /// Writes the directory, with the rows that the segment kills. Gives the parts that were not
    /// taken yet, and the segment, to be named when all its parts are stored.
    ///
    /// # Panics
    ///
    /// If a column, the ids and the documents do not have the same length.
    pub fn finish(mut self, kills: &RowSet) -> (Vec<Blob>, Draft) {
        self.end_column();
        self.ids.end(&mut self.parts);
        self.id_blocks.end(&mut self.parts);
        self.records.end(&mut self.parts);
        let rows = self.rows.len() as u32;
        let ends = self.columns.iter().map(|(_, column)| column.next).chain([self.ids.next]);
        assert!(ends.into_iter().all(|end| end == rows), "C1: columns of different lengths");
        let Bounds { base, end, .. } = self.bounds;
        let columns = self.columns.into_iter().map(|(id, column)| (id, column.column));
        let stored = Stored {
            offsets: Stored::offsets(&self.rows, base, end),
            kills: kills.encode(),
            ids: self.ids.column,
            id_blocks: self.id_blocks.blocks,
            id_filter: self.id_blocks.filter.finish(),
            columns: columns.collect(),
            records: self.records.blocks,
            record_filter: self.records.filter.finish(),
        };
        let directory_bytes = Blob::from(frame::encode(Kind::Directory, &stored, 0));
        let directory = self.parts.append(directory_bytes.as_slice());
        self.parts.close();
        let (kills, logical_bytes) = (kills.len(), self.logical_bytes);
        let part_bytes = self.parts.full;
        let draft =
            Draft { part_bytes, directory, directory_bytes, base, end, rows, kills, logical_bytes };
        (self.parts.ready.into(), draft)
    }

    fn end_column(&mut self) {
        if let Some((_, column)) = self.columns.last_mut() {
            column.end(&mut self.parts);
        }
    }
}

impl Draft {
    /// The segment, its parts stored under these names, and its directory, so that nobody has to read
    /// it back.
    ///
    /// # Panics
    ///
    /// If there are more or fewer names than parts.
    pub fn named(self, place: &Place, names: &[ObjectName]) -> (SegmentRef, Directory) {
        assert_eq!(names.len(), self.part_bytes.len(), "T2: every part has a name");
        let parts = names.iter().zip(&self.part_bytes);
        let Self { directory, directory_bytes, base, end, rows, kills, logical_bytes, .. } = self;
        let parts = parts.map(|(name, bytes)| Part { name: *name, bytes: *bytes }).collect();
        let segment = SegmentRef { parts, directory, base, end, rows, kills, logical_bytes };
        let key = segment.key(place, &directory);
        let decoded = Directory::decode(&segment, &key, &directory_bytes);
        (segment, decoded.expect("F1: a directory is decoded as it was encoded"))
    }
}

impl Parts {
    /// Puts a stretch behind the others, in a new part if the one being filled has no room for it.
    fn append(&mut self, bytes: &[u8]) -> Extent {
        if self.filling.len() + bytes.len() > PART_BYTES_MAX {
            self.close();
        }
        let (part, start) = (self.full.len() as u32, self.filling.len() as u32);
        self.filling.extend_from_slice(bytes);
        Extent { part, start, bytes: bytes.len() as u32, crc: crc32fast::hash(bytes) }
    }

    fn close(&mut self) {
        if !self.filling.is_empty() {
            let part = core::mem::take(&mut self.filling);
            self.full.push(part.len() as u32);
            self.ready.push_back(part.into());
        }
    }
}

impl ColumnWriter {
    fn new(value_type: Type) -> Self {
        let column = Column { value_type, pages: Vec::new() };
        Self { builder: PageBuilder::new(value_type), column, next: 0 }
    }

    fn push(&mut self, parts: &mut Parts, value: Option<&Value>) {
        self.builder.push(value);
        if self.builder.is_full() {
            self.end(parts);
        }
    }

    fn end(&mut self, parts: &mut Parts) {
        if !self.builder.is_empty() {
            let BuiltPage { bytes, rows, nulls, zone } = self.builder.finish();
            let extent = parts.append(&bytes);
            self.column.pages.push(Page { first: self.next, rows, nulls, zone, extent });
            self.next += rows;
        }
    }
}

impl BlocksWriter {
    fn new(keys_max: u64) -> Self {
        let filter = FilterBuilder::new(keys_max);
        let (builder, last) = (BlockBuilder::default(), Box::default());
        Self { builder, blocks: Vec::new(), filter, last }
    }

    fn push(&mut self, parts: &mut Parts, key: &[u8], value: &[u8]) {
        let first = self.blocks.is_empty() && self.builder.is_empty();
        assert!(first || *self.last < *key, "B1: keys are written in order");
        self.last = key.into();
        self.filter.insert(key);
        self.builder.push(key, value);
        if self.builder.is_full() {
            self.end(parts);
        }
    }

    fn end(&mut self, parts: &mut Parts) {
        if !self.builder.is_empty() {
            let (first, bytes) = self.builder.finish();
            let extent = parts.append(&bytes);
            self.blocks.push(BlockRef { first, extent });
        }
    }
}
