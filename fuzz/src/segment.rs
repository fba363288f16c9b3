//! What hostile parts of segments may do: be refused, or be read without a panic.
//!
//! The checksums that name a stretch are computed from what the fuzzer wrote, so that everything behind
//! them has to hold by itself.

use sana_engine::base::blob::Blob;
use sana_engine::base::id::{Nonce, Row, Stamp};
use sana_engine::base::value::{Element, Id, ScalarType, Type, VectorType};
use sana_engine::format::blocks::BlockRef;
use sana_engine::format::columns::{ColumnPage, Page};
use sana_engine::format::frame::Kind;
use sana_engine::format::idempotency::RecordBlock;
use sana_engine::format::ids::IdBlock;
use sana_engine::format::layout::ObjectName;
use sana_engine::format::manifest::{Extent, Part, SegmentRef};
use sana_engine::format::segment::Directory;

use crate::{key, mended};

fn extent(bytes: &Blob) -> Extent {
    Extent { part: 0, start: 0, bytes: bytes.len() as u32, crc: bytes.crc32() }
}

/// The number in the first bytes.
fn number(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// Any bytes as a page, of the type that the first byte chooses.
pub fn page(bytes: &[u8]) {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    let scalar = ScalarType::ALL[usize::from(choice / 4) % ScalarType::ALL.len()];
    let value_type = match choice % 4 {
        0 => Type::Scalar(scalar),
        1 => Type::Array(scalar),
        2 => {
            let element = Element::ALL[usize::from(choice / 4) % Element::ALL.len()];
            Type::Vector(VectorType { dimensions: u32::from(choice / 12), element })
        }
        _ if choice / 4 % 2 == 0 => Type::Sparse,
        _ => Type::Bytes,
    };
    let blob = Blob::from(bytes.to_vec());
    let (rows, present) = (number(bytes), number(bytes.get(4..).unwrap_or_default()));
    let nulls = rows.saturating_sub(present);
    let page = Page { first: 0, rows, nulls, zone: None, extent: extent(&blob) };
    if let Ok(opened) = ColumnPage::open(value_type, &page, &key(), &blob) {
        let values = (0..opened.rows()).filter_map(|row| opened.value(row));
        assert!(values.count() <= opened.presence().present());
        assert_eq!(opened.presence().iter().count(), opened.presence().present());
    }
}

/// Any bytes as a block of ids and as a block of records.
pub fn block(bytes: &[u8]) {
    let blob = Blob::from(bytes.to_vec());
    // The first key stands where the others begin, whatever it is: try the likely ones.
    for first in 0..bytes.len().min(64) {
        for end in first..bytes.len().min(first + 18) {
            let block = BlockRef { first: bytes[first..end].into(), extent: extent(&blob) };
            if let Ok(ids) = IdBlock::open(&block, &key(), &blob) {
                for (id, position) in ids.entries() {
                    assert_eq!(ids.find(&id), Some(position));
                }
                assert_eq!(ids.find(&Id::String("a key that is not there".into())), None);
            }
            if let Ok(records) = RecordBlock::open(&block, &key(), &blob) {
                assert!(records.records().count() <= bytes.len());
            }
        }
    }
}

/// Any bytes as a directory of a segment of few rows.
pub fn directory(bytes: &[u8]) {
    let blob = Blob::from(mended(Kind::Directory, bytes));
    let name = ObjectName { stamp: Stamp(1), nonce: Nonce(1) };
    for (end, rows, kills) in [(15, 5, 2), (20, 3, 2), (10, 0, 0)] {
        let segment = SegmentRef {
            parts: vec![Part { name, bytes: 1 << 20 }],
            directory: extent(&blob),
            base: Row(10),
            end: Row(end),
            rows,
            kills,
            logical_bytes: 0,
        };
        if let Ok(directory) = Directory::decode(&segment, &key(), &blob) {
            assert_eq!(directory.row_numbers().count(), rows as usize);
            for (row, position) in directory.row_numbers().zip(0..) {
                assert_eq!(directory.position_of(row), Some(position));
                assert_eq!(directory.row_at(position), row);
            }
            assert_eq!(directory.kills().iter().count() as u64, kills);
            assert!(directory.dead([&directory]).len() <= u64::from(rows));
            for id in [Id::Uint(7), Id::Uuid(7), Id::String("film 7".into())] {
                let _ = (directory.may_contain(&id), directory.id_block(&id));
            }
            for (_, column) in directory.columns() {
                for (place, page) in column.pages().iter().enumerate() {
                    assert_eq!(column.page_of(page.first), Some(place));
                }
            }
        }
    }
}
