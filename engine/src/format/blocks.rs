//! Sorted blocks: keys with values, cut into stretches that are read one by one.
//!
//! # Bytes
//!
//! ```text
//! | count u32 | end of each key u32 … | end of each value u32 … | keys | values |
//! ```
//!
//! Keys ascend within a block and from block to block. A block is searched where it lies; only its
//! shape is checked when it is opened.
//!
//! # Invariants
//!
//! - **B1** A key stands once, in the last block whose first key is not greater.

use serde::{Deserialize, Serialize};

use crate::base::blob::Blob;
use crate::base::name::Key;
use crate::format::filter::Filter;
use crate::format::frame::{BadObject, Damage};
use crate::format::manifest::Extent;
use crate::format::reader::Reader;

/// Where sorted blocks lie, and which keys may be in them.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct BlockIndex {
    pub(crate) blocks: Vec<BlockRef>,
    pub(crate) filter: Filter,
}

/// Where one block lies.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct BlockRef {
    /// Its first key, encoded.
    pub first: Box<[u8]>,
    /// Where it lies.
    pub extent: Extent,
}

/// One block, opened.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Block {
    count: usize,
    bytes: Blob,
}

/// A block being made.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct BlockBuilder {
    key_ends: Vec<u32>,
    value_ends: Vec<u32>,
    keys: Vec<u8>,
    values: Vec<u8>,
}

/// Size at which a block ends, in bytes: a lookup reads one of them.
const BLOCK_BYTES: usize = 16 << 10;

impl BlockIndex {
    /// The blocks, by ascending keys.
    pub fn blocks(&self) -> &[BlockRef] {
        &self.blocks
    }

    /// How many keys there are at most.
    pub(crate) const fn keys_max(&self) -> u64 {
        self.filter.keys_max()
    }

    /// Whether the key may be in a block. `false` is certain.
    pub(crate) fn may_contain(&self, key: &[u8]) -> bool {
        self.filter.may_contain(key)
    }

    /// The one block that can hold the key.
    pub(crate) fn block(&self, key: &[u8]) -> Option<&BlockRef> {
        let after = self.blocks.partition_point(|block| *block.first <= *key);
        self.blocks.get(after.checked_sub(1)?)
    }

    pub(crate) fn check(&self) -> Result<(), Damage> {
        let ascending = self.blocks.is_sorted_by(|a, b| a.first < b.first);
        ascending.then_some(()).ok_or(Damage::Content("B1: its blocks are out of order"))
    }
}

impl Block {
    /// Opens a block: `bytes` is what stands in its extent, which lies in the object `key`.
    pub(crate) fn open(block: &BlockRef, key: &Key, bytes: &Blob) -> Result<Self, BadObject> {
        block.extent.check(key, bytes)?;
        let opened = Self::read(bytes).map_err(|damage| damage.of(key))?;
        let begins = opened.entries().next().is_some_and(|(first, _)| *first == *block.first);
        begins
            .then_some(opened)
            .ok_or_else(|| Damage::Content("B1: a block begins with another key").of(key))
    }

    fn read(bytes: &Blob) -> Result<Self, Damage> {
        let mut reader = Reader::new(bytes.as_slice());
        let count = reader.u32()? as usize;
        let key_ends = reader.items::<4>(count)?;
        let value_ends = reader.items::<4>(count)?;
        let last = |ends: &[[u8; 4]]| ends.last().map_or(0, |end| u32::from_le_bytes(*end));
        let ascends = |ends: &[[u8; 4]]| ends.is_sorted_by_key(|end| u32::from_le_bytes(*end));
        if !ascends(key_ends) || !ascends(value_ends) {
            return Err(Damage::Content("a block's entries are cut wrongly"));
        }
        reader.take(last(key_ends) as usize)?;
        reader.take(last(value_ends) as usize)?;
        reader.end()?;
        let block = Self { count, bytes: bytes.clone() };
        let keys = block.entries().map(|(key, _)| key);
        let ascending = keys.clone().zip(keys.skip(1)).all(|(a, b)| a < b);
        ascending.then_some(block).ok_or(Damage::Content("B1: a block's keys are out of order"))
    }

    /// Its size in bytes.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The value under a key.
    pub(crate) fn find(&self, key: &[u8]) -> Option<&[u8]> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low.midpoint(high);
            let (found, value) = self.entry(middle)?;
            match found.cmp(key) {
                core::cmp::Ordering::Less => low = middle + 1,
                core::cmp::Ordering::Equal => return Some(value),
                core::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// The key and value at this place.
    pub(crate) fn entry(&self, place: usize) -> Option<(&[u8], &[u8])> {
        let bytes = self.bytes.as_slice();
        let end = |table: usize, place: usize| {
            let at = 4 + 4 * (table * self.count + place);
            let word = bytes.get(at..at + 4)?.first_chunk::<4>()?;
            Some(u32::from_le_bytes(*word) as usize)
        };
        let stretch = |table: usize| {
            let start = place.checked_sub(1).map_or(Some(0), |before| end(table, before))?;
            Some((start, end(table, place)?))
        };
        let ((key, key_end), (value, value_end)) =
            (place < self.count).then(|| stretch(0).zip(stretch(1)))??;
        let keys = 4 + 8 * self.count;
        let values = keys + end(0, self.count - 1)?;
        let key = bytes.get(keys + key..keys + key_end)?;
        Some((key, bytes.get(values + value..values + value_end)?))
    }

    /// All entries, by ascending keys.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        (0..self.count).filter_map(|place| self.entry(place))
    }
}

impl BlockBuilder {
    /// Adds an entry whose key is greater than all before.
    pub(crate) fn push(&mut self, key: &[u8], value: &[u8]) {
        self.keys.extend_from_slice(key);
        self.values.extend_from_slice(value);
        self.key_ends.push(self.keys.len() as u32);
        self.value_ends.push(self.values.len() as u32);
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.key_ends.is_empty()
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.keys.len() + self.values.len() + 8 * self.key_ends.len() >= BLOCK_BYTES
    }

    /// The block of the entries so far, and its first key. The next entry begins another.
    pub(crate) fn finish(&mut self) -> (Box<[u8]>, Vec<u8>) {
        let Self { key_ends, value_ends, keys, values } = core::mem::take(self);
        let mut bytes = (key_ends.len() as u32).to_le_bytes().to_vec();
        bytes.extend(key_ends.iter().chain(&value_ends).flat_map(|end| end.to_le_bytes()));
        bytes.extend_from_slice(&keys);
        bytes.extend_from_slice(&values);
        let first = key_ends.first().map_or(0, |end| *end as usize);
        (keys[..first].into(), bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn build(entries: &BTreeMap<Vec<u8>, Vec<u8>>) -> (BlockRef, Blob) {
        let mut builder = BlockBuilder::default();
        for (key, value) in entries {
            builder.push(key, value);
        }
        let (first, bytes) = builder.finish();
        let bytes = Blob::from(bytes);
        let extent = Extent { part: 0, start: 0, bytes: bytes.len() as u32, crc: bytes.crc32() };
        (BlockRef { first, extent }, bytes)
    }

    fn entries() -> impl Strategy<Value = BTreeMap<Vec<u8>, Vec<u8>>> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..6);
        prop::collection::btree_map(bytes(), bytes(), 1..60)
    }

    proptest! {
        #[test]
        fn a_block_holds_what_was_put_in(entries in entries(), other in any::<[u8; 2]>()) {
            let (block, bytes) = build(&entries);
            let opened = Block::open(&block, &Key::new("k"), &bytes).unwrap();
            for (key, value) in &entries {
                prop_assert_eq!(opened.find(key), Some(&**value));
            }
            prop_assert_eq!(opened.find(&other), entries.get(&other[..]).map(Vec::as_slice));
            let all = opened.entries().map(|(key, value)| (key.to_vec(), value.to_vec()));
            prop_assert_eq!(all.collect::<BTreeMap<_, _>>(), entries);
        }

        #[test]
        fn hostile_blocks_are_errors_or_blocks_and_never_panics(
            entries in entries(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
        ) {
            let (_, bytes) = build(&entries);
            let mut bad = bytes.as_slice().to_vec();
            let at = at.index(bad.len());
            bad[at] = byte;
            if let Ok(block) = Block::read(&bad.into()) {
                prop_assert!(block.entries().count() <= block.count);
                let _ = block.find(b"abc");
            }
        }
    }
}
