//! `sana inspect` and `verify`: how a namespace lies in the store, and whether all of it is there.

use clap::Args;
use sana_engine::base::name::NamespaceName;
use sana_engine::base::time::WallTime;
use sana_engine::format::head::{Head, Live};
use sana_engine::format::layout::{self, Family, Place};
use sana_engine::format::log::{LogEntry, Payload};
use sana_engine::format::manifest::SegmentRef;
use serde_json::{Value, json};

use super::failure::Failed;
use super::index::{head, live};
use super::output::{Output, cell, count};
use super::session::{Purpose, Session, StoreArguments, namespace};
use crate::clock::SystemClock;
use crate::http::json::date_time;
use crate::verify::{self, Verified};

/// Show how a namespace lies in the store: its head, log and segments.
///
/// Everything shown stands in the head, one object; `sana verify` reads the others.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  sana inspect shop\n  sana inspect shop --json | jq '.segments | length'"
)]
pub(super) struct InspectArguments {
    /// The namespace.
    #[arg(value_parser = namespace)]
    namespace: NamespaceName,
    #[command(flatten)]
    store: StoreArguments,
}

/// Read every object that namespaces name, check all of it, and say what is damaged.
///
/// Checks that each object is there and as long as it should be, every checksum, that everything can
/// be decoded, and that counts, ids and ranges agree. Changes nothing. Exit code 5 if something is
/// damaged.
#[derive(Args)]
#[command(after_help = "Examples:\n  sana verify\n  sana verify shop docs --json")]
pub(super) struct VerifyArguments {
    /// Namespaces; all of them if none is named.
    #[arg(value_parser = namespace)]
    namespaces: Vec<NamespaceName>,
    #[command(flatten)]
    store: StoreArguments,
}

/// `sana inspect`
///
/// # Errors
///
/// [`Failed`] if there is no such namespace.
pub(super) async fn inspect(arguments: &InspectArguments) -> Result<(), Failed> {
    let session = Session::open(&arguments.store, Purpose::Look).await?;
    let name = &arguments.namespace;
    let head = head(&session, name).await?;
    let picture = picture(name, &head, live(&head, name)?);
    let mut out = Output::new();
    if arguments.store.json {
        out.json(&picture)?;
    } else {
        print(&mut out, &picture)?;
    }
    out.flush()
}

/// A head as people may read it.
fn picture(name: &NamespaceName, head: &Head, live: &Live) -> Value {
    let place = Place { namespace: name.clone(), incarnation: head.incarnation };
    let time = |at: WallTime| date_time(i64::try_from(at.0).unwrap_or(i64::MAX));
    let (log, manifest) = (&live.log, &live.manifest);
    let trash = live.trash.iter().map(|trash| {
        let keys = trash.names.iter().map(|(family, name)| place.object(*family, *name));
        let keys: Vec<_> = keys.map(|key| key.as_str().to_owned()).collect();
        json!({"retired_at_step": trash.retired.0, "at": time(trash.at), "objects": keys})
    });
    json!({
        "head": {
            "object": layout::head(name).as_str(),
            "incarnation": head.incarnation.0.to_string(),
            "step": head.step.0,
            "floor": head.floor.0,
            "created_at": time(live.created_at),
            "written_at": time(live.written_at),
            "bytes": head.encode().len(),
            "recent_commits": live.recent.len(),
        },
        "log": {
            "committed": log.committed.0,
            "indexed": log.indexed.0,
            "unindexed_bytes": log.unindexed_bytes(),
            "entries": log.entries.iter().map(|entry| logged(&place, entry)).collect::<Vec<_>>(),
        },
        "index": {
            "generation": manifest.generation.0,
            "documents": manifest.live_rows,
            "rows_given_out": manifest.next_row.0,
            "logical_bytes": manifest.logical_bytes,
            "stored_bytes": manifest.segments.iter().map(SegmentRef::stored_bytes).sum::<u64>(),
        },
        "segments": manifest.segments.iter().map(|s| segment(&place, s)).collect::<Vec<_>>(),
        "trash": trash.collect::<Vec<_>>(),
    })
}

fn logged(place: &Place, entry: &LogEntry) -> Value {
    let at = match &entry.payload {
        Payload::Inline(_) => json!("in the head"),
        Payload::Object { name, start } => {
            json!(format!("{} from byte {start}", place.object(Family::Log, *name)))
        }
    };
    let (cursor, operations, bytes) = (entry.cursor.0, entry.operations, entry.bytes);
    json!({"cursor": cursor, "operations": operations, "bytes": bytes, "at": at})
}

fn segment(place: &Place, segment: &SegmentRef) -> Value {
    let key = |part| place.object(Family::Segment, part).as_str().to_owned();
    json!({
        "rows": segment.rows,
        "first_row": segment.base.0,
        "end_row": segment.end.0,
        "kills": segment.kills,
        "bytes": segment.stored_bytes(),
        "directory_bytes": segment.directory.bytes,
        "objects": segment.parts.iter().map(|part| key(part.name)).collect::<Vec<_>>(),
    })
}

fn print(out: &mut Output, picture: &Value) -> Result<(), Failed> {
    for part in ["head", "log", "index"] {
        let fields = picture[part].as_object().into_iter().flatten();
        let row = |(name, value): (&String, &Value)| {
            let value = value.as_str().map_or_else(|| cell(Some(value)), str::to_owned);
            vec![format!("  {name}"), value]
        };
        let rows: Vec<_> = fields.filter(|(name, _)| *name != "entries").map(row).collect();
        out.table(&[part, ""], &rows)?;
        out.line("")?;
    }
    print_list(out, "not indexed", &picture["log"]["entries"])?;
    print_list(out, "segments", &picture["segments"])?;
    print_list(out, "trash", &picture["trash"])
}

/// A list of objects that have the same fields, as a table.
fn print_list(out: &mut Output, title: &str, list: &Value) -> Result<(), Failed> {
    let all = list.as_array().map_or(&[][..], Vec::as_slice);
    out.line(&format!("{title}: {}", all.len()))?;
    let Some(first) = all.first().and_then(Value::as_object) else { return Ok(()) };
    let headings: Vec<&str> = first.keys().map(String::as_str).collect();
    let row = |entry: &Value| headings.iter().map(|field| cell(entry.get(field))).collect();
    out.table(&headings, &all.iter().map(row).collect::<Vec<_>>())?;
    out.line("")
}

/// `sana verify`
///
/// # Errors
///
/// [`Failed::Damaged`] if something is damaged.
pub(super) async fn verify(arguments: &VerifyArguments) -> Result<(), Failed> {
    let session = Session::open(&arguments.store, Purpose::Look).await?;
    let names = match arguments.namespaces.as_slice() {
        [] => all_names(&session).await?,
        these => these.to_vec(),
    };
    let (mut out, mut reports, mut damaged) = (Output::new(), Vec::new(), 0);
    for name in &names {
        let verified = verify::namespace(&session.store, &SystemClock, name).await;
        let verified = verified.map_err(|error| Failed::Trouble(error.to_string()))?;
        // Whoever names one expects it to be there; one that was listed may have gone since.
        if !verified.is_live && !arguments.namespaces.is_empty() {
            return Err(Failed::NotFound(format!("namespace '{name}' was not found")));
        }
        damaged += usize::from(!verified.findings.is_empty());
        if arguments.store.json {
            reports.push(report(name, &verified));
        } else {
            let Verified { objects, bytes, .. } = verified;
            let state = if verified.findings.is_empty() { "whole" } else { "DAMAGED" };
            let (objects, bytes) = (count(objects), count(bytes));
            out.line(&format!("{name}: {state} ({objects} objects, {bytes} bytes)"))?;
            for finding in &verified.findings {
                out.line(&format!("  {finding}"))?;
            }
            out.flush()?;
        }
    }
    if arguments.store.json {
        out.json(&Value::Array(reports))?;
    }
    out.flush()?;
    if damaged == 0 {
        return Ok(());
    }
    Err(Failed::Damaged(format!("{damaged} of {} namespaces are damaged", names.len())))
}

fn report(name: &NamespaceName, verified: &Verified) -> Value {
    json!({
        "namespace": name.as_str(),
        "whole": verified.findings.is_empty(),
        "objects": verified.objects,
        "bytes": verified.bytes,
        "findings": verified.findings,
    })
}

async fn all_names(session: &Session) -> Result<Vec<NamespaceName>, Failed> {
    let (mut names, mut after) = (Vec::new(), None);
    loop {
        let (page, next) = session.names("", after.as_ref()).await?;
        names.extend(page);
        if next.is_none() {
            return Ok(names);
        }
        after = next;
    }
}
