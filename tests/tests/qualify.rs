//! The stores that Sana brings fit the model; those that do not keep their promises do not.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod flawed;

use std::path::{Path, PathBuf};
use std::process::Command;

use flawed::{Flaw, Flawed};
use sana_runtime::entropy;
use sana_runtime::store::fs::FolderStore;
use sana_runtime::store::memory::MemoryStore;
use sana_sim::store::Kind;
use sana_tests::qualify::model_store::ModelStore;
use sana_tests::qualify::{self, Outcome, Plan};

fn plan(requests: usize) -> Plan {
    Plan { requests, seconds: f64::INFINITY, ..Plan::of(entropy::seed() as u64) }
}

#[track_caller]
fn fits(outcome: &Outcome) {
    assert!(outcome.fits(), "{outcome}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_store_in_memory_fits_the_model() {
    let store = MemoryStore::new();
    fits(&qualify::histories(|| store.clone(), &plan(8_000), |_| ()).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_store_in_a_folder_fits_the_model_with_a_handle_for_each_client() {
    let folder = scratch();
    let plan = plan(6_000);
    let outcome = qualify::histories(|| FolderStore::open(&folder).unwrap(), &plan, |_| ()).await;
    fits(&outcome);
    assert!(outcome.width >= 6, "clients ask at once: {outcome}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_model_fits_itself_and_every_weak_one_is_found_out() {
    for (name, kind) in Kind::ALL {
        let store = ModelStore::new(kind);
        let outcome = qualify::histories(|| store.clone(), &plan(8_000), |_| ()).await;
        match kind {
            // They lose sight of what has one of Sana's names, and these have none.
            Kind::ShortLists | Kind::Lifecycle => {}
            // Here it is the users that are not as they should be.
            Kind::Clones => fits(&outcome),
            kind if !kind.is_weak() => fits(&outcome),
            _ => assert!(outcome.contradicts(), "{name}: {outcome}"),
        }
    }
}

/// But for the flaws that take names of a special kind to show.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_flaw_is_found_out_by_histories() {
    let names = [Flaw::DeletesBelow, Flaw::ListsByPath, Flaw::IgnoresCase, Flaw::CutsNames];
    for flaw in Flaw::ALL.into_iter().filter(|flaw| !names.contains(flaw)) {
        let store = Flawed::new(flaw);
        let outcome = qualify::histories(|| store.clone(), &plan(8_000), |_| ()).await;
        assert!(outcome.contradicts(), "{flaw:?}: {outcome}");
    }
    let store = Flawed::new(Flaw::TagOfContent);
    fits(&qualify::histories(|| store.clone(), &plan(8_000), |_| ()).await);
}

fn scratch() -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
    place.join(format!("qualify-{:032x}", entropy::seed()))
}

/// Runs the command, and gives its exit code and what it said.
fn command(arguments: &[&str]) -> (i32, String) {
    let ended = Command::new(env!("CARGO_BIN_EXE_sana-qualify")).args(arguments).output().unwrap();
    let said = String::from_utf8(ended.stdout).unwrap();
    (ended.status.code().unwrap(), said)
}

#[test]
fn the_command_looks_in_every_way_and_leaves_nothing_behind() {
    let folder = scratch().join("memory of something");
    std::fs::create_dir_all(&folder).unwrap();
    let place = format!("folder:{}", folder.display());
    std::fs::write(folder.join("what was there"), "before").unwrap();
    let (code, said) = command(&["--store", &place, "--requests", "1000"]);
    assert_eq!(code, 0, "{said}");
    for words in ["probe      keeps to it", "suite      conforms", "all fit the model"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let left = std::fs::read_dir(&folder).unwrap().map(|left| left.unwrap().file_name());
    assert_eq!(
        left.collect::<Vec<_>>(),
        ["what was there"],
        "it takes away what it put, and no more"
    );
    std::fs::remove_dir_all(folder.parent().unwrap()).unwrap();
}

#[test]
fn the_command_ends_with_what_it_found() {
    let requests = |store: &'static str, only: &'static str| {
        command(&["--store", store, "--only", only, "--requests", "8000", "--seed", "1"])
    };
    assert_eq!(requests("memory", "histories").0, 0);
    for weak in ["weak-conditions", "weak-races", "weak-reads"] {
        let (code, said) = requests(weak, "histories");
        assert_eq!(code, 1, "{said}");
        assert!(said.contains("in no order can these requests be answered so"), "{said}");
        let (code, said) = requests(weak, "suite");
        assert_eq!(code, 1, "{weak}: {said}");
    }
    assert_eq!(requests("nonsense://a", "probe").0, 2);
    let (code, said) =
        command(&["--store", "memory", "--only", "histories", "--requests", "2", "--length", "2"]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("too little was seen"), "{said}");
}
