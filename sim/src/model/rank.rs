//! Orders of rows, and distances.

use std::cmp::Ordering;

use sana_engine::base::name::AttributeName;
use sana_engine::base::value::{Id, Raw, Scalar, Value};
use sana_engine::format::schema::Metric;
use sana_engine::namespace::request::{Direction, Distance, OrderKey, Rank};

use crate::model::{Attributes, values};

/// A document, and its distance or score if it has one.
pub type Ranked<'a> = (&'a Id, &'a Attributes, Option<f64>);

/// The documents that have a place in an order, in their order.
///
/// # Panics
///
/// If the workload has no such order.
pub fn ranked<'a>(
    rank: &Rank,
    all: impl Iterator<Item = (&'a Id, &'a Attributes)>,
) -> Vec<Ranked<'a>> {
    let placed = |(id, attributes): (&'a Id, &'a Attributes)| match rank {
        Rank::By(_) => Some((id, attributes, None)),
        Rank::Nearest { attribute, to, .. } => {
            distance(attributes, attribute, to).map(|far| (id, attributes, Some(far)))
        }
        Rank::Likest { attribute, to } => {
            score(attributes, attribute, to).map(|score| (id, attributes, Some(score)))
        }
        Rank::Shuffled { attribute, .. } => {
            attributes.contains_key(attribute).then_some((id, attributes, None))
        }
    };
    let mut rows: Vec<Ranked<'_>> = all.filter_map(placed).collect();
    rows.sort_by(|a, b| compare(rank, a, b).then(a.0.cmp(b.0)));
    rows
}

/// Whether any rows of so many will do.
pub const fn is_sample(rank: &Rank) -> bool {
    matches!(rank, Rank::Shuffled { .. })
}

/// Whether an order is known to the last digit. One by angles is not: they are rounded.
pub fn is_exact(rank: &Rank) -> bool {
    !matches!(rank, Rank::Nearest { attribute, .. }
        if values::metric_of(attribute.as_str()) == Metric::Cosine)
}

/// Whether two distances are the same but for rounding.
pub fn is_close(a: Distance, b: Distance) -> bool {
    (a.0 - b.0).abs() < 1e-5
}

/// How far a document's vector is from another; nothing if it has none.
///
/// # Panics
///
/// If the other is no vector.
pub fn distance(attributes: &Attributes, attribute: &AttributeName, to: &Raw) -> Option<f64> {
    let Some(Value::Vector(here)) = attributes.get(attribute) else { return None };
    let to = values::vector(to);
    let pairs = || {
        let pairs = here.components().iter().zip(to.components());
        pairs.map(|(a, b)| (f64::from(*a), f64::from(*b)))
    };
    let sum = |of: fn((f64, f64)) -> f64| pairs().map(of).sum::<f64>();
    let dot = sum(|(a, b)| a * b);
    Some(match values::metric_of(attribute.as_str()) {
        Metric::EuclideanSquared => sum(|(a, b)| (a - b) * (a - b)),
        Metric::Dot => 0.0 - dot,
        Metric::Cosine => {
            let lengths = sum(|(a, _)| a * a) * sum(|(_, b)| b * b);
            if lengths == 0.0 { 1.0 } else { 1.0 - dot / lengths.sqrt() }
        }
    })
}

/// The product of a document's sparse vector and another; nothing if that is zero.
///
/// # Panics
///
/// If the other is no sparse vector.
pub fn score(attributes: &Attributes, attribute: &AttributeName, to: &Raw) -> Option<f64> {
    let Some(Value::Sparse(here)) = attributes.get(attribute) else { return None };
    let Raw::Weights(to) = to else { panic!("{to:?} is no sparse vector") };
    let held = |at: u32| here.weights().iter().find(|(other, _)| *other == at);
    let product = |(at, weight): &(u32, _)| {
        let weight: &sana_engine::base::value::Float = weight;
        held(*at).map_or(0.0, |(_, held)| weight.number() * f64::from(held.number()))
    };
    let score: f64 = to.iter().map(product).sum();
    (score != 0.0).then_some(score)
}

/// The value that a row has in an order or a group.
pub fn key_of(key: &OrderKey, id: &Id, attributes: &Attributes) -> Option<Scalar> {
    match key {
        OrderKey::Id => Some(values::id_scalar(id)),
        OrderKey::Attribute(name) => match attributes.get(name) {
            Some(Value::Scalar(scalar)) => Some(scalar.clone()),
            _ => None,
        },
    }
}

fn compare(rank: &Rank, a: &Ranked<'_>, b: &Ranked<'_>) -> Ordering {
    let far = |row: &Ranked<'_>| row.2.unwrap_or_default();
    match rank {
        Rank::By(keys) => {
            let one = |(key, direction): &(OrderKey, Direction)| {
                let ascending = key_of(key, a.0, a.1).cmp(&key_of(key, b.0, b.1));
                match direction {
                    Direction::Ascending => ascending,
                    Direction::Descending => ascending.reverse(),
                }
            };
            keys.iter().map(one).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
        }
        Rank::Nearest { .. } => far(a).total_cmp(&far(b)),
        Rank::Likest { .. } => far(b).total_cmp(&far(a)),
        // Any order will do for what is compared with a sample.
        Rank::Shuffled { .. } => Ordering::Equal,
    }
}
