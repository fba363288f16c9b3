//! What a query found, as the answer's body.

use bytes::Bytes;
use sana_engine::base::value::Id;
use sana_engine::namespace::request::{Answer, AnswerRow, Computed, Figure, Found, Group};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::{Value, json};

use super::Query;
use crate::http::json::{Printed, PrintedId, PrintedScalar, VectorEncoding};

/// What an answer says beside what was found.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(in crate::http) struct Performance {
    /// From the request's first byte to now, at least 1.
    pub(in crate::http) total_ms: u64,
    /// Within the engine, at least 1.
    pub(in crate::http) execution_ms: u64,
    /// Reads answered from memory.
    pub(in crate::http) hits: u64,
    /// Reads that went to the store.
    pub(in crate::http) misses: u64,
}

/// About how large an answer's body is, in bytes.
pub(in crate::http) fn bytes_hint(found: &Found) -> usize {
    match found {
        // A number of four bytes is about eight digits.
        Found::Rows(rows) => rows.iter().map(|row| 32 + 2 * row_bytes(row) as usize).sum(),
        Found::Ids(ids) => 32 * ids.len(),
        Found::Aggregates(figures) => 32 * figures.len(),
        Found::Groups { keys, figures, groups } => 32 * groups.len() * (keys.len() + figures.len()),
        Found::Several(all) => all.iter().map(bytes_hint).sum(),
    }
}

/// The fewest bytes a query is billed for, as clients expect to read it. Nobody sends a bill.
pub(in crate::http) const QUERIED_BYTES_MIN: u64 = 256_000_000;

/// What a query found, as the answer's body.
pub(in crate::http) fn answer(query: &Query, answer: &Answer, performance: Performance) -> Bytes {
    let part = |found, offset: usize| Part { found, offset, vectors: query.vectors };
    let first = query.offsets.first().copied().unwrap_or(0);
    let (one, results) = match &answer.found {
        Found::Several(all) => {
            // What was fused is one list, whose offset has been taken off already.
            let offsets = query.offsets.iter().copied().chain(core::iter::repeat(0));
            (
                None,
                Some(all.iter().zip(offsets).map(|(found, offset)| part(found, offset)).collect()),
            )
        }
        found => (Some(part(found, first)), None),
    };
    let parts: &[Part<'_>] = results.as_deref().unwrap_or(one.as_slice());
    let returned: u64 = parts.iter().map(Part::bytes).sum();
    let reads = performance.hits + performance.misses;
    let ratio = if reads == 0 { 1.0 } else { performance.hits as f64 / reads as f64 };
    let temperature = match ratio {
        r if r >= 0.95 => "hot",
        r if r >= 0.5 => "warm",
        _ => "cold",
    };
    let billing = json!({
        "billable_logical_bytes_queried": QUERIED_BYTES_MIN,
        "billable_logical_bytes_returned": returned,
    });
    let performance = json!({
        "cache_hit_ratio": ratio,
        "cache_temperature": temperature,
        "server_total_ms": performance.total_ms.max(1),
        "query_execution_ms": performance.execution_ms.max(1),
        "exhaustive_search_count": answer.statistics.unindexed_rows,
        "approx_namespace_size": answer.statistics.namespace_rows,
    });
    let body = AnswerBody { one, results, billing, performance };
    let printed = serde_json::to_vec(&body);
    Bytes::from(printed.expect("keys are texts, and writing to memory does not fail"))
}

#[derive(Serialize)]
struct AnswerBody<'a> {
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    one: Option<Part<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    results: Option<Vec<Part<'a>>>,
    billing: Value,
    performance: Value,
}

/// What one search found, as an object with one field.
struct Part<'a> {
    found: &'a Found,
    /// How many of the first rows are left out.
    offset: usize,
    vectors: VectorEncoding,
}

impl<'a> Part<'a> {
    fn rows(&self, rows: &'a [AnswerRow]) -> &'a [AnswerRow] {
        rows.get(self.offset..).unwrap_or_default()
    }

    fn bytes(&self) -> u64 {
        match self.found {
            Found::Rows(rows) => self.rows(rows).iter().map(row_bytes).sum(),
            _ => 0,
        }
    }
}

impl Serialize for Part<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(1))?;
        match self.found {
            Found::Rows(rows) => {
                let rows = Rows { rows: self.rows(rows), vectors: self.vectors };
                map.serialize_entry("rows", &rows)?;
            }
            Found::Ids(ids) => {
                let ids = ids.iter().skip(self.offset).map(PrintedId);
                map.serialize_entry("ids", &ids.collect::<Vec<_>>())?;
            }
            Found::Aggregates(figures) => map.serialize_entry("aggregations", &Figures(figures))?,
            Found::Groups { keys, figures, groups } => {
                map.serialize_entry("aggregation_groups", &Groups { keys, figures, all: groups })?;
            }
            Found::Several(_) => {}
        }
        map.end()
    }
}

/// Rows, printed.
pub(in crate::http) struct Rows<'a> {
    pub(in crate::http) rows: &'a [AnswerRow],
    pub(in crate::http) vectors: VectorEncoding,
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
        for (label, computed) in &self.row.computed {
            match computed {
                Computed::Number(number) => map.serialize_entry(label, &number.0)?,
                Computed::Bool(holds) => map.serialize_entry(label, holds)?,
            }
        }
        map.end()
    }
}

struct Figures<'a>(&'a [(String, Figure)]);

impl Serialize for Figures<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(label, figure)| (label, PrintedFigure(figure))))
    }
}

struct PrintedFigure<'a>(&'a Figure);

impl Serialize for PrintedFigure<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Figure::Count(count) => to.serialize_u64(*count),
            Figure::Integer(sum) => to.serialize_i128(*sum),
            Figure::Number(sum) => to.serialize_f64(sum.number()),
        }
    }
}

struct Groups<'a> {
    keys: &'a [String],
    figures: &'a [String],
    all: &'a [Group],
}

impl Serialize for Groups<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.all.iter().map(|group| PrintedGroup { labels: self, group }))
    }
}

struct PrintedGroup<'a> {
    labels: &'a Groups<'a>,
    group: &'a Group,
}

impl Serialize for PrintedGroup<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        for (label, key) in self.labels.keys.iter().zip(&self.group.keys) {
            map.serialize_entry(label, &key.as_ref().map(PrintedScalar))?;
        }
        for (label, figure) in self.labels.figures.iter().zip(&self.group.figures) {
            map.serialize_entry(label, &PrintedFigure(figure))?;
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
    let computed = 4 * row.computed.len() as u64;
    let values = row.attributes.iter().map(|(_, value)| value.logical_bytes());
    id + distance + computed + values.sum::<u64>()
}
