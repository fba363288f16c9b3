//! `POST /v2/namespaces/{ns}/query`: what is looked for, and what was found.

use core::time::Duration;

use bytes::Bytes;
use sana_engine::base::limits;
use sana_engine::base::name::AttributeName;
use sana_engine::base::value::Id;
use sana_engine::namespace::request::{
    Aggregate, Answer, AnswerRow, Consistency, Figure, Found, Include, QueryRequest, Rank, Want,
};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::errors::{Failure, out_of_range};
use super::json::{self, Printed, PrintedId, VectorEncoding};
use super::write::MetricName;
use super::{filter, rank};

/// A query, and what concerns only its answer on the wire.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Query {
    pub(super) request: QueryRequest,
    /// How many of the first rows are left out.
    pub(super) offset: usize,
    pub(super) vectors: VectorEncoding,
}

/// A body, field by field. Null is the same as not there.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    rank_by: Option<Value>,
    top_k: Option<i64>,
    limit: Option<Limit>,
    offset: Option<u32>,
    filters: Option<Value>,
    include_attributes: Option<IncludeNames>,
    exclude_attributes: Option<Vec<String>>,
    compute_attributes: Option<Map<String, Value>>,
    aggregate_by: Option<Map<String, Value>>,
    group_by: Option<Value>,
    consistency: Option<ConsistencyBody>,
    vector_encoding: Option<VectorEncoding>,
    rerank_by: Option<Value>,
    queries: Option<Value>,
    /// An old spelling that says what the namespace knows.
    #[serde(rename = "distance_metric")]
    _distance_metric: Option<MetricName>,
    /// Where bytes are read from changes no answer.
    #[serde(rename = "disable_cache")]
    _disable_cache: Option<bool>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Limit {
    Total(i64),
    Object { total: Option<i64>, per: Option<Value> },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum IncludeNames {
    All(bool),
    These(Vec<String>),
}

#[derive(Deserialize)]
#[serde(rename = "Consistency", deny_unknown_fields)]
struct ConsistencyBody {
    level: Level,
    max_staleness_seconds: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Strong,
    Eventual,
}

/// How old a view an eventual query may use if it does not say.
const STALENESS_SECONDS: u32 = 60;

/// The query in a body.
///
/// # Errors
///
/// 400 or 422, saying what is wrong with the body.
pub(super) fn parse(body: &[u8]) -> Result<Query, Failure> {
    let body: Body = json::parse(body)?;
    body.refuse_unsupported()?;
    let filter = body.filters.as_ref().map(filter::parse).transpose()?;
    let offset = body.offset.unwrap_or(0) as usize;
    let want = match &body.aggregate_by {
        Some(labels) => body.aggregates(labels)?,
        None => body.rows(offset, filter.is_some())?,
    };
    let consistency = match body.consistency {
        None | Some(ConsistencyBody { level: Level::Strong, .. }) => Consistency::Strong,
        Some(ConsistencyBody { level: Level::Eventual, max_staleness_seconds }) => {
            let seconds = max_staleness_seconds.unwrap_or(STALENESS_SECONDS);
            Consistency::Eventual(Duration::from_secs(seconds.into()))
        }
    };
    let request = QueryRequest { filter, want, consistency };
    Ok(Query { request, offset, vectors: body.vector_encoding.unwrap_or_default() })
}

impl Body {
    fn refuse_unsupported(&self) -> Result<(), Failure> {
        if self.rerank_by.as_ref().is_some_and(Value::is_object) {
            return Err(Failure::hosted("rerank_by with a model"));
        }
        let fields = [
            ("rerank_by", self.rerank_by.is_some()),
            ("a request with several queries (`queries`)", self.queries.is_some()),
            ("compute_attributes", self.compute_attributes.as_ref().is_some_and(|m| !m.is_empty())),
            ("group_by", self.group_by.is_some()),
            ("limit.per", matches!(self.limit, Some(Limit::Object { per: Some(_), .. }))),
        ];
        let unsupported = fields.iter().find(|(_, asked)| *asked);
        unsupported.map_or(Ok(()), |(name, _)| Err(Failure::unsupported(name)))
    }

    fn rows(&self, offset: usize, filtered: bool) -> Result<Want, Failure> {
        let rank = match &self.rank_by {
            None => Rank::By(Vec::new()),
            Some(by) => rank::parse(by, filtered)?,
        };
        let limit = self
            .limit()?
            .ok_or_else(|| Failure::meaning("💔 rank_by queries must specify top_k or limit"))?;
        if limit + offset > limits::QUERY_ROWS_MAX {
            let most = limits::QUERY_ROWS_MAX;
            return Err(Failure::meaning(format!("💔 limit and offset together exceed {most}")));
        }
        Ok(Want::Rows { rank, limit: limit + offset, include: self.include()? })
    }

    /// How many rows or groups are wanted.
    fn limit(&self) -> Result<Option<usize>, Failure> {
        let total = match self.limit {
            None => None,
            Some(Limit::Total(total)) => Some(total),
            Some(Limit::Object { total, .. }) => total,
        };
        let (field, limit) = match (self.top_k, total) {
            (Some(_), Some(_)) => {
                return Err(Failure::meaning("💔 specify either top_k or limit, not both"));
            }
            (Some(top_k), None) => ("top_k", top_k),
            (None, Some(total)) => ("limit", total),
            (None, None) => return Ok(None),
        };
        let limit = usize::try_from(limit).map_err(|_| out_of_range(field))?;
        let allowed = (1..=limits::QUERY_ROWS_MAX).contains(&limit);
        if allowed { Ok(Some(limit)) } else { Err(out_of_range(field)) }
    }

    fn include(&self) -> Result<Include, Failure> {
        match (&self.include_attributes, &self.exclude_attributes) {
            (Some(_), Some(_)) => Err(Failure::meaning(
                "💔 cannot specify both include_attributes and exclude_attributes",
            )),
            (None | Some(IncludeNames::All(false)), None) => Ok(Include::Nothing),
            (Some(IncludeNames::All(true)), None) => Ok(Include::All),
            (Some(IncludeNames::These(names)), None) => {
                // The id is always shown, so asking for it changes nothing.
                let names = names.iter().filter(|name| *name != "id").map(|name| {
                    AttributeName::parse(name).map_err(|_| {
                        Failure::meaning(format!(
                            "💔 attribute \"{name}\" not found in schema, cannot be part of \
                             `include_attributes`"
                        ))
                    })
                });
                Ok(Include::These(names.collect::<Result<_, _>>()?))
            }
            // Nothing can have a name that is none.
            (None, Some(names)) => {
                let names = names.iter().filter_map(|name| AttributeName::parse(name).ok());
                Ok(Include::AllBut(names.collect()))
            }
        }
    }

    fn aggregates(&self, labels: &Map<String, Value>) -> Result<Want, Failure> {
        let beside = [
            ("rank_by", self.rank_by.is_some()),
            ("include_attributes", self.include_attributes.is_some()),
            ("exclude_attributes", self.exclude_attributes.is_some()),
            ("offset", self.offset.is_some_and(|offset| offset > 0)),
        ];
        if let Some((field, _)) = beside.iter().find(|(_, there)| *there) {
            return Err(Failure::meaning(format!("💔 {field} does not go with aggregate_by")));
        }
        // Without groups there is one row of figures, which every limit admits.
        self.limit()?;
        if labels.is_empty() {
            return Err(Failure::meaning("💔 aggregate_by cannot be empty"));
        }
        let one = |(label, by): (&String, &Value)| Ok((label.clone(), aggregate(label, by)?));
        labels.iter().map(one).collect::<Result<_, _>>().map(Want::Aggregates)
    }
}

fn aggregate(label: &str, by: &Value) -> Result<Aggregate, Failure> {
    let shape = || {
        Failure::shape(format!(
            "aggregate_by.{label}: expected [\"Count\"] or [\"Sum\", attribute], got {by}"
        ))
    };
    let words: Vec<&str> =
        by.as_array().ok_or_else(shape)?.iter().filter_map(Value::as_str).collect();
    match words.as_slice() {
        // The second is how clients spelled it once.
        ["Count"] | ["Count", "id"] => Ok(Aggregate::Count),
        ["Sum", name] => {
            let name = AttributeName::parse(name)
                .map_err(|problem| Failure::bad_attribute(name, problem))?;
            Ok(Aggregate::Sum(name))
        }
        _ => Err(shape()),
    }
}

/// What an answer says beside what was found.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Performance {
    /// From the request's first byte to now, at least 1.
    pub(super) total_ms: u64,
    /// Within the engine, at least 1.
    pub(super) execution_ms: u64,
    /// Reads answered from memory.
    pub(super) hits: u64,
    /// Reads that went to the store.
    pub(super) misses: u64,
}

/// About how large an answer's body is, in bytes.
pub(super) fn bytes_hint(answer: &Answer) -> usize {
    match &answer.found {
        // A number of four bytes is about eight digits.
        Found::Rows(rows) => rows.iter().map(|row| 32 + 2 * row_bytes(row) as usize).sum(),
        Found::Aggregates(figures) => 32 * figures.len(),
    }
}

/// The fewest bytes a query is billed for, as clients expect to read it. Nobody sends a bill.
const QUERIED_BYTES_MIN: u64 = 256_000_000;

/// What a query found, as the answer's body.
pub(super) fn answer(query: &Query, answer: &Answer, performance: Performance) -> Bytes {
    let (rows, aggregations) = match &answer.found {
        Found::Rows(rows) => (Some(rows.get(query.offset..).unwrap_or_default()), None),
        Found::Aggregates(figures) => (None, Some(Figures(figures))),
    };
    let returned = rows.map_or(0, |rows| rows.iter().map(row_bytes).sum::<u64>());
    let rows = rows.map(|rows| Rows { rows, vectors: query.vectors });
    let reads = performance.hits + performance.misses;
    let ratio = if reads == 0 { 1.0 } else { performance.hits as f64 / reads as f64 };
    let temperature = match ratio {
        r if r >= 0.95 => "hot",
        r if r >= 0.5 => "warm",
        _ => "cold",
    };
    let body = AnswerBody {
        rows,
        aggregations,
        billing: json!({
            "billable_logical_bytes_queried": QUERIED_BYTES_MIN,
            "billable_logical_bytes_returned": returned,
        }),
        performance: json!({
            "cache_hit_ratio": ratio,
            "cache_temperature": temperature,
            "server_total_ms": performance.total_ms.max(1),
            "query_execution_ms": performance.execution_ms.max(1),
            "exhaustive_search_count": answer.statistics.unindexed_rows,
            "approx_namespace_size": answer.statistics.namespace_rows,
        }),
    };
    let printed = serde_json::to_vec(&body);
    Bytes::from(printed.expect("keys are texts, and writing to memory does not fail"))
}

#[derive(Serialize)]
struct AnswerBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<Rows<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aggregations: Option<Figures<'a>>,
    billing: Value,
    performance: Value,
}

struct Rows<'a> {
    rows: &'a [AnswerRow],
    vectors: VectorEncoding,
}

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.rows.iter().map(|row| Row { row, vectors: self.vectors }))
    }
}

struct Row<'a> {
    row: &'a AnswerRow,
    vectors: VectorEncoding,
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("id", &PrintedId(&self.row.id))?;
        if let Some(distance) = self.row.distance {
            map.serialize_entry("$dist", &distance.0)?;
        }
        for (name, value) in &self.row.attributes {
            map.serialize_entry(name.as_str(), &Printed { value, vectors: self.vectors })?;
        }
        map.end()
    }
}

struct Figures<'a>(&'a [(String, Figure)]);

impl Serialize for Figures<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(self.0.len()))?;
        for (label, figure) in self.0 {
            match figure {
                Figure::Count(count) => map.serialize_entry(label, count)?,
                Figure::Integer(sum) => map.serialize_entry(label, sum)?,
                Figure::Number(sum) => map.serialize_entry(label, &sum.number())?,
            }
        }
        map.end()
    }
}

/// Size of a row as bills count it, in bytes.
fn row_bytes(row: &AnswerRow) -> u64 {
    let id = match &row.id {
        Id::Uint(_) => 8,
        Id::Uuid(_) => 16,
        Id::String(text) => text.len() as u64,
    };
    let distance = if row.distance.is_some() { 4 } else { 0 };
    id + distance + row.attributes.iter().map(|(_, value)| value.logical_bytes()).sum::<u64>()
}

#[cfg(test)]
mod tests;
