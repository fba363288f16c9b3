//! A condition on documents, as a client wrote it: names and values that no schema has seen yet.

use crate::base::value::Raw;

/// A condition on documents, as a client wrote it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Predicate {
    /// All of them hold; none to hold is true.
    And(Vec<Self>),
    /// One of them holds; none to hold is false.
    Or(Vec<Self>),
    /// It does not hold.
    Not(Box<Self>),
    /// A comparison of one attribute; `id` is one.
    Compare {
        /// The attribute's name, or `id`.
        attribute: String,
        /// How it is compared.
        operator: Operator,
        /// With what.
        operand: Raw,
    },
}

/// How a [`Predicate`] compares. What null, arrays and types mean is in `docs/semantics.md`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Operator {
    /// Is equal; with null: is missing.
    Eq,
    /// The complement of [`Operator::Eq`].
    NotEq,
    /// Is one of a list; of an array: has an element that is.
    In,
    /// The complement of [`Operator::In`].
    NotIn,
    /// Is an array with this element.
    Contains,
    /// The complement of [`Operator::Contains`].
    NotContains,
    /// Is an array with one of these elements.
    ContainsAny,
    /// The complement of [`Operator::ContainsAny`].
    NotContainsAny,
    /// Is smaller, or missing.
    Lt,
    /// Is smaller or equal, or missing.
    Lte,
    /// Is larger.
    Gt,
    /// Is larger or equal.
    Gte,
    /// Is an array with a smaller element.
    AnyLt,
    /// Is an array with a smaller or equal element.
    AnyLte,
    /// Is an array with a larger element.
    AnyGt,
    /// Is an array with a larger or equal element.
    AnyGte,
}
