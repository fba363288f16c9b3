//! Answers by brute force, from the wording of the wire: no filter, index or kernel of ours.

use core::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::patterns;
use super::world::World;
use sana_engine::base::cast::{cast_array, cast_scalar, cast_vector};
use sana_engine::base::value::{Document, Float, Id, IdType, Raw, Scalar, ScalarType, Type, Value};
use sana_engine::format::schema::{Metric, Schema};
use sana_engine::index::shuffle::place;
use sana_engine::namespace::request::{
    Aggregate, Answer, AnswerRow, Compute, Computed, Direction, Distance, Figure, Found, Fuse,
    Group, GroupKey, Include, Operator, OrderKey, Predicate, QueryRequest, Rank, Search,
    Statistics, Want,
};

/// The answer to a valid request.
fn answer(world: &World, request: &QueryRequest) -> Found {
    let Want::Several { searches, fuse } = &request.want else {
        return found(world, request.filter.as_ref(), None, &request.want);
    };
    let found = |search: &Search| {
        found(world, request.filter.as_ref(), search.filter.as_ref(), &search.want)
    };
    let all: Vec<Found> = searches.iter().map(found).collect();
    match fuse {
        None => Found::Several(all),
        Some(fuse) => Found::Several(vec![fused(fuse, &all)]),
    }
}

fn found(world: &World, one: Option<&Predicate>, other: Option<&Predicate>, want: &Want) -> Found {
    let holds = |document: &&Document| {
        [one, other].into_iter().flatten().all(|filter| matches(&world.schema, filter, document))
    };
    let selected: Vec<&Document> = world.documents.values().filter(holds).collect();
    match want {
        Want::Ids { limit } => {
            let mut ids: Vec<Id> = selected.iter().map(|document| document.id.clone()).collect();
            ids.sort_unstable();
            ids.truncate(*limit);
            Found::Ids(ids)
        }
        Want::Aggregates(all) => {
            let figure = |(label, aggregate): &(String, Aggregate)| {
                (label.clone(), figure(&world.schema, aggregate, &selected))
            };
            Found::Aggregates(all.iter().map(figure).collect())
        }
        Want::Groups { keys, aggregates, limit } => {
            grouped(&world.schema, keys, aggregates, *limit, &selected)
        }
        Want::Rows { rank, limit, per, include, compute } => {
            let mut ranked = ranked(&world.schema, rank, selected);
            if let Some(per) = per {
                let mut taken = BTreeMap::<Vec<Option<Scalar>>, usize>::new();
                ranked.retain(|(document, _)| {
                    let kind = per.keys.iter().map(|key| scalar(&world.schema, key, document));
                    let taken = taken.entry(kind.collect()).or_default();
                    *taken += 1;
                    *taken <= per.limit
                });
            }
            ranked.truncate(*limit);
            let row = |(document, distance): (&Document, Option<f32>)| AnswerRow {
                id: document.id.clone(),
                distance: distance.map(Distance),
                attributes: included(&world.schema, include, document),
                computed: computed(&world.schema, compute, document),
            };
            Found::Rows(ranked.into_iter().map(row).collect())
        }
        Want::Several { .. } => panic!("several in several"),
    }
}

fn grouped(
    schema: &Schema,
    keys: &[GroupKey],
    aggregates: &[(String, Aggregate)],
    limit: usize,
    selected: &[&Document],
) -> Found {
    let mut groups = BTreeMap::<Vec<Option<Scalar>>, Vec<&Document>>::new();
    for document in selected {
        let mut all = vec![Vec::new()];
        for key in keys {
            let choices: BTreeSet<Option<Scalar>> = match (&key.key, key.each) {
                (OrderKey::Attribute(name), true) => {
                    let Some(Value::Array(elements)) = value(schema, name.as_str(), document)
                    else {
                        all.clear();
                        break;
                    };
                    elements.iter().cloned().map(Some).collect()
                }
                (key, _) => BTreeSet::from([scalar(schema, key, document)]),
            };
            let longer = |one: &Vec<Option<Scalar>>| {
                choices
                    .iter()
                    .map(|choice| [one.as_slice(), core::slice::from_ref(choice)].concat())
                    .collect::<Vec<_>>()
            };
            all = all.iter().flat_map(longer).collect();
        }
        all.into_iter().for_each(|key| groups.entry(key).or_default().push(*document));
    }
    let group = |(keys, documents): (Vec<Option<Scalar>>, Vec<&Document>)| {
        let figures = aggregates.iter().map(|(_, one)| figure(schema, one, &documents));
        Group { keys, figures: figures.collect() }
    };
    Found::Groups {
        keys: keys.iter().map(|key| key.label.clone()).collect(),
        figures: aggregates.iter().map(|(label, _)| label.clone()).collect(),
        groups: groups.into_iter().take(limit).map(group).collect(),
    }
}

fn fused(fuse: &Fuse, lists: &[Found]) -> Found {
    let mut scored: Vec<(f64, AnswerRow)> = Vec::new();
    for (list, found) in lists.iter().enumerate() {
        let Found::Rows(rows) = found else { panic!("only rows are fused") };
        let weight = fuse.weights.as_ref().map_or(1.0, |weights| weights[list].number());
        for (place, row) in rows.iter().enumerate() {
            let share = weight / (fuse.rank_constant.number() + place as f64 + 1.0);
            match scored.iter_mut().find(|(_, other)| other.id == row.id) {
                None => scored.push((0.0 + share, row.clone())),
                Some((score, known)) => {
                    *score += share;
                    for pair in &row.attributes {
                        if !known.attributes.iter().any(|other| other.0 == pair.0) {
                            known.attributes.push(pair.clone());
                        }
                    }
                    for pair in &row.computed {
                        if !known.computed.iter().any(|other| other.0 == pair.0) {
                            known.computed.push(pair.clone());
                        }
                    }
                }
            }
        }
    }
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.id.cmp(&b.1.id)));
    let row = |(score, mut row): (f64, AnswerRow)| {
        row.distance = Some(Distance(score as f32));
        row
    };
    Found::Rows(scored.into_iter().skip(fuse.offset).take(fuse.limit).map(row).collect())
}

fn computed(
    schema: &Schema,
    compute: &[(String, Compute)],
    document: &Document,
) -> Vec<(String, Computed)> {
    let one = |(label, compute): &(String, Compute)| {
        let computed = match compute {
            Compute::Distance { attribute, to } => {
                let rank = Rank::nearest(attribute.clone(), to.clone());
                Computed::Number(Distance(ranked(schema, &rank, vec![document]).first()?.1?))
            }
            Compute::Score { attribute, to } => {
                let rank = Rank::Likest { attribute: attribute.clone(), to: to.clone() };
                Computed::Number(Distance(ranked(schema, &rank, vec![document]).first()?.1?))
            }
            Compute::Matches(predicate) => Computed::Bool(matches(schema, predicate, document)),
        };
        Some((label.clone(), computed))
    };
    compute.iter().filter_map(one).collect()
}

/// Fails unless `answer` is right.
pub(super) fn assert_right(world: &World, request: &QueryRequest, found: &Answer) {
    let Statistics { unindexed_rows, namespace_rows } = found.statistics;
    assert!(unindexed_rows <= namespace_rows && namespace_rows >= world.documents.len() as u64);
    let expected = answer(world, request);
    match (&request.want, &found.found, &expected) {
        (Want::Several { searches, fuse: None }, Found::Several(all), Found::Several(expected)) => {
            assert_eq!((all.len(), expected.len()), (searches.len(), searches.len()));
            for ((search, found), expected) in searches.iter().zip(all).zip(expected) {
                let filter = match (&request.filter, &search.filter) {
                    (Some(a), Some(b)) => Some(Predicate::And(vec![a.clone(), b.clone()])),
                    (a, b) => a.clone().or_else(|| b.clone()),
                };
                assert_found(world, filter.as_ref(), &search.want, found, expected);
            }
        }
        (Want::Several { .. }, Found::Several(fused), Found::Several(expected)) => {
            let ([Found::Rows(rows)], [Found::Rows(expected)]) = (&**fused, &**expected) else {
                panic!("several rows are fused into one list: {fused:?}")
            };
            assert_eq!(rows.len(), expected.len());
            rows.iter().zip(expected).for_each(|(row, other)| assert_row(row, other));
        }
        (want, found, expected) => {
            assert_found(world, request.filter.as_ref(), want, found, expected);
        }
    }
}

/// Fails unless this was to be found. Cosines differ in their last digits from those of the model, which
/// sums in another order: there rows may change places that are as near by these digits.
fn assert_found(
    world: &World,
    filter: Option<&Predicate>,
    want: &Want,
    result: &Found,
    expected: &Found,
) {
    let (Found::Rows(rows), Found::Rows(expected)) = (result, expected) else {
        assert_eq!(result, expected);
        return;
    };
    assert_eq!(rows.len(), expected.len());
    let Want::Rows { rank, per, include, compute, .. } = want else { panic!("rows were found") };
    let is_cosine = matches!(rank, Rank::Nearest { attribute, .. }
        if world.schema.attributes[attribute].metric == Some(Metric::Cosine));
    if !is_cosine {
        rows.iter().zip(expected).for_each(|(row, other)| assert_row(row, other));
        return;
    }
    assert!(per.is_none(), "the model cannot tell which of two that tie by digits is one too many");
    assert!(rows.is_sorted_by_key(|row| (row.distance, row.id.clone())), "{rows:?}");
    let (rank, include, compute) = (rank.clone(), include.clone(), compute.clone());
    let all = Want::Rows { rank, limit: usize::MAX, per: None, include, compute };
    let Found::Rows(all) = found(world, filter, None, &all) else { panic!("rows were asked for") };
    let far = |row: &AnswerRow| row.distance.unwrap().0;
    for (row, other) in rows.iter().zip(expected) {
        assert!((far(row) - far(other)).abs() < 1e-5, "{} is at {}", row.id, far(row));
        let same = all.iter().find(|other| other.id == row.id).expect("only what matches is found");
        assert_row(row, same);
    }
}

/// Fails unless these are the same, but for the last digits of distances.
fn assert_row(row: &AnswerRow, expected: &AnswerRow) {
    let close = |a: Distance, b: Distance| (a.0 - b.0).abs() < 1e-5;
    assert_eq!((&row.id, &row.attributes), (&expected.id, &expected.attributes));
    let near = match (row.distance, expected.distance) {
        (Some(a), Some(b)) => close(a, b),
        (a, b) => a == b,
    };
    assert!(near, "{row:?}\n{expected:?}");
    assert_eq!(row.computed.len(), expected.computed.len());
    for (one, other) in row.computed.iter().zip(&expected.computed) {
        let same = match (one.1, other.1) {
            (Computed::Number(a), Computed::Number(b)) => close(a, b),
            (a, b) => a == b,
        };
        assert!(one.0 == other.0 && same, "{row:?}\n{expected:?}");
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
        Some(other) => panic!("{other:?} is not compared"),
    };
    let any = |holds: fn(Ordering) -> bool| {
        elements.iter().any(|element| holds(element.cmp(&scalar(operand))))
    };
    let is_null = *operand == Raw::Null;
    let texts = |fits: &dyn Fn(&str, &str) -> bool| {
        let Raw::Text(pattern) = operand else { panic!("{operand:?} is no pattern") };
        elements
            .iter()
            .any(|element| matches!(element, Scalar::String(text) if fits(pattern, text)))
    };
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
        Operator::Glob => texts(&|glob, text| patterns::glob(glob, text, false)),
        Operator::IGlob => texts(&|glob, text| patterns::glob(glob, text, true)),
        Operator::NotGlob => !compares(Operator::Glob, operand, value, t, is_array),
        Operator::NotIGlob => !compares(Operator::IGlob, operand, value, t, is_array),
        Operator::Regex => texts(&patterns::regex),
    }
}

fn id_scalar(id: &Id) -> Scalar {
    match id {
        Id::Uint(id) => Scalar::Uint(*id),
        Id::Uuid(id) => Scalar::Uuid(*id),
        Id::String(id) => Scalar::String(id.clone()),
    }
}

fn scalar(schema: &Schema, key: &OrderKey, document: &Document) -> Option<Scalar> {
    match key {
        OrderKey::Id => Some(id_scalar(&document.id)),
        OrderKey::Attribute(name) => match value(schema, name.as_str(), document) {
            Some(Value::Scalar(scalar)) => Some(scalar),
            _ => None,
        },
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
        other => panic!("{other} has no scalars"),
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
                    let order = scalar(schema, key, a).cmp(&scalar(schema, key, b));
                    if *direction == Direction::Ascending { order } else { order.reverse() }
                };
                let order = keys.iter().map(by).find(|order| order.is_ne());
                order.unwrap_or_else(|| a.id.cmp(&b.id))
            });
            documents.into_iter().map(|document| (document, None)).collect()
        }
        Rank::Nearest { attribute, to, .. } => {
            let described = &schema.attributes[attribute];
            let Type::Vector(t) = described.value_type else { panic!("no vector") };
            let to = cast_vector(to, t.dimensions).unwrap();
            let metric = described.metric.unwrap();
            let mut near: Vec<_> = documents
                .into_iter()
                .filter_map(|document| match document.value(described.id) {
                    Some(Value::Vector(vector)) => {
                        let vector = vector.components();
                        Some((document, distance(metric, vector, to.components())))
                    }
                    _ => None,
                })
                .collect();
            // The test's vectors are small integers, so distances that are equal are equal here too.
            near.sort_by(|a, b| a.1.total_cmp(&b.1).then_with(|| a.0.id.cmp(&b.0.id)));
            near.into_iter().map(|(document, far)| (document, Some(far as f32))).collect()
        }
        Rank::Shuffled { attribute, seed } => {
            let id = schema.attributes[attribute].id;
            documents.retain(|document| document.value(id).is_some());
            documents.sort_by_key(|document| (place(&document.id, *seed), document.id.clone()));
            documents.into_iter().map(|document| (document, None)).collect()
        }
        Rank::Likest { attribute, to } => {
            let Raw::Weights(to) = to else { panic!("no weights") };
            let id = schema.attributes[attribute].id;
            let score = |document: &Document| {
                let Some(Value::Sparse(sparse)) = document.value(id) else { return 0.0 };
                let product = |(at, weight): &(u32, Float)| {
                    let same = sparse.weights().iter().find(|(other, _)| other == at);
                    same.map_or(0.0, |(_, held)| weight.number() * f64::from(held.number()))
                };
                to.iter().map(product).sum::<f64>()
            };
            let mut like: Vec<_> =
                documents.into_iter().map(|document| (document, score(document))).collect();
            like.retain(|(_, score)| *score != 0.0);
            like.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.id.cmp(&b.0.id)));
            like.into_iter().map(|(document, score)| (document, Some(score as f32))).collect()
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
) -> Vec<(sana_engine::base::name::AttributeName, Value)> {
    let shown = |name: &&sana_engine::base::name::AttributeName| match include {
        Include::Nothing => false,
        Include::All => true,
        Include::These(names) => names.contains(name),
        Include::AllBut(names) => !names.contains(name),
    };
    let names = schema.attributes.keys().filter(shown);
    let value = |name: &sana_engine::base::name::AttributeName| {
        let value = document.value(schema.attributes[name].id)?;
        Some((name.clone(), value.clone()))
    };
    names.filter_map(value).collect()
}
