//! How fast exact scans run against the memory of this machine: vectors through the kernel alone and
//! through a whole query with its pages in a cache, and numbers through a filter.
//!
//! `cargo run --release -p sana-benches --bin scan -- [--data DIR]`, where DIR holds
//! `vectors.f16.bin`: 50,000 vectors of 384 half floats. Without it the vectors are random.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use sana_benches::data::widened;
use sana_engine::base::blob::Blob;
use sana_engine::base::host::{Host, Simd};
use sana_engine::base::id::{AttributeId, Cursor, Generation, Incarnation, Nonce, Row, Stamp};
use sana_engine::base::name::{AttributeName, Key, NamespaceName};
use sana_engine::base::time::{Timestamp, WallTime};
use sana_engine::base::value::{Float, Id, IdType, Raw, Scalar, ScalarType, Type, Value, Vector};
use sana_engine::format::columns::{Column, Components};
use sana_engine::format::head::{Head, Live, State};
use sana_engine::format::layout::{ObjectName, Place};
use sana_engine::format::log::Log;
use sana_engine::format::manifest::{Extent, Manifest};
use sana_engine::format::rows::RowSet;
use sana_engine::format::schema::{Attribute, Metric, Schema};
use sana_engine::format::segment::SegmentWriter;
use sana_engine::format::segment::writer::Bounds;
use sana_engine::index::vector::distance::Probe;
use sana_engine::machine::request::{ByteRange, Reply, Request, Tag};
use sana_engine::machine::{Machine, Step};
use sana_engine::namespace::overlay::Overlay;
use sana_engine::namespace::request::{
    Aggregate, Answer, Consistency, Include, Operator, Predicate, QueryRequest, Rank, Want,
};
use sana_engine::namespace::snapshot::Snapshot;
use sana_engine::ops::query::Query;

const ROWS: usize = 50_000;
const DIMENSIONS: usize = 384;
/// Numbers that a filter looks at.
const NUMBERS: usize = 4_000_000;
/// Times that a measurement is repeated; the best counts, for others use this machine too.
const REPEATS: usize = 30;

fn main() {
    let vectors = vectors();
    let bytes: Vec<u8> = vectors.iter().flat_map(|x| x.to_le_bytes()).collect();
    let memory = || {
        black_box(sum(black_box(&bytes)));
    };
    let best = *supported().last().expect("there is always the plain one");
    for metric in Metric::ALL {
        for simd in supported() {
            let probe = Probe::new(metric, &vectors[..DIMENSIONS], simd);
            let mut distances = vec![0.0; ROWS];
            let rates = best_rates(bytes.len(), memory, || {
                probe.distances(black_box(Components::F32(bytes.as_chunks().0)), &mut distances);
                black_box(distances[ROWS / 2]);
            });
            print("kernel", metric, simd, rates);
        }
        let namespace = Namespace::of_vectors(metric, &vectors);
        let request = nearest(&vectors[..DIMENSIONS]);
        let rates = best_rates(bytes.len(), memory, || {
            black_box(namespace.query(&request, Host { simd: best }));
        });
        print("query", metric, best, rates);
    }
    let namespace = Namespace::of_numbers();
    for (label, filter) in [("one in 256", 5), ("half", 128)] {
        let request = count_below(filter);
        let (_, rate) = best_rates(
            NUMBERS,
            || (),
            || {
                black_box(namespace.query(&request, Host { simd: best }));
            },
        );
        println!("filter by a number that selects {label}: {:.0} M values/s", rate / 1e6);
    }
}

fn print(what: &str, metric: Metric, simd: Simd, (memory, rate): (f64, f64)) {
    let (memory, rate) = (memory / 1e9, rate / 1e9);
    let ratio = rate / memory;
    println!(
        "{what}, {metric}, {simd:?}: {rate:.1} GB/s, {ratio:.2} of {memory:.1} GB/s of memory"
    );
}

/// A namespace of one segment, with every stretch of it in a cache.
struct Namespace {
    snapshot: Arc<Snapshot>,
    cache: BTreeMap<(Key, ByteRange), Blob>,
}

impl Namespace {
    fn of_vectors(metric: Metric, vectors: &[f32]) -> Self {
        let values = vectors.chunks(DIMENSIONS).map(|components| {
            Value::Vector(Vector::new(components.to_vec()).expect("vectors are finite"))
        });
        Self::new(Type::vector(DIMENSIONS as u32), Some(metric), values)
    }

    fn of_numbers() -> Self {
        let mut state = 2_u64;
        let values = (0..NUMBERS).map(|_| {
            random(&mut state);
            Value::Scalar(Scalar::Int((state >> 56).cast_signed()))
        });
        Self::new(Type::Scalar(ScalarType::Int), None, values)
    }

    fn new(
        value_type: Type,
        metric: Option<Metric>,
        values: impl ExactSizeIterator<Item = Value>,
    ) -> Self {
        let rows = values.len() as u64;
        let bounds = Bounds { base: Row(0), end: Row(rows), rows_max: rows, records_max: 0 };
        let mut writer = SegmentWriter::begin(bounds, IdType::Uint);
        writer.column(AttributeId(0), value_type);
        values.for_each(|value| writer.value(Some(&value)));
        (0..rows).for_each(|row| writer.document(Row(row), &Id::Uint(row)));
        (0..rows).for_each(|row| writer.id(&Id::Uint(row), row as u32));
        let (parts, draft) = writer.finish(&RowSet::default());
        let name = |nonce| ObjectName { stamp: Stamp(1), nonce: Nonce(nonce) };
        let namespace = NamespaceName::parse("bench").expect("a good name");
        let place = Place { namespace, incarnation: Incarnation(Nonce(1)) };
        let names: Vec<_> = (0..parts.len() as u128).map(name).collect();
        let (segment, directory) = draft.named(&place, &names);
        let stretch = |extent: &Extent| {
            let range = ByteRange { start: extent.start.into(), end: extent.end() };
            let part = &parts[extent.part as usize];
            let body = part.slice(extent.start as usize, extent.end() as usize);
            ((segment.key(&place, extent), range), body.expect("stretches lie in their parts"))
        };
        let columns = directory.columns().iter().map(|(_, column)| column);
        let pages = columns.chain([directory.ids()]).flat_map(Column::pages);
        let cache = pages.map(|page| stretch(&page.extent)).collect();
        let attribute = Attribute { metric, ..Attribute::of(AttributeId(0), value_type) };
        let live = Live {
            schema: Schema {
                id_type: Some(IdType::Uint),
                metric,
                attributes: [(attribute_name(), attribute)].into(),
                next_id: AttributeId(1),
            },
            manifest: Manifest {
                generation: Generation(1),
                next_row: Row(rows),
                segments: vec![segment],
                live_rows: rows,
                logical_bytes: 0,
            },
            log: Log { committed: Cursor(1), indexed: Cursor(1), ..Log::default() },
            ..Live::new(Stamp(1), WallTime(0))
        };
        let head = Head {
            nonce: Nonce(1),
            step: Stamp(2),
            floor: Stamp(0),
            incarnation: place.incarnation,
            state: State::Live(Box::new(live)),
        };
        let directories = vec![Arc::new(directory)];
        let overlay = Arc::new(Overlay::default());
        Self { snapshot: Arc::new(Snapshot::new(place, head.into(), overlay, directories)), cache }
    }

    fn query(&self, request: &QueryRequest, host: Host) -> Answer {
        let snapshot = self.snapshot.clone();
        let mut step = Query::start(Timestamp(0), snapshot, request, host, Timestamp(1));
        loop {
            match step {
                Step::Done(outcome) => return outcome.expect("all is in the cache"),
                Step::Wait(query, round) => {
                    let replies = round.requests.into_iter().map(|request| self.reply(request));
                    step = query.step(Timestamp(0), replies.collect());
                }
            }
        }
    }

    fn reply(&self, request: Request) -> Reply {
        let Request::Get { key, range: Some(range), .. } = request else {
            panic!("queries read ranges, and this is {request:?}")
        };
        Reply::Found { tag: Tag::new("1"), body: self.cache[&(key, range)].clone() }
    }
}

fn attribute_name() -> AttributeName {
    AttributeName::parse("a").expect("a good name")
}

fn nearest(to: &[f32]) -> QueryRequest {
    let number = |x: &f32| Raw::Number(Float::new(f64::from(*x)).expect("vectors are finite"));
    let to = Raw::List(to.iter().map(number).collect());
    let rank = Rank::nearest(attribute_name(), to);
    let want = Want::rows(rank, 10, Include::Nothing);
    QueryRequest { filter: None, want, consistency: Consistency::Strong }
}

fn count_below(number: i128) -> QueryRequest {
    let operand = Raw::Integer(number);
    let attribute = attribute_name().as_str().to_owned();
    let filter = Predicate::Compare { attribute, operator: Operator::Lt, operand };
    let want = Want::Aggregates(vec![("count".into(), Aggregate::Count)]);
    QueryRequest { filter: Some(filter), want, consistency: Consistency::Strong }
}

/// What this processor has, slowest first.
fn supported() -> Vec<Simd> {
    let all = [Simd::Scalar, Simd::Avx2, Simd::Avx512];
    all.into_iter().filter(|simd| simd.is_supported()).collect()
}

/// The vectors of the data set, or random ones.
fn vectors() -> Vec<f32> {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--data");
    let Some(folder) = arguments.nth(1) else {
        println!("random vectors");
        let mut state = 1_u64;
        return (0..ROWS * DIMENSIONS).map(|_| random(&mut state)).collect();
    };
    let path = format!("{folder}/vectors.f16.bin");
    let halves = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let (halves, _) = halves.as_chunks::<2>();
    halves.iter().take(ROWS * DIMENSIONS).map(|half| widened(u16::from_le_bytes(*half))).collect()
}

/// Between -1 and 1.
fn random(state: &mut u64) -> f32 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 40) as f32 / (1 << 23) as f32 - 1.0
}

fn sum(bytes: &[u8]) -> u64 {
    let (lines, _) = bytes.as_chunks::<64>();
    let mut sums = [0_u64; 8];
    for line in lines {
        for (sum, word) in sums.iter_mut().zip(line.as_chunks::<8>().0) {
            *sum = sum.wrapping_add(u64::from_le_bytes(*word));
        }
    }
    sums.iter().fold(0, |all, sum| all.wrapping_add(*sum))
}

/// The best of several, side by side: how much of an `amount` each does per second.
fn best_rates(amount: usize, mut one: impl FnMut(), mut other: impl FnMut()) -> (f64, f64) {
    let (mut best_one, mut best_other) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..REPEATS {
        best_one = best_one.min(seconds(&mut one));
        best_other = best_other.min(seconds(&mut other));
    }
    (amount as f64 / best_one, amount as f64 / best_other)
}

fn seconds(work: &mut impl FnMut()) -> f64 {
    #[allow(clippy::disallowed_methods)] // A benchmark measures time.
    let begun = Instant::now();
    work();
    begun.elapsed().as_secs_f64()
}
