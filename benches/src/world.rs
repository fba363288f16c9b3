//! A namespace in memory, whose flushes and merges are run one after the other and timed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sana_engine::base::blob::Blob;
use sana_engine::base::id::{AttributeId, CommitId, Incarnation, Nonce, Nonces, Stamp};
use sana_engine::base::name::{AttributeName, Key, NamespaceName};
use sana_engine::base::time::{Timestamp, WallTime};
use sana_engine::base::value::{Document, IdType, Type};
use sana_engine::format::head::{Head, Live, State};
use sana_engine::format::layout::Place;
use sana_engine::format::log::{Batch, LogEntry, Operation, Payload};
use sana_engine::format::manifest::SegmentRef;
use sana_engine::format::schema::{Attribute, Metric, Schema};
use sana_engine::format::segment::Directory;
use sana_engine::machine::request::{Reply, Request, Tag};
use sana_engine::machine::{Machine, Step};
use sana_engine::namespace::overlay::{Decoded, Overlay};
use sana_engine::namespace::snapshot::Snapshot;
use sana_engine::ops::flush::{Flush, Settings};
use sana_engine::ops::merge::{Merge, MergePlan};

const NEVER: Timestamp = Timestamp(1 << 40);

/// A namespace in memory.
#[derive(Debug)]
pub struct World {
    /// The objects that it names.
    pub objects: BTreeMap<Key, Blob>,
    /// Its newest version.
    pub snapshot: Arc<Snapshot>,
    seed: u128,
}

impl World {
    /// An empty namespace with these attributes, whose numbers are their places here.
    ///
    /// # Panics
    ///
    /// If a name is none.
    pub fn new(attributes: &[(&str, Type)]) -> Self {
        let incarnation = Incarnation(Nonce(1));
        let namespace = NamespaceName::parse("bench").expect("a good name");
        let mut schema = Schema { id_type: Some(IdType::Uint), ..Schema::default() };
        for (at, &(name, value_type)) in attributes.iter().enumerate() {
            let name = AttributeName::parse(name).expect("a good name");
            let attribute = Attribute {
                metric: matches!(value_type, Type::Vector(_)).then_some(Metric::Cosine),
                ..Attribute::of(AttributeId(at as u32), value_type)
            };
            schema.attributes.insert(name, attribute);
        }
        schema.next_id = AttributeId(attributes.len() as u32);
        let live = Live { schema, ..Live::new(Stamp(1), WallTime(0)) };
        let state = State::Live(Box::new(live));
        let head = Head { nonce: Nonce(0), step: Stamp(1), floor: Stamp(0), incarnation, state };
        let place = Place { namespace, incarnation };
        let snapshot = Snapshot::new(place, Arc::new(head), Arc::default(), Vec::new());
        Self { objects: BTreeMap::new(), snapshot: Arc::new(snapshot), seed: 0 }
    }

    #[expect(clippy::needless_pass_by_value, reason = "what was made is handed over")]
    fn change(&mut self, made: Option<Arc<Directory>>, edit: impl FnOnce(&mut Live, &mut Overlay)) {
        let mut head = (*self.snapshot.head).clone();
        let mut overlay = (*self.snapshot.overlay).clone();
        let State::Live(live) = &mut head.state else { unreachable!("it is never deleted") };
        edit(live, &mut overlay);
        let held = self.snapshot.directories.iter().chain(&made);
        let named = live.manifest.segments.iter().map(|segment| {
            let found = held.clone().find(|held| held.segment() == segment);
            found.expect("it was there or was made").clone()
        });
        let (place, named) = (self.snapshot.place.clone(), named.collect());
        self.snapshot = Arc::new(Snapshot::new(place, Arc::new(head), Arc::new(overlay), named));
    }

    /// Puts documents into the log.
    pub fn commit(&mut self, documents: Vec<Document>) {
        let operations: Vec<_> = documents.into_iter().map(Operation::Put).collect();
        let batch = Arc::new(Batch { operations, records: Vec::new() });
        self.change(None, |live, overlay| {
            let cursor = live.log.committed.next();
            let commit = CommitId(Nonce(cursor.0.into()));
            let (operations, bytes) = (batch.operations.len() as u32, 1);
            let payload = Payload::Inline(Blob::default());
            live.log.entries.push(LogEntry { cursor, commit, operations, bytes, payload });
            live.log.committed = cursor;
            overlay.push(Decoded { cursor, commit, batch });
        });
    }

    /// Makes a segment of the log, and says how long that computed.
    ///
    /// # Panics
    ///
    /// If it fails.
    pub fn flush(&mut self) -> Duration {
        let (snapshot, nonces) = (self.snapshot.clone(), self.nonces());
        let first = Flush::start(Timestamp(0), snapshot, nonces, Settings::default(), NEVER);
        let (flushed, took) = self.run(first);
        let flushed = flushed.expect("nothing fails here");
        self.change(flushed.directory, |live, overlay| {
            let applied = flushed.edit.apply(&live.manifest, live.log.indexed);
            live.manifest = applied.expect("nobody else is here");
            live.log.indexed = flushed.edit.to;
            live.log.entries.clear();
            overlay.absorb(flushed.edit.to);
        });
        took
    }

    /// Makes one segment of all, and says how long that computed.
    ///
    /// # Panics
    ///
    /// If it fails.
    pub fn merge(&mut self) -> Duration {
        let plan = MergePlan {
            snapshot: self.snapshot.clone(),
            segments: 0..self.snapshot.directories.len(),
            nonces: self.nonces(),
            wall: WallTime(0),
            idempotency_retention: Duration::ZERO,
            deadline: NEVER,
        };
        let (merged, took) = self.run(Merge::start(Timestamp(0), plan));
        let merged = merged.expect("nothing fails here");
        self.change(merged.directory, |live, _| {
            live.manifest = merged.edit.apply(&live.manifest).expect("nobody else is here");
        });
        let segments = &self.snapshot.live().manifest.segments;
        let parts = segments.iter().flat_map(|segment| segment.parts.iter().map(|part| part.name));
        let kept: Vec<_> = parts.collect();
        self.objects.retain(|key, _| {
            kept.iter().any(|name| key.as_str().contains(&name.nonce.to_string()))
        });
        took
    }

    fn nonces(&mut self) -> Nonces {
        self.seed += 1;
        Nonces::new(self.seed)
    }

    /// Runs a machine to its end, and says how long it computed.
    fn run<M: Machine>(&mut self, first: Step<M>) -> (M::Output, Duration) {
        let (mut step, mut took) = (first, Duration::ZERO);
        loop {
            let (machine, round) = match step {
                Step::Done(output) => return (output, took),
                Step::Wait(machine, round) => (machine, round),
            };
            let replies = round.requests.into_iter().map(|request| self.reply(request)).collect();
            #[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
            let begun = Instant::now();
            step = machine.step(Timestamp(0), replies);
            took += begun.elapsed();
        }
    }

    fn reply(&mut self, request: Request) -> Reply {
        let tag = Tag::new("t");
        match request {
            Request::Get { key, range: Some(range), .. } => {
                let body = self.objects[&key].slice(range.start as usize, range.end as usize);
                // A copy, as a store would make one: what is held shows in the peak of memory.
                let body = body.expect("the range is there").as_slice().to_vec();
                Reply::Found { tag, body: body.into() }
            }
            Request::Put { key, body, .. } => {
                self.objects.insert(key, body);
                Reply::Stored { tag }
            }
            other => unreachable!("nobody asks for {other:?}"),
        }
    }

    /// Bytes of all segments.
    pub fn stored(&self) -> u64 {
        let segments = &self.snapshot.live().manifest.segments;
        segments.iter().map(SegmentRef::stored_bytes).sum()
    }

    /// What there is, in a line.
    pub fn sizes(&self) -> String {
        let manifest = &self.snapshot.live().manifest;
        let rows = manifest.live_rows;
        let directories = manifest.segments.iter().map(|s| u64::from(s.directory.bytes));
        let each = directories.sum::<u64>() as f64 / rows as f64;
        let count = manifest.segments.len();
        let stored = self.stored();
        format!(
            "{count} segments, {rows} rows, {stored} bytes, {} a row, of which {each:.1} in directories",
            stored / rows
        )
    }
}
