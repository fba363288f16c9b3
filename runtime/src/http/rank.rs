//! `rank_by`: the order of rows.

use sana_engine::base::limits::ORDER_KEYS_MAX;
use sana_engine::base::name::AttributeName;
use sana_engine::namespace::request::{Direction, OrderKey, Rank};
use serde_json::Value;

use super::errors::Failure;
use super::json;

/// Words that begin an expression, where an attribute's name would stand.
const COMBINATORS: [&str; 7] = ["Sum", "Max", "Product", "Attribute", "Saturate", "Decay", "Dist"];

/// The order that `rank_by` says. `filtered` is whether the query has a filter.
///
/// # Errors
///
/// 422 if it is none, 400 if it is one that is not supported or does not go without a filter.
pub(super) fn parse(by: &Value, filtered: bool) -> Result<Rank, Failure> {
    let Value::Array(parts) = by else {
        return Err(shape("invalid type: expected an array, such as [\"attribute\", \"asc\"]"));
    };
    match parts.as_slice() {
        [] => Err(Failure::meaning("💔 rank_by cannot be empty")),
        [Value::Array(_), ..] if parts.len() > ORDER_KEYS_MAX => {
            Err(Failure::meaning(format!("💔 rank_by takes at most {ORDER_KEYS_MAX} keys")))
        }
        [Value::Array(_), ..] => {
            let keys = parts.iter().map(|part| match part.as_array().map(Vec::as_slice) {
                Some([Value::String(name), Value::String(word)]) => order_key(name, word),
                _ => Err(shape("expected a list of [attribute, \"asc\" or \"desc\"]")),
            });
            keys.collect::<Result<_, _>>().map(Rank::By)
        }
        [Value::String(name), Value::String(word)] if is_direction(word) => {
            Ok(Rank::By(vec![order_key(name, word)?]))
        }
        [Value::String(word), ..] if is_combinator(word) => {
            Err(Failure::unsupported(&format!("the rank expression {word}")))
        }
        [Value::String(name), Value::String(word), operand, ..] => match word.as_str() {
            "ANN" | "kNN" if parts.len() > 3 => Err(shape("ANN and kNN take one vector")),
            "kNN" if !filtered => Err(Failure::meaning("💔 kNN queries must specify filters")),
            "ANN" | "kNN" => nearest(name, operand, word == "kNN"),
            "SparseKNN" if parts.len() > 3 => Err(shape("SparseKNN takes one vector")),
            "SparseKNN" => {
                let to = json::raw("rank_by", operand)?;
                Ok(Rank::Likest { attribute: attribute(name)?, to })
            }
            "BM25" => Err(Failure::unsupported(&format!("the rank expression {word}"))),
            other => Err(shape(&format!("unknown operator `{other}`"))),
        },
        _ => {
            Err(shape("expected [attribute, \"ANN\", vector] or [attribute, \"asc\" or \"desc\"]"))
        }
    }
}

fn nearest(name: &str, operand: &Value, is_exact: bool) -> Result<Rank, Failure> {
    match operand.as_array().and_then(|list| list.first()) {
        Some(Value::String(word)) if word == "Embed" => return Err(Failure::hosted("Embed")),
        Some(Value::Array(_)) => {
            return Err(Failure::unsupported("a query of several vectors"));
        }
        _ => {}
    }
    let to = json::raw("rank_by", operand)?;
    Ok(Rank::Nearest { attribute: attribute(name)?, to, is_exact, metric: None })
}

fn attribute(name: &str) -> Result<AttributeName, Failure> {
    AttributeName::parse(name).map_err(|problem| Failure::bad_attribute(name, problem))
}

/// Whether this word begins an expression that combines others.
pub(super) fn is_combinator(word: &str) -> bool {
    COMBINATORS.contains(&word)
}

fn is_direction(word: &str) -> bool {
    matches!(word, "asc" | "desc")
}

fn order_key(name: &str, word: &str) -> Result<(OrderKey, Direction), Failure> {
    let direction = match word {
        "asc" => Direction::Ascending,
        "desc" => Direction::Descending,
        other => return Err(shape(&format!("unknown direction `{other}`"))),
    };
    if name == "id" {
        return Ok((OrderKey::Id, direction));
    }
    Ok((OrderKey::Attribute(attribute(name)?), direction))
}

fn shape(what: &str) -> Failure {
    Failure::shape(format!("rank_by: {what}"))
}

#[cfg(test)]
mod tests {
    use sana_engine::base::value::{Float, Raw};
    use serde_json::json;

    use super::*;

    fn refused(by: &Value, status: u16, part: &str) {
        let failure = parse(by, false).expect_err(part);
        assert_eq!(failure.status.as_u16(), status, "{by}: {failure:?}");
        assert!(failure.message.contains(part), "{by}: {failure:?}");
    }

    #[test]
    fn orders_are_told_from_distances_by_their_second_word() {
        let a = || OrderKey::Attribute(AttributeName::parse("a").unwrap());
        let one = Rank::By(vec![(a(), Direction::Ascending)]);
        assert_eq!(parse(&json!(["a", "asc"]), false), Ok(one));
        let two = vec![(a(), Direction::Ascending), (OrderKey::Id, Direction::Descending)];
        assert_eq!(parse(&json!([["a", "asc"], ["id", "desc"]]), false), Ok(Rank::By(two)));
        let sum = OrderKey::Attribute(AttributeName::parse("Sum").unwrap());
        let by_sum = Rank::By(vec![(sum, Direction::Descending)]);
        assert_eq!(parse(&json!(["Sum", "desc"]), false), Ok(by_sum));
    }

    #[test]
    fn a_query_vector_is_numbers_or_text() {
        let nearest = |to, is_exact| {
            let attribute = AttributeName::parse("vector").unwrap();
            Ok(Rank::Nearest { attribute, to, is_exact, metric: None })
        };
        let numbers = Raw::List(vec![Raw::Number(Float::new(0.1).unwrap()), Raw::Integer(2)]);
        assert_eq!(parse(&json!(["vector", "ANN", [0.1, 2]]), false), nearest(numbers, false));
        let text = Raw::Text("zczMPc3MTD4=".into());
        assert_eq!(parse(&json!(["vector", "kNN", "zczMPc3MTD4="]), true), nearest(text, true));
        refused(&json!(["vector", "kNN", [0.1]]), 400, "must specify filters");
    }

    #[test]
    fn sparse_vectors_are_weights_of_dimensions() {
        let weights = vec![(7, Float::new(0.5).unwrap()), (1, Float::new(2.0).unwrap())];
        let attribute = AttributeName::parse("s").unwrap();
        let likest = Rank::Likest { attribute, to: Raw::Weights(weights) };
        let by = serde_json::from_str(r#"["s","SparseKNN",{"7":0.5,"1":2}]"#).unwrap();
        // A tree of JSON is sorted by its keys as texts; the engine sorts by dimensions.
        let sorted = |rank| match rank {
            Rank::Likest { attribute, to: Raw::Weights(mut weights) } => {
                weights.sort_by_key(|(dimension, _)| core::cmp::Reverse(*dimension));
                Rank::Likest { attribute, to: Raw::Weights(weights) }
            }
            other => other,
        };
        assert_eq!(parse(&by, false).map(sorted), Ok(likest));
        refused(&json!(["s", "SparseKNN", {"a": 1}]), 422, "invalid type: map");
        refused(&json!(["s", "SparseKNN", {"1": "a"}]), 422, "invalid type: string");
    }

    #[test]
    fn what_is_not_supported_is_named() {
        refused(&json!([]), 400, "rank_by cannot be empty");
        refused(&json!(["text", "BM25", "quick", {"last_as_prefix": true}]), 400, "BM25");
        refused(&json!(["Sum", [["a", "BM25", "x"]]]), 400, "Sum is not supported");
        refused(&json!(["vector", "ANN", ["Embed", "text"]]), 400, "hosted");
        refused(&json!(["vector", "ANN", [[0.1], [0.2]]]), 400, "several vectors");
        refused(&Value::Array(vec![json!(["a", "asc"]); 9]), 400, "at most 8");
        for bad in [json!("a"), json!(["a"]), json!(["a", "up"]), json!([["a"]]), json!([1, 2])] {
            refused(&bad, 422, "rank_by");
        }
    }
}
