//! `sana delete`: documents by id or by filter, or a namespace as a whole.

use clap::{ArgGroup, Args};
use sana_engine::base::name::NamespaceName;
use serde_json::{Value, json};

use super::failure::Failed;
use super::find::ids;
use super::output::{Output, count};
use super::session::{Purpose, Session, StoreArguments, json, namespace};

/// Delete documents, or a whole namespace.
///
/// Ids that do not exist are passed over.
#[derive(Args)]
#[command(
    group = ArgGroup::new("what").required(true).args(["ids", "filter", "all"]),
    after_help = "Examples:
  sana delete shop 17 18
  sana delete shop --filter '[\"price\",\"Gt\",100]'
  sana delete shop --all --yes      # the namespace and all that is in it"
)]
pub(super) struct DeleteArguments {
    /// The namespace.
    #[arg(value_parser = namespace)]
    namespace: NamespaceName,
    /// Ids of documents to delete.
    ids: Vec<String>,
    /// Delete the documents that this filter matches.
    #[arg(long, value_parser = json, value_name = "JSON")]
    filter: Option<Value>,
    /// Delete the namespace with all that is in it. Needs --yes.
    #[arg(long)]
    all: bool,
    /// Confirms --all.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    store: StoreArguments,
}

/// `sana delete`
///
/// # Errors
///
/// [`Failed`] if it was not done.
pub(super) async fn delete(arguments: &DeleteArguments) -> Result<(), Failed> {
    let name = &arguments.namespace;
    if arguments.all && !arguments.yes {
        let message = format!("this deletes {name} and all that is in it: confirm it with --yes");
        return Err(Failed::Usage(message));
    }
    // A folder without a store has nothing to delete.
    drop(Session::open(&arguments.store, Purpose::Look).await?);
    let session = Session::open(&arguments.store, Purpose::Write).await?;
    let answer = if arguments.all {
        session.of("DELETE", name, "", &Value::Null).await?
    } else {
        let body = match &arguments.filter {
            Some(filter) => json!({"delete_by_filter": filter}),
            None => json!({"deletes": ids(&session, name, &arguments.ids).await?}),
        };
        session.of("POST", name, "", &body).await?
    };
    let mut out = Output::new();
    if arguments.store.json {
        out.json(&answer)?;
    } else if arguments.all {
        out.line(&format!("{name} is deleted"))?;
    } else {
        let rows = count(answer["rows_deleted"].as_u64().unwrap_or(0));
        out.line(&format!("{rows} documents of {name} are deleted"))?;
    }
    out.flush()
}
