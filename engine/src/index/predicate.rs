//! A condition on documents, as a client wrote it: names and values that no schema has seen yet.

use std::collections::BTreeSet;

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
    /// A comparison with what a write is about to put there. Only for conditions of writes, which
    /// [replace](Self::with_new) it before they are resolved.
    CompareNew {
        /// The attribute's name, or `id`.
        attribute: String,
        /// How it is compared.
        operator: Operator,
        /// The name of the attribute, or `id`, whose new value it is compared with.
        new: String,
    },
}

impl Predicate {
    /// The condition for one write, whose new values `new` tells; a value that is not there is null.
    #[must_use]
    pub fn with_new(&self, new: &impl Fn(&str) -> Raw) -> Self {
        let all = |parts: &[Self]| parts.iter().map(|part| part.with_new(new)).collect();
        match self {
            Self::And(parts) => Self::And(all(parts)),
            Self::Or(parts) => Self::Or(all(parts)),
            Self::Not(part) => Self::Not(Box::new(part.with_new(new))),
            Self::Compare { .. } => self.clone(),
            Self::CompareNew { attribute, operator, new: name } => {
                let (attribute, operator) = (attribute.clone(), *operator);
                Self::Compare { attribute, operator, operand: new(name) }
            }
        }
    }

    /// The names of the attributes, or `id`, whose values decide it.
    pub fn attributes(&self) -> BTreeSet<&str> {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().flat_map(Self::attributes).collect(),
            Self::Not(part) => part.attributes(),
            Self::Compare { attribute, .. } | Self::CompareNew { attribute, .. } => {
                BTreeSet::from([attribute.as_str()])
            }
        }
    }

    /// Whether it compares with new values.
    pub fn mentions_new(&self) -> bool {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().any(Self::mentions_new),
            Self::Not(part) => part.mentions_new(),
            Self::Compare { .. } => false,
            Self::CompareNew { .. } => true,
        }
    }
}

/// How a [`Predicate`] compares. What null, arrays and types mean is decided where a filter is
/// [resolved](crate::index::filter::Filter::resolve).
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
    /// Is matched, whole, by a glob; of an array: has an element that is.
    Glob,
    /// The complement of [`Operator::Glob`].
    NotGlob,
    /// As [`Operator::Glob`], in upper or lower case.
    IGlob,
    /// The complement of [`Operator::IGlob`].
    NotIGlob,
    /// Is matched somewhere by a regular expression.
    Regex,
}

impl Predicate {
    /// That both hold.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self::And(vec![self, other])
    }
}

impl Operator {
    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eq => "Eq",
            Self::NotEq => "NotEq",
            Self::In => "In",
            Self::NotIn => "NotIn",
            Self::Contains => "Contains",
            Self::NotContains => "NotContains",
            Self::ContainsAny => "ContainsAny",
            Self::NotContainsAny => "NotContainsAny",
            Self::Lt => "Lt",
            Self::Lte => "Lte",
            Self::Gt => "Gt",
            Self::Gte => "Gte",
            Self::AnyLt => "AnyLt",
            Self::AnyLte => "AnyLte",
            Self::AnyGt => "AnyGt",
            Self::AnyGte => "AnyGte",
            Self::Glob => "Glob",
            Self::NotGlob => "NotGlob",
            Self::IGlob => "IGlob",
            Self::NotIGlob => "NotIGlob",
            Self::Regex => "Regex",
        }
    }

    /// Every operator.
    pub const ALL: [Self; 21] = [
        Self::Eq,
        Self::NotEq,
        Self::In,
        Self::NotIn,
        Self::Contains,
        Self::NotContains,
        Self::ContainsAny,
        Self::NotContainsAny,
        Self::Lt,
        Self::Lte,
        Self::Gt,
        Self::Gte,
        Self::AnyLt,
        Self::AnyLte,
        Self::AnyGt,
        Self::AnyGte,
        Self::Glob,
        Self::NotGlob,
        Self::IGlob,
        Self::NotIGlob,
        Self::Regex,
    ];

    /// The operator of this name on the wire, if it is one.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operator| operator.name() == name)
    }
}
