//! How large the documents of a data set are in segments, and how fast they are flushed, merged and
//! scanned.
//!
//! `cargo run --release -p sana-benches --bin segments -- DIR [COPIES]`, where DIR holds `docs.jsonl`, a
//! document a line, and `vectors.f16.bin`, a vector of 384 half floats for each. The documents are
//! written COPIES times under different ids, a flush for each 12,500 of them, and then merged.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sana_engine::base::blob::Blob;
use sana_engine::base::id::{AttributeId, CommitId, Incarnation, Nonce, Nonces, Stamp};
use sana_engine::base::name::{AttributeName, Key, NamespaceName};
use sana_engine::base::time::{Timestamp, WallTime};
use sana_engine::base::value::{Document, Id, IdType, Scalar, ScalarType, Type, Value, Vector};
use sana_engine::format::columns::{Column, ColumnPage, Values};
use sana_engine::format::head::{Head, Live, State};
use sana_engine::format::layout::Place;
use sana_engine::format::log::{Batch, Log, LogEntry, Operation, Payload};
use sana_engine::format::manifest::Manifest;
use sana_engine::format::schema::{Attribute, Schema};
use sana_engine::format::segment::Directory;
use sana_engine::machine::request::{Reply, Request, Tag};
use sana_engine::machine::{Machine, Step};
use sana_engine::namespace::overlay::{Decoded, Overlay};
use sana_engine::namespace::snapshot::Snapshot;
use sana_engine::ops::flush::{Flush, Settings};
use sana_engine::ops::merge::{Merge, MergePlan};
use serde_json::Value as Json;

const DIMENSIONS: usize = 384;
const FLUSH_DOCUMENTS: usize = 12_500;
const REPEATS: usize = 20;
const NEVER: Timestamp = Timestamp(1 << 40);

/// The attributes that are taken from the documents, and their types.
const ATTRIBUTES: [(&str, Type); 10] = [
    ("name", Type::Scalar(ScalarType::String)),
    ("summary", Type::Scalar(ScalarType::String)),
    ("version", Type::Scalar(ScalarType::String)),
    ("month", Type::Scalar(ScalarType::String)),
    ("year", Type::Scalar(ScalarType::Int)),
    ("len", Type::Scalar(ScalarType::Uint)),
    ("prerelease", Type::Scalar(ScalarType::Bool)),
    ("rank", Type::Scalar(ScalarType::Int)),
    ("topics", Type::Array(ScalarType::String)),
    ("vector", Type::Vector(DIMENSIONS as u32)),
];

/// A namespace in memory.
struct World {
    objects: BTreeMap<Key, Blob>,
    snapshot: Arc<Snapshot>,
    seed: u128,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().expect("the folder of the data set is the first argument");
    let copies: u64 = arguments.next().map_or(1, |n| n.parse().expect("COPIES is a number"));
    let documents = documents(&folder);
    let logical: u64 = documents.iter().map(Document::logical_bytes).sum();
    println!(
        "{} documents, {} logical bytes each",
        documents.len(),
        logical / documents.len() as u64
    );

    let mut world = World::new();
    let (mut flushing, mut count) = (Duration::ZERO, 0_u64);
    for copy in 0..copies {
        for batch in documents.chunks(FLUSH_DOCUMENTS) {
            let renamed = batch.iter().cloned().map(|document| {
                let Id::Uint(id) = document.id else { unreachable!("ids are numbers here") };
                Document { id: Id::Uint(id * copies + copy), ..document }
            });
            count += batch.len() as u64;
            world.commit(renamed.collect());
            flushing += world.flush();
        }
    }
    let rate = count as f64 / flushing.as_secs_f64();
    println!("flushed: {rate:.0} documents/s, {}", world.sizes());
    let before = peak_memory();
    let (merging, stored) = (world.merge(), world.stored());
    let rate = stored as f64 / merging.as_secs_f64() / 1e6;
    println!("merged in {merging:.1?}: {rate:.0} MB/s, {}", world.sizes());
    println!("peak memory: {before} before the merge, {} after", peak_memory());
    world.columns();
}

impl World {
    fn new() -> Self {
        let incarnation = Incarnation(Nonce(1));
        let namespace = NamespaceName::parse("bench").expect("a good name");
        let mut schema = Schema { id_type: Some(IdType::Uint), ..Schema::default() };
        for (at, (name, value_type)) in ATTRIBUTES.into_iter().enumerate() {
            let name = AttributeName::parse(name).expect("a good name");
            let attribute = Attribute { id: AttributeId(at as u32), value_type, filterable: true };
            schema.attributes.insert(name, attribute);
        }
        let live = Live {
            created: Stamp(1),
            created_at: WallTime(0),
            written_at: WallTime(0),
            schema,
            manifest: Manifest::default(),
            log: Log::default(),
            recent: Vec::new(),
            trash: Vec::new(),
        };
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

    fn commit(&mut self, documents: Vec<Document>) {
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

    fn flush(&mut self) -> Duration {
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

    fn merge(&mut self) -> Duration {
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
            let begun = now();
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

    fn stored(&self) -> u64 {
        let segments = &self.snapshot.live().manifest.segments;
        segments.iter().map(SegmentRef::stored_bytes).sum()
    }

    fn sizes(&self) -> String {
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

    /// What each column takes, and how fast it is decoded.
    fn columns(&self) {
        let directory = &self.snapshot.directories[0];
        let rows = f64::from(directory.rows());
        let ids: u64 = directory.id_blocks().iter().map(|b| u64::from(b.extent.bytes)).sum();
        println!("id blocks: {:.2} bytes a row", ids as f64 / rows);
        self.column("id", directory, directory.ids());
        for (id, column) in directory.columns() {
            self.column(ATTRIBUTES[id.0 as usize].0, directory, column);
        }
    }

    fn column(&self, name: &str, directory: &Directory, column: &Column) {
        let pages = column.pages().iter().map(|page| {
            let key = directory.key(&self.snapshot.place, &page.extent);
            let (start, end) = (page.extent.start as usize, page.extent.end() as usize);
            let bytes = self.objects[&key].slice(start, end).expect("the page is there");
            (page, key, bytes)
        });
        let pages: Vec<_> = pages.collect();
        let bytes: usize = pages.iter().map(|(_, _, bytes)| bytes.len()).sum();
        let open = || {
            for (page, key, bytes) in &pages {
                let opened = ColumnPage::open(column.value_type(), page, key, bytes);
                black_box(sum(opened.expect("the page is whole").values()));
            }
        };
        open();
        let best = (0..REPEATS).map(|_| {
            let begun = now();
            open();
            begun.elapsed().as_secs_f64()
        });
        let best = best.fold(f64::INFINITY, f64::min);
        let rows = f64::from(directory.rows());
        let (each, rate) = (bytes as f64 / rows, rows / best / 1e6);
        println!(
            "{name}: {each:.2} bytes a row in {} pages, opened and read at {rate:.0} M rows/s",
            pages.len()
        );
    }
}

/// Looks at every number of a page.
fn sum(values: &Values) -> u64 {
    match values {
        Values::Ints(values) | Values::DateTimes(values) => {
            values.iter().fold(0, |sum, value| sum.wrapping_add(value.cast_unsigned()))
        }
        Values::Uints(values) => values.iter().fold(0, |sum, value| sum.wrapping_add(*value)),
        Values::Bools(values) => values.iter().filter(|value| **value).count() as u64,
        _ => 0,
    }
}

fn documents(folder: &str) -> Vec<Document> {
    let read = |name: &str| {
        let path = format!("{folder}/{name}");
        std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    let halves = read("vectors.f16.bin");
    let vectors = halves.as_chunks::<2>().0.chunks_exact(DIMENSIONS);
    let lines = String::from_utf8(read("docs.jsonl")).expect("the documents are text");
    let documents = lines.lines().zip(vectors).map(|(line, vector)| {
        let json: Json = serde_json::from_str(line).expect("a document a line");
        let components: Vec<f32> =
            vector.iter().map(|half| widened(u16::from_le_bytes(*half))).collect();
        let value = |(at, (name, value_type)): (usize, (&str, Type))| {
            let value = match value_type {
                Type::Vector(_) => Vector::new(components.clone()).map(Value::Vector),
                _ => value(&json[name], value_type),
            };
            Some((AttributeId(at as u32), value?))
        };
        let attributes = ATTRIBUTES.into_iter().enumerate().filter_map(value).collect();
        Document { id: Id::Uint(json["id"].as_u64().expect("ids are numbers")), attributes }
    });
    documents.collect()
}

fn value(json: &Json, value_type: Type) -> Option<Value> {
    let scalar = |json: &Json, t| match t {
        ScalarType::Bool => json.as_bool().map(Scalar::Bool),
        ScalarType::Int => json.as_i64().map(Scalar::Int),
        ScalarType::Uint => json.as_u64().map(Scalar::Uint),
        _ => json.as_str().map(|text| Scalar::String(text.into())),
    };
    match value_type {
        Type::Scalar(t) => scalar(json, t).map(Value::Scalar),
        Type::Array(t) => {
            let all: Option<Vec<_>> = json.as_array()?.iter().map(|e| scalar(e, t)).collect();
            Some(Value::Array(all?.into()))
        }
        Type::Vector(_) => None,
    }
}

/// A half float as a float.
fn widened(half: u16) -> f32 {
    let sign = u32::from(half >> 15) << 31;
    let (exponent, mantissa) = (u32::from(half >> 10 & 31), u32::from(half & 0x3ff));
    if exponent == 0 {
        let size = mantissa as f32 / (1 << 24) as f32;
        return if sign == 0 { size } else { -size };
    }
    f32::from_bits(sign | (exponent + 112) << 23 | mantissa << 13)
}

/// The most memory that this process ever had, as the system says.
fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or("unknown".to_owned(), |line| line.trim().to_owned())
}

#[allow(clippy::disallowed_methods)] // A benchmark measures time.
fn now() -> Instant {
    Instant::now()
}
