//! Requests, replies and outcomes in words, for stories; and what clients are told, for the witness.

use sana_engine::base::name::Key;
use sana_engine::format::head::Head;
use sana_engine::format::layout::{self, Family, ObjectName, Place};
use sana_engine::machine::request::{Reply, Request, When};
use sana_engine::namespace::request::{InvalidQuery, InvalidWrite, WriteError, WriteOutcome};
use sana_engine::ops::delete::DeleteError;
use sana_engine::ops::publication::Publicized;
use sana_engine::service::task::{Output, Task};

use crate::model::Effect;
use crate::oracles::linearizability::OpId;
use crate::oracles::witness::Witness;
use crate::oracles::{Broken, Oracle};
use crate::phrases;
use crate::story::Lane;

/// A request.
pub fn request(request: &Request) -> String {
    let key = object(request.key());
    match request {
        Request::Get { range: None, unless: None, .. } => format!("get {key}"),
        Request::Get { range: None, .. } => format!("get {key} if changed"),
        Request::Get { range: Some(range), .. } => {
            format!("get {key}, bytes {}..{}", range.start, range.end)
        }
        Request::Put { body, when, .. } => {
            let when = match when {
                When::Absent => " if absent",
                When::Fresh => "",
                When::Matches(_) => " if unchanged",
            };
            let head =
                Head::decode(request.key(), body).map(|head| format!(" [{}]", self::head(&head)));
            format!("put {key}{when}{}", head.unwrap_or_default())
        }
        Request::Delete { .. } => format!("delete {key}"),
        Request::List { .. } => format!("list {key}…"),
    }
}

/// A reply.
pub fn reply(request: &Request, reply: &Reply) -> String {
    match reply {
        Reply::Found { body, .. } => {
            let head = Head::decode(request.key(), body).map(|head| self::head(&head));
            format!("found {}", head.unwrap_or_else(|_| format!("{} bytes", body.len())))
        }
        Reply::NotModified => "not modified".into(),
        Reply::Missing => "missing".into(),
        Reply::Stored { .. } => "stored".into(),
        Reply::Refused => "REFUSED".into(),
        Reply::Deleted => "deleted".into(),
        Reply::Listed { objects, .. } => format!("{} keys", objects.len()),
        Reply::Throttled => "TURNED AWAY".into(),
        Reply::Unreadable => "UNREADABLE".into(),
        Reply::Lost => "LOST".into(),
    }
}

/// What an object is once a write of it is performed, in a word.
pub fn brief(request: &Request) -> Option<String> {
    match request {
        Request::Put { body, .. } => {
            let head = Head::decode(request.key(), body).ok();
            head.map(|head| match head.live() {
                Some(_) => format!("step {}", head.step.0),
                None => format!("step {}: gone", head.step.0),
            })
            .or_else(|| Some("put".into()))
        }
        Request::Delete { .. } => Some("deleted".into()),
        Request::Get { .. } | Request::List { .. } => None,
    }
}

/// Whether the store did as it was asked.
pub const fn is_good(reply: &Reply) -> bool {
    !matches!(reply, Reply::Refused | Reply::Throttled | Reply::Unreadable | Reply::Lost)
}

/// The lane of the object that a request is about.
pub fn lane(request: &Request) -> Lane {
    match (request, layout::namespace_of_head(request.key())) {
        (Request::List { .. }, _) => Lane::Object("listings".into()),
        (_, Some(namespace)) => Lane::Head(namespace.to_string()),
        (_, None) => Lane::Object(object(request.key())),
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

/// An object, without the long numbers in its key.
fn object(key: &Key) -> String {
    if let Some(namespace) = layout::namespace_of_head(key) {
        return format!("head of {namespace}");
    }
    let Some((Place { namespace, .. }, family, ObjectName { stamp, nonce })) =
        layout::parse_object(key)
    else {
        return key.to_string();
    };
    let kind = match family {
        Family::Log => "batch",
        Family::Segment => "segment",
    };
    let nonce: String = nonce.to_string().chars().take(4).collect();
    format!("{namespace} {kind} {:x}-{nonce}", stamp.0)
}

/// What a machine does.
pub const fn machine(task: &Task) -> &'static str {
    match task {
        Task::Refresh(_) => "refresh",
        Task::Commit(_) => "commit",
        Task::Publication(_) => "publication",
        Task::Delete(_) => "deletion",
        Task::Query(_) => "query",
        Task::Flush(_) => "flush",
        Task::Merge(_) => "merge",
        Task::Collect(_) => "collection",
        Task::Sweep(_) => "sweep",
    }
}

/// What a machine came to.
pub fn output(output: &Output) -> String {
    match output {
        Output::Refresh(Ok(held)) => match &held.version {
            Some((_, head)) => format!("is up to date: {}", self::head(head)),
            None => "there is no head".into(),
        },
        Output::Refresh(Err(_)) => "the head cannot be had".into(),
        Output::Commit(committed) => {
            let one = |outcome: &Result<WriteOutcome, WriteError>| match outcome {
                Ok(outcome) => phrases::written(outcome),
                Err(error) => phrases::write_error(error),
            };
            let outcomes: Vec<String> = committed.outcomes.iter().map(one).collect();
            format!("committed: {}", outcomes.join("; "))
        }
        Output::Publication(Publicized::Landed(_, head)) => {
            format!("published: {}", self::head(head))
        }
        Output::Publication(Publicized::Superseded) => "its work was in vain".into(),
        Output::Publication(Publicized::Unknown) => "UNKNOWN whether it is published".into(),
        Output::Publication(Publicized::Damaged(bad)) => bad.to_string(),
        Output::Delete(Ok(_)) => "the namespace is deleted".into(),
        Output::Delete(Err(error)) => error.to_string(),
        Output::Query(Ok(answer)) => phrases::found(&answer.found),
        Output::Query(Err(error)) => error.to_string(),
        Output::Flush(Ok(_)) => "the segment is written".into(),
        Output::Merge(Ok(_)) => "the segments are one".into(),
        Output::NoTurn => "it had no turn".into(),
        Output::Flush(Err(error)) | Output::Merge(Err(error)) => error.to_string(),
        Output::Collect(collected) => format!("{} objects are collected", collected.deleted),
        Output::Sweep(swept) => format!("{} orphans are swept", swept.deleted),
    }
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
        Err(
            WriteError::Behind { .. }
            | WriteError::Full { .. }
            | WriteError::Unavailable
            | WriteError::TooMuch,
        ) => Said::Refused,
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
