//! Copies of a world that go on in other ways.
//!
//! A copy shares what it does not change, so a world can be copied at any moment of interest. A seed
//! that has come to something rare is worth more than a fresh one: from there, other decisions are
//! tried, and those of the past are paid once.

use crate::oracles::Broken;
use crate::story::Story;
use crate::world::profile::{Activations, Fault};
use crate::world::size::Size;
use crate::world::{Run, World};

/// What a copy of a world does not share with the original.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Own {
    /// Nodes.
    pub nodes: usize,
    /// Namespaces.
    pub spaces: usize,
    /// Clients.
    pub clients: usize,
    /// Events that are still to happen: these are always copied.
    pub events: usize,
}

/// A world at the moment at which something happened in it for the first time.
#[derive(Debug)]
pub struct Moment {
    /// What happened.
    pub first: Fault,
    /// The world.
    pub world: World,
}

impl World {
    /// A copy in which another seed decides from here on. It is told by nobody.
    #[must_use]
    pub fn fork(&self, seed: u64) -> Self {
        let mut fork = self.clone();
        fork.choices = fork.choices.turned_to(seed);
        fork.story = Story::silent();
        fork
    }

    /// What this world has that the other one, a copy, has not.
    pub fn own_beside(&self, other: &Self) -> Own {
        Own {
            nodes: self.nodes.own_beside(&other.nodes),
            spaces: self.spaces.own_beside(&other.spaces),
            clients: self.clients.own_beside(&other.clients),
            events: self.events.len(),
        }
    }

    /// Events that happened so far, and requests of clients.
    pub fn happened(&self) -> (u64, u64) {
        (self.happened, self.ops.into())
    }

    /// Lets things happen up to this time of the world, as long as clients ask.
    ///
    /// # Errors
    ///
    /// [`Broken`] if a property does not hold.
    pub fn pass(&mut self, time: u64) -> Result<(), Broken> {
        self.live_until(time)
    }

    /// Lets everything happen, and keeps the world at the moments at which one of these things had
    /// happened for the first time.
    pub fn run_and_keep(mut self, size: Size, rare: &[Fault]) -> (Run, Vec<Moment>) {
        let mut moments = Vec::new();
        let mut before = self.activations;
        while self.now < size.busy {
            match self.happen() {
                Ok(true) => {}
                Ok(false) => break,
                Err(broken) => return (self.into_run(Some(broken)), moments),
            }
            if self.activations != before {
                let is_first = |fault: &Fault| is_first(*fault, &before, &self.activations);
                if let Some(first) = rare.iter().copied().find(is_first) {
                    moments.push(Moment { first, world: self.clone() });
                }
                before = self.activations;
            }
        }
        let broken = self.end().err();
        (self.into_run(broken), moments)
    }
}

/// Whether something has happened for the first time.
const fn is_first(fault: Fault, before: &Activations, after: &Activations) -> bool {
    before.of(fault) == 0 && after.of(fault) > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choices::Choices;
    use crate::swarm;
    use crate::trace::Trace;

    fn world(seed: u64, size: Size) -> World {
        World::new(Choices::seeded(seed).recording(), size, Story::silent())
    }

    #[test]
    fn a_copy_goes_on_exactly_like_the_original_and_a_fork_elsewhere() {
        let size = swarm::size(8, 20);
        let mut first = world(5, size);
        first.pass(5_000).unwrap();
        let (mut copy, mut fork) = (first.clone(), first.fork(77));
        assert_eq!(copy.digest(), first.digest());
        for time in [5_500, 7_000, 10_000] {
            first.pass(time).unwrap();
            copy.pass(time).unwrap();
            fork.pass(time).unwrap();
            assert_eq!(copy.digest(), first.digest(), "at {time}");
            assert_ne!(fork.digest(), first.digest(), "at {time}");
        }
        let (first, copy) = (first.run(size), copy.run(size));
        assert_eq!((first.digest, first.events, first.broken), (copy.digest, copy.events, None));
        assert_eq!(first.checkpoints, copy.checkpoints);
    }

    #[test]
    fn one_other_decision_makes_another_world() {
        let size = swarm::size(3, 5);
        let of = |seed| {
            let mut world = world(seed, size);
            world.pass(3_000).unwrap();
            world.digest()
        };
        assert_eq!(of(9), of(9));
        assert_ne!(of(9), of(10));
    }

    #[test]
    fn a_fork_shares_what_it_does_not_change() {
        let size = swarm::size(400, 10);
        let mut first = world(3, size);
        first.pass(2_000).unwrap();
        let mut fork = first.fork(1);
        let Own { nodes, spaces, clients, .. } = fork.own_beside(&first);
        assert_eq!((nodes, spaces, clients), (0, 0, 0));
        let mut events = 0;
        while events < 100 && fork.happen().unwrap() {
            events += 1;
        }
        // An event is about one node, and about one namespace and its nodes if a head changes.
        let Own { nodes, spaces, clients, .. } = fork.own_beside(&first);
        assert!(nodes <= 3 * events && spaces <= events && clients <= 4 * events);
        assert!(nodes < 300 && spaces < 150, "{nodes} nodes, {spaces} namespaces");
    }

    #[test]
    fn what_a_fork_comes_to_is_a_trace_that_runs_again() {
        let size = swarm::size(3, 20);
        let third = |seed| {
            let (_, moments) = world(seed, size).run_and_keep(size, &Fault::ALL);
            moments.into_iter().nth(2).map(|moment| (seed, moment))
        };
        let (seed, moment) = (0..100).find_map(third).expect("something happens somewhere");
        let run = moment.world.fork(99).run(size);
        let again = Trace { size, seed, ways: run.ways.clone() }.run(Story::silent());
        assert_eq!((again.digest, again.events), (run.digest, run.events));
    }
}
