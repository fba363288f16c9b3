//! A small world for the explorer: a few actors at one namespace, each with a list of deeds.
//!
//! The actors run the machines of the engine, round by round. What can happen to a round: its requests
//! are performed and answered; a write is lost, and may land at any later moment or never; a write is
//! turned away; the time of the round runs out; the actor crashes before or after. Losses, refusals to
//! serve and crashes are numbered, and the explorer tries all ways to spend them.
//!
//! # What is left out, and why nothing is lost by it
//!
//! - A round is answered in the event that performs the last of its requests. What a machine does with
//!   replies touches nobody else, so a later answer would lead to the same worlds, with one exception: a
//!   crash in between, and a crash leaves the round's writes adrift, free to land at once.
//! - A round is performed in one event where others could not come between its requests in a way that
//!   anybody notices, and where they could, request by request ([`reduction`]).
//! - A deed begins when its first round is performed: beginning earlier would only allow more answers.
//! - A lost write is always adrift. That it happened at once is that it lands at once.
//! - Time is what a machine sees of it: it passes where a machine sleeps or waits in vain. Each deed
//!   begins at zero, for machines know no time but the distance to their deadline.
//! - Of events that nobody else notices only one order is tried, and writes that cannot land any more
//!   are forgotten ([`reduction`]).
//! - Of worlds that differ in which of several actors that are alike is where, one is explored
//!   ([`symmetry`]).
//!
//! The last two can be switched off ([`LeavesOut`]), and tests see that they change nothing.

pub mod memo;
pub mod reduction;
pub mod setup;
pub mod symmetry;
pub mod turn;

use std::hash::Hash;
use std::sync::Arc;

use sana_engine::base::name::NamespaceName;

use sana_engine::format::layout;

use crate::arena::memo::Memo;
use crate::arena::reduction::Outlook;
use crate::arena::symmetry::Places;
use crate::arena::turn::{Actor, Adrift, Fate, Move, Outcome};
use crate::choices::{Choices, Site};
use crate::deed::Deed;
use crate::digest::{self, Digest, Mixer, Shared};
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
    /// Groups of actors that are alike: see [`symmetry`].
    pub alike: Vec<Vec<usize>>,
    /// What need not be tried and is left out.
    pub leaves_out: LeavesOut,
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

/// What an exploration leaves out because it need not be tried.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LeavesOut {
    /// Orders of events that nobody else notices, and landings of writes that cannot land:
    /// [`reduction`].
    pub orders: bool,
    /// Worlds of which the mirror image was entered: [`symmetry`].
    pub images: bool,
}

impl LeavesOut {
    /// Whatever need not be tried.
    pub const ALL: Self = Self { orders: true, images: true };
    /// Nothing: to see that leaving out loses nothing.
    pub const NOTHING: Self = Self { orders: false, images: false };
}

/// A small world, with its mirror images.
#[derive(Clone, Debug)]
pub struct Arena {
    rules: Arc<Rules>,
    /// As it is.
    scene: Scene,
    /// As it would be, had actors that are alike changed places in each other way.
    mirrors: Vec<Scene>,
    left: Mishaps,
    marks: u64,
}

/// What never changes in a world.
#[derive(Debug)]
struct Rules {
    setup: Setup,
    /// The places of actors in each image, the world itself being the first.
    ways: Vec<Places>,
}

/// All that is somewhere in a world, seen in one way.
#[derive(Clone, Debug)]
struct Scene {
    store: Shared<Store>,
    actors: Vec<Shared<Actor>>,
    /// Writes nobody waits for any more, that may land; each once. In the order of their fingerprints
    /// in the world itself, and in an image each in the place of what it is the image of.
    adrift: Vec<Shared<Adrift>>,
    /// Requests nobody will hear of, as long as something of them is adrift; in order, each once.
    orphaned: Vec<OpId>,
    witness: Shared<Witness>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Event {
    Go(usize),
    TimeOut(usize),
    Crash(usize),
    Land(usize),
}

/// Something that happens to an actor, in the world and in all its images.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Happening<'a> {
    Begin,
    Play(&'a [Fate]),
    Part(usize, Fate),
    TimeOut,
    Crash,
    /// This one of the writes adrift lands.
    Land(usize),
}

impl Scene {
    fn new(setup: &Setup, store: Store) -> Self {
        Self {
            store: Shared::new(store),
            actors: setup.scripts.iter().map(|_| Shared::new(Actor::default())).collect(),
            adrift: Vec::new(),
            orphaned: Vec::new(),
            witness: Shared::new(Witness::new(setup.namespace.clone())),
        }
    }

    /// What happens, to whom it happens in this image.
    fn image_of<'a>(&'a self, what: Happening<'a>) -> Move<'a> {
        match what {
            Happening::Begin => Move::Begin,
            Happening::Play(fates) => Move::Play(fates),
            Happening::Part(n, fate) => Move::Part(n, fate),
            Happening::TimeOut => Move::TimeOut,
            Happening::Crash => Move::Crash,
            Happening::Land(n) => Move::Land(&self.adrift[n]),
        }
    }

    /// Adds all that a turn of actor `i` depends on.
    fn mix(&self, i: usize, what: Happening<'_>, mixer: &mut Mixer) {
        let what = self.image_of(what);
        what.hash(mixer);
        self.witness.hash(mixer);
        if what.touches_actor() {
            (i, &self.actors[i]).hash(mixer);
        }
        if what.touches_store() {
            self.store.hash(mixer);
        }
    }

    fn apply(&mut self, i: usize, outcome: &Outcome) {
        let Outcome { actor, store, witness, orphaned, .. } = outcome;
        self.witness = witness.clone();
        if let Some(actor) = actor {
            self.actors[i] = actor.clone();
        }
        if let Some(store) = store {
            self.store = store.clone();
        }
        for op in orphaned {
            if let Err(place) = self.orphaned.binary_search(op) {
                self.orphaned.insert(place, *op);
            }
        }
    }

    fn digest(&self, left: Mishaps, is_image: bool) -> Digest {
        let mut mixer = Mixer::new();
        self.store.hash(&mut mixer);
        self.actors.hash(&mut mixer);
        if is_image && self.adrift.len() > 1 {
            let mut sorted = self.adrift.clone();
            sorted.sort();
            sorted.hash(&mut mixer);
        } else {
            self.adrift.hash(&mut mixer);
        }
        self.orphaned.hash(&mut mixer);
        left.hash(&mut mixer);
        self.witness.hash(&mut mixer);
        mixer.digest()
    }

    /// Forgets requests that nobody will hear of and that cannot take effect any more.
    fn close(&mut self, memo: &mut Memo) {
        if self.orphaned.is_empty() {
            return;
        }
        let adrift = &self.adrift;
        let is_held = |op: &OpId| adrift.iter().any(|write| write.ops.contains(op));
        let (held, over) = self.orphaned.iter().partition::<Vec<OpId>, _>(|op| is_held(op));
        if !over.is_empty() {
            self.orphaned = held;
            self.witness = memo.without(&self.witness, &over);
        }
    }
}

impl Arena {
    /// The world before anything has happened.
    pub fn new(setup: Setup, store: &Store) -> Self {
        let ways = symmetry::ways(&setup.scripts, &setup.alike);
        let scene = Scene::new(&setup, store.clone());
        let mirrors = vec![scene.clone(); ways.len() - 1];
        let left = setup.mishaps;
        Self { rules: Arc::new(Rules { setup, ways }), scene, mirrors, left, marks: 0 }
    }

    fn setup(&self) -> &Setup {
        &self.rules.setup
    }

    fn outlook(&self) -> Outlook {
        Outlook::of(self.setup(), &self.scene.actors, &self.scene.adrift)
    }

    fn events(&self) -> Vec<Event> {
        let mut events = Vec::with_capacity(8);
        if self.setup().leaves_out.orders
            && let Some(i) = self.private()
        {
            self.events_of(i, &mut events);
            return events;
        }
        (0..self.scene.actors.len()).for_each(|i| self.events_of(i, &mut events));
        events.extend((0..self.scene.adrift.len()).map(Event::Land));
        events
    }

    fn events_of(&self, i: usize, events: &mut Vec<Event>) {
        let actor = &self.scene.actors[i];
        let is_running = actor.running.is_some();
        let has_deed = is_running || self.has_deed(i);
        let waits = actor.running.as_ref().is_some_and(|r| !r.round.requests.is_empty());
        if has_deed {
            events.push(Event::Go(i));
        }
        if waits && self.left.losses > 0 {
            events.push(Event::TimeOut(i));
        }
        if self.left.crashes > 0 && (is_running || has_deed && actor.held.is_some()) {
            events.push(Event::Crash(i));
        }
    }

    /// The first actor in a round that nobody notices.
    fn private(&self) -> Option<usize> {
        let Scene { actors, store, adrift, .. } = &self.scene;
        let outlook = self.outlook();
        (0..actors.len()).find(|i| {
            let running = actors[*i].running.as_ref();
            running.is_some_and(|r| reduction::is_private(outlook, *i, r, store, adrift))
        })
    }

    fn has_deed(&self, i: usize) -> bool {
        (self.scene.actors[i].at as usize) < self.setup().scripts[i].len()
    }

    /// Lets something happen to actor `i`, unless it is known what comes of it.
    fn turn(
        &mut self,
        i: usize,
        what: Happening<'_>,
        story: &mut Story,
        memo: &mut Memo,
    ) -> Result<(), Broken> {
        let outcomes = if story.is_told() {
            Arc::from(self.take(i, what, story)?)
        } else {
            let mut mixer = Mixer::new();
            self.images().for_each(|(scene, way)| scene.mix(way[i], what, &mut mixer));
            let key = mixer.digest();
            match memo.turn(key) {
                Some(outcomes) => outcomes,
                None => memo.keep(key, self.take(i, what, story)?),
            }
        };
        self.apply(i, what, &outcomes);
        Ok(())
    }

    /// The world and its mirror images, with who has whose place in each.
    fn images(&self) -> impl Iterator<Item = (&Scene, &Places)> {
        std::iter::once(&self.scene).chain(&self.mirrors).zip(&self.rules.ways)
    }

    /// Takes a turn in every image. Only what happens in the world itself is told.
    fn take(
        &self,
        i: usize,
        what: Happening<'_>,
        story: &mut Story,
    ) -> Result<Vec<Outcome>, Broken> {
        let mut silent = Story::silent();
        let take = |(n, (scene, way)): (usize, (&Scene, &Places))| {
            let story = if n == 0 { &mut *story } else { &mut silent };
            let (i, what) = (way[i], scene.image_of(what));
            let Scene { actors, store, witness, .. } = scene;
            turn::take(self.setup(), i, &actors[i], store, witness, what, story)
        };
        symmetry::agree(self.images().enumerate().map(take).collect())
    }

    fn apply(&mut self, i: usize, what: Happening<'_>, outcomes: &[Outcome]) {
        if let Happening::Land(n) = what {
            self.scenes().for_each(|scene| drop(scene.adrift.remove(n)));
        }
        let rules = Arc::clone(&self.rules);
        for ((scene, way), outcome) in self.scenes().zip(&rules.ways).zip(outcomes) {
            scene.apply(way[i], outcome);
        }
        for n in 0..outcomes[0].adrift.len() {
            if let Err(place) = self.scene.adrift.binary_search(&outcomes[0].adrift[n]) {
                for (scene, outcome) in self.scenes().zip(outcomes) {
                    scene.adrift.insert(place, outcome.adrift[n].clone());
                }
            }
        }
        self.marks |= outcomes[0].marks;
    }

    fn scenes(&mut self) -> impl Iterator<Item = &mut Scene> {
        std::iter::once(&mut self.scene).chain(&mut self.mirrors)
    }

    fn go(
        &mut self,
        i: usize,
        choices: &mut Choices,
        story: &mut Story,
        memo: &mut Memo,
    ) -> Result<(), Broken> {
        if self.scene.actors[i].running.is_none() {
            self.turn(i, Happening::Begin, story, memo)?;
        }
        let actor = self.scene.actors[i].clone();
        let Some(running) = &actor.running else { return Ok(()) };
        let mut noticed = Vec::new();
        if running.round.requests.len() > 1 {
            let (outlook, store) = (self.outlook(), &self.scene.store);
            noticed
                .extend(running.open().filter(|(_, request)| outlook.is_noticed(request, store)));
        }
        if noticed.len() > 1 {
            let (n, request) = noticed[choices.choose(Site::Event, noticed.len())];
            let fate = if request.is_read() { Fate::Performed } else { self.decide(choices) };
            return self.turn(i, Happening::Part(n, fate), story, memo);
        }
        let writes = running.open().filter(|(_, request)| !request.is_read()).count();
        let fates: Vec<Fate> = (0..writes).map(|_| self.decide(choices)).collect();
        self.turn(i, Happening::Play(&fates), story, memo)
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

    /// Forgets writes that cannot land any more, and requests that nobody will hear of and that cannot
    /// take effect any more.
    fn close(&mut self, memo: &mut Memo) {
        if self.setup().leaves_out.orders && !self.scene.adrift.is_empty() {
            let outlook = self.outlook();
            for n in (0..self.scene.adrift.len()).rev() {
                if outlook.is_dead(&self.scene.adrift[n].request, &self.scene.store) {
                    self.scenes().for_each(|scene| drop(scene.adrift.remove(n)));
                }
            }
        }
        self.scenes().for_each(|scene| scene.close(memo));
    }
}

impl World for Arena {
    type Memo = Memo;

    fn digest(&self) -> Digest {
        let most = if self.setup().leaves_out.images { usize::MAX } else { 1 };
        let images = self.images().take(most).enumerate();
        let digests = images.map(|(n, (scene, _))| scene.digest(self.left, n > 0));
        digests.min().expect("a world is its own image")
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
                self.turn(i, Happening::TimeOut, story, memo)?;
            }
            Event::Crash(i) => {
                self.left.crashes -= 1;
                self.turn(i, Happening::Crash, story, memo)?;
            }
            Event::Land(n) => {
                let sender = self.scene.adrift[n].actor;
                self.turn(sender, Happening::Land(n), story, memo)?;
            }
        }
        self.close(memo);
        Ok(true)
    }

    fn marks(&self) -> u64 {
        self.marks
    }

    fn outcome(&self) -> Digest {
        let key = layout::head(&self.setup().namespace);
        let heads = self.images().map(|(scene, _)| digest::of(&scene.store.get(&key)));
        heads.min().expect("a world is its own image")
    }
}
