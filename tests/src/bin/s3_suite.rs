//! Tries the store of a bucket on a real server, which the environment names as it does for `sana`.
//!
//! - `s3_suite conform <s3://bucket/prefix>` runs the conformance suite.
//! - `s3_suite endure <s3://bucket/prefix> <tasks> <increments>` increments one register from several
//!   tasks, while somebody kills the server and starts it again, and demands that each increment
//!   counted once. It says a word for every increment that was settled.

use core::time::Duration;
use std::io::{self, Write};

use sana_engine::base::blob::Blob;
use sana_engine::base::name::Key;
use sana_engine::machine::drive::ObjectStore;
use sana_engine::machine::request::{Reply, Request, Tag, When};
use sana_runtime::entropy;
use sana_runtime::store::s3::{S3Options, S3Store};
use sana_tests::{conformance, numbered};
use tokio::task::JoinSet;
use tokio::time::sleep;

#[tokio::main]
async fn main() {
    tracing_subscriber::fmt().with_env_filter("warn").with_writer(io::stderr).init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["conform", place] => {
            conformance::check(|| store(&format!("{place}/{:032x}", entropy::seed()))).await;
        }
        ["endure", place, tasks, increments] => {
            let number = |text: &str| text.parse().expect("a number");
            endure(&store(place), number(tasks), number(increments)).await;
        }
        _ => panic!("conform <place>, or endure <place> <tasks> <increments>"),
    }
}

fn store(place: &str) -> S3Store {
    let options = S3Options::from_environment(place);
    let options = options.unwrap_or_else(|error| panic!("{error}"));
    S3Store::new(options).unwrap_or_else(|error| panic!("{error}"))
}

async fn endure(store: &S3Store, tasks: usize, increments: usize) {
    let mut counters = JoinSet::new();
    for task in 0..tasks {
        let store = store.clone();
        counters.spawn(async move {
            for count in 1..=increments {
                increment(&store, task, count).await;
                let mut out = io::stdout().lock();
                writeln!(out, "{task} {count}").and_then(|()| out.flush()).expect("we are heard");
            }
        });
    }
    counters.join_all().await;
    let (counts, _) = read(store).await;
    assert_eq!(counts, vec![increments as u64; tasks], "each increment counts once");
    for task in 0..tasks {
        for count in 1..=increments {
            let found = ask(store, Request::get(object(task, count))).await;
            let Reply::Found { body, .. } = found else {
                panic!("object {task} {count}: {found:?}")
            };
            assert_eq!(numbered::read(&body), count as u64);
        }
    }
}

/// Creates an object, and then counts one more of its task. What became of a lost write is found out
/// by reading: nobody else changes the count of this task.
async fn increment(store: &S3Store, task: usize, count: usize) {
    let create = Request::create(object(task, count), numbered::body(count as u64));
    while !matches!(store.perform(create.clone()).await, Reply::Stored { .. } | Reply::Refused) {
        sleep(PAUSE).await;
    }
    loop {
        let (mut counts, tag) = read(store).await;
        counts.resize(counts.len().max(task + 1), 0);
        if counts[task] == count as u64 {
            return;
        }
        assert_eq!(counts[task], count as u64 - 1, "task {task}: what was settled stays");
        counts[task] += 1;
        let when = tag.map_or(When::Absent, When::Matches);
        let body = Blob::from(counts.iter().flat_map(|it| it.to_le_bytes()).collect::<Vec<u8>>());
        match store.perform(Request::Put { key: Key::new("r"), body, when }).await {
            Reply::Stored { .. } => return,
            Reply::Refused => {}
            Reply::Lost | Reply::Throttled => sleep(PAUSE).await,
            reply => panic!("task {task}: {reply:?}"),
        }
    }
}

/// The counts in the register, and its version.
async fn read(store: &S3Store) -> (Vec<u64>, Option<Tag>) {
    match ask(store, Request::get(Key::new("r"))).await {
        Reply::Found { tag, body } => {
            let (counts, rest) = body.as_slice().as_chunks();
            assert!(rest.is_empty(), "the register is whole");
            (counts.iter().map(|count| u64::from_le_bytes(*count)).collect(), Some(tag))
        }
        Reply::Missing => (Vec::new(), None),
        reply => panic!("reading the register: {reply:?}"),
    }
}

/// Asks until the store answers.
async fn ask(store: &S3Store, request: Request) -> Reply {
    loop {
        match store.perform(request.clone()).await {
            Reply::Lost | Reply::Throttled => sleep(PAUSE).await,
            reply => return reply,
        }
    }
}

fn object(task: usize, count: usize) -> Key {
    Key::new(format!("objects/{task}/{count}"))
}

const PAUSE: Duration = Duration::from_millis(20);
