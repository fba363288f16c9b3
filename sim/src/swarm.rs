//! Seeds, run one after the other, each twice.
//!
//! A seed's second run must come to the same fingerprint: if it does not, something decides that is
//! no choice of the world's, and no failure could be replayed.

use crate::explore::Story;
use crate::oracles::{Broken, Oracle};
use crate::world::profile::Activations;
use crate::world::{Run, Size, World};

/// How large the worlds of a band of seeds are.
pub const fn size(nodes: usize, seconds: u64) -> Size {
    Size {
        nodes,
        spaces: if nodes < 4 { 1 } else { nodes / 2 },
        nodes_per_space: 3,
        clients_per_space: 4,
        busy: seconds * 1_000,
    }
}

/// What a band of seeds came to.
#[derive(Clone, Debug, Default)]
pub struct Band {
    /// Seeds.
    pub seeds: u64,
    /// What happened, and how often.
    pub activations: Activations,
    /// Events, second runs left out.
    pub events: u64,
    /// Requests of clients.
    pub ops: u64,
    /// Milliseconds that nodes lived, by the time of their worlds; second runs counted.
    pub node_ms: u64,
    /// Histories with too many readings to follow.
    pub lost: usize,
}

/// Runs a seed, in silence.
pub fn run(seed: u64, size: Size) -> Run {
    World::new(seed, size, false, Story::silent()).run(size)
}

/// Runs a seed and puts it into words.
pub fn tell(seed: u64, size: Size) -> Run {
    World::new(seed, size, false, Story::told()).run(size)
}

impl Band {
    /// Runs a seed twice and adds it.
    ///
    /// # Errors
    ///
    /// [`Broken`] if a property was broken, or the runs differ.
    pub fn add(&mut self, seed: u64, size: Size) -> Result<(), Broken> {
        let first = run(seed, size);
        self.seeds += 1;
        self.activations.add(&first.activations);
        self.events += first.events;
        self.ops += first.ops;
        self.lost += first.lost;
        self.node_ms += 2 * first.time * size.nodes as u64;
        if let Some(broken) = first.broken {
            return Err(broken);
        }
        let second = run(seed, size);
        Oracle::Sound.demand(first.digest == second.digest, || {
            format!("two runs differ: {:032x} and {:032x}", first.digest, second.digest)
        })
    }
}
