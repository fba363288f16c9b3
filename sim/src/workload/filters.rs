//! Filters of queries and of writes, and conditions of writes.

use sana_engine::base::value::Raw;
use sana_engine::namespace::request::{Operator, Predicate};

use crate::choices::{Choices, Site};
use crate::model::patterns;
use crate::workload::values::{tag, text, value};
use crate::workload::{Mix, pick};

/// A filter of so many levels at most.
pub(super) fn filter(mix: &Mix, choices: &mut Choices, depth: u32) -> Predicate {
    let all = if depth == 0 { 9 } else { 12 };
    match choices.choose(Site::Workload, all) {
        0 => {
            let operator = pick(choices, &[Operator::In, Operator::NotIn]);
            let ids = (0..3).map(|_| mix.any_id(choices)).collect();
            compare("id", operator, Raw::List(ids))
        }
        1 => {
            let operators = [Operator::Eq, Operator::NotEq, Operator::Lt, Operator::Gte];
            let operator = pick(choices, &operators);
            compare("id", operator, mix.any_id(choices))
        }
        2 | 3 => {
            let operator = order(choices);
            let n = choices.between(Site::Workload, 0, 400);
            compare("n", operator, Raw::Integer(n.into()))
        }
        4 => {
            let operator = pick(choices, &[Operator::Eq, Operator::NotEq]);
            let null = choices.chance(Site::Workload, 200);
            compare("text", operator, if null { Raw::Null } else { text(choices) })
        }
        5 => {
            let operator = pick(choices, &[Operator::Contains, Operator::NotContains]);
            compare("tags", operator, tag(choices))
        }
        6 => {
            let operators = [Operator::ContainsAny, Operator::In, Operator::NotContainsAny];
            let operator = pick(choices, &operators);
            compare("tags", operator, Raw::List(vec![tag(choices), tag(choices)]))
        }
        7 => {
            let (operator, pattern) = pick(choices, &patterns::ALL);
            compare("text", operator, Raw::Text(pattern.into()))
        }
        8 if mix.wide > 0 => seldom(choices),
        8 => compare("n", order(choices), Raw::Null),
        9 => Predicate::And(vec![filter(mix, choices, depth - 1), filter(mix, choices, depth - 1)]),
        10 => Predicate::Or(vec![filter(mix, choices, depth - 1), filter(mix, choices, depth - 1)]),
        _ => Predicate::Not(Box::new(filter(mix, choices, depth - 1))),
    }
}

/// What the document that is there must satisfy: now and then that it is older.
pub(super) fn condition(mix: &Mix, choices: &mut Choices) -> Predicate {
    if choices.chance(Site::Workload, 500) {
        return filter(mix, choices, 1);
    }
    let operators = [Operator::Lt, Operator::Lt, Operator::Gte, Operator::NotEq];
    let operator = pick(choices, &operators);
    let attribute = if operator == Operator::NotEq { "text" } else { "n" };
    Predicate::CompareNew { attribute: attribute.into(), operator, new: attribute.into() }
}

/// Of an attribute that is not always there.
fn seldom(choices: &mut Choices) -> Predicate {
    let any = [Operator::AnyLt, Operator::AnyLte, Operator::AnyGt, Operator::AnyGte];
    match choices.choose(Site::Workload, 8) {
        0 => compare("u", order(choices), value(choices, "u")),
        1 => compare("f", order(choices), value(choices, "f")),
        2 => compare("t", order(choices), value(choices, "t")),
        3 => compare("b", Operator::Eq, value(choices, "b")),
        4 => {
            let operator = pick(choices, &[Operator::Eq, Operator::NotEq]);
            compare("g", operator, value(choices, "g"))
        }
        5 => compare("ns", pick(choices, &any), Raw::Integer(2)),
        6 => {
            let operator = pick(choices, &[Operator::Eq, Operator::NotEq]);
            compare("ns", operator, value(choices, "ns"))
        }
        _ => {
            let operator = pick(choices, &[Operator::In, Operator::NotIn]);
            compare("u", operator, Raw::List(vec![value(choices, "u"), value(choices, "u")]))
        }
    }
}

fn order(choices: &mut Choices) -> Operator {
    pick(choices, &[Operator::Lt, Operator::Lte, Operator::Gt, Operator::Gte])
}

fn compare(attribute: &str, operator: Operator, operand: Raw) -> Predicate {
    Predicate::Compare { attribute: attribute.into(), operator, operand }
}
