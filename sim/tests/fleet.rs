//! Nodes with roles, what they cost when nothing is to be done, and what is said of those that wait.

use sana_engine::base::planted::{self, Bug};
use sana_sim::oracles::Oracle;
use sana_sim::swarm::{self, Band};
use sana_sim::world::profile::Fault;
use sana_sim::world::size::{Pace, Size};
use sana_sim::world::{CHECKPOINT_EVERY, Run};

#[test]
fn nodes_of_all_roles_get_quiet_also_if_only_a_core_of_them_is_left() {
    let band = swarm::all(2_000..2_080, swarm::size(6, 20), 1, |_: &Band| ());
    assert!(band.broken.is_empty(), "{:?}", band.broken);
    let seen = [Fault::Watched, Fault::Rolled, Fault::StayedDead, Fault::CutOff];
    for fault in seen.into_iter().chain([Fault::CrashOverReply, Fault::CrashAgain]) {
        assert!(band.activations.of(fault) > 0, "{fault:?} never happened");
    }
}

/// What each broke, when it did, in worlds of three nodes:
///
/// - 71, 225, 266, 464 and 602: a node that only serves clients had written to a namespace that was
///   deleted then, and asked for it again and again (`docs/bugs/204-*.md`);
/// - 228, 361, 444, 534 and 568: a node that was cut off for ever was woken every millisecond for a
///   look that was under way (`docs/bugs/301-*.md`).
#[test]
fn seeds_of_roles_and_cores_that_broke_something_do_not_any_more() {
    for seed in [71, 225, 228, 266, 361, 444, 464, 534, 568, 602] {
        assert_eq!(swarm::run(seed, swarm::size(3, 20)).broken, None, "seed {seed}");
    }
}

/// A collector that stops after its first run leaves trash. Whoever hears of it wants to know what
/// lies where, and which node does what about it.
#[test]
fn a_world_that_does_not_get_quiet_says_who_waits_for_what() {
    planted::choose(Some(Bug::CollectorRunsOnce));
    let runs = (0..600).map(|seed| swarm::run(seed, swarm::size(3, 20)));
    let broken = runs.filter_map(|run| run.broken).find(|broken| broken.oracle == Oracle::Live);
    planted::choose(None);
    let what = broken.expect("the bug is seen").what;
    for part in ["ns0 has trash", "node 0 (", "knows step", "life"] {
        assert!(what.contains(part), "{part}: {what}");
    }
}

/// What nobody asks for is forgotten, and costs nothing but a survey a day.
#[test]
fn nodes_that_nobody_asks_do_next_to_nothing() {
    let size = Size { pace: Pace::Idle, ..swarm::size(20, 7 * 86_400) };
    let run = swarm::run(1, size);
    assert_eq!(run.broken, None);
    let Run { events, ops, time, .. } = run;
    assert!(ops > 100, "{ops} requests of clients");
    let surveys = size.nodes as u64 * (1 + time / 86_400_000);
    assert!(events < 50 * ops + surveys, "{events} events for {ops} requests, {surveys} surveys");
}

#[test]
fn where_two_runs_part_is_seen_from_their_checkpoints() {
    let of = |seed| swarm::run(seed, swarm::size(3, 20));
    let mut seeds = (3..40).filter(|seed| of(*seed).events >= CHECKPOINT_EVERY);
    let mut next = || seeds.next().expect("most worlds have so many events");
    let (seed, another) = (next(), next());
    let (first, again, other) = (of(seed), of(seed), of(another));
    assert_eq!(first.checkpoints, again.checkpoints);
    assert_eq!(first.checkpoints.len() as u64, first.events / CHECKPOINT_EVERY);
    assert_ne!(first.checkpoints.first(), other.checkpoints.first());
}

/// The larger a world, the later the last of it gets quiet, and until then all others look around.
#[test]
fn more_nodes_and_namespaces_cost_in_proportion() {
    let events = |nodes: usize| {
        let size = Size { spaces: 10 * nodes, ..swarm::size(nodes, 1) };
        let run = swarm::run(1, size);
        assert_eq!(run.broken, None);
        run.events as f64 / size.spaces as f64 / (run.time as f64 / 3_600_000.0)
    };
    let (few, many) = (events(30), events(300));
    assert!(many < 2.0 * few, "{few} events an hour for each of few namespaces, {many} of many");
}
