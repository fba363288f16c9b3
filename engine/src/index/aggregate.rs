//! Figures over documents: how many there are, and what they sum up to.

use crate::base::id::AttributeId;
use crate::base::name::AttributeName;
use crate::base::value::{Document, Float, Scalar, ScalarType, Type, Value};
use crate::format::columns::{ColumnPage, Values};
use crate::format::schema::Schema;
use crate::index::invalid::InvalidQuery;
use crate::index::positions::Positions;
use crate::index::sum::Sum;

/// A figure over documents.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Aggregate {
    /// How many there are.
    Count,
    /// The sum of a numeric attribute; null counts as nothing.
    Sum(AttributeName),
}

/// One aggregate's figure.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Figure {
    /// A count.
    Count(u64),
    /// A sum of integers. May exceed 64 bits.
    Integer(i128),
    /// A sum of floats, as if added without rounding and rounded once.
    Number(Float),
}

/// A figure under way.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Tally {
    /// How many there were.
    Count(u64),
    /// What the integers of an attribute summed up to.
    Integers(AttributeId, i128),
    /// What the floats of an attribute summed up to.
    Numbers(AttributeId, Sum),
}

impl Tally {
    /// Begins to count or to sum.
    ///
    /// # Errors
    ///
    /// If the attribute does not exist or is not numeric.
    pub fn resolve(aggregate: &Aggregate, schema: &Schema) -> Result<Self, InvalidQuery> {
        let Aggregate::Sum(name) = aggregate else { return Ok(Self::Count(0)) };
        let wrong = |problem| InvalidQuery::Attribute { name: name.to_string(), problem };
        let attribute = schema.attributes.get(name);
        let attribute =
            attribute.ok_or_else(|| wrong("not found in schema, cannot be summed up"))?;
        match attribute.value_type {
            Type::Scalar(ScalarType::Int | ScalarType::Uint) => Ok(Self::Integers(attribute.id, 0)),
            Type::Scalar(ScalarType::Float) => Ok(Self::Numbers(attribute.id, Sum::default())),
            _ => Err(wrong("is not numeric, so it cannot be summed up")),
        }
    }

    /// The attribute it sums up.
    pub const fn attribute(&self) -> Option<AttributeId> {
        match self {
            Self::Count(_) => None,
            Self::Integers(attribute, _) | Self::Numbers(attribute, _) => Some(*attribute),
        }
    }

    /// Takes a document into account.
    pub fn add(&mut self, document: &Document) {
        let value = self.attribute().and_then(|attribute| document.value(attribute));
        match (self, value) {
            (Self::Count(count), _) => *count += 1,
            (Self::Integers(_, sum), Some(Value::Scalar(Scalar::Int(n)))) => *sum += i128::from(*n),
            (Self::Integers(_, sum), Some(Value::Scalar(Scalar::Uint(n)))) => {
                *sum += i128::from(*n);
            }
            (Self::Numbers(_, sum), Some(Value::Scalar(Scalar::Float(number)))) => sum.add(*number),
            _ => {}
        }
    }

    /// Takes this many documents into account, if it only counts.
    pub const fn add_count(&mut self, documents: u64) {
        if let Self::Count(count) = self {
            *count += documents;
        }
    }

    /// Takes the documents at these positions into account, if it sums up: `page` is of its attribute
    /// and its first position is `first`.
    pub fn add_page(&mut self, page: &ColumnPage, first: u32, positions: &Positions) {
        let end = first + page.rows() as u32;
        let rows = positions.0.range(first..end).map(|position| (position - first) as usize);
        let rows = rows.filter(|row| page.presence().contains(*row));
        match (self, page.values()) {
            (Self::Integers(_, sum), Values::Ints(values)) => {
                *sum += rows.map(|row| i128::from(values[row])).sum::<i128>();
            }
            (Self::Integers(_, sum), Values::Uints(values)) => {
                *sum += rows.map(|row| i128::from(values[row])).sum::<i128>();
            }
            (Self::Numbers(_, sum), Values::Floats(values)) => {
                rows.for_each(|row| sum.add(values[row]));
            }
            _ => {}
        }
    }

    /// About how much memory it takes, in bytes.
    pub const fn bytes(&self) -> usize {
        match self {
            Self::Count(_) | Self::Integers(..) => size_of::<Self>(),
            Self::Numbers(..) => size_of::<Self>() + Sum::BYTES,
        }
    }

    /// What it came to.
    pub fn figure(&self) -> Figure {
        match self {
            Self::Count(count) => Figure::Count(*count),
            Self::Integers(_, sum) => Figure::Integer(*sum),
            Self::Numbers(_, sum) => Figure::Number(sum.total()),
        }
    }
}
