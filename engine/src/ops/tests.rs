//! Flushes and merges on a store in memory, against a map that says what should be there.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use crate::base::blob::Blob;
use crate::base::id::{AttributeId, CommitId, Cursor, Incarnation, Nonce, Nonces, Row, Stamp};
use crate::base::name::{AttributeName, Key, NamespaceName};
use crate::base::time::{Timestamp, WallTime};
use crate::base::value::{Document, Id, IdType, Scalar, ScalarType, Type, Value, Vector};
use crate::format::columns::{Column, ColumnPage};
use crate::format::frame::BadObject;
use crate::format::head::{Head, Live, State};
use crate::format::idempotency::RecordBlock;
use crate::format::ids::IdBlock;
use crate::format::layout::Place;
use crate::format::log::{
    Batch, IdempotencyRecord, Log, LogEntry, Operation, Payload, WriteOutcome,
};
use crate::format::manifest::{Extent, Manifest};
use crate::format::schema::{Attribute, Metric, Schema};
use crate::format::segment::Directory;
use crate::machine::request::{Reply, Request, Tag};
use crate::machine::{Machine, Step};
use crate::namespace::overlay::{Decoded, Overlay};
use crate::namespace::snapshot::Snapshot;
use crate::ops::flush::{self, Flush, Flushed};
use crate::ops::merge::{Merge, MergePlan, Merged};
use crate::ops::read::ReadError;

/// A namespace, the store it lies in, and what should be in it.
struct World {
    objects: BTreeMap<Key, Blob>,
    snapshot: Arc<Snapshot>,
    model: BTreeMap<Id, Document>,
    keys: BTreeMap<String, IdempotencyRecord>,
    seed: u128,
}

/// What the rounds of a machine asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Asked {
    reads: usize,
    writes: usize,
    /// Bytes read and written in the round together.
    bytes: usize,
}

const NUMBER: AttributeId = AttributeId(0);
const TAGS: AttributeId = AttributeId(1);
const VECTOR: AttributeId = AttributeId(2);
const TEXT: AttributeId = AttributeId(4);
/// Idempotency records from before this are old.
const FORGOTTEN: u64 = 15;
const WINDOW: usize = 1 << 20;
const NEVER: Timestamp = Timestamp(60_000);

fn schema() -> Schema {
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
    let next_id = AttributeId(attributes.len() as u32);
    Schema { id_type: Some(IdType::Uint), metric: None, attributes, next_id }
}

/// A document whose content follows from its id and `version`.
fn document(id: u64, version: u64) -> Document {
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

fn record(key: &str, at: u64) -> IdempotencyRecord {
    let (fingerprint, at) = (u128::from(at) + 7, WallTime(at));
    IdempotencyRecord { key: key.to_owned(), fingerprint, at, outcome: WriteOutcome::default() }
}

fn put(id: u64, version: u64) -> Operation {
    Operation::Put(document(id, version))
}

fn delete(id: u64) -> Operation {
    Operation::Delete(Id::Uint(id))
}

impl World {
    fn new() -> Self {
        let incarnation = Incarnation(Nonce(9));
        let place = Place { namespace: NamespaceName::parse("n").unwrap(), incarnation };
        let live = Live {
            created: Stamp(1),
            created_at: WallTime(0),
            written_at: WallTime(0),
            schema: schema(),
            read_only: false,
            manifest: Manifest::default(),
            log: Log::default(),
            recent: Vec::new(),
            trash: Vec::new(),
        };
        let state = State::Live(Box::new(live));
        let (nonce, step, floor) = (Nonce(0), Stamp(1), Stamp(0));
        let head = Arc::new(Head { nonce, step, floor, incarnation, state });
        let snapshot = Arc::new(Snapshot::new(place, head, Arc::default(), Vec::new()));
        let (model, keys) = (BTreeMap::new(), BTreeMap::new());
        Self { objects: BTreeMap::new(), snapshot, model, keys, seed: 0 }
    }

    /// The same namespace one head later.
    fn change(&mut self, edit: impl FnOnce(&mut Live, &mut Overlay)) {
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

    fn commit(&mut self, operations: Vec<Operation>, records: Vec<IdempotencyRecord>) {
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

    fn nonces(&mut self) -> Nonces {
        self.seed += 1;
        Nonces::new(self.seed)
    }

    /// Runs a machine to its end. `fate` may spoil the n-th request of all.
    fn run<M: Machine>(
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

    fn reply(&mut self, request: &Request) -> Reply {
        let tag = Tag::new("t");
        match request {
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

    fn flush_with(
        &mut self,
        settings: flush::Settings,
        fate: impl FnMut(usize, &Request) -> Option<Reply>,
    ) -> (Result<Flushed, ReadError>, Vec<Asked>) {
        let (snapshot, nonces) = (self.snapshot.clone(), self.nonces());
        let first = Flush::start(Timestamp(0), snapshot, nonces, settings, NEVER);
        self.run(first, fate)
    }

    fn publish_flush(&mut self, flushed: &Flushed) {
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

    fn flush(&mut self) -> Vec<Asked> {
        let (edit, rounds) = self.flush_with(flush::Settings::default(), |_, _| None);
        self.publish_flush(&edit.unwrap());
        rounds
    }

    /// The bytes of a stretch, with the object it lies in.
    fn read_in(&self, key: &Key, extent: &Extent) -> (Key, Blob) {
        let bytes = self.objects[key].slice(extent.start as usize, extent.end() as usize);
        (key.clone(), bytes.unwrap_or_default())
    }

    fn read(&self, directory: &Directory, extent: &Extent) -> (Key, Blob) {
        self.read_in(&directory.key(&self.snapshot.place, extent), extent)
    }

    fn page(
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
    fn documents(&self) -> BTreeMap<Id, Document> {
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
    fn records(&self) -> BTreeMap<String, IdempotencyRecord> {
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

    fn check(&self) {
        assert_eq!(self.documents(), self.model);
        assert_eq!(self.records(), self.keys);
        let manifest = &self.snapshot.live().manifest;
        let ranges = manifest.segments.windows(2).all(|pair| pair[0].end <= pair[1].base);
        assert!(ranges, "E1: segments overlap");
    }
}

#[test]
fn new_ids_are_flushed_in_one_round_of_uploads() {
    let mut world = World::new();
    world.commit((0..100).map(|id| put(id, 1)).collect(), vec![record("a", 21)]);
    world.commit((50..150).map(|id| put(id, 2)).collect(), vec![]);
    let rounds = world.flush();
    assert_eq!(
        rounds.iter().map(|round| (round.reads, round.writes)).collect::<Vec<_>>(),
        [(0, 1)]
    );
    let manifest = &world.snapshot.live().manifest;
    assert_eq!((manifest.live_rows, manifest.next_row), (150, Row(150)), "L1");
    world.commit((1000..1010).map(|id| put(id, 3)).collect(), vec![]);
    let rounds = world.flush();
    assert_eq!((rounds.len(), rounds[0].reads), (1, 0));
    world.check();
}

#[test]
fn changed_ids_cost_one_round_of_their_blocks() {
    let mut world = World::new();
    world.commit((0..9000).map(|id| put(id, 1)).collect(), vec![]);
    world.flush();
    let blocks = world.snapshot.directories[0].id_blocks().len();
    assert!(blocks > 5);
    world.commit(vec![put(5, 2), delete(6), put(8000, 2), delete(77_777)], vec![]);
    let rounds = world.flush();
    assert_eq!(rounds.iter().map(|r| (r.reads, r.writes)).collect::<Vec<_>>(), [(2, 0), (0, 1)]);
    let manifest = &world.snapshot.live().manifest;
    assert_eq!((manifest.live_rows, manifest.segments[1].kills), (8999, 3));
    world.check();
    // With a window of one byte each block has a round of its own.
    world.commit(vec![put(5, 3), put(8000, 3), put(4000, 3)], vec![]);
    let settings = flush::Settings { window_bytes: 1, ..flush::Settings::default() };
    let (edit, rounds) = world.flush_with(settings, |_, _| None);
    assert!(rounds.len() > 3 && rounds.iter().all(|round| round.reads + round.writes == 1));
    world.publish_flush(&edit.unwrap());
    world.check();
}

#[test]
fn deletes_of_nothing_leave_nothing() {
    let mut world = World::new();
    world.commit(vec![delete(1), put(2, 1), delete(2)], vec![]);
    let (edit, rounds) = world.flush_with(flush::Settings::default(), |_, _| None);
    let edit = edit.unwrap();
    assert_eq!((&edit.edit.segment, edit.edit.to, rounds.len()), (&None, Cursor(1), 0));
    world.publish_flush(&edit);
    world.check();
    // A commit without rows that has a key is remembered.
    world.commit(vec![], vec![record("key", 23)]);
    world.flush();
    world.check();
}

#[test]
fn a_flush_takes_no_more_than_it_may_and_at_least_one_entry() {
    let mut world = World::new();
    for version in 1..5 {
        world.commit((0..50).map(|id| put(id, version)).collect(), vec![]);
    }
    let bytes = u64::from(world.snapshot.live().log.entries[0].bytes);
    let tests = [(0, 1), (bytes, 1), (bytes * 5 / 2, 2), (u64::MAX, 4)];
    for (absorb_bytes_max, to) in tests {
        let settings = flush::Settings { absorb_bytes_max, ..flush::Settings::default() };
        let (edit, _) = world.flush_with(settings, |_, _| None);
        assert_eq!(edit.unwrap().edit.to, Cursor(to));
    }
}

#[test]
fn a_part_whose_reply_was_lost_is_created_under_another_name() {
    let spoiled = [Reply::Lost, Reply::Throttled, Reply::Refused];
    for reply in spoiled {
        let mut world = World::new();
        world.commit(vec![put(1, 1)], vec![]);
        let mut keys = Vec::new();
        let (edit, rounds) = world.flush_with(flush::Settings::default(), |n, request| {
            keys.push(request.key().clone());
            (n == 1).then(|| reply.clone())
        });
        assert_eq!(rounds.len(), 2);
        assert_ne!(keys[0], keys[1], "U1");
        world.publish_flush(&edit.unwrap());
        world.check();
    }
}

#[test]
fn a_flush_that_cannot_read_or_write_says_why() {
    let mut world = World::new();
    world.commit(vec![put(1, 1)], vec![]);
    world.flush();
    world.commit(vec![put(1, 2)], vec![]);
    let settings = flush::Settings::default;
    let key = world.objects.keys().next().unwrap().clone();
    let with = |world: &mut World, reply: Option<Reply>| {
        let (edit, _) =
            world.flush_with(
                settings(),
                |_, request| {
                    if request.is_read() { reply.clone() } else { None }
                },
            );
        edit
    };
    let missing = with(&mut world, Some(Reply::Missing));
    assert_eq!(missing, Err(ReadError::Vanished { key: key.clone() }));
    assert_eq!(with(&mut world, Some(Reply::Lost)), Err(ReadError::Late));
    let whole = world.objects[&key].clone();
    let mut bytes = whole.as_slice().to_vec();
    for byte in &mut bytes {
        *byte ^= 1;
    }
    world.objects.insert(key.clone(), bytes.into());
    let damaged = with(&mut world, None);
    assert!(matches!(damaged, Err(ReadError::Damaged(bad)) if bad.key == key));
    world.objects.insert(key, whole);
    let (late, _) =
        world.flush_with(settings(), |_, request| (!request.is_read()).then_some(Reply::Lost));
    assert_eq!(late, Err(ReadError::Late), "the deadline ends the attempts");
}

impl World {
    fn merge_with(
        &mut self,
        segments: core::ops::Range<usize>,
        window_bytes: usize,
        fate: impl FnMut(usize, &Request) -> Option<Reply>,
    ) -> (Result<Merged, ReadError>, Vec<Asked>) {
        let plan = MergePlan {
            snapshot: self.snapshot.clone(),
            segments,
            nonces: self.nonces(),
            wall: WallTime(1000),
            idempotency_retention: Duration::from_millis(1000 - FORGOTTEN),
            deadline: NEVER,
        };
        self.run(Merge::with(Timestamp(0), plan, window_bytes), fate)
    }

    fn publish_merge(&mut self, merged: &Merged) {
        self.change(|live, _| live.manifest = merged.edit.apply(&live.manifest).unwrap());
        if let Some(made) = &merged.directory {
            let read = self.snapshot.directory_of(made.segment()).unwrap();
            assert_eq!(format!("{made:?}"), format!("{read:?}"), "it is the one in the store");
        }
    }

    fn merge(&mut self, range: core::ops::Range<usize>, window_bytes: usize) -> Vec<Asked> {
        let (edit, rounds) = self.merge_with(range, window_bytes, |_, _| None);
        self.publish_merge(&edit.unwrap());
        rounds
    }
}

#[test]
fn a_merge_keeps_rows_and_leaves_out_the_dead() {
    let mut world = World::new();
    world.commit((0..500).map(|id| put(id, 1)).collect(), vec![record("a", 21), record("b", 21)]);
    world.flush();
    world.commit((250..600).map(|id| put(id, 2)).collect(), vec![record("a", 29)]);
    world.flush();
    world.commit((0..50).map(delete).collect(), vec![]);
    world.flush();
    world.merge(0..2, 1 << 20);
    let segments = &world.snapshot.live().manifest.segments;
    assert_eq!((segments.len(), segments[0].rows, segments[0].kills), (2, 550, 0), "J1, J2");
    world.check();
    // A change of a row that a merge moved finds it under its old number.
    world.commit(vec![put(300, 7), put(100, 7)], vec![]);
    world.flush();
    world.check();
    world.merge(0..3, 1 << 20);
    let manifest = &world.snapshot.live().manifest;
    assert_eq!((manifest.segments.len(), manifest.segments[0].rows), (1, 550));
    assert_eq!(manifest.segments[0].kills, 0);
    let bytes: u64 = world.model.values().map(Document::logical_bytes).sum();
    assert_eq!(manifest.logical_bytes, bytes);
    world.check();
}

#[test]
fn a_merge_that_does_not_hold_the_killed_rows_keeps_the_kills() {
    let mut world = World::new();
    for version in 1..4 {
        world.commit((0..20).map(|id| put(id, version)).collect(), vec![]);
        world.flush();
    }
    world.merge(1..3, 1 << 20);
    let segments = &world.snapshot.live().manifest.segments;
    assert_eq!((segments.len(), segments[1].rows, segments[1].kills), (2, 20, 20), "J2");
    world.check();
    world.merge(0..2, 1 << 20);
    world.check();
}

#[test]
fn a_merge_of_nothing_but_the_dead_leaves_no_segment() {
    let mut world = World::new();
    world.commit((0..20).map(|id| put(id, 1)).collect(), vec![]);
    world.flush();
    world.commit((0..20).map(delete).collect(), vec![]);
    world.flush();
    world.merge(0..2, 1 << 20);
    assert_eq!(world.snapshot.live().manifest.segments, []);
    world.check();
    world.commit(vec![put(3, 2)], vec![]);
    world.flush();
    world.check();
}

#[test]
fn a_merge_lands_over_a_flush_that_came_between() {
    let mut world = World::new();
    for version in 1..3 {
        world.commit((0..40).map(|id| put(id, version)).collect(), vec![]);
        world.flush();
    }
    let (edit, _) = world.merge_with(0..2, WINDOW, |_, _| None);
    world.commit(vec![put(1, 5), delete(2)], vec![]);
    world.flush();
    world.publish_merge(&edit.unwrap());
    world.check();
}

#[test]
fn old_idempotency_records_are_forgotten_by_a_merge() {
    let mut world = World::new();
    let records = vec![record("old", FORGOTTEN - 1), record("new", FORGOTTEN)];
    world.commit(vec![put(1, 1)], records);
    world.flush();
    world.merge(0..1, WINDOW);
    world.keys.remove("old");
    world.check();
}

#[test]
fn a_small_merge_takes_four_rounds() {
    let mut world = World::new();
    for version in 1..9 {
        world.commit((0..30).map(|id| put(id, version)).collect(), vec![record("k", 20 + version)]);
        world.flush();
    }
    let rounds = world.merge(0..8, WINDOW);
    let counts: Vec<_> = rounds.iter().map(|round| (round.reads, round.writes)).collect();
    assert_eq!(counts, [(8, 0), (8, 0), (8, 0), (0, 1)], "pages, ids, records, parts");
    world.check();
}

#[test]
fn a_merge_asks_for_one_window_a_round_and_uploads_beside_it() {
    let mut world = World::new();
    for n in 0..4 {
        let batch = (0..40_000).map(|id| put(n * 30_000 + id, n + 1)).collect();
        world.commit(batch, vec![]);
        world.flush();
    }
    let window = 64 << 10;
    let rounds = world.merge(0..4, window);
    assert!(rounds.len() > 20);
    // One page may be larger than what is left of the window, and bytes between neighbours are read.
    let reads = rounds.iter().filter(|round| round.writes == 0).map(|round| round.bytes);
    let most = reads.max().unwrap();
    assert!(most < 8 * window, "a round read {most} bytes");
    let manifest = &world.snapshot.live().manifest;
    assert_eq!((manifest.segments.len(), manifest.live_rows), (1, 130_000));
    assert_eq!(manifest.segments[0].rows, 130_000);
}

#[test]
fn a_merge_survives_lost_parts_and_reports_lost_reads() {
    let mut world = World::new();
    for version in 1..3 {
        world.commit((0..40).map(|id| put(id, version)).collect(), vec![]);
        world.flush();
    }
    let mut lost = 3;
    let (edit, _) = world.merge_with(0..2, WINDOW, |_, request| {
        let spoil = !request.is_read() && lost > 0;
        lost -= usize::from(spoil);
        spoil.then_some(Reply::Lost)
    });
    world.publish_merge(&edit.unwrap());
    world.check();
    let late = |_: usize, request: &Request| request.is_read().then_some(Reply::Lost);
    assert_eq!(world.merge_with(0..1, WINDOW, late).0, Err(ReadError::Late));
    let gone = |_: usize, request: &Request| request.is_read().then_some(Reply::Missing);
    let vanished = world.merge_with(0..1, WINDOW, gone).0;
    assert!(matches!(vanished, Err(ReadError::Vanished { .. })));
}

#[test]
fn every_flipped_byte_of_an_input_stops_a_merge_with_the_name_of_the_object() {
    let mut world = World::new();
    for version in 1..3 {
        world.commit((0..6).map(|id| put(id, version)).collect(), vec![record("k", 20 + version)]);
        world.flush();
    }
    let (whole, _) = world.merge_with(0..2, WINDOW, |_, _| None);
    assert!(whole.is_ok());
    let segment = &world.snapshot.live().manifest.segments[0];
    let (directory, key) =
        (segment.directory, segment.key(&world.snapshot.place, &segment.directory));
    let body = world.objects[&key].clone();
    for place in 0..directory.start as usize {
        let mut bytes = body.as_slice().to_vec();
        bytes[place] ^= 0x10;
        world.objects.insert(key.clone(), bytes.into());
        let (edit, _) = world.merge_with(0..2, WINDOW, |_, _| None);
        let named = matches!(&edit, Err(ReadError::Damaged(bad)) if bad.key == key);
        assert!(named, "byte {place}: {edit:?}");
    }
}

/// What happens to a namespace.
#[derive(Clone, Debug)]
enum Event {
    Commit(Vec<(u64, u64)>, bool),
    Flush(u64),
    Merge(prop::sample::Index, prop::sample::Index, usize),
    /// A merge that a commit and a flush overtake.
    Overtaken(prop::sample::Index, Vec<(u64, u64)>),
}

fn event() -> impl Strategy<Value = Event> {
    let operations = || prop::collection::vec((0..24_u64, 0..6_u64), 0..12);
    let index = any::<prop::sample::Index>;
    prop_oneof![
        4 => (operations(), any::<bool>()).prop_map(|(all, key)| Event::Commit(all, key)),
        3 => prop_oneof![Just(1), Just(u64::MAX)].prop_map(Event::Flush),
        2 => (index(), index(), prop_oneof![Just(1), Just(1 << 20)])
            .prop_map(|(from, to, window)| Event::Merge(from, to, window)),
        1 => (index(), operations()).prop_map(|(at, all)| Event::Overtaken(at, all)),
    ]
}

/// Version 0 deletes.
fn operations(all: &[(u64, u64)]) -> Vec<Operation> {
    let operation = |(id, version): &(u64, u64)| match version {
        0 => delete(*id),
        version => put(*id, *version),
    };
    all.iter().map(operation).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn segments_and_overlay_hold_what_was_written(
        events in prop::collection::vec(event(), 1..25),
    ) {
        let mut world = World::new();
        for (number, event) in events.into_iter().enumerate() {
            let segments = world.snapshot.directories.len();
            match event {
                Event::Commit(all, key) => {
                    let key = key.then(|| record(&format!("key {}", number % 5), 20 + number as u64));
                    world.commit(operations(&all), key.into_iter().collect());
                }
                Event::Flush(absorb_bytes_max) if !world.snapshot.overlay.entries().is_empty() => {
                    let settings =
                        flush::Settings { absorb_bytes_max, ..flush::Settings::default() };
                    let (edit, _) = world.flush_with(settings, |_, _| None);
                    world.publish_flush(&edit.unwrap());
                }
                Event::Merge(from, to, window) if segments > 0 => {
                    let (from, to) = (from.index(segments), to.index(segments));
                    world.merge(from.min(to)..from.max(to) + 1, window);
                }
                Event::Overtaken(at, all) if segments > 0 => {
                    let range = at.index(segments)..segments;
                    let (edit, _) = world.merge_with(range, WINDOW, |_, _| None);
                    world.commit(operations(&all), Vec::new());
                    world.flush();
                    world.publish_merge(&edit.unwrap());
                }
                Event::Flush(_) | Event::Merge(..) | Event::Overtaken(..) => {}
            }
            world.check();
        }
    }
}
