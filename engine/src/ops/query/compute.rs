//! What is found out about each row of an answer, beside what it holds.

use std::collections::BTreeSet;

use crate::base::host::Host;
use crate::base::id::AttributeId;
use crate::base::limits;
use crate::base::name::AttributeName;
use crate::base::value::{Document, Value};
use crate::format::schema::Schema;
use crate::index::filter::Filter;
use crate::index::top::Distance;
use crate::index::vector::distance::Probe;
use crate::index::vector::sparse;
use crate::namespace::request::{Compute, Computed, InvalidQuery};
use crate::ops::query::plan::{Likest, Nearest};

/// One thing to find out, and its label.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Computation {
    label: String,
    what: What,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum What {
    Distance(Nearest),
    Score(Likest),
    Matches(Filter),
}

/// A computation, ready for many documents.
pub(super) struct Ready<'a> {
    label: &'a str,
    how: How<'a>,
}

enum How<'a> {
    Distance(AttributeId, Probe),
    Score(AttributeId, Vec<(u32, f32)>),
    Matches(&'a Filter),
}

impl Computation {
    /// Resolves what is to be computed beside the attributes that are shown.
    pub(super) fn resolve(
        all: &[(String, Compute)],
        shown: &[(AttributeName, AttributeId)],
        schema: &Schema,
    ) -> Result<Vec<Self>, InvalidQuery> {
        let most = limits::COMPUTED_MAX;
        if all.len() > most {
            return Err(InvalidQuery::TooMany { what: "computed attributes", most });
        }
        let one = |(label, compute): &(String, Compute)| {
            let is_shown = shown.iter().any(|(name, _)| name.as_str() == label);
            let is_long = label.len() > limits::ATTRIBUTE_NAME_BYTES_MAX;
            if is_shown || label == "id" || label.is_empty() || label.starts_with('$') || is_long {
                return Err(InvalidQuery::Label(label.clone()));
            }
            let what = match compute {
                Compute::Distance { attribute, to } => {
                    What::Distance(Nearest::resolve(attribute, to, schema)?)
                }
                Compute::Score { attribute, to } => {
                    What::Score(Likest::resolve(attribute, to, schema)?)
                }
                Compute::Matches(predicate) => What::Matches(Filter::resolve(predicate, schema)?),
            };
            Ok(Self { label: label.clone(), what })
        };
        let computed: Vec<Self> = all.iter().map(one).collect::<Result<_, _>>()?;
        assert!(computed.len() <= most, "as many as asked for");
        Ok(computed)
    }

    /// What it is called in the answer.
    pub(super) fn label(&self) -> &str {
        &self.label
    }

    /// The attributes that must be known of a document.
    pub(super) fn attributes(&self) -> BTreeSet<AttributeId> {
        match &self.what {
            What::Distance(nearest) => BTreeSet::from([nearest.attribute]),
            What::Score(likest) => BTreeSet::from([likest.attribute]),
            What::Matches(filter) => filter.attributes(),
        }
    }

    pub(super) fn ready(&self, host: Host) -> Ready<'_> {
        let how = match &self.what {
            What::Distance(nearest) => How::Distance(nearest.attribute, nearest.probe(host)),
            What::Score(likest) => How::Score(likest.attribute, likest.weights()),
            What::Matches(filter) => How::Matches(filter),
        };
        Ready { label: &self.label, how }
    }
}

impl Ready<'_> {
    /// What it comes to for a document, under its label; nothing if it has no value.
    pub(super) fn of(&self, document: &Document) -> Option<(String, Computed)> {
        let computed = match &self.how {
            How::Distance(attribute, probe) => match document.value(*attribute)? {
                Value::Vector(vector) => {
                    Computed::Number(Distance(probe.distance(vector.components())))
                }
                _ => return None,
            },
            How::Score(attribute, weights) => match document.value(*attribute)? {
                Value::Sparse(vector) => {
                    Computed::Number(Distance(sparse::score(weights, vector.weights())?))
                }
                _ => return None,
            },
            How::Matches(filter) => Computed::Bool(filter.matches(document)),
        };
        Some((self.label.to_owned(), computed))
    }
}
