//! A segment reads back as it was written, and a damaged one is an error.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::writer::Bounds;
use super::*;
use crate::base::blob::Blob;
use crate::base::id::{AttributeId, Incarnation, Nonce, Row, Stamp};
use crate::base::name::{Key, NamespaceName};
use crate::base::time::WallTime;
use crate::base::value::{Document, Id, IdType, Scalar, ScalarType, Type, Value};
use crate::format::columns::ColumnPage;
use crate::format::frame::BadObject;
use crate::format::idempotency::RecordBlock;
use crate::format::ids::IdBlock;
use crate::format::layout::{ObjectName, Place};
use crate::format::log::{IdempotencyRecord, WriteOutcome};
use crate::format::manifest::{Extent, SegmentRef};
use crate::format::rows::RowSet;

/// A segment and its objects.
struct Made {
    segment: SegmentRef,
    parts: Vec<Blob>,
}

const COUNT: AttributeId = AttributeId(3);
const TEXT: AttributeId = AttributeId(7);

fn place() -> Place {
    let namespace = NamespaceName::parse("n").unwrap();
    Place { namespace, incarnation: Incarnation(Nonce(1)) }
}

fn record(key: &str) -> IdempotencyRecord {
    let (fingerprint, at) = (key.len() as u128, WallTime(5));
    IdempotencyRecord { key: key.to_owned(), fingerprint, at, outcome: WriteOutcome::default() }
}

fn document(id: u64) -> Document {
    let text = Value::Scalar(Scalar::String(format!("text {}", id % 7).into()));
    let count = Value::Scalar(Scalar::Int(id.cast_signed() - 9));
    let mut attributes = vec![(COUNT, count), (TEXT, text)];
    attributes.retain(|(attribute, _)| id % 4 != 1 || *attribute == TEXT);
    Document { id: Id::Uint(id), attributes }
}

fn make(base: u64, documents: &BTreeMap<u64, Document>, kills: &[u64], keys: &[&str]) -> Made {
    let end = documents.keys().next_back().map_or(base, |last| last + 1);
    let (rows_max, records_max) = (documents.len() as u64, keys.len() as u64);
    let bounds = Bounds { base: Row(base), end: Row(end), rows_max, records_max };
    let mut writer = SegmentWriter::begin(bounds, IdType::Uint);
    for (attribute, t) in [(COUNT, ScalarType::Int), (TEXT, ScalarType::String)] {
        writer.column(attribute, Type::Scalar(t));
        for document in documents.values() {
            writer.value(document.value(attribute));
        }
    }
    for (row, document) in documents {
        writer.document(Row(*row), &document.id);
    }
    let mut ids: Vec<_> = documents.values().map(|document| &document.id).zip(0..).collect();
    ids.sort();
    for (id, position) in ids {
        writer.id(id, position);
    }
    for key in keys {
        writer.record(&record(key));
    }
    let mut set = RowSet::default();
    for row in kills {
        assert!(set.insert(Row(*row)));
    }
    let (parts, draft) = writer.finish(&set);
    let name = |nonce| ObjectName { stamp: Stamp(1), nonce: Nonce(nonce) };
    let names: Vec<_> = (0..parts.len() as u128).map(name).collect();
    Made { segment: draft.named(&place(), &names).0, parts }
}

impl Made {
    fn read(&self, extent: &Extent) -> (Key, Blob) {
        let bytes =
            self.parts[extent.part as usize].slice(extent.start as usize, extent.end() as usize);
        (self.segment.key(&place(), extent), bytes.unwrap_or_default())
    }

    fn directory(&self) -> Result<Directory, BadObject> {
        let (key, bytes) = self.read(&self.segment.directory);
        Directory::decode(&self.segment, &key, &bytes)
    }

    /// Every row with its document, read back through the directory, and every record.
    #[allow(clippy::type_complexity)]
    fn contents(&self) -> Result<(Vec<(Row, Document)>, Vec<IdempotencyRecord>), BadObject> {
        let directory = self.directory()?;
        let mut documents = Vec::new();
        for (row, position) in directory.row_numbers().zip(0..) {
            let at = directory.ids().page_of(position).unwrap();
            let page = &directory.ids().pages()[at];
            let (key, bytes) = self.read(&page.extent);
            let t = directory.ids().value_type();
            let ids = ColumnPage::open(t, page, &key, &bytes)?;
            let id = ids.id((position - page.first) as usize).unwrap();
            let block = directory.id_block(&id).unwrap();
            let (key, bytes) = self.read(&block.extent);
            assert_eq!(IdBlock::open(block, &key, &bytes)?.find(&id), Some(position));
            assert!(directory.may_contain(&id));
            assert_eq!(
                (directory.row_at(position), directory.position_of(row)),
                (row, Some(position))
            );
            let mut attributes = Vec::new();
            for (attribute, column) in directory.columns() {
                let page = &column.pages()[column.page_of(position).unwrap()];
                let (key, bytes) = self.read(&page.extent);
                let opened = ColumnPage::open(column.value_type(), page, &key, &bytes)?;
                let value = opened.value((position - page.first) as usize);
                attributes.extend(value.map(|value| (*attribute, value)));
            }
            documents.push((row, Document { id, attributes }));
        }
        let mut records = Vec::new();
        for block in directory.record_blocks() {
            let (key, bytes) = self.read(&block.extent);
            let opened = RecordBlock::open(block, &key, &bytes)?;
            records.extend(opened.records());
        }
        Ok((documents, records))
    }
}

fn some_documents(rows: impl IntoIterator<Item = u64>) -> BTreeMap<u64, Document> {
    rows.into_iter().map(|row| (row, document(row * 31 % 1009))).collect()
}

#[test]
fn a_segment_of_many_pages_gives_back_what_was_written() {
    let documents = some_documents((0..900).map(|n| 50 + n));
    let made = make(50, &documents, &[3, 60], &["a", "b"]);
    let (found, records) = made.contents().unwrap();
    assert_eq!(found, documents.into_iter().map(|(row, d)| (Row(row), d)).collect::<Vec<_>>());
    assert_eq!(records, [record("a"), record("b")]);
    let directory = made.directory().unwrap();
    assert_eq!(directory.position_of(Row(49)), None);
    assert_eq!(directory.position_of(Row(950)), None);
    assert!(directory.record_block("a").is_some());
    assert!(directory.record_block("c").is_none());
    let others = (2000..3000).filter(|id| directory.may_contain(&Id::Uint(*id)));
    assert!(others.count() < 50);
    assert_eq!(directory.dead([&directory]).iter().collect::<Vec<_>>(), [10]);
}

#[test]
fn a_segment_with_gaps_knows_where_its_rows_stand() {
    let documents = some_documents([10, 11, 15, 900]);
    let made = make(5, &documents, &[], &[]);
    let directory = made.directory().unwrap();
    assert_eq!(directory.row_numbers().collect::<Vec<_>>(), [10, 11, 15, 900].map(Row));
    assert_eq!(directory.position_of(Row(12)), None);
    assert_eq!(directory.position_of(Row(15)), Some(2));
    let later = make(901, &BTreeMap::new(), &[11, 12, 15, 2000], &[]).directory().unwrap();
    assert_eq!(directory.dead([&directory, &later]).iter().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(made.contents().unwrap().0.len(), 4);
}

#[test]
fn every_flipped_bit_and_every_cut_names_the_object() {
    let made = make(7, &some_documents([7, 8, 9, 11]), &[2], &["key"]);
    let whole = made.contents().unwrap();
    let bytes = made.parts[0].as_slice();
    let key = made.segment.key(&place(), &made.segment.directory);
    let with = |bytes: Vec<u8>| Made { segment: made.segment.clone(), parts: vec![bytes.into()] };
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.to_vec();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(with(bad).contents().unwrap_err().key, key, "bit {bit}");
    }
    for cut in 0..bytes.len() {
        assert_eq!(with(bytes[..cut].to_vec()).contents().unwrap_err().key, key, "cut at {cut}");
    }
    assert_eq!(with(bytes.to_vec()).contents().unwrap(), whole);
}

#[test]
fn a_directory_of_another_segment_is_refused() {
    let made = make(7, &some_documents([7, 8, 9]), &[2], &[]);
    let edits: [fn(&mut SegmentRef); 5] = [
        |segment| segment.end = Row(11),
        |segment| segment.base = Row(20),
        |segment| segment.rows = 2,
        |segment| segment.kills = 0,
        |segment| segment.parts[0].bytes = 10,
    ];
    for edit in edits {
        let mut segment = made.segment.clone();
        edit(&mut segment);
        let wrong = Made { segment, parts: made.parts.clone() };
        assert!(wrong.directory().is_err());
    }
}

proptest! {
    #[test]
    fn hostile_directories_are_errors_or_directories_and_never_panics(
        at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let made = make(7, &some_documents([7, 8, 9, 30]), &[2, 1 << 40], &["key"]);
        let directory = made.segment.directory;
        let mut bytes = made.parts[0].as_slice().to_vec();
        let body = directory.start as usize + crate::format::frame::HEADER_BYTES;
        let at = body + at.index(directory.end() as usize - body);
        bytes[at] = byte;
        // A hostile store fits the checksums to what it forged.
        let frame = &mut bytes[directory.start as usize..directory.end() as usize];
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&frame[..16]);
        hasher.update(&frame[20..]);
        frame[16..20].copy_from_slice(&hasher.finalize().to_le_bytes());
        let mut segment = made.segment.clone();
        segment.directory.crc = crc32fast::hash(frame);
        let forged = Made { segment, parts: vec![bytes.into()] };
        if let Ok(directory) = forged.directory() {
            let _ = directory.dead([&directory]);
            let mut rows = directory.row_numbers();
            prop_assert!(rows.all(|row| directory.position_of(row).is_some()));
            let pages = directory.columns().iter().flat_map(|(_, column)| column.pages());
            pages.for_each(|page| drop(forged.read(&page.extent)));
        }
    }
}
