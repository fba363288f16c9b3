//! Planted bugs: each is switched on and hunted, first through small explorations, then by seeds.
//!
//! A bug that nobody finds says that an oracle, a fault or an exploration is missing.

use sana_engine::base::planted::{self, Bug};

use crate::arena::setup;
use crate::explore::explore;
use crate::oracles::Oracle;
use crate::swarm;

/// How hard a bug is hunted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Effort {
    /// Worlds of each exploration.
    pub states: usize,
    /// Seeds.
    pub seeds: u64,
}

/// How a bug was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Catch {
    /// By which exploration, or by which seed.
    pub by: String,
    /// Which property it broke.
    pub oracle: Oracle,
    /// Worlds that were visited, or seeds that were run, before it was found.
    pub tried: u64,
    /// What it took to show it: steps of the shortest story; of a seed, nothing.
    pub steps: Option<usize>,
}

/// How long clients of a hunting seed keep asking, in seconds.
const SECONDS: u64 = 30;

/// Hunts a bug in this process.
pub fn hunt(bug: Bug, effort: Effort) -> Option<Catch> {
    planted::choose(Some(bug));
    let found = hunt_chosen(effort);
    planted::choose(None);
    found
}

fn hunt_chosen(effort: Effort) -> Option<Catch> {
    setup::NAMES.into_iter().find_map(|name| search(name, effort)).or_else(|| run_seeds(effort))
}

fn search(name: &str, effort: Effort) -> Option<Catch> {
    let setup = setup::named(name, true)?;
    let exploration = explore(&setup.begin(), effort.states, |_| ());
    let (broken, story) = exploration.broken?;
    Some(Catch {
        by: format!("explore {name}"),
        oracle: broken.oracle,
        tried: exploration.states as u64,
        steps: Some(story.len()),
    })
}

fn run_seeds(effort: Effort) -> Option<Catch> {
    let size = swarm::size(3, SECONDS);
    (0..effort.seeds).find_map(|seed| {
        let broken = swarm::run(seed, size).broken?;
        let by = format!("seed {seed}");
        Some(Catch { by, oracle: broken.oracle, tried: seed + 1, steps: None })
    })
}
