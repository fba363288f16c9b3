//! A namespace on a store in memory, and a map that says what should be in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::blob::Blob;
use crate::base::id::{AttributeId, CommitId, Incarnation, Nonce, Nonces, Stamp};
use crate::base::name::{AttributeName, Key, NamespaceName};
use crate::base::time::{Timestamp, WallTime};
use crate::base::value::{Document, Id, IdType, Scalar, ScalarType, Type, Value, Vector};
use crate::format::columns::{Column, ColumnPage};
use crate::format::frame::BadObject;
use crate::format::head::{Head, Live, State};
use crate::format::idempotency::RecordBlock;
use crate::format::ids::IdBlock;
use crate::format::layout::Place;
use crate::format::log::{Batch, IdempotencyRecord, LogEntry, Operation, Payload, WriteOutcome};
use crate::format::manifest::Extent;
use crate::format::schema::{Attribute, Metric, Schema};
use crate::format::segment::Directory;
use crate::machine::request::{Reply, Request, Tag};
use crate::machine::{Machine, Step};
use crate::namespace::overlay::{Decoded, Overlay};
use crate::namespace::snapshot::Snapshot;
use crate::ops::flush::{self, Flush, Flushed};
use crate::ops::read::ReadError;

/// A namespace, the store it lies in, and what should be in it.
pub(super) struct World {
    pub(super) objects: BTreeMap<Key, Blob>,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) model: BTreeMap<Id, Document>,
    pub(super) keys: BTreeMap<String, IdempotencyRecord>,
    pub(super) seed: u128,
}

/// What the rounds of a machine asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Asked {
    pub(super) reads: usize,
    pub(super) writes: usize,
    /// Bytes read and written in the round together.
    pub(super) bytes: usize,
}

pub(super) const NUMBER: AttributeId = AttributeId(0);
pub(super) const TAGS: AttributeId = AttributeId(1);
pub(super) const VECTOR: AttributeId = AttributeId(2);
pub(super) const TEXT: AttributeId = AttributeId(4);
/// Idempotency records from before this are old.
pub(super) const FORGOTTEN: u64 = 15;
pub(super) const WINDOW: usize = 1 << 20;
pub(super) const NEVER: Timestamp = Timestamp(60_000);

pub(super) fn schema() -> Schema {
    let types = [
        ("number", NUMBER, Type::Scalar(ScalarType::Int)),
        ("tags", TAGS, Type::Array(ScalarType::String)),
        ("vector", VECTOR, Type::vector(3)),
        ("text", TEXT, Type::Scalar(ScalarType::String)),
    ];
    let attribute = |(name, id, value_type): (&str, AttributeId, Type)| {
        let metric = value_type.is_vector().then_some(Metric::Cosine);
        let attribute = Attribute { metric, ..Attribute::of(id, value_type) };
        (AttributeName::parse(name).unwrap(), attribute)
    };
    let attributes: BTreeMap<_, _> = types.into_iter().map(attribute).collect();
    let next_id = AttributeId(TEXT.0 + 1);
    Schema { id_type: Some(IdType::Uint), metric: None, attributes, next_id }
}

/// A document whose content follows from its id and `version`.
pub(super) fn document(id: u64, version: u64) -> Document {
    let text = |n: u64| Scalar::String(format!("{version} of {n}").into());
    let mut attributes = Vec::new();
    if !version.is_multiple_of(3) {
        let number = Scalar::Int((id * version).cast_signed() - 100);
        attributes.push((NUMBER, Value::Scalar(number)));
    }
    if id.is_multiple_of(2) {
        attributes.push((TAGS, Value::Array((0..version % 4).map(text).collect())));
        let components = vec![id as f32, version as f32, 1.0];
        attributes.push((VECTOR, Value::Vector(Vector::new(components).unwrap())));
    }
    attributes.push((TEXT, Value::Scalar(text(id))));
    Document { id: Id::Uint(id), attributes }
}

pub(super) fn record(key: &str, at: u64) -> IdempotencyRecord {
    let (fingerprint, at) = (u128::from(at) + 7, WallTime(at));
    IdempotencyRecord { key: key.to_owned(), fingerprint, at, outcome: WriteOutcome::default() }
}

pub(super) fn put(id: u64, version: u64) -> Operation {
    Operation::Put(document(id, version))
}

pub(super) fn delete(id: u64) -> Operation {
    Operation::Delete(Id::Uint(id))
}

impl World {
    pub(super) fn new() -> Self {
        let incarnation = Incarnation(Nonce(9));
        let place = Place { namespace: NamespaceName::parse("n").unwrap(), incarnation };
        let live = Live { schema: schema(), ..Live::new(Stamp(1), WallTime(0)) };
        let state = State::Live(Box::new(live));
        let (nonce, step, floor) = (Nonce(0), Stamp(1), Stamp(0));
        let head = Arc::new(Head { nonce, step, floor, incarnation, state });
        let snapshot = Arc::new(Snapshot::new(place, head, Arc::default(), Vec::new()));
        let (model, keys) = (BTreeMap::new(), BTreeMap::new());
        Self { objects: BTreeMap::new(), snapshot, model, keys, seed: 0 }
    }

    /// The same namespace one head later.
    pub(super) fn change(&mut self, edit: impl FnOnce(&mut Live, &mut Overlay)) {
        let mut head = (*self.snapshot.head).clone();
        let mut overlay = (*self.snapshot.overlay).clone();
        head.step = head.step.next();
        let State::Live(live) = &mut head.state else { panic!("a tombstone") };
        edit(live, &mut overlay);
        let directories = live.manifest.segments.iter().map(|segment| {
            let held = self.snapshot.directories.iter().find(|held| held.segment() == segment);
            held.cloned().unwrap_or_else(|| {
                let (key, bytes) = self.read_in(
                    &segment.key(&self.snapshot.place, &segment.directory),
                    &segment.directory,
                );
                Arc::new(Directory::decode(segment, &key, &bytes).unwrap())
            })
        });
        let directories = directories.collect();
        let place = self.snapshot.place.clone();
        let snapshot = Snapshot::new(place, Arc::new(head), Arc::new(overlay), directories);
        self.snapshot = Arc::new(snapshot);
    }

    pub(super) fn commit(&mut self, operations: Vec<Operation>, records: Vec<IdempotencyRecord>) {
        for operation in &operations {
            match operation {
                Operation::Put(document) => {
                    self.model.insert(document.id.clone(), document.clone());
                }
                Operation::Delete(id) => {
                    self.model.remove(id);
                }
            }
        }
        self.keys.extend(records.iter().map(|record| (record.key.clone(), record.clone())));
        let batch = Arc::new(Batch { operations, records });
        let bytes = batch.encode().len() as u32;
        self.change(|live, overlay| {
            let cursor = live.log.committed.next();
            let commit = CommitId(Nonce(cursor.0.into()));
            let (operations, payload) =
                (batch.operations.len() as u32, Payload::Inline(Blob::default()));
            live.log.entries.push(LogEntry { cursor, commit, operations, bytes, payload });
            live.log.committed = cursor;
            overlay.push(Decoded { cursor, commit, batch });
        });
    }

    pub(super) fn nonces(&mut self) -> Nonces {
        self.seed += 1;
        Nonces::new(self.seed)
    }

    /// Runs a machine to its end. `fate` may spoil the n-th request of all.
    pub(super) fn run<M: Machine>(
        &mut self,
        first: Step<M>,
        mut fate: impl FnMut(usize, &Request) -> Option<Reply>,
    ) -> (M::Output, Vec<Asked>) {
        let (mut step, mut rounds, mut now, mut asked) = (first, Vec::new(), Timestamp(0), 0);
        loop {
            let (machine, round) = match step {
                Step::Done(output) => return (output, rounds),
                Step::Wait(machine, round) => (machine, round),
            };
            let mut this = Asked::default();
            let replies = round.requests.iter().map(|request| {
                asked += 1;
                let reply = fate(asked, request).unwrap_or_else(|| self.reply(request));
                let count = if request.is_read() { &mut this.reads } else { &mut this.writes };
                *count += 1;
                this.bytes += match (&reply, request) {
                    (Reply::Found { body, .. }, _) | (_, Request::Put { body, .. }) => body.len(),
                    _ => 0,
                };
                reply
            });
            let replies: Vec<_> = replies.collect();
            if round.requests.is_empty() {
                now = round.until.max(now);
            } else {
                rounds.push(this);
            }
            step = machine.step(now, replies);
        }
    }

    pub(super) fn reply(&mut self, request: &Request) -> Reply {
        let tag = Tag::new("t");
        match request {
            Request::Get { key, range: None, .. } => match self.objects.get(key) {
                Some(object) => Reply::Found { tag, body: object.clone() },
                None => Reply::Missing,
            },
            Request::Get { key, range: Some(range), .. } => match self.objects.get(key) {
                Some(object) => {
                    let end = object.len().min(range.end as usize);
                    let body = object.slice(range.start as usize, end).unwrap_or_default();
                    Reply::Found { tag, body }
                }
                None => Reply::Missing,
            },
            Request::Put { key, body, .. } => {
                let before = self.objects.insert(key.clone(), body.clone());
                assert!(before.is_none(), "U1: {key} is created twice");
                Reply::Stored { tag }
            }
            other => panic!("nobody asks for {other:?} here"),
        }
    }

    pub(super) fn flush_with(
        &mut self,
        settings: flush::Settings,
        fate: impl FnMut(usize, &Request) -> Option<Reply>,
    ) -> (Result<Flushed, ReadError>, Vec<Asked>) {
        let (snapshot, nonces) = (self.snapshot.clone(), self.nonces());
        let first = Flush::start(Timestamp(0), snapshot, nonces, settings, NEVER);
        self.run(first, fate)
    }

    pub(super) fn publish_flush(&mut self, flushed: &Flushed) {
        let edit = &flushed.edit;
        self.change(|live, overlay| {
            live.manifest = edit.apply(&live.manifest, live.log.indexed).unwrap();
            live.log.indexed = edit.to;
            live.log.entries.retain(|entry| edit.to < entry.cursor);
            overlay.absorb(edit.to);
        });
        if let (Some(made), Some(read)) = (&flushed.directory, self.snapshot.directories.last()) {
            assert_eq!(format!("{made:?}"), format!("{read:?}"), "it is the one in the store");
        }
    }

    pub(super) fn flush(&mut self) -> Vec<Asked> {
        let (edit, rounds) = self.flush_with(flush::Settings::default(), |_, _| None);
        self.publish_flush(&edit.unwrap());
        rounds
    }

    /// The bytes of a stretch, with the object it lies in.
    pub(super) fn read_in(&self, key: &Key, extent: &Extent) -> (Key, Blob) {
        let bytes = self.objects[key].slice(extent.start as usize, extent.end() as usize);
        (key.clone(), bytes.unwrap_or_default())
    }

    pub(super) fn read(&self, directory: &Directory, extent: &Extent) -> (Key, Blob) {
        self.read_in(&directory.key(&self.snapshot.place, extent), extent)
    }

    pub(super) fn page(
        &self,
        directory: &Directory,
        column: &Column,
        position: u32,
    ) -> Result<(ColumnPage, usize), BadObject> {
        let page = &column.pages()[column.page_of(position).unwrap()];
        let (key, bytes) = self.read(directory, &page.extent);
        let opened = ColumnPage::open(column.value_type(), page, &key, &bytes)?;
        Ok((opened, (position - page.first) as usize))
    }

    /// What the segments and the overlay hold, read back.
    pub(super) fn documents(&self) -> BTreeMap<Id, Document> {
        let mut all = BTreeMap::new();
        let directories = &self.snapshot.directories;
        for directory in directories {
            let dead = directory.dead(directories.iter().map(|directory| &**directory));
            for position in (0..directory.rows()).filter(|position| !dead.contains(*position)) {
                let (ids, row) = self.page(directory, directory.ids(), position).unwrap();
                let id = ids.id(row).unwrap();
                let block = directory.id_block(&id).unwrap();
                let (key, bytes) = self.read(directory, &block.extent);
                let block = IdBlock::open(block, &key, &bytes).unwrap();
                assert_eq!(block.find(&id), Some(position));
                assert!(directory.may_contain(&id));
                let mut attributes = Vec::new();
                for (attribute, column) in directory.columns() {
                    let (page, row) = self.page(directory, column, position).unwrap();
                    attributes.extend(page.value(row).map(|value| (*attribute, value)));
                }
                let before = all.insert(id.clone(), Document { id, attributes });
                assert_eq!(before, None, "an id has one live row");
            }
        }
        assert_eq!(all.len() as u64, self.snapshot.live().manifest.live_rows, "E2");
        for (id, word) in self.snapshot.overlay.words() {
            match word {
                Some(document) => drop(all.insert(id.clone(), document.clone())),
                None => drop(all.remove(id)),
            }
        }
        all
    }

    /// The newest record of every idempotency key, read back.
    pub(super) fn records(&self) -> BTreeMap<String, IdempotencyRecord> {
        let mut all = BTreeMap::new();
        for directory in &self.snapshot.directories {
            for block in directory.record_blocks() {
                let (key, bytes) = self.read(directory, &block.extent);
                let opened = RecordBlock::open(block, &key, &bytes).unwrap();
                all.extend(opened.records().map(|record| (record.key.clone(), record)));
            }
        }
        let entries = self.snapshot.overlay.entries().iter();
        let records = entries.flat_map(|entry| entry.batch.records.iter());
        all.extend(records.map(|record| (record.key.clone(), record.clone())));
        all
    }

    pub(super) fn check(&self) {
        assert_eq!(self.documents(), self.model);
        assert_eq!(self.records(), self.keys);
        let manifest = &self.snapshot.live().manifest;
        let ranges = manifest.segments.windows(2).all(|pair| pair[0].end <= pair[1].base);
        assert!(ranges, "E1: segments overlap");
    }
}
