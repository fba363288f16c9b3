//! A process that works on a store in a folder, for tests that need several or kill one.
//!
//! - `store_child count <folder> <tasks> <increments>` increments one register.
//! - `store_child write <folder>` writes until it is killed, and says what was acknowledged: each
//!   round changes the register `r` to the next number and creates the object `objects/<number>`.

use std::io::{self, Write};
use std::path::Path;

use sana_engine::base::blob::Blob;
use sana_engine::base::name::Key;
use sana_engine::machine::drive::ObjectStore;
use sana_engine::machine::request::{Reply, Request, When};
use sana_runtime::store::fs::FolderStore;
use sana_tests::conformance::count;
use sana_tests::numbered;
use tokio::task::JoinSet;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["count", folder, tasks, increments] => {
            let store = open(folder);
            let increments = parse(increments);
            let mut counters = JoinSet::new();
            for _ in 0..parse(tasks) {
                let store = store.clone();
                counters.spawn(async move { count(&store, "counter", increments).await });
            }
            counters.join_all().await;
        }
        ["write", folder] => write(&open(folder)).await,
        _ => panic!("count <folder> <tasks> <increments>, or write <folder>"),
    }
}

async fn write(store: &FolderStore) {
    let register = Key::new("r");
    loop {
        let (when, next) = match store.perform(Request::get(register.clone())).await {
            Reply::Missing => (When::Absent, 1),
            Reply::Found { tag, body } => (When::Matches(tag), numbered::read(&body) + 1),
            reply => panic!("reading: {reply:?}"),
        };
        let object = Key::new(format!("objects/{next}"));
        let created = store.perform(Request::create(object, numbered::body(next))).await;
        // Somebody who was killed may have come as far as this.
        assert!(matches!(created, Reply::Stored { .. } | Reply::Refused), "{created:?}");
        let body: Blob = numbered::body(next);
        let changed = store.perform(Request::Put { key: register.clone(), body, when }).await;
        assert!(matches!(changed, Reply::Stored { .. }), "{changed:?}");
        let mut out = io::stdout().lock();
        writeln!(out, "{next}").and_then(|()| out.flush()).expect("the test reads what we say");
    }
}

fn open(folder: &str) -> FolderStore {
    FolderStore::open(Path::new(folder)).expect("the test made the folder")
}

fn parse(number: &str) -> u64 {
    number.parse().expect("the test passes a number")
}
