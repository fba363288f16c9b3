//! Ids, values and the schema of the documents that clients write.

use sana_engine::base::name::AttributeName;
use sana_engine::base::value::{Float, IdType, Raw, Type, Uuid};
use sana_engine::format::schema::Metric;
use sana_engine::namespace::request::AttributeRequest;

use crate::choices::{Choices, Site};
use crate::model::values as model;
use crate::workload::{Mix, pick};

/// Attributes of every seed.
const NARROW: [&str; 5] = ["body", "n", "tags", "text", "v"];
/// Attributes that documents of some seeds have as well.
pub(super) const WIDE: [&str; 10] = ["b", "f", "g", "h", "ns", "q", "raw", "sp", "t", "u"];
/// Those of them that may be patched.
const PATCHED: [&str; 6] = ["b", "f", "g", "ns", "t", "u"];

impl Mix {
    /// The attributes of this seed, said with every write: so each life of a namespace has them all.
    pub(super) fn schema(&self) -> Vec<(AttributeName, AttributeRequest)> {
        let wide = if self.wide > 0 { WIDE.as_slice() } else { &[] };
        let attribute = |n: &&str| {
            let mut said = AttributeRequest::of(model::type_of(n).expect("it is the workload's"));
            match *n {
                // A long text may not be filtered by.
                "body" => said.filterable = Some(false),
                "text" => {
                    said.filterable = Some(true);
                    (said.glob, said.regex) = (Some(true), Some(true));
                }
                _ if matches!(said.value_type, Type::Vector(_)) => said.metric = Some(metric(n)),
                _ => {}
            }
            (name(n), said)
        };
        NARROW.iter().chain(wide).map(attribute).collect()
    }

    /// The id of this number, as clients send it.
    pub(super) fn id(&self, number: u64) -> Raw {
        match self.id_type {
            IdType::Uint => Raw::Integer(number.into()),
            IdType::String => Raw::Text(format!("id {number}").into()),
            IdType::Uuid => Raw::Text(Uuid(u128::from(number) << 100 | 7).to_string().into()),
        }
    }

    /// Some id.
    pub(super) fn any_id(&self, choices: &mut Choices) -> Raw {
        self.id(choices.between(Site::Workload, 1, self.ids))
    }

    /// The attributes of a whole document, or of a patch.
    pub(super) fn attributes(
        &self,
        choices: &mut Choices,
        unique: u64,
        whole: bool,
    ) -> Vec<(AttributeName, Raw)> {
        let mut attributes = vec![(name("n"), Raw::Integer(unique.into()))];
        if choices.chance(Site::Workload, self.large) {
            let text = format!("{unique} ").repeat(self.large_bytes / 6);
            attributes.push((name("body"), Raw::Text(text.into())));
        }
        if choices.chance(Site::Workload, 600) {
            attributes.push((name("text"), text(choices)));
        } else if !whole {
            attributes.push((name("text"), Raw::Null));
        }
        if choices.chance(Site::Workload, 500) {
            let count = 1 + choices.choose(Site::Workload, 3);
            let tags = (0..count).map(|_| tag(choices)).collect();
            attributes.push((name("tags"), Raw::List(tags)));
        }
        if whole && choices.chance(Site::Workload, 700) {
            attributes.push((name("v"), vector(choices, 2)));
        }
        let wide = if whole { WIDE.as_slice() } else { &PATCHED };
        for attribute in wide.iter().filter(|_| self.wide > 0) {
            if choices.chance(Site::Workload, self.wide) {
                attributes.push((name(attribute), value(choices, attribute)));
            }
        }
        attributes
    }
}

/// A value of an attribute that is no text and no tag.
pub(super) fn value(choices: &mut Choices, attribute: &str) -> Raw {
    let n = choices.choose(Site::Workload, 6) as i128;
    match attribute {
        "b" => Raw::Bool(n < 3),
        "f" => Raw::Number(float(n as f64 / 2.0 - 1.0)),
        "g" => Raw::Text(Uuid(n.cast_unsigned()).to_string().into()),
        "h" | "q" => vector(choices, 3),
        "ns" => Raw::List((0..n % 4).map(|k| Raw::Integer(n - 2 * k)).collect()),
        "raw" => Raw::Text(pick(choices, &["AAEC", "", "/w==", "AA==", "AAA="]).into()),
        "sp" => weights(choices),
        "t" => Raw::Text(format!("1970-01-{:02}", n + 1).into()),
        "u" | "n" => Raw::Integer(n),
        other => panic!("the workload draws no value of '{other}'"),
    }
}

/// One of a few texts.
pub(super) fn text(choices: &mut Choices) -> Raw {
    Raw::Text(format!("text {}", choices.choose(Site::Workload, 5)).into())
}

/// One of a few tags.
pub(super) fn tag(choices: &mut Choices) -> Raw {
    Raw::Text(pick(choices, &["red", "green", "blue", "grey"]).into())
}

/// A vector of small integers, so that distances are exact.
pub(super) fn vector(choices: &mut Choices, dimensions: usize) -> Raw {
    let component = |_| Raw::Number(float(choices.choose(Site::Workload, 9) as f64 - 4.0));
    Raw::List((0..dimensions).map(component).collect())
}

/// A sparse vector of a few dimensions.
pub(super) fn weights(choices: &mut Choices) -> Raw {
    let mut weights = Vec::new();
    for dimension in [1, 5, 900, 70_000] {
        let weight = choices.choose(Site::Workload, 5);
        if weight > 1 {
            weights.push((dimension, float(weight as f64 - 3.5)));
        }
    }
    Raw::Weights(weights)
}

/// How the vectors of an attribute are compared.
pub(super) fn metric(attribute: &str) -> Metric {
    model::metric_of(attribute)
}

/// The name of an attribute of the workload.
///
/// # Panics
///
/// If it is no name.
pub(crate) fn name(name: &str) -> AttributeName {
    AttributeName::parse(name).expect("the workload's names are good")
}

fn float(number: f64) -> Float {
    Float::new(number).expect("the workload's numbers are finite")
}
