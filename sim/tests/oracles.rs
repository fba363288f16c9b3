//! Every oracle of the large world is shown red by a planted bug, so none is an empty promise.
//!
//! One process has one bug at a time, so this is one test.

use sana_engine::base::planted::{self, Bug};
use sana_sim::oracles::Oracle;
use sana_sim::swarm;

/// A bug, the oracle that sees it, and seeds among which one does.
const BUGS: [(Bug, Oracle); 21] = [
    (Bug::StaleForEver, Oracle::Linearizable),
    (Bug::EarlierCheckServes, Oracle::Linearizable),
    (Bug::LostIsSuccess, Oracle::Recoverable),
    (Bug::UnknownIsFailure, Oracle::Refused),
    (Bug::FlushForgetsKeys, Oracle::Idempotent),
    (Bug::RebaseKeepsItsHead, Oracle::Chain),
    (Bug::LimitIsIgnored, Oracle::Conserved),
    (Bug::TrashWithoutFloor, Oracle::Reachable),
    (Bug::NoncesComeBack, Oracle::Unique),
    (Bug::PartsOfTwoMoments, Oracle::Snapshot),
    (Bug::DeadRowsAnswer, Oracle::Search),
    (Bug::OverlayIsNotGrouped, Oracle::Search),
    (Bug::SlowReadFillsCache, Oracle::Cached),
    (Bug::DamageStaysInCache, Oracle::Cached),
    (Bug::PurgeIsUndone, Oracle::Cached),
    (Bug::ChecksFetchAll, Oracle::Cost),
    (Bug::NothingIsSpilled, Oracle::Bounded),
    (Bug::SmallLogsAreLeft, Oracle::Live),
    (Bug::CollectorRunsOnce, Oracle::Live),
    (Bug::LogsCountAsSettled, Oracle::Live),
    (Bug::NeverSettled, Oracle::Live),
];

#[test]
fn every_oracle_is_shown_red_by_a_planted_bug() {
    for (bug, oracle) in BUGS {
        planted::choose(Some(bug));
        // What a bug breaks first depends on the seed: one of them shows it as what it is.
        let runs = (0..600).map(|seed| swarm::run(seed, swarm::size(3, 20)));
        let mut seen = runs.filter_map(|run| run.broken).map(|broken| broken.oracle);
        let shown = seen.any(|seen| seen == oracle);
        planted::choose(None);
        assert!(shown, "{bug:?} breaks {oracle:?} in no seed");
    }
}

/// The table of oracles in the documentation names these bugs, and no number that is of none.
#[test]
fn the_table_of_oracles_names_the_bugs_that_show_them_red() {
    let text = include_str!("../../docs/testing.md");
    for (bug, oracle) in BUGS {
        let row = text.lines().find(|line| line.starts_with(&format!("| {} |", oracle.number())));
        let row = row.unwrap_or_else(|| panic!("{oracle:?} has no row"));
        let named = row.trim_end_matches(" |").rsplit("| ").next().unwrap_or_default();
        let named: Vec<u8> = named.split(", ").map(|n| n.parse().expect("a number")).collect();
        assert!(named.contains(&(bug as u8)), "{bug:?} is not named for {oracle:?}: {named:?}");
        let is_bug = |number: &u8| Bug::ALL.iter().any(|bug| *bug as u8 == *number);
        assert!(named.iter().all(is_bug), "{oracle:?}: {named:?}");
    }
}

/// The seed that the README makes short shows its bug: which one does changes with what seeds draw.
#[test]
fn the_run_that_the_readme_makes_short_breaks() {
    let readme = include_str!("../../README.md");
    let (_, rest) = readme.split_once("-- shrink ").expect("it is shown how a run is made short");
    let (seed, rest) = rest.split_once(" --planted ").expect("with a bug");
    let bug = rest.split(' ').next().unwrap_or_default();
    let bug = Bug::ALL.into_iter().find(|other| format!("{other:?}") == bug);
    planted::choose(Some(bug.expect("a bug that there is")));
    let run = swarm::run(seed.parse().expect("a seed"), swarm::size(3, 60));
    planted::choose(None);
    assert!(run.broken.is_some(), "choose another seed");
}
