//! Answers by brute force, from the wording of the wire: no filter, index or kernel of ours.

use core::cmp::Ordering;

use crate::base::cast::{cast_array, cast_scalar, cast_vector};
use crate::base::value::{Document, Float, Id, IdType, Raw, Scalar, ScalarType, Type, Value};
use crate::format::schema::{Metric, Schema};
use crate::namespace::request::{
    Aggregate, Answer, AnswerRow, Direction, Figure, Found, Include, Operator, OrderKey, Predicate,
    QueryRequest, Rank, Statistics, Want,
};
use crate::ops::query::tests::world::World;

/// The answer to a valid request.
fn answer(world: &World, request: &QueryRequest) -> Found {
    let holds = |document: &&Document| {
        request.filter.as_ref().is_none_or(|filter| matches(&world.schema, filter, document))
    };
    let selected: Vec<&Document> = world.documents.values().filter(holds).collect();
    match &request.want {
        Want::Aggregates(all) => {
            let figure = |(label, aggregate): &(String, Aggregate)| {
                (label.clone(), figure(&world.schema, aggregate, &selected))
            };
            Found::Aggregates(all.iter().map(figure).collect())
        }
        Want::Rows { rank, limit, include } => {
            let mut ranked = ranked(&world.schema, rank, selected);
            ranked.truncate(*limit);
            let row = |(document, distance): (&Document, Option<f32>)| AnswerRow {
                id: document.id.clone(),
                distance: distance.map(crate::namespace::request::Distance),
                attributes: included(&world.schema, include, document),
            };
            Found::Rows(ranked.into_iter().map(row).collect())
        }
    }
}

/// Fails unless `answer` is right. Cosines differ in their last digits from those of the model, which
/// sums in another order: there rows may change places that are as near by these digits.
pub(super) fn assert_right(world: &World, request: &QueryRequest, found: &Answer) {
    let Statistics { unindexed_rows, namespace_rows } = found.statistics;
    assert!(unindexed_rows <= namespace_rows && namespace_rows >= world.documents.len() as u64);
    let expected = answer(world, request);
    let by_distance = matches!(request.want, Want::Rows { rank: Rank::Nearest { .. }, .. });
    let (Found::Rows(rows), Found::Rows(expected)) = (&found.found, &expected) else {
        assert_eq!(found.found, expected);
        return;
    };
    if !by_distance || world.schema.metric != Some(Metric::Cosine) {
        assert_eq!(rows, expected);
        return;
    }
    assert_eq!(rows.len(), expected.len());
    assert!(rows.is_sorted_by_key(|row| (row.distance, row.id.clone())), "{rows:?}");
    let mut all = request.clone();
    if let Want::Rows { limit, .. } = &mut all.want {
        *limit = usize::MAX;
    }
    let Found::Rows(all) = answer(world, &all) else { panic!("rows were asked for") };
    let far = |row: &AnswerRow| row.distance.unwrap().0;
    for (row, other) in rows.iter().zip(expected) {
        assert!((far(row) - far(other)).abs() < 1e-5, "{} is at {}", row.id, far(row));
        let same = all.iter().find(|other| other.id == row.id).expect("only what matches is found");
        assert!((far(row) - far(same)).abs() < 1e-5, "{} is at {}", row.id, far(same));
        assert_eq!(row.attributes, same.attributes);
    }
}

fn matches(schema: &Schema, predicate: &Predicate, document: &Document) -> bool {
    match predicate {
        Predicate::And(parts) => parts.iter().all(|part| matches(schema, part, document)),
        Predicate::Or(parts) => parts.iter().any(|part| matches(schema, part, document)),
        Predicate::Not(part) => !matches(schema, part, document),
        Predicate::CompareNew { .. } => panic!("no query has conditions of writes"),
        Predicate::Compare { attribute, operator, operand } => {
            let value = value(schema, attribute, document);
            let (t, is_array) = type_of(schema, attribute);
            compares(*operator, operand, value.as_ref(), t, is_array)
        }
    }
}

fn compares(
    operator: Operator,
    operand: &Raw,
    value: Option<&Value>,
    t: ScalarType,
    is_array: bool,
) -> bool {
    let scalar = |raw: &Raw| cast_scalar(raw, t).unwrap();
    let list = |raw: &Raw| match raw {
        Raw::List(all) => all.iter().map(&scalar).collect::<Vec<_>>(),
        one => vec![scalar(one)],
    };
    let elements = match value {
        None => Vec::new(),
        Some(Value::Scalar(one)) => vec![one.clone()],
        Some(Value::Array(all)) => all.to_vec(),
        Some(Value::Vector(_)) => panic!("vectors are not compared"),
    };
    let any = |holds: fn(Ordering) -> bool| {
        elements.iter().any(|element| holds(element.cmp(&scalar(operand))))
    };
    let is_null = *operand == Raw::Null;
    match operator {
        Operator::Eq if is_null => value.is_none(),
        Operator::Eq if is_array => value == Some(&Value::Array(cast_array(operand, t).unwrap())),
        Operator::Eq => any(Ordering::is_eq),
        Operator::In | Operator::ContainsAny => {
            list(operand).iter().any(|wanted| elements.contains(wanted))
        }
        Operator::Contains => elements.contains(&scalar(operand)),
        Operator::Lt if is_null => false,
        Operator::Lte if is_null => value.is_none(),
        Operator::Gt | Operator::Gte if is_null => value.is_some(),
        Operator::Lt => value.is_none() || any(Ordering::is_lt),
        Operator::Lte => value.is_none() || any(Ordering::is_le),
        Operator::AnyLt => any(Ordering::is_lt),
        Operator::AnyLte => any(Ordering::is_le),
        Operator::Gt | Operator::AnyGt => any(Ordering::is_gt),
        Operator::Gte | Operator::AnyGte => any(Ordering::is_ge),
        Operator::NotEq => !compares(Operator::Eq, operand, value, t, is_array),
        Operator::NotIn => !compares(Operator::In, operand, value, t, is_array),
        Operator::NotContains => !compares(Operator::Contains, operand, value, t, is_array),
        Operator::NotContainsAny => !compares(Operator::ContainsAny, operand, value, t, is_array),
    }
}

fn id_scalar(id: &Id) -> Scalar {
    match id {
        Id::Uint(id) => Scalar::Uint(*id),
        Id::Uuid(id) => Scalar::Uuid(*id),
        Id::String(id) => Scalar::String(id.clone()),
    }
}

fn value(schema: &Schema, attribute: &str, document: &Document) -> Option<Value> {
    if attribute == "id" {
        return Some(Value::Scalar(id_scalar(&document.id)));
    }
    let found = schema.attributes.iter().find(|(name, _)| name.as_str() == attribute);
    document.value(found.unwrap().1.id).cloned()
}

/// The type of an attribute's scalars, and whether it is an array of them.
pub(super) fn type_of(schema: &Schema, attribute: &str) -> (ScalarType, bool) {
    if attribute == "id" {
        let t = match schema.id_type.unwrap() {
            IdType::Uint => ScalarType::Uint,
            IdType::Uuid => ScalarType::Uuid,
            IdType::String => ScalarType::String,
        };
        return (t, false);
    }
    let found = schema.attributes.iter().find(|(name, _)| name.as_str() == attribute);
    match found.unwrap().1.value_type {
        Type::Scalar(t) => (t, false),
        Type::Array(t) => (t, true),
        Type::Vector(_) => panic!("vectors have no scalars"),
    }
}

fn figure(schema: &Schema, aggregate: &Aggregate, documents: &[&Document]) -> Figure {
    let Aggregate::Sum(name) = aggregate else { return Figure::Count(documents.len() as u64) };
    let values = documents.iter().filter_map(|d| value(schema, name.as_str(), d));
    let floats = type_of(schema, name.as_str()).0 == ScalarType::Float;
    let (mut integer, mut number) = (0, 0.0);
    for value in values {
        match value {
            Value::Scalar(Scalar::Int(n)) => integer += i128::from(n),
            Value::Scalar(Scalar::Uint(n)) => integer += i128::from(n),
            // The test's floats are halves, so their sums are exact.
            Value::Scalar(Scalar::Float(n)) => number += n.number(),
            other => panic!("{other:?} is not summed up"),
        }
    }
    if floats { Figure::Number(Float::new(number).unwrap()) } else { Figure::Integer(integer) }
}

fn ranked<'a>(
    schema: &Schema,
    rank: &Rank,
    mut documents: Vec<&'a Document>,
) -> Vec<(&'a Document, Option<f32>)> {
    match rank {
        Rank::By(keys) => {
            documents.sort_by(|a, b| {
                let by = |(key, direction): &(OrderKey, Direction)| {
                    let scalar = |document: &Document| match key {
                        OrderKey::Id => Some(id_scalar(&document.id)),
                        OrderKey::Attribute(name) => match value(schema, name.as_str(), document) {
                            Some(Value::Scalar(scalar)) => Some(scalar),
                            _ => None,
                        },
                    };
                    let order = scalar(a).cmp(&scalar(b));
                    if *direction == Direction::Ascending { order } else { order.reverse() }
                };
                let order = keys.iter().map(by).find(|order| order.is_ne());
                order.unwrap_or_else(|| a.id.cmp(&b.id))
            });
            documents.into_iter().map(|document| (document, None)).collect()
        }
        Rank::Nearest { attribute, to } => {
            let described = &schema.attributes[attribute];
            let Type::Vector(dimensions) = described.value_type else { panic!("no vector") };
            let to = cast_vector(to, dimensions).unwrap();
            let mut near: Vec<_> = documents
                .into_iter()
                .filter_map(|document| match document.value(described.id) {
                    Some(Value::Vector(vector)) => {
                        let vector = vector.components();
                        Some((document, distance(schema.metric.unwrap(), vector, to.components())))
                    }
                    _ => None,
                })
                .collect();
            // The test's vectors are small integers, so distances that are equal are equal here too.
            near.sort_by(|a, b| a.1.total_cmp(&b.1).then_with(|| a.0.id.cmp(&b.0.id)));
            near.into_iter().map(|(document, far)| (document, Some(far as f32))).collect()
        }
    }
}

fn distance(metric: Metric, a: &[f32], b: &[f32]) -> f64 {
    let pairs = || a.iter().zip(b).map(|(a, b)| (f64::from(*a), f64::from(*b)));
    let dot: f64 = pairs().map(|(a, b)| a * b).sum();
    match metric {
        Metric::EuclideanSquared => pairs().map(|(a, b)| (a - b) * (a - b)).sum(),
        Metric::Dot => 0.0 - dot,
        Metric::Cosine => {
            let (aa, bb) = pairs().fold((0.0, 0.0), |(aa, bb), (a, b)| (aa + a * a, bb + b * b));
            if aa * bb == 0.0 { 1.0 } else { 1.0 - dot / (aa * bb).sqrt() }
        }
    }
}

fn included(
    schema: &Schema,
    include: &Include,
    document: &Document,
) -> Vec<(crate::base::name::AttributeName, Value)> {
    let shown = |name: &&crate::base::name::AttributeName| match include {
        Include::Nothing => false,
        Include::All => true,
        Include::These(names) => names.contains(name),
        Include::AllBut(names) => !names.contains(name),
    };
    let names = schema.attributes.keys().filter(shown);
    let value = |name: &crate::base::name::AttributeName| {
        let value = document.value(schema.attributes[name].id)?;
        Some((name.clone(), value.clone()))
    };
    names.filter_map(value).collect()
}
