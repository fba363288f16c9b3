//! One page of a column, being made.

use std::collections::BTreeMap;

use crate::base::limits::{PAGE_BYTES, PAGE_ROWS_MAX, VECTOR_PAGE_BYTES};
use crate::base::value::{Scalar, ScalarType, Type, Value};
use crate::format::columns::blobs::GatheredBlobs;
use crate::format::columns::page::{Arrays, Strings, Values};
use crate::format::columns::presence::Presence;
use crate::format::columns::text::Texts;
use crate::format::columns::vectors::{GatheredVectors, Sparses};
use crate::format::columns::{Zone, pack};

/// Takes the values of a column row by row until they make a page.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct PageBuilder {
    column: Type,
    has: Vec<bool>,
    values: Gathered,
    raw_bytes: usize,
}

/// The values so far, without gaps.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Gathered {
    Scalars(Values),
    Arrays { ends: Vec<u32>, elements: Values },
    Vectors(GatheredVectors),
    Sparses(Sparses),
    Blobs(GatheredBlobs),
}

/// A page in bytes, and what its directory says of it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct BuiltPage {
    pub(crate) bytes: Vec<u8>,
    pub(crate) rows: u32,
    pub(crate) nulls: u32,
    pub(crate) zone: Option<Zone>,
}

impl PageBuilder {
    pub(crate) fn new(column: Type) -> Self {
        Self { column, has: Vec::new(), values: Gathered::empty(column), raw_bytes: 0 }
    }

    /// Adds the next row's value.
    ///
    /// # Panics
    ///
    /// If it is not of the column's type.
    pub(crate) fn push(&mut self, value: Option<&Value>) {
        self.has.push(value.is_some());
        let Some(value) = value else { return };
        let bytes = value.logical_bytes() as usize;
        self.raw_bytes += match (&mut self.values, value) {
            (Gathered::Scalars(values), Value::Scalar(scalar)) => {
                values.push(scalar);
                bytes
            }
            (Gathered::Arrays { ends, elements }, Value::Array(array)) => {
                array.iter().for_each(|element| elements.push(element));
                ends.push(ends.last().copied().unwrap_or(0) + array.len() as u32);
                // Elements without bytes count as well: a page of them must not grow without end.
                bytes + array.len()
            }
            (Gathered::Vectors(vectors), Value::Vector(vector)) => vectors.push(vector),
            (Gathered::Sparses(sparses), Value::Sparse(sparse)) => sparses.push(sparse),
            (Gathered::Blobs(blobs), Value::Bytes(value)) => blobs.push(value),
            _ => panic!("S1: an attribute's type never changes"),
        };
    }

    /// Whether the next row begins another page.
    pub(crate) fn is_full(&self) -> bool {
        let most = match self.column {
            Type::Vector(_) => VECTOR_PAGE_BYTES,
            _ => PAGE_BYTES,
        };
        self.raw_bytes >= most || self.has.len() >= PAGE_ROWS_MAX
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.has.is_empty()
    }

    /// The page of the rows so far. The next row begins another.
    pub(crate) fn finish(&mut self) -> BuiltPage {
        let Self { has, values, .. } = core::mem::replace(self, Self::new(self.column));
        let presence = Presence::new(&has);
        let rows = presence.rows() as u32;
        let nulls = rows - presence.present() as u32;
        let mut bytes = Vec::new();
        presence.write(&mut bytes);
        let zone = match &values {
            Gathered::Scalars(values) => values.zone(),
            _ => None,
        };
        values.write(&mut bytes);
        BuiltPage { bytes, rows, nulls, zone }
    }
}

impl Gathered {
    fn empty(column: Type) -> Self {
        match column {
            Type::Scalar(t) => Self::Scalars(Values::empty(t)),
            Type::Array(t) => Self::Arrays { ends: Vec::new(), elements: Values::empty(t) },
            Type::Vector(t) => Self::Vectors(GatheredVectors::new(t.element)),
            Type::Sparse => Self::Sparses(Sparses::new()),
            Type::Bytes => Self::Blobs(GatheredBlobs::default()),
        }
    }

    fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::Scalars(values) => values.write(out),
            Self::Arrays { ends, elements } => {
                let arrays = Arrays { ends, elements: Box::new(elements) };
                let counts = (0..arrays.ends.len()).map(|row| arrays.range(row).len() as u64);
                pack::write(out, 0, counts);
                arrays.elements.write(out);
            }
            Self::Vectors(vectors) => vectors.write(out),
            Self::Sparses(sparses) => sparses.write(out),
            Self::Blobs(blobs) => blobs.write(out),
        }
    }
}

impl Values {
    pub(super) const fn empty(t: ScalarType) -> Self {
        match t {
            ScalarType::Bool => Self::Bools(Vec::new()),
            ScalarType::Int => Self::Ints(Vec::new()),
            ScalarType::Uint => Self::Uints(Vec::new()),
            ScalarType::Float => Self::Floats(Vec::new()),
            ScalarType::DateTime => Self::DateTimes(Vec::new()),
            ScalarType::Uuid => Self::Uuids(Vec::new()),
            ScalarType::String => Self::Strings(Strings { texts: Texts::new(), codes: None }),
        }
    }

    fn push(&mut self, scalar: &Scalar) {
        match (self, scalar) {
            (Self::Bools(values), Scalar::Bool(value)) => values.push(*value),
            (Self::Ints(values), Scalar::Int(value)) => values.push(*value),
            (Self::Uints(values), Scalar::Uint(value)) => values.push(*value),
            (Self::Floats(values), Scalar::Float(value)) => values.push(*value),
            (Self::DateTimes(values), Scalar::DateTime(value)) => values.push(*value),
            (Self::Uuids(values), Scalar::Uuid(value)) => values.push(*value),
            (Self::Strings(values), Scalar::String(value)) => values.texts.push(value),
            _ => panic!("S1: an attribute's type never changes"),
        }
    }

    fn zone(&self) -> Option<Zone> {
        fn ends<T: Ord + Copy>(values: &[T], scalar: impl Fn(T) -> Scalar) -> Option<Zone> {
            let (min, max) = (values.iter().min()?, values.iter().max()?);
            Some(Zone { min: scalar(*min), max: scalar(*max), cut: false })
        }
        match self {
            Self::Bools(values) => ends(values, Scalar::Bool),
            Self::Ints(values) => ends(values, Scalar::Int),
            Self::Uints(values) => ends(values, Scalar::Uint),
            Self::Floats(values) => ends(values, Scalar::Float),
            Self::DateTimes(values) => ends(values, Scalar::DateTime),
            Self::Uuids(values) => ends(values, Scalar::Uuid),
            Self::Strings(values) => {
                let (min, max) = (values.texts.iter().min()?, values.texts.iter().max()?);
                Some(Zone::of_texts(min, max))
            }
            _ => None,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Bools(values) => pack::write(out, 0, values.iter().map(|bit| u64::from(*bit))),
            Self::Ints(values) | Self::DateTimes(values) => {
                let base = values.iter().copied().min().unwrap_or(0).cast_unsigned();
                pack::write(out, base, values.iter().map(|value| value.cast_unsigned()));
            }
            Self::Uints(values) => {
                let base = values.iter().copied().min().unwrap_or(0);
                pack::write(out, base, values.iter().copied());
            }
            Self::Floats(values) => {
                out.extend(values.iter().flat_map(|value| value.number().to_le_bytes()));
            }
            Self::Uuids(values) => out.extend(values.iter().flat_map(|value| value.to_le_bytes())),
            Self::Strings(values) => write_texts(&values.texts, out),
            _ => unreachable!("builders gather scalars here"),
        }
    }
}

/// Writes texts with a dictionary if at most half of them are distinct.
fn write_texts(texts: &Texts, out: &mut Vec<u8>) {
    let mut codes: BTreeMap<&str, u32> = texts.iter().map(|text| (text, 0)).collect();
    if codes.len() * 2 > texts.len() {
        out.push(0);
        texts.write(out);
        return;
    }
    let mut dictionary = Texts::new();
    for (code, (text, place)) in codes.iter_mut().enumerate() {
        *place = code as u32;
        dictionary.push(text);
    }
    out.push(1);
    out.extend_from_slice(&(dictionary.len() as u32).to_le_bytes());
    dictionary.write(out);
    pack::write(out, 0, texts.iter().map(|text| u64::from(codes[text])));
}
