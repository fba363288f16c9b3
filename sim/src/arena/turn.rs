//! One event, seen from the actor it happens to: what it does to the actor, the store and the witness.
//!
//! A turn knows nothing else of the world, so what it comes to is worked out once for all worlds that
//! have these three in common ([`Memo`](crate::arena::memo::Memo)).
//!
//! What an actor is made of is what may yet matter: one that is through with its script holds nothing,
//! and how often it crashed is told in stories and distinguishes no worlds.

use std::hash::Hash;

use sana_engine::base::time::Timestamp;
use sana_engine::machine::request::{Reply, Request};
use sana_engine::machine::{Machine, Round, Step};
use sana_engine::namespace::head::Spilled;
use sana_engine::ops::snapshot::Held;
use sana_engine::service::task::{Start, Task};

use crate::arena::Setup;
use crate::deed::{Deed, Next, Stage};
use crate::digest::{self, Shared};
use crate::guard::guarded;
use crate::marks::Mark;
use crate::oracles::Broken;
use crate::oracles::linearizability::{OpId, creation_of};
use crate::oracles::witness::Witness;
use crate::store::Store;
use crate::story::{Act, Lane, Letter, Story};
use crate::words;

/// One process. Whoever crashes in a deed is at another try or deed afterwards, and draws other nonces.
#[derive(Clone, Hash, Debug, Default)]
pub struct Actor {
    /// The deed it is at.
    pub at: u32,
    /// How often it tried it.
    pub tries: u32,
    /// What it holds of the namespace.
    pub held: Option<Held>,
    /// What it holds of batches in objects.
    pub spilled: Spilled,
    /// Its machine.
    pub running: Option<Running>,
}

/// A machine in its round.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Running {
    stage: Stage,
    task: Task,
    /// What it waits for.
    pub round: Round,
    /// What was answered of it, if others came between.
    replies: Vec<Option<Reply>>,
    now: Timestamp,
    /// Whether a put of the deed was refused.
    refused: bool,
    /// Whether a write of the deed was lost.
    lost: bool,
}

/// A write nobody waits for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Adrift {
    /// The write.
    pub request: Request,
    /// The first of the client's requests it was to serve, if any, and how many.
    pub ops: Vec<OpId>,
    /// Who sent it.
    pub actor: usize,
    /// Whether it was let adrift by a crash.
    pub by_crash: bool,
}

/// What becomes of a write in its round.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Fate {
    /// It is performed and answered.
    Performed,
    /// It is lost, and may land later.
    Lost,
    /// It is turned away.
    Throttled,
}

/// What happens to an actor.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Move<'a> {
    /// It begins its next deed.
    Begin,
    /// What is left of its round is performed and answered; the writes of it have these fates.
    Play(&'a [Fate]),
    /// Of its round this request is performed and answered; if it is a write, it has this fate.
    Part(usize, Fate),
    /// The time of its round runs out.
    TimeOut,
    /// It crashes.
    Crash,
    /// A write of it lands that nobody waits for.
    Land(&'a Shared<Adrift>),
}

/// What a turn comes to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The actor from now on; none if it is as it was.
    pub actor: Option<Shared<Actor>>,
    /// The store from now on; none if the turn has nothing to do with it.
    pub store: Option<Shared<Store>>,
    /// The witness from now on.
    pub witness: Shared<Witness>,
    /// Writes that nobody waits for any more.
    pub adrift: Vec<Shared<Adrift>>,
    /// Requests of clients that nobody will hear of.
    pub orphaned: Vec<OpId>,
    /// What was come across.
    pub marks: u64,
}

/// A deed is tried this often.
const TRIES_MAX: u32 = 2;

impl Move<'_> {
    /// Whether it has to do with the store.
    pub const fn touches_store(&self) -> bool {
        matches!(self, Self::Play(_) | Self::Part(..) | Self::Land(_))
    }

    /// Whether it has to do with the actor.
    pub const fn touches_actor(&self) -> bool {
        !matches!(self, Self::Land(_))
    }
}

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

impl Running {
    /// The requests of its round that are not answered, and their numbers in it.
    pub fn open(&self) -> impl Iterator<Item = (usize, &Request)> {
        let is_open = |(n, _): &(usize, &Request)| !matches!(self.replies.get(*n), Some(Some(_)));
        self.round.requests.iter().enumerate().filter(is_open)
    }
}

/// A turn while it is taken.
#[derive(Debug)]
struct Turn<'a> {
    setup: &'a Setup,
    i: usize,
    actor: Actor,
    store: Option<Shared<Store>>,
    witness: Witness,
    adrift: Vec<Shared<Adrift>>,
    orphaned: Vec<OpId>,
    marks: u64,
}

/// What goes from round to round beside the machine.
struct Frame {
    stage: Stage,
    now: Timestamp,
    refused: bool,
    lost: bool,
}

/// Takes a turn of actor `i`.
///
/// # Errors
///
/// [`Broken`] if a property does not hold afterwards.
pub fn take(
    setup: &Setup,
    i: usize,
    actor: &Shared<Actor>,
    store: &Shared<Store>,
    witness: &Shared<Witness>,
    what: Move<'_>,
    story: &mut Story,
) -> Result<Outcome, Broken> {
    let mut turn = Turn {
        setup,
        i,
        actor: Actor::clone(actor),
        store: what.touches_store().then(|| store.clone()),
        witness: Witness::clone(witness),
        adrift: Vec::new(),
        orphaned: Vec::new(),
        marks: 0,
    };
    match what {
        Move::Begin => turn.begin(story)?,
        Move::Play(fates) => turn.play(fates, story)?,
        Move::Part(n, fate) => turn.part(n, fate, story)?,
        Move::TimeOut => turn.time_out(story)?,
        Move::Crash => turn.crash(story),
        Move::Land(adrift) => turn.land(adrift, story)?,
    }
    let Turn { actor, store, witness, adrift, orphaned, marks, .. } = turn;
    let actor = what.touches_actor().then(|| Shared::new(actor));
    let witness = Shared::new(witness);
    Ok(Outcome { actor, store, witness, adrift, orphaned, marks })
}

impl Turn<'_> {
    fn deed(&self) -> Option<&Deed> {
        self.setup.scripts[self.i].get(self.actor.at as usize)
    }

    /// The clients' requests that the deed at hand serves.
    fn ops(&self) -> Vec<OpId> {
        let Actor { at, tries, .. } = self.actor;
        let first = (self.i as u32 + 1) * 1_000 + at * 100 + tries * 10;
        let count = self.deed().map_or(0, Deed::ops);
        (first..first + count).collect()
    }

    fn lane(&self) -> Lane {
        let who = self.setup.scripts[self.i].first().map_or("actor", Deed::who);
        Lane::Actor(self.i, who)
    }

    fn does(&self, what: impl Into<String>) -> Act {
        Act::Does(self.lane(), what.into())
    }

    fn tell_sent(&self, machine: &'static str, request: &Request, story: &mut Story) {
        story.tell(|| Act::Sent {
            letter: letter(self.i, request),
            from: self.lane(),
            to: words::lane(request),
            machine,
            text: words::request(request),
            brief: words::brief(request),
            is_read: request.is_read(),
        });
    }

    /// Tells of the writes of a round that nobody has answered.
    fn tell_all_sent(&self, running: &Running, story: &mut Story) {
        let writes = running.open().filter(|(_, request)| !request.is_read());
        writes.for_each(|(_, r)| self.tell_sent(words::machine(&running.task), r, story));
    }

    /// Tells that a request is performed, in its round or late.
    fn tell_performed(&self, is_late: bool, request: &Request, reply: &Reply, story: &mut Story) {
        story.tell(|| Act::Performed {
            letter: letter(self.i, request),
            reply: words::reply(request, reply),
            is_good: words::is_good(reply),
            is_late,
        });
    }

    fn tell_heard(&self, request: &Request, reply: &Reply, story: &mut Story) {
        story.tell(|| Act::Heard {
            letter: letter(self.i, request),
            reply: words::reply(request, reply),
            is_awaited: true,
        });
    }

    /// Begins the deed at hand.
    fn begin(&mut self, story: &mut Story) -> Result<(), Broken> {
        let deed = self.deed().cloned().expect("only an actor with a deed begins");
        let ops = self.ops();
        story.tell(|| self.does(format!("begins to {deed}")));
        deed.begin(&mut self.witness, &ops);
        let actor = &self.actor;
        let seed =
            (self.i as u128 + 1) << 64 | u128::from(actor.at) << 16 | u128::from(actor.tries);
        let (held, spilled) = (actor.held.clone(), actor.spilled.clone());
        let (stage, start) = deed.start(&self.setup.namespace, held, spilled, seed);
        let frame = Frame { stage, now: Timestamp(0), refused: false, lost: false };
        let step = guarded(|| start.begin(Timestamp(0)))?;
        self.settle(frame, step, None, story)
    }

    /// Performs what is left of a round, and takes the machine to its next.
    fn play(&mut self, fates: &[Fate], story: &mut Story) -> Result<(), Broken> {
        let running = self.actor.running.take().expect("only an actor in a round plays it");
        let mut fates = fates.iter();
        let mut answered = running.replies.clone();
        answered.resize(running.round.requests.len(), None);
        for (n, request) in running.open() {
            let fate = if request.is_read() { Fate::Performed } else { next_fate(&mut fates) };
            answered[n] = Some(self.answer(words::machine(&running.task), request, fate, story)?);
        }
        let Running { stage, task, round, mut now, mut refused, mut lost, .. } = running;
        if round.requests.is_empty() {
            now = now.max(round.until);
            story.tell(|| self.does("wakes up"));
        }
        let replies: Vec<Reply> = answered.into_iter().flatten().collect();
        refused |= replies.contains(&Reply::Refused);
        lost |= replies.contains(&Reply::Lost);
        let last = replies.first().cloned();
        let step = guarded(|| task.step(now, replies))?;
        self.settle(Frame { stage, now, refused, lost }, step, last.as_ref(), story)
    }

    /// Performs one request of a round, which is not the last.
    fn part(&mut self, n: usize, fate: Fate, story: &mut Story) -> Result<(), Broken> {
        let mut running = self.actor.running.take().expect("only an actor in a round plays it");
        running.replies.resize(running.round.requests.len(), None);
        let (machine, request) = (words::machine(&running.task), &running.round.requests[n]);
        running.replies[n] = Some(self.answer(machine, request, fate, story)?);
        self.actor.running = Some(running);
        Ok(())
    }

    /// Decides what a request comes to, and what its sender hears.
    fn answer(
        &mut self,
        machine: &'static str,
        request: &Request,
        fate: Fate,
        story: &mut Story,
    ) -> Result<Reply, Broken> {
        self.tell_sent(machine, request, story);
        let letter = || letter(self.i, request);
        let reply = match fate {
            Fate::Performed => {
                let reply = self.perform(request)?;
                self.tell_performed(false, request, &reply, story);
                reply
            }
            Fate::Throttled => {
                let text = "is turned away".into();
                story.tell(|| Act::Astray { letter: letter(), text });
                Reply::Throttled
            }
            Fate::Lost => {
                let text = "is lost, and may land later".into();
                story.tell(|| Act::Astray { letter: letter(), text });
                self.let_adrift(request, false);
                Reply::Lost
            }
        };
        self.tell_heard(request, &reply, story);
        Ok(reply)
    }

    fn time_out(&mut self, story: &mut Story) -> Result<(), Broken> {
        story.tell(|| self.does("waits in vain"));
        let running = self.actor.running.take().expect("only who waits waits in vain");
        self.tell_all_sent(&running, story);
        self.let_all_adrift(&running, false);
        let Running { stage, task, round, mut replies, refused, .. } = running;
        replies.resize(round.requests.len(), None);
        let replies: Vec<Reply> =
            replies.into_iter().map(|reply| reply.unwrap_or(Reply::Lost)).collect();
        let refused = refused || replies.contains(&Reply::Refused);
        let last = replies.first().cloned();
        let step = guarded(|| task.step(round.until, replies))?;
        let frame = Frame { stage, now: round.until, refused, lost: true };
        self.settle(frame, step, last.as_ref(), story)
    }

    fn crash(&mut self, story: &mut Story) {
        story.tell(|| Act::Crashes(self.lane()));
        let running = self.actor.running.take();
        if let Some(running) = &running {
            self.tell_all_sent(running, story);
            self.let_all_adrift(running, true);
            self.orphaned.extend(self.ops());
            self.orphaned.extend(self.ops().into_iter().map(creation_of));
        }
        let again = self.deed().is_some_and(Deed::is_repeatable);
        let Actor { at, tries, .. } = self.actor;
        self.actor = Actor { at, tries, ..Actor::default() };
        if running.is_some() {
            self.actor.next(again);
        }
    }

    fn land(&mut self, adrift: &Adrift, story: &mut Story) -> Result<(), Broken> {
        let reply = self.perform(&adrift.request)?;
        if adrift.request.is_visible() && matches!(reply, Reply::Stored { .. }) {
            self.marks |= Mark::LandedLate.bit();
            if adrift.by_crash {
                self.marks |= Mark::LandedAfterCrash.bit();
            }
        }
        self.tell_performed(true, &adrift.request, &reply, story);
        Ok(())
    }

    fn let_adrift(&mut self, request: &Request, by_crash: bool) {
        let mut ops = self.ops();
        ops.extend(self.ops().into_iter().map(creation_of));
        let adrift = Adrift { request: request.clone(), ops, actor: self.i, by_crash };
        self.adrift.push(Shared::new(adrift));
    }

    /// Nobody waits for what is not answered of this round.
    fn let_all_adrift(&mut self, running: &Running, by_crash: bool) {
        let writes = running.open().filter(|(_, request)| !request.is_read());
        writes.for_each(|(_, request)| self.let_adrift(request, by_crash));
    }

    fn perform(&mut self, request: &Request) -> Result<Reply, Broken> {
        let store = self.store.as_mut().expect("requests are performed where there is a store");
        let reply = if request.is_read() {
            // Nothing changes, so the store goes on being shared.
            Store::clone(store).perform(request)
        } else {
            store.change(|store| store.perform(request))
        };
        self.witness.saw(store, request, &reply)?;
        if let (Request::Put { .. }, Reply::Stored { .. }) = (request, &reply)
            && request.is_visible()
        {
            self.marks |= Mark::of_head(self.witness.chain());
        }
        Ok(reply)
    }

    /// Takes a machine to its next round, or its deed to its next machine, or the actor to its next
    /// deed.
    fn settle(
        &mut self,
        mut frame: Frame,
        mut step: Step<Task>,
        last: Option<&Reply>,
        story: &mut Story,
    ) -> Result<(), Broken> {
        loop {
            let output = match step {
                Step::Wait(task, round) => {
                    let Frame { stage, now, refused, lost } = frame;
                    let replies = Vec::new();
                    let running = Running { stage, task, round, replies, now, refused, lost };
                    self.actor.running = Some(running);
                    return Ok(());
                }
                Step::Done(output) => output,
            };
            let ops = self.ops();
            self.marks |= Mark::of_output(&output, frame.refused, frame.lost, last);
            story.tell(|| self.does(format!("comes to: {}", words::output(&output))));
            match frame.stage.next(output, &mut self.witness, &ops)? {
                Next::Go(stage, start) => {
                    let start: Start = *start;
                    frame.stage = stage;
                    step = guarded(|| start.begin(frame.now))?;
                }
                Next::Done { held, spilled } => {
                    self.end(held, spilled, false);
                    return Ok(());
                }
                Next::Unknown => {
                    self.orphaned.extend(ops);
                    self.end(None, None, true);
                    return Ok(());
                }
            }
        }
    }

    fn end(&mut self, held: Option<Held>, spilled: Option<Spilled>, unknown: bool) {
        self.orphaned.extend(self.ops().into_iter().map(creation_of));
        let again = unknown && self.deed().is_some_and(Deed::is_repeatable);
        if held.is_some() {
            self.actor.held = held;
        }
        if let Some(spilled) = spilled {
            self.actor.spilled = spilled;
        }
        self.actor.next(again);
        if self.deed().is_none() {
            self.actor.held = None;
            self.actor.spilled = Spilled::default();
        }
    }
}

/// What tells a request from others that are under way.
fn letter(actor: usize, request: &Request) -> Letter {
    digest::of(&(actor, request))
}

/// What becomes of the next write of a round.
///
/// # Panics
///
/// If it was not decided.
fn next_fate<'a>(fates: &mut impl Iterator<Item = &'a Fate>) -> Fate {
    *fates.next().expect("every write of a round has its fate")
}
