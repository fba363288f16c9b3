//! Figures over documents.

use crate::base::name::AttributeName;
use crate::base::value::Float;

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
    /// A sum of floats, added in the order of rows.
    Number(Float),
}
