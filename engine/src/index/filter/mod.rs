//! Which documents a query is about: a condition with names resolved and operands typed.
//!
//! | module      | what it answers                                               |
//! |-------------|---------------------------------------------------------------|
//! | `resolve`   | What does a client's condition mean under this schema?        |
//! | [`pattern`] | Which texts does a glob or a regular expression match?        |
//! | [`glob`]    | What does a glob mean?                                        |
//! | [`page`]    | Which rows of a page match, and must it be read to know?      |
//! | [`select`]  | Which positions of a segment does a filter select?            |
//!
//! # Invariants
//!
//! - **F1** A test is about values that are there: null passes [`Test::Null`] and no other. So `Not`
//!   is the exact complement, and the operators that match null say so by an `Or`.
//! - **F2** A row matches in a page if and only if its document matches in memory.

pub mod glob;
pub mod page;
pub mod pattern;
mod resolve;
pub mod select;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::base::id::AttributeId;
use crate::base::value::{Document, Id, Scalar, Value};
use pattern::Pattern;
pub use resolve::{Load, bound};

/// A condition on documents.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Filter {
    /// All of them hold; none to hold is true.
    All(Vec<Self>),
    /// One of them holds; none to hold is false.
    Any(Vec<Self>),
    /// It does not hold.
    Not(Box<Self>),
    /// The id passes a test.
    Id(Test),
    /// An attribute passes a test.
    Attribute(AttributeId, Test),
}

/// What a value can be tested for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Test {
    /// There is none.
    Null,
    /// It is one of these scalars; of an array: one of its elements is. Ascending and distinct.
    OneOf(Arc<[Scalar]>),
    /// It is this array.
    Array(Arc<[Scalar]>),
    /// It lies on this side of the scalar; of an array: one of its elements does.
    Side(Side, Scalar),
    /// It is a text that matches; of an array: one of its elements is.
    Matches(Pattern),
}

/// The scalars on one side of another.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Side {
    /// Less.
    Below,
    /// Less or equal.
    UpTo,
    /// Greater.
    Above,
    /// Greater or equal.
    From,
}

impl Filter {
    /// Holds for no document.
    pub const NOTHING: Self = Self::Any(Vec::new());

    /// Holds for every document.
    pub const fn everything() -> Self {
        Self::All(Vec::new())
    }

    /// Whether it holds for a document.
    pub fn matches(&self, document: &Document) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.matches(document)),
            Self::Any(parts) => parts.iter().any(|part| part.matches(document)),
            Self::Not(part) => !part.matches(document),
            Self::Id(test) => test.passes_scalar(&id_scalar(&document.id)),
            Self::Attribute(attribute, test) => test.passes(document.value(*attribute)),
        }
    }

    /// The attributes it looks at.
    pub fn attributes(&self) -> BTreeSet<AttributeId> {
        let mut attributes = BTreeSet::new();
        self.for_each_test(&mut |attribute, _| attributes.extend(attribute));
        attributes
    }

    /// Hands out every test, in order, with its attribute; `None` is the id.
    pub fn for_each_test<'a>(&'a self, each: &mut impl FnMut(Option<AttributeId>, &'a Test)) {
        match self {
            Self::All(parts) | Self::Any(parts) => {
                for part in parts {
                    part.for_each_test(each);
                }
            }
            Self::Not(part) => part.for_each_test(each),
            Self::Id(test) => each(None, test),
            Self::Attribute(attribute, test) => each(Some(*attribute), test),
        }
    }

    /// The only ids it can hold for, if it names them.
    pub fn ids(&self) -> Option<BTreeSet<Id>> {
        match self {
            Self::Id(Test::OneOf(ids)) => Some(ids.iter().filter_map(scalar_id).collect()),
            Self::All(parts) => {
                let named = parts.iter().filter_map(Self::ids);
                named.reduce(|a, b| a.intersection(&b).cloned().collect())
            }
            _ => None,
        }
    }
}

impl Test {
    /// Whether a value passes.
    pub fn passes(&self, value: Option<&Value>) -> bool {
        match (self, value) {
            (Self::Null, None) => true,
            (Self::Null, Some(_)) | (_, None) => false,
            (Self::Array(array), Some(Value::Array(elements))) => array == elements,
            (_, Some(Value::Scalar(scalar))) => self.passes_scalar(scalar),
            (_, Some(Value::Array(elements))) => {
                elements.iter().any(|element| self.passes_scalar(element))
            }
            (_, Some(Value::Vector(_) | Value::Sparse(_) | Value::Bytes(_))) => false,
        }
    }

    /// Whether a scalar passes.
    fn passes_scalar(&self, scalar: &Scalar) -> bool {
        match self {
            Self::Null | Self::Array(_) => false,
            Self::OneOf(scalars) => scalars.binary_search(scalar).is_ok(),
            Self::Side(side, bound) => side.holds(scalar, bound),
            Self::Matches(pattern) => match scalar {
                Scalar::String(text) => pattern.matches(text),
                _ => false,
            },
        }
    }
}

impl Side {
    /// Whether `value` lies on this side of `bound`.
    fn holds<T: PartialOrd + ?Sized>(self, value: &T, bound: &T) -> bool {
        match self {
            Self::Below => value < bound,
            Self::UpTo => value <= bound,
            Self::Above => value > bound,
            Self::From => value >= bound,
        }
    }
}

/// An id as a value that tests understand.
pub(crate) fn id_scalar(id: &Id) -> Scalar {
    match id {
        Id::Uint(id) => Scalar::Uint(*id),
        Id::Uuid(id) => Scalar::Uuid(*id),
        Id::String(id) => Scalar::String(id.clone()),
    }
}

fn scalar_id(scalar: &Scalar) -> Option<Id> {
    match scalar {
        Scalar::Uint(id) => Some(Id::Uint(*id)),
        Scalar::Uuid(id) => Some(Id::Uuid(*id)),
        Scalar::String(id) => Some(Id::String(id.clone())),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
