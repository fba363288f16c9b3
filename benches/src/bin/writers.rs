//! What group commit is worth: one-row writes by one writer and by 64 at once, on one namespace in a
//! folder, beside what the machine takes to keep a small file.
//!
//! `cargo run --release -p sana-benches --bin writers [-- FOLDER]`: the folder is made and removed;
//! without one it is made in the system's place for temporary files.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sana_engine::base::name::{AttributeName, NamespaceName};
use sana_engine::base::value::Raw;
use sana_engine::namespace::request::{RawDocument, WriteRequest};
use sana_engine::service::settings::Settings;
use sana_runtime::node::Node;
use sana_runtime::store::fs::FolderStore;
use sana_runtime::telemetry::Metrics;
use sana_runtime::{compute, entropy};

const WRITERS: u64 = 64;
/// How long each measurement runs.
const RUN: Duration = Duration::from_secs(4);
const FILES: usize = 400;

#[tokio::main]
async fn main() -> io::Result<()> {
    let folder = std::env::args_os().nth(1).map_or_else(
        || std::env::temp_dir().join(format!("sana-writers-{:032x}", entropy::seed())),
        PathBuf::from,
    );
    std::fs::create_dir(&folder)?;
    let file = small_files(&folder)?;
    println!("machine: a 2 KB file created and synced: p50 {:.3} ms", milliseconds(file));
    let store = FolderStore::open(&folder.join("store")).map_err(io::Error::other)?;
    let settings = Settings { host: compute::host(), ..Settings::default() };
    let metrics = Arc::new(Metrics::new());
    let node = Node::start(store.into(), 256 << 20, compute::threads(), settings, metrics);
    let alone = run(&node, "alone", 1).await;
    let ratio = alone.p50.as_secs_f64() / file.as_secs_f64();
    println!("one writer: {alone}; p50 is {ratio:.2} times the file's");
    let many = run(&node, "many", WRITERS).await;
    println!("{WRITERS} writers: {many}; {:.1} times as many", many.rate / alone.rate);
    std::fs::remove_dir_all(&folder)
}

/// What writers came to together.
struct Measured {
    /// Acknowledged writes per second.
    rate: f64,
    p50: Duration,
    p99: Duration,
}

impl core::fmt::Display for Measured {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (p50, p99) = (milliseconds(self.p50), milliseconds(self.p99));
        write!(f, "{:.0} writes/s, p50 {p50:.3} ms, p99 {p99:.3} ms", self.rate)
    }
}

/// So many writers, each of which writes its next row when the one before was acknowledged.
async fn run(node: &Node, namespace: &str, writers: u64) -> Measured {
    let name = NamespaceName::parse(namespace).expect("a good name");
    write(node, &name, 0).await;
    let began = Instant::now();
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let (node, name) = (node.clone(), name.clone());
            tokio::spawn(async move {
                let mut times = Vec::new();
                while began.elapsed() < RUN {
                    let sent = Instant::now();
                    write(&node, &name, writer << 32 | times.len() as u64).await;
                    times.push(sent.elapsed());
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await.expect("a writer ends"));
    }
    let rate = times.len() as f64 / began.elapsed().as_secs_f64();
    times.sort_unstable();
    Measured { rate, p50: times[times.len() / 2], p99: times[times.len() * 99 / 100] }
}

async fn write(node: &Node, namespace: &NamespaceName, id: u64) {
    let attribute = AttributeName::parse("a").expect("a good name");
    let attributes = vec![(attribute, Raw::Integer(id.into()))];
    let row = RawDocument { id: Raw::Integer(id.into()), attributes };
    let request = WriteRequest { upserts: Some(vec![row]), ..WriteRequest::default() };
    let outcome = node.write(namespace, request, 30).await.expect("nothing crashes");
    assert_eq!(outcome.expect("the folder answers").upserted, Some(1));
}

/// The median time that the machine takes to keep a new small file.
fn small_files(folder: &Path) -> io::Result<Duration> {
    let mut times = Vec::new();
    for number in 0..FILES {
        let began = Instant::now();
        let mut file = File::create_new(folder.join(number.to_string()))?;
        file.write_all(&[7; 2 << 10])?;
        file.sync_all()?;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    Ok(times[times.len() / 2])
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
