//! `POST /v2/namespaces/{ns}/query`: what is looked for, and what was found.

mod answer;
mod several;

use core::time::Duration;

use sana_engine::base::limits;
use sana_engine::base::name::AttributeName;
use sana_engine::format::schema::Metric;
use sana_engine::namespace::request::{
    Aggregate, Compute, Consistency, GroupKey, Include, OrderKey, Per, QueryRequest, Rank, Search,
    Want,
};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::errors::{Failure, out_of_range};
use super::json::{self, VectorEncoding};
use super::tree::{Fields, Tree};
use super::write::MetricName;
use super::{filter, rank};
use crate::node::Memory;
pub(super) use answer::{Performance, QUERIED_BYTES_MIN, Rows, answer, bytes_hint};

/// A query, and what concerns only its answer on the wire.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Query {
    pub(super) request: QueryRequest,
    /// How many of the first rows are left out, of each search.
    pub(super) offsets: Vec<usize>,
    pub(super) vectors: VectorEncoding,
    /// How many slots of the namespace it takes.
    pub(super) slots: u32,
    pub(super) memory: Memory,
}

/// A body, field by field. Null is the same as not there.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    rank_by: Option<Tree>,
    top_k: Option<i64>,
    limit: Option<Limit>,
    offset: Option<u32>,
    filters: Option<Tree>,
    include_attributes: Option<IncludeNames>,
    exclude_attributes: Option<Vec<String>>,
    compute_attributes: Option<Fields>,
    aggregate_by: Option<Fields>,
    group_by: Option<Vec<Tree>>,
    consistency: Option<ConsistencyBody>,
    vector_encoding: Option<VectorEncoding>,
    rerank_by: Option<Tree>,
    queries: Option<Vec<Self>>,
    /// An old spelling that says what the namespace knows. Where vectors are compared, it must be true.
    distance_metric: Option<MetricName>,
    /// Everything is read from the store, for all searches of a request if one of them says so.
    disable_cache: Option<bool>,
}

/// How many rows: a number, or an object that says more.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct LimitBody {
    total: Option<i64>,
    per: Option<PerBody>,
}

struct Limit(LimitBody);

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(LimitVisitor).map(Self)
    }
}

struct LimitVisitor;

impl<'de> Visitor<'de> for LimitVisitor {
    type Value = LimitBody;

    fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("an integer or an object with `total` or `per`")
    }

    fn visit_i64<E>(self, total: i64) -> Result<LimitBody, E> {
        Ok(LimitBody { total: Some(total), per: None })
    }

    fn visit_u64<E>(self, total: u64) -> Result<LimitBody, E> {
        Ok(LimitBody { total: Some(i64::try_from(total).unwrap_or(i64::MAX)), per: None })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<LimitBody, A::Error> {
        LimitBody::deserialize(MapAccessDeserializer::new(map))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PerBody {
    attributes: Vec<String>,
    limit: i64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum IncludeNames {
    All(bool),
    These(Vec<String>),
}

#[derive(Deserialize)]
#[serde(expecting = "struct Consistency", deny_unknown_fields)]
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

/// The slots of a query that computes figures.
const AGGREGATION_SLOTS: u32 = 4;
/// The slots of a query that asks for exact neighbours.
pub(super) const EXACT_SLOTS: u32 = 2;

/// How old a view an eventual query may use if it does not say.
const STALENESS_SECONDS: u32 = 60;

/// One search of a body.
struct Asked {
    search: Search,
    offset: usize,
}

/// The query in a body.
///
/// # Errors
///
/// 400 or 422, saying what is wrong with the body.
pub(super) fn parse(body: &[u8]) -> Result<Query, Failure> {
    let body: Body = json::parse(body)?;
    if body.rerank_by.as_ref().is_some_and(|by| by.is_object()) {
        return Err(Failure::hosted("rerank_by with a model"));
    }
    let consistency = match body.consistency {
        None | Some(ConsistencyBody { level: Level::Strong, .. }) => Consistency::Strong,
        Some(ConsistencyBody { level: Level::Eventual, max_staleness_seconds }) => {
            let seconds = max_staleness_seconds.unwrap_or(STALENESS_SECONDS);
            Consistency::Eventual(Duration::from_secs(seconds.into()))
        }
    };
    let vectors = body.vector_encoding.unwrap_or_default();
    let memory = if body.is_cold() { Memory::Unused } else { Memory::Used };
    if let Some(queries) = &body.queries {
        let (want, offsets) = several::parse(&body, queries)?;
        let request = QueryRequest { filter: None, want, consistency };
        let slots = queries.iter().map(Body::slots).sum();
        return Ok(Query { request, offsets, vectors, slots, memory });
    }
    if body.rerank_by.is_some() {
        return Err(Failure::meaning("💔 rerank_by goes with queries only"));
    }
    let Asked { search: Search { filter, want }, offset } = body.asked()?;
    let request = QueryRequest { filter, want, consistency };
    Ok(Query { request, offsets: vec![offset], vectors, slots: body.slots(), memory })
}

impl Body {
    /// The search it asks for.
    fn asked(&self) -> Result<Asked, Failure> {
        let filter = self.filters.as_deref().map(filter::parse).transpose()?;
        let offset = self.offset.unwrap_or(0) as usize;
        let want = match &self.aggregate_by {
            Some(labels) => self.aggregates(labels)?,
            None if self.group_by.is_some() => {
                return Err(Failure::meaning("💔 group_by goes with aggregate_by only"));
            }
            None => self.rows(offset, filter.is_some())?,
        };
        Ok(Asked { search: Search { filter, want }, offset })
    }

    /// How many slots the search takes: more if it goes over all documents.
    fn slots(&self) -> u32 {
        let word = self.rank_by.as_ref().and_then(|by| by.get(1));
        match word.and_then(Value::as_str) {
            _ if self.aggregate_by.is_some() => AGGREGATION_SLOTS,
            Some("kNN") => EXACT_SLOTS,
            _ => 1,
        }
    }

    fn is_cold(&self) -> bool {
        self.disable_cache == Some(true) || self.queries.iter().flatten().any(Self::is_cold)
    }

    /// A field that concerns one search, if there is one.
    fn field_of_one(&self) -> Option<&'static str> {
        let fields = [
            ("rank_by", self.rank_by.is_some()),
            ("top_k", self.top_k.is_some()),
            ("filters", self.filters.is_some()),
            ("include_attributes", self.include_attributes.is_some()),
            ("exclude_attributes", self.exclude_attributes.is_some()),
            ("compute_attributes", self.compute_attributes.is_some()),
            ("aggregate_by", self.aggregate_by.is_some()),
            ("group_by", self.group_by.is_some()),
        ];
        fields.into_iter().find(|(_, there)| *there).map(|(field, _)| field)
    }

    fn rows(&self, offset: usize, filtered: bool) -> Result<Want, Failure> {
        let mut rank = match &self.rank_by {
            None => Rank::By(Vec::new()),
            Some(by) => rank::parse(by, filtered)?,
        };
        if let Rank::Nearest { metric, .. } = &mut rank {
            *metric = self.distance_metric.map(Metric::from);
        }
        let limit = self
            .limit()?
            .ok_or_else(|| Failure::meaning("💔 rank_by queries must specify top_k or limit"))?;
        if limit + offset > limits::QUERY_ROWS_MAX {
            let most = limits::QUERY_ROWS_MAX;
            return Err(Failure::meaning(format!("💔 limit and offset together exceed {most}")));
        }
        let (limit, per, include) = (limit + offset, self.per()?, self.include()?);
        let compute = self.compute_attributes.iter().flat_map(|labels| labels.iter());
        let compute = compute.map(|(label, by)| Ok((label.clone(), compute_by(label, by)?)));
        Ok(Want::Rows { rank, limit, per, include, compute: compute.collect::<Result<_, _>>()? })
    }

    /// How many rows may be alike.
    fn per(&self) -> Result<Option<Per>, Failure> {
        let Some(Limit(LimitBody { per: Some(per), .. })) = &self.limit else { return Ok(None) };
        if per.attributes.is_empty() {
            return Err(Failure::meaning("💔 limit.per.attributes cannot be empty"));
        }
        let limit = usize::try_from(per.limit).ok().filter(|limit| *limit > 0);
        let limit =
            limit.ok_or_else(|| Failure::meaning("💔 limit.per.limit must be at least 1"))?;
        let keys = per.attributes.iter().map(|name| key(name)).collect::<Result<_, _>>()?;
        Ok(Some(Per { keys, limit }))
    }

    /// How many rows or groups are wanted.
    fn limit(&self) -> Result<Option<usize>, Failure> {
        let total = self.limit.as_ref().and_then(|Limit(limit)| limit.total);
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
            ("compute_attributes", self.compute_attributes.is_some()),
            ("offset", self.offset.is_some_and(|offset| offset > 0)),
            ("limit.per", matches!(self.limit, Some(Limit(LimitBody { per: Some(_), .. })))),
        ];
        if let Some((field, _)) = beside.iter().find(|(_, there)| *there) {
            return Err(Failure::meaning(format!("💔 {field} does not go with aggregate_by")));
        }
        // Without groups there is one row of figures, which every limit admits.
        let limit = self.limit()?.unwrap_or(limits::GROUPS_MAX);
        if labels.is_empty() {
            return Err(Failure::meaning("💔 aggregate_by cannot be empty"));
        }
        let one = |(label, by): (&String, &Value)| Ok((label.clone(), aggregate(label, by)?));
        let aggregates = labels.iter().map(one).collect::<Result<_, _>>()?;
        let Some(keys) = &self.group_by else { return Ok(Want::Aggregates(aggregates)) };
        if keys.is_empty() {
            return Err(Failure::meaning("💔 group_by cannot be empty"));
        }
        let mut group_keys = Vec::new();
        for key in keys {
            group_keys.extend(group_by(key)?);
        }
        Ok(Want::Groups { keys: group_keys, aggregates, limit })
    }
}

/// The keys that one entry of `group_by` names: an attribute, or labels with expressions.
fn group_by(entry: &Value) -> Result<Vec<GroupKey>, Failure> {
    let shape = || {
        Failure::shape(format!(
            "group_by: expected an attribute or {{label: [\"ForEachUnique\", attribute]}}, got {entry}"
        ))
    };
    match entry {
        Value::String(name) => {
            Ok(vec![GroupKey { label: name.clone(), key: key(name)?, each: false }])
        }
        Value::Object(labels) => {
            let one = |(label, by): (&String, &Value)| match by.as_array().map(Vec::as_slice) {
                Some([Value::String(word), Value::String(name)]) if word == "ForEachUnique" => {
                    Ok(GroupKey { label: label.clone(), key: key(name)?, each: true })
                }
                _ => Err(shape()),
            };
            labels.iter().map(one).collect()
        }
        _ => Err(shape()),
    }
}

/// An attribute's name, or the id.
fn key(name: &str) -> Result<OrderKey, Failure> {
    if name == "id" {
        return Ok(OrderKey::Id);
    }
    let name =
        AttributeName::parse(name).map_err(|problem| Failure::bad_attribute(name, problem))?;
    Ok(OrderKey::Attribute(name))
}

/// What is found out about each row: a distance, the score of a sparse vector, or whether a filter
/// holds.
fn compute_by(label: &str, by: &Value) -> Result<Compute, Failure> {
    let shape = |failure: Failure| Failure {
        message: failure.message.replace("filters:", &format!("compute_attributes.{label}:")),
        ..failure
    };
    let place = format!("compute_attributes.{label}");
    match by.as_array().map(Vec::as_slice) {
        Some([Value::String(name), Value::String(word), to]) if word == "VectorDist" => {
            let attribute = AttributeName::parse(name)
                .map_err(|problem| Failure::bad_attribute(name, problem))?;
            Ok(Compute::Distance { attribute, to: json::raw(&place, to)? })
        }
        Some([Value::String(name), Value::String(word), to]) if word == "SparseKNN" => {
            let attribute = AttributeName::parse(name)
                .map_err(|problem| Failure::bad_attribute(name, problem))?;
            Ok(Compute::Score { attribute, to: json::raw(&place, to)? })
        }
        Some([Value::String(word), ..]) if word == "Highlight" || rank::is_combinator(word) => {
            Err(Failure::unsupported(&format!("the expression {word} in compute_attributes")))
        }
        Some([_, Value::String(word), ..]) if word == "BM25" => {
            Err(Failure::unsupported("the expression BM25 in compute_attributes"))
        }
        Some([_, Value::String(word), ..]) if word == "ANN" || word == "kNN" => {
            Err(Failure::meaning(format!("💔 {word} cannot be computed; use VectorDist")))
        }
        _ => filter::parse(by).map(Compute::Matches).map_err(shape),
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

#[cfg(test)]
mod tests;
