//! The smallest run that fails: other seeds that fail alike are shrunk as well, and the best is kept.
//!
//! Where one run ends in a dead end, another does not; and who begins with a small world has little to
//! leave out. So the same failure is looked for in smaller worlds first.

use std::ops::Range;

use sana_engine::base::planted::{self, Bug};

use crate::oracles::Oracle;
use crate::shrink::{self, Shrunk};
use crate::swarm;
use crate::trace::Trace;
use crate::world::size::Size;

/// How hard the smallest run is looked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Effort {
    /// Seeds of each small world.
    pub seeds: u64,
    /// Candidates of each shrinking.
    pub runs: u64,
    /// Failing runs that are shrunk, at most.
    pub alike: usize,
}

impl Effort {
    /// What a band spends on its first broken seed: some seconds.
    pub const SOME: Self = Self { seeds: 60, runs: 1_500, alike: 3 };
}

/// Nodes, clients and seconds of small worlds.
const SMALL: [(usize, usize, u64); 5] = [(1, 1, 5), (1, 2, 10), (2, 2, 10), (2, 3, 20), (3, 4, 20)];

/// Shrinks a failing run, and runs of smaller worlds that break the same. `report` hears of each
/// success. `None` if it does not fail when it is run again.
pub fn like(
    trace: Trace,
    oracle: Oracle,
    effort: Effort,
    mut report: impl FnMut(&Trace, u64),
) -> Option<Shrunk> {
    let (before, size) = (trace.ways.len(), trace.size);
    let mut traces = failing(|one| one == oracle, size, 0..effort.seeds, effort.alike);
    traces.push((trace, oracle));
    let (mut best, mut spent) = (None::<Shrunk>, 0);
    for (trace, oracle) in traces {
        let shrunk = shrink::shrink(trace, oracle, effort.runs, |trace, runs| {
            report(trace, spent + runs);
        });
        let Some(shrunk) = shrunk else { continue };
        spent += shrunk.runs;
        let is_better = |best: &Shrunk| shrink::weight(&shrunk.trace) < shrink::weight(&best.trace);
        if best.as_ref().is_none_or(is_better) {
            best = Some(shrunk);
        }
        // Few enough to be read: the large one may be left as it is.
        if best.as_ref().is_some_and(|best| best.trace.ways.len() <= ENOUGH) {
            break;
        }
    }
    best.map(|best| Shrunk { before, runs: spent, ..best })
}

/// A run of so few decisions is shrunk no further.
const ENOUGH: usize = 12;

/// The smallest run found in which a planted bug shows, whatever it breaks. `None` if no seed shows it.
pub fn of_bug(bug: Bug, effort: Effort) -> Option<Shrunk> {
    planted::choose(Some(bug));
    let traces = failing(|_| true, swarm::size(3, 30), 0..effort.seeds, effort.alike);
    let shrunk = traces
        .into_iter()
        .filter_map(|(trace, oracle)| shrink::shrink(trace, oracle, effort.runs, |_, _| ()));
    let best = shrunk.min_by_key(|shrunk| shrink::weight(&shrunk.trace));
    planted::choose(None);
    best
}

/// Runs of small worlds, and at last of this size, that break what is to be broken; no more than so
/// many.
fn failing(
    is_wanted: impl Fn(Oracle) -> bool,
    size: Size,
    seeds: Range<u64>,
    most: usize,
) -> Vec<(Trace, Oracle)> {
    let small = SMALL.into_iter().map(|(nodes, clients_per_space, seconds)| Size {
        clients_per_space,
        store: size.store,
        ..swarm::size(nodes, seconds)
    });
    let is_smaller = |one: &Size| one.nodes <= size.nodes && one.busy <= size.busy;
    let worlds =
        small.filter(is_smaller).flat_map(|size| seeds.clone().map(move |seed| (size, seed)));
    let found = worlds.filter_map(|(size, seed)| {
        let oracle = swarm::run(seed, size).broken?.oracle;
        is_wanted(oracle).then(|| (Trace::of(seed, size).0, oracle))
    });
    found.take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bug_has_a_run_that_can_be_read() {
        let effort = Effort { seeds: 40, runs: 800, alike: 2 };
        let shrunk = of_bug(Bug::LostIsSuccess, effort).expect("a seed shows it");
        assert!(shrunk.trace.ways.len() <= 15, "{} decisions", shrunk.trace.ways.len());
    }
}
