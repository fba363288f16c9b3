//! A namespace as its users think of it: a map of documents, changed one request at a time and
//! searched by looking at every one.
//!
//! Nothing here is shared with the engine but the words of requests and values. So where the engine
//! and the model agree, two programs do.

pub mod search;

use std::collections::BTreeMap;
use std::sync::Arc;

use sana_engine::base::limits;
use sana_engine::base::name::AttributeName;
use sana_engine::base::value::{Float, Id, Raw, Scalar, Value, Vector};
use sana_engine::namespace::request::{ByFilter, Create, Predicate, WriteRequest};

use crate::digest::Shared;

/// The attributes of a document that are not null.
pub type Attributes = BTreeMap<AttributeName, Value>;

/// All documents of a namespace.
pub type Documents = BTreeMap<Id, Arc<Attributes>>;

/// What a namespace is at one moment. `None` if there is no such namespace.
pub type Contents = Option<Shared<Documents>>;

/// What clients do to a namespace.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Change {
    /// Write documents.
    Write(Arc<WriteRequest>),
    /// Remove the namespace.
    Remove,
    /// Make an empty namespace where there is none. Nobody asks for this: it is how a first batch too
    /// large for a head begins, and may be all that ever comes of it.
    Create,
}

/// What a change comes to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Effect {
    /// Documents were written: how many were put, changed, and named to be removed.
    Written(Option<u64>, Option<u64>, Option<u64>),
    /// The namespace was removed.
    Removed,
    /// There is a namespace now.
    Created,
    /// There was no namespace and the change made none.
    NoNamespace,
    /// The idempotency key stood for another request.
    KeyReused,
}

/// A namespace and the requests it remembers by key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct State {
    /// The documents.
    pub contents: Contents,
    /// What each idempotency key stands for, and what it came to.
    pub keys: BTreeMap<String, (u128, Effect)>,
}

impl State {
    /// The state after a change, and what the change came to.
    pub fn after(&self, change: &Change) -> (Self, Effect) {
        match change {
            Change::Remove if self.contents.is_none() => (self.clone(), Effect::NoNamespace),
            Change::Remove => (Self::default(), Effect::Removed),
            Change::Write(request) => self.after_write(request),
            Change::Create => {
                let empty = || Shared::new(Documents::new());
                let contents = Some(self.contents.clone().unwrap_or_else(empty));
                (Self { contents, keys: self.keys.clone() }, Effect::Created)
            }
        }
    }

    fn after_write(&self, request: &WriteRequest) -> (Self, Effect) {
        if let Some(key) = &request.idempotency
            && let Some((fingerprint, effect)) = self.keys.get(&key.key)
        {
            let same = *fingerprint == key.fingerprint;
            return (self.clone(), if same { effect.clone() } else { Effect::KeyReused });
        }
        let puts = request.upserts.as_ref().is_some_and(|all| !all.is_empty());
        let creates = match request.create {
            Create::WithDocuments => puts,
            Create::Always => true,
            Create::Never => false,
        };
        let mut documents = match &self.contents {
            Some(documents) => Documents::clone(documents),
            None if creates => Documents::new(),
            None => return (self.clone(), Effect::NoNamespace),
        };
        let effect = written(&mut documents, request);
        let mut keys = self.keys.clone();
        if let Some(key) = &request.idempotency {
            keys.insert(key.key.clone(), (key.fingerprint, effect.clone()));
        }
        (Self { contents: Some(Shared::new(documents)), keys }, effect)
    }
}

impl Change {
    /// Whether it is a write too large for a head, so that it may begin with an empty namespace.
    pub fn is_staged(&self) -> bool {
        let Self::Write(request) = self else { return false };
        let text = |raw: &Raw| match raw {
            Raw::Text(text) => text.len(),
            _ => 0,
        };
        let documents = request.upserts.iter().flatten();
        let values = documents.flat_map(|document| &document.attributes);
        values.map(|(_, raw)| text(raw)).sum::<usize>() > limits::INLINE_BATCH_BYTES_MAX
    }
}

/// Does what a request says to documents, and counts.
fn written(documents: &mut Documents, request: &WriteRequest) -> Effect {
    let (mut upserted, mut patched, mut deleted) = (0, 0, 0);
    let before = documents.clone();
    let matching = |by: &ByFilter| -> Vec<Id> {
        let all = before.iter().filter(|(id, there)| search::holds(&by.filter, id, there));
        all.map(|(id, _)| id.clone()).collect()
    };
    if let Some(by) = &request.delete_by_filter {
        deleted += matching(by).iter().filter(|id| documents.remove(*id).is_some()).count();
    }
    if let Some((by, changes)) = &request.patch_by_filter {
        for id in matching(by) {
            if let Some(there) = documents.get_mut(&id) {
                *there = Arc::new(changed(there, changes));
                patched += 1;
            }
        }
    }
    let may = |condition: &Option<Predicate>, id: &Id, there: &Attributes, new| {
        condition.as_ref().is_none_or(|condition| search::satisfies(condition, id, there, new))
    };
    for raw in request.upserts.iter().flatten() {
        let id = id(&raw.id);
        let there = documents.get(&id);
        if there.is_none_or(|there| may(&request.upsert_condition, &id, there, Some(raw))) {
            documents.insert(id, Arc::new(changed(&Attributes::new(), &raw.attributes)));
            upserted += 1;
        }
    }
    for raw in request.patches.iter().flatten() {
        let id = id(&raw.id);
        if let Some(there) = documents.get_mut(&id)
            && may(&request.patch_condition, &id, there, Some(raw))
        {
            *there = Arc::new(changed(there, &raw.attributes));
            patched += 1;
        }
    }
    for raw in request.deletes.iter().flatten() {
        // Without a condition nobody looks whether there is a document.
        let id = id(raw);
        let goes = match (&request.delete_condition, documents.get(&id)) {
            (None, _) => true,
            (Some(_), None) => false,
            (condition, Some(there)) => may(condition, &id, there, None),
        };
        if goes {
            documents.remove(&id);
            deleted += 1;
        }
    }
    Effect::Written(
        request.upserts.as_ref().map(|_| upserted),
        (request.patches.is_some() || request.patch_by_filter.is_some()).then_some(patched),
        (request.deletes.is_some() || request.delete_by_filter.is_some()).then_some(deleted as u64),
    )
}

fn changed(before: &Attributes, changes: &[(AttributeName, Raw)]) -> Attributes {
    let mut attributes = before.clone();
    for (name, raw) in changes {
        match value(raw) {
            Some(value) => attributes.insert(name.clone(), value),
            None => attributes.remove(name),
        };
    }
    attributes
}

/// The id that a client's value means. Clients of the model use unsigned numbers.
///
/// # Panics
///
/// If it is anything else.
pub fn id(raw: &Raw) -> Id {
    match raw {
        Raw::Integer(n) => Id::Uint(u64::try_from(*n).expect("the model's ids are unsigned")),
        other => panic!("{other:?} is no id of the model"),
    }
}

/// The value that a client's value means; `None` for null. Clients of the model use integers, texts,
/// lists of texts, and vectors written as lists of floats.
///
/// # Panics
///
/// If it is anything else.
pub fn value(raw: &Raw) -> Option<Value> {
    let component = |raw: &Raw| match raw {
        Raw::Number(n) => n.number() as f32,
        other => panic!("{other:?} is no component of the model's vectors"),
    };
    match raw {
        Raw::Null => None,
        Raw::List(all) if matches!(all.first(), Some(Raw::Number(_))) => {
            let components: Vec<f32> = all.iter().map(component).collect();
            Some(Value::Vector(Vector::new(components).expect("the model's vectors are finite")))
        }
        Raw::List(all) => Some(Value::Array(all.iter().map(scalar).collect())),
        other => Some(Value::Scalar(scalar(other))),
    }
}

/// The scalar that a client's value means.
///
/// # Panics
///
/// If it is none of the model's.
pub fn scalar(raw: &Raw) -> Scalar {
    match raw {
        Raw::Integer(n) => Scalar::Int(i64::try_from(*n).expect("the model's integers are small")),
        Raw::Text(text) => Scalar::String(Arc::clone(text)),
        Raw::Bool(truth) => Scalar::Bool(*truth),
        Raw::Number(number) => Scalar::Float(*number),
        other => panic!("{other:?} is no scalar of the model"),
    }
}

/// A component of a client's vector.
///
/// # Panics
///
/// If it is not finite.
pub fn component(number: f32) -> Raw {
    Raw::Number(Float::new(number.into()).expect("the model's vectors are finite"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sana_engine::namespace::request::{Idempotency, Operator, RawDocument};

    fn upsert(id: i128, n: i128) -> RawDocument {
        let name = AttributeName::parse("n").unwrap();
        RawDocument { id: Raw::Integer(id), attributes: vec![(name, Raw::Integer(n))] }
    }

    #[test]
    fn a_condition_looks_at_what_is_there_and_a_filter_at_what_was() {
        let newer = Predicate::CompareNew {
            attribute: "n".into(),
            operator: Operator::Lt,
            new: "n".into(),
        };
        let two = Predicate::Compare {
            attribute: "n".into(),
            operator: Operator::Eq,
            operand: Raw::Integer(2),
        };
        let write =
            |request: WriteRequest, state: &State| state.after(&Change::Write(Arc::new(request)));
        let upserts = Some(vec![upsert(1, 2), upsert(2, 5)]);
        let put = WriteRequest { upserts, ..WriteRequest::default() };
        let (state, _) = write(put.clone(), &State::default());
        let older = WriteRequest {
            upserts: Some(vec![upsert(1, 1), upsert(2, 6), upsert(3, 1)]),
            upsert_condition: Some(newer),
            ..WriteRequest::default()
        };
        let (state, effect) = write(older, &state);
        assert_eq!(effect, Effect::Written(Some(2), None, None));
        let filter = ByFilter { filter: two, allows_partial: false };
        let changes = upsert(1, 9).attributes;
        let both = WriteRequest {
            patch_by_filter: Some((filter.clone(), changes)),
            patches: Some(vec![upsert(3, 2)]),
            ..WriteRequest::default()
        };
        let (state, effect) = write(both, &state);
        assert_eq!(effect, Effect::Written(None, Some(2), None));
        let gone = WriteRequest { delete_by_filter: Some(filter), ..WriteRequest::default() };
        let (state, effect) = write(gone, &state);
        assert_eq!(effect, Effect::Written(None, None, Some(1)));
        assert_eq!(state.contents.unwrap().len(), 2);
    }

    #[test]
    fn a_repeated_key_has_one_effect() {
        let idempotency = Some(Idempotency { key: "k".into(), fingerprint: 1 });
        let first = Arc::new(WriteRequest {
            upserts: Some(vec![upsert(1, 1)]),
            idempotency,
            ..WriteRequest::default()
        });
        let delete = Arc::new(WriteRequest {
            deletes: Some(vec![Raw::Integer(1)]),
            ..WriteRequest::default()
        });
        let state = State::default();
        assert_eq!(state.after(&Change::Write(Arc::clone(&delete))).1, Effect::NoNamespace);
        let (state, effect) = state.after(&Change::Write(Arc::clone(&first)));
        assert_eq!(effect, Effect::Written(Some(1), None, None));
        let (state, _) = state.after(&Change::Write(delete));
        let (again, effect) = state.after(&Change::Write(first));
        assert_eq!(effect, Effect::Written(Some(1), None, None));
        assert_eq!(again, state);
        assert_eq!(again.contents.as_deref(), Some(&Documents::new()));
    }
}
