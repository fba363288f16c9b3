//! Drives the services of a node: what the runtime does with threads and sockets.

use sana_engine::machine::flight::Flight;
use sana_engine::machine::request::{Reply, Request};
use sana_engine::machine::{Machine, Step};
use sana_engine::namespace::request::QueryError;
use sana_engine::ops::delete::Deleted;
use sana_engine::ops::publication::Publicized;
use sana_engine::ops::read::ReadError;
use sana_engine::ops::snapshot::RefreshError;
use sana_engine::service::namespace::{Ticket, Word};
use sana_engine::service::task::{Output, Start, Task, TaskId};

use crate::choices::{Scope, Site};
use crate::digest;
use crate::guard::guarded;
use crate::ledger;
use crate::marks::Mark;
use crate::oracles::linearizability::OpId;
use crate::oracles::{Broken, Oracle};
use crate::store::Kind;
use crate::story::Act;
use crate::words;
use crate::world::network::{Answer, Parcel};
use crate::world::node::{Errand, Past, Running};
use crate::world::profile::Fault;
use crate::world::watch::Passage;
use crate::world::{Event, World};

/// A service that is woken this often in a row and does nothing, and more often than twice a second, keeps
/// its node busy for ever.
const IDLE_WAKES_MAX: u64 = 2_000;
/// So many milliseconds lie between two wakes of one that is not.
const IDLE_WAKE_EVERY: u64 = 500;

/// What a machine comes to, what it has been through, and the first reply of its last round.
pub(super) type Stepped = (Step<Task>, Past, Option<Reply>);

/// When something crashes over a reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Moment {
    /// Before it takes note of it.
    Before,
    /// When it has done what follows from it.
    After,
}

/// What crashes over a reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Crash {
    /// The node, for so many milliseconds.
    Node(u64),
    /// One namespace of it.
    Space,
}

impl World {
    /// A machine hears a reply, over which its node may crash before it takes note of it, or after.
    pub(super) fn hear(&mut self, parcel: &Parcel) -> Result<(), Broken> {
        let is_awaited = self.waits_for(parcel);
        self.tell_heard(parcel, is_awaited);
        if !is_awaited {
            return Ok(());
        }
        let Parcel { node, space, errand, place, request, .. } = parcel;
        let (node, space, task, place) = (*node, *space, errand.task, *place);
        let Answer::Reply(reply) = parcel.answer.clone() else { return Ok(()) };
        self.note(&(node, space, task, place));
        self.note(&reply);
        let crash = self.crashes_over_reply(parcel);
        if let Some((Moment::Before, crash)) = crash {
            self.crash_over_reply(node, space, crash);
            return Ok(());
        }
        if parcel.is_spoiled {
            self.mislead(&parcel.ops);
        }
        let local = self.nodes[node].clock.at(self.now);
        let hosted = self.nodes[node].hosted.get_mut(&space).expect("it waits");
        let running = hosted.tasks.get_mut(&task).expect("it waits");
        if !request.is_read() {
            running.past.has_lost |= reply == Reply::Lost;
            running.past.was_refused |= reply == Reply::Refused;
        }
        running.flight.reply(local, place, reply);
        if running.flight.is_over(local) {
            self.pump(node, space)?;
        } else {
            self.send_due(node, space, true)?;
        }
        if let Some((Moment::After, crash)) = crash
            && self.nodes[node].is_up
        {
            self.crash_over_reply(node, space, crash);
        }
        Ok(())
    }

    fn crash_over_reply(&mut self, n: usize, space: usize, crash: Crash) {
        match crash {
            Crash::Node(delay) => self.crash_for(n, delay),
            Crash::Space => self.fall_in_space(n, space),
        }
    }

    /// What crashes over a reply, if anything does, and when.
    fn crashes_over_reply(&mut self, parcel: &Parcel) -> Option<(Moment, Crash)> {
        let (node, space) = (parcel.node, parcel.space);
        let heard = self.nodes[node].heard(space);
        if !self.is_faulty {
            return None;
        }
        self.choices.enter(Scope::Reply(node as u32, space as u32, heard));
        let haps = self.profile.faults_of(parcel.passage.site).haps_over_reply();
        let (when, is_all) = match self.choices.weigh(Site::Node, &haps) {
            1 => (Moment::Before, true),
            2 => (Moment::After, true),
            3 => (Moment::Before, false),
            4 => (Moment::After, false),
            _ => return None,
        };
        if !is_all {
            return Some((when, Crash::Space));
        }
        self.activations.count(Fault::CrashOverReply);
        Some((when, Crash::Node(self.crash_delay())))
    }

    fn tell_heard(&mut self, parcel: &Parcel, is_awaited: bool) {
        let Answer::Reply(reply) = &parcel.answer else { return };
        self.tell(|| Act::Heard {
            letter: parcel.letter(),
            reply: words::reply(&parcel.request, reply),
            is_awaited,
        });
    }

    /// The time has come that a service or a round waited for.
    pub(super) fn wake(&mut self, n: usize, life: u32, space: usize) -> Result<(), Broken> {
        if !self.lives(n, life) {
            return Ok(());
        }
        // It was found since that it has to be woken earlier. Then it was, and will be again.
        if self.nodes[n].hosted.get(&space).is_none_or(|hosted| self.now < hosted.wake) {
            return Ok(());
        }
        self.pump(n, space)
    }

    /// Lets a service do all that it can do now.
    pub(super) fn pump(&mut self, n: usize, space: usize) -> Result<(), Broken> {
        let (paused_until, life) = (self.nodes[n].paused_until, self.nodes[n].life);
        if self.now < paused_until {
            let Some(hosted) = self.nodes[n].hosted.get_mut(&space) else { return Ok(()) };
            if hosted.wake <= self.now || paused_until < hosted.wake {
                hosted.wake = paused_until;
                self.after(paused_until - self.now, Event::Wake { node: n, life, space });
            }
            return Ok(());
        }
        let mut did = false;
        while self.pump_once(n, space)? {
            did = true;
        }
        self.note_state(n, space);
        self.send_due(n, space, did)
    }

    /// Begins what is due and steps the machines whose round is over. False if there were none.
    fn pump_once(&mut self, n: usize, space: usize) -> Result<bool, Broken> {
        let (now, clock) = (self.now, self.nodes[n].clock);
        let (local, wall) = (clock.at(now), clock.wall(now));
        let seed = self.nonce_of(n);
        let Some(hosted) = self.nodes[n].hosted.get_mut(&space) else { return Ok(false) };
        let was_settled = hosted.service.is_settled();
        let starts = guarded(|| hosted.service.due(local, wall, seed))?;
        let builds = |start: &Start| matches!(start, Start::Flush { .. } | Start::Merge(_));
        let builds = starts.iter().any(|(_, start)| builds(start));
        Self::live_demand(!(was_settled && builds), || {
            format!("node {n} was settled and begins to build: {starts:?}")
        })?;
        Self::live_demand(!(hosted.overtaken.is_some() && builds), || {
            format!("node {n} was overtaken and builds anew without having looked: {starts:?}")
        })?;
        let ids = hosted.tasks.iter().filter(|(_, running)| running.is_due(now, local));
        let ids: Vec<TaskId> = ids.map(|(id, _)| *id).collect();
        let mut did = !starts.is_empty();
        for (id, start) in starts {
            if let Some(start) = self.queue(n, space, id, start) {
                self.begin(n, space, id, start)?;
            }
        }
        did |= self.take_turns(n, space)?;
        for id in ids {
            did |= self.step(n, space, id)?;
        }
        Ok(did)
    }

    /// Steps a machine whose round is over, unless no processor is free. Whether it did.
    fn step(&mut self, n: usize, space: usize, id: TaskId) -> Result<bool, Broken> {
        if self.queues(n, space, id) {
            return Ok(false);
        }
        let local = self.nodes[n].clock.at(self.now);
        let Some(hosted) = self.nodes[n].hosted.get_mut(&space) else { return Ok(false) };
        let Some(Running { task, flight, mut past, .. }) = hosted.tasks.remove(&id) else {
            return Ok(false);
        };
        let replies = flight.end();
        let first = replies.first().cloned();
        past.bill.answered(&replies);
        past.round += 1;
        let is_heavy = task.is_heavy();
        let step = guarded(|| task.step(local, replies))?;
        self.compute(n, space, id, is_heavy, (step, past, first))?;
        Ok(true)
    }

    /// An operation begins.
    pub(super) fn begin(
        &mut self,
        n: usize,
        space: usize,
        id: TaskId,
        start: Start,
    ) -> Result<(), Broken> {
        let local = self.nodes[n].clock.at(self.now);
        let Some(hosted) = self.nodes[n].hosted.get(&space) else { return Ok(()) };
        let tickets = hosted.service.tickets(id).into_iter();
        let past = Past::begin(&start, tickets.map(|ticket| ticket.0 as OpId).collect());
        let is_heavy = start.is_heavy();
        let step = guarded(|| start.begin(local))?;
        self.compute(n, space, id, is_heavy, (step, past, None))
    }

    /// What the nonces of a node are made of now. Clones draw alike, in every life.
    fn nonce_of(&mut self, n: usize) -> u128 {
        let nonce = self.choices.nonce();
        if self.store.kind() != Kind::Clones {
            return nonce;
        }
        self.nodes[n].drawn += 1;
        digest::of(&self.nodes[n].drawn)
    }

    /// A machine was stepped that has been through this, with the first reply of its last round.
    pub(super) fn stepped(
        &mut self,
        n: usize,
        space: usize,
        id: TaskId,
        (step, mut past, last): Stepped,
    ) -> Result<(), Broken> {
        let local = self.nodes[n].clock.at(self.now);
        let Some(hosted) = self.nodes[n].hosted.get_mut(&space) else { return Ok(()) };
        let output = match step {
            Step::Wait(task, round) => {
                past.bill.ask(&round);
                hosted.enter(id, task, Flight::start(local, round), past);
                return Ok(());
            }
            Step::Done(output) => output,
        };
        let Past { was_refused, has_lost, bill, asked, .. } = past;
        if let Some(cache) = &mut self.nodes[n].cache {
            cache.heed(&output);
        }
        let marks = Mark::of_output(&output, was_refused, has_lost, last.as_ref());
        if marks & Mark::FoundItself.bit() != 0 {
            self.activations.count(Fault::RefusedItself);
        }
        self.count(&output);
        self.saw_end(space, asked.as_ref(), &bill, &output, marks)?;
        let Some(hosted) = self.nodes[n].hosted.get_mut(&space) else { return Ok(()) };
        hosted.overtaken = match &output {
            Output::Publication(
                Publicized::Superseded | Publicized::Unknown | Publicized::Damaged(_),
            )
            | Output::Flush(Err(ReadError::Vanished { .. }))
            | Output::Merge(Err(ReadError::Vanished { .. })) => hosted.begun().chain([id]).max(),
            Output::Refresh(Ok(_) | Err(RefreshError::Damaged { version: Some(_), .. })) => {
                hosted.overtaken.filter(|last| id <= *last)
            }
            _ => hosted.overtaken,
        };
        let ends = matches!(output, Output::Delete(Ok(Deleted::Landed(_))));
        let leaves = bill.created > 0 || ends;
        let dropped = hosted.dropped(id, &output);
        let words = guarded(|| hosted.service.finished(local, id, output))?;
        let is_back = dropped.is_some_and(|dropped| dropped.is_back(hosted.service.loaded()));
        Oracle::Cached.demand(!is_back, || {
            format!("node {n} holds again what it was to drop of ns{space}: task {} had it", id.0)
        })?;
        let owes = hosted.service.is_absent() || hosted.service.owes_sweep_since() == Some(local);
        let owes = owes || !leaves || !self.nodes[n].role.indexes();
        Self::live_demand(owes, || {
            format!("node {n} leaves objects in ns{space} and owes no sweep: {bill}")
        })?;
        self.deliver_all(n, space, words)
    }

    /// Clients are told what a service of this node says.
    pub(super) fn deliver_all(
        &mut self,
        n: usize,
        space: usize,
        words: Vec<(Ticket, Word)>,
    ) -> Result<(), Broken> {
        for (ticket, word) in words {
            let hosted = self.nodes[n].hosted.get_mut(&space);
            let client = hosted.and_then(|hosted| hosted.tickets.remove(&ticket));
            if let Some(client) = client {
                self.deliver(client, n, (ticket.0 as OpId, word))?;
            }
        }
        Ok(())
    }

    fn count(&mut self, output: &Output) {
        let fault = match output {
            Output::Flush(Ok(_)) => Some(Fault::Flushed),
            Output::Merge(Ok(_)) => Some(Fault::Merged),
            Output::Collect(collected) if collected.deleted > 0 => Some(Fault::Collected),
            Output::Sweep(swept) if swept.deleted > 0 => Some(Fault::Swept),
            Output::Query(Err(QueryError::Vanished(_))) => Some(Fault::Vanished),
            Output::Commit(committed) if !committed.spilled.is_empty() => Some(Fault::Spilled),
            _ => None,
        };
        if let Some(fault) = fault {
            self.activations.count(fault);
        }
    }

    /// Sends what the rounds of a service want sent, and sees to its being woken in time.
    fn send_due(&mut self, n: usize, space: usize, did: bool) -> Result<(), Broken> {
        let (now, clock) = (self.now, self.nodes[n].clock);
        let (local, wall) = (clock.at(now), clock.wall(now));
        if self.forget(n, space)? {
            return Ok(());
        }
        let life = self.nodes[n].life;
        let Some(hosted) = self.nodes[n].hosted.get_mut(&space) else { return Ok(()) };
        let mut parcels = Vec::new();
        let stay = hosted.stay;
        let waiting = hosted.tasks.iter_mut().filter(|(_, running)| running.queued_until.is_none());
        for (task, running) in waiting {
            for place in running.flight.due(local) {
                let request: Request = running.flight.request(place).clone();
                let (round, ops) = (running.past.round, running.past.ops.clone());
                let (node, answer, keep) = (n, Answer::True, running.past.keep);
                let site = ledger::Site::of(running.past.bill.work, &request);
                parcels.push(Parcel {
                    node,
                    life,
                    space,
                    errand: Errand { stay, task: *task },
                    round,
                    ops,
                    place,
                    request,
                    back: 0,
                    answer,
                    keep,
                    read: None,
                    number: 0,
                    is_spoiled: false,
                    passage: Passage { site, is_late: false },
                });
            }
        }
        self.weigh_load(n, space)?;
        let Some(hosted) = self.nodes[n].hosted.get_mut(&space) else { return Ok(()) };
        let did = did || !parcels.is_empty();
        if did {
            hosted.idle_wakes = (0, now);
        }
        hosted.idle_wakes.0 += 1;
        let (wakes, since) = hosted.idle_wakes;
        let is_calm = wakes <= IDLE_WAKES_MAX + (now - since) / IDLE_WAKE_EVERY;
        Self::live_demand(is_calm, || {
            let wake = hosted.service.wake_at(local, wall);
            format!(
                "node {n} is woken again and again at {wake:?} for nothing: {:?}",
                hosted.service
            )
        })?;
        let next = hosted.rounds_at().chain(hosted.service.wake_at(local, wall)).min();
        let next = next.map(|next| clock.time_of(next).max(now + 1));
        let queued = hosted.processor_at().map(|at| at.max(now + 1));
        let forgets_at = Some(hosted.asked_at + self.fleet.forget_after).filter(|at| now < *at);
        if let Some(at) = next.into_iter().chain(queued).chain(forgets_at).min()
            && (hosted.wake <= now || at < hosted.wake)
        {
            hosted.wake = at;
            self.after(at - now, Event::Wake { node: n, life, space });
        }
        for mut parcel in parcels {
            if self.asks_store(&mut parcel)? && !self.send(parcel) {
                break;
            }
        }
        Ok(())
    }
}
