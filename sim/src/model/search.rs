//! Queries, answered by looking at every document.
//!
//! Null, as the wire contract has it: `Eq` with null asks whether the attribute is missing; whatever
//! compares smaller is true of a missing one; complements are complements.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use sana_engine::base::name::AttributeName;
use sana_engine::base::value::{Id, Raw, Scalar, Value};
use sana_engine::namespace::request::{
    Aggregate, AnswerRow, Compute, Computed, Direction, Figure, Found, Group, GroupKey, Include,
    Operator, OrderKey, Predicate, QueryRequest, Rank, RawDocument, Search, Want,
};

use crate::model::{self, Attributes, Content};

/// What a query finds in a namespace; `None` if it names an attribute that does not exist. Distances are
/// left out: the model says only which rows there are and in which order.
///
/// # Panics
///
/// If the query asks for what no workload asks for.
pub fn find(content: &Content, query: &QueryRequest) -> Option<Found> {
    found(content, query.filter.as_ref(), &query.want)
}

fn found(content: &Content, filter: Option<&Predicate>, want: &Want) -> Option<Found> {
    let named = filter.map(attributes_of).unwrap_or_default();
    if !named.into_iter().chain(attributes_of_want(want)).all(|name| content.has(name)) {
        return None;
    }
    let counts = |id: &Id, attributes: &Attributes| {
        filter.is_none_or(|filter| holds(filter, id, attributes))
    };
    let all = content.documents.iter().filter(|(id, attributes)| counts(id, attributes));
    Some(match want {
        Want::Rows { rank, limit, per, include, compute } => {
            let mut rows: Vec<(&Id, &Attributes)> = all.map(|(id, a)| (id, &**a)).collect();
            rows.sort_by(|a, b| compare(rank, *a, *b).then(a.0.cmp(b.0)));
            if let Rank::Nearest { attribute, .. } = rank {
                rows.retain(|(_, attributes)| attributes.contains_key(attribute));
            }
            if let Some(per) = per {
                let mut alike = BTreeMap::<Vec<Option<Scalar>>, usize>::new();
                rows.retain(|(id, attributes)| {
                    let kind = per.keys.iter().map(|key| key_of(key, id, attributes)).collect();
                    let count = alike.entry(kind).or_default();
                    *count += 1;
                    *count <= per.limit
                });
            }
            rows.truncate(*limit);
            Found::Rows(rows.into_iter().map(|(id, a)| row(id, a, include, compute)).collect())
        }
        Want::Aggregates(wanted) => {
            let all: Vec<&Attributes> = all.map(|(_, attributes)| &**attributes).collect();
            let figure = |(label, wanted): &_| (String::clone(label), figure(wanted, &all));
            Found::Aggregates(wanted.iter().map(figure).collect())
        }
        Want::Groups { keys, aggregates, limit } => {
            let mut groups = BTreeMap::<Vec<Option<Scalar>>, Vec<&Attributes>>::new();
            for (id, attributes) in all {
                for key in keys_of(keys, id, attributes) {
                    groups.entry(key).or_default().push(attributes);
                }
            }
            let group = |(keys, all): (Vec<Option<Scalar>>, Vec<&Attributes>)| Group {
                keys,
                figures: aggregates.iter().map(|(_, wanted)| figure(wanted, &all)).collect(),
            };
            Found::Groups {
                keys: keys.iter().map(|key| key.label.clone()).collect(),
                figures: aggregates.iter().map(|(label, _)| label.clone()).collect(),
                groups: groups.into_iter().take(*limit).map(group).collect(),
            }
        }
        Want::Several { searches, fuse } => {
            assert!(fuse.is_none(), "the workload fuses nothing");
            let one = |search: &Search| found(content, search.filter.as_ref(), &search.want);
            Found::Several(searches.iter().map(one).collect::<Option<_>>()?)
        }
    })
}

fn figure(wanted: &Aggregate, all: &[&Attributes]) -> Figure {
    match wanted {
        Aggregate::Count => Figure::Count(all.len() as u64),
        Aggregate::Sum(name) => Figure::Integer(all.iter().map(|a| int(a, name)).sum()),
    }
}

/// The keys of the groups that a document belongs to.
fn keys_of(keys: &[GroupKey], id: &Id, attributes: &Attributes) -> BTreeSet<Vec<Option<Scalar>>> {
    let mut all = BTreeSet::from([Vec::new()]);
    for key in keys {
        let values: Vec<Option<Scalar>> = match (&key.key, key.each) {
            (OrderKey::Attribute(name), true) => match attributes.get(name) {
                Some(Value::Array(elements)) => elements.iter().cloned().map(Some).collect(),
                _ => Vec::new(),
            },
            (key, _) => vec![key_of(key, id, attributes)],
        };
        let longer = |(key, value): (&Vec<_>, &Option<Scalar>)| {
            let mut key = key.clone();
            key.push(value.clone());
            key
        };
        all = all.iter().flat_map(|key| values.iter().map(move |v| (key, v))).map(longer).collect();
    }
    all
}

fn key_of(key: &OrderKey, id: &Id, attributes: &Attributes) -> Option<Scalar> {
    match (key, id) {
        (OrderKey::Attribute(name), _) => scalar(attributes, name).cloned(),
        (OrderKey::Id, Id::Uint(id)) => Some(Scalar::Uint(*id)),
        (OrderKey::Id, other) => panic!("{other} is no id of the workload"),
    }
}

/// The attributes that a filter names.
pub fn attributes_of(filter: &Predicate) -> Vec<&str> {
    match filter {
        Predicate::And(all) | Predicate::Or(all) => all.iter().flat_map(attributes_of).collect(),
        Predicate::Not(one) => attributes_of(one),
        Predicate::Compare { attribute, .. } | Predicate::CompareNew { attribute, .. } => {
            vec![attribute]
        }
    }
}

/// The attributes that have to exist for this to be found; those of several searches aside.
fn attributes_of_want(want: &Want) -> Vec<&str> {
    fn of_key(key: &OrderKey) -> Option<&str> {
        match key {
            OrderKey::Attribute(name) => Some(name.as_str()),
            OrderKey::Id => None,
        }
    }
    let sums = |aggregates| {
        let aggregates: &[(String, Aggregate)] = aggregates;
        aggregates.iter().filter_map(|(_, wanted)| match wanted {
            Aggregate::Sum(name) => Some(name.as_str()),
            Aggregate::Count => None,
        })
    };
    match want {
        Want::Rows { rank, per, include, compute, .. } => {
            let mut names: Vec<&str> = match rank {
                Rank::By(keys) => keys.iter().filter_map(|(key, _)| of_key(key)).collect(),
                Rank::Nearest { attribute, .. }
                | Rank::Likest { attribute, .. }
                | Rank::Shuffled { attribute, .. } => {
                    vec![attribute.as_str()]
                }
            };
            names.extend(per.iter().flat_map(|per| &per.keys).filter_map(of_key));
            if let Include::These(shown) = include {
                names.extend(shown.iter().map(AttributeName::as_str));
            }
            for (_, compute) in compute {
                match compute {
                    Compute::Matches(filter) => names.extend(attributes_of(filter)),
                    Compute::Distance { attribute, .. } | Compute::Score { attribute, .. } => {
                        names.push(attribute.as_str());
                    }
                }
            }
            names
        }
        Want::Aggregates(aggregates) => sums(aggregates).collect(),
        Want::Groups { keys, aggregates, .. } => {
            keys.iter().filter_map(|key| of_key(&key.key)).chain(sums(aggregates)).collect()
        }
        Want::Several { .. } => Vec::new(),
    }
}

/// Whether an answer is what the model found, distances aside.
pub fn agrees(answer: &Found, expected: &Found) -> bool {
    match (answer, expected) {
        (Found::Rows(answer), Found::Rows(expected)) => {
            let plain = |row: &AnswerRow| {
                let is_truth = |(_, computed): &&_| matches!(computed, Computed::Bool(_));
                let truths: Vec<_> = row.computed.iter().filter(is_truth).cloned().collect();
                (row.id.clone(), row.attributes.clone(), truths)
            };
            answer.iter().map(plain).eq(expected.iter().map(plain))
        }
        (Found::Several(answer), Found::Several(expected)) => {
            answer.len() == expected.len()
                && answer.iter().zip(expected).all(|(answer, expected)| agrees(answer, expected))
        }
        _ => answer == expected,
    }
}

fn int(attributes: &Attributes, name: &AttributeName) -> i128 {
    match attributes.get(name) {
        Some(Value::Scalar(Scalar::Int(n))) => i128::from(*n),
        _ => 0,
    }
}

fn row(
    id: &Id,
    attributes: &Attributes,
    include: &Include,
    compute: &[(String, Compute)],
) -> AnswerRow {
    let shown = |name: &AttributeName| match include {
        Include::Nothing => false,
        Include::All => true,
        Include::These(names) => names.contains(name),
        Include::AllBut(names) => !names.contains(name),
    };
    let computed = compute.iter().filter_map(|(label, compute)| match compute {
        Compute::Matches(filter) => {
            Some((label.clone(), Computed::Bool(holds(filter, id, attributes))))
        }
        _ => None,
    });
    let computed = computed.collect();
    let attributes = attributes.iter().filter(|(name, _)| shown(name));
    let attributes = attributes.map(|(name, value)| (name.clone(), value.clone())).collect();
    AnswerRow { id: id.clone(), distance: None, attributes, computed }
}

fn compare(rank: &Rank, a: (&Id, &Attributes), b: (&Id, &Attributes)) -> Ordering {
    match rank {
        Rank::By(keys) => {
            let one = |(key, direction): &(OrderKey, Direction)| {
                let ascending = match key {
                    OrderKey::Id => a.0.cmp(b.0),
                    OrderKey::Attribute(name) => scalar(a.1, name).cmp(&scalar(b.1, name)),
                };
                match direction {
                    Direction::Ascending => ascending,
                    Direction::Descending => ascending.reverse(),
                }
            };
            keys.iter().map(one).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
        }
        Rank::Nearest { attribute, to, .. } => {
            let far = |attributes: &Attributes| squared(attributes.get(attribute), to);
            far(a.1).total_cmp(&far(b.1))
        }
        other @ (Rank::Likest { .. } | Rank::Shuffled { .. }) => {
            panic!("the workload has no order like {other:?}")
        }
    }
}

fn scalar<'a>(attributes: &'a Attributes, name: &AttributeName) -> Option<&'a Scalar> {
    match attributes.get(name) {
        Some(Value::Scalar(scalar)) => Some(scalar),
        _ => None,
    }
}

/// The squared Euclidean distance. The components of the workload are small integers, so it is exact
/// in whatever order it is added up.
fn squared(value: Option<&Value>, to: &Raw) -> f32 {
    match (value, model::value(to)) {
        (Some(Value::Vector(a)), Some(Value::Vector(b))) => {
            a.components().iter().zip(b.components()).map(|(a, b)| (a - b) * (a - b)).sum()
        }
        _ => f32::INFINITY,
    }
}

/// Whether a document satisfies a filter that mentions no new values.
///
/// # Panics
///
/// If it mentions some, or anything that the workload does not ask.
pub fn holds(filter: &Predicate, id: &Id, attributes: &Attributes) -> bool {
    satisfies(filter, id, attributes, None)
}

/// Whether a document satisfies the condition of a write of these new values.
///
/// # Panics
///
/// If it mentions new values and there are none, or anything that the workload does not ask.
pub fn satisfies(
    filter: &Predicate,
    id: &Id,
    attributes: &Attributes,
    new: Option<&RawDocument>,
) -> bool {
    match filter {
        Predicate::And(all) => all.iter().all(|one| satisfies(one, id, attributes, new)),
        Predicate::Or(all) => all.iter().any(|one| satisfies(one, id, attributes, new)),
        Predicate::Not(one) => !satisfies(one, id, attributes, new),
        Predicate::CompareNew { attribute, operator, new: name } => {
            let new = new.expect("only writes of documents have new values");
            let value = new.attributes.iter().find(|(attribute, _)| attribute.as_str() == name);
            let operand = value.map_or(&Raw::Null, |(_, raw)| raw);
            let orders =
                matches!(operator, Operator::Lt | Operator::Lte | Operator::Gt | Operator::Gte);
            let name = AttributeName::parse(attribute).expect("the workload's names are good");
            let can_hold = !orders || *operand != Raw::Null;
            can_hold && compares(attributes.get(&name), *operator, operand)
        }
        Predicate::Compare { attribute, operator, operand } if attribute == "id" => {
            let among = |operand: &Raw| match operand {
                Raw::List(all) => all.iter().any(|raw| model::id(raw) == *id),
                raw => model::id(raw) == *id,
            };
            match operator {
                Operator::Eq | Operator::In => among(operand),
                Operator::NotEq | Operator::NotIn => !among(operand),
                other => panic!("the workload does not ask {other:?} of ids"),
            }
        }
        Predicate::Compare { attribute, operator, operand } => {
            let name = AttributeName::parse(attribute).expect("the workload's names are good");
            compares(attributes.get(&name), *operator, operand)
        }
    }
}

fn compares(value: Option<&Value>, operator: Operator, operand: &Raw) -> bool {
    let elements = || match value {
        Some(Value::Array(elements)) => elements.to_vec(),
        Some(Value::Scalar(scalar)) => vec![scalar.clone()],
        _ => vec![],
    };
    let operands = || match operand {
        Raw::List(all) => all.iter().map(model::scalar).collect(),
        one => vec![model::scalar(one)],
    };
    let shares = || elements().iter().any(|element| operands().contains(element));
    let order = || match value {
        Some(Value::Scalar(scalar)) => scalar.cmp(&model::scalar(operand)),
        _ => Ordering::Less,
    };
    match operator {
        Operator::Eq if *operand == Raw::Null => value.is_none(),
        Operator::NotEq if *operand == Raw::Null => value.is_some(),
        Operator::Eq | Operator::In | Operator::Contains | Operator::ContainsAny => shares(),
        Operator::NotEq | Operator::NotIn => !shares(),
        Operator::NotContains | Operator::NotContainsAny => !shares(),
        Operator::Lt => order().is_lt(),
        Operator::Lte => order().is_le(),
        Operator::Gt => order().is_gt(),
        Operator::Gte => order().is_ge(),
        other => panic!("the workload does not ask {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn asked(operator: Operator, operand: Raw, n: Option<i64>) -> bool {
        let name = AttributeName::parse("n").unwrap();
        let value = n.map(|n| (name, Value::Scalar(Scalar::Int(n))));
        let attributes = value.into_iter().collect();
        let filter = Predicate::Compare { attribute: "n".into(), operator, operand };
        holds(&filter, &Id::Uint(1), &attributes)
    }

    #[test]
    fn a_missing_value_is_smaller_than_all() {
        assert!(asked(Operator::Lt, Raw::Integer(5), None));
        assert!(!asked(Operator::Gte, Raw::Integer(5), None));
        assert!(asked(Operator::Eq, Raw::Null, None));
        assert!(asked(Operator::NotEq, Raw::Integer(5), None));
        assert!(asked(Operator::Gt, Raw::Integer(5), Some(6)));
    }

    #[test]
    fn the_nearest_come_first_and_ties_by_id() {
        let name = AttributeName::parse("v").unwrap();
        let raw = |x: f32| Raw::List(vec![model::component(x)]);
        let document =
            |x: f32| Arc::new(Attributes::from([(name.clone(), model::value(&raw(x)).unwrap())]));
        let documents = [(1, 5.0), (2, 1.0), (3, -1.0), (4, 9.0)];
        let documents = documents.map(|(id, x)| (Id::Uint(id), document(x))).into();
        let attributes = BTreeSet::from([name.clone()]);
        let content = Content { documents, attributes, read_only: false };
        let rank = Rank::nearest(name.clone(), raw(0.0));
        let want = Want::rows(rank, 3, Include::Nothing);
        let query = QueryRequest {
            filter: None,
            want,
            consistency: sana_engine::namespace::request::Consistency::default(),
        };
        let Some(Found::Rows(rows)) = find(&content, &query) else { panic!("asked for rows") };
        let ids: Vec<_> = rows.into_iter().map(|row| row.id).collect();
        assert_eq!(ids, [2, 3, 1].map(Id::Uint));
    }
}
