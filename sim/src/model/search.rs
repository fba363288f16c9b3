//! Queries, answered by looking at every document.
//!
//! Of the engine this has the words of questions, answers and values, and no more: no filter, order,
//! index or kernel. What a filter means is in [`filter`](crate::model::filter), what a distance is in
//! [`rank`].

use std::collections::{BTreeMap, BTreeSet};

use sana_engine::base::name::AttributeName;
use sana_engine::base::value::{Float, Id, Scalar, Value};
use sana_engine::namespace::request::{
    Aggregate, AnswerRow, Compute, Computed, Distance, Figure, Found, Fuse, Group, GroupKey,
    Include, OrderKey, Predicate, QueryRequest, Rank, Search, Want,
};

pub use crate::model::filter::{attributes_of, holds, satisfies};
use crate::model::rank::{self, Ranked, key_of, ranked};
use crate::model::{Attributes, Content};

/// What a query finds in a namespace; `None` if it names an attribute that does not exist.
///
/// # Panics
///
/// If the query asks for what no workload asks for.
pub fn find(content: &Content, query: &QueryRequest) -> Option<Found> {
    let filter = query.filter.as_ref();
    let Want::Several { searches, fuse } = &query.want else {
        return found(content, [filter, None], &query.want);
    };
    let one = |search: &Search| found(content, [filter, search.filter.as_ref()], &search.want);
    let all = searches.iter().map(one).collect::<Option<Vec<Found>>>()?;
    Some(Found::Several(match fuse {
        None => all,
        Some(fuse) => vec![fused(fuse, &all)],
    }))
}

fn found(content: &Content, filters: [Option<&Predicate>; 2], want: &Want) -> Option<Found> {
    let filters = || filters.into_iter().flatten();
    let named = filters().flat_map(attributes_of).chain(attributes_of_want(want));
    if !named.into_iter().all(|name| content.has(name)) {
        return None;
    }
    let counts = |id: &Id, attributes: &Attributes| filters().all(|f| holds(f, id, attributes));
    let all = content.documents.iter().filter(|(id, attributes)| counts(id, attributes));
    let all = all.map(|(id, attributes)| (id, &**attributes));
    Some(match want {
        Want::Rows { rank, limit, per, include, compute } => {
            let mut rows = ranked(rank, all);
            if let Some(per) = per {
                let mut alike = BTreeMap::<Vec<Option<Scalar>>, usize>::new();
                rows.retain(|(id, attributes, _)| {
                    let kind = per.keys.iter().map(|key| key_of(key, id, attributes)).collect();
                    let count = alike.entry(kind).or_default();
                    *count += 1;
                    *count <= per.limit
                });
            }
            rows.truncate(*limit);
            Found::Rows(rows.into_iter().map(|ranked| row(ranked, include, compute)).collect())
        }
        Want::Ids { limit } => Found::Ids(all.map(|(id, _)| id.clone()).take(*limit).collect()),
        Want::Aggregates(wanted) => {
            let all: Vec<&Attributes> = all.map(|(_, attributes)| attributes).collect();
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
        Want::Several { .. } => panic!("nobody asks several things in one of several"),
    })
}

fn figure(wanted: &Aggregate, all: &[&Attributes]) -> Figure {
    let Aggregate::Sum(name) = wanted else { return Figure::Count(all.len() as u64) };
    let (mut integer, mut number) = (0, 0.0);
    for attributes in all {
        match attributes.get(name) {
            Some(Value::Scalar(Scalar::Int(n))) => integer += i128::from(*n),
            Some(Value::Scalar(Scalar::Uint(n))) => integer += i128::from(*n),
            // The workload's floats are halves, so their sums are exact.
            Some(Value::Scalar(Scalar::Float(n))) => number += n.number(),
            _ => {}
        }
    }
    if name.as_str() == "f" {
        Figure::Number(Float::new(number).expect("the sum of few is finite"))
    } else {
        Figure::Integer(integer)
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

/// The lists as one: a row's score is the sum, over the lists it stands in, of weight ÷ (constant +
/// place).
fn fused(fuse: &Fuse, lists: &[Found]) -> Found {
    let mut scored = BTreeMap::<&Id, (f64, &AnswerRow)>::new();
    for (list, found) in lists.iter().enumerate() {
        let Found::Rows(rows) = found else { panic!("only rows are fused") };
        let weight = fuse.weights.as_ref().map_or(1.0, |weights| weights[list].number());
        for (row, place) in rows.iter().zip(1_u32..) {
            let share = weight / (fuse.rank_constant.number() + f64::from(place));
            scored.entry(&row.id).or_insert((0.0, row)).0 += share;
        }
    }
    let mut scored: Vec<(f64, &AnswerRow)> = scored.into_values().collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.id.cmp(&b.1.id)));
    let row = |(score, row): (f64, &AnswerRow)| AnswerRow {
        distance: Some(Distance(score as f32)),
        ..row.clone()
    };
    Found::Rows(scored.into_iter().skip(fuse.offset).take(fuse.limit).map(row).collect())
}

/// The attributes that have to exist for this to be found.
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
        Want::Ids { .. } | Want::Several { .. } => Vec::new(),
    }
}

fn row(
    (id, attributes, distance): Ranked<'_>,
    include: &Include,
    compute: &[(String, Compute)],
) -> AnswerRow {
    let shown = |name: &AttributeName| match include {
        Include::Nothing => false,
        Include::All => true,
        Include::These(names) => names.contains(name),
        Include::AllBut(names) => !names.contains(name),
    };
    let number = |number: f64| Computed::Number(Distance(number as f32));
    let computed = compute.iter().filter_map(|(label, compute)| {
        let computed = match compute {
            Compute::Matches(filter) => Computed::Bool(holds(filter, id, attributes)),
            Compute::Distance { attribute, to } => {
                number(rank::distance(attributes, attribute, to)?)
            }
            Compute::Score { attribute, to } => number(rank::score(attributes, attribute, to)?),
        };
        Some((label.clone(), computed))
    });
    let computed = computed.collect();
    let attributes = attributes.iter().filter(|(name, _)| shown(name));
    let attributes = attributes.map(|(name, value)| (name.clone(), value.clone())).collect();
    let distance = distance.map(|far| Distance(far as f32));
    AnswerRow { id: id.clone(), distance, attributes, computed }
}

/// Whether an answer is what was to be found, but for the last digits of distances. Rows whose angles
/// are the same but for these digits may change places.
pub fn agrees(content: &Content, query: &QueryRequest, answer: &Found, expected: &Found) -> bool {
    match (answer, expected, &query.want) {
        (Found::Rows(rows), Found::Rows(expected), Want::Rows { rank, .. }) => {
            if rank::is_sample(rank) {
                is_sample(content, query, rows, expected.len())
            } else if rank::is_exact(rank) {
                rows.len() == expected.len() && rows.iter().zip(expected).all(|(a, b)| same(a, b))
            } else {
                agrees_nearly(content, query, rows, expected)
            }
        }
        (Found::Several(all), Found::Several(expected), Want::Several { searches, fuse: None }) => {
            let alone = |search: &Search| {
                let filters = [&query.filter, &search.filter].into_iter().flatten();
                let filter = Some(Predicate::And(filters.cloned().collect()));
                let (want, consistency) = (search.want.clone(), query.consistency);
                QueryRequest { filter, want, consistency }
            };
            let mut parts = searches.iter().zip(all.iter().zip(expected));
            all.len() == searches.len()
                && parts.all(|(search, (a, b))| agrees(content, &alone(search), a, b))
        }
        (Found::Several(one), Found::Several(expected), _) => match (&**one, &**expected) {
            ([Found::Rows(rows)], [Found::Rows(expected)]) => {
                rows.len() == expected.len() && rows.iter().zip(expected).all(|(a, b)| same(a, b))
            }
            _ => false,
        },
        _ => answer == expected,
    }
}

/// Whether these are so many rows, each another, of all that there are.
fn is_sample(content: &Content, query: &QueryRequest, rows: &[AnswerRow], count: usize) -> bool {
    let ids: BTreeSet<&Id> = rows.iter().map(|row| &row.id).collect();
    let all = find_all(content, query).unwrap_or_default();
    let is_one = |row: &AnswerRow| all.iter().any(|other| same(row, other));
    rows.len() == count && ids.len() == count && rows.iter().all(is_one)
}

/// The rows that a query would find without a limit.
fn find_all(content: &Content, query: &QueryRequest) -> Option<Vec<AnswerRow>> {
    let mut all = query.clone();
    if let Want::Rows { limit, .. } = &mut all.want {
        *limit = usize::MAX;
    }
    match find(content, &all) {
        Some(Found::Rows(all)) => Some(all),
        _ => None,
    }
}

/// The same, where rows may change places that are as near but for the last digits.
fn agrees_nearly(
    content: &Content,
    query: &QueryRequest,
    rows: &[AnswerRow],
    expected: &[AnswerRow],
) -> bool {
    let Some(all) = find_all(content, query) else { return false };
    let close = |a: &AnswerRow, b: &AnswerRow| match (a.distance, b.distance) {
        (Some(a), Some(b)) => rank::is_close(a, b),
        _ => false,
    };
    let is_one = |row: &AnswerRow| all.iter().any(|other| same(row, other));
    rows.len() == expected.len()
        && rows.is_sorted_by(|a, b| (a.distance, &a.id) < (b.distance, &b.id))
        && rows.iter().zip(expected).all(|(row, other)| close(row, other) && is_one(row))
}

/// Whether two rows are the same, but for the last digits of their numbers.
fn same(a: &AnswerRow, b: &AnswerRow) -> bool {
    let near = match (a.distance, b.distance) {
        (Some(a), Some(b)) => rank::is_close(a, b),
        (a, b) => a == b,
    };
    let computed = |((label, a), (other, b)): (&(String, Computed), &(String, Computed))| {
        label == other
            && match (a, b) {
                (Computed::Number(a), Computed::Number(b)) => rank::is_close(*a, *b),
                (a, b) => a == b,
            }
    };
    near && (&a.id, &a.attributes) == (&b.id, &b.attributes)
        && a.computed.len() == b.computed.len()
        && a.computed.iter().zip(&b.computed).all(computed)
}

#[cfg(test)]
mod tests {
    use sana_engine::base::value::Raw;
    use sana_engine::namespace::request::{Consistency, Operator};

    use super::*;
    use crate::digest::Shared;
    use crate::model::values;

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
        let raw = |x: f64| Raw::List(vec![Raw::Number(Float::new(x).unwrap())]);
        let value = |x| values::value("v", &raw(x)).unwrap();
        let document = |x: f64| Shared::new(Attributes::from([(name.clone(), value(x))]));
        let documents = [(1, 5.0), (2, 1.0), (3, -1.0), (4, 9.0)];
        let documents = documents.map(|(id, x)| (Id::Uint(id), document(x))).into();
        let attributes = BTreeSet::from([name.clone()]);
        let content = Content { documents, attributes, read_only: false };
        let rank = Rank::nearest(name.clone(), raw(0.0));
        let want = Want::rows(rank, 3, Include::Nothing);
        let query = QueryRequest { filter: None, want, consistency: Consistency::Strong };
        let Some(Found::Rows(rows)) = find(&content, &query) else { panic!("asked for rows") };
        let ids: Vec<_> = rows.into_iter().map(|row| (row.id, row.distance)).collect();
        let far = |x: f32| Some(Distance(x));
        assert_eq!(
            ids,
            [(2, far(1.0)), (3, far(1.0)), (1, far(25.0))].map(|(n, d)| (Id::Uint(n), d))
        );
    }
}
