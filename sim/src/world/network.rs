//! What becomes of a request on its way to the store, and of its reply on the way back.

use std::sync::Arc;

use sana_engine::machine::request::{Reply, Request};
use sana_engine::service::task::TaskId;

use crate::choices::Site;
use crate::oracles::Broken;
use crate::oracles::linearizability::OpId;
use crate::words;
use crate::world::profile::Fault;
use crate::world::{Event, World};

/// A request on its way, or its reply.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Parcel {
    /// Who sent it, and in which life.
    pub node: usize,
    /// The life of the sender.
    pub life: u32,
    /// The namespace it is about.
    pub space: usize,
    /// The machine that waits.
    pub task: TaskId,
    /// Which of its rounds.
    pub round: u32,
    /// The requests of clients that it works for.
    pub ops: Arc<[OpId]>,
    /// The place of the request in the round.
    pub place: usize,
    /// The request.
    pub request: Request,
    /// Whether the sender hears of it, and how.
    pub answer: Answer,
}

/// What the sender of a request hears.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Answer {
    /// What the store says.
    True,
    /// That the connection broke, once the store has performed it.
    Broken,
    /// Nothing.
    None,
    /// This. The store has been asked.
    Reply(Reply),
}

/// The longest that a late write is on its way, in milliseconds.
const LATE_MOST: u64 = 60_000;

impl World {
    /// Sends a request of a round. False if the node crashed over it.
    pub(super) fn send(&mut self, mut parcel: Parcel) -> bool {
        let node = parcel.node;
        let faults = self.profile.faults;
        let roll = if self.is_faulty { self.choices.choose(Site::Node, 1_000) as u32 } else { 999 };
        if roll < faults.crash / 2 {
            self.activations.count(Fault::CrashBefore);
            self.crash(node);
            return false;
        }
        self.dispatch(&mut parcel);
        if roll < faults.crash {
            self.activations.count(Fault::CrashAfter);
            self.crash(node);
            return false;
        }
        if roll < faults.crash + faults.pause {
            let pause = self.choices.between(Site::Node, 100, 40_000);
            self.activations.count(Fault::Paused);
            self.nodes[node].paused_until = self.now + pause;
            self.tell(|| format!("node {node} stands still for {pause} ms"));
        } else if roll < faults.crash + faults.pause + faults.calendar {
            let off = self.choices.between(Site::Node, 0, 200_000).cast_signed() - 100_000;
            self.activations.count(Fault::CalendarSet);
            self.nodes[node].clock.calendar_off = off;
            self.skew.set(off);
        }
        true
    }

    fn dispatch(&mut self, parcel: &mut Parcel) {
        let (least, most) = self.profile.latency;
        let delay = self.choices.between(Site::Delay, least, most);
        let faults = self.profile.faults;
        let roll = if self.is_faulty { self.choices.choose(Site::Fate, 1_000) as u32 } else { 999 };
        let is_read = parcel.request.is_read();
        let noticed = |world: &mut Self| world.choices.chance(Site::Fate, faults.noticed);
        if roll < faults.dropped {
            self.activations.count(if is_read { Fault::ReadLost } else { Fault::WriteDropped });
            self.tell_exchange(parcel, "never arrives");
            if noticed(self) {
                self.reply_after(delay, parcel, Reply::Lost);
            }
            return;
        }
        if roll < faults.dropped + faults.throttled {
            self.activations.count(Fault::Throttled);
            self.reply_after(delay, parcel, Reply::Throttled);
            return;
        }
        let refused = faults.dropped + faults.throttled + faults.conflict;
        if roll < refused && matches!(parcel.request, Request::Put { .. }) {
            self.activations.count(Fault::Conflict);
            self.tell_exchange(parcel, "is refused for no reason");
            self.reply_after(delay, parcel, Reply::Refused);
            return;
        }
        let mut arrives = delay;
        let lost = refused + faults.reply_lost;
        if roll < lost {
            let what = if is_read { Fault::ReadLost } else { Fault::ReplyLost };
            self.activations.count(what);
            parcel.answer = if noticed(self) { Answer::Broken } else { Answer::None };
        } else if roll < lost + faults.late && !is_read {
            arrives = self.choices.between(Site::Delay, most, LATE_MOST);
            parcel.answer = Answer::None;
            self.tell_exchange(parcel, "will arrive late");
            if noticed(self) {
                self.reply_after(delay, parcel, Reply::Lost);
            }
        }
        if words::is_head(&parcel.request) && !is_read {
            *self.flying.entry((parcel.node, parcel.life, parcel.space)).or_default() += 1;
        }
        self.after(arrives, Event::Arrive(Box::new(parcel.clone())));
    }

    fn reply_after(&mut self, delay: u64, parcel: &Parcel, reply: Reply) {
        let parcel = Parcel { answer: Answer::Reply(reply), ..parcel.clone() };
        self.after(delay, Event::Return(Box::new(parcel)));
    }

    fn tell_exchange(&mut self, parcel: &Parcel, what: &str) {
        let Parcel { node, request, .. } = parcel;
        self.tell(|| format!("node {node}: {} {what}", words::exchange(request, &Reply::Lost)));
    }

    /// A request reaches the store and is performed.
    #[expect(clippy::needless_pass_by_value, reason = "a parcel arrives once")]
    pub(super) fn arrive(&mut self, parcel: Parcel) -> Result<(), Broken> {
        let Parcel { node, life, space, request, .. } = &parcel;
        let (node, life, space) = (*node, *life, *space);
        let reply = self.store.perform(request);
        self.requests += 1;
        self.note(request);
        self.note(&reply);
        let (from, again) = (self.nodes[node].life, self.nodes[node].is_up);
        if !request.is_read() {
            let exchange = || words::exchange(&parcel.request, &reply);
            self.tell(|| format!("node {node} (life {life}): {}", exchange()));
        }
        if words::is_head(request) && !request.is_read() {
            self.flown((node, life, space));
            let is_late = !self.waits_for(&parcel);
            match reply {
                Reply::Stored { .. } if life < from || !again => {
                    self.activations.count(Fault::LandedAfterCrash);
                }
                Reply::Stored { .. } if is_late => self.activations.count(Fault::LandedLate),
                Reply::Refused => self.activations.count(Fault::Refused),
                _ => {}
            }
        }
        let witness = &mut self.spaces[space].witness;
        let lives = witness.chain().lives();
        witness.saw_from(&self.store, request, &reply, Some(&parcel.ops))?;
        let was_reborn = lives > 0 && lives < witness.chain().lives();
        if was_reborn {
            self.activations.count(Fault::Reborn);
        }
        let truth = self.spaces[space].witness.monitor.truth().clone();
        if self.spaces[space].past.last().is_none_or(|(_, last)| *last != truth) {
            self.remember(space, truth);
        }
        self.close(space);
        match parcel.answer {
            Answer::True => {
                let (least, most) = self.profile.latency;
                let delay = self.choices.between(Site::Delay, least, most);
                self.reply_after(delay, &parcel, reply);
            }
            Answer::Broken => self.reply_after(1, &parcel, Reply::Lost),
            Answer::None | Answer::Reply(_) => {}
        }
        Ok(())
    }

    /// A put of a head has arrived.
    fn flown(&mut self, by: (usize, u32, usize)) {
        let count = self.flying.remove(&by).map_or(0, |count| count - 1);
        if count > 0 {
            self.flying.insert(by, count);
        }
    }

    /// Whether the machine still waits that sent this.
    pub(super) fn waits_for(&self, parcel: &Parcel) -> bool {
        let node = &self.nodes[parcel.node];
        let task = node.hosted.get(&parcel.space).and_then(|hosted| hosted.tasks.get(&parcel.task));
        node.life == parcel.life && task.is_some_and(|running| running.round == parcel.round)
    }
}
