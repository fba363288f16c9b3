//! `POST /v1/namespaces/{ns}/_debug/recall`: how many of the true neighbours a search finds.
//!
//! Vectors of the namespace are drawn, and for each the documents near it are looked for twice at the
//! same moment: as `ANN` does and by comparing all vectors. The first is measured by the second.

use std::collections::BTreeSet;

use bytes::Bytes;
use sana_engine::base::cast::cast_vector;
use sana_engine::base::limits;
use sana_engine::base::name::{AttributeName, NamespaceName};
use sana_engine::base::value::{Raw, Type, Value, Vector};
use sana_engine::format::schema::Schema;
use sana_engine::namespace::request::{
    AnswerRow, Consistency, Found, Include, Predicate, QueryError, QueryRequest, Rank, Search, Want,
};
use serde::{Deserialize, Serialize};

use super::errors::{Failure, out_of_range};
use super::json::{self, VectorEncoding};
use super::query::Rows;
use super::tree::Tree;
use super::{filter, rank};
use crate::entropy;
use crate::node::{Given, Memory, Moment, Node};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    num: Option<i64>,
    top_k: Option<usize>,
    filters: Option<Tree>,
    rank_by: Option<Tree>,
    include_ground_truth: Option<bool>,
}

/// What to measure.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Measure {
    queries: Queries,
    filter: Option<Predicate>,
    limit: usize,
    includes_truth: bool,
}

/// What documents are looked for near.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Queries {
    /// So many vectors of the namespace.
    Drawn(usize),
    /// This vector.
    Given { attribute: AttributeName, to: Raw },
}

/// What came of it, all queries together.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Measured {
    queries: usize,
    recall: f64,
    exact_rows: usize,
    ann_rows: usize,
    truth: Option<Vec<Truth>>,
}

/// A query, and what is near.
#[derive(Clone, PartialEq, Debug)]
struct Truth {
    to: Vector,
    rows: Vec<AnswerRow>,
}

/// The most queries one measurement may ask, and how many it asks if nobody says.
const QUERIES_MAX: i64 = 200;
const QUERIES_DEFAULT: i64 = 25;
const TOP_K_DEFAULT: usize = 10;
/// What is asked at once: each query is two searches, and they share what they read.
const AT_ONCE: usize = limits::SEARCHES_MAX / 2;

/// The measurement in a body.
///
/// # Errors
///
/// 400 or 422, saying what is wrong with the body.
pub(super) fn parse(body: &[u8]) -> Result<Measure, Failure> {
    let body: Body = json::parse(if body.is_empty() { b"{}" } else { body })?;
    if body.num.is_some_and(|num| !(1..=QUERIES_MAX).contains(&num)) {
        let message = format!("💔 samples must be between 1 and {QUERIES_MAX}");
        return Err(Failure::meaning(message));
    }
    let limit = body.top_k.unwrap_or(TOP_K_DEFAULT);
    if !(1..=limits::QUERY_ROWS_MAX).contains(&limit) {
        return Err(out_of_range("top_k"));
    }
    let filter = body.filters.as_deref().map(filter::parse).transpose()?;
    let is_one = body.num.is_none_or(|num| num == 1);
    let queries = match &body.rank_by {
        None => Queries::Drawn(body.num.unwrap_or(QUERIES_DEFAULT).unsigned_abs() as usize),
        Some(_) if !is_one => {
            return Err(Failure::meaning("💔 rank_by and num cannot be specified together"));
        }
        Some(by) => {
            let Rank::Nearest { attribute, to, .. } = rank::parse(by, filter.is_some())? else {
                let message = "💔 recall is measured of searches by vector: rank_by takes ANN";
                return Err(Failure::meaning(message));
            };
            Queries::Given { attribute, to }
        }
    };
    let includes_truth = body.include_ground_truth.unwrap_or(false);
    Ok(Measure { queries, filter, limit, includes_truth })
}

impl Measure {
    /// Measures at one moment of a namespace.
    pub(super) async fn on(
        &self,
        node: &Node,
        name: &NamespaceName,
    ) -> Given<Measured, QueryError> {
        let seed = entropy::seed() as u64;
        let mut moments = node.moments(name, Memory::Used);
        loop {
            let moment = match moments.newest().await? {
                Ok(moment) => moment,
                Err(error) => return Ok(Err(error)),
            };
            match self.at(&moment, seed).await? {
                Err(error) if moments.begins_again(&error) => {}
                done => return Ok(done),
            }
        }
    }

    async fn at(&self, moment: &Moment, seed: u64) -> Given<Measured, QueryError> {
        let schema = &moment.snapshot().live().schema;
        let truth = self.includes_truth.then(Vec::new);
        let mut measured = Measured { truth, ..Measured::default() };
        let (attribute, queries) = match &self.queries {
            Queries::Given { attribute, to } => (attribute.clone(), vec![to.clone()]),
            Queries::Drawn(count) => {
                let Some(attribute) = vector_attribute(schema) else { return Ok(Ok(measured)) };
                let drawn = match draw(moment, &attribute, *count, seed).await? {
                    Ok(drawn) => drawn,
                    Err(error) => return Ok(Err(error)),
                };
                (attribute, drawn)
            }
        };
        for some in queries.chunks(AT_ONCE) {
            let searches = some.iter().flat_map(|to| {
                [false, true].map(|is_exact| self.search(attribute.clone(), to.clone(), is_exact))
            });
            let want = Want::Several { searches: searches.collect(), fuse: None };
            let (answer, _) = match moment.ask(strong(want)).await? {
                Ok(answered) => answered,
                Err(error) => return Ok(Err(error)),
            };
            let Found::Several(lists) = answer.found else {
                unreachable!("several were asked for")
            };
            let mut lists = lists.into_iter().map(|found| match found {
                Found::Rows(rows) => rows,
                other => unreachable!("rows were asked for, not {other:?}"),
            });
            for to in some {
                let (ann, exact) = (lists.next(), lists.next());
                measured.add(&ann.unwrap_or_default(), exact.unwrap_or_default(), || {
                    vector(schema, &attribute, to)
                });
            }
            if measured.bytes() > limits::FOUND_BYTES_MAX {
                return Ok(Err(QueryError::TooLarge { most: limits::FOUND_BYTES_MAX }));
            }
        }
        Ok(Ok(measured))
    }

    fn search(&self, attribute: AttributeName, to: Raw, is_exact: bool) -> Search {
        let rank = Rank::Nearest { attribute, to, is_exact, metric: None };
        let want = Want::rows(rank, self.limit, Include::Nothing);
        Search { filter: self.filter.clone(), want }
    }
}

impl Measured {
    /// Takes the answers to one query into account.
    fn add(
        &mut self,
        ann: &[AnswerRow],
        exact: Vec<AnswerRow>,
        to: impl FnOnce() -> Option<Vector>,
    ) {
        let near: BTreeSet<_> = exact.iter().map(|row| &row.id).collect();
        let found = ann.iter().filter(|row| near.contains(&row.id)).count();
        // Of nothing, nothing is missed.
        self.recall += if near.is_empty() { 1.0 } else { found as f64 / near.len() as f64 };
        self.queries += 1;
        self.ann_rows += ann.len();
        self.exact_rows += exact.len();
        if let Some(truth) = &mut self.truth {
            truth.extend(to().map(|to| Truth { to, rows: exact }));
        }
    }

    /// About how much memory it takes, and its answer.
    pub(super) fn bytes(&self) -> usize {
        let row = |row: &AnswerRow| size_of::<AnswerRow>() + row.id.logical_bytes() as usize;
        let truth = |truth: &Truth| {
            16 * truth.to.components().len() + truth.rows.iter().map(row).sum::<usize>()
        };
        self.truth.iter().flatten().map(truth).sum()
    }

    /// The measurement, as the answer's body.
    pub(super) fn answer(&self) -> Bytes {
        let mean = |sum: f64| sum / self.queries.max(1) as f64;
        let truth = self.truth.iter().flatten().map(|truth| PrintedTruth {
            query_vector: truth.to.components(),
            nearest_neighbors: Rows { rows: &truth.rows, vectors: VectorEncoding::Float },
        });
        let body = AnswerBody {
            avg_recall: if self.queries == 0 { 1.0 } else { mean(self.recall) },
            avg_exhaustive_count: mean(self.exact_rows as f64),
            avg_ann_count: mean(self.ann_rows as f64),
            ground_truth: self.truth.is_some().then(|| truth.collect()),
        };
        let printed = serde_json::to_vec(&body);
        Bytes::from(printed.expect("keys are texts, and writing to memory does not fail"))
    }
}

#[derive(Serialize)]
struct AnswerBody<'a> {
    avg_recall: f64,
    avg_exhaustive_count: f64,
    avg_ann_count: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ground_truth: Option<Vec<PrintedTruth<'a>>>,
}

#[derive(Serialize)]
struct PrintedTruth<'a> {
    query_vector: &'a [f32],
    nearest_neighbors: Rows<'a>,
}

/// The attribute that searches of a namespace are about if nobody says: the one of the usual name, or
/// the first.
fn vector_attribute(schema: &Schema) -> Option<AttributeName> {
    let attributes = schema.attributes.iter();
    let mut vectors = attributes.filter(|(_, it)| matches!(it.value_type, Type::Vector(_)));
    let usual = vectors.clone().find(|(name, _)| name.as_str() == "vector");
    usual.or_else(|| vectors.next()).map(|(name, _)| name.clone())
}

/// Vectors of documents of a namespace, as many as there are up to `count`.
async fn draw(
    moment: &Moment,
    attribute: &AttributeName,
    count: usize,
    seed: u64,
) -> Given<Vec<Raw>, QueryError> {
    let rank = Rank::Shuffled { attribute: attribute.clone(), seed };
    let want = Want::rows(rank, count, Include::These(vec![attribute.clone()]));
    let (answer, _) = match moment.ask(strong(want)).await? {
        Ok(answered) => answered,
        Err(error) => return Ok(Err(error)),
    };
    let Found::Rows(rows) = answer.found else { unreachable!("rows were asked for") };
    let vectors = rows.into_iter().flat_map(|row| row.attributes).filter_map(|(_, value)| {
        let Value::Vector(vector) = value else { return None };
        Some(Raw::Text(json::base64_of(&vector).into()))
    });
    Ok(Ok(vectors.collect()))
}

fn vector(schema: &Schema, attribute: &AttributeName, to: &Raw) -> Option<Vector> {
    let Type::Vector(t) = schema.attributes.get(attribute)?.value_type else { return None };
    cast_vector(to, t.dimensions).ok()
}

const fn strong(want: Want) -> QueryRequest {
    QueryRequest { filter: None, want, consistency: Consistency::Strong }
}

#[cfg(test)]
mod tests {
    use sana_engine::base::value::Id;
    use sana_engine::namespace::request::Distance;

    use super::*;

    #[test]
    fn a_measurement_has_bounds() {
        let drawn = |body: &[u8]| match parse(body).unwrap() {
            Measure { queries: Queries::Drawn(count), limit, includes_truth, .. } => {
                (count, limit, includes_truth)
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(drawn(b""), (25, 10, false));
        assert_eq!(drawn(br#"{"num":5,"top_k":3,"include_ground_truth":true}"#), (5, 3, true));
        let given = parse(br#"{"rank_by":["v","ANN",[1]],"num":1}"#).unwrap();
        assert!(matches!(given.queries, Queries::Given { .. }));
        let refused = |body: &str| parse(body.as_bytes()).unwrap_err().message;
        for num in ["0", "201", "-1"] {
            let message = refused(&format!(r#"{{"num":{num}}}"#));
            assert!(message.contains("samples must be between 1 and 200"), "{message}");
        }
        assert!(refused(r#"{"num":2,"rank_by":["v","ANN",[1]]}"#).contains("together"));
        assert!(refused(r#"{"rank_by":["a","asc"]}"#).contains("searches by vector"));
        assert!(refused(r#"{"top_k":0}"#).contains("top_k must be between 1 and 10000"));
    }

    fn rows(ids: &[u64]) -> Vec<AnswerRow> {
        let row = |id: &u64| AnswerRow {
            id: Id::Uint(*id),
            distance: Some(Distance(0.5)),
            attributes: Vec::new(),
            computed: Vec::new(),
        };
        ids.iter().map(row).collect()
    }

    #[test]
    fn what_a_search_misses_is_told() {
        let mut measured = Measured { truth: Some(Vec::new()), ..Measured::default() };
        let to = || Vector::new(vec![0.25, 2.0]);
        measured.add(&rows(&[1, 2, 3, 9]), rows(&[1, 2, 3, 4]), to);
        measured.add(&rows(&[5]), rows(&[5, 6]), to);
        measured.add(&rows(&[]), rows(&[]), to);
        measured.add(&rows(&[1, 2]), rows(&[2, 1]), to);
        let answer: serde_json::Value = serde_json::from_slice(&measured.answer()).unwrap();
        assert_eq!(answer["avg_recall"], (0.75 + 0.5 + 1.0 + 1.0) / 4.0);
        assert_eq!(answer["avg_exhaustive_count"], 8.0 / 4.0);
        assert_eq!(answer["avg_ann_count"], 7.0 / 4.0);
        let truth = &answer["ground_truth"];
        assert_eq!(truth.as_array().unwrap().len(), 4);
        let second = serde_json::json!({
            "query_vector": [0.25, 2.0],
            "nearest_neighbors": [{"id": 5, "$dist": 0.5}, {"id": 6, "$dist": 0.5}],
        });
        assert_eq!(truth[1], second);
    }
}
