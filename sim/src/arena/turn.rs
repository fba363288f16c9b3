//! One event, seen from the actor it happens to: what it does to the actor, the store and the witness.
//!
//! A turn knows nothing else of the world, so what it comes to is worked out once for all worlds that
//! have these three in common ([`Memo`](crate::arena::memo::Memo)).

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

/// One process.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Actor {
    /// The deed it is at.
    pub at: u32,
    /// How often it tried it.
    pub tries: u32,
    /// How often it was started.
    pub life: u32,
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
    /// In which life.
    pub life: u32,
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
    /// Its round is performed and answered; the writes of it have these fates.
    Play(&'a [Fate]),
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
    /// The actor from now on.
    pub actor: Shared<Actor>,
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
        matches!(self, Self::Play(_) | Self::Land(_))
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
        Move::TimeOut => turn.time_out(story)?,
        Move::Crash => turn.crash(story),
        Move::Land(adrift) => turn.land(adrift, story)?,
    }
    let Turn { actor, store, witness, adrift, orphaned, marks, .. } = turn;
    let (actor, witness) = (Shared::new(actor), Shared::new(witness));
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
            letter: letter(self.i, self.actor.life, request),
            from: self.lane(),
            to: words::lane(request),
            machine,
            text: words::request(request),
            is_read: request.is_read(),
        });
    }

    /// Tells that a request is performed; if it comes late, in which life it was sent.
    fn tell_performed(
        &self,
        late: Option<u32>,
        request: &Request,
        reply: &Reply,
        story: &mut Story,
    ) {
        story.tell(|| Act::Performed {
            letter: letter(self.i, late.unwrap_or(self.actor.life), request),
            reply: words::reply(request, reply),
            is_good: words::is_good(reply),
            is_late: late.is_some(),
        });
    }

    fn tell_heard(&self, request: &Request, reply: &Reply, story: &mut Story) {
        story.tell(|| Act::Heard {
            letter: letter(self.i, self.actor.life, request),
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
        let seed = (self.i as u128 + 1) << 64
            | u128::from(actor.life) << 32
            | u128::from(actor.at) << 16
            | u128::from(actor.tries);
        let (held, spilled) = (actor.held.clone(), actor.spilled.clone());
        let (stage, start) = deed.start(&self.setup.namespace, held, spilled, seed);
        let frame = Frame { stage, now: Timestamp(0), refused: false, lost: false };
        let step = guarded(|| start.begin(Timestamp(0)))?;
        self.settle(frame, step, None, story)
    }

    fn play(&mut self, fates: &[Fate], story: &mut Story) -> Result<(), Broken> {
        let running = self.actor.running.take().expect("only an actor in a round plays it");
        let Running { stage, task, round, mut now, mut refused, mut lost } = running;
        if round.requests.is_empty() {
            now = now.max(round.until);
            story.tell(|| self.does("wakes up"));
        }
        let mut fates = fates.iter();
        let mut replies = Vec::with_capacity(round.requests.len());
        for request in &round.requests {
            let fate = if request.is_read() { &Fate::Performed } else { next_fate(&mut fates) };
            self.tell_sent(words::machine(&task), request, story);
            let letter = || letter(self.i, self.actor.life, request);
            let reply = match fate {
                Fate::Performed => {
                    let reply = self.perform(request)?;
                    self.tell_performed(None, request, &reply, story);
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
                    self.let_adrift(request);
                    Reply::Lost
                }
            };
            self.tell_heard(request, &reply, story);
            refused |= reply == Reply::Refused;
            lost |= reply == Reply::Lost;
            replies.push(reply);
        }
        let last = replies.first().cloned();
        let step = guarded(|| task.step(now, replies))?;
        self.settle(Frame { stage, now, refused, lost }, step, last.as_ref(), story)
    }

    fn time_out(&mut self, story: &mut Story) -> Result<(), Broken> {
        story.tell(|| self.does("waits in vain"));
        let running = self.actor.running.take().expect("only who waits waits in vain");
        let Running { stage, task, round, refused, .. } = running;
        for request in round.requests.iter().filter(|request| !request.is_read()) {
            self.tell_sent(words::machine(&task), request, story);
            self.let_adrift(request);
        }
        let replies = vec![Reply::Lost; round.requests.len()];
        let step = guarded(|| task.step(round.until, replies))?;
        self.settle(Frame { stage, now: round.until, refused, lost: true }, step, None, story)
    }

    fn crash(&mut self, story: &mut Story) {
        story.tell(|| Act::Crashes(self.lane()));
        let running = self.actor.running.take();
        if let Some(running) = &running {
            for request in running.round.requests.iter().filter(|request| !request.is_read()) {
                self.tell_sent(words::machine(&running.task), request, story);
                self.let_adrift(request);
            }
            self.orphaned.extend(self.ops());
            self.orphaned.extend(self.ops().into_iter().map(creation_of));
        }
        let again = self.deed().is_some_and(Deed::is_repeatable);
        let Actor { at, tries, life, .. } = self.actor;
        self.actor = Actor { at, tries, life: life + 1, ..Actor::default() };
        if running.is_some() {
            self.actor.next(again);
        }
    }

    fn land(&mut self, adrift: &Adrift, story: &mut Story) -> Result<(), Broken> {
        let reply = self.perform(&adrift.request)?;
        if adrift.request.is_visible() && matches!(reply, Reply::Stored { .. }) {
            self.marks |= Mark::LandedLate.bit();
            if adrift.life < self.actor.life {
                self.marks |= Mark::LandedAfterCrash.bit();
            }
        }
        self.tell_performed(Some(adrift.life), &adrift.request, &reply, story);
        Ok(())
    }

    fn let_adrift(&mut self, request: &Request) {
        let (mut ops, life) = (self.ops(), self.actor.life);
        ops.extend(self.ops().into_iter().map(creation_of));
        let adrift = Adrift { request: request.clone(), ops, actor: self.i, life };
        self.adrift.push(Shared::new(adrift));
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
                    self.actor.running = Some(Running { stage, task, round, now, refused, lost });
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
    }
}

/// What tells a request from others that are under way.
fn letter(actor: usize, life: u32, request: &Request) -> Letter {
    digest::of(&(actor, life, request))
}

/// What becomes of the next write of a round.
///
/// # Panics
///
/// If it was not decided.
fn next_fate<'a>(fates: &mut impl Iterator<Item = &'a Fate>) -> &'a Fate {
    fates.next().expect("every write of a round has its fate")
}
