//! Every decision of a world, taken in one place.
//!
//! A world decides nothing itself: it calls [`Choices::choose`] with the site of the decision and the
//! number of ways it can go. A seed draws, a record repeats, and an enumeration tries one way after
//! the other. So a swarm, a replay and an exhaustive search are one program with another source.

use std::hash::Hasher;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::digest::{Digest, Mixer};

/// A source of decisions, and the fingerprint of all that were taken.
#[derive(Clone, Debug)]
pub struct Choices {
    source: Source,
    mixer: Mixer,
    taken: u64,
}

#[derive(Clone, Debug)]
enum Source {
    Seeded(Box<ChaCha8Rng>),
    /// The first of all ways once the record has ended.
    Recorded {
        record: Vec<u32>,
        at: usize,
    },
    /// The way taken at each decision of this run, and how many there were.
    Enumerating {
        path: Vec<(u32, u32)>,
        at: usize,
    },
}

impl Choices {
    /// Decisions drawn from a seed.
    pub fn seeded(seed: u64) -> Self {
        Self::from(Source::Seeded(Box::new(ChaCha8Rng::seed_from_u64(seed))))
    }

    /// Decisions taken before.
    pub const fn recorded(record: Vec<u32>) -> Self {
        Self::from(Source::Recorded { record, at: 0 })
    }

    /// The first of all sequences of decisions. [`Choices::next_sequence`] makes it the next one.
    pub const fn enumerating() -> Self {
        Self::from(Source::Enumerating { path: Vec::new(), at: 0 })
    }

    const fn from(source: Source) -> Self {
        Self { source, mixer: Mixer::new(), taken: 0 }
    }

    /// Decides between `ways` ways: the answer is below.
    ///
    /// # Panics
    ///
    /// If there is no way to go, or an enumerated program does not repeat itself.
    pub fn choose(&mut self, site: Site, ways: usize) -> usize {
        assert!(ways > 0, "{site:?} has no way to go");
        let ways = ways as u32;
        let way = match &mut self.source {
            Source::Seeded(rng) => ((u64::from(rng.next_u32()) * u64::from(ways)) >> 32) as u32,
            Source::Recorded { record, at } => {
                *at += 1;
                record.get(*at - 1).map_or(0, |way| *way % ways)
            }
            Source::Enumerating { path, at } => {
                *at += 1;
                if path.len() < *at {
                    path.push((0, ways));
                }
                let (way, before) = path[*at - 1];
                assert_eq!(before, ways, "{site:?}: the same decisions lead elsewhere");
                way
            }
        };
        self.taken += 1;
        self.mixer.write_u64(u64::from(way) << 32 | u64::from(ways) << 8 | site as u64);
        way as usize
    }

    /// Decides with this probability, in thousandths.
    pub fn chance(&mut self, site: Site, thousandths: u32) -> bool {
        thousandths > 0 && self.choose(site, 1_000) < thousandths as usize
    }

    /// A number from `least` to `most`.
    pub fn between(&mut self, site: Site, least: u64, most: u64) -> u64 {
        least + self.choose(site, (most - least + 1) as usize) as u64
    }

    /// A number of 128 bits.
    pub fn entropy(&mut self, site: Site) -> u128 {
        (0..4).fold(0, |all, _| all << 32 | self.choose(site, u32::MAX as usize) as u128)
    }

    /// Makes an enumeration begin its next sequence of decisions. False if there was none left.
    ///
    /// # Panics
    ///
    /// If the decisions are not enumerated.
    pub fn next_sequence(&mut self) -> bool {
        let Source::Enumerating { path, at } = &mut self.source else {
            panic!("only an enumeration has a next sequence")
        };
        path.truncate(*at);
        *at = 0;
        while let Some((way, ways)) = path.pop() {
            if way + 1 < ways {
                path.push((way + 1, ways));
                return true;
            }
        }
        false
    }

    /// The ways taken so far in this sequence of an enumeration.
    ///
    /// # Panics
    ///
    /// If the decisions are not enumerated.
    pub fn path(&self) -> Vec<u32> {
        let Source::Enumerating { path, at } = &self.source else {
            panic!("only an enumeration has a path")
        };
        path[..*at].iter().map(|(way, _)| *way).collect()
    }

    /// The fingerprint of all decisions so far.
    pub const fn digest(&self) -> Digest {
        self.mixer.digest()
    }

    /// How many decisions there were.
    pub const fn taken(&self) -> u64 {
        self.taken
    }
}

/// What a decision is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Site {
    /// How a seed's world is made: which faults there are, and how heavy.
    Profile,
    /// Which of the events that can happen does.
    Event,
    /// What becomes of a request.
    Fate,
    /// How long something takes.
    Delay,
    /// When and whether a node crashes, stands still, or has its clock set.
    Node,
    /// What clients ask.
    Workload,
    /// Seeds of nonces.
    Nonce,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_enumeration_takes_every_sequence_once() {
        let mut choices = Choices::enumerating();
        let mut seen = Vec::new();
        loop {
            let first = choices.choose(Site::Event, 3);
            let rest = (0..first).map(|_| choices.choose(Site::Fate, 2)).collect::<Vec<_>>();
            seen.push((first, rest));
            if !choices.next_sequence() {
                break;
            }
        }
        let expected = [
            (0, vec![]),
            (1, vec![0]),
            (1, vec![1]),
            (2, vec![0, 0]),
            (2, vec![0, 1]),
            (2, vec![1, 0]),
            (2, vec![1, 1]),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_seed_draws_the_same_again_and_another_draws_other_ways() {
        let draw = |seed| {
            let mut choices = Choices::seeded(seed);
            let drawn = (0..64).map(|_| choices.choose(Site::Event, 10)).collect::<Vec<_>>();
            assert!(drawn.iter().all(|way| *way < 10));
            (drawn, choices.digest())
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn a_record_is_repeated() {
        let mut choices = Choices::recorded(vec![2, 0, 1]);
        let ways = [0; 4].map(|_| choices.choose(Site::Event, 3));
        assert_eq!(ways, [2, 0, 1, 0]);
    }
}
