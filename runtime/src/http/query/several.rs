//! Several queries in one request, and how their lists become one.

use sana_engine::base::limits;
use sana_engine::base::value::Float;
use sana_engine::namespace::request::{Fuse, Want};
use serde::Deserialize;
use serde_json::Value;

use super::{Asked, Body};
use crate::http::errors::Failure;

/// The options of `["RRF", {…}]`.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct FuseOptions {
    rank_constant: Option<f64>,
    weights: Option<Vec<f64>>,
}

/// How little the first places stand out, if nobody says.
const RANK_CONSTANT: f64 = 60.0;

/// What several queries want, and how many of the first rows of each are left out.
pub(super) fn parse(body: &Body, queries: &[Body]) -> Result<(Want, Vec<usize>), Failure> {
    if let Some(field) = body.field_of_one() {
        return Err(Failure::meaning(format!("💔 {field} does not go with queries")));
    }
    let most = limits::SEARCHES_MAX;
    match queries.len() {
        0 => return Err(Failure::meaning("💔 must send at least one sub-query")),
        count if count > most => {
            return Err(Failure::meaning(format!(
                "💔 multi-query exceeds per-namespace concurrency budget: requires {count} permits, \
                 max is {most}"
            )));
        }
        _ => {}
    }
    let fuse = fuse(body)?;
    let mut searches = Vec::new();
    let mut offsets = Vec::new();
    for query in queries {
        let whole = [
            ("consistency", query.consistency.is_some()),
            ("vector_encoding", query.vector_encoding.is_some()),
            ("rerank_by", query.rerank_by.is_some()),
            ("queries", query.queries.is_some()),
        ];
        if let Some((field, _)) = whole.iter().find(|(_, there)| *there) {
            return Err(Failure::meaning(format!("💔 {field} does not go into a sub-query")));
        }
        let Asked { search, offset } = query.asked()?;
        if fuse.is_some() && offset > 0 {
            let message = "💔 offset in a sub-query does not go with rerank_by";
            return Err(Failure::meaning(message));
        }
        searches.push(search);
        offsets.push(offset);
    }
    Ok((Want::Several { searches, fuse }, offsets))
}

fn fuse(body: &Body) -> Result<Option<Fuse>, Failure> {
    let offset = body.offset.unwrap_or(0) as usize;
    let Some(by) = &body.rerank_by else {
        let field = [("limit", body.limit.is_some()), ("offset", offset > 0)];
        return match field.iter().find(|(_, there)| *there) {
            Some((field, _)) => Err(Failure::meaning(format!(
                "💔 {field} beside queries goes with rerank_by only; give each query its own"
            ))),
            None => Ok(None),
        };
    };
    let shape = |what: &str| Failure::shape(format!("rerank_by: {what}"));
    let options = match by.as_array().map(Vec::as_slice) {
        Some([Value::String(word)]) if word == "RRF" => FuseOptions::default(),
        Some([Value::String(word), options]) if word == "RRF" => {
            FuseOptions::deserialize(options).map_err(|error| shape(&error.to_string()))?
        }
        _ => return Err(shape("expected [\"RRF\"] or [\"RRF\", options]")),
    };
    let float = |number: f64| Float::new(number).ok_or_else(|| shape("a number is out of range"));
    let weights = options.weights.map(|weights| weights.into_iter().map(float).collect());
    let most = limits::QUERY_ROWS_MAX;
    let limit = body.limit()?.unwrap_or(most.saturating_sub(offset));
    if limit + offset > most {
        return Err(Failure::meaning(format!("💔 limit and offset together exceed {most}")));
    }
    let rank_constant = float(options.rank_constant.unwrap_or(RANK_CONSTANT))?;
    Ok(Some(Fuse { rank_constant, weights: weights.transpose()?, offset, limit }))
}
