//! Types of attributes: how they come to be, and how what a client sent becomes a value.
//!
//! Validation is strict: a value of another type is an error, never a conversion. An integer literal
//! is good for every numeric type that can hold it, because JSON has one kind of numbers.

use crate::base::limits;
use crate::base::value::{Float, Raw, Scalar, ScalarType, Type, Uuid, Value, Vector};

/// What is wrong with a value.
#[derive(Clone, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum ValueProblem {
    /// It is of another type.
    #[error("type mismatch, expected {expected}, but got {got}")]
    Type {
        /// The type it should have.
        expected: String,
        /// What it is.
        got: &'static str,
    },
    /// It is a text that does not spell a value of this type.
    #[error("'{text}' is not a valid {expected}")]
    Spelling {
        /// The type it should spell.
        expected: &'static str,
        /// The beginning of the text.
        text: String,
    },
    /// It is a vector of another length.
    #[error("expected a vector of {expected} dimensions, but got {got}")]
    Dimensions {
        /// The length it should have.
        expected: u32,
        /// Its length.
        got: usize,
    },
    /// It is too large.
    #[error("it is larger than {most} bytes")]
    TooLarge {
        /// The most bytes it may have.
        most: usize,
    },
    /// A number is outside the range of its type.
    #[error("it is out of the range of type {expected}")]
    Range {
        /// The type.
        expected: String,
    },
}
