//! Every decision of a world, taken in one place.
//!
//! A world decides nothing itself: it says where it is ([`Choices::enter`]) and calls
//! [`Choices::choose`] with the site of the decision and the number of ways it can go. A seed draws, a
//! trace tells, bytes of a fuzzer draw as well, and an enumeration tries one way after the other. So a
//! swarm, a replay, a shrinker, a fuzzer and an exhaustive search are one program with another source.
//!
//! # Places
//!
//! A decision has a *place*: a scope that names the client's turn or the node's request that it belongs
//! to, its site, and which of the scope's decisions it is. So a trace can leave one decision out and
//! mean the same with all others; in a plain list every later one would move.
//!
//! Way 0 is always the calm one: nothing goes wrong, nothing is asked, the first of all values. A trace
//! holds only decisions that went another way.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::digest::{self, Digest, Mixer};
use crate::twice;

/// Of a run in which a mistake is planted that makes it unsteady, so many nonces are steady.
const STEADY_NONCES: u64 = 200;

/// Decisions that are not the calm ones, by their places.
pub type Ways = BTreeMap<Place, u32>;

/// A source of decisions, and the fingerprint of all that were taken.
#[derive(Clone, Debug)]
pub struct Choices {
    source: Source,
    scope: Scope,
    /// Decisions taken in this scope.
    nth: u16,
    /// What was decided otherwise than calmly, if somebody wants to know.
    record: Option<Record>,
    /// What nonces are made of, beside their number.
    salt: u64,
    nonces: u64,
    mixer: Mixer,
    taken: u64,
}

/// What was decided, in pieces that forks of a world share.
#[derive(Clone, Debug, Default)]
struct Record {
    past: Vec<Arc<[(Place, u32)]>>,
    new: Vec<(Place, u32)>,
}

/// So long is the piece of a record that is no one else's.
const PIECE: usize = 1_024;

impl Record {
    fn push(&mut self, place: Place, way: u32) {
        self.new.push((place, way));
        if self.new.len() == PIECE {
            self.past.push(std::mem::take(&mut self.new).into());
        }
    }

    fn into_ways(self) -> Ways {
        let past = self.past.iter().flat_map(|piece| piece.iter());
        let mut ways = Ways::new();
        for (place, way) in past.chain(&self.new) {
            let before = ways.insert(*place, *way);
            assert!(before.is_none(), "two decisions are taken at {place:?}");
        }
        ways
    }
}

#[derive(Clone, Debug)]
enum Source {
    Seeded(Box<ChaCha8Rng>),
    /// Calm wherever nothing is told.
    Told(Arc<Ways>),
    /// Calm once they have ended.
    Bytes {
        bytes: Arc<[u8]>,
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
        Self::from(Source::Seeded(Box::new(ChaCha8Rng::seed_from_u64(seed))), seed)
    }

    /// Decisions taken before. Nonces are those of this seed.
    pub fn told(ways: Ways, seed: u64) -> Self {
        Self::from(Source::Told(Arc::new(ways)), seed)
    }

    /// Decisions drawn from bytes, two for each.
    pub fn bytes(bytes: &[u8]) -> Self {
        Self::from(Source::Bytes { bytes: bytes.into(), at: 0 }, 0)
    }

    /// The first of all sequences of decisions. [`Choices::next_sequence`] makes it the next one.
    pub const fn enumerating() -> Self {
        Self::from(Source::Enumerating { path: Vec::new(), at: 0 }, 0)
    }

    const fn from(source: Source, salt: u64) -> Self {
        Self {
            source,
            scope: Scope::World,
            nth: 0,
            record: None,
            salt,
            nonces: 0,
            mixer: Mixer::new(),
            taken: 0,
        }
    }

    /// The same, and what is decided is kept for [`Choices::into_record`].
    #[must_use]
    pub fn recording(self) -> Self {
        Self { record: Some(Record::default()), ..self }
    }

    /// The same decisions so far; from here on another seed draws. Nonces stay those of the first one,
    /// so what is recorded is one run.
    #[must_use]
    pub fn turned_to(mut self, seed: u64) -> Self {
        self.source = Source::Seeded(Box::new(ChaCha8Rng::seed_from_u64(seed)));
        self
    }

    /// What was decided otherwise than calmly.
    pub fn into_record(self) -> Ways {
        self.record.unwrap_or_default().into_ways()
    }

    /// What follows is decided here.
    pub const fn enter(&mut self, scope: Scope) {
        self.scope = scope;
        self.nth = 0;
    }

    /// Decides between `ways` ways: the answer is below. All are as likely.
    ///
    /// # Panics
    ///
    /// If there is no way to go, an enumerated program does not repeat itself, or a place is recorded
    /// twice.
    pub fn choose(&mut self, site: Site, ways: usize) -> usize {
        assert!(ways > 0, "{site:?} has no way to go");
        self.decide(site, ways as u32, |drawn| {
            ((u64::from(drawn) * u64::from(ways as u32)) >> 32) as u32
        })
    }

    /// Decides between ways by their weights. Whoever is told takes the way he is told, whatever it
    /// weighs.
    ///
    /// # Panics
    ///
    /// If nothing has a weight, an enumerated program does not repeat itself, or a place is recorded
    /// twice.
    pub fn weigh(&mut self, site: Site, weights: &[u32]) -> usize {
        let all: u32 = weights.iter().sum();
        assert!(all > 0, "{site:?} has no way to go");
        self.decide(site, weights.len() as u32, |drawn| {
            let mut left = ((u64::from(drawn) * u64::from(all)) >> 32) as u32;
            let mut way = 0;
            while left >= weights[way] {
                left -= weights[way];
                way += 1;
            }
            way as u32
        })
    }

    /// Takes the next decision. `of` says which way a drawn number means.
    fn decide(&mut self, site: Site, ways: u32, of: impl Fn(u32) -> u32) -> usize {
        let nth = self.nth;
        self.nth += 1;
        let place = Place { scope: self.scope, site, nth };
        let way = match &mut self.source {
            Source::Seeded(rng) => of(rng.next_u32()),
            Source::Told(told) => told.get(&place).map_or(0, |way| *way % ways),
            Source::Bytes { bytes, at } => {
                let drawn = bytes.get(*at..*at + 2);
                *at += 2;
                drawn.map_or(0, |b| of(u32::from_be_bytes([b[0], b[1], 0, 0])))
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
        self.mixer.mix(u128::from(way) << 64 | u128::from(ways) << 8 | site as u128);
        if let Some(record) = &mut self.record
            && way > 0
        {
            record.push(place, way);
        }
        way as usize
    }

    /// Whether it happens, with this probability in thousandths. Calm is that it does not.
    pub fn chance(&mut self, site: Site, thousandths: u32) -> bool {
        self.weigh(site, &[1_000 - thousandths, thousandths]) == 1
    }

    /// A number from `least` to `most`.
    pub fn between(&mut self, site: Site, least: u64, most: u64) -> u64 {
        least + self.choose(site, (most - least + 1) as usize) as u64
    }

    /// A number of 128 bits that was not given before. It decides nothing, so it is no decision.
    pub fn nonce(&mut self) -> u128 {
        self.nonces += 1;
        let unsteady = if self.nonces > STEADY_NONCES { twice::unsteady() } else { 0 };
        digest::of(&(self.salt ^ unsteady, self.nonces))
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

    /// The fingerprint of where it stands: all decisions so far, and how the next one is named.
    pub fn position(&self) -> Digest {
        digest::of(&(self.digest(), self.taken, self.scope, self.nth, self.nonces))
    }

    /// How many decisions there were.
    pub const fn taken(&self) -> u64 {
        self.taken
    }
}

/// Where a decision is taken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Place {
    /// What it belongs to.
    pub scope: Scope,
    /// What it is about.
    pub site: Site,
    /// Which decision of the scope it is.
    pub nth: u16,
}

/// What a decision belongs to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Scope {
    /// The world as a whole.
    World,
    /// A namespace.
    Space(u32),
    /// A node.
    Node(u32),
    /// What a client asks, the nth time.
    Turn(u32, u32),
    /// How long a client thinks before it asks the nth time.
    Thought(u32, u32),
    /// A node's nth write about a namespace.
    Write(u32, u32, u32),
    /// A node's nth read about a namespace.
    Read(u32, u32, u32),
    /// What goes wrong for a while, the nth time.
    Weather(u32),
    /// The fleet as a whole.
    Fleet,
    /// What a node is in the fleet.
    Member(u32),
    /// A node's turn in a rolling restart.
    Rolled(u32),
    /// Whether a node is still there once the faults have stopped.
    Survivor(u32),
    /// The nth reply to a node about a namespace.
    Reply(u32, u32, u32),
    /// A node's nth look at the head of a namespace that nobody asks it for.
    Watch(u32, u32, u32),
    /// What the faults fall on.
    Aim,
    /// A node's nth operation of a namespace that computes for long as it begins.
    Begin(u32, u32, u32),
    /// A node's nth step of an operation of a namespace that computes for long.
    Compute(u32, u32, u32),
}

/// What a decision is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
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
    /// What goes wrong for a while: to whom, and for how long.
    Weather,
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
    fn a_record_tells_what_was_drawn() {
        let run = |mut choices: Choices| {
            let ways: Vec<usize> = (0..20)
                .flat_map(|turn| {
                    choices.enter(Scope::Turn(1, turn));
                    let first = choices.choose(Site::Event, 3);
                    [
                        first,
                        choices.weigh(Site::Fate, &[500, 0, 500]),
                        choices.chance(Site::Node, 0).into(),
                    ]
                })
                .collect();
            (ways, choices.digest(), choices.into_record())
        };
        let drawn = run(Choices::seeded(7).recording());
        assert!((1..40).contains(&drawn.2.len()) && !drawn.0.contains(&3));
        assert_eq!(run(Choices::told(drawn.2.clone(), 7).recording()), drawn);
        let calm = run(Choices::told(Ways::new(), 7));
        assert_eq!(calm.0, [0; 60]);
    }

    #[test]
    fn a_record_of_many_pieces_is_whole_and_a_turned_one_keeps_its_past() {
        let draw = |choices: &mut Choices, turns: std::ops::Range<u32>| {
            for turn in turns {
                choices.enter(Scope::Turn(0, turn));
                choices.choose(Site::Event, 1_000);
            }
        };
        let mut first = Choices::seeded(1).recording();
        draw(&mut first, 0..3_000);
        let mut other = first.clone().turned_to(2);
        draw(&mut first, 3_000..6_000);
        draw(&mut other, 3_000..6_000);
        assert_ne!(first.position(), other.position());
        let mut told = Choices::told(other.clone().into_record(), 1);
        draw(&mut told, 0..6_000);
        assert_eq!(told.position(), other.position());
    }

    #[test]
    fn who_leaves_a_decision_out_means_the_same_with_the_others() {
        let turns = |choices: &mut Choices| -> [Vec<usize>; 2] {
            [0, 1].map(|turn| {
                choices.enter(Scope::Turn(0, turn));
                let ways = choices.choose(Site::Event, 3);
                (0..ways).map(|_| choices.choose(Site::Fate, 9)).collect::<Vec<_>>()
            })
        };
        let place = |turn, site, nth| Place { scope: Scope::Turn(0, turn), site, nth };
        let second = Ways::from([(place(1, Site::Event, 0), 1), (place(1, Site::Fate, 1), 5)]);
        let mut both = second.clone();
        both.insert(place(0, Site::Event, 0), 2);
        assert_eq!(turns(&mut Choices::told(both, 0)), [vec![0, 0], vec![5]]);
        assert_eq!(turns(&mut Choices::told(second, 0)), [vec![], vec![5]]);
    }

    #[test]
    fn bytes_decide_until_they_end() {
        let mut choices = Choices::bytes(&[255, 255, 0, 0, 128, 0]);
        let ways = [0; 5].map(|_| choices.choose(Site::Event, 4));
        assert_eq!(ways, [3, 0, 2, 0, 0]);
        assert_eq!(choices.weigh(Site::Workload, &[0, 1]), 0, "calm, whatever it weighs");
    }

    #[test]
    fn what_has_no_weight_is_never_drawn() {
        let mut choices = Choices::seeded(3);
        let drawn: Vec<usize> =
            (0..500).map(|_| choices.weigh(Site::Fate, &[1, 0, 2, 0])).collect();
        assert!(drawn.iter().all(|way| [0, 2].contains(way)) && drawn.contains(&0));
    }
}
