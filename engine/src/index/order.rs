//! The order of rows by keys.

use crate::base::name::AttributeName;

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
