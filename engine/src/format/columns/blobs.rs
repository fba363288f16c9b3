//! Values of one page that are bytes.
//!
//! # Bytes
//!
//! ```text
//! | lengths (packed) | the bytes of all |
//! ```
//!
//! They stand without gaps for nulls, and are not compressed: who stores bytes has mostly done so.

use std::sync::Arc;

use crate::base::blob::Blob;
use crate::base::limits;
use crate::format::columns::pack;
use crate::format::columns::vectors::read_ends;
use crate::format::frame::Damage;
use crate::format::reader::Reader;

/// Bytes of several rows, where they lie, and where each row's end.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Blobs {
    ends: Vec<u32>,
    bytes: Blob,
}

/// Bytes of a page: those of one that was not full, and of one more value.
const BYTES_MAX: usize = limits::PAGE_BYTES + limits::VALUE_BYTES_MAX;

impl Blobs {
    /// The bytes at this place; `None` if there is no such place.
    pub fn get(&self, slot: usize) -> Option<Arc<[u8]>> {
        let start = slot.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied());
        let (start, end) = start.zip(self.ends.get(slot).copied())?;
        self.bytes.as_slice().get(start as usize..end as usize).map(Arc::from)
    }

    pub(super) fn read(from: &mut Reader<'_>, count: usize, bytes: &Blob) -> Result<Self, Damage> {
        let ends = read_ends(from, count, BYTES_MAX)?;
        let start = bytes.len() - from.left();
        let length = ends.last().map_or(0, |end| *end as usize);
        from.take(length)?;
        let bytes = bytes.slice(start, start + length);
        let bytes = bytes.ok_or(Damage::Content("it ends before its values do"))?;
        Ok(Self { ends, bytes })
    }
}

/// Bytes being gathered into a page.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct GatheredBlobs {
    lengths: Vec<u64>,
    bytes: Vec<u8>,
}

impl GatheredBlobs {
    /// Adds a value, and says about how many bytes it takes.
    pub(super) fn push(&mut self, value: &[u8]) -> usize {
        self.lengths.push(value.len() as u64);
        self.bytes.extend_from_slice(value);
        1 + value.len()
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        pack::write(out, 0, self.lengths.iter().copied());
        out.extend_from_slice(&self.bytes);
    }
}
