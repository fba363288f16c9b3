//! `sana get`, `query`, `recall`: what is in a namespace.

use std::collections::BTreeSet;
use std::io::Read;

use clap::Args;
use sana_engine::base::name::NamespaceName;
use sana_engine::base::value::Uuid;
use serde_json::{Map, Value, json};

use super::failure::Failed;
use super::output::{Output, cell};
use super::session::{Purpose, Session, StoreArguments, json, namespace};

/// Show documents by their ids.
///
/// Prints one JSON object per document, in the order of their ids. Exit code 3 if one is missing.
#[derive(Args)]
#[command(after_help = "Examples:\n  sana get shop 1 2 3\n  sana get docs readme.md | jq .title")]
pub(super) struct GetArguments {
    /// The namespace.
    #[arg(value_parser = namespace)]
    namespace: NamespaceName,
    /// Ids of documents.
    #[arg(required = true)]
    ids: Vec<String>,
    /// Show only these attributes, with commas between.
    #[arg(long, value_delimiter = ',')]
    include: Vec<String>,
    #[command(flatten)]
    store: StoreArguments,
}

/// Find documents, or compute figures over them.
///
/// Filters and ranks are JSON, as the HTTP interface takes them. With `-` for a body, the whole
/// request is read from standard input.
#[derive(Args)]
#[command(after_help = "Examples:
  sana query shop --limit 5 --all-attributes
  sana query shop --filter '[\"price\",\"Lt\",5]' --rank '[\"price\",\"desc\"]' --include price
  sana query docs --rank '[\"vector\",\"ANN\",[0.1,0.2]]'
  sana query shop --aggregate '{\"n\": [\"Count\"], \"sum\": [\"Sum\",\"price\"]}'
  sana query shop - < request.json")]
pub(super) struct QueryArguments {
    /// The namespace.
    #[arg(value_parser = namespace)]
    namespace: NamespaceName,
    /// `-` to read the whole request from standard input.
    #[arg(value_parser = ["-"], conflicts_with_all = ["filter", "rank", "limit", "include", "all_attributes", "aggregate"])]
    body: Option<String>,
    /// Which documents count, e.g. `["price","Lt",5]`.
    #[arg(long, value_parser = json, value_name = "JSON")]
    filter: Option<Value>,
    /// Their order, e.g. `["price","desc"]` or `["vector","ANN",[0.1,0.2]]`. By default, by id.
    #[arg(long, value_parser = json, value_name = "JSON", conflicts_with = "aggregate")]
    rank: Option<Value>,
    /// How many to show.
    #[arg(long)]
    limit: Option<u32>,
    /// Show these attributes, with commas between.
    #[arg(long, value_delimiter = ',', conflicts_with_all = ["all_attributes", "aggregate"])]
    include: Vec<String>,
    /// Show all attributes.
    #[arg(long, conflicts_with = "aggregate")]
    all_attributes: bool,
    /// Figures instead of documents, e.g. `{"n": ["Count"]}`.
    #[arg(long, value_parser = json, value_name = "JSON")]
    aggregate: Option<Value>,
    #[command(flatten)]
    store: StoreArguments,
}

/// Compare answers of vector queries with exact ones.
#[derive(Args)]
#[command(after_help = "Examples:\n  sana recall docs\n  sana recall docs --num 100 --top-k 20")]
pub(super) struct RecallArguments {
    /// The namespace.
    #[arg(value_parser = namespace)]
    namespace: NamespaceName,
    /// How many queries to ask.
    #[arg(long)]
    num: Option<u32>,
    /// How many documents to ask each for.
    #[arg(long)]
    top_k: Option<u32>,
    #[command(flatten)]
    store: StoreArguments,
}

/// How many documents a query shows if it does not say.
const LIMIT: u32 = 10;
/// The most ids of one request.
const IDS: usize = 10_000;

/// `sana get`
///
/// # Errors
///
/// [`Failed`] if a document is not there.
pub(super) async fn get(arguments: &GetArguments) -> Result<(), Failed> {
    let session = Session::open(&arguments.store, Purpose::Look).await?;
    let ids = ids(&session, &arguments.namespace, &arguments.ids).await?;
    let include = match arguments.include.as_slice() {
        [] => json!(true),
        these => json!(these),
    };
    let (mut out, mut found, mut all) = (Output::new(), BTreeSet::new(), Vec::new());
    for ids in ids.chunks(IDS) {
        let body = json!({
            "filters": ["id", "In", ids], "limit": ids.len(), "include_attributes": include,
        });
        let answer = session.of("POST", &arguments.namespace, "/query", &body).await?;
        for row in answer["rows"].as_array().into_iter().flatten() {
            found.insert(row["id"].to_string());
            if arguments.store.json {
                all.push(row.clone());
            } else {
                out.json(row)?;
            }
        }
    }
    if arguments.store.json {
        out.json(&Value::Array(all))?;
    }
    out.flush()?;
    let missing = ids.iter().filter(|id| !found.contains(&id.to_string()));
    let missing: Vec<_> = missing.map(|id| cell(Some(id))).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let name = &arguments.namespace;
    Err(Failed::NotFound(format!("{name} has no document {}", missing.join(", "))))
}

/// Ids as the namespace spells them: numbers if its ids are numbers, UUIDs in the one spelling that
/// answers have.
pub(super) async fn ids(
    session: &Session,
    name: &NamespaceName,
    ids: &[String],
) -> Result<Vec<Value>, Failed> {
    let schema = session.of("GET", name, "/schema", &Value::Null).await?;
    let refused = |id: &String, kind: &str| {
        Failed::Refused(format!("the ids of {name} are {kind}, and '{id}' is none"))
    };
    let id = |id: &String| match schema["id"]["type"].as_str() {
        Some("uint") => {
            id.parse::<u64>().map(|number| json!(number)).map_err(|_| refused(id, "numbers"))
        }
        Some("uuid") => {
            Uuid::parse(id).map(|uuid| json!(uuid.to_string())).ok_or_else(|| refused(id, "UUIDs"))
        }
        _ => Ok(json!(id)),
    };
    ids.iter().map(id).collect()
}

/// `sana query`
///
/// # Errors
///
/// [`Failed`] if it cannot be answered.
pub(super) async fn query(arguments: &QueryArguments) -> Result<(), Failed> {
    let body = if arguments.body.is_some() {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text)?;
        json(&text).map_err(Failed::Refused)?
    } else {
        arguments.request()
    };
    let session = Session::open(&arguments.store, Purpose::Look).await?;
    let answer = session.of("POST", &arguments.namespace, "/query", &body).await?;
    let mut out = Output::new();
    if arguments.store.json {
        out.json(&answer)?;
    } else {
        print(&mut out, &answer)?;
    }
    out.flush()
}

impl QueryArguments {
    fn request(&self) -> Value {
        let mut body = Map::new();
        let mut set = |name: &str, value: Option<Value>| {
            body.extend(value.map(|value| (name.to_owned(), value)));
        };
        set("filters", self.filter.clone());
        set("rank_by", self.rank.clone());
        set("aggregate_by", self.aggregate.clone());
        if self.aggregate.is_none() {
            set("limit", Some(json!(self.limit.unwrap_or(LIMIT))));
        }
        let these = (!self.include.is_empty()).then(|| json!(self.include));
        set("include_attributes", these.or(self.all_attributes.then_some(json!(true))));
        Value::Object(body)
    }
}

/// Prints an answer for people: a table of rows, of groups, or of figures; several one after the
/// other.
fn print(out: &mut Output, answer: &Value) -> Result<(), Failed> {
    if let Some(results) = answer["results"].as_array() {
        for (place, result) in results.iter().enumerate() {
            if place > 0 {
                out.line("")?;
            }
            print(out, result)?;
        }
        return Ok(());
    }
    if let Some(figures) = answer["aggregations"].as_object() {
        let row = |(label, figure): (&String, &Value)| vec![label.clone(), cell(Some(figure))];
        return out.table(&["label", "figure"], &figures.iter().map(row).collect::<Vec<_>>());
    }
    let rows = answer["rows"].as_array().or_else(|| answer["aggregation_groups"].as_array());
    let Some(rows) = rows else { return out.pretty(answer) };
    let fields: BTreeSet<&str> =
        rows.iter().filter_map(Value::as_object).flat_map(Map::keys).map(String::as_str).collect();
    let rest = fields.iter().copied().filter(|field| !matches!(*field, "id" | "$dist"));
    let leading = ["id", "$dist"].into_iter().filter(|field| fields.contains(field));
    let headings: Vec<&str> = leading.chain(rest).collect();
    if headings.is_empty() {
        return out.line("(nothing found)");
    }
    let row = |row: &Value| headings.iter().map(|field| cell(row.get(field))).collect();
    out.table(&headings, &rows.iter().map(row).collect::<Vec<_>>())
}

/// `sana recall`
///
/// # Errors
///
/// [`Failed`] if it cannot be measured.
pub(super) async fn recall(arguments: &RecallArguments) -> Result<(), Failed> {
    let session = Session::open(&arguments.store, Purpose::Look).await?;
    let body = json!({"num": arguments.num, "top_k": arguments.top_k});
    let answer = session.of("POST", &arguments.namespace, "/_debug/recall", &body).await?;
    let mut out = Output::new();
    if arguments.store.json {
        out.json(&answer)?;
    } else {
        let figures = answer.as_object().into_iter().flatten();
        let row = |(name, figure): (&String, &Value)| vec![name.clone(), cell(Some(figure))];
        out.table(&["figure", "value"], &figures.map(row).collect::<Vec<_>>())?;
    }
    out.flush()
}
