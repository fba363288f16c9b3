//! Which rows of a page have a value.
//!
//! # Bytes
//!
//! ```text
//! | rows u32 | present u32 | one bit a row, lowest first; only if 0 < present < rows |
//! ```

use crate::base::limits::PAGE_ROWS_MAX;
use crate::format::frame::Damage;
use crate::format::reader::Reader;

/// The rows of a page that have a value.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Presence {
    rows: u32,
    present: u32,
    /// One bit a row, and how many rows before each word have a value. Empty if all have or none.
    words: Vec<u64>,
    before: Vec<u32>,
}

const WRONG: Damage = Damage::Content("its map of nulls does not fit");

impl Presence {
    /// From one answer a row.
    pub(super) fn new(has: &[bool]) -> Self {
        let words: Vec<u64> = has
            .chunks(64)
            .map(|chunk| chunk.iter().rev().fold(0, |word, has| word << 1 | u64::from(*has)))
            .collect();
        Self::from_words(has.len() as u32, words)
    }

    fn from_words(rows: u32, mut words: Vec<u64>) -> Self {
        let mut present = 0;
        let mut before = Vec::with_capacity(words.len());
        for word in &words {
            before.push(present);
            present += word.count_ones();
        }
        if present == 0 || present == rows {
            words.clear();
            before.clear();
        }
        Self { rows, present, words, before }
    }

    /// How many rows there are.
    pub const fn rows(&self) -> usize {
        self.rows as usize
    }

    /// How many of them have a value.
    pub const fn present(&self) -> usize {
        self.present as usize
    }

    /// Whether every row has a value.
    pub const fn is_full(&self) -> bool {
        self.rows == self.present
    }

    /// Whether the row has a value.
    pub fn contains(&self, row: usize) -> bool {
        self.slot(row).is_some()
    }

    /// How many rows before this one have a value, if it has one itself: its place among the values.
    pub fn slot(&self, row: usize) -> Option<usize> {
        if self.words.is_empty() {
            return (row < self.present as usize).then_some(row);
        }
        let word = *self.words.get(row / 64)?;
        let bit = 1_u64 << (row % 64);
        let below = (word & (bit - 1)).count_ones();
        (word & bit != 0).then(|| (self.before[row / 64] + below) as usize)
    }

    /// The rows that have a value, ascending.
    pub fn iter(&self) -> impl Iterator<Item = usize> + Clone {
        let all = if self.words.is_empty() { self.present as usize } else { 0 };
        let some = self.words.iter().enumerate().flat_map(|(place, word)| {
            let rest = |word: &u64| Some(word & (word - 1)).filter(|rest| *rest != 0);
            let words = core::iter::successors(Some(*word).filter(|word| *word != 0), rest);
            words.map(move |word| place * 64 + word.trailing_zeros() as usize)
        });
        (0..all).chain(some)
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.rows.to_le_bytes());
        out.extend_from_slice(&self.present.to_le_bytes());
        if !self.words.is_empty() {
            let bytes = self.words.iter().flat_map(|word| word.to_le_bytes());
            out.extend(bytes.take(self.rows().div_ceil(8)));
        }
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Result<Self, Damage> {
        let (rows, present) = (from.u32()?, from.u32()?);
        if present > rows || rows as usize > PAGE_ROWS_MAX {
            return Err(WRONG);
        }
        if present == 0 || present == rows {
            return Ok(Self { rows, present, ..Self::default() });
        }
        let bytes = from.take((rows as usize).div_ceil(8))?;
        let word = |chunk: &[u8]| {
            chunk.iter().rev().fold(0_u64, |word, byte| word << 8 | u64::from(*byte))
        };
        let words: Vec<u64> = bytes.chunks(8).map(word).collect();
        let beyond = words.last().map_or(0, |last| last.checked_shr(rows % 64).unwrap_or(0));
        let stray = !rows.is_multiple_of(64) && beyond != 0;
        let read = Self::from_words(rows, words);
        (read.present == present && !stray).then_some(read).ok_or(WRONG)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_presence_is_read_as_it_was_written(has in prop::collection::vec(any::<bool>(), 0..300)) {
            let presence = Presence::new(&has);
            let mut bytes = Vec::new();
            presence.write(&mut bytes);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(&Presence::read(&mut reader).unwrap(), &presence);
            prop_assert_eq!(reader.end(), Ok(()));
            let rows: Vec<usize> = (0..has.len()).filter(|row| has[*row]).collect();
            prop_assert_eq!(presence.iter().collect::<Vec<_>>(), rows.clone());
            for (slot, row) in rows.iter().enumerate() {
                prop_assert_eq!(presence.slot(*row), Some(slot));
            }
            prop_assert!((0..has.len() + 70).all(|r| presence.contains(r) == rows.contains(&r)));
        }
    }
}
