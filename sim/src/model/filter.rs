//! Filters and conditions, tested on one document.
//!
//! Null, as the wire contract has it: `Eq` with null asks whether the attribute is missing; whatever
//! compares smaller is true of a missing one; complements are complements.

use std::cmp::Ordering;

use sana_engine::base::name::AttributeName;
use sana_engine::base::value::{Id, Raw, Scalar, Type, Value};
use sana_engine::namespace::request::{Operator, Predicate, RawDocument};

use crate::model::{Attributes, patterns, values};

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
            let there = attributes.get(&known(attribute));
            compares(attribute, there, *operator, operand)
        }
        Predicate::Compare { attribute, operator, operand } if attribute == "id" => {
            compares_id(id, *operator, operand)
        }
        Predicate::Compare { attribute, operator, operand } => {
            compares(attribute, attributes.get(&known(attribute)), *operator, operand)
        }
    }
}

fn known(attribute: &str) -> AttributeName {
    AttributeName::parse(attribute).expect("the workload's names are good")
}

fn compares_id(id: &Id, operator: Operator, operand: &Raw) -> bool {
    let scalar = |raw: &Raw| values::id_scalar(&values::id(raw));
    let among = || match operand {
        Raw::List(all) => all.iter().any(|raw| values::id(raw) == *id),
        raw => values::id(raw) == *id,
    };
    let order = || values::id_scalar(id).cmp(&scalar(operand));
    match operator {
        Operator::Eq | Operator::In => among(),
        Operator::NotEq | Operator::NotIn => !among(),
        Operator::Lt => order().is_lt(),
        Operator::Lte => order().is_le(),
        Operator::Gt => order().is_gt(),
        Operator::Gte => order().is_ge(),
        other => panic!("the workload does not ask {other:?} of ids"),
    }
}

fn compares(attribute: &str, value: Option<&Value>, operator: Operator, operand: &Raw) -> bool {
    let elements: &[Scalar] = match value {
        Some(Value::Array(elements)) => elements,
        Some(Value::Scalar(scalar)) => std::slice::from_ref(scalar),
        _ => &[],
    };
    let is_null = *operand == Raw::Null;
    let is_array = matches!(values::type_of(attribute), Some(Type::Array(_)));
    let shares = || {
        let has = |raw: &Raw| elements.contains(&values::scalar(attribute, raw));
        match operand {
            Raw::List(all) => all.iter().any(has),
            one => has(one),
        }
    };
    let any = |fits: fn(Ordering) -> bool| {
        let bound = values::scalar(attribute, operand);
        elements.iter().any(|element| fits(element.cmp(&bound)))
    };
    let fits = |element: &Scalar| match (element, operand) {
        (Scalar::String(text), Raw::Text(pattern)) => patterns::matches(pattern, text),
        _ => false,
    };
    let complement = |of| !compares(attribute, value, of, operand);
    match operator {
        Operator::Eq if is_null => value.is_none(),
        Operator::Eq if is_array && matches!(operand, Raw::List(_)) => {
            value == values::value(attribute, operand).as_ref()
        }
        Operator::Eq | Operator::In | Operator::Contains | Operator::ContainsAny => shares(),
        Operator::NotEq => complement(Operator::Eq),
        Operator::NotIn => complement(Operator::In),
        Operator::NotContains => complement(Operator::Contains),
        Operator::NotContainsAny => complement(Operator::ContainsAny),
        // Nothing is smaller than nothing, and whatever is there is larger.
        Operator::Lt if is_null => false,
        Operator::Lte if is_null => value.is_none(),
        Operator::Gt | Operator::Gte if is_null => value.is_some(),
        Operator::Lt => value.is_none() || any(Ordering::is_lt),
        Operator::Lte => value.is_none() || any(Ordering::is_le),
        Operator::AnyLt => any(Ordering::is_lt),
        Operator::AnyLte => any(Ordering::is_le),
        Operator::Gt | Operator::AnyGt => any(Ordering::is_gt),
        Operator::Gte | Operator::AnyGte => any(Ordering::is_ge),
        Operator::Glob | Operator::IGlob | Operator::Regex => elements.iter().any(fits),
        Operator::NotGlob | Operator::NotIGlob => !elements.iter().any(fits),
    }
}
