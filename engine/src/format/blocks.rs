//! Sorted blocks: keys with values, cut into stretches that are read one by one.
//!
//! # Bytes
//!
//! ```text
//! | count u32 | key bytes u32 | value bytes u32 | ends of keys | ends of values | keys | values |
//! ```
//!
//! If all keys have one length, it stands at `key bytes`, and there are no ends of keys. Otherwise that
//! is zero, and the end of each key stands in the table, u32. Values likewise.
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
    keys: Items,
    values: Items,
}

/// The keys or the values of a block.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Items {
    /// The length of each; zero if they have ends.
    width: usize,
    ends: Blob,
    bytes: Blob,
}

/// A block being made.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct BlockBuilder {
    keys: ItemsBuilder,
    values: ItemsBuilder,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
struct ItemsBuilder {
    ends: Vec<u32>,
    items: Vec<u8>,
}

/// Size at which a block ends, in bytes: a lookup reads one of them.
const BLOCK_BYTES: usize = 16 << 10;
const CUT: Damage = Damage::Content("a block's entries are cut wrongly");

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
        let widths = [reader.u32()? as usize, reader.u32()? as usize];
        let mut at = bytes.len() - reader.left();
        let mut cut = |length: usize| {
            let (start, end) = (at, at.checked_add(length).ok_or(CUT)?);
            at = end;
            bytes.slice(start, end).ok_or(CUT)
        };
        let table = |width: usize| if width == 0 { count.checked_mul(4) } else { Some(0) };
        let mut ends = [Blob::default(), Blob::default()];
        for (ends, width) in ends.iter_mut().zip(widths) {
            *ends = cut(table(width).ok_or(CUT)?)?;
        }
        let mut items = ends.into_iter().zip(widths).map(|(ends, width)| {
            let length = Items::length(&ends, width, count)?;
            Ok(Items { width, ends, bytes: cut(length)? })
        });
        let (keys, values) = (items.next().ok_or(CUT)??, items.next().ok_or(CUT)??);
        drop(items);
        let block = Self { count, keys, values };
        let keys = block.entries().map(|(key, _)| key);
        let ascending = keys.clone().zip(keys.skip(1)).all(|(a, b)| a < b);
        let whole = at == bytes.len() && block.entries().count() == count;
        (ascending && whole)
            .then_some(block)
            .ok_or(Damage::Content("B1: its keys are out of order"))
    }

    /// Its size in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let items = [&self.keys, &self.values].into_iter();
        items.map(|items| items.ends.len() + items.bytes.len()).sum()
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
        (place < self.count).then(|| self.keys.get(place).zip(self.values.get(place)))?
    }

    /// All entries, by ascending keys.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        (0..self.count).filter_map(|place| self.entry(place))
    }
}

impl Items {
    /// How many bytes all items have together.
    fn length(ends: &Blob, width: usize, count: usize) -> Result<usize, Damage> {
        let ends = ends.as_slice().as_chunks::<4>().0;
        let ascends = ends.is_sorted_by_key(|end| u32::from_le_bytes(*end));
        let last = ends.last().map_or(0, |end| u32::from_le_bytes(*end) as usize);
        let length = if width == 0 { Some(last) } else { width.checked_mul(count) };
        length.filter(|_| ascends).ok_or(CUT)
    }

    fn get(&self, place: usize) -> Option<&[u8]> {
        let end = |place: usize| {
            let ends = self.ends.as_slice().as_chunks::<4>().0;
            ends.get(place).map(|end| u32::from_le_bytes(*end) as usize)
        };
        let (start, end) = if self.width > 0 {
            (place.checked_mul(self.width)?, place.checked_add(1)?.checked_mul(self.width)?)
        } else {
            (place.checked_sub(1).map_or(Some(0), end)?, end(place)?)
        };
        self.bytes.as_slice().get(start..end)
    }
}

impl BlockBuilder {
    /// Adds an entry whose key is greater than all before.
    pub(crate) fn push(&mut self, key: &[u8], value: &[u8]) {
        self.keys.push(key);
        self.values.push(value);
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.keys.ends.is_empty()
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.keys.items.len() + self.values.items.len() >= BLOCK_BYTES
    }

    /// The block of the entries so far, and its first key. The next entry begins another.
    pub(crate) fn finish(&mut self) -> (Box<[u8]>, Vec<u8>) {
        let Self { keys, values } = core::mem::take(self);
        let mut bytes = (keys.ends.len() as u32).to_le_bytes().to_vec();
        let widths = [keys.width(), values.width()];
        bytes.extend(widths.iter().flat_map(|width| width.to_le_bytes()));
        for (items, width) in [&keys, &values].into_iter().zip(widths) {
            let ends = items.ends.iter().filter(|_| width == 0);
            bytes.extend(ends.flat_map(|end| end.to_le_bytes()));
        }
        bytes.extend_from_slice(&keys.items);
        bytes.extend_from_slice(&values.items);
        let first = keys.ends.first().map_or(0, |end| *end as usize);
        (keys.items[..first].into(), bytes)
    }
}

impl ItemsBuilder {
    fn push(&mut self, item: &[u8]) {
        self.items.extend_from_slice(item);
        self.ends.push(self.items.len() as u32);
    }

    /// The length of each item, if all have one; otherwise zero.
    fn width(&self) -> u32 {
        let first = self.ends.first().copied().unwrap_or(0);
        let even = self.ends.iter().zip(1..).all(|(end, count)| *end == first * count);
        if even { first } else { 0 }
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
