//! Queries, answered by looking at every document.
//!
//! Null, as the wire contract has it: `Eq` with null asks whether the attribute is missing; whatever
//! compares smaller is true of a missing one; complements are complements.

use std::cmp::Ordering;

use sana_engine::base::name::AttributeName;
use sana_engine::base::value::{Id, Raw, Scalar, Value};
use sana_engine::namespace::request::{
    Aggregate, AnswerRow, Direction, Figure, Found, Include, Operator, OrderKey, Predicate,
    QueryRequest, Rank, RawDocument, Want,
};

use crate::model::{self, Attributes, Documents};

/// What a query finds among these documents. Distances are left out: the model says only which rows
/// there are and in which order.
///
/// # Panics
///
/// If the query asks for what no workload asks for.
pub fn find(documents: &Documents, query: &QueryRequest) -> Found {
    let counts = |id: &Id, attributes: &Attributes| {
        query.filter.as_ref().is_none_or(|filter| holds(filter, id, attributes))
    };
    let all = documents.iter().filter(|(id, attributes)| counts(id, attributes));
    match &query.want {
        Want::Rows { rank, limit, include, .. } => {
            let mut rows: Vec<(&Id, &Attributes)> = all.map(|(id, a)| (id, &**a)).collect();
            rows.sort_by(|a, b| compare(rank, *a, *b).then(a.0.cmp(b.0)));
            if let Rank::Nearest { attribute, .. } = rank {
                rows.retain(|(_, attributes)| attributes.contains_key(attribute));
            }
            rows.truncate(*limit);
            Found::Rows(rows.into_iter().map(|(id, a)| row(id, a, include)).collect())
        }
        Want::Aggregates(wanted) => {
            let all: Vec<&Attributes> = all.map(|(_, attributes)| &**attributes).collect();
            let figure = |(label, wanted): &(String, Aggregate)| {
                let figure = match wanted {
                    Aggregate::Count => Figure::Count(all.len() as u64),
                    Aggregate::Sum(name) => Figure::Integer(all.iter().map(|a| int(a, name)).sum()),
                };
                (label.clone(), figure)
            };
            Found::Aggregates(wanted.iter().map(figure).collect())
        }
        other => panic!("the workload asks for nothing like {other:?}"),
    }
}

/// Whether an answer is what the model found, distances aside.
pub fn agrees(answer: &Found, expected: &Found) -> bool {
    match (answer, expected) {
        (Found::Rows(answer), Found::Rows(expected)) => {
            let plain = |row: &AnswerRow| (row.id.clone(), row.attributes.clone());
            answer.iter().map(plain).eq(expected.iter().map(plain))
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

fn row(id: &Id, attributes: &Attributes, include: &Include) -> AnswerRow {
    let shown = |name: &AttributeName| match include {
        Include::Nothing => false,
        Include::All => true,
        Include::These(names) => names.contains(name),
        Include::AllBut(names) => !names.contains(name),
    };
    let attributes = attributes.iter().filter(|(name, _)| shown(name));
    let attributes = attributes.map(|(name, value)| (name.clone(), value.clone())).collect();
    AnswerRow { id: id.clone(), distance: None, attributes, computed: Vec::new() }
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
        Rank::Nearest { attribute, to } => {
            let far = |attributes: &Attributes| squared(attributes.get(attribute), to);
            far(a.1).total_cmp(&far(b.1))
        }
        other @ Rank::Likest { .. } => panic!("the workload has no order like {other:?}"),
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
        let documents: Documents = [(1, 5.0), (2, 1.0), (3, -1.0), (4, 9.0)]
            .map(|(id, x)| (Id::Uint(id), document(x)))
            .into();
        let rank = Rank::Nearest { attribute: name.clone(), to: raw(0.0) };
        let want = Want::rows(rank, 3, Include::Nothing);
        let query = QueryRequest {
            filter: None,
            want,
            consistency: sana_engine::namespace::request::Consistency::default(),
        };
        let Found::Rows(rows) = find(&documents, &query) else { panic!("asked for rows") };
        let ids: Vec<_> = rows.into_iter().map(|row| row.id).collect();
        assert_eq!(ids, [2, 3, 1].map(Id::Uint));
    }
}
