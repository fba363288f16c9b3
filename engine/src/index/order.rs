//! The order of rows by keys.
//!
//! Null comes before every value, so nulls are first in an ascending order and last in a descending
//! one. What is equal in all keys stands by ascending id, so an order is total and the same wherever
//! the rows lie.

use core::cmp::Reverse;

use crate::base::id::AttributeId;
use crate::base::limits::ORDER_KEYS_MAX;
use crate::base::name::AttributeName;
use crate::base::value::{Document, Scalar, Type, Value};
use crate::format::schema::Schema;
use crate::index::filter::id_scalar;
use crate::index::invalid::InvalidQuery;

/// What rows are ordered by.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum OrderKey {
    /// The id.
    Id,
    /// An attribute: nulls come first ascending and last descending.
    Attribute(AttributeName),
}

/// Which way an order goes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Direction {
    /// Smallest first.
    Ascending,
    /// Largest first.
    Descending,
}

/// An order with its names resolved.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Order {
    /// What to compare and which way, the first first. `None` is the id.
    pub keys: Vec<(Option<AttributeId>, Direction)>,
}

/// What one row is compared by, under one key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SortKey {
    /// Smallest first.
    Ascending(Option<Scalar>),
    /// Largest first.
    Descending(Reverse<Option<Scalar>>),
}

impl Order {
    /// Gives the keys their meaning.
    ///
    /// # Errors
    ///
    /// If an attribute does not exist, has no order, or is not filterable.
    pub fn resolve(keys: &[(OrderKey, Direction)], schema: &Schema) -> Result<Self, InvalidQuery> {
        let most = ORDER_KEYS_MAX;
        if keys.len() > most {
            return Err(InvalidQuery::TooMany { what: "keys to order by", most });
        }
        let resolve =
            |(key, direction): &(OrderKey, Direction)| Ok((key.resolve(schema)?, *direction));
        Ok(Self { keys: keys.iter().map(resolve).collect::<Result<_, _>>()? })
    }

    /// What a document is compared by.
    pub fn keys_of(&self, document: &Document) -> Vec<SortKey> {
        let key = |(attribute, direction): &(Option<AttributeId>, Direction)| {
            direction.key(scalar_of(document, *attribute))
        };
        self.keys.iter().map(key).collect()
    }
}

impl OrderKey {
    /// The attribute; `None` is the id.
    ///
    /// # Errors
    ///
    /// If it does not exist, has no order, or is not filterable.
    pub fn resolve(&self, schema: &Schema) -> Result<Option<AttributeId>, InvalidQuery> {
        match self {
            Self::Id => Ok(None),
            Self::Attribute(name) => ordered(name, schema).map(Some),
        }
    }
}

/// The scalar that a document has of an attribute, or its id.
pub fn scalar_of(document: &Document, attribute: Option<AttributeId>) -> Option<Scalar> {
    let Some(attribute) = attribute else { return Some(id_scalar(&document.id)) };
    match document.value(attribute) {
        Some(Value::Scalar(scalar)) => Some(scalar.clone()),
        _ => None,
    }
}

impl SortKey {
    /// About how much memory it takes, in bytes.
    pub fn bytes(&self) -> usize {
        let (Self::Ascending(scalar) | Self::Descending(Reverse(scalar))) = self;
        scalar_bytes(scalar.as_ref())
    }
}

/// About how much memory a scalar takes, in bytes.
pub fn scalar_bytes(scalar: Option<&Scalar>) -> usize {
    let text = match scalar {
        Some(Scalar::String(text)) => text.len(),
        _ => 0,
    };
    size_of::<Scalar>() + text
}

impl Direction {
    /// What a value is compared by.
    pub const fn key(self, scalar: Option<Scalar>) -> SortKey {
        match self {
            Self::Ascending => SortKey::Ascending(scalar),
            Self::Descending => SortKey::Descending(Reverse(scalar)),
        }
    }
}

fn ordered(name: &AttributeName, schema: &Schema) -> Result<AttributeId, InvalidQuery> {
    let wrong = |problem| InvalidQuery::Attribute { name: name.to_string(), problem };
    let attribute = schema
        .attributes
        .get(name)
        .ok_or_else(|| wrong("not found in schema, cannot be ordered by"))?;
    match attribute.value_type {
        Type::Scalar(_) if attribute.filterable => Ok(attribute.id),
        Type::Scalar(_) => Err(wrong("is not filterable, so it cannot be ordered by")),
        _ => Err(wrong("has no order: it is not a single value")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_come_first_ascending_and_last_descending() {
        let values = [Some(Scalar::Int(2)), None, Some(Scalar::Int(1))];
        let sorted = |direction: Direction| {
            let mut keys = values.clone().map(|value| direction.key(value));
            keys.sort();
            keys.map(|key| match key {
                SortKey::Ascending(value) | SortKey::Descending(Reverse(value)) => value,
            })
        };
        let [two, null, one] = values.clone();
        assert_eq!(sorted(Direction::Ascending), [null.clone(), one.clone(), two.clone()]);
        assert_eq!(sorted(Direction::Descending), [two, one, null]);
    }
}
