//! What clients ask and what they are told, in a few words: `upsert 1 {n=4}`, `2 rows: 1 {n=4}, …`.

use sana_engine::base::name::AttributeName;
use sana_engine::base::value::{Id, Raw, Scalar, Value};
use sana_engine::namespace::request::{
    Aggregate, AnswerRow, ByFilter, Consistency, Create, Direction, Figure, Found, GroupKey,
    Include, Operator, OrderKey, Predicate, QueryRequest, Rank, RawDocument, Want, WriteError,
    WriteOutcome, WriteRequest,
};
use sana_engine::service::namespace::Word;

use crate::model::{Change, Contents, Effect};
use crate::workload::Ask;

/// A text longer than this is cut.
const TEXT_MOST: usize = 16;
/// Of rows and groups, so many are told.
const ROWS_MOST: usize = 6;

/// What a client asks.
pub fn ask(ask: &Ask) -> String {
    match ask {
        Ask::Write(request) => write(request),
        Ask::Remove => "delete the namespace".into(),
        Ask::Query(request) => query(request),
    }
}

/// A write.
pub fn write(request: &WriteRequest) -> String {
    let mut parts = Vec::new();
    if let Some(ByFilter { filter, .. }) = &request.delete_by_filter {
        parts.push(format!("delete where {}", predicate(filter)));
    }
    if let Some((ByFilter { filter, .. }, changes)) = &request.patch_by_filter {
        parts.push(format!("patch where {} {}", predicate(filter), attributes(changes)));
    }
    let lists = [
        ("upsert", &request.upserts, &request.upsert_condition),
        ("patch", &request.patches, &request.patch_condition),
    ];
    for (word, documents, condition) in lists {
        let Some(documents) = documents else { continue };
        let documents = documents.iter().map(|RawDocument { id, attributes }| {
            format!("{} {}", raw(id), self::attributes(attributes))
        });
        parts.push(format!("{word} {}{}", join(documents, ", "), if_so(condition.as_ref())));
    }
    if let Some(deletes) = &request.deletes {
        let condition = if_so(request.delete_condition.as_ref());
        parts.push(format!("delete {}{condition}", join(deletes.iter().map(raw), ", ")));
    }
    parts.extend(request.drops.iter().map(|name| format!("drop attribute {name}")));
    parts.extend(request.read_only.map(|locks| {
        let how = if locks { "lock the namespace" } else { "unlock the namespace" };
        how.to_owned()
    }));
    if request.create == Create::Never {
        parts.push("if there is a namespace".into());
    }
    if let Some(key) = &request.idempotency {
        parts.push(format!("under '{}'", key.key));
    }
    if parts.is_empty() { "write nothing".into() } else { parts.join("; ") }
}

fn if_so(condition: Option<&Predicate>) -> String {
    condition.map_or(String::new(), |condition| format!(" if {}", predicate(condition)))
}

/// A query.
pub fn query(request: &QueryRequest) -> String {
    let filter = request.filter.as_ref();
    let filter = filter.map_or(String::new(), |filter| format!(" where {}", predicate(filter)));
    let stale = match request.consistency {
        Consistency::Strong => String::new(),
        Consistency::Eventual(most) => format!(", may be {} ms old", most.as_millis()),
    };
    format!("{}{filter}{stale}", want(&request.want))
}

fn want(want: &Want) -> String {
    match want {
        Want::Rows { rank, limit, per, include, .. } => {
            let rank = match rank {
                Rank::By(keys) if keys.is_empty() => "all".into(),
                Rank::By(keys) => {
                    format!("first {limit} by {}", join(keys.iter().map(order), ", "))
                }
                Rank::Nearest { attribute, to, .. } => {
                    format!("{limit} nearest by {attribute} to {}", raw(to))
                }
                Rank::Likest { attribute, to } => {
                    format!("{limit} likest by {attribute} to {}", raw(to))
                }
                Rank::Shuffled { attribute, seed } => {
                    format!("{limit} of those with {attribute}, shuffled by {seed}")
                }
            };
            let per = per.as_ref().map_or(String::new(), |per| {
                format!(", {} per {}", per.limit, join(per.keys.iter().map(key), ", "))
            });
            let ids = if *include == Include::Nothing { ", ids only" } else { "" };
            format!("find {rank}{per}{ids}")
        }
        Want::Ids { limit } => format!("find the first {limit} ids"),
        Want::Aggregates(figures) => format!("count: {}", aggregates(figures)),
        Want::Groups { keys, aggregates, limit } => {
            let keys = join(keys.iter().map(|GroupKey { key, .. }| self::key(key)), ", ");
            format!("first {limit} groups by {keys}: {}", self::aggregates(aggregates))
        }
        Want::Several { searches, .. } => {
            let one = |filter: Option<&Predicate>, wants: &Want| {
                let filter =
                    filter.map_or(String::new(), |filter| format!(" where {}", predicate(filter)));
                format!("{}{filter}", self::want(wants))
            };
            join(searches.iter().map(|s| one(s.filter.as_ref(), &s.want)), " and ")
        }
    }
}

fn order((by, direction): &(OrderKey, Direction)) -> String {
    let down = if *direction == Direction::Descending { " down" } else { "" };
    format!("{}{down}", key(by))
}

fn key(key: &OrderKey) -> String {
    match key {
        OrderKey::Id => "id".into(),
        OrderKey::Attribute(name) => name.to_string(),
    }
}

fn aggregates(figures: &[(String, Aggregate)]) -> String {
    let one = |(_, aggregate): &(String, Aggregate)| match aggregate {
        Aggregate::Count => "rows".to_owned(),
        Aggregate::Sum(name) => format!("sum of {name}"),
    };
    join(figures.iter().map(one), ", ")
}

/// A condition.
pub fn predicate(predicate: &Predicate) -> String {
    let several = |parts: &[Predicate], word: &str| {
        format!("({})", join(parts.iter().map(self::predicate), word))
    };
    match predicate {
        Predicate::And(parts) => several(parts, " and "),
        Predicate::Or(parts) => several(parts, " or "),
        Predicate::Not(part) => format!("not {}", self::predicate(part)),
        Predicate::Compare { attribute, operator, operand } => {
            format!("{attribute} {} {}", sign(*operator), raw(operand))
        }
        Predicate::CompareNew { attribute, operator, new } => {
            format!("{attribute} {} the new {new}", sign(*operator))
        }
    }
}

const fn sign(operator: Operator) -> &'static str {
    match operator {
        Operator::Eq => "=",
        Operator::NotEq => "≠",
        Operator::In => "in",
        Operator::NotIn => "not in",
        Operator::Contains => "contains",
        Operator::NotContains => "does not contain",
        Operator::ContainsAny => "contains any of",
        Operator::NotContainsAny => "contains none of",
        Operator::Lt => "<",
        Operator::Lte => "≤",
        Operator::Gt => ">",
        Operator::Gte => "≥",
        Operator::AnyLt => "any <",
        Operator::AnyLte => "any ≤",
        Operator::AnyGt => "any >",
        Operator::AnyGte => "any ≥",
        Operator::Glob => "like",
        Operator::NotGlob => "not like",
        Operator::IGlob => "like (any case)",
        Operator::NotIGlob => "not like (any case)",
        Operator::Regex => "matches",
    }
}

/// What a client is told.
pub fn word(word: &Word) -> String {
    match word {
        Word::Written(Ok(outcome)) => written(outcome),
        Word::Written(Err(error)) => write_error(error),
        Word::Answered(Ok(answer)) => found(&answer.found),
        Word::Answered(Err(error)) => error.to_string(),
        Word::Described(Ok(_)) => "described".into(),
        Word::Described(Err(error)) => error.to_string(),
        Word::Deleted(Ok(true)) => "the namespace is deleted".into(),
        Word::Deleted(Ok(false)) => "there was no namespace".into(),
        Word::Deleted(Err(error)) => error.to_string(),
    }
}

/// Whether what a client is told is good news.
pub const fn is_good(word: &Word) -> bool {
    matches!(
        word,
        Word::Written(Ok(_))
            | Word::Answered(Ok(_))
            | Word::Described(Ok(_))
            | Word::Deleted(Ok(_))
    )
}

/// What a write came to.
pub fn written(outcome: &WriteOutcome) -> String {
    counts([outcome.upserted, outcome.patched, outcome.deleted])
}

/// How many documents were put, changed and removed.
fn counts(counts: [Option<u64>; 3]) -> String {
    let words = ["upserted", "patched", "deleted"];
    let counts = counts.into_iter().zip(words);
    let counts: Vec<String> =
        counts.filter_map(|(count, word)| Some(format!("{} {word}", count?))).collect();
    if counts.is_empty() { "done".into() } else { counts.join(", ") }
}

/// What a change came to.
pub fn effect(effect: &Effect) -> String {
    match effect {
        Effect::Written(put, changed, removed) | Effect::Named(put, changed, removed, _) => {
            counts([*put, *changed, *removed])
        }
        Effect::Removed => "the namespace is deleted".into(),
        Effect::Created => "there is a namespace".into(),
        Effect::NoNamespace => "there is no namespace".into(),
        Effect::KeyReused => "the key stands for another request".into(),
        Effect::ReadOnly => "the namespace is read-only".into(),
        Effect::NoAttribute => "there is no such attribute".into(),
    }
}

/// Why a write was not acknowledged, shorter than clients are told.
pub fn write_error(error: &WriteError) -> String {
    match error {
        WriteError::Unknown { .. } => "UNKNOWN whether it happened".into(),
        WriteError::Behind { .. } => "turned away: too much waits to be indexed".into(),
        WriteError::Unavailable => "not done: the store does not answer".into(),
        error => error.to_string(),
    }
}

/// What a query found.
pub fn found(found: &Found) -> String {
    match found {
        Found::Rows(rows) if rows.is_empty() => "no rows".into(),
        Found::Rows(rows) => {
            let count =
                if rows.len() == 1 { "1 row".into() } else { format!("{} rows", rows.len()) };
            format!("{count}: {}", some(rows.iter().map(row), rows.len()))
        }
        Found::Ids(ids) => {
            format!("{} ids: {}", ids.len(), some(ids.iter().map(Id::to_string), ids.len()))
        }
        Found::Aggregates(figures) => join(
            figures.iter().map(|(name, figure)| format!("{name} {}", self::figure(figure))),
            ", ",
        ),
        Found::Groups { groups, .. } => {
            let one = groups.iter().map(|group| {
                let keys = group.keys.iter().map(|key| key.as_ref().map_or("null".into(), scalar));
                let figures = group.figures.iter().map(figure);
                format!("{} → {}", join(keys, ", "), join(figures, ", "))
            });
            format!("{} groups: {}", groups.len(), some(one, groups.len()))
        }
        Found::Several(all) => join(all.iter().map(self::found), " and "),
    }
}

/// What a change does.
pub fn change(change: &Change) -> String {
    match change {
        Change::Write(request) => write(request),
        Change::Remove => "delete the namespace".into(),
        Change::Create => "make an empty namespace".into(),
    }
}

/// What a namespace holds.
pub fn contents(contents: &Contents) -> String {
    let Some(content) = contents else { return "no namespace".into() };
    let all = content.documents.iter().map(|(id, attributes)| document(id, attributes.iter()));
    let lock = if content.read_only { ", read-only" } else { "" };
    format!("[{}]{lock}", some(all, content.documents.len()))
}

fn row(row: &AnswerRow) -> String {
    document(&row.id, row.attributes.iter().map(|(name, value)| (name, value)))
}

fn document<'a>(
    id: &Id,
    attributes: impl Iterator<Item = (&'a AttributeName, &'a Value)>,
) -> String {
    let values = attributes.map(|(name, value)| format!("{name}={}", self::value(value)));
    let values = join(values, " ");
    let id = match id {
        Id::String(id) => text(id),
        id => id.to_string(),
    };
    if values.is_empty() { id } else { format!("{id} {{{values}}}") }
}

fn figure(figure: &Figure) -> String {
    match figure {
        Figure::Count(count) => count.to_string(),
        Figure::Integer(sum) => sum.to_string(),
        Figure::Number(sum) => sum.number().to_string(),
    }
}

fn value(value: &Value) -> String {
    match value {
        Value::Scalar(value) => scalar(value),
        Value::Array(values) => format!("[{}]", join(values.iter().map(scalar), " ")),
        Value::Vector(_) => "vector".into(),
        Value::Sparse(_) => "sparse vector".into(),
        Value::Bytes(bytes) => format!("{} bytes", bytes.len()),
    }
}

fn scalar(value: &Scalar) -> String {
    match value {
        Scalar::Bool(value) => value.to_string(),
        Scalar::Int(value) | Scalar::DateTime(value) => value.to_string(),
        Scalar::Uint(value) => value.to_string(),
        Scalar::Float(value) => value.number().to_string(),
        Scalar::String(value) => text(value),
        Scalar::Uuid(value) => format!("{value:032x}"),
    }
}

fn attributes(attributes: &[(AttributeName, Raw)]) -> String {
    let values = attributes.iter().map(|(name, value)| format!("{name}={}", raw(value)));
    format!("{{{}}}", join(values, " "))
}

fn raw(value: &Raw) -> String {
    match value {
        Raw::Null => "null".into(),
        Raw::Bool(value) => value.to_string(),
        Raw::Integer(value) => value.to_string(),
        Raw::Number(value) => value.number().to_string(),
        Raw::Text(value) => text(value),
        Raw::List(values) => format!("[{}]", join(values.iter().map(raw), " ")),
        Raw::Weights(weights) => format!("{} weights", weights.len()),
    }
}

fn text(text: &str) -> String {
    if text.chars().count() <= TEXT_MOST {
        return format!("'{text}'");
    }
    let begin: String = text.chars().take(TEXT_MOST).collect();
    format!("'{begin}…' ({} bytes)", text.len())
}

fn some(texts: impl Iterator<Item = String>, count: usize) -> String {
    let told = join(texts.take(ROWS_MOST), ", ");
    if count > ROWS_MOST { format!("{told}, … {} more", count - ROWS_MOST) } else { told }
}

fn join(texts: impl Iterator<Item = String>, between: &str) -> String {
    texts.collect::<Vec<_>>().join(between)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::values::name;

    #[test]
    fn a_write_reads_like_a_sentence() {
        let document = |id: i128, n: i128| RawDocument {
            id: Raw::Integer(id),
            attributes: vec![(name("n"), Raw::Integer(n)), (name("text"), Raw::Text("a".into()))],
        };
        let condition = Predicate::CompareNew {
            attribute: "n".into(),
            operator: Operator::Lt,
            new: "n".into(),
        };
        let request = WriteRequest {
            upserts: Some(vec![document(1, 4), document(2, 4)]),
            deletes: Some(vec![Raw::Integer(3)]),
            upsert_condition: Some(condition),
            ..WriteRequest::default()
        };
        let said = "upsert 1 {n=4 text='a'}, 2 {n=4 text='a'} if n < the new n; delete 3";
        assert_eq!(write(&request), said);
        assert_eq!(write(&WriteRequest::default()), "write nothing");
    }

    #[test]
    fn long_texts_and_many_rows_are_cut() {
        assert_eq!(text(&"12345678".repeat(100)), "'1234567812345678…' (800 bytes)");
        let row = |id| AnswerRow {
            id: Id::Uint(id),
            distance: None,
            attributes: vec![(name("n"), Value::Scalar(Scalar::Int(7)))],
            computed: Vec::new(),
        };
        assert_eq!(found(&Found::Rows(vec![row(1)])), "1 row: 1 {n=7}");
        let many = found(&Found::Rows((0..9).map(row).collect()));
        assert!(
            many.starts_with("9 rows: 0 {n=7}, ") && many.ends_with("5 {n=7}, … 3 more"),
            "{many}"
        );
    }
}
