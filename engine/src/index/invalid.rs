//! What can be wrong with a query.

use crate::base::name::AttributeName;

/// What is wrong with a query.
#[derive(Clone, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum InvalidQuery {
    /// A filter names an attribute that does not exist.
    #[error("filter error in key `{0}`: attribute not found")]
    UnknownFilterAttribute(String),
    /// A filter names an attribute that is not filterable.
    #[error("filter error in key `{0}`: attribute is not filterable")]
    NotFilterable(String),
    /// A filter that is no condition of a write compares with a new value.
    #[error("filter error in key `{0}`: $ref_new is only for conditions of writes")]
    NewValue(String),
    /// An operand is of the wrong type.
    #[error(
        "filter error in key `{attribute}`: type mismatch, {operator} expects {expected}, but got {got}"
    )]
    OperandType {
        /// The attribute.
        attribute: String,
        /// The operator, as on the wire.
        operator: &'static str,
        /// The type it expects.
        expected: String,
        /// What it got.
        got: String,
    },
    /// An operator does not go with the attribute's type.
    #[error(
        "filter error in key `{attribute}`: {operator} does not apply to attributes of type {value_type}"
    )]
    Operator {
        /// The attribute.
        attribute: String,
        /// The operator, as on the wire.
        operator: &'static str,
        /// The attribute's type.
        value_type: String,
    },
    /// The filter is nested too deep.
    #[error("the filter is nested deeper than {most} levels")]
    Depth {
        /// The most levels there may be.
        most: usize,
    },
    /// An attribute to show does not exist.
    #[error("💔 attribute \"{0}\" not found in schema, cannot be part of `include_attributes`")]
    UnknownInclude(AttributeName),
    /// An order or an aggregate names an attribute that does not exist, or whose type has no order or
    /// sum.
    #[error("💔 attribute \"{name}\" {problem}")]
    Attribute {
        /// The attribute.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A query vector does not fit its attribute.
    #[error("💔 the query vector for attribute \"{attribute}\" {problem}")]
    QueryVector {
        /// The attribute.
        attribute: AttributeName,
        /// What is wrong with it.
        problem: String,
    },
}
