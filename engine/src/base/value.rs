//! What a document holds: ids, values, and their types.
//!
//! [`Raw`] is what a client sent, before a schema says what it is; [`Value`] is what it is. The order
//! of values of one type is the order of results: numbers by size, texts by their bytes, moments by
//! time.

use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base::id::AttributeId;
pub use crate::base::vector::{Element, Half, Sparse, Vector, VectorType};

/// What names a document. All ids of a namespace are of one kind.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Id {
    /// A number.
    Uint(u64),
    /// A UUID, as its 128 bits.
    Uuid(u128),
    /// A text of at most [`ID_BYTES_MAX`](crate::base::limits::ID_BYTES_MAX) bytes.
    String(Arc<str>),
}

/// The kind of a namespace's ids.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum IdType {
    /// Numbers.
    Uint,
    /// UUIDs.
    Uuid,
    /// Texts.
    String,
}

impl Id {
    /// Its kind.
    pub const fn id_type(&self) -> IdType {
        match self {
            Self::Uint(_) => IdType::Uint,
            Self::Uuid(_) => IdType::Uuid,
            Self::String(_) => IdType::String,
        }
    }

    /// Its size as bills count it, in bytes.
    pub fn logical_bytes(&self) -> u64 {
        match self {
            Self::Uint(_) => 8,
            Self::Uuid(_) => 16,
            Self::String(text) => text.len() as u64,
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uint(id) => write!(f, "{id}"),
            Self::Uuid(id) => write!(f, "{}", Uuid(*id)),
            Self::String(id) => f.write_str(id),
        }
    }
}

/// A UUID, for showing and reading it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Uuid(pub u128);

impl Uuid {
    /// Reads any spelling in use: with or without dashes, in braces, behind `urn:uuid:`, in either
    /// case. `None` if `text` is none of them.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix("urn:uuid:").unwrap_or(text);
        let text = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).unwrap_or(text);
        let dashed = text.len() == 36;
        let mut bits = 0_u128;
        let mut digits = 0;
        for (place, c) in text.chars().enumerate() {
            if dashed && matches!(place, 8 | 13 | 18 | 23) {
                if c != '-' {
                    return None;
                }
                continue;
            }
            bits = bits << 4 | u128::from(c.to_digit(16)?);
            digits += 1;
            if digits > 32 {
                return None;
            }
        }
        (digits == 32).then_some(Self(bits))
    }
}

impl fmt::Display for Uuid {
    /// Lower case with dashes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let group = |from: u32, digits: u32| self.0 >> from & ((1 << (4 * digits)) - 1);
        let (first, second, third) = (group(96, 8), group(80, 4), group(64, 4));
        let (fourth, fifth) = (group(48, 4), group(0, 12));
        write!(f, "{first:08x}-{second:04x}-{third:04x}-{fourth:04x}-{fifth:012x}")
    }
}

/// A 64-bit float that is finite, ordered by size and hashed by its bits. `-0.0` becomes `0.0`.
#[derive(Clone, Copy, Debug)]
pub struct Float(f64);

impl Float {
    /// Takes a number; `None` if it is not finite.
    pub fn new(number: f64) -> Option<Self> {
        number.is_finite().then_some(Self(if number == 0.0 { 0.0 } else { number }))
    }

    /// The number.
    pub const fn number(self) -> f64 {
        self.0
    }
}

impl PartialEq for Float {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Float {}

impl PartialOrd for Float {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Float {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl Hash for Float {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

impl Serialize for Float {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(self.0)
    }
}

impl<'de> Deserialize<'de> for Float {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let number = f64::deserialize(from)?;
        Self::new(number).ok_or_else(|| serde::de::Error::custom("a number that is not finite"))
    }
}

/// One value that is not made of others.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Scalar {
    /// True or false; false comes first.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    Uint(u64),
    /// A finite number.
    Float(Float),
    /// A text, ordered by its bytes.
    String(Arc<str>),
    /// A UUID, as its 128 bits.
    Uuid(u128),
    /// A moment, in milliseconds since 1970 UTC.
    DateTime(i64),
}

/// The type of a [`Scalar`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum ScalarType {
    /// `bool`.
    Bool,
    /// `int`: 64 bits, signed.
    Int,
    /// `uint`: 64 bits, unsigned.
    Uint,
    /// `float`: 64 bits.
    Float,
    /// `string`.
    String,
    /// `uuid`.
    Uuid,
    /// `datetime`: milliseconds.
    DateTime,
}

impl Scalar {
    /// Its type.
    pub const fn scalar_type(&self) -> ScalarType {
        match self {
            Self::Bool(_) => ScalarType::Bool,
            Self::Int(_) => ScalarType::Int,
            Self::Uint(_) => ScalarType::Uint,
            Self::Float(_) => ScalarType::Float,
            Self::String(_) => ScalarType::String,
            Self::Uuid(_) => ScalarType::Uuid,
            Self::DateTime(_) => ScalarType::DateTime,
        }
    }

    /// Its size as limits and bills count it, in bytes.
    pub fn logical_bytes(&self) -> u64 {
        match self {
            Self::Bool(_) => 1,
            Self::String(text) => text.len() as u64,
            Self::Uuid(_) => 16,
            Self::Int(_) | Self::Uint(_) | Self::Float(_) | Self::DateTime(_) => 8,
        }
    }
}

impl ScalarType {
    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Float => "float",
            Self::String => "string",
            Self::Uuid => "uuid",
            Self::DateTime => "datetime",
        }
    }

    /// Every scalar type.
    pub const ALL: [Self; 7] =
        [Self::Bool, Self::Int, Self::Uint, Self::Float, Self::String, Self::Uuid, Self::DateTime];
}

/// The value of an attribute. A missing attribute is null; there is no value for it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Value {
    /// One scalar.
    Scalar(Scalar),
    /// Scalars of one type. May be empty.
    Array(Arc<[Scalar]>),
    /// A dense vector.
    Vector(Vector),
    /// A sparse vector.
    Sparse(Sparse),
    /// Bytes that mean nothing here.
    Bytes(Arc<[u8]>),
}

impl Value {
    /// Its size as limits and bills count it, in bytes.
    pub fn logical_bytes(&self) -> u64 {
        match self {
            Self::Scalar(scalar) => scalar.logical_bytes(),
            Self::Array(elements) => elements.iter().map(Scalar::logical_bytes).sum(),
            Self::Vector(vector) => 4 * vector.components().len() as u64,
            Self::Sparse(sparse) => 6 * sparse.weights().len() as u64,
            Self::Bytes(bytes) => bytes.len() as u64,
        }
    }

    /// About how much memory it takes, in bytes. Elements count even if they have no bytes.
    pub fn held_bytes(&self) -> u64 {
        let elements = if let Self::Array(elements) = self { elements.len() } else { 0 };
        let held = size_of::<(AttributeId, Self)>() + elements * size_of::<Scalar>();
        held as u64 + self.logical_bytes()
    }
}

/// The type of an attribute.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Type {
    /// One scalar.
    Scalar(ScalarType),
    /// An array of scalars.
    Array(ScalarType),
    /// A dense vector.
    Vector(VectorType),
    /// A sparse vector of 16-bit floats.
    Sparse,
    /// Bytes.
    Bytes,
}

impl fmt::Display for Type {
    /// As on the wire: `string`, `[]int`, `[384]f32`, `{}f16`, `bytes`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scalar(scalar) => f.write_str(scalar.name()),
            Self::Array(element) => write!(f, "[]{}", element.name()),
            Self::Vector(VectorType { dimensions, element }) => {
                write!(f, "[{dimensions}]{}", element.name())
            }
            Self::Sparse => f.write_str("{}f16"),
            Self::Bytes => f.write_str("bytes"),
        }
    }
}

impl Type {
    /// Dense vectors of 32-bit floats.
    pub const fn vector(dimensions: u32) -> Self {
        Self::Vector(VectorType { dimensions, element: Element::F32 })
    }

    /// Whether filters, orders and groups can look at such values: scalars, and arrays of them.
    pub const fn is_comparable(self) -> bool {
        matches!(self, Self::Scalar(_) | Self::Array(_))
    }

    /// Whether these are vectors, dense or sparse.
    pub const fn is_vector(self) -> bool {
        matches!(self, Self::Vector(_) | Self::Sparse)
    }

    /// Reads the spelling of the wire; `None` if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let scalar = |name: &str| ScalarType::ALL.into_iter().find(|t| t.name() == name);
        if let Some(element) = text.strip_prefix("[]") {
            scalar(element).map(Self::Array)
        } else if let Some(rest) = text.strip_prefix('[') {
            let (dimensions, element) = rest.split_once(']')?;
            let element = Element::ALL.into_iter().find(|e| e.name() == element)?;
            // A sign is no digit, though numbers are read with one.
            let dimensions = Some(dimensions).filter(|d| !d.starts_with('+'))?.parse().ok()?;
            Some(Self::Vector(VectorType { dimensions, element }))
        } else {
            match text {
                "{}f16" => Some(Self::Sparse),
                "bytes" => Some(Self::Bytes),
                text => scalar(text).map(Self::Scalar),
            }
        }
    }

    /// Whether `value` is of this type.
    pub fn admits(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Scalar(t), Value::Scalar(scalar)) => scalar.scalar_type() == t,
            (Self::Array(t), Value::Array(all)) => all.iter().all(|e| e.scalar_type() == t),
            (Self::Vector(t), Value::Vector(vector)) => {
                let components = vector.components();
                components.len() == t.dimensions as usize
                    && components.iter().all(|x| t.element.hold(*x) == Some(*x))
            }
            (Self::Sparse, Value::Sparse(_)) | (Self::Bytes, Value::Bytes(_)) => true,
            _ => false,
        }
    }
}

/// A document, whole: what a namespace holds under an id.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Document {
    /// Its id.
    pub id: Id,
    /// Its attributes that are not null, by ascending number.
    pub attributes: Vec<(AttributeId, Value)>,
}

impl Document {
    /// The value of an attribute, if it has one.
    pub fn value(&self, attribute: AttributeId) -> Option<&Value> {
        let place = self.attributes.binary_search_by_key(&attribute, |(id, _)| *id);
        place.ok().map(|place| &self.attributes[place].1)
    }

    /// Its size as limits and bills count it, in bytes.
    pub fn logical_bytes(&self) -> u64 {
        let values = self.attributes.iter().map(|(_, value)| value.logical_bytes());
        self.id.logical_bytes() + values.sum::<u64>()
    }

    /// About how much memory it takes, in bytes.
    pub fn held_bytes(&self) -> u64 {
        let values = self.attributes.iter().map(|(_, value)| value.held_bytes());
        size_of::<Self>() as u64 + self.id.logical_bytes() + values.sum::<u64>()
    }
}

/// A value as a client sent it, before the schema says what it is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Raw {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// An integer literal.
    Integer(i128),
    /// A literal with a fraction or an exponent, finite.
    Number(Float),
    /// A text.
    Text(Arc<str>),
    /// Several of these.
    List(Vec<Self>),
    /// Weights of dimensions, in the order sent.
    Weights(Vec<(u32, Float)>),
}

impl Raw {
    /// What it is, for messages: `string`, `int`, `[]string` …
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Integer(n) if *n > i128::from(i64::MAX) => "uint",
            Self::Integer(_) => "int",
            Self::Number(_) => "float",
            Self::Text(_) => "string",
            Self::List(all) => match all.first() {
                None | Some(Self::Null) => "[]",
                Some(Self::Bool(_)) => "[]bool",
                Some(Self::Integer(_)) => "[]int",
                Some(Self::Number(_)) => "[]float",
                Some(Self::Text(_)) => "[]string",
                Some(Self::List(_)) => "[][]",
                Some(Self::Weights(_)) => "[]{}f16",
            },
            Self::Weights(_) => "{}f16",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_uuid_is_read_and_one_is_written() {
        let plain = "769c134d-07b8-4225-954a-b6cc5ffc320c";
        let uuid = Uuid::parse(plain).unwrap();
        assert_eq!(uuid.to_string(), plain);
        let spellings = [
            "769C134D07B84225954AB6CC5FFC320C",
            "{769c134d-07b8-4225-954a-b6cc5ffc320c}",
            "urn:uuid:769c134d-07b8-4225-954a-b6cc5ffc320c",
        ];
        assert!(spellings.iter().all(|s| Uuid::parse(s) == Some(uuid)));
        for bad in ["", "769c134d", "769c134d-07b8-4225-954a-b6cc5ffc320", "zz", "é"] {
            assert_eq!(Uuid::parse(bad), None, "{bad}");
        }
        assert_eq!(Uuid::parse(&"1".repeat(33)), None);
    }

    #[test]
    fn a_type_is_read_as_it_is_written() {
        let vector =
            Element::ALL.map(|element| Type::Vector(VectorType { dimensions: 384, element }));
        let vector = vector.into_iter().chain([Type::Sparse, Type::Bytes]);
        let scalars = ScalarType::ALL.into_iter().flat_map(|t| [Type::Scalar(t), Type::Array(t)]);
        for t in scalars.chain(vector) {
            assert_eq!(Type::parse(&t.to_string()), Some(t));
        }
        for bad in [
            "", "[]", "[x]f32", "[3]f64", "strings", "[-1]f32", "[+1]f32", "[2]i16", "{}f32",
            "[]bytes",
        ] {
            assert_eq!(Type::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn zero_has_one_sign_and_nothing_is_infinite() {
        assert_eq!(Float::new(-0.0), Float::new(0.0));
        assert_eq!(Float::new(f64::NAN), None);
        assert!(Vector::new(vec![1.0, f32::INFINITY]).is_none());
    }
}
