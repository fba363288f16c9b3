//! Filters: arrays on the wire, predicates in the engine.

use sana_engine::base::limits;
use sana_engine::namespace::request::{Operator, Predicate};
use serde_json::Value;

use super::errors::Failure;
use super::json;

/// The predicate that a filter says.
///
/// # Errors
///
/// 422 if it is none, 400 if it is one that is not supported.
pub(super) fn parse(filter: &Value) -> Result<Predicate, Failure> {
    at_depth(filter, 0)
}

fn at_depth(filter: &Value, depth: usize) -> Result<Predicate, Failure> {
    let most = limits::FILTER_DEPTH_MAX;
    if depth > most {
        return Err(Failure::meaning(format!("the filter is nested deeper than {most} levels")));
    }
    let all = |filters: &Value| match filters {
        Value::Array(filters) => filters.iter().map(|f| at_depth(f, depth + 1)).collect(),
        _ => Err(shape("expected an array of filters")),
    };
    let Value::Array(parts) = filter else {
        return Err(shape("invalid type: expected an array, such as [\"attribute\", \"Eq\", 1]"));
    };
    match parts.as_slice() {
        [Value::String(word), filters] if word == "And" => all(filters).map(Predicate::And),
        [Value::String(word), filters] if word == "Or" => all(filters).map(Predicate::Or),
        [Value::String(word), filter] if word == "Not" => {
            Ok(Predicate::Not(Box::new(at_depth(filter, depth + 1)?)))
        }
        [Value::String(attribute), Value::String(operator), operand, rest @ ..] => {
            let operator = operator_of(operator)?;
            if !rest.is_empty() {
                return Err(shape(&format!("options do not go with the filter on `{attribute}`")));
            }
            let attribute = attribute.clone();
            if let Some(new) = reference(operand)? {
                return Ok(Predicate::CompareNew { attribute, operator, new });
            }
            let operand = json::raw(&format!("filters on `{attribute}`"), operand)?;
            Ok(Predicate::Compare { attribute, operator, operand })
        }
        _ => Err(shape("expected [attribute, operator, value], or And, Or or Not and filters")),
    }
}

/// The attribute whose new value an operand stands for, if it is `{"$ref_new": attribute}`.
fn reference(operand: &Value) -> Result<Option<String>, Failure> {
    let Some(new) = operand.get("$ref_new") else { return Ok(None) };
    match (new, operand.as_object().map_or(0, serde_json::Map::len)) {
        (Value::String(name), 1) => Ok(Some(name.clone())),
        _ => Err(shape("$ref_new: expected {\"$ref_new\": attribute} and nothing else")),
    }
}

fn operator_of(name: &str) -> Result<Operator, Failure> {
    if let Some(operator) = Operator::parse(name) {
        return Ok(operator);
    }
    Err(match name {
        "Fuzzy" | "ContainsAllTokens" | "ContainsAnyToken" | "ContainsTokenSequence" => {
            Failure::unsupported(&format!("the filter operator {name}"))
        }
        other => shape(&format!("unknown operator `{other}`")),
    })
}

fn shape(what: &str) -> Failure {
    Failure::shape(format!("filters: {what}"))
}

#[cfg(test)]
mod tests {
    use sana_engine::base::value::Raw;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_filter_is_read_as_nested_as_it_is_written() {
        let filter = json!(["And", [["a", "Eq", "x"], ["Or", []], ["Not", ["id", "In", [1, 2]]]]]);
        let compare = |attribute: &str, operator, operand| Predicate::Compare {
            attribute: attribute.to_owned(),
            operator,
            operand,
        };
        let ids = Raw::List(vec![Raw::Integer(1), Raw::Integer(2)]);
        let expected = Predicate::And(vec![
            compare("a", Operator::Eq, Raw::Text("x".into())),
            Predicate::Or(vec![]),
            Predicate::Not(Box::new(compare("id", Operator::In, ids))),
        ]);
        assert_eq!(parse(&filter), Ok(expected));
    }

    #[test]
    fn an_attribute_may_have_the_name_of_a_word() {
        let parsed = parse(&json!(["And", "Eq", null])).unwrap();
        assert!(matches!(parsed, Predicate::Compare { operand: Raw::Null, .. }));
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for bad in [
            json!("a"),
            json!([]),
            json!(["a"]),
            json!(["a", "Eq"]),
            json!(["And", ["a", "Eq", 1]]),
            json!(["a", "Equals", 1]),
            json!(["a", "Eq", {"$ref_new": "a"}]),
            json!(["a", "Eq", 1, {}]),
            json!([1, "Eq", 1]),
        ] {
            assert_eq!(parse(&bad).unwrap_err().status.as_u16(), 422, "{bad}");
        }
        for unsupported in ["Fuzzy", "ContainsAllTokens", "ContainsTokenSequence"] {
            let failure = parse(&json!(["a", unsupported, "x"])).unwrap_err();
            assert_eq!(failure.status.as_u16(), 400);
            assert!(failure.message.contains(unsupported), "{failure:?}");
        }
    }

    #[test]
    fn a_filter_has_a_depth() {
        let nested = |depth: usize| (0..depth).fold(json!(["Or", []]), |f, _| json!(["Not", f]));
        assert!(parse(&nested(limits::FILTER_DEPTH_MAX)).is_ok());
        let failure = parse(&nested(limits::FILTER_DEPTH_MAX + 1)).unwrap_err();
        assert!(failure.message.contains("nested deeper"), "{failure:?}");
    }
}
