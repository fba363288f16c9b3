//! Drives the services of a node: what the runtime does with threads and sockets.

use sana_engine::machine::flight::Flight;
use sana_engine::machine::request::{Reply, Request};
use sana_engine::machine::{Machine, Step};
use sana_engine::namespace::request::QueryError;
use sana_engine::service::task::{Output, Task, TaskId};

use crate::guard::guarded;
use crate::ledger::Site;
use crate::marks::Mark;
use crate::oracles::Broken;
use crate::oracles::cost::Bill;
use crate::oracles::snapshots::Asked;
use crate::world::network::{Answer, Parcel};
use crate::world::node::Node;
use crate::world::profile::Fault;
use crate::world::watch::Passage;
use crate::world::{Event, World};

/// A service that is woken this often in a row and does nothing keeps its node busy for ever.
const IDLE_WAKES_MAX: u32 = 2_000;

/// What is known of a machine that was stepped.
struct Known {
    /// The first reply of its last round.
    last: Option<Reply>,
    bill: Bill,
    asked: Option<Asked>,
}

impl World {
    /// A reply reaches a node.
    pub(super) fn take_reply(&mut self, parcel: Parcel) -> Result<(), Broken> {
        if !self.waits_for(&parcel) {
            return Ok(());
        }
        let Parcel { node, space, task, place, request, answer, .. } = parcel;
        let Answer::Reply(reply) = answer else { return Ok(()) };
        self.note(&(node, space, task, place));
        self.note(&reply);
        let local = self.nodes[node].clock.at(self.now);
        let hosted = self.nodes[node].hosted.get_mut(&space).expect("it waits");
        let running = hosted.tasks.get_mut(&task).expect("it waits");
        if !request.is_read() {
            running.has_lost |= reply == Reply::Lost;
            running.was_refused |= reply == Reply::Refused;
        }
        running.flight.reply(local, place, reply);
        self.pump(node, space)
    }

    /// The time has come that a service or a round waited for.
    pub(super) fn wake(&mut self, n: usize, life: u32, space: usize) -> Result<(), Broken> {
        if self.nodes[n].life != life || !self.nodes[n].is_up {
            return Ok(());
        }
        self.pump(n, space)
    }

    /// Lets a service do all that it can do now.
    pub(super) fn pump(&mut self, n: usize, space: usize) -> Result<(), Broken> {
        let Node { paused_until, life, .. } = self.nodes[n];
        if self.now < paused_until {
            self.after(paused_until - self.now, Event::Wake { node: n, life, space });
            return Ok(());
        }
        let mut did = false;
        while self.pump_once(n, space)? {
            did = true;
        }
        self.send_due(n, space, did)
    }

    /// Begins what is due and steps the machines whose round is over. False if there were none.
    fn pump_once(&mut self, n: usize, space: usize) -> Result<bool, Broken> {
        let (now, clock) = (self.now, self.nodes[n].clock);
        let (local, wall) = (clock.at(now), clock.wall(now));
        let seed = self.choices.nonce();
        let Some(hosted) = self.nodes[n].hosted.get_mut(&space) else { return Ok(false) };
        let starts = guarded(|| hosted.service.due(local, wall, seed))?;
        let over = |flight: &Flight| flight.is_over(local);
        let ids = hosted.tasks.iter().filter(|(_, running)| over(&running.flight));
        let ids: Vec<TaskId> = ids.map(|(id, _)| *id).collect();
        let did = !starts.is_empty() || !ids.is_empty();
        for (id, start) in starts {
            let (bill, asked) = (Bill::begin(&start), Asked::of(&start));
            let step = guarded(|| start.begin(local))?;
            self.stepped(n, space, id, step, Known { last: None, bill, asked })?;
        }
        for id in ids {
            let Some(hosted) = self.nodes[n].hosted.get(&space) else { return Ok(false) };
            let Some(running) = hosted.tasks.get(&id).cloned() else { continue };
            let replies = running.flight.end();
            let last = replies.first().cloned();
            let (mut bill, asked) = (running.bill, running.asked);
            bill.answered(&replies);
            let step = guarded(|| running.task.step(local, replies))?;
            self.stepped(n, space, id, step, Known { last, bill, asked })?;
        }
        Ok(did)
    }

    fn stepped(
        &mut self,
        n: usize,
        space: usize,
        id: TaskId,
        step: Step<Task>,
        Known { last, mut bill, asked }: Known,
    ) -> Result<(), Broken> {
        let local = self.nodes[n].clock.at(self.now);
        let Some(hosted) = self.nodes[n].hosted.get_mut(&space) else { return Ok(()) };
        let output = match step {
            Step::Wait(task, round) => {
                bill.ask(&round);
                hosted.keep(id, task, Flight::start(local, round), bill, asked);
                return Ok(());
            }
            Step::Done(output) => output,
        };
        let running = hosted.tasks.remove(&id);
        let refused = running.as_ref().is_some_and(|running| running.was_refused);
        let lost = running.as_ref().is_some_and(|running| running.has_lost);
        let marks = Mark::of_output(&output, refused, lost, last.as_ref());
        if marks & Mark::FoundItself.bit() != 0 {
            self.activations.count(Fault::RefusedItself);
        }
        self.count(&output);
        self.saw_end(space, asked.as_ref(), &bill, &output, marks)?;
        let Some(hosted) = self.nodes[n].hosted.get_mut(&space) else { return Ok(()) };
        let words = guarded(|| hosted.service.finished(local, id, output))?;
        for (ticket, word) in words {
            let hosted = self.nodes[n].hosted.get_mut(&space);
            let client = hosted.and_then(|hosted| hosted.tickets.remove(&ticket));
            if let Some(client) = client {
                self.deliver(client, n, word)?;
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
        let life = self.nodes[n].life;
        let Some(hosted) = self.nodes[n].hosted.get_mut(&space) else { return Ok(()) };
        let mut parcels = Vec::new();
        for (task, running) in &mut hosted.tasks {
            for place in running.flight.due(local) {
                let request: Request = running.flight.request(place).clone();
                let (task, round, ops) = (*task, running.round, running.ops.clone());
                let (node, answer) = (n, Answer::True);
                let site = Site::of(running.bill.work, &request);
                parcels.push(Parcel {
                    node,
                    life,
                    space,
                    task,
                    round,
                    ops,
                    place,
                    request,
                    back: 0,
                    answer,
                    passage: Passage { site, is_late: false },
                });
            }
        }
        self.weigh_load(n, space)?;
        let Some(hosted) = self.nodes[n].hosted.get_mut(&space) else { return Ok(()) };
        let did = did || !parcels.is_empty();
        hosted.idle_wakes = if did { 0 } else { hosted.idle_wakes + 1 };
        let is_busy = hosted.idle_wakes < IDLE_WAKES_MAX;
        Self::live_demand(is_busy, || {
            let wake = hosted.service.wake_at(local, wall);
            format!(
                "node {n} is woken again and again at {wake:?} for nothing: {:?}",
                hosted.service
            )
        })?;
        let rounds = hosted.tasks.values().map(|running| running.flight.wake_at());
        let next = rounds.chain(hosted.service.wake_at(local, wall)).min();
        if let Some(next) = next {
            let at = clock.time_of(next).max(now + 1);
            if hosted.wake <= now || at < hosted.wake {
                hosted.wake = at;
                self.after(at - now, Event::Wake { node: n, life, space });
            }
        }
        for parcel in parcels {
            if !self.send(parcel) {
                break;
            }
        }
        Ok(())
    }
}
