//! `POST /v1/namespaces/{ns}/_debug/recall`: how many of the true neighbours a search finds.
//!
//! Search by vector is exact: it finds all of them, whatever is asked. So only how many documents a
//! query finds is looked up.

use bytes::Bytes;
use sana_engine::base::limits;
use sana_engine::namespace::request::{Consistency, Found, Include, QueryRequest, Rank, Want};
use serde::Deserialize;
use serde_json::json;

use super::errors::{Failure, out_of_range};
use super::tree::Tree;
use super::{filter, json as body_json, rank};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    num: Option<i64>,
    top_k: Option<usize>,
    filters: Option<Tree>,
    rank_by: Option<Tree>,
    include_ground_truth: Option<bool>,
}

/// The most queries one measurement may ask.
const SAMPLES_MAX: i64 = 200;
const TOP_K_DEFAULT: usize = 10;

/// The query whose results are counted.
///
/// # Errors
///
/// 400 or 422, saying what is wrong with the body.
pub(super) fn parse(body: &[u8]) -> Result<QueryRequest, Failure> {
    let body: Body = body_json::parse(if body.is_empty() { b"{}" } else { body })?;
    if body.num.is_some_and(|num| !(1..=SAMPLES_MAX).contains(&num)) {
        let message = format!("💔 samples must be between 1 and {SAMPLES_MAX}");
        return Err(Failure::meaning(message));
    }
    if body.include_ground_truth == Some(true) {
        return Err(Failure::unsupported("include_ground_truth"));
    }
    let limit = body.top_k.unwrap_or(TOP_K_DEFAULT);
    if !(1..=limits::QUERY_ROWS_MAX).contains(&limit) {
        return Err(out_of_range("top_k"));
    }
    let filter = body.filters.as_deref().map(filter::parse).transpose()?;
    let rank = match &body.rank_by {
        None => Rank::By(Vec::new()),
        Some(_) if body.num.is_some_and(|num| num != 1) => {
            return Err(Failure::meaning("💔 rank_by and num cannot be specified together"));
        }
        Some(by) => rank::parse(by, filter.is_some())?,
    };
    let want = Want::rows(rank, limit, Include::Nothing);
    Ok(QueryRequest { filter, want, consistency: Consistency::Strong })
}

/// The measurement, as the answer's body.
pub(super) fn answer(found: &Found) -> Bytes {
    let count = match found {
        Found::Rows(rows) => rows.len() as f64,
        _ => 0.0,
    };
    let body = json!({"avg_recall": 1.0, "avg_exhaustive_count": count, "avg_ann_count": count});
    Bytes::from(body.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measurement_has_bounds() {
        assert!(parse(b"").is_ok());
        let asked = parse(br#"{"num":5,"top_k":3}"#).unwrap();
        assert!(matches!(asked.want, Want::Rows { limit: 3, .. }));
        let refused = |body: &str| parse(body.as_bytes()).unwrap_err().message;
        assert!(refused(r#"{"num":0}"#).contains("samples must be between 1 and 200"));
        assert!(refused(r#"{"num":2,"rank_by":["v","ANN",[1]]}"#).contains("together"));
        assert!(refused(r#"{"include_ground_truth":true}"#).contains("not supported"));
    }
}
