//! `sana flush` and `compact`: indexing now, and waiting for it.

use core::time::Duration;
use std::sync::Arc;

use clap::Args;
use sana_engine::base::name::NamespaceName;
use sana_engine::format::head::{Head, Live};
use sana_engine::namespace::request::QueryError;
use serde_json::json;
use tokio::time::Instant;

use super::failure::Failed;
use super::output::{Output, count};
use super::session::{Purpose, Session, StoreArguments, namespace};
use super::sizes;
use crate::compute::Crashed;

/// Index what was written, now, and wait until it is done.
///
/// A server does so by itself, a second after a write: this is for stores that no server looks after.
#[derive(Args)]
#[command(after_help = "Examples:\n  sana flush shop\n  sana compact shop --wait 1h --json")]
pub(super) struct IndexArguments {
    /// The namespace.
    #[arg(value_parser = namespace)]
    namespace: NamespaceName,
    /// How long to wait, e.g. 30s, 10m or 1h. What was not done by then is not lost, but left to do.
    #[arg(long, value_parser = sizes::time, default_value = "1h")]
    wait: Duration,
    #[command(flatten)]
    store: StoreArguments,
}

/// The pause before the first look whether it is done, and the longest between two looks.
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(500));

/// `sana flush`
///
/// # Errors
///
/// [`Failed`] if it was not done in time.
pub(super) async fn flush(arguments: &IndexArguments) -> Result<(), Failed> {
    let session = Session::open(&arguments.store, Purpose::Flush).await?;
    let name = &arguments.namespace;
    let before = head(&session, name).await?;
    let committed = live(&before, name)?.log.committed;
    let after = wait(&session, arguments, |head| {
        live(head, name).is_ok_and(|live| committed <= live.log.indexed)
    });
    report(arguments, &before, &*after.await?)
}

/// `sana compact`
///
/// # Errors
///
/// [`Failed`] if it was not done in time.
pub(super) async fn compact(arguments: &IndexArguments) -> Result<(), Failed> {
    let session = Session::open(&arguments.store, Purpose::Compact).await?;
    let name = &arguments.namespace;
    let before = head(&session, name).await?;
    let after = wait(&session, arguments, |_| session.node.is_settled(name));
    report(arguments, &before, &*after.await?)
}

/// The first head that is as it should be.
async fn wait(
    session: &Session,
    arguments: &IndexArguments,
    is_done: impl Fn(&Head) -> bool,
) -> Result<Arc<Head>, Failed> {
    let (name, began) = (&arguments.namespace, Instant::now());
    let (mut pause, longest) = PAUSES;
    session.node.look(name).map_err(|Crashed| crashed())?;
    loop {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(longest);
        let head = head(session, name).await?;
        live(&head, name)?;
        if is_done(&head) {
            return Ok(head);
        }
        if began.elapsed() >= arguments.wait {
            return Err(Failed::Trouble(format!(
                "{name} is not done after {:?}; what was done is kept, and the rest can be done later",
                arguments.wait
            )));
        }
    }
}

/// The newest head of a namespace.
pub(super) async fn head(session: &Session, name: &NamespaceName) -> Result<Arc<Head>, Failed> {
    let head = session.node.describe(name).await.map_err(|Crashed| crashed())?;
    head.map_err(|error| match error {
        QueryError::NoNamespace => missing(name),
        QueryError::Damaged(_) => Failed::Damaged(error.to_string()),
        error => Failed::Trouble(error.to_string()),
    })
}

/// What a head says of a namespace that is there.
pub(super) fn live<'a>(head: &'a Head, name: &NamespaceName) -> Result<&'a Live, Failed> {
    head.live().ok_or_else(|| missing(name))
}

fn missing(name: &NamespaceName) -> Failed {
    Failed::NotFound(format!("namespace '{name}' was not found"))
}

fn crashed() -> Failed {
    Failed::Trouble("an invariant does not hold; the lines above say which".to_owned())
}

fn report(arguments: &IndexArguments, before: &Head, after: &Head) -> Result<(), Failed> {
    let name = &arguments.namespace;
    let (before, after) = (live(before, name)?, live(after, name)?);
    let commits = after.log.indexed.0 - before.log.indexed.0.min(after.log.indexed.0);
    let segments = (before.manifest.segments.len(), after.manifest.segments.len());
    let mut out = Output::new();
    if arguments.store.json {
        out.json(&json!({
            "commits_indexed": commits,
            "segments_before": segments.0,
            "segments": segments.1,
            "documents": after.manifest.live_rows,
        }))?;
    } else {
        out.line(&format!(
            "{name}: commits indexed: {}; documents: {}; segments: {} (before: {})",
            count(commits),
            count(after.manifest.live_rows),
            segments.1,
            segments.0
        ))?;
    }
    out.flush()
}
