//! What becomes of a request on its way to the store, and of its reply on the way back.

use std::sync::Arc;

use sana_engine::machine::request::{Reply, Request};
use sana_engine::service::task::TaskId;

use crate::choices::{Scope, Site};
use crate::ledger;
use crate::oracles::Broken;
use crate::oracles::linearizability::OpId;
use crate::words;
use crate::world::profile::Fault;
use crate::world::watch::Passage;
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
    /// How long its reply is on the way, in milliseconds.
    pub back: u64,
    /// Whether the sender hears of it, and how.
    pub answer: Answer,
    /// What it is to the ledger.
    pub passage: Passage,
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

/// What becomes of a node as it sends a request, by its way.
mod hap {
    pub(super) const CRASH_BEFORE: usize = 1;
    pub(super) const CRASH_AFTER: usize = 2;
    pub(super) const PAUSE: usize = 3;
    pub(super) const CALENDAR: usize = 4;
}

/// What becomes of a request, by its way.
mod fate {
    pub(super) const THROTTLED: usize = 1;
    pub(super) const DROPPED: usize = 2;
    pub(super) const REPLY_LOST: usize = 3;
    pub(super) const CONFLICT: usize = 4;
    pub(super) const LATE: usize = 5;
}

impl World {
    /// Sends a request of a round. False if the node crashed over it.
    pub(super) fn send(&mut self, mut parcel: Parcel) -> bool {
        let (n, space, is_read) = (parcel.node, parcel.space, parcel.request.is_read());
        let sent = self.nodes[n].sent(space, is_read);
        let scope = if is_read { Scope::Read } else { Scope::Write };
        self.choices.enter(scope(n as u32, space as u32, sent));
        let what = if self.is_faulty {
            self.choices.weigh(Site::Node, &self.profile.faults.haps())
        } else {
            0
        };
        if what == hap::CRASH_BEFORE {
            self.activations.count(Fault::CrashBefore);
            self.watch.unsent(&parcel);
            self.crash(n);
            return false;
        }
        self.dispatch(&mut parcel);
        self.watch.sent(what == hap::CRASH_AFTER);
        match what {
            hap::CRASH_AFTER => {
                self.activations.count(Fault::CrashAfter);
                self.crash(n);
                return false;
            }
            hap::PAUSE => {
                let pause = self.choices.between(Site::Node, 100, 40_000);
                self.activations.count(Fault::Paused);
                self.nodes[n].paused_until = self.now + pause;
                self.tell(|| format!("node {n} stands still for {pause} ms"));
            }
            hap::CALENDAR => {
                let off = self.choices.between(Site::Node, 0, 200_000).cast_signed() - 100_000;
                self.activations.count(Fault::CalendarSet);
                self.nodes[n].clock.calendar_off = off;
                self.skew.set(off);
            }
            _ => {}
        }
        true
    }

    fn dispatch(&mut self, parcel: &mut Parcel) {
        let (least, most) = self.profile.latency;
        let mut delay = self.choices.between(Site::Delay, least, most);
        parcel.back = self.choices.between(Site::Delay, least, most);
        let is_read = parcel.request.is_read();
        let is_put = matches!(parcel.request, Request::Put { .. });
        let faults = self.profile.faults;
        let fate = if self.is_faulty {
            self.choices.weigh(Site::Fate, &faults.fates(is_read, is_put))
        } else {
            0
        };
        let noticed = |world: &mut Self| world.choices.chance(Site::Fate, faults.noticed);
        match fate {
            fate::THROTTLED => {
                self.activations.count(Fault::Throttled);
                self.watch.doom(parcel, ledger::Fate::Throttled);
                self.tell_exchange(parcel, "is turned away");
                return self.reply_after(delay, parcel, Reply::Throttled);
            }
            fate::DROPPED => {
                self.activations.count(if is_read { Fault::ReadLost } else { Fault::WriteDropped });
                self.watch.doom(parcel, ledger::Fate::LostBefore);
                self.tell_exchange(parcel, "never arrives");
                if noticed(self) {
                    self.reply_after(delay, parcel, Reply::Lost);
                }
                return;
            }
            fate::CONFLICT if is_put => {
                self.activations.count(Fault::Conflict);
                self.watch.doom(parcel, ledger::Fate::Refused);
                self.tell_exchange(parcel, "is refused for no reason");
                return self.reply_after(delay, parcel, Reply::Refused);
            }
            fate::REPLY_LOST => {
                self.activations.count(if is_read { Fault::ReadLost } else { Fault::ReplyLost });
                self.tell_exchange(parcel, "will not be answered");
                parcel.answer = if noticed(self) { Answer::Broken } else { Answer::None };
            }
            fate::LATE if !is_read => {
                delay = self.choices.between(Site::Delay, most, LATE_MOST);
                parcel.answer = Answer::None;
                parcel.passage.is_late = true;
                self.tell_exchange(parcel, "will arrive late");
                if noticed(self) {
                    self.reply_after(parcel.back, parcel, Reply::Lost);
                }
            }
            _ => {}
        }
        if words::is_head(&parcel.request) && !is_read {
            *self.flying.entry((parcel.node, parcel.life, parcel.space)).or_default() += 1;
        }
        self.after(delay, Event::Arrive(Box::new(parcel.clone())));
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
        self.saw_arrival(&parcel, &reply)?;
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
        if words::is_head(request) && matches!(reply, Reply::Stored { .. }) {
            self.saw_head(&parcel)?;
        }
        if was_reborn {
            self.activations.count(Fault::Reborn);
        }
        let truth = self.spaces[space].witness.monitor.truth().clone();
        if self.spaces[space].past.last().is_none_or(|(_, last)| *last != truth) {
            self.remember(space, truth);
        }
        self.close(space);
        match parcel.answer {
            Answer::True => self.reply_after(parcel.back, &parcel, reply),
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
