//! One page of a column, opened for reading.
//!
//! # Bytes
//!
//! ```text
//! | presence | body |
//!
//! bool                  values (packed, one bit)
//! int, uint, datetime   values (packed)
//! float, uuid           values of 8 and 16 bytes
//! string                0 | texts            or   1 | count u32 | texts, ascending | codes (packed)
//! array                 counts (packed) | the elements, as the body of their type
//! vectors and bytes     as described where they are read
//! ```
//!
//! A body holds the values that are there, without gaps for nulls. Little-endian. The presence and the
//! packed integers are described where they are made.

use crate::base::blob::Blob;
use crate::base::limits;
use crate::base::name::Key;
use crate::base::value::{Float, Scalar, ScalarType, Type, Value};
use crate::format::columns::blobs::Blobs;
use crate::format::columns::presence::Presence;
use crate::format::columns::text::Texts;
use crate::format::columns::vectors::{Sparses, Vectors, read_ends};
use crate::format::columns::{Page, pack};
use crate::format::frame::{BadObject, Damage};
use crate::format::reader::Reader;

/// The values of some rows that follow each other.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ColumnPage {
    presence: Presence,
    values: Values,
}

/// Values of one type, one for each row of the page. What stands where a row is null means nothing:
/// ask the page's [`Presence`] first.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Values {
    /// True or false.
    Bools(Vec<bool>),
    /// Signed integers.
    Ints(Vec<i64>),
    /// Unsigned integers.
    Uints(Vec<u64>),
    /// Finite numbers.
    Floats(Vec<Float>),
    /// Moments, in milliseconds since 1970 UTC.
    DateTimes(Vec<i64>),
    /// UUIDs.
    Uuids(Vec<u128>),
    /// Texts.
    Strings(Strings),
    /// Arrays of scalars.
    Arrays(Arrays),
    /// Vectors. These stand without gaps: [`Presence::slot`] says where that of a row is.
    Vectors(Vectors),
    /// Sparse vectors, without gaps.
    Sparses(Sparses),
    /// Bytes, without gaps.
    Blobs(Blobs),
}

/// Texts, each written out or as the number of an entry of a dictionary.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Strings {
    pub(super) texts: Texts,
    pub(super) codes: Option<Vec<u32>>,
}

/// Scalars of one type, behind each other, and where each row's array ends.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Arrays {
    pub(super) ends: Vec<u32>,
    pub(super) elements: Box<Values>,
}

/// Elements of all arrays of a page together: those of a page that was not full, and of one more array.
/// So nobody makes us allocate more.
const ELEMENTS_MAX: usize = limits::PAGE_BYTES + limits::VALUE_BYTES_MAX;

impl ColumnPage {
    /// Opens a page: `bytes` is what stands in the page's extent, which lies in the object `key`.
    ///
    /// # Errors
    ///
    /// [`BadObject`] if these are not the bytes of this page.
    pub fn open(t: Type, page: &Page, key: &Key, bytes: &Blob) -> Result<Self, BadObject> {
        page.extent.check(key, bytes)?;
        let opened = Self::read(t, bytes).map_err(|damage| damage.of(key))?;
        let fits = opened.rows() == page.rows as usize
            && opened.presence.present() + page.nulls as usize == opened.rows();
        fits.then_some(opened).ok_or_else(|| {
            Damage::Content("a page does not hold the rows its directory says").of(key)
        })
    }

    pub(super) fn read(t: Type, bytes: &Blob) -> Result<Self, Damage> {
        let mut reader = Reader::new(bytes.as_slice());
        let presence = Presence::read(&mut reader)?;
        let count = presence.present();
        let values = match t {
            Type::Scalar(t) => Values::read(t, &mut reader, count)?,
            Type::Array(t) => Values::Arrays(Arrays::read(t, &mut reader, count)?),
            Type::Vector(t) => Values::Vectors(Vectors::read(t, &mut reader, count, bytes)?),
            Type::Sparse => Values::Sparses(Sparses::read(&mut reader, count)?),
            Type::Bytes => Values::Blobs(Blobs::read(&mut reader, count, bytes)?),
        };
        reader.end()?;
        let values = if presence.is_full() { values } else { values.spread(&presence) };
        Ok(Self { presence, values })
    }

    /// How many rows it covers.
    pub const fn rows(&self) -> usize {
        self.presence.rows()
    }

    /// Which rows have a value.
    pub const fn presence(&self) -> &Presence {
        &self.presence
    }

    /// The values, for scanning.
    pub const fn values(&self) -> &Values {
        &self.values
    }

    /// The value of a row, counted from the page's first; `None` if it is null.
    pub fn value(&self, row: usize) -> Option<Value> {
        let slot = self.presence.slot(row)?;
        match &self.values {
            Values::Vectors(vectors) => vectors.vector(slot).map(Value::Vector),
            Values::Sparses(sparses) => sparses.vector(slot).map(Value::Sparse),
            Values::Blobs(blobs) => blobs.get(slot).map(Value::Bytes),
            Values::Arrays(arrays) => {
                let elements = arrays.range(row);
                Some(Value::Array(elements.filter_map(|at| arrays.elements.scalar(at)).collect()))
            }
            values => values.scalar(row).map(Value::Scalar),
        }
    }

    /// The value of a row of a column of scalars; `None` if it is null.
    pub fn scalar(&self, row: usize) -> Option<Scalar> {
        self.presence.slot(row).and_then(|_| self.values.scalar(row))
    }
}

impl Values {
    fn read(t: ScalarType, from: &mut Reader<'_>, count: usize) -> Result<Self, Damage> {
        Ok(match t {
            ScalarType::Bool => Self::Bools(pack::read(from, count, |bit| bit != 0)?),
            ScalarType::Int => Self::Ints(pack::read(from, count, u64::cast_signed)?),
            ScalarType::Uint => Self::Uints(pack::read(from, count, |number| number)?),
            ScalarType::DateTime => Self::DateTimes(pack::read(from, count, u64::cast_signed)?),
            ScalarType::Float => {
                let floats = from.items::<8>(count)?.iter();
                let floats = floats.map(|bytes| Float::new(f64::from_le_bytes(*bytes)));
                let floats: Option<_> = floats.collect();
                Self::Floats(floats.ok_or(Damage::Content("it holds a number that is none"))?)
            }
            ScalarType::Uuid => {
                let uuids = from.items::<16>(count)?.iter();
                Self::Uuids(uuids.map(|bytes| u128::from_le_bytes(*bytes)).collect())
            }
            ScalarType::String => Self::Strings(Strings::read(from, count)?),
        })
    }

    /// The scalar at this place; `None` if there is none, or these are no scalars.
    pub fn scalar(&self, place: usize) -> Option<Scalar> {
        Some(match self {
            Self::Bools(values) => Scalar::Bool(*values.get(place)?),
            Self::Ints(values) => Scalar::Int(*values.get(place)?),
            Self::Uints(values) => Scalar::Uint(*values.get(place)?),
            Self::Floats(values) => Scalar::Float(*values.get(place)?),
            Self::DateTimes(values) => Scalar::DateTime(*values.get(place)?),
            Self::Uuids(values) => Scalar::Uuid(*values.get(place)?),
            Self::Strings(values) => Scalar::String(values.get(place).into()),
            Self::Arrays(_) | Self::Vectors(_) | Self::Sparses(_) | Self::Blobs(_) => return None,
        })
    }

    /// The same values, each at the place of its row.
    fn spread(self, presence: &Presence) -> Self {
        match self {
            Self::Bools(values) => Self::Bools(spread(&values, presence)),
            Self::Ints(values) => Self::Ints(spread(&values, presence)),
            Self::Uints(values) => Self::Uints(spread(&values, presence)),
            Self::Floats(values) => {
                let numbers: Vec<f64> = values.iter().map(|value| value.number()).collect();
                Self::Floats(
                    spread(&numbers, presence).into_iter().filter_map(Float::new).collect(),
                )
            }
            Self::DateTimes(values) => Self::DateTimes(spread(&values, presence)),
            Self::Uuids(values) => Self::Uuids(spread(&values, presence)),
            Self::Strings(Strings { texts, codes: None }) => {
                let texts = texts.spread(presence.rows(), presence.iter());
                Self::Strings(Strings { texts, codes: None })
            }
            Self::Strings(Strings { texts, codes: Some(codes) }) => {
                Self::Strings(Strings { texts, codes: Some(spread(&codes, presence)) })
            }
            Self::Arrays(Arrays { ends, elements }) => {
                let mut dense = Vec::with_capacity(presence.rows());
                for (end, row) in ends.iter().zip(presence.iter()) {
                    dense.resize(row, dense.last().copied().unwrap_or(0));
                    dense.push(*end);
                }
                dense.resize(presence.rows(), dense.last().copied().unwrap_or(0));
                Self::Arrays(Arrays { ends: dense, elements })
            }
            Self::Vectors(_) | Self::Sparses(_) | Self::Blobs(_) => self,
        }
    }
}

fn spread<T: Copy + Default>(values: &[T], presence: &Presence) -> Vec<T> {
    let mut dense = vec![T::default(); presence.rows()];
    for (value, row) in values.iter().zip(presence.iter()) {
        dense[row] = *value;
    }
    dense
}

impl Strings {
    /// The text at this place; empty if there is none.
    pub fn get(&self, place: usize) -> &str {
        match &self.codes {
            None => self.texts.get(place),
            Some(codes) => codes.get(place).map_or("", |code| self.texts.get(*code as usize)),
        }
    }

    /// If the page has a dictionary: its texts, ascending and distinct, and for each row the place of
    /// its text among them. A predicate needs to look at each text once.
    pub fn dictionary(&self) -> Option<(&Texts, &[u32])> {
        self.codes.as_deref().map(|codes| (&self.texts, codes))
    }

    fn read(from: &mut Reader<'_>, count: usize) -> Result<Self, Damage> {
        match from.u8()? {
            0 => Ok(Self { texts: Texts::read(from, count)?, codes: None }),
            1 => {
                let distinct = from.u32()? as usize;
                if distinct > count {
                    return Err(Damage::Content("its dictionary has more texts than rows"));
                }
                let texts = Texts::read(from, distinct)?;
                let ascending = texts.iter().zip(texts.iter().skip(1)).all(|(a, b)| a < b);
                let codes =
                    pack::read(from, count, |code| u32::try_from(code).unwrap_or(u32::MAX))?;
                let known = codes.iter().all(|code| (*code as usize) < distinct);
                let fits = ascending && known;
                let strings = Self { texts, codes: Some(codes) };
                fits.then_some(strings).ok_or(Damage::Content("its dictionary is out of order"))
            }
            _ => Err(Damage::Content("its texts are written in an unknown way")),
        }
    }
}

impl Arrays {
    /// The places of a row's elements among all elements; empty if it is null.
    pub fn range(&self, row: usize) -> core::ops::Range<usize> {
        let start = row.checked_sub(1).map_or(Some(&0), |before| self.ends.get(before));
        let stretch = start.zip(self.ends.get(row));
        stretch.map_or(0..0, |(start, end)| *start as usize..*end as usize)
    }

    /// The elements of all rows, behind each other.
    pub fn elements(&self) -> &Values {
        &self.elements
    }

    fn read(t: ScalarType, from: &mut Reader<'_>, count: usize) -> Result<Self, Damage> {
        let ends = read_ends(from, count, ELEMENTS_MAX)?;
        let all = ends.last().map_or(0, |end| *end as usize);
        Ok(Self { ends, elements: Box::new(Values::read(t, from, all)?) })
    }
}
