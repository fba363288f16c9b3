//! Which rows of a page pass a test.
//!
//! Values are compared where they stand, column by column, without making documents of them; what
//! the directory says of a page often answers without reading it.

use core::cmp::Ordering;

use roaring::RoaringBitmap;

use crate::base::planted::{self, Bug};
use crate::base::value::Scalar;
use crate::format::columns::{Arrays, ColumnPage, Page, Strings, Values, Zone};
use crate::index::filter::{Side, Test};

/// What is known of a page before it is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Foresight {
    /// None of its rows pass.
    None,
    /// All of its rows pass.
    All,
    /// It must be read.
    Unknown,
}

impl Test {
    /// What the directory says of a page.
    pub fn foresee(&self, page: &Page) -> Foresight {
        let (none, all) = match self {
            Self::Null => (page.nulls == 0, page.nulls == page.rows),
            _ if page.nulls == page.rows => (true, false),
            _ => match &page.zone {
                Some(zone) => {
                    let whole = page.nulls == 0 || planted::is(Bug::NullsPassWithTheRest);
                    (!self.may_hold_in(zone), whole && self.holds_in(zone))
                }
                None => (false, false),
            },
        };
        match (none, all) {
            (true, _) => Foresight::None,
            (false, true) => Foresight::All,
            (false, false) => Foresight::Unknown,
        }
    }

    /// Whether a value in the zone may pass.
    fn may_hold_in(&self, zone: &Zone) -> bool {
        match self {
            Self::Null | Self::Array(_) => false,
            Self::OneOf(scalars) => scalars.iter().any(|scalar| zone.may_hold(scalar)),
            Self::Side(Side::Below, bound) => zone.min < *bound,
            Self::Side(Side::UpTo, bound) => zone.min <= *bound,
            Self::Side(Side::From, bound) => zone.may_reach(bound),
            Self::Side(Side::Above, bound) => {
                zone.may_reach(bound) && (zone.cut || zone.max != *bound)
            }
            Self::Matches(pattern) => pattern.may_match_in(zone),
        }
    }

    /// Whether every value in the zone passes.
    fn holds_in(&self, zone: &Zone) -> bool {
        match self {
            Self::Null | Self::Array(_) => false,
            Self::OneOf(_) | Self::Matches(_) => {
                !zone.cut && zone.min == zone.max && self.passes_scalar(&zone.min)
            }
            Self::Side(Side::Below | Side::UpTo, _) => !zone.cut && self.passes_scalar(&zone.max),
            Self::Side(Side::Above | Side::From, _) => self.passes_scalar(&zone.min),
        }
    }

    /// The positions that pass, of a page whose first position is `first`.
    pub fn rows(&self, page: &ColumnPage, first: u32) -> RoaringBitmap {
        let present = || Bits::of_rows(page.rows(), page.presence().iter());
        let bits = match self {
            Self::Null => present().complement(),
            _ if page.presence().is_full() => self.places(page.values(), page.rows()),
            _ => self.places(page.values(), page.rows()).and(&present()),
        };
        bits.positions(first)
    }

    /// The places among `values`, of which there are `count`, that pass.
    fn places(&self, values: &Values, count: usize) -> Bits {
        match values {
            Values::Bools(all) => self.typed(all, |scalar| match scalar {
                Scalar::Bool(value) => Some(*value),
                _ => None,
            }),
            Values::Ints(all) => self.typed(all, |scalar| match scalar {
                Scalar::Int(value) => Some(*value),
                _ => None,
            }),
            Values::Uints(all) => self.typed(all, |scalar| match scalar {
                Scalar::Uint(value) => Some(*value),
                _ => None,
            }),
            Values::Floats(all) => self.typed(all, |scalar| match scalar {
                Scalar::Float(value) => Some(*value),
                _ => None,
            }),
            Values::DateTimes(all) => self.typed(all, |scalar| match scalar {
                Scalar::DateTime(value) => Some(*value),
                _ => None,
            }),
            Values::Uuids(all) => self.typed(all, |scalar| match scalar {
                Scalar::Uuid(value) => Some(*value),
                _ => None,
            }),
            Values::Strings(strings) => self.strings(strings, count),
            Values::Arrays(arrays) => self.arrays(arrays, count),
            Values::Vectors(_) | Values::Sparses(_) | Values::Blobs(_) => {
                Bits::test(0..count, |_| false)
            }
        }
    }

    fn typed<T: Copy + Ord>(&self, values: &[T], operand: impl Fn(&Scalar) -> Option<T>) -> Bits {
        let values = values.iter().copied();
        match self {
            Self::Null | Self::Array(_) | Self::Matches(_) => Bits::test(values, |_| false),
            Self::Side(side, bound) => match (side, operand(bound)) {
                (_, None) => Bits::test(values, |_| false),
                (Side::Below, Some(bound)) => Bits::test(values, |value| value < bound),
                (Side::UpTo, Some(bound)) => Bits::test(values, |value| value <= bound),
                (Side::Above, Some(bound)) => Bits::test(values, |value| value > bound),
                (Side::From, Some(bound)) => Bits::test(values, |value| value >= bound),
            },
            Self::OneOf(scalars) => {
                let wanted: Vec<T> = scalars.iter().filter_map(operand).collect();
                match *wanted {
                    [one] => Bits::test(values, |value| value == one),
                    _ => Bits::test(values, |value| wanted.binary_search(&value).is_ok()),
                }
            }
        }
    }

    fn strings(&self, strings: &Strings, count: usize) -> Bits {
        match strings.dictionary() {
            Some((texts, codes)) => {
                let pass: Vec<bool> = texts.iter().map(|text| self.passes_text(text)).collect();
                Bits::test(codes.iter(), |code| pass[*code as usize])
            }
            None => Bits::test(0..count, |row| self.passes_text(strings.get(row))),
        }
    }

    fn passes_text(&self, text: &str) -> bool {
        // The order of texts is that of their bytes, as everywhere.
        let cmp = |scalar: &Scalar| match scalar {
            Scalar::String(other) => (**other).cmp(text),
            _ => Ordering::Less,
        };
        match self {
            Self::Null | Self::Array(_) => false,
            Self::OneOf(scalars) => scalars.binary_search_by(cmp).is_ok(),
            Self::Side(side, Scalar::String(bound)) => side.holds(text, &**bound),
            Self::Side(..) => false,
            Self::Matches(pattern) => pattern.matches(text),
        }
    }

    fn arrays(&self, arrays: &Arrays, rows: usize) -> Bits {
        let elements = arrays.elements();
        if let Self::Array(wanted) = self {
            return Bits::test(0..rows, |row| {
                let range = arrays.range(row);
                range.len() == wanted.len()
                    && range.zip(&**wanted).all(|(at, w)| elements.scalar(at).as_ref() == Some(w))
            });
        }
        let count = rows.checked_sub(1).map_or(0, |last| arrays.range(last).end);
        let passing = self.places(elements, count);
        Bits::test(0..rows, |row| arrays.range(row).any(|at| passing.contains(at)))
    }
}

/// One bit for each of some places, lowest first.
struct Bits {
    count: usize,
    words: Vec<u64>,
}

impl Bits {
    /// The places of the values that pass.
    fn test<T>(
        values: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
        passes: impl Fn(T) -> bool,
    ) -> Self {
        let mut values = values.into_iter();
        let count = values.len();
        let mut words = Vec::with_capacity(count.div_ceil(64));
        for start in (0..count).step_by(64) {
            let mut word = 0;
            for (bit, value) in values.by_ref().take((count - start).min(64)).enumerate() {
                word |= u64::from(passes(value)) << bit;
            }
            words.push(word);
        }
        Self { count, words }
    }

    fn of_rows(count: usize, rows: impl Iterator<Item = usize>) -> Self {
        let mut words = vec![0; count.div_ceil(64)];
        rows.for_each(|row| words[row / 64] |= 1 << (row % 64));
        Self { count, words }
    }

    fn contains(&self, place: usize) -> bool {
        self.words.get(place / 64).is_some_and(|word| word >> (place % 64) & 1 == 1)
    }

    fn and(mut self, other: &Self) -> Self {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word &= other);
        self
    }

    fn complement(mut self) -> Self {
        self.words.iter_mut().for_each(|word| *word = !*word);
        if let Some(last) = self.words.last_mut()
            && !self.count.is_multiple_of(64)
        {
            *last &= (1 << (self.count % 64)) - 1;
        }
        self
    }

    fn positions(&self, first: u32) -> RoaringBitmap {
        let bytes: Vec<u8> = self.words.iter().flat_map(|word| word.to_le_bytes()).collect();
        RoaringBitmap::from_lsb0_bytes(first, &bytes[..self.count.div_ceil(8)])
    }
}
