//! The stores that Sana brings answer as they should; a store that does not is found out.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod flawed;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use flawed::{Flaw, Flawed};
use sana_engine::base::name::Key;
use sana_engine::machine::drive::ObjectStore;
use sana_engine::machine::request::{Reply, Request};
use sana_runtime::entropy;
use sana_runtime::store::Store;
use sana_runtime::store::counted::Counted;
use sana_runtime::store::fs::FolderStore;
use sana_runtime::store::memory::MemoryStore;
use sana_runtime::store::probe::{Unfit, probe};
use sana_tests::{conformance, numbered};

/// A place for folders, which ends with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
        Self(place.join(format!("stores-{:032x}", entropy::seed())))
    }

    fn folder(&self) -> FolderStore {
        let folder = self.0.join(format!("{:032x}", entropy::seed()));
        FolderStore::open(&folder).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn child(arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_store_child"));
    command.args(arguments).stdout(Stdio::piped()).spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_store_in_memory_conforms() {
    conformance::check(MemoryStore::new).await;
    conformance::check_tags_never_return(MemoryStore::new).await;
    conformance::check_any_name(MemoryStore::new).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_store_in_a_folder_conforms() {
    let scratch = Scratch::new();
    conformance::check(|| scratch.folder()).await;
    conformance::check_tags_never_return(|| scratch.folder()).await;
    conformance::check_any_name(|| scratch.folder()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_behind_a_counter_and_a_choice_conforms() {
    conformance::check(|| Counted::new(Store::from(MemoryStore::new()))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_flaw_is_found_out() {
    for flaw in Flaw::ALL {
        let checked = tokio::spawn(conformance::check(move || Flawed::new(flaw)));
        assert!(checked.await.is_err(), "{flaw:?} was not found out");
    }
    conformance::check(|| Flawed::new(Flaw::TagOfContent)).await;
    let tags = conformance::check_tags_never_return(|| Flawed::new(Flaw::TagOfContent));
    assert!(tokio::spawn(tags).await.is_err(), "tags of contents were not found out");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_processes_with_eight_tasks_each_lose_no_increment() {
    let scratch = Scratch::new();
    let folder = scratch.0.to_str().unwrap();
    let store = FolderStore::open(&scratch.0).unwrap();
    let mut children = [0; 2].map(|_| child(&["count", folder, "8", "50"]));
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    match store.perform(Request::get(Key::new("counter"))).await {
        Reply::Found { body, .. } => assert_eq!(conformance::number(&body), 2 * 8 * 50),
        reply => panic!("{reply:?}"),
    }
}

/// On one thread, so that all writers are judged before the first is applied.
#[tokio::test]
async fn a_store_that_judges_too_early_is_not_used() {
    let tried = probe(&Flawed::new(Flaw::JudgesTooEarly), 1).await;
    assert!(matches!(tried, Err(Unfit::Breaks(_))), "{tried:?}");
    for flaw in [Flaw::CreatesOnMatch, Flaw::ReplacesOnAbsent, Flaw::IgnoresRanges] {
        let tried = probe(&Flawed::new(flaw), 1).await;
        assert!(matches!(tried, Err(Unfit::Breaks(_))), "{flaw:?}: {tried:?}");
    }
}

/// Kills a writer thirty times at any moment. What it heard of is there, and nothing by halves.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_killed_writer_leaves_what_was_acknowledged_and_no_halves() {
    let scratch = Scratch::new();
    let folder = scratch.0.to_str().unwrap();
    let mut acknowledged = 0;
    for kill in 0..30 {
        let before = acknowledged;
        let mut writer = child(&["write", folder]);
        let mut lines = BufReader::new(writer.stdout.take().unwrap()).lines();
        acknowledged = lines.next().unwrap().unwrap().parse().unwrap();
        tokio::time::sleep(Duration::from_micros((entropy::seed() % 40_000) as u64)).await;
        writer.kill().unwrap();
        writer.wait().unwrap();
        for line in lines {
            // The last line may be cut short.
            let number: u64 = line.unwrap().parse().unwrap_or(0);
            acknowledged = acknowledged.max(number);
        }
        assert!(acknowledged > before, "kill {kill}: the writer went on from {before}");
        let held = inspect(&scratch.0).await;
        assert!(held >= acknowledged, "kill {kill}: {acknowledged} is gone, {held} is there");
    }
}

/// What the register says, once all objects are found whole.
async fn inspect(folder: &Path) -> u64 {
    let store = FolderStore::open(folder).unwrap();
    let read = async |key: Key| match store.perform(Request::get(key)).await {
        Reply::Found { body, .. } => numbered::read(&body),
        reply => panic!("{reply:?}"),
    };
    let held = read(Key::new("r")).await;
    let list = Request::List { prefix: Key::new(""), after: None, limit: 100_000 };
    let Reply::Listed { objects, .. } = store.perform(list).await else { panic!("no listing") };
    let mut numbers = Vec::new();
    for object in objects {
        let Some(number) = object.key.as_str().strip_prefix("objects/") else {
            assert_eq!(object.key.as_str(), "r", "nothing else was written");
            continue;
        };
        let number: u64 = number.parse().unwrap();
        assert_eq!(read(object.key).await, number);
        numbers.push(number);
    }
    numbers.sort_unstable();
    assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "no object is missing");
    assert!((held..=held + 1).contains(&(numbers.len() as u64)), "objects go before the register");
    held
}
