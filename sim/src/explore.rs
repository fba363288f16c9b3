//! Every world that events can make of a first one, nearest first.
//!
//! From each world the explorer takes every sequence of decisions that one step of it asks for
//! ([`Choices::enumerating`]). Worlds are recognised by their fingerprints and entered once, so the
//! first way that leads to a broken one is a shortest. Of worlds that were left, only the fingerprint
//! is kept and which step of which world led there: enough to play the way again and tell it.

use crate::choices::Choices;
use crate::digest::Digest;
use crate::oracles::Broken;

/// A world that can be explored.
pub trait World: Clone {
    /// What tells it from all others.
    fn digest(&self) -> Digest;

    /// Lets one event happen, told in words to the story. False if there is none left.
    ///
    /// # Errors
    ///
    /// [`Broken`] if a property does not hold afterwards.
    fn advance(&mut self, choices: &mut Choices, story: &mut Story) -> Result<bool, Broken>;

    /// What this world has come across that an exploration should: one bit each.
    fn marks(&self) -> u64;
}

/// What happened, in words, if anybody listens.
#[derive(Clone, Debug, Default)]
pub struct Story {
    lines: Option<Vec<String>>,
}

impl Story {
    /// A story that is listened to.
    pub const fn told() -> Self {
        Self { lines: Some(Vec::new()) }
    }

    /// A story that nobody listens to: nothing is put into words.
    pub const fn silent() -> Self {
        Self { lines: None }
    }

    /// Adds a line.
    pub fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push(line());
        }
    }

    /// All lines so far.
    pub fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
    }

    /// Takes the lines told since it was last asked.
    pub fn take(&mut self) -> Vec<String> {
        self.lines.as_mut().map(std::mem::take).unwrap_or_default()
    }
}

/// What an exploration came across.
#[derive(Clone, Debug, Default)]
pub struct Exploration {
    /// Different worlds.
    pub states: usize,
    /// Events.
    pub transitions: u64,
    /// Events on the longest shortest way.
    pub depth: usize,
    /// Worlds in which nothing can happen any more.
    pub ends: u64,
    /// What was come across: one bit each.
    pub marks: u64,
    /// Whether it stopped because there were too many worlds.
    pub is_cut: bool,
    /// The first property found broken, and how that came.
    pub broken: Option<(Broken, Vec<String>)>,
}

/// How the world of a number was first reached: the number of another, and which of its steps.
#[derive(Clone, Copy, Debug)]
struct Origin {
    from: u32,
    step: u32,
}

/// Walks through every world that `first` can become, `states_max` at most. `report` hears of the
/// progress after each round of events.
pub fn explore<W: World>(
    first: &W,
    states_max: usize,
    mut report: impl FnMut(&Exploration),
) -> Exploration {
    let mut seen = Seen::new();
    let mut origins = vec![Origin { from: 0, step: 0 }];
    seen.insert(first.digest());
    let mut front = vec![(0_u32, first.clone())];
    let mut exploration = Exploration::default();
    while !front.is_empty() {
        let mut next_front = Vec::new();
        for (number, world) in front {
            let mut choices = Choices::enumerating();
            let mut step = 0;
            loop {
                let mut next = world.clone();
                let result = next.advance(&mut choices, &mut Story::silent());
                exploration.transitions += 1;
                exploration.marks |= next.marks();
                match result {
                    Err(broken) => {
                        let story = tell(first, &origins, number, step);
                        exploration.broken = Some((broken, story));
                        exploration.states = origins.len();
                        return exploration;
                    }
                    Ok(false) => exploration.ends += 1,
                    Ok(true) if seen.insert(next.digest()) => {
                        next_front.push((origins.len() as u32, next));
                        origins.push(Origin { from: number, step });
                    }
                    Ok(true) => {}
                }
                step += 1;
                if !choices.next_sequence() {
                    break;
                }
            }
            if origins.len() >= states_max {
                exploration.is_cut = true;
                exploration.states = origins.len();
                return exploration;
            }
        }
        front = next_front;
        exploration.states = origins.len();
        exploration.depth += usize::from(!front.is_empty());
        report(&exploration);
    }
    exploration
}

/// Plays the way to a step of a world again, to put it into words.
fn tell<W: World>(first: &W, origins: &[Origin], world: u32, step: u32) -> Vec<String> {
    let mut steps = vec![step];
    let mut at = world;
    while at != 0 {
        let origin = origins[at as usize];
        steps.push(origin.step);
        at = origin.from;
    }
    let mut world = first.clone();
    let mut story = Story::told();
    for step in steps.into_iter().rev() {
        // The steps before are taken only to learn which decisions this one is.
        let mut choices = Choices::enumerating();
        for _ in 0..step {
            let _ = world.clone().advance(&mut choices, &mut Story::silent());
            choices.next_sequence();
        }
        let _ = world.advance(&mut choices, &mut story);
    }
    story.into_lines()
}

/// A set of fingerprints: a table with open addressing, for a fingerprint is its own hash.
#[derive(Debug)]
struct Seen {
    slots: Vec<Digest>,
    count: usize,
}

impl Seen {
    fn new() -> Self {
        Self { slots: vec![0; 1 << 16], count: 0 }
    }

    /// Adds a fingerprint. False if it was there.
    fn insert(&mut self, digest: Digest) -> bool {
        // Zero marks an empty slot. A fingerprint that is zero passes for the one beside it.
        let digest = digest.max(1);
        if self.count * 8 > self.slots.len() * 5 {
            let bigger = vec![0; self.slots.len() * 2];
            for digest in std::mem::replace(&mut self.slots, bigger) {
                if digest != 0 {
                    let slot = self.slot(digest);
                    self.slots[slot] = digest;
                }
            }
        }
        let slot = self.slot(digest);
        let is_new = self.slots[slot] == 0;
        self.slots[slot] = digest;
        self.count += usize::from(is_new);
        is_new
    }

    /// Where this fingerprint is, or belongs.
    fn slot(&self, digest: Digest) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = digest as usize & mask;
        while self.slots[slot] != 0 && self.slots[slot] != digest {
            slot = (slot + 1) & mask;
        }
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choices::Site;
    use crate::digest;
    use crate::oracles::Oracle;

    /// Two counters that one step at a time takes up to a limit; forbidden if they meet at one point.
    #[derive(Clone, Hash)]
    struct Counters {
        counts: [u8; 2],
        forbidden: [u8; 2],
    }

    impl World for Counters {
        fn digest(&self) -> Digest {
            digest::of(self)
        }

        fn advance(&mut self, choices: &mut Choices, story: &mut Story) -> Result<bool, Broken> {
            let can: Vec<usize> = (0..2).filter(|i| self.counts[*i] < 9).collect();
            if can.is_empty() {
                return Ok(false);
            }
            let which = can[choices.choose(Site::Event, can.len())];
            self.counts[which] += 1;
            story.tell(|| format!("{which} counts"));
            Oracle::Sound.demand(self.counts != self.forbidden, || "they met".into())?;
            Ok(true)
        }

        fn marks(&self) -> u64 {
            u64::from(self.counts == [9, 9])
        }
    }

    #[test]
    fn every_world_is_entered_once() {
        let first = Counters { counts: [0, 0], forbidden: [99, 99] };
        let exploration = explore(&first, 1_000_000, |_| ());
        assert_eq!((exploration.states, exploration.ends), (100, 1));
        assert_eq!((exploration.marks, exploration.depth), (1, 18));
    }

    #[test]
    fn the_story_of_a_broken_property_is_a_shortest_one() {
        let first = Counters { counts: [0, 0], forbidden: [2, 1] };
        let exploration = explore(&first, 1_000_000, |_| ());
        let (_, story) = exploration.broken.unwrap();
        assert_eq!(story.len(), 3);
    }

    #[test]
    fn a_set_of_fingerprints_knows_what_was_put_in() {
        let mut seen = Seen::new();
        let digests: Vec<Digest> = (0_u64..200_000).map(|n| digest::of(&n)).collect();
        assert!(digests.iter().all(|digest| seen.insert(*digest)));
        assert!(!digests.iter().any(|digest| seen.insert(*digest)));
    }
}
