//! Seeds, each run twice, on as many processors as there are.
//!
//! The second run is told what the first has decided, and must come to the same fingerprint: if it does
//! not, something decides that is no choice of the world's, and no failure could be replayed. In a large
//! world that would take more memory than all else, so there the seed decides once more.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::choices::Choices;
use crate::oracles::{Broken, Oracle};
use crate::store::Kind;
use crate::story::Story;
use crate::trace::Trace;
use crate::world::profile::Activations;
use crate::world::size::{Pace, Size, is_large};
use crate::world::watch::Counts;
use crate::world::{Run, World};

/// How large the worlds of a band of seeds are. Every second node has a namespace more.
pub const fn size(nodes: usize, seconds: u64) -> Size {
    Size {
        nodes,
        spaces: if nodes < 4 { 1 } else { nodes / 2 },
        nodes_per_space: 3,
        clients_per_space: 4,
        busy: seconds * 1_000,
        store: Kind::Sound,
        pace: Pace::Drawn,
    }
}

/// What a band of seeds came to.
#[derive(Clone, Debug, Default)]
pub struct Band {
    /// Seeds.
    pub seeds: u64,
    /// What happened, and how often.
    pub activations: Activations,
    /// What else was counted.
    pub counts: Counts,
    /// Events, second runs left out.
    pub events: u64,
    /// Requests of clients.
    pub ops: u64,
    /// Milliseconds that nodes lived, by the time of their worlds; second runs counted.
    pub node_ms: u64,
    /// Histories that were watched, one of each namespace.
    pub histories: usize,
    /// Seeds that broke something, and what.
    pub broken: Vec<(u64, Broken)>,
}

/// A band with so many broken seeds is looked at no further.
const BROKEN_MAX: usize = 10;

/// Runs a seed, in silence.
pub fn run(seed: u64, size: Size) -> Run {
    World::new(Choices::seeded(seed), size, Story::silent()).run(size)
}

/// Runs a seed, and keeps what was decided.
pub fn record(seed: u64, size: Size) -> Run {
    World::new(Choices::seeded(seed).recording(), size, Story::silent()).run(size)
}

/// Runs a seed and puts it into words.
pub fn tell(seed: u64, size: Size) -> Run {
    World::new(Choices::seeded(seed), size, Story::told()).run(size)
}

/// Runs seeds on so many threads, and reports the band so far after each.
pub fn all(
    seeds: Range<u64>,
    size: Size,
    threads: usize,
    report: impl FnMut(&Band) + Send,
) -> Band {
    let next = AtomicU64::new(seeds.start);
    let band = Mutex::new((Band::default(), report));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let one = Band::of(seed, size);
            let mut guard = band.lock().unwrap_or_else(PoisonError::into_inner);
            let (all, report) = &mut *guard;
            if all.broken.len() >= BROKEN_MAX {
                return;
            }
            all.add(one);
            report(all);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(work);
        }
    });
    let (mut band, _) = band.into_inner().unwrap_or_else(PoisonError::into_inner);
    band.broken.sort_unstable_by_key(|(seed, _)| *seed);
    band
}

impl Band {
    /// Runs a seed, and then what it decided.
    pub fn of(seed: u64, size: Size) -> Self {
        let (trace, first) = if is_large(size.spaces) {
            (None, run(seed, size))
        } else {
            let (trace, first) = Trace::of(seed, size);
            (Some(trace), first)
        };
        let mut broken = first.broken;
        let mut runs = 1;
        if broken.is_none() {
            let again = |trace: Trace| trace.run(Story::silent());
            let second = trace.map_or_else(|| run(seed, size), again);
            runs = 2;
            let same = Oracle::Sound.demand(first.digest == second.digest, || {
                format!("two runs differ: {:032x} and {:032x}", first.digest, second.digest)
            });
            broken = same.err();
        }
        Self {
            seeds: 1,
            activations: first.activations,
            counts: first.counts,
            events: first.events,
            ops: first.ops,
            node_ms: runs * first.time * size.nodes as u64,
            histories: size.spaces,
            broken: broken.into_iter().map(|broken| (seed, broken)).collect(),
        }
    }

    /// Adds those of another band.
    pub fn add(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.activations.add(&other.activations);
        self.counts.add(&other.counts);
        self.events += other.events;
        self.ops += other.ops;
        self.node_ms += other.node_ms;
        self.histories += other.histories;
        self.broken.extend(other.broken);
    }
}
