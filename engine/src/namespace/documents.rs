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
use std::collections::{BTreeMap, BTreeSet};

use crate::base::id::AttributeId;
use crate::base::planted::{self, Bug};
use crate::base::time::WallTime;
use crate::base::value::{Document, Id};
use crate::format::head::Live;
use crate::format::log::{Batch, IdempotencyRecord, Operation, WriteOutcome};
use crate::format::schema::Schema;
use crate::index::predicate::Predicate;
use crate::namespace::effects::{self, Effects};
use crate::namespace::matched::Matched;
use crate::namespace::request::{Create, InvalidWrite, WriteError, WriteRequest};
use crate::namespace::schema::{cast_id, extend};

/// What was read of a namespace, at the head that a decision is made at.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Known {
    /// The documents that patches and conditions mention; `None` if there is none.
    pub documents: BTreeMap<Id, Option<Document>>,
    /// What the filters of the one request that has some match.
    pub matched: Matched,
    /// The records of idempotency keys that requests mention, where there are any.
    pub records: BTreeMap<String, IdempotencyRecord>,
}

/// What a group of requests comes to at one head.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Decision {
    /// The schema after it.
    pub schema: Schema,
    /// Whether the namespace is read-only after it.
    pub read_only: bool,
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
pub fn mentioned_ids(schema: &Schema, requests: &[WriteRequest]) -> BTreeSet<Id> {
    let Some(id_type) = schema.id_type else { return BTreeSet::new() };
    let mentioned = requests.iter().flat_map(effects::mentioned);
    mentioned.filter_map(|id| cast_id(id, id_type).ok()).collect()
}

/// What must be known of those documents: all of one that is patched, else what conditions look at.
pub fn mentioned_attributes(schema: &Schema, requests: &[WriteRequest]) -> BTreeSet<AttributeId> {
    let patches = requests.iter().any(|request| request.patches.is_some());
    let conditions = requests.iter().flat_map(WriteRequest::conditions);
    let names: BTreeSet<&str> = conditions.flat_map(Predicate::attributes).collect();
    let attributes = schema.attributes.iter();
    let needed = attributes.filter(|(name, _)| patches || names.contains(name.as_str()));
    needed.map(|(_, attribute)| attribute.id).collect()
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
    let reads = requests.iter().any(WriteRequest::reads_documents);
    let by_filter = requests.iter().any(WriteRequest::is_by_filter);
    assert!(!by_filter || requests.len() == 1, "C1: what filters match is known for one request");
    let mut group = Group {
        exists: live.is_some(),
        read_only: live.is_some_and(|live| live.read_only),
        schema: live.map(|live| live.schema.clone()).unwrap_or_default(),
        is_changed: false,
        batch: Batch::default(),
        last: (reads && requests.len() > 1).then(BTreeMap::new),
        known,
        at,
        retention,
    };
    let outcomes = requests.iter().map(|request| group.apply(request)).collect();
    assert!(group.exists || live.is_none(), "C2: a decision ends no namespace");
    group.keep_last_words();
    let commits = group.is_changed || group.batch != Batch::default();
    let Group { schema, read_only, batch, .. } = group;
    Decision { schema, read_only, batch, outcomes, commits }
}

/// A group of requests while it is being decided.
struct Group<'a> {
    exists: bool,
    read_only: bool,
    schema: Schema,
    /// Whether a request made one of these another. What the next one unmakes was there for a moment.
    is_changed: bool,
    batch: Batch,
    /// Where the last operation on an id is, if anybody will ask.
    last: Option<BTreeMap<Id, usize>>,
    known: &'a Known,
    at: WallTime,
    retention: Duration,
}

impl Group<'_> {
    /// Leaves out the operations that a later one of the group replaces. A patch of few bytes is written as
    /// the whole document, so many of one document would make a batch many times as large as it.
    fn keep_last_words(&mut self) {
        let Some(last) = &self.last else { return };
        let mut is_last = vec![false; self.batch.operations.len()];
        last.values().for_each(|place| is_last[*place] = true);
        let mut is_last = is_last.into_iter();
        self.batch.operations.retain(|_| is_last.next().unwrap_or(true));
        let words = self.batch.operations.len();
        assert_eq!(words, last.len(), "C8: one word on each document");
    }

    fn apply(&mut self, request: &WriteRequest) -> Result<WriteOutcome, WriteError> {
        if planted::is(Bug::LockBeforeKey) {
            self.may_write(request)?;
        }
        if let Some(idempotency) = &request.idempotency
            && let Some(record) = self.record(&idempotency.key)
        {
            let same = record.fingerprint == idempotency.fingerprint
                || planted::is(Bug::KeyWithoutFingerprint);
            return if same { Ok(record.outcome.clone()) } else { Err(WriteError::KeyReused) };
        }
        self.may_write(request)?;
        let schema = extend(&self.schema, request)?;
        let before = |id: &Id| self.document(id);
        let mut effects = Effects::new(request, &self.schema, &schema, &before);
        effects.apply(&self.known.matched)?;
        let (operations, outcome) = effects.finish();
        self.accept(request, schema, operations, &outcome);
        Ok(outcome)
    }

    /// The record of an idempotency key, unless it is too old to count.
    fn record(&self, key: &str) -> Option<&IdempotencyRecord> {
        let here = self.batch.records.iter().find(|record| record.key == key);
        let here = here.filter(|_| !planted::is(Bug::GroupForgetsItsKeys));
        let record = here.or_else(|| self.known.records.get(key))?;
        (self.at.since(record.at) <= self.retention).then_some(record)
    }

    /// Whether the namespace is there or the request may create it, and may be written to.
    fn may_write(&self, request: &WriteRequest) -> Result<(), WriteError> {
        let changes = request.changes_content() || planted::is(Bug::LockedForEver);
        let is_locked = self.read_only && changes;
        let is_locked = is_locked && !planted::is(Bug::LockIsIgnored);
        let has_documents = request.upserts.as_ref().is_some_and(|upserts| !upserts.is_empty());
        match request.create {
            _ if self.exists && is_locked => Err(WriteError::ReadOnly),
            _ if self.exists => Ok(()),
            Create::WithDocuments | Create::Always if has_documents => Ok(()),
            Create::Always if request.id_type.is_some() => Ok(()),
            Create::Always => Err(InvalidWrite::NoIdType.into()),
            Create::WithDocuments | Create::Never => Err(WriteError::NoNamespace),
        }
    }

    /// What is there under an id, the requests before this one applied.
    fn document(&self, id: &Id) -> Option<&Document> {
        let last = self.last.as_ref().filter(|_| !planted::is(Bug::GroupSeesStateBefore));
        if let Some(place) = last.and_then(|last| last.get(id)) {
            return self.batch.operations[*place].document();
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
        let read_only = request.read_only.unwrap_or(self.read_only);
        self.is_changed |= !self.exists || self.schema != schema || self.read_only != read_only;
        self.exists = true;
        self.schema = schema;
        self.read_only = read_only;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::limits;
    use crate::base::name::AttributeName;
    use crate::base::value::{IdType, Raw, Scalar, ScalarType, Type, Value};
    use crate::format::schema::Metric;
    use crate::namespace::matched::{MatchedIds, Matches};
    use crate::namespace::request::{
        AttributeRequest, ByFilter, Idempotency, Operator, Predicate, RawDocument,
    };

    const TEXT: Type = Type::Scalar(ScalarType::String);

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
        assert_eq!(decision.batch.operations.len(), 1, "the last word");
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
        let unsaid = WriteRequest { create: Create::Always, ..WriteRequest::default() };
        let refused = Err(WriteError::Invalid(InvalidWrite::NoIdType));
        assert_eq!(decided(&[unsaid], &Known::default()).outcomes, [refused]);
    }

    #[test]
    fn all_is_read_of_what_is_patched_and_of_the_rest_what_conditions_look_at() {
        let name = |name| AttributeName::parse(name).unwrap();
        let attributes = ["a", "b", "c"].map(|n| (name(n), Raw::Integer(1))).to_vec();
        let three = RawDocument { id: Raw::Integer(1), attributes };
        let first = WriteRequest { upserts: Some(vec![three]), ..WriteRequest::default() };
        let schema = decided(&[first], &Known::default()).schema;
        let read = |requests: &[WriteRequest]| mentioned_attributes(&schema, requests).len();
        let conditional = WriteRequest {
            upsert_condition: Some(compare("b", Operator::Eq, Raw::Integer(1))),
            ..upsert(1, 1)
        };
        assert_eq!(read(&[upsert(1, 1), delete(2)]), 0);
        let b = BTreeSet::from([schema.attributes[&name("b")].id]);
        assert_eq!(mentioned_attributes(&schema, &[upsert(1, 1), conditional.clone()]), b);
        assert_eq!(read(&[conditional, patch(1, 1)]), 3);
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

    fn compare(attribute: &str, operator: Operator, operand: Raw) -> Predicate {
        Predicate::Compare { attribute: attribute.into(), operator, operand }
    }

    /// Only if the document's `a` is smaller than the new one.
    fn newer() -> Predicate {
        let (attribute, new) = ("a".to_owned(), "a".to_owned());
        Predicate::CompareNew { attribute, operator: Operator::Lt, new }
    }

    /// What a group comes to in a namespace that holds these documents.
    fn over(documents: &[(i128, i128)], requests: &[WriteRequest]) -> Decision {
        let given: Vec<_> = documents.iter().map(|(id, a)| document(*id, *a)).collect();
        let first = WriteRequest { upserts: Some(given), ..WriteRequest::default() };
        let first = decided(&[first], &Known::default());
        let batch = first.batch.operations.iter();
        let known = batch.map(|o| (o.id().clone(), o.document().cloned())).collect();
        let live = live(first.schema);
        let known = Known { documents: known, ..Known::default() };
        decide(Some(&live), requests, &known, NOW, KEPT)
    }

    fn live(schema: Schema) -> Live {
        let head = crate::format::head::Head::create(
            None,
            crate::base::id::Nonce(1),
            crate::base::id::Incarnation(crate::base::id::Nonce(1)),
            NOW,
        );
        Live { schema, ..head.live().unwrap().clone() }
    }

    #[test]
    fn conditions_are_about_the_document_that_is_there() {
        let conditional = WriteRequest {
            upserts: Some(vec![document(1, 5), document(2, 5), document(3, 5)]),
            upsert_condition: Some(newer()),
            wants_ids: true,
            ..WriteRequest::default()
        };
        let decision = over(&[(1, 4), (2, 5)], &[conditional]);
        let outcome = decision.outcomes[0].as_ref().unwrap();
        assert_eq!(outcome.upserted, Some(2), "3 is not there, so it is put");
        assert_eq!(outcome.affected.as_ref().unwrap().upserted, [Id::Uint(1), Id::Uint(3)]);
        let patches = WriteRequest { patch_condition: Some(newer()), ..patch(1, 5) };
        let missing = WriteRequest { patch_condition: Some(newer()), ..patch(9, 5) };
        let again = WriteRequest { patch_condition: Some(newer()), ..patch(1, 5) };
        let decision = over(&[(1, 4)], &[patches, missing, again]);
        let patched = decision.outcomes.iter().map(|o| o.as_ref().unwrap().patched);
        assert_eq!(patched.collect::<Vec<_>>(), [Some(1), Some(0), Some(0)]);
        let even = Some(compare("a", Operator::Eq, Raw::Integer(4)));
        let deletes = WriteRequest {
            deletes: Some(vec![Raw::Integer(1), Raw::Integer(2), Raw::Integer(3)]),
            delete_condition: even,
            ..WriteRequest::default()
        };
        let decision = over(&[(1, 4), (2, 5)], &[deletes]);
        assert_eq!(decision.outcomes[0].as_ref().unwrap().deleted, Some(1));
        assert_eq!(decision.batch.operations, [Operation::Delete(Id::Uint(1))]);
    }

    #[test]
    fn insert_only_is_a_condition_that_no_document_satisfies() {
        let condition = Some(compare("id", Operator::Eq, Raw::Null));
        let request = WriteRequest {
            upserts: Some(vec![document(1, 9), document(2, 9)]),
            upsert_condition: condition,
            ..WriteRequest::default()
        };
        let decision = over(&[(1, 1)], &[request.clone(), request]);
        let upserted = decision.outcomes.iter().map(|o| o.as_ref().unwrap().upserted);
        assert_eq!(upserted.collect::<Vec<_>>(), [Some(1), Some(0)]);
    }

    #[test]
    fn a_condition_that_does_not_fit_refuses_the_request() {
        for condition in [
            compare("b", Operator::Eq, Raw::Integer(1)),
            compare("a", Operator::Eq, Raw::Text("x".into())),
            Predicate::CompareNew {
                attribute: "b".into(),
                operator: Operator::Eq,
                new: "a".into(),
            },
        ] {
            let request = WriteRequest { upsert_condition: Some(condition), ..upsert(7, 1) };
            let decision = over(&[(1, 1)], &[request]);
            assert!(matches!(decision.outcomes[0], Err(WriteError::Filter(_))), "{decision:?}");
            assert!(!decision.commits);
        }
    }

    #[test]
    fn nothing_is_written_to_a_read_only_namespace_but_that_it_is_not() {
        let lock =
            |read_only| WriteRequest { read_only: Some(read_only), ..WriteRequest::default() };
        let group = [lock(true), upsert(1, 1), patch(1, 1), delete(1), lock(false), upsert(2, 2)];
        let decision = over(&[(1, 1)], &group);
        let refused: Vec<_> =
            decision.outcomes.iter().map(|o| o == &Err(WriteError::ReadOnly)).collect();
        assert_eq!(refused, [false, true, true, true, false, false]);
        assert!(!decision.read_only && decision.batch.operations.len() == 1);
        assert!(over(&[(1, 1)], &[lock(true)]).read_only);
    }

    #[test]
    fn a_dropped_attribute_leaves_its_number_behind() {
        let drop = WriteRequest {
            drops: vec![AttributeName::parse("a").unwrap()],
            ..WriteRequest::default()
        };
        let decision = over(&[(1, 1)], &[drop.clone(), drop, patch(1, 3)]);
        assert!(decision.outcomes[0].is_ok());
        let unknown = InvalidWrite::UnknownDrop(AttributeName::parse("a").unwrap());
        assert_eq!(decision.outcomes[1], Err(unknown.into()));
        let attribute = decision.schema.attributes.values().next().unwrap();
        assert_eq!(attribute.id.0, 1, "a number is given once");
        let patched = decision.batch.operations[0].document().unwrap();
        assert_eq!(patched.attributes.len(), 1, "the old value is gone");
    }

    #[test]
    fn who_changes_nothing_commits_nothing() {
        let first = over(&[(1, 5)], &[upsert(1, 6)]);
        assert!(first.commits);
        let unmet = WriteRequest { upsert_condition: Some(newer()), ..upsert(1, 5) };
        let same = WriteRequest { read_only: Some(false), ..WriteRequest::default() };
        for request in [unmet, same, patch(7, 1), WriteRequest::default()] {
            let decision = over(&[(1, 5)], core::slice::from_ref(&request));
            assert!(decision.outcomes[0].is_ok() && !decision.commits, "{request:?}");
        }
        let locks = WriteRequest { read_only: Some(true), ..WriteRequest::default() };
        assert!(over(&[(1, 5)], &[locks]).commits);
    }

    #[test]
    fn what_a_request_of_a_group_finds_was_written_by_any_before_it() {
        let three = vec![document(1, 1), document(2, 2), document(3, 3)];
        let upserts = WriteRequest { upserts: Some(three), ..WriteRequest::default() };
        let newer = |a| WriteRequest { upsert_condition: Some(newer()), ..upsert(3, a) };
        let decision = decided(&[upsert(9, 9), upserts, newer(2), newer(4)], &Known::default());
        let counts = decision.outcomes.iter().map(|outcome| outcome.as_ref().unwrap().upserted);
        assert_eq!(counts.collect::<Vec<_>>(), [Some(1), Some(3), Some(0), Some(1)]);
    }

    #[test]
    fn an_outcome_counts_what_was_done_and_its_bytes() {
        let request = WriteRequest {
            upserts: Some(vec![document(1, 1), document(2, 2)]),
            patches: Some(vec![document(3, 3), document(4, 4)]),
            deletes: Some(vec![Raw::Integer(5), Raw::Integer(6), Raw::Integer(7)]),
            ..WriteRequest::default()
        };
        let decision = over(&[(3, 1), (5, 1)], &[request]);
        let outcome = decision.outcomes[0].as_ref().unwrap();
        let counts = (outcome.upserted, outcome.patched, outcome.deleted);
        assert_eq!(counts, (Some(2), Some(1), Some(3)));
        assert_eq!(outcome.logical_bytes, 3 * 16 + 3 * 8, "an id and a number, or an id");
    }

    #[test]
    fn vectors_are_not_patched() {
        let name = AttributeName::parse("v").unwrap();
        let vector = Raw::List(vec![Raw::Integer(1), Raw::Integer(2)]);
        let attributes = vec![(name.clone(), vector.clone())];
        let with_vector = || RawDocument { id: Raw::Integer(1), attributes: attributes.clone() };
        let request = |upserts: bool| WriteRequest {
            upserts: upserts.then(|| vec![with_vector()]),
            patches: (!upserts).then(|| vec![with_vector()]),
            metric: Some(Metric::Cosine),
            schema: vec![(name.clone(), AttributeRequest::of(Type::vector(2)))],
            ..WriteRequest::default()
        };
        let first = decided(&[request(true)], &Known::default());
        assert!(first.outcomes[0].is_ok(), "{:?}", first.outcomes);
        let live = live(first.schema);
        let by_filter = ByFilter {
            filter: compare("id", Operator::Eq, Raw::Integer(1)),
            allows_partial: false,
        };
        let filtered = WriteRequest {
            patch_by_filter: Some((by_filter, attributes.clone())),
            ..WriteRequest::default()
        };
        for request in [request(false), filtered] {
            let decision = decide(Some(&live), &[request], &Known::default(), NOW, KEPT);
            let refused = Err(WriteError::Invalid(InvalidWrite::PatchedVector));
            assert_eq!(decision.outcomes, [refused]);
        }
    }

    /// 2^53 + 1 is no float: what is held is 2^53.
    #[test]
    fn a_condition_compares_with_what_will_be_held() {
        let (attribute, new) = ("f".to_owned(), "f".to_owned());
        let other = Predicate::CompareNew { attribute, operator: Operator::NotEq, new };
        let name = AttributeName::parse("f").unwrap();
        let with = |n: i128| {
            let attributes = vec![(name.clone(), Raw::Integer(n))];
            vec![RawDocument { id: Raw::Integer(1), attributes }]
        };
        let float = AttributeRequest::of(Type::Scalar(ScalarType::Float));
        let first = WriteRequest {
            upserts: Some(with(1 << 53)),
            schema: vec![(name.clone(), float)],
            ..WriteRequest::default()
        };
        let first = decided(&[first], &Known::default());
        let document = first.batch.operations[0].document().unwrap().clone();
        let documents = [(Id::Uint(1), Some(document))].into();
        let known = Known { documents, ..Known::default() };
        let live = live(first.schema);
        for (n, upserted) in [((1 << 53) + 1, 0), (1 << 53, 0), ((1 << 53) + 2, 1)] {
            let request = WriteRequest {
                upserts: Some(with(n)),
                upsert_condition: Some(other.clone()),
                ..WriteRequest::default()
            };
            let decision = decide(Some(&live), &[request], &known, NOW, KEPT);
            assert_eq!(decision.outcomes[0].as_ref().unwrap().upserted, Some(upserted), "{n}");
        }
    }

    #[test]
    fn a_document_may_be_as_large_as_the_limit_and_no_larger() {
        let text = |bytes: usize| Raw::Text("x".repeat(bytes).into());
        let largest = text(limits::VALUE_BYTES_MAX);
        let count = limits::DOCUMENT_BYTES_MAX / limits::VALUE_BYTES_MAX - 1;
        let rest = limits::DOCUMENT_BYTES_MAX - count * limits::VALUE_BYTES_MAX - 8;
        let declared = AttributeRequest { filterable: Some(false), ..AttributeRequest::of(TEXT) };
        for over in [0, 1] {
            let values = vec![largest.clone(); count].into_iter().chain([text(rest + over)]);
            let names = (0..).map(|n| AttributeName::parse(&format!("a{n}")).unwrap());
            let attributes: Vec<_> = names.zip(values).collect();
            let schema = attributes.iter().map(|(name, _)| (name.clone(), declared));
            let request = WriteRequest {
                schema: schema.collect(),
                upserts: Some(vec![RawDocument { id: Raw::Integer(1), attributes }]),
                ..WriteRequest::default()
            };
            let most = limits::DOCUMENT_BYTES_MAX;
            let outcome = decided(&[request], &Known::default()).outcomes.remove(0);
            let too_large = WriteError::Invalid(InvalidWrite::DocumentTooLarge { most });
            assert_eq!(outcome.err(), (over > 0).then_some(too_large));
        }
    }

    /// More was matched than may be changed at once.
    #[test]
    fn a_part_of_what_filters_match_is_changed_only_if_that_is_enough() {
        let first = over(&[], &[upsert(1, 1)]);
        let live = live(first.schema);
        let document = first.batch.operations[0].document().unwrap().clone();
        let name = AttributeName::parse("a").unwrap();
        for more in [false, true] {
            let ids = [Id::Uint(1)].into();
            let deletes = MatchedIds { ids, more };
            let documents = [(Id::Uint(1), document.clone())].into();
            let patches = Matches { documents, more };
            let matched = [
                Matched { deletes, ..Matched::default() },
                Matched { patches, ..Matched::default() },
            ];
            for (field, matched) in ["delete_by_filter", "patch_by_filter"].iter().zip(matched) {
                for allows_partial in [false, true] {
                    let filter = compare("a", Operator::Eq, Raw::Integer(1));
                    let by_filter = ByFilter { filter, allows_partial };
                    let changes = vec![(name.clone(), Raw::Integer(2))];
                    let deletes = *field == "delete_by_filter";
                    let request = WriteRequest {
                        delete_by_filter: deletes.then(|| by_filter.clone()),
                        patch_by_filter: (!deletes).then(|| (by_filter.clone(), changes)),
                        ..WriteRequest::default()
                    };
                    let known = Known { matched: matched.clone(), ..Known::default() };
                    let decision = decide(Some(&live), &[request], &known, NOW, KEPT);
                    let outcome = &decision.outcomes[0];
                    if more && !allows_partial {
                        let refused = Err(WriteError::Invalid(InvalidWrite::TooManyMatches {
                            field,
                            most: if deletes {
                                limits::DELETE_BY_FILTER_MAX
                            } else {
                                limits::PATCH_BY_FILTER_MAX
                            },
                        }));
                        assert_eq!(*outcome, refused);
                        assert!(!decision.commits);
                    } else {
                        let outcome = outcome.as_ref().unwrap();
                        assert_eq!(outcome.deleted, deletes.then_some(1));
                        assert_eq!(outcome.patched, (!deletes).then_some(1));
                        assert_eq!(outcome.remaining, Some(more));
                    }
                }
            }
        }
    }

    /// What comes of patching so many documents, each with this value.
    fn patched(documents: u64, kind: Type, value: &Raw, allows_partial: bool) -> Decision {
        let given: Vec<_> = (0..documents).map(|id| document(id.into(), 1)).collect();
        let declared = AttributeRequest { filterable: Some(false), ..AttributeRequest::of(kind) };
        let name = AttributeName::parse("value").unwrap();
        let schema = vec![(name.clone(), declared)];
        let upserts = Some(given);
        let first = WriteRequest { upserts, schema, ..WriteRequest::default() };
        let first = decided(&[first], &Known::default());
        let documents = first.batch.operations.iter().filter_map(Operation::document);
        let documents = documents.map(|document| (document.id.clone(), document.clone()));
        let patches = Matches { documents: documents.collect(), more: false };
        let matched = Matched { patches, ..Matched::default() };
        let known = Known { matched, ..Known::default() };
        let filter = compare("a", Operator::Eq, Raw::Integer(1));
        let patch_by_filter =
            Some((ByFilter { filter, allows_partial }, vec![(name, value.clone())]));
        let request = WriteRequest { patch_by_filter, ..WriteRequest::default() };
        decide(Some(&live(first.schema)), &[request], &known, NOW, KEPT)
    }

    #[test]
    fn what_filters_match_is_changed_only_as_far_as_it_can_be_written() {
        let most = limits::FOUND_BYTES_MAX;
        let text = Raw::Text("x".repeat(8_000_000).into());
        // Nothing to be billed for, and yet a word each in every document of the log.
        let nothings = Raw::List(vec![Raw::Text("".into()); 1_000_000]);
        let element = size_of::<Scalar>();
        let texts = Type::Array(ScalarType::String);
        let cases = [(TEXT, text, most / 8_000_000), (texts, nothings, most / 1_000_000 / element)];
        for (kind, value, held) in cases {
            let documents = held as u64 + 10;
            let too_large = WriteError::Invalid(InvalidWrite::MatchesTooLarge { most });
            assert_eq!(patched(documents, kind, &value, false).outcomes, [Err(too_large)]);
            let part = patched(documents, kind, &value, true);
            let outcome = part.outcomes[0].as_ref().unwrap();
            assert_eq!((outcome.patched, outcome.remaining), (Some(held as u64), Some(true)));
            assert_eq!(part.batch.operations.len(), held);
            // Here they share it.
            let values = part.batch.operations.iter().filter_map(Operation::document);
            let values: Vec<_> = values.map(|document| &document.attributes[0].1).collect();
            match values[..] {
                [Value::Array(first), .., Value::Array(last)] => {
                    assert!(std::sync::Arc::ptr_eq(first, last));
                }
                [Value::Scalar(Scalar::String(first)), .., Value::Scalar(Scalar::String(last))] => {
                    assert!(std::sync::Arc::ptr_eq(first, last));
                }
                _ => panic!("they have what they were given"),
            }
        }
    }
}
