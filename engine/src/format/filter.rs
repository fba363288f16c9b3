//! Says of a key that it is certainly not in a set, or that it may be.
//!
//! A split-block Bloom filter, as in Parquet: a key sets one bit in each of the eight words of one
//! block, so asking for it touches 32 bytes. With 10 bits a key about 1 in 100 keys that are not in
//! the set may be.
//!
//! # Bytes
//!
//! ```text
//! | block … (8 words of 32 bits, little-endian) |
//! ```
//!
//! An empty set has no blocks.

use crate::base::blob::Blob;
use crate::format::frame::Damage;

/// A set of keys, known to those who only ask whether a key may be in it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Filter {
    blocks: Blob,
}

/// A filter being made. It holds all its bytes from the beginning.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct FilterBuilder {
    blocks: Vec<u8>,
    keys: u64,
}

const BITS_PER_KEY: u64 = 10;
const BLOCK_BYTES: usize = 32;
/// A filter of many blocks has a multiple of this many, so that it can be folded as often as this is even.
const FOLDED_BLOCKS: usize = 16;
/// What is many.
const MANY_BLOCKS: usize = 4 * FOLDED_BLOCKS;
/// Odd constants that spread a hash over the words of a block: those of Parquet's specification.
const SALT: [u32; 8] = [
    0x47b6_137b,
    0x4497_4d91,
    0x8824_ad5b,
    0xa2b7_289d,
    0x7054_95c7,
    0x2df1_424b,
    0x9efc_4947,
    0x5c6b_fb31,
];

impl Filter {
    /// Takes the bytes of a filter.
    ///
    /// # Errors
    ///
    /// [`Damage`] if they are not whole blocks.
    pub(crate) fn decode(blocks: Blob) -> Result<Self, Damage> {
        let whole = blocks.len().is_multiple_of(BLOCK_BYTES);
        whole.then_some(Self { blocks }).ok_or(Damage::Content("its filter is cut"))
    }

    /// How many keys it was made for, or a few more.
    pub(crate) const fn keys_max(&self) -> u64 {
        self.blocks.len() as u64 * 8 / BITS_PER_KEY
    }

    /// Whether the key may be in the set. `false` is certain.
    pub fn may_contain(&self, key: &[u8]) -> bool {
        let blocks = self.blocks.as_slice();
        let Some((block, bits)) = place(key, blocks.len() / BLOCK_BYTES) else { return false };
        let words = blocks[block * BLOCK_BYTES..][..BLOCK_BYTES].as_chunks::<4>().0;
        words.iter().zip(bits).all(|(word, bit)| u32::from_le_bytes(*word) & bit != 0)
    }
}

impl FilterBuilder {
    /// A filter for at most `keys` keys.
    pub(crate) fn new(keys: u64) -> Self {
        let blocks = match blocks_for(keys) {
            many if many >= MANY_BLOCKS => many.next_multiple_of(FOLDED_BLOCKS),
            few => few,
        };
        Self { blocks: vec![0; blocks * BLOCK_BYTES], keys: 0 }
    }

    pub(crate) fn insert(&mut self, key: &[u8]) {
        self.keys += 1;
        let Some((block, bits)) = place(key, self.blocks.len() / BLOCK_BYTES) else { return };
        let words = self.blocks[block * BLOCK_BYTES..][..BLOCK_BYTES].as_chunks_mut::<4>().0;
        for (word, bit) in words.iter_mut().zip(bits) {
            *word = (u32::from_le_bytes(*word) | bit).to_le_bytes();
        }
    }

    /// The filter, as small as the keys that came allow: a merge that forgets most of them must not
    /// hand on a filter for all.
    pub(crate) fn finish(mut self) -> Blob {
        loop {
            let blocks = self.blocks.len() / BLOCK_BYTES;
            let can_fold = blocks >= FOLDED_BLOCKS && blocks.is_multiple_of(2);
            if !can_fold || blocks / 2 < blocks_for(self.keys) {
                return self.blocks.into();
            }
            self.fold();
        }
    }

    /// Puts each two blocks into one: where there are half as many, a key has the block of half the number.
    fn fold(&mut self) {
        let pairs = self.blocks.chunks_exact(2 * BLOCK_BYTES);
        let folded = pairs.flat_map(|pair| {
            let (one, other) = pair.split_at(BLOCK_BYTES);
            one.iter().zip(other).map(|(a, b)| a | b)
        });
        self.blocks = folded.collect();
    }
}

/// How many blocks hold so many keys.
const fn blocks_for(keys: u64) -> usize {
    (keys * BITS_PER_KEY).div_ceil(BLOCK_BYTES as u64 * 8) as usize
}

/// The block of a key and its bit in each word; none if there are no blocks.
fn place(key: &[u8], blocks: usize) -> Option<(usize, [u32; 8])> {
    let hash = hash(key);
    let block = ((u128::from(hash) * blocks as u128) >> 64) as usize;
    let low = hash as u32;
    (blocks > 0).then(|| (block, SALT.map(|salt| 1 << (low.wrapping_mul(salt) >> 27))))
}

/// 64 bits of a key. Part of the format: it never changes.
fn hash(key: &[u8]) -> u64 {
    let fold = |a: u64, b: u64| {
        let product = u128::from(a) * u128::from(b);
        (product as u64) ^ (product >> 64) as u64
    };
    let (words, tail) = key.as_chunks::<8>();
    let mut last = [0; 8];
    last[..tail.len()].copy_from_slice(tail);
    let seed = 0x9e37_79b9_7f4a_7c15 ^ key.len() as u64;
    let mixed = words
        .iter()
        .chain([&last])
        .fold(seed, |hash, word| fold(hash ^ u64::from_le_bytes(*word), 0xe703_7ed1_a0b4_28db));
    fold(mixed ^ 0x8ebc_6af0_9c88_c6e3, 0x5899_65cc_7537_4cc3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_may_be_there_and_few_others_may() {
        let mut builder = FilterBuilder::new(10_000);
        (0..10_000_u64).for_each(|key| builder.insert(&key.to_be_bytes()));
        let filter = Filter::decode(builder.finish()).unwrap();
        assert!((0..10_000_u64).all(|key| filter.may_contain(&key.to_be_bytes())));
        let others = (10_000..110_000_u64).filter(|key| filter.may_contain(&key.to_be_bytes()));
        let share = others.count();
        assert!(share < 2_000, "{share} of 100000 others may be there");
        assert!(!Filter::default().may_contain(b"x"));
    }

    #[test]
    fn a_filter_is_as_small_as_the_keys_that_came_allow() {
        for (announced, keys) in [(100_000, 1_000_u64), (100_000, 40_000), (100_000, 0), (3, 1)] {
            let mut builder = FilterBuilder::new(announced);
            (0..keys).for_each(|key| builder.insert(&key.to_be_bytes()));
            let bytes = builder.finish();
            let (needed, most) =
                (blocks_for(keys) * BLOCK_BYTES, blocks_for(announced) * BLOCK_BYTES);
            assert!((needed..=most.max(2 * needed)).contains(&bytes.len()));
            assert!(announced == 3 || bytes.len() <= (2 * needed).max(most / 8), "{}", bytes.len());
            let filter = Filter::decode(bytes).unwrap();
            assert!((0..keys).all(|key| filter.may_contain(&key.to_be_bytes())));
            let others =
                (keys..keys + 100_000).filter(|key| filter.may_contain(&key.to_be_bytes()));
            let share = others.count();
            assert!(share < 2_000, "{share} of 100000 others may be there");
        }
        assert!(Filter::decode(vec![0; 31].into()).is_err());
    }
}
