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

pub mod setup;

use std::collections::BTreeSet;
use std::hash::Hash;
use std::sync::Arc;

use sana_engine::base::name::NamespaceName;
use sana_engine::base::time::Timestamp;
use sana_engine::machine::request::{Reply, Request};
use sana_engine::machine::{Machine, Round, Step};
use sana_engine::namespace::head::Spilled;
use sana_engine::ops::snapshot::Held;
use sana_engine::service::task::{Start, Task};

use crate::choices::{Choices, Site};
use crate::deed::{Deed, Next, Stage};
use crate::digest::{Digest, Mixer, Shared};
use crate::explore::{Story, World};
use crate::guard::guarded;
use crate::marks::Mark;
use crate::oracles::Broken;
use crate::oracles::linearizability::{OpId, creation_of};
use crate::oracles::witness::Witness;
use crate::store::Store;
use crate::words;

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
    /// Writes nobody waits for any more, that may land.
    adrift: BTreeSet<Shared<Adrift>>,
    /// Requests nobody will hear of, as long as something of them is adrift.
    orphaned: BTreeSet<OpId>,
    left: Mishaps,
    witness: Witness,
    marks: u64,
}

/// One process.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
struct Actor {
    /// The deed it is at.
    at: u32,
    /// How often it tried it.
    tries: u32,
    /// How often it was started.
    life: u32,
    held: Option<Held>,
    spilled: Spilled,
    running: Option<Running>,
}

/// A machine in its round.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Running {
    stage: Stage,
    task: Task,
    round: Round,
    now: Timestamp,
    /// Whether a put of the deed was refused.
    refused: bool,
    /// Whether a write of the deed was lost.
    lost: bool,
}

/// A write nobody waits for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Adrift {
    request: Request,
    /// The first of the client's requests it was to serve, if any, and how many.
    ops: Vec<OpId>,
    actor: usize,
    life: u32,
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
            adrift: BTreeSet::new(),
            orphaned: BTreeSet::new(),
            left: setup.mishaps,
            witness: Witness::new(setup.namespace.clone()),
            marks: 0,
            setup: Arc::new(setup),
        }
    }

    fn events(&self) -> Vec<Event> {
        let mut events = Vec::new();
        for (i, actor) in self.actors.iter().enumerate() {
            let waits = actor.running.as_ref().is_some_and(|r| !r.round.requests.is_empty());
            if actor.running.is_some() || self.deed(i).is_some() {
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

    fn deed(&self, i: usize) -> Option<&Deed> {
        self.setup.scripts[i].get(self.actors[i].at as usize)
    }

    /// The clients' requests that the deed at hand serves.
    fn ops(&self, i: usize) -> Vec<OpId> {
        let Actor { at, tries, .. } = *self.actors[i];
        let first = (i as u32 + 1) * 1_000 + at * 100 + tries * 10;
        let count = self.deed(i).map_or(0, Deed::ops);
        (first..first + count).collect()
    }

    fn mark(&mut self, mark: Mark) {
        self.marks |= mark.bit();
    }

    fn go(&mut self, i: usize, choices: &mut Choices, story: &mut Story) -> Result<(), Broken> {
        if self.actors[i].running.is_none() {
            self.begin(i, story)?;
        }
        let Some(running) = self.actors[i].running.clone() else { return Ok(()) };
        let Running { stage, task, round, mut now, mut refused, mut lost } = running;
        let mut replies = Vec::new();
        if round.requests.is_empty() {
            now = now.max(round.until);
            story.tell(|| format!("{} wakes up", self.name(i)));
        }
        for request in &round.requests {
            let reply = if request.is_read() {
                self.perform(request)?
            } else {
                self.decide(i, request, choices)?
            };
            refused |= reply == Reply::Refused;
            lost |= reply == Reply::Lost;
            story.tell(|| format!("{}: {}", self.name(i), words::exchange(request, &reply)));
            replies.push(reply);
        }
        let last = replies.first().cloned();
        let step = guarded(|| task.step(now, replies))?;
        let frame = Frame { stage, now, refused, lost };
        self.settle(i, frame, step, last.as_ref(), story)
    }

    /// What becomes of a write.
    fn decide(
        &mut self,
        i: usize,
        request: &Request,
        choices: &mut Choices,
    ) -> Result<Reply, Broken> {
        let (losses, throttles) = (self.left.losses > 0, self.left.throttles > 0);
        let ways = 1 + usize::from(losses) + usize::from(throttles);
        match choices.choose(Site::Fate, ways) {
            0 => self.perform(request),
            1 if losses => {
                self.left.losses -= 1;
                self.let_adrift(i, request);
                Ok(Reply::Lost)
            }
            _ => {
                self.left.throttles -= 1;
                Ok(Reply::Throttled)
            }
        }
    }

    fn let_adrift(&mut self, i: usize, request: &Request) {
        let (mut ops, life) = (self.ops(i), self.actors[i].life);
        ops.extend(ops.clone().into_iter().map(creation_of));
        let adrift = Adrift { request: request.clone(), ops, actor: i, life };
        self.adrift.insert(Shared::new(adrift));
    }

    fn perform(&mut self, request: &Request) -> Result<Reply, Broken> {
        let reply = if request.is_read() {
            // Nothing changes, so nothing need be copied.
            Store::clone(&self.store).perform(request)
        } else {
            self.store.change(|store| store.perform(request))
        };
        self.witness.saw(&self.store, request, &reply)?;
        if let (Request::Put { .. }, Reply::Stored { .. }) = (request, &reply)
            && request.is_visible()
        {
            self.marks |= Mark::of_head(self.witness.chain());
        }
        Ok(reply)
    }

    /// Begins the deed at hand.
    fn begin(&mut self, i: usize, story: &mut Story) -> Result<(), Broken> {
        let deed = self.deed(i).cloned().expect("only an actor with a deed goes");
        let ops = self.ops(i);
        story.tell(|| format!("{} begins to {deed}", self.name(i)));
        deed.begin(&mut self.witness, &ops);
        let actor = &self.actors[i];
        let seed = (i as u128 + 1) << 64
            | u128::from(actor.life) << 32
            | u128::from(actor.at) << 16
            | u128::from(actor.tries);
        let (held, spilled) = (actor.held.clone(), actor.spilled.clone());
        let (stage, start) = deed.start(&self.setup.namespace, held, spilled, seed);
        let frame = Frame { stage, now: Timestamp(0), refused: false, lost: false };
        let step = guarded(|| start.begin(Timestamp(0)))?;
        self.settle(i, frame, step, None, story)
    }

    /// Takes a machine to its next round, or its deed to its next machine, or the actor to its next
    /// deed.
    fn settle(
        &mut self,
        i: usize,
        mut frame: Frame,
        mut step: Step<Task>,
        last: Option<&Reply>,
        story: &mut Story,
    ) -> Result<(), Broken> {
        loop {
            let output = match step {
                Step::Wait(task, round) => {
                    let Frame { stage, now, refused, lost } = frame;
                    let running = Running { stage, task, round, now, refused, lost };
                    self.actors[i].change(|actor| actor.running = Some(running));
                    return Ok(());
                }
                Step::Done(output) => output,
            };
            let ops = self.ops(i);
            self.marks |= Mark::of_output(&output, frame.refused, frame.lost, last);
            story.tell(|| format!("{}: {}", self.name(i), words::output(&output)));
            match frame.stage.next(output, &mut self.witness, &ops)? {
                Next::Go(stage, start) => {
                    let start: Start = *start;
                    frame.stage = stage;
                    step = guarded(|| start.begin(frame.now))?;
                }
                Next::Done { held, spilled } => {
                    self.end(i, held, spilled, false);
                    return Ok(());
                }
                Next::Unknown => {
                    self.orphaned.extend(ops);
                    self.end(i, None, None, true);
                    return Ok(());
                }
            }
        }
    }

    fn end(&mut self, i: usize, held: Option<Held>, spilled: Option<Spilled>, unknown: bool) {
        self.orphaned.extend(self.ops(i).into_iter().map(creation_of));
        let again = unknown && self.deed(i).is_some_and(Deed::is_repeatable);
        self.actors[i].change(|actor| {
            actor.running = None;
            if held.is_some() {
                actor.held = held;
            }
            if let Some(spilled) = spilled {
                actor.spilled = spilled;
            }
            actor.next(again);
        });
    }

    fn crash(&mut self, i: usize) {
        self.left.crashes -= 1;
        if let Some(running) = self.actors[i].running.clone() {
            for request in running.round.requests.iter().filter(|request| !request.is_read()) {
                self.let_adrift(i, request);
            }
            self.orphaned.extend(self.ops(i));
            self.orphaned.extend(self.ops(i).into_iter().map(creation_of));
        }
        let again = self.deed(i).is_some_and(Deed::is_repeatable);
        self.actors[i].change(|actor| {
            let was_at_work = actor.running.is_some();
            let (at, tries, life) = (actor.at, actor.tries, actor.life + 1);
            *actor = Actor { at, tries, life, ..Actor::default() };
            if was_at_work {
                actor.next(again);
            }
        });
    }

    fn time_out(&mut self, i: usize, story: &mut Story) -> Result<(), Broken> {
        self.left.losses -= 1;
        let running = self.actors[i].running.clone().expect("only who waits waits in vain");
        let Running { stage, task, round, refused, .. } = running;
        for request in round.requests.iter().filter(|request| !request.is_read()) {
            self.let_adrift(i, request);
        }
        let replies = vec![Reply::Lost; round.requests.len()];
        let step = guarded(|| task.step(round.until, replies))?;
        let frame = Frame { stage, now: round.until, refused, lost: true };
        self.settle(i, frame, step, None, story)
    }

    fn land(&mut self, n: usize, story: &mut Story) -> Result<(), Broken> {
        let adrift = self.adrift.iter().nth(n).cloned().expect("it was counted");
        self.adrift.remove(&adrift);
        let reply = self.perform(&adrift.request)?;
        if adrift.request.is_visible() && matches!(reply, Reply::Stored { .. }) {
            self.mark(Mark::LandedLate);
            if adrift.life < self.actors[adrift.actor].life {
                self.mark(Mark::LandedAfterCrash);
            }
        }
        let exchange = || words::exchange(&adrift.request, &reply);
        story.tell(|| format!("given up on by {}: {}", self.name(adrift.actor), exchange()));
        Ok(())
    }

    /// Forgets requests that nobody will hear of and that cannot take effect any more.
    fn close(&mut self) {
        let held: BTreeSet<OpId> = self.adrift.iter().flat_map(|a| a.ops.iter().copied()).collect();
        let over: Vec<OpId> = self.orphaned.difference(&held).copied().collect();
        for op in over {
            self.orphaned.remove(&op);
            self.witness.monitor.change(|monitor| {
                monitor.close(op);
                monitor.close_query(op);
            });
        }
    }

    fn name(&self, i: usize) -> String {
        let script = &self.setup.scripts[i];
        let who = script.first().map_or("actor", Deed::who);
        match self.actors[i].life {
            0 => format!("{who} {i}"),
            life => format!("{who} {i} (life {})", life + 1),
        }
    }
}

/// What goes from round to round beside the machine.
struct Frame {
    stage: Stage,
    now: Timestamp,
    refused: bool,
    lost: bool,
}

/// A deed is tried this often.
const TRIES_MAX: u32 = 2;

impl Actor {
    fn next(&mut self, again: bool) {
        if again && self.tries + 1 < TRIES_MAX {
            self.tries += 1;
        } else {
            self.at += 1;
            self.tries = 0;
        }
    }
}

impl World for Arena {
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

    fn advance(&mut self, choices: &mut Choices, story: &mut Story) -> Result<bool, Broken> {
        self.marks = 0;
        let events = self.events();
        if events.is_empty() {
            return Ok(false);
        }
        match events[choices.choose(Site::Event, events.len())] {
            Event::Go(i) => self.go(i, choices, story)?,
            Event::TimeOut(i) => {
                story.tell(|| format!("{} waits in vain", self.name(i)));
                self.time_out(i, story)?;
            }
            Event::Crash(i) => {
                story.tell(|| format!("{} crashes", self.name(i)));
                self.crash(i);
            }
            Event::Land(n) => self.land(n, story)?,
        }
        self.close();
        Ok(true)
    }

    fn marks(&self) -> u64 {
        self.marks
    }
}
