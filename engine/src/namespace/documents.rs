//! What a group of requests writes: decided at one head, in the order of the requests.
//!
//! # Invariants
//!
//! - **C1** A decision rests on the head it was made at, and is committed by a put on the condition
//!   that this is still the head. So it is as if the requests had been applied at that moment, one
//!   after the other.
//! - **C2** A request is applied whole or not at all, and one that is refused has no effect on those
//!   behind it.
//! - **C3** A request under a known idempotency key has no effect but its first outcome (H8).

use core::time::Duration;
use std::collections::BTreeMap;

use crate::base::limits;
use crate::base::planted::{self, Bug};
use crate::base::time::WallTime;
use crate::base::value::{Document, Id, IdType, Raw, Type};
use crate::format::head::Live;
use crate::format::log::{Batch, IdempotencyRecord, Operation, WriteOutcome};
use crate::format::schema::Schema;
use crate::namespace::request::{Create, InvalidWrite, RawDocument, WriteError, WriteRequest};
use crate::namespace::schema::{cast_attributes, cast_id, extend};

/// What was read of a namespace, at the head that a decision is made at.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Known {
    /// The documents that patches mention; `None` if there is none.
    pub documents: BTreeMap<Id, Option<Document>>,
    /// The records of idempotency keys that requests mention, where there are any.
    pub records: BTreeMap<String, IdempotencyRecord>,
}

/// What a group of requests comes to at one head.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Decision {
    /// The schema after it.
    pub schema: Schema,
    /// What is committed.
    pub batch: Batch,
    /// What each request is told if the commit lands.
    pub outcomes: Vec<Result<WriteOutcome, WriteError>>,
    /// Whether there must be a commit for the outcomes to be true.
    pub commits: bool,
}

/// Ids of documents that must be read before the requests can be decided.
///
/// An id that cannot be cast is passed over: the decision will refuse its request.
pub fn mentioned_ids(schema: Option<&Schema>, requests: &[WriteRequest]) -> Vec<Id> {
    let Some(id_type) = schema.and_then(|schema| schema.id_type) else { return Vec::new() };
    let patches = requests.iter().flat_map(|request| request.patches.iter().flatten());
    let mut ids: Vec<_> = patches.filter_map(|patch| cast_id(&patch.id, id_type).ok()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Idempotency keys that must be looked up before the requests can be decided.
pub fn mentioned_keys(requests: &[WriteRequest]) -> Vec<String> {
    let keys = requests.iter().filter_map(|request| request.idempotency.as_ref());
    let mut keys: Vec<_> = keys.map(|idempotency| idempotency.key.clone()).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// Decides what the requests come to at a head; `None` if the namespace is not there.
///
/// # Panics
///
/// Never: no request ends a namespace (C2).
pub fn decide(
    live: Option<&Live>,
    requests: &[WriteRequest],
    known: &Known,
    at: WallTime,
    retention: Duration,
) -> Decision {
    let has_patches = requests.iter().any(|request| request.patches.is_some());
    let mut group = Group {
        exists: live.is_some(),
        schema: live.map(|live| live.schema.clone()).unwrap_or_default(),
        batch: Batch::default(),
        last: has_patches.then(BTreeMap::new),
        known,
        at,
        retention,
    };
    let before = (group.exists, group.schema.clone());
    let outcomes = requests.iter().map(|request| group.apply(request)).collect();
    assert!(group.exists || !before.0, "C2: a decision ends no namespace");
    let changed = before != (group.exists, group.schema.clone());
    let commits = changed || group.batch != Batch::default();
    Decision { schema: group.schema, batch: group.batch, outcomes, commits }
}

/// A group of requests while it is being decided.
struct Group<'a> {
    exists: bool,
    schema: Schema,
    batch: Batch,
    /// Where the last operation on an id is, if anybody will ask.
    last: Option<BTreeMap<Id, usize>>,
    known: &'a Known,
    at: WallTime,
    retention: Duration,
}

impl Group<'_> {
    fn apply(&mut self, request: &WriteRequest) -> Result<WriteOutcome, WriteError> {
        if let Some(idempotency) = &request.idempotency
            && let Some(record) = self.record(&idempotency.key)
        {
            let same = record.fingerprint == idempotency.fingerprint
                || planted::is(Bug::KeyWithoutFingerprint);
            return if same { Ok(record.outcome.clone()) } else { Err(WriteError::KeyReused) };
        }
        self.may_write(request)?;
        let schema = extend(&self.schema, request)?;
        let id_type = schema.id_type;
        let mut operations = Vec::new();
        let mut outcome = WriteOutcome::default();
        if let Some(upserts) = &request.upserts {
            for raw in upserts {
                operations.push(put(&schema, raw)?);
            }
            outcome.upserted = Some(upserts.len() as u64);
        }
        let mut named: Vec<_> = operations.iter().map(|operation| operation.id().clone()).collect();
        if let Some(patches) = &request.patches {
            let before = operations.len();
            for raw in patches {
                let id = cast(&raw.id, id_type)?;
                operations.extend(self.patch(&schema, &id, raw)?);
                named.push(id);
            }
            outcome.patched = Some((operations.len() - before) as u64);
        }
        if let Some(deletes) = &request.deletes {
            for raw in deletes {
                let id = cast(raw, id_type)?;
                named.push(id.clone());
                operations.push(Operation::Delete(id));
            }
            outcome.deleted = Some(deletes.len() as u64);
        }
        named.sort_unstable();
        if let Some(twice) = named.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(InvalidWrite::DuplicateId(twice[0].clone()).into());
        }
        assert!(operations.len() <= named.len(), "C2: every operation is on an id of the request");
        outcome.logical_bytes = operations.iter().map(logical_bytes).sum();
        self.accept(request, schema, operations, &outcome);
        Ok(outcome)
    }

    /// The record of an idempotency key, unless it is too old to count.
    fn record(&self, key: &str) -> Option<&IdempotencyRecord> {
        let here = self.batch.records.iter().find(|record| record.key == key);
        let record = here.or_else(|| self.known.records.get(key))?;
        (self.at.since(record.at) <= self.retention).then_some(record)
    }

    /// Whether the namespace is there or the request may create it.
    fn may_write(&self, request: &WriteRequest) -> Result<(), WriteError> {
        let has_documents = request.upserts.as_ref().is_some_and(|upserts| !upserts.is_empty());
        match request.create {
            _ if self.exists => Ok(()),
            Create::WithDocuments | Create::Always if has_documents => Ok(()),
            Create::Always if request.id_type.is_some() => Ok(()),
            Create::Always => Err(InvalidWrite::NoIdType.into()),
            Create::WithDocuments | Create::Never => Err(WriteError::NoNamespace),
        }
    }

    /// A document with some attributes changed, if there is one.
    fn patch(
        &self,
        schema: &Schema,
        id: &Id,
        raw: &RawDocument,
    ) -> Result<Option<Operation>, WriteError> {
        let is_vector = |(name, _): &&(_, _)| {
            let attribute = schema.attributes.get(name);
            attribute.is_some_and(|a| matches!(a.value_type, Type::Vector(_)))
        };
        if raw.attributes.iter().any(|pair| is_vector(&pair)) {
            return Err(InvalidWrite::PatchedVector.into());
        }
        let changes = cast_attributes(schema, &raw.attributes)?;
        let Some(before) = self.document(id) else { return Ok(None) };
        let mut attributes: BTreeMap<_, _> = before.attributes.iter().cloned().collect();
        if planted::is(Bug::PatchForgetsTheRest) {
            attributes.clear();
        }
        for (attribute, value) in changes {
            match value {
                Some(value) => attributes.insert(attribute, value),
                None => attributes.remove(&attribute),
            };
        }
        let attributes = attributes.into_iter().collect();
        fits(Document { id: id.clone(), attributes }).map(|document| Some(Operation::Put(document)))
    }

    /// What is there under an id, the requests before this one applied.
    fn document(&self, id: &Id) -> Option<&Document> {
        let last = self.last.as_ref().filter(|_| !planted::is(Bug::GroupSeesStateBefore));
        if let Some(place) = last.and_then(|last| last.get(id)) {
            return match &self.batch.operations[*place] {
                Operation::Put(document) => Some(document),
                Operation::Delete(_) => None,
            };
        }
        self.known.documents.get(id).and_then(Option::as_ref)
    }

    /// Takes an applied request into the batch.
    fn accept(
        &mut self,
        request: &WriteRequest,
        schema: Schema,
        operations: Vec<Operation>,
        outcome: &WriteOutcome,
    ) {
        self.exists = true;
        self.schema = schema;
        if let Some(last) = &mut self.last {
            let places = operations.iter().enumerate();
            let first = self.batch.operations.len();
            last.extend(places.map(|(place, operation)| (operation.id().clone(), first + place)));
        }
        self.batch.operations.extend(operations);
        if let Some(idempotency) = &request.idempotency {
            self.batch.records.push(IdempotencyRecord {
                key: idempotency.key.clone(),
                fingerprint: idempotency.fingerprint,
                at: self.at,
                outcome: outcome.clone(),
            });
        }
    }
}

fn put(schema: &Schema, raw: &RawDocument) -> Result<Operation, WriteError> {
    let id = cast(&raw.id, schema.id_type)?;
    let values = cast_attributes(schema, &raw.attributes)?;
    let present = values.into_iter().filter_map(|(attribute, value)| Some((attribute, value?)));
    fits(Document { id, attributes: present.collect() }).map(Operation::Put)
}

fn cast(raw: &Raw, id_type: Option<IdType>) -> Result<Id, InvalidWrite> {
    let id_type = id_type.expect("S2: whoever sends an id settles the kind of ids");
    cast_id(raw, id_type)
}

fn fits(document: Document) -> Result<Document, WriteError> {
    let most = limits::DOCUMENT_BYTES_MAX;
    if document.logical_bytes() > most as u64 {
        return Err(InvalidWrite::DocumentTooLarge { most }.into());
    }
    Ok(document)
}

fn logical_bytes(operation: &Operation) -> u64 {
    match operation {
        Operation::Put(document) => document.logical_bytes(),
        Operation::Delete(_) => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::name::AttributeName;
    use crate::namespace::request::Idempotency;

    const NOW: WallTime = WallTime(1_000_000);
    const KEPT: Duration = Duration::from_secs(10);

    fn document(id: i128, a: i128) -> RawDocument {
        let name = AttributeName::parse("a").unwrap();
        RawDocument { id: Raw::Integer(id), attributes: vec![(name, Raw::Integer(a))] }
    }

    fn upsert(id: i128, a: i128) -> WriteRequest {
        WriteRequest { upserts: Some(vec![document(id, a)]), ..WriteRequest::default() }
    }

    fn patch(id: i128, a: i128) -> WriteRequest {
        WriteRequest { patches: Some(vec![document(id, a)]), ..WriteRequest::default() }
    }

    fn delete(id: i128) -> WriteRequest {
        WriteRequest { deletes: Some(vec![Raw::Integer(id)]), ..WriteRequest::default() }
    }

    fn decided(requests: &[WriteRequest], known: &Known) -> Decision {
        decide(None, requests, known, NOW, KEPT)
    }

    #[test]
    fn a_patch_sees_the_requests_of_its_group_before_it() {
        let group = [upsert(1, 1), delete(1), patch(1, 2), upsert(1, 3), patch(1, 4)];
        let decision = decided(&group, &Known::default());
        let patched: Vec<_> =
            decision.outcomes.iter().map(|o| o.as_ref().unwrap().patched).collect();
        assert_eq!(patched, [None, None, Some(0), None, Some(1)]);
        assert_eq!(decision.batch.operations.len(), 4);
    }

    #[test]
    fn a_refused_request_changes_nothing_for_its_neighbours() {
        let twice = WriteRequest {
            upserts: Some(vec![document(1, 1), document(1, 2)]),
            ..WriteRequest::default()
        };
        let decision = decided(&[twice, upsert(2, 2)], &Known::default());
        let error = WriteError::Invalid(InvalidWrite::DuplicateId(Id::Uint(1)));
        assert_eq!(decision.outcomes[0], Err(error));
        assert!(decision.outcomes[1].is_ok());
        assert_eq!(decision.batch.operations.len(), 1);
    }

    #[test]
    fn only_documents_create_a_namespace_unless_told_otherwise() {
        let decision = decided(&[delete(1), patch(1, 1)], &Known::default());
        assert_eq!(decision.outcomes, vec![Err(WriteError::NoNamespace); 2]);
        assert!(!decision.commits);
        let never = WriteRequest { create: Create::Never, ..upsert(1, 1) };
        assert_eq!(decided(&[never], &Known::default()).outcomes, [Err(WriteError::NoNamespace)]);
        let always = WriteRequest {
            create: Create::Always,
            id_type: Some(IdType::Uuid),
            ..WriteRequest::default()
        };
        let decision = decided(&[always], &Known::default());
        assert!(decision.commits && decision.outcomes[0].is_ok());
    }

    #[test]
    fn a_key_gives_its_first_outcome_until_it_is_too_old() {
        let keyed = |request: WriteRequest, fingerprint| WriteRequest {
            idempotency: Some(Idempotency { key: "k".into(), fingerprint }),
            ..request
        };
        let group = [keyed(upsert(1, 1), 7), keyed(upsert(1, 1), 7), keyed(upsert(1, 2), 8)];
        let first = decided(&group, &Known::default());
        assert_eq!(first.outcomes[0], first.outcomes[1]);
        assert_eq!(first.outcomes[2], Err(WriteError::KeyReused));
        assert_eq!((first.batch.operations.len(), first.batch.records.len()), (1, 1));
        let mut known = Known::default();
        known.records.insert("k".into(), first.batch.records[0].clone());
        let again = decided(&group[..1], &known);
        assert_eq!(again.outcomes[0], first.outcomes[0]);
        assert!(!again.commits);
        known.records.get_mut("k").unwrap().at = WallTime(NOW.0 - 10_001);
        assert!(decided(&group[..1], &known).commits);
    }
}
