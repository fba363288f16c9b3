//! Requests, replies and outcomes in words, for stories; and what clients are told, for the witness.

use sana_engine::format::head::Head;
use sana_engine::format::layout;
use sana_engine::machine::request::{Reply, Request, When};
use sana_engine::namespace::request::{
    InvalidQuery, InvalidWrite, WriteError, WriteOutcome, WriteRequest,
};
use sana_engine::ops::delete::DeleteError;
use sana_engine::service::task::Output;

use crate::model::Effect;
use crate::oracles::linearizability::OpId;
use crate::oracles::witness::Witness;
use crate::oracles::{Broken, Oracle};

/// A request and what became of it.
pub fn exchange(request: &Request, reply: &Reply) -> String {
    let key = short(request.key().as_str());
    let reply = self::reply(request, reply);
    match request {
        Request::Get { range: None, unless: None, .. } => format!("get {key} → {reply}"),
        Request::Get { range: None, .. } => format!("get {key} if changed → {reply}"),
        Request::Get { range: Some(range), .. } => {
            format!("get {key} {}..{} → {reply}", range.start, range.end)
        }
        Request::Put { body, when, .. } => {
            let when = match when {
                When::Absent => "if absent",
                When::Fresh => "new",
                When::Matches(_) => "if unchanged",
            };
            let head =
                Head::decode(request.key(), body).map(|head| format!(" ({})", self::head(&head)));
            format!("put {key}{} {when} → {reply}", head.unwrap_or_default())
        }
        Request::Delete { .. } => format!("delete {key} → {reply}"),
        Request::List { .. } => format!("list {key}… → {reply}"),
    }
}

fn reply(request: &Request, reply: &Reply) -> String {
    match reply {
        Reply::Found { body, .. } => {
            let head = Head::decode(request.key(), body).map(|head| self::head(&head));
            format!("found {}", head.unwrap_or_else(|_| format!("{} bytes", body.len())))
        }
        Reply::NotModified => "not modified".into(),
        Reply::Missing => "missing".into(),
        Reply::Stored { .. } => "stored".into(),
        Reply::Refused => "refused".into(),
        Reply::Deleted => "deleted".into(),
        Reply::Listed { objects, .. } => format!("{} keys", objects.len()),
        Reply::Throttled => "turned away".into(),
        Reply::Unreadable => "unreadable".into(),
        Reply::Lost => "LOST".into(),
    }
}

/// A head in a few words.
pub fn head(head: &Head) -> String {
    let (step, floor) = (head.step.0, head.floor.0);
    match head.live() {
        None => format!("step {step} floor {floor}: tombstone"),
        Some(live) => format!(
            "step {step} floor {floor}: committed {} indexed {} segments {} trash {}",
            live.log.committed.0,
            live.log.indexed.0,
            live.manifest.segments.len(),
            live.trash.len()
        ),
    }
}

/// A key without the long numbers in it.
fn short(key: &str) -> String {
    let part = |part: &str| match part.split_once('-') {
        Some((stamp, rest)) if stamp.len() == 16 && rest.len() >= 32 => {
            format!("{}-{}…", stamp.trim_start_matches('0'), &rest[..4])
        }
        _ if part.len() == 32 => format!("{}…", &part[..4]),
        _ => part.to_owned(),
    };
    key.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// What a machine came to.
pub fn output(output: &Output) -> String {
    match output {
        Output::Refresh(Ok(held)) => match &held.version {
            Some((_, head)) => format!("is up to date with {}", self::head(head)),
            None => "there is no head".into(),
        },
        Output::Commit(committed) => {
            let one = |outcome: &Result<WriteOutcome, WriteError>| match outcome {
                Ok(outcome) => format!("done {:?}", effect(outcome)),
                Err(error) => error.to_string(),
            };
            committed.outcomes.iter().map(one).collect::<Vec<_>>().join("; ")
        }
        Output::Query(Ok(answer)) => format!("{:?}", answer.found),
        other => {
            let text = format!("{other:?}");
            text.chars().take(160).collect()
        }
    }
}

/// A write in a few words.
pub fn write(request: &WriteRequest) -> String {
    let mut parts = Vec::new();
    for (word, list) in [("put", &request.upserts), ("patch", &request.patches)] {
        for document in list.iter().flatten() {
            let values = document.attributes.iter().map(|(name, raw)| {
                let raw: String = format!("{raw:?}").chars().take(40).collect();
                format!("{name}={raw}")
            });
            let values = values.collect::<Vec<_>>().join(",");
            parts.push(format!("{word} {:?} {values}", document.id));
        }
    }
    for id in request.deletes.iter().flatten() {
        parts.push(format!("delete {id:?}"));
    }
    if let Some(by) = &request.delete_by_filter {
        parts.push(format!("delete where {:?}", by.filter));
    }
    if let Some((by, changes)) = &request.patch_by_filter {
        parts.push(format!("patch where {:?}: {changes:?}", by.filter));
    }
    parts.extend(request.drops.iter().map(|name| format!("drop {name}")));
    parts.extend(request.read_only.map(|locks| format!("read-only: {locks}")));
    let key = request.idempotency.as_ref().map(|key| format!(" under key {}", key.key));
    format!("[{}{}]", parts.join(", "), key.unwrap_or_default())
}

/// What an outcome says, in the model's words.
pub fn effect(outcome: &WriteOutcome) -> Effect {
    let WriteOutcome { upserted, patched, deleted, affected, .. } = outcome;
    let Some(affected) = affected else { return Effect::Written(*upserted, *patched, *deleted) };
    let lists = [&affected.upserted, &affected.patched, &affected.deleted];
    let ids = lists.map(|ids| ids.iter().cloned().collect());
    Effect::Named(*upserted, *patched, *deleted, ids)
}

/// What a client is told of a change, in the model's words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Said {
    /// It came to this.
    Effect(Effect),
    /// It did not and will not happen.
    Refused,
    /// Nobody knows.
    Unknown,
    /// What no client may be told.
    Wrong(String),
}

/// What a client is told of its write.
pub fn said(outcome: &Result<WriteOutcome, WriteError>) -> Said {
    match outcome {
        Ok(outcome) => Said::Effect(effect(outcome)),
        Err(WriteError::Unknown { .. }) => Said::Unknown,
        Err(WriteError::NoNamespace) => Said::Effect(Effect::NoNamespace),
        Err(WriteError::KeyReused) => Said::Effect(Effect::KeyReused),
        Err(WriteError::ReadOnly) => Said::Effect(Effect::ReadOnly),
        Err(
            WriteError::Invalid(InvalidWrite::UnknownDrop(_))
            | WriteError::Filter(InvalidQuery::UnknownFilterAttribute(_)),
        ) => Said::Effect(Effect::NoAttribute),
        Err(WriteError::Behind { .. } | WriteError::Unavailable | WriteError::TooMuch) => {
            Said::Refused
        }
        Err(error) => Said::Wrong(format!("a write failed: {error}")),
    }
}

/// What a client is told of its deletion: whether there was anything.
pub fn said_of_removal(outcome: Result<bool, &DeleteError>) -> Said {
    match outcome {
        Ok(true) => Said::Effect(Effect::Removed),
        Ok(false) => Said::Effect(Effect::NoNamespace),
        Err(DeleteError::Unknown) => Said::Unknown,
        Err(DeleteError::Unavailable) => Said::Refused,
        Err(error) => Said::Wrong(format!("a deletion failed: {error}")),
    }
}

/// A client is told what became of its change. True if that is unknown.
///
/// # Errors
///
/// [`Broken`] if it is not so.
pub fn told(witness: &mut Witness, op: OpId, said: &Said) -> Result<bool, Broken> {
    witness.monitor.change(|monitor| match said {
        Said::Effect(effect) => monitor.answer(op, effect).map(|()| false),
        Said::Refused => monitor.refuse(op).map(|()| false),
        Said::Unknown => Ok(true),
        Said::Wrong(what) => Oracle::Linearizable.broken(what.clone()),
    })
}

/// Whether a key is a head's.
pub fn is_head(request: &Request) -> bool {
    request.key().as_str().starts_with(layout::HEADS)
}
