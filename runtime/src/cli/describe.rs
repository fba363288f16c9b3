//! `sana namespaces`, `create`, `metadata`, `schema`: which namespaces there are, and what they are.

use clap::Args;
use sana_engine::base::name::NamespaceName;
use serde_json::{Map, Value, json};

use super::failure::Failed;
use super::output::{Output, cell};
use super::session::{Purpose, Session, StoreArguments, json, namespace};

/// List namespaces.
///
/// Prints the name of each on a line of its own; with --json, one array.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  sana namespaces\n  sana namespaces --prefix customer- | wc -l"
)]
pub(super) struct NamespacesArguments {
    /// Only those whose names begin so.
    #[arg(long, default_value = "")]
    prefix: String,
    #[command(flatten)]
    store: StoreArguments,
}

/// Create an empty namespace.
///
/// Not needed before `upsert`: the first document creates its namespace.
#[derive(Args)]
#[command(after_help = "Examples:
  sana create shop --id uint
  sana create docs --id string --metric cosine_distance \\
    --schema '{\"vector\": {\"type\": \"[384]f32\", \"ann\": true}, \"tags\": \"[]string\"}'")]
pub(super) struct CreateArguments {
    /// Its name: 1 to 128 of A-Z a-z 0-9 - _ .
    #[arg(value_parser = namespace)]
    namespace: NamespaceName,
    /// What its ids are: uint, uuid or string.
    #[arg(long, default_value = "uint")]
    id: String,
    /// Its attributes, as the HTTP interface takes them.
    #[arg(long, value_parser = json, value_name = "JSON")]
    schema: Option<Value>,
    /// How its vectors are compared: `cosine_distance`, `euclidean_squared` or `dot_product`.
    #[arg(long)]
    metric: Option<String>,
    #[command(flatten)]
    store: StoreArguments,
}

/// Show what a namespace is.
#[derive(Args)]
#[command(after_help = "Examples:\n  sana metadata shop\n  sana metadata shop --json | jq .index")]
pub(super) struct MetadataArguments {
    /// The namespace.
    #[arg(value_parser = namespace)]
    namespace: NamespaceName,
    #[command(flatten)]
    store: StoreArguments,
}

/// Show the schema of a namespace, or change it.
///
/// Attributes can be added; the type of one that exists cannot be changed.
#[derive(Args)]
#[command(after_help = "Examples:
  sana schema shop
  sana schema shop '{\"price\": \"float\", \"note\": {\"type\": \"string\", \"filterable\": false}}'")]
pub(super) struct SchemaArguments {
    /// The namespace.
    #[arg(value_parser = namespace)]
    namespace: NamespaceName,
    /// Attributes to add or change; without, the schema is shown.
    #[arg(value_parser = json, value_name = "JSON")]
    changes: Option<Value>,
    #[command(flatten)]
    store: StoreArguments,
}

/// `sana namespaces`
///
/// # Errors
///
/// [`Failed`] if they cannot be listed.
pub(super) async fn namespaces(arguments: &NamespacesArguments) -> Result<(), Failed> {
    let session = Session::open(&arguments.store, Purpose::Look).await?;
    let (mut out, mut all, mut after) = (Output::new(), Vec::new(), None);
    loop {
        let (page, next) = session.names(&arguments.prefix, after.as_ref()).await?;
        for name in &page {
            if arguments.store.json {
                all.push(json!(name.as_str()));
            } else {
                out.line(name.as_str())?;
            }
        }
        if next.is_none() {
            break;
        }
        after = next;
    }
    if arguments.store.json {
        out.json(&Value::Array(all))?;
    }
    out.flush()
}

/// `sana create`
///
/// # Errors
///
/// [`Failed`] if it was not created.
pub(super) async fn create(arguments: &CreateArguments) -> Result<(), Failed> {
    let session = Session::open(&arguments.store, Purpose::Write).await?;
    let mut schema = match &arguments.schema {
        None => Map::new(),
        Some(Value::Object(schema)) => schema.clone(),
        Some(other) => {
            return Err(Failed::Usage(format!("a schema is an object, and this is {other}")));
        }
    };
    schema.entry("id").or_insert_with(|| json!(arguments.id));
    let mut body = json!({"create_namespace": true, "schema": schema});
    if let Some(metric) = &arguments.metric {
        body["distance_metric"] = json!(metric);
    }
    let name = &arguments.namespace;
    let answer = session.of("POST", name, "", &body).await?;
    let mut out = Output::new();
    if arguments.store.json {
        out.json(&answer)?;
    } else {
        out.line(&format!("{name} is there; `sana upsert {name}` writes documents to it"))?;
    }
    out.flush()
}

/// `sana metadata`
///
/// # Errors
///
/// [`Failed`] if there is no such namespace.
pub(super) async fn metadata(arguments: &MetadataArguments) -> Result<(), Failed> {
    let session = Session::open(&arguments.store, Purpose::Look).await?;
    let answer = session.of("GET", &arguments.namespace, "/metadata", &Value::Null).await?;
    let mut out = Output::new();
    if arguments.store.json {
        out.json(&answer)?;
    } else {
        let fields = answer.as_object().into_iter().flatten();
        let row = |(name, value): (&String, &Value)| vec![name.clone(), flat(value)];
        let rows: Vec<_> = fields.filter(|(name, _)| *name != "schema").map(row).collect();
        out.table(&["", ""], &rows)?;
        out.line("")?;
        print_schema(&mut out, &answer["schema"])?;
    }
    out.flush()
}

/// `sana schema`
///
/// # Errors
///
/// [`Failed`] if there is no such namespace or the change cannot be.
pub(super) async fn schema(arguments: &SchemaArguments) -> Result<(), Failed> {
    let name = &arguments.namespace;
    let answer = match &arguments.changes {
        None => {
            let session = Session::open(&arguments.store, Purpose::Look).await?;
            session.of("GET", name, "/schema", &Value::Null).await?
        }
        Some(changes) => {
            let session = Session::open(&arguments.store, Purpose::Write).await?;
            session.of("POST", name, "/schema", changes).await?
        }
    };
    let mut out = Output::new();
    if arguments.store.json {
        out.json(&answer)?;
    } else {
        print_schema(&mut out, &answer)?;
    }
    out.flush()
}

fn print_schema(out: &mut Output, schema: &Value) -> Result<(), Failed> {
    let attributes = schema.as_object().into_iter().flatten();
    let row = |(name, entry): (&String, &Value)| {
        let rest: Map<String, Value> = entry
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(field, value)| *field != "type" && !value.is_null())
            .map(|(field, value)| (field.clone(), value.clone()))
            .collect();
        let name = cell(Some(&json!(name)));
        vec![name, cell(entry.get("type")), flat(&Value::Object(rest))]
    };
    out.table(&["attribute", "type", ""], &attributes.map(row).collect::<Vec<_>>())
}

/// A value in few words: the fields of an object beside each other.
fn flat(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let pairs = fields.iter().map(|(name, value)| format!("{name}: {}", flat(value)));
            pairs.collect::<Vec<_>>().join(", ")
        }
        other => cell(Some(other)),
    }
}
