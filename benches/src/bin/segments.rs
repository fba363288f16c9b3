//! How large the documents of a data set are in segments, and how fast they are flushed, merged and
//! scanned.
//!
//! `cargo run --release -p sana-benches --bin segments -- DIR [COPIES]`, where DIR holds `docs.jsonl`, a
//! document a line, and `vectors.f16.bin`, a vector of 384 half floats for each. The documents are
//! written COPIES times under different ids, a flush for each 12,500 of them, and then merged.

use std::hint::black_box;
use std::time::{Duration, Instant};

use sana_benches::data::widened;
use sana_benches::world::World;
use sana_engine::base::id::AttributeId;
use sana_engine::base::value::{Document, Id, Scalar, ScalarType, Type, Value, Vector};
use sana_engine::format::columns::{Column, ColumnPage, Values};
use sana_engine::format::segment::Directory;
use serde_json::Value as Json;

const DIMENSIONS: usize = 384;
const FLUSH_DOCUMENTS: usize = 12_500;
const REPEATS: usize = 20;

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
    ("vector", Type::vector(DIMENSIONS as u32)),
];

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

    let mut world = World::new(&ATTRIBUTES);
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
    Columns(&world).print();
}

/// What each column takes, and how fast it is decoded.
struct Columns<'a>(&'a World);

impl Columns<'_> {
    fn print(&self) {
        let directory = &self.0.snapshot.directories[0];
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
            let key = directory.key(&self.0.snapshot.place, &page.extent);
            let (start, end) = (page.extent.start as usize, page.extent.end() as usize);
            let bytes = self.0.objects[&key].slice(start, end).expect("the page is there");
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
        _ => None,
    }
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
