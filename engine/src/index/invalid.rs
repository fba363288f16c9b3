//! What can be wrong with a query.

use crate::base::name::AttributeName;
use crate::format::schema::Metric;
use crate::index::filter::pattern::BadPattern;

/// What is wrong with a query.
#[derive(Clone, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum InvalidQuery {
    /// A filter names an attribute that does not exist.
    #[error("filter error in key `{0}`: attribute not found")]
    UnknownFilterAttribute(String),
    /// A filter names an attribute that is not filterable.
    #[error("filter error in key `{0}`: attribute is not filterable")]
    NotFilterable(String),
    /// A filter matches an attribute with an expression, and nobody said that it may.
    #[error("filter error in key `{0}`: Regex needs `regex: true` in the schema of the attribute")]
    NotMatched(String),
    /// A pattern is none.
    #[error("filter error in key `{attribute}`: invalid {operator} pattern: {problem}")]
    Pattern {
        /// The attribute.
        attribute: String,
        /// The operator, as on the wire.
        operator: &'static str,
        /// What is wrong with the pattern.
        problem: BadPattern,
    },
    /// The client believes that vectors are compared in another way.
    #[error("💔 distance metric mismatch, expected {expected}, got {sent}")]
    Metric {
        /// How they are compared.
        expected: Metric,
        /// How the client believes they are.
        sent: Metric,
    },
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
    /// A label of the answer stands for two things, or is none.
    #[error(
        "💔 \"{0}\" cannot be used as a label: it is the id, begins with `$`, is too long or is used already"
    )]
    Label(String),
    /// There is more of something than there may be.
    #[error("💔 a query has at most {most} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The most there may be.
        most: usize,
    },
    /// Only rows can be fused, and several searches cannot be one of several.
    #[error(
        "💔 only queries for rows can be re-ranked, and a query of several cannot hold another"
    )]
    NotFused,
    /// A weight is no positive number, or there is not one for each search.
    #[error(
        "💔 RRF takes one positive weight for each sub-query, and a rank_constant of at least 0"
    )]
    Weights,
    /// A query vector does not fit its attribute.
    #[error("💔 the query vector for attribute \"{attribute}\" {problem}")]
    QueryVector {
        /// The attribute.
        attribute: AttributeName,
        /// What is wrong with it.
        problem: String,
    },
}
