//! How long the store in a folder takes, beside what the machine takes for the same by itself.
//!
//! `store [folder]`: the folder is made, filled and removed; without one it is made in the system's
//! place for temporary files, which had better be on the disk in question.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sana_engine::base::blob::Blob;
use sana_engine::base::name::Key;
use sana_engine::machine::drive::ObjectStore;
use sana_engine::machine::request::{ByteRange, Reply, Request, Tag, When};
use sana_runtime::entropy;
use sana_runtime::store::fs::FolderStore;

#[tokio::main]
async fn main() -> io::Result<()> {
    let folder = std::env::args_os().nth(1).map_or_else(
        || std::env::temp_dir().join(format!("sana-bench-{:032x}", entropy::seed())),
        PathBuf::from,
    );
    std::fs::create_dir(&folder)?;
    println!("{:<44} {:>9} {:>9} {:>9}", "", "p50 ms", "p90 ms", "p99 ms");
    machine(&folder)?;
    // A future polled by `main` itself has to wake the main thread for each reply; one on a worker
    // is how requests arrive in production.
    let store = FolderStore::open(&folder.join("store")).map_err(io::Error::other)?;
    let measured = tokio::spawn(async move {
        registers(&store).await;
        objects(&store, "64 KB", 64 << 10, 300).await;
        objects(&store, "4 MB", 4 << 20, 30).await;
        listings(&store).await;
    });
    measured.await?;
    std::fs::remove_dir_all(&folder)
}

/// What the machine takes to keep bytes in new files and in place.
fn machine(folder: &Path) -> io::Result<()> {
    let body = [7; REGISTER_BYTES];
    let mut files = 0;
    let create = sample(ROUNDS, || {
        files += 1;
        let mut file = File::create_new(folder.join(files.to_string()))?;
        file.write_all(&body)?;
        file.sync_all()
    })?;
    print("machine: create, write 2 KB, fsync", create);
    let large = vec![7; 4 << 20];
    let create = sample(30, || {
        files += 1;
        let mut file = File::create_new(folder.join(files.to_string()))?;
        file.write_all(&large)?;
        file.sync_all()
    })?;
    print("machine: create, write 4 MB, fsync", create);
    let file = OpenOptions::new().create_new(true).write(true).open(folder.join("in place"))?;
    file.write_all_at(&[0; 3 * 4096], 0)?;
    file.sync_all()?;
    let mut round = 0;
    let overwrite = sample(ROUNDS, || {
        round += 1;
        file.write_all_at(&[round as u8; 4096], 4096 * (1 + round % 2))?;
        file.sync_data()
    })?;
    print("machine: overwrite 4 KB in place, fdatasync", overwrite);
    Ok(())
}

async fn registers(store: &FolderStore) {
    let body = |round: usize| blob(REGISTER_BYTES, round);
    let mut samples = Vec::new();
    for round in 0..ROUNDS {
        let begin = Instant::now();
        put(store, format!("heads/{round}"), body(round), When::Absent).await;
        samples.push(begin.elapsed());
    }
    print("register 2 KB: create", samples);

    let mut tag = put(store, "heads/one".to_owned(), body(0), When::Absent).await;
    let mut samples = Vec::new();
    for round in 0..ROUNDS {
        let begin = Instant::now();
        tag = put(store, "heads/one".to_owned(), body(round), When::Matches(tag)).await;
        samples.push(begin.elapsed());
    }
    print("register 2 KB: conditional put", samples);

    let mut samples = Vec::new();
    for _ in 0..10 * ROUNDS {
        let begin = Instant::now();
        let reply = store.perform(Request::get(Key::new("heads/one"))).await;
        samples.push(begin.elapsed());
        assert!(matches!(reply, Reply::Found { .. }), "{reply:?}");
    }
    print("register 2 KB: get", samples);

    let mut samples = Vec::new();
    for _ in 0..10 * ROUNDS {
        let request =
            Request::Get { key: Key::new("heads/one"), range: None, unless: Some(tag.clone()) };
        let begin = Instant::now();
        let reply = store.perform(request).await;
        samples.push(begin.elapsed());
        assert_eq!(reply, Reply::NotModified);
    }
    print("register 2 KB: get, not modified", samples);

    for bytes in [32 << 10, 100 << 10, 1 << 20] {
        let key = format!("heads/{bytes}");
        let mut tag = put(store, key.clone(), blob(bytes, 0), When::Absent).await;
        let mut samples = Vec::new();
        for round in 0..ROUNDS / 4 {
            let body = blob(bytes, round);
            let begin = Instant::now();
            tag = put(store, key.clone(), body, When::Matches(tag)).await;
            samples.push(begin.elapsed());
        }
        print(&format!("register {} KB: conditional put", bytes >> 10), samples);
    }
}

async fn objects(store: &FolderStore, name: &str, bytes: usize, count: usize) {
    let mut samples = Vec::new();
    for round in 0..count {
        let body = blob(bytes, round);
        let begin = Instant::now();
        put(store, format!("data/{bytes}/{round}"), body, When::Fresh).await;
        samples.push(begin.elapsed());
    }
    print(&format!("object {name}: put"), samples);
    let mut samples = Vec::new();
    let mut parts = Vec::new();
    for round in 0..count {
        let key = Key::new(format!("data/{bytes}/{round}"));
        let begin = Instant::now();
        let reply = store.perform(Request::get(key.clone())).await;
        samples.push(begin.elapsed());
        assert!(matches!(reply, Reply::Found { body, .. } if body.len() == bytes));
        let start = bytes as u64 / 2;
        let begin = Instant::now();
        let range = ByteRange { start, end: start + 4096 };
        let reply = store.perform(Request::get_range(key, range)).await;
        parts.push(begin.elapsed());
        assert!(matches!(reply, Reply::Found { body, .. } if body.len() == 4096));
    }
    print(&format!("object {name}: get"), samples);
    print(&format!("object {name}: get 4 KB of it"), parts);
}

async fn listings(store: &FolderStore) {
    let mut samples = Vec::new();
    for _ in 0..20 {
        let request = Request::List { prefix: Key::new("heads/"), after: None, limit: 100 };
        let begin = Instant::now();
        let reply = store.perform(request).await;
        samples.push(begin.elapsed());
        assert!(matches!(reply, Reply::Listed { objects, .. } if objects.len() == 100));
    }
    print("list 100 of 500 registers", samples);
}

async fn put(store: &FolderStore, key: String, body: Blob, when: When) -> Tag {
    match store.perform(Request::Put { key: Key::new(key), body, when }).await {
        Reply::Stored { tag } => tag,
        reply => panic!("{reply:?}"),
    }
}

fn blob(bytes: usize, seed: usize) -> Blob {
    Blob::from(vec![seed as u8; bytes])
}

fn sample(rounds: usize, mut act: impl FnMut() -> io::Result<()>) -> io::Result<Vec<Duration>> {
    let mut samples = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let begin = Instant::now();
        act()?;
        samples.push(begin.elapsed());
    }
    Ok(samples)
}

fn print(name: &str, mut samples: Vec<Duration>) {
    samples.sort_unstable();
    let at = |percent: usize| samples[(samples.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    println!("{name:<44} {:>9.3} {:>9.3} {:>9.3}", at(50), at(90), at(99));
}

const ROUNDS: usize = 500;
const REGISTER_BYTES: usize = 2_000;
