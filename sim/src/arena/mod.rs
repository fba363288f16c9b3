//! A small world for the explorer: a few actors at one namespace, each with a list of deeds.
//!
//! The actors run the machines of the engine, round by round. What can happen to a round: its requests
//! are performed and answered; a write is lost, and may land at any later moment or never; a write is
//! turned away; the time of the round runs out; the actor crashes before or after. Losses, refusals to
//! serve and crashes are numbered, and the explorer tries all ways to spend them.
//!
//! # What is left out, and why nothing is lost by it
//!
//! - A round is performed and answered in one event. What a machine does with replies touches nobody
//!   else, so a later answer would lead to the same worlds, with one exception: a crash in between,
//!   and a crash leaves the round's writes adrift, free to land at once.
//! - A deed begins when its first round is performed: beginning earlier would only allow more answers.
//! - A lost write is always adrift. That it happened at once is that it lands at once.
//! - Time is what a machine sees of it: it passes where a machine sleeps or waits in vain. Each deed
//!   begins at zero, for machines know no time but the distance to their deadline.

pub mod memo;
pub mod setup;
pub mod turn;

use std::hash::Hash;
use std::sync::Arc;

use sana_engine::base::name::NamespaceName;

use crate::arena::memo::Memo;
use crate::arena::turn::{Actor, Adrift, Fate, Move, Outcome};
use crate::choices::{Choices, Site};
use crate::deed::Deed;
use crate::digest::{Digest, Mixer, Shared};
use crate::explore::World;
use crate::marks::Mark;
use crate::oracles::Broken;
use crate::oracles::linearizability::OpId;
use crate::oracles::witness::Witness;
use crate::store::Store;
use crate::story::Story;

/// What an exploration is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setup {
    /// What it is called.
    pub name: &'static str,
    /// The namespace.
    pub namespace: NamespaceName,
    /// The deeds of each actor, in order.
    pub scripts: Vec<Vec<Deed>>,
    /// Mishaps, at most.
    pub mishaps: Mishaps,
    /// What must have been come across.
    pub sometimes: Vec<Mark>,
}

/// How much goes wrong, in all.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Mishaps {
    /// Writes lost and rounds run out of time.
    pub losses: u8,
    /// Writes turned away.
    pub throttles: u8,
    /// Actors crashed.
    pub crashes: u8,
}

/// A small world.
#[derive(Clone, Debug)]
pub struct Arena {
    setup: Arc<Setup>,
    store: Shared<Store>,
    actors: Vec<Shared<Actor>>,
    /// Writes nobody waits for any more, that may land; in the order of their fingerprints, each once.
    adrift: Vec<Shared<Adrift>>,
    /// Requests nobody will hear of, as long as something of them is adrift; in order, each once.
    orphaned: Vec<OpId>,
    left: Mishaps,
    witness: Shared<Witness>,
    marks: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Event {
    Go(usize),
    TimeOut(usize),
    Crash(usize),
    Land(usize),
}

impl Arena {
    /// The world before anything has happened.
    pub fn new(setup: Setup, store: Store) -> Self {
        let actors = setup.scripts.iter().map(|_| Shared::new(Actor::default())).collect();
        Self {
            store: Shared::new(store),
            actors,
            adrift: Vec::new(),
            orphaned: Vec::new(),
            left: setup.mishaps,
            witness: Shared::new(Witness::new(setup.namespace.clone())),
            marks: 0,
            setup: Arc::new(setup),
        }
    }

    fn events(&self) -> Vec<Event> {
        let mut events = Vec::with_capacity(8);
        for (i, actor) in self.actors.iter().enumerate() {
            let waits = actor.running.as_ref().is_some_and(|r| !r.round.requests.is_empty());
            if actor.running.is_some() || self.has_deed(i) {
                events.push(Event::Go(i));
            }
            if waits && self.left.losses > 0 {
                events.push(Event::TimeOut(i));
            }
            if self.left.crashes > 0 && (actor.running.is_some() || actor.held.is_some()) {
                events.push(Event::Crash(i));
            }
        }
        events.extend((0..self.adrift.len()).map(Event::Land));
        events
    }

    fn has_deed(&self, i: usize) -> bool {
        (self.actors[i].at as usize) < self.setup.scripts[i].len()
    }

    /// Lets something happen to actor `i`, unless it is known what comes of it.
    fn turn(
        &mut self,
        i: usize,
        what: Move<'_>,
        story: &mut Story,
        memo: &mut Memo,
    ) -> Result<(), Broken> {
        let (actor, store, witness) = (&self.actors[i], &self.store, &self.witness);
        let take =
            |story: &mut Story| turn::take(&self.setup, i, actor, store, witness, what, story);
        let outcome = if story.is_told() {
            Arc::new(take(story)?)
        } else {
            let mut mixer = Mixer::new();
            (i, actor, witness, what).hash(&mut mixer);
            if what.touches_store() {
                store.hash(&mut mixer);
            }
            let key = mixer.digest();
            match memo.turn(key) {
                Some(outcome) => outcome,
                None => memo.keep(key, take(story)?),
            }
        };
        self.apply(i, &outcome);
        Ok(())
    }

    fn apply(&mut self, i: usize, outcome: &Outcome) {
        let Outcome { actor, store, witness, adrift, orphaned, marks } = outcome;
        self.actors[i] = actor.clone();
        self.witness = witness.clone();
        if let Some(store) = store {
            self.store = store.clone();
        }
        adrift.iter().for_each(|write| add(&mut self.adrift, write.clone()));
        orphaned.iter().for_each(|op| add(&mut self.orphaned, *op));
        self.marks |= marks;
    }

    fn go(
        &mut self,
        i: usize,
        choices: &mut Choices,
        story: &mut Story,
        memo: &mut Memo,
    ) -> Result<(), Broken> {
        if self.actors[i].running.is_none() {
            self.turn(i, Move::Begin, story, memo)?;
        }
        let actor = self.actors[i].clone();
        let Some(running) = &actor.running else { return Ok(()) };
        let writes = running.round.requests.iter().filter(|request| !request.is_read()).count();
        let fates: Vec<Fate> = (0..writes).map(|_| self.decide(choices)).collect();
        self.turn(i, Move::Play(&fates), story, memo)
    }

    /// What becomes of a write.
    fn decide(&mut self, choices: &mut Choices) -> Fate {
        let (losses, throttles) = (self.left.losses > 0, self.left.throttles > 0);
        let ways = 1 + usize::from(losses) + usize::from(throttles);
        match choices.choose(Site::Fate, ways) {
            0 => Fate::Performed,
            1 if losses => {
                self.left.losses -= 1;
                Fate::Lost
            }
            _ => {
                self.left.throttles -= 1;
                Fate::Throttled
            }
        }
    }

    fn land(&mut self, n: usize, story: &mut Story, memo: &mut Memo) -> Result<(), Broken> {
        let adrift = self.adrift.remove(n);
        self.turn(adrift.actor, Move::Land(&adrift), story, memo)
    }

    /// Forgets requests that nobody will hear of and that cannot take effect any more.
    fn close(&mut self, memo: &mut Memo) {
        let adrift = &self.adrift;
        let is_held = |op: &OpId| adrift.iter().any(|write| write.ops.contains(op));
        let (held, over) = self.orphaned.iter().partition::<Vec<OpId>, _>(|op| is_held(op));
        if !over.is_empty() {
            self.orphaned = held;
            self.witness = memo.without(&self.witness, &over);
        }
    }
}

/// Adds something to a list in order in which everything is once.
fn add<T: Ord>(all: &mut Vec<T>, one: T) {
    if let Err(place) = all.binary_search(&one) {
        all.insert(place, one);
    }
}

impl World for Arena {
    type Memo = Memo;

    fn digest(&self) -> Digest {
        let mut mixer = Mixer::new();
        self.store.hash(&mut mixer);
        self.actors.hash(&mut mixer);
        self.adrift.hash(&mut mixer);
        self.orphaned.hash(&mut mixer);
        self.left.hash(&mut mixer);
        self.witness.hash(&mut mixer);
        mixer.digest()
    }

    fn advance(
        &mut self,
        choices: &mut Choices,
        story: &mut Story,
        memo: &mut Memo,
    ) -> Result<bool, Broken> {
        self.marks = 0;
        let events = self.events();
        if events.is_empty() {
            return Ok(false);
        }
        match events[choices.choose(Site::Event, events.len())] {
            Event::Go(i) => self.go(i, choices, story, memo)?,
            Event::TimeOut(i) => {
                self.left.losses -= 1;
                self.turn(i, Move::TimeOut, story, memo)?;
            }
            Event::Crash(i) => {
                self.left.crashes -= 1;
                self.turn(i, Move::Crash, story, memo)?;
            }
            Event::Land(n) => self.land(n, story, memo)?,
        }
        self.close(memo);
        Ok(true)
    }

    fn marks(&self) -> u64 {
        self.marks
    }
}
