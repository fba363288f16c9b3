//! A namespace as its users think of it: a map of documents, changed one request at a time and
//! searched by looking at every one.
//!
//! Nothing here is shared with the engine but the words of requests and values. So where the engine
//! and the model agree, two programs do.
//!
//! | module       | what it answers                                  |
//! |--------------|--------------------------------------------------|
//! | [`values`]   | What does a client's value mean?                 |
//! | [`filter`]   | Does a document meet a condition?                |
//! | [`patterns`] | Does a pattern match?                            |
//! | [`rank`]     | Which row is first, and how far is it?           |
//! | [`search`]   | What does a query find?                          |

pub mod filter;
pub mod keys;
pub mod patterns;
pub mod rank;
pub mod search;
pub mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sana_engine::base::limits;
use sana_engine::base::name::AttributeName;
use sana_engine::base::value::{Id, Raw, Value};
use sana_engine::namespace::request::{ByFilter, Create, Predicate, WriteRequest};

use crate::digest::Shared;
use keys::Keys;

/// The attributes of a document that are not null.
pub type Attributes = BTreeMap<AttributeName, Value>;

/// All documents of a namespace. Most are the same in one state and the next, and know their fingerprints.
pub type Documents = BTreeMap<Id, Shared<Attributes>>;

/// What a namespace is at one moment. `None` if there is no such namespace.
pub type Contents = Option<Shared<Content>>;

/// A namespace that is there.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Content {
    /// Its documents.
    pub documents: Documents,
    /// The attributes that its schema has.
    pub attributes: BTreeSet<AttributeName>,
    /// Whether documents and schema may not be changed.
    pub read_only: bool,
}

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
    /// The namespace is read-only.
    ReadOnly,
    /// It names an attribute that does not exist.
    NoAttribute,
    /// Documents were written, and the client wanted to know which were put, changed and removed.
    Named(Option<u64>, Option<u64>, Option<u64>, [BTreeSet<Id>; 3]),
}

/// A namespace and the requests it remembers by key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct State {
    /// The documents.
    pub contents: Contents,
    /// What each idempotency key stands for, and what it came to.
    pub keys: Keys,
}

impl State {
    /// The state after a change, and what the change came to.
    pub fn after(&self, change: &Change) -> (Self, Effect) {
        match change {
            Change::Remove if self.contents.is_none() => (self.clone(), Effect::NoNamespace),
            Change::Remove => (Self::default(), Effect::Removed),
            Change::Write(request) => self.after_write(request),
            Change::Create => {
                let empty = || Shared::new(Content::default());
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
        let mut content = match &self.contents {
            Some(there) if there.read_only && changes_content(request) => {
                return (self.clone(), Effect::ReadOnly);
            }
            Some(there) => Content::clone(there),
            None if creates => Content::default(),
            None => return (self.clone(), Effect::NoNamespace),
        };
        let Some(effect) = content.write(request) else {
            return (self.clone(), Effect::NoAttribute);
        };
        let mut keys = self.keys.clone();
        if let Some(key) = &request.idempotency {
            keys.insert(key.key.clone(), key.fingerprint, effect.clone());
        }
        (Self { contents: Some(Shared::new(content)), keys }, effect)
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

impl Content {
    /// Does what a request says, and counts. `None` if it names an attribute that does not exist, and then
    /// it is not to be done.
    fn write(&mut self, request: &WriteRequest) -> Option<Effect> {
        let by_filter = request.patch_by_filter.iter().map(|(by, _)| by);
        let filters = by_filter.chain(&request.delete_by_filter).map(|by| &by.filter);
        let mut known = filters.flat_map(search::attributes_of).all(|name| self.has(name));
        for name in &request.drops {
            known &= self.attributes.remove(name);
            for document in self.documents.values_mut() {
                document.change(|attributes| attributes.remove(name));
            }
        }
        let lists = request.upserts.iter().chain(&request.patches).flatten();
        let values = lists.flat_map(|document| &document.attributes);
        let values = values.chain(request.patch_by_filter.iter().flat_map(|(_, changes)| changes));
        let inferred = values.filter(|(_, raw)| *raw != Raw::Null).map(|(name, _)| name);
        self.attributes
            .extend(request.schema.iter().map(|(name, _)| name).chain(inferred).cloned());
        let conditions =
            [&request.upsert_condition, &request.patch_condition, &request.delete_condition];
        let conditions = conditions.into_iter().flatten().flat_map(search::attributes_of);
        known &= conditions.into_iter().all(|name| self.has(name));
        self.read_only = request.read_only.unwrap_or(self.read_only);
        known.then(|| written(&mut self.documents, request))
    }

    /// Whether there is an attribute of this name.
    pub fn has(&self, name: &str) -> bool {
        name == "id" || self.attributes.iter().any(|attribute| attribute.as_str() == name)
    }
}

/// Whether a request is about more than whether the namespace is locked.
fn changes_content(request: &WriteRequest) -> bool {
    let WriteRequest { read_only, create, ref idempotency, wants_ids, ignores_backlog, .. } =
        *request;
    let idempotency = idempotency.clone();
    let default = WriteRequest::default();
    let only_locks =
        WriteRequest { read_only, create, idempotency, wants_ids, ignores_backlog, ..default };
    *request != only_locks
}

/// Does what a request says to documents, and counts.
fn written(documents: &mut Documents, request: &WriteRequest) -> Effect {
    let (mut upserted, mut patched, mut deleted) = (0, 0, 0);
    let [mut put, mut changed_ids, mut removed] = [const { BTreeSet::new() }; 3];
    let matching = |by: &ByFilter| -> Vec<Id> {
        let all = documents.iter().filter(|(id, there)| search::holds(&by.filter, id, there));
        all.map(|(id, _)| id.clone()).collect()
    };
    // Both filters look at what was there before the request.
    let goes = request.delete_by_filter.as_ref().map(matching);
    let changes = request.patch_by_filter.as_ref().map(|(by, changes)| (matching(by), changes));
    if let Some(ids) = goes {
        for id in ids {
            deleted += usize::from(documents.remove(&id).is_some());
            removed.insert(id);
        }
    }
    if let Some((ids, changes)) = changes {
        for id in ids {
            if let Some(there) = documents.get_mut(&id) {
                *there = Shared::new(changed(there, changes));
                patched += 1;
                changed_ids.insert(id);
            }
        }
    }
    let may = |condition: &Option<Predicate>, id: &Id, there: &Attributes, new| {
        condition.as_ref().is_none_or(|condition| search::satisfies(condition, id, there, new))
    };
    for raw in request.upserts.iter().flatten() {
        let id = values::id(&raw.id);
        let there = documents.get(&id);
        if there.is_none_or(|there| may(&request.upsert_condition, &id, there, Some(raw))) {
            put.insert(id.clone());
            documents.insert(id, Shared::new(changed(&Attributes::new(), &raw.attributes)));
            upserted += 1;
        }
    }
    for raw in request.patches.iter().flatten() {
        let id = values::id(&raw.id);
        if let Some(there) = documents.get_mut(&id)
            && may(&request.patch_condition, &id, there, Some(raw))
        {
            *there = Shared::new(changed(there, &raw.attributes));
            patched += 1;
            changed_ids.insert(id);
        }
    }
    for raw in request.deletes.iter().flatten() {
        // Without a condition nobody looks whether there is a document.
        let id = values::id(raw);
        let goes = match (&request.delete_condition, documents.get(&id)) {
            (None, _) => true,
            (Some(_), None) => false,
            (condition, Some(there)) => may(condition, &id, there, None),
        };
        if goes {
            documents.remove(&id);
            deleted += 1;
            removed.insert(id);
        }
    }
    let patches = request.patches.is_some() || request.patch_by_filter.is_some();
    let deletes = request.deletes.is_some() || request.delete_by_filter.is_some();
    let upserted = request.upserts.as_ref().map(|_| upserted);
    let (patched, deleted) = (patches.then_some(patched), deletes.then_some(deleted as u64));
    if request.wants_ids {
        Effect::Named(upserted, patched, deleted, [put, changed_ids, removed])
    } else {
        Effect::Written(upserted, patched, deleted)
    }
}

fn changed(before: &Attributes, changes: &[(AttributeName, Raw)]) -> Attributes {
    let mut attributes = before.clone();
    for (name, raw) in changes {
        match values::value(name.as_str(), raw) {
            Some(value) => attributes.insert(name.clone(), value),
            None => attributes.remove(name),
        };
    }
    attributes
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
        assert_eq!(state.contents.unwrap().documents.len(), 2);
    }

    #[test]
    fn what_is_dropped_is_gone_and_what_is_locked_stays() {
        let write =
            |request: WriteRequest, state: &State| state.after(&Change::Write(Arc::new(request)));
        let put =
            |id, n| WriteRequest { upserts: Some(vec![upsert(id, n)]), ..WriteRequest::default() };
        let (state, _) = write(put(1, 2), &State::default());
        let n = AttributeName::parse("n").unwrap();
        let drop = WriteRequest { drops: vec![n], ..WriteRequest::default() };
        let (state, effect) = write(drop.clone(), &state);
        assert_eq!(effect, Effect::Written(None, None, None));
        assert_eq!(write(drop, &state), (state.clone(), Effect::NoAttribute));
        let (state, _) = write(put(2, 3), &state);
        let documents = &state.contents.as_ref().unwrap().documents;
        assert_eq!((documents[&Id::Uint(1)].len(), documents[&Id::Uint(2)].len()), (0, 1));
        let lock =
            |read_only| WriteRequest { read_only: Some(read_only), ..WriteRequest::default() };
        let (locked, _) = write(lock(true), &state);
        assert_eq!(write(put(3, 3), &locked), (locked.clone(), Effect::ReadOnly));
        assert_eq!(write(lock(false), &locked).0, state);
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
        assert_eq!(again.contents.unwrap().documents, Documents::new());
    }
}
