//! What becomes of a request on its way to the store, and of its reply on the way back.

use std::sync::Arc;

use sana_engine::format::layout;
use sana_engine::machine::request::{Reply, Request};
use sana_engine::service::cache::{Keep, ReadId};

use crate::choices::{Scope, Site};
use crate::digest;
use crate::ledger;
use crate::oracles::Broken;
use crate::oracles::linearizability::OpId;
use crate::story::{Act, Lane, Letter};
use crate::words;
use crate::world::damage::{PARTS, Spoil};
use crate::world::node::{Errand, Running};
use crate::world::profile::Fault;
use crate::world::watch::Passage;
use crate::world::weather::Breach;
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
    pub errand: Errand,
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
    /// What is to become of what it reads.
    pub keep: Keep,
    /// Which read of its node's cache it is, if it is one.
    pub read: Option<ReadId>,
    /// Which of its sender's reads or writes about the namespace it is.
    pub number: u32,
    /// Whether what it says is not what the store holds.
    pub is_spoiled: bool,
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
    /// What the store says, spoiled.
    Spoiled(Spoil),
    /// What the store says when it performs it again so many milliseconds later.
    Again(u64),
    /// This. The store has been asked.
    Reply(Reply),
}

/// The longest that a late write is on its way, in milliseconds.
const LATE_MOST: u64 = 60_000;
/// The longest until a write is performed again, in milliseconds.
const TWICE_MOST: u64 = 5_000;
/// The longest that a slow reply is on its way, in milliseconds.
const SLOW_MOST: u64 = 10_000;

/// What becomes of a node as it sends a request, by its way.
mod hap {
    pub(super) const CRASH_BEFORE: usize = 1;
    pub(super) const CRASH_AFTER: usize = 2;
    pub(super) const PAUSE: usize = 3;
    pub(super) const CALENDAR: usize = 4;
    pub(super) const PURGE: usize = 5;
}

/// What becomes of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Answered,
    TurnedAway,
    Dropped,
    ReplyLost,
    Conflict,
    Late,
    Twice,
    Flipped,
    Cut,
    Unreadable,
    Blip,
    Slow,
}

impl Fate {
    /// Those of reads, by their ways.
    const OF_READ: [Self; 9] = [
        Self::Answered,
        Self::TurnedAway,
        Self::Dropped,
        Self::ReplyLost,
        Self::Flipped,
        Self::Cut,
        Self::Unreadable,
        Self::Blip,
        Self::Slow,
    ];
    /// Those of writes.
    const OF_WRITE: [Self; 8] = [
        Self::Answered,
        Self::TurnedAway,
        Self::Dropped,
        Self::ReplyLost,
        Self::Conflict,
        Self::Late,
        Self::Twice,
        Self::Slow,
    ];
}

impl Parcel {
    /// What tells it from all others that are under way.
    pub fn letter(&self) -> Letter {
        digest::of(&(self.node, self.life, self.space, self.errand, self.round, self.place))
    }
}

impl World {
    /// Sends a request of a round. False if the node crashed over it.
    pub(super) fn send(&mut self, mut parcel: Parcel) -> bool {
        let (n, space, is_read) = (parcel.node, parcel.space, parcel.request.is_read());
        if self.nodes[n].is_cut {
            return true;
        }
        let sent = self.nodes[n].sent(space, is_read);
        parcel.number = sent;
        let scope = if is_read { Scope::Read } else { Scope::Write };
        self.choices.enter(scope(n as u32, space as u32, sent));
        let what = if self.is_faulty {
            let faults = self.profile.faults_of(parcel.passage.site);
            self.choices.weigh(Site::Node, &faults.haps())
        } else {
            0
        };
        if what == hap::CRASH_BEFORE {
            self.activations.count(Fault::CrashBefore);
            self.watch.unsent(&parcel);
            self.crash(n);
            return false;
        }
        self.dispatch(parcel);
        match what {
            hap::CRASH_AFTER => {
                self.activations.count(Fault::CrashAfter);
                self.crash(n);
                return false;
            }
            hap::PAUSE => self.stand_still(n),
            hap::PURGE => {
                let life = self.nodes[n].life;
                self.after(0, Event::Purge { node: n, life, space });
            }
            hap::CALENDAR => {
                // To either side: the nearest first.
                let drawn = self.choices.between(Site::Node, 0, 200_000).cast_signed();
                let off = if drawn % 2 == 0 { drawn / 2 } else { -(drawn + 1) / 2 };
                self.activations.count(Fault::CalendarSet);
                let jump = [0, 1_000, 60_000][self.choices.choose(Site::Node, 3)];
                self.nodes[n].clock.calendar_off = off;
                self.nodes[n].clock.ahead += jump;
                self.tell(|| {
                    Act::Does(Lane::Node(n), format!("has its calendar set {off} ms off"))
                });
                self.skew.set(off);
            }
            _ => {}
        }
        true
    }

    /// A node stands still for a while, and its clock for waiting goes on or not.
    fn stand_still(&mut self, n: usize) {
        let pause = self.choices.between(Site::Node, 100, 40_000);
        let sleeps = self.choices.chance(Site::Node, 300);
        self.activations.count(Fault::Paused);
        let settings = self.profile.settings;
        let longest = settings.write_time_max.max(settings.query_time_max);
        if longest.max(settings.trash_retention).as_millis() < pause.into() {
            self.activations.count(Fault::PausedLong);
        }
        self.nodes[n].stand_still(self.now, pause, sleeps);
        if sleeps {
            self.activations.count(Fault::Suspended);
        }
        let until = self.now + pause;
        self.tell(|| Act::Stands { who: Lane::Node(n), until });
        if sleeps {
            self.tell(|| Act::Does(Lane::Node(n), "loses the time with its clock".to_owned()));
        }
    }

    /// What becomes of a request, if nothing is in its way.
    fn fate(&mut self, parcel: &Parcel) -> Fate {
        if !self.is_faulty {
            return Fate::Answered;
        }
        let faults = self.profile.faults_of(parcel.passage.site);
        let is_put = matches!(parcel.request, Request::Put { .. });
        if parcel.request.is_read() {
            Fate::OF_READ[self.choices.weigh(Site::Fate, &faults.fates_of_read())]
        } else {
            Fate::OF_WRITE[self.choices.weigh(Site::Fate, &faults.fates_of_write(is_put))]
        }
    }

    fn dispatch(&mut self, mut parcel: Parcel) {
        self.tell_sent(&parcel);
        let (least, most) = self.profile.latency;
        let mut delay = self.choices.between(Site::Delay, least, most);
        parcel.back = self.choices.between(Site::Delay, least, most);
        let is_read = parcel.request.is_read();
        let fate = self.fate(&parcel);
        if let Some((fault, breach)) = self.weather.meets(self.now, &parcel) {
            self.activations.count(fault);
            self.tell_exchange(&parcel, &format!("meets {fault:?}, {breach:?}"));
            return self.brave(delay, parcel, breach);
        }
        match fate {
            Fate::Answered => {}
            Fate::TurnedAway => {
                self.activations.count(Fault::Throttled);
                self.watch.seal(&parcel, ledger::Fate::Throttled);
                self.tell_exchange(&parcel, "is turned away");
                return self.reply_after(delay, parcel, Reply::Throttled);
            }
            Fate::Dropped => {
                self.activations.count(if is_read { Fault::ReadLost } else { Fault::WriteDropped });
                self.watch.seal(&parcel, ledger::Fate::LostBefore);
                self.tell_exchange(&parcel, "never arrives");
                if self.is_noticed() {
                    let broken = if is_read { Fault::ReadLost } else { Fault::BrokenBefore };
                    self.activations.count(broken);
                    self.reply_after(delay, parcel, Reply::Lost);
                }
                return;
            }
            Fate::Conflict => {
                if self.refuses(&parcel) {
                    self.watch.seal(&parcel, ledger::Fate::Refused);
                    return self.reply_after(delay, parcel, Reply::Refused);
                }
            }
            Fate::ReplyLost => {
                self.activations.count(if is_read { Fault::ReadLost } else { Fault::ReplyLost });
                self.tell_exchange(&parcel, "will not be answered");
                parcel.answer = if self.is_noticed() { Answer::Broken } else { Answer::None };
            }
            Fate::Late => {
                delay = self.choices.between(Site::Delay, most, LATE_MOST);
                parcel.answer = Answer::None;
                parcel.passage.is_late = true;
                self.tell_exchange(&parcel, "will arrive late");
                if self.is_noticed() {
                    self.reply_after(parcel.back, parcel.clone(), Reply::Lost);
                }
            }
            Fate::Twice => {
                let again = self.choices.between(Site::Delay, most, TWICE_MOST);
                parcel.answer = Answer::Again(again);
                self.tell_exchange(&parcel, "will be performed twice");
            }
            Fate::Slow => {
                self.activations.count(Fault::Slow);
                parcel.back = self.choices.between(Site::Delay, most, SLOW_MOST);
            }
            Fate::Flipped => self.spoil(&mut parcel, Spoil::Flip),
            Fate::Cut => self.spoil(&mut parcel, Spoil::Cut),
            Fate::Unreadable => self.spoil(&mut parcel, |_| Spoil::Unreadable),
            Fate::Blip => self.spoil(&mut parcel, |_| Spoil::Missing),
        }
        self.send_off(delay, parcel);
    }

    /// A request meets the weather.
    fn brave(&mut self, delay: u64, mut parcel: Parcel, breach: Breach) {
        match breach {
            Breach::TurnedAway => {
                self.watch.seal(&parcel, ledger::Fate::Throttled);
                return self.reply_after(delay, parcel, Reply::Throttled);
            }
            Breach::Silent => return self.watch.seal(&parcel, ledger::Fate::LostBefore),
            Breach::Mute => parcel.answer = Answer::None,
            Breach::Unreadable => parcel.answer = Answer::Spoiled(Spoil::Unreadable),
        }
        self.send_off(delay, parcel);
    }

    /// Whether who sent a request that is lost hears of it at once.
    fn is_noticed(&mut self) -> bool {
        self.choices.chance(Site::Fate, self.profile.faults.noticed)
    }

    /// Whether a write is refused for what others do meanwhile. Only puts are.
    fn refuses(&mut self, parcel: &Parcel) -> bool {
        if !matches!(parcel.request, Request::Put { .. }) {
            return false;
        }
        self.activations.count(Fault::Conflict);
        let space = parcel.space;
        if words::is_head(&parcel.request) && self.flying.keys().any(|(.., s)| *s == space) {
            self.activations.count(Fault::ConflictInRace);
        }
        self.tell_exchange(parcel, "is refused for no reason");
        true
    }

    /// What a read will say is not what the store holds. Registers are always found.
    fn spoil(&mut self, parcel: &mut Parcel, how: impl FnOnce(u64) -> Spoil) {
        let part = self.choices.between(Site::Fate, 0, PARTS - 1);
        let spoil = how(part);
        if spoil != Spoil::Missing || layout::is_immutable(parcel.request.key()) {
            parcel.answer = Answer::Spoiled(spoil);
        }
    }

    fn send_off(&mut self, delay: u64, parcel: Parcel) {
        if words::is_head(&parcel.request) && !parcel.request.is_read() {
            *self.flying.entry((parcel.node, parcel.life, parcel.space)).or_default() += 1;
        }
        self.after(delay, Event::Arrive(Box::new(parcel)));
    }

    fn reply_after(&mut self, delay: u64, parcel: Parcel, reply: Reply) {
        let parcel = Parcel { answer: Answer::Reply(reply), ..parcel };
        self.after(delay, Event::Return(Box::new(parcel)));
    }

    fn tell_exchange(&mut self, parcel: &Parcel, what: &str) {
        self.tell(|| Act::Astray { letter: parcel.letter(), text: what.into() });
    }

    fn tell_sent(&mut self, parcel: &Parcel) {
        let Parcel { node, space, errand, request, .. } = parcel;
        let hosted = self.nodes[*node].hosted.get(space);
        let running = hosted.and_then(|hosted| hosted.running(*errand));
        let machine = running.map_or("", |running| words::machine(&running.task));
        self.tell(|| Act::Sent {
            letter: parcel.letter(),
            from: Lane::Node(*node),
            to: words::lane(request),
            machine,
            text: words::request(request),
            brief: words::brief(request),
            is_read: request.is_read(),
        });
    }

    /// A request reaches the store and is performed.
    pub(super) fn arrive(&mut self, parcel: Parcel) -> Result<(), Broken> {
        let Parcel { node, life, space, request, .. } = &parcel;
        let (node, life, space) = (*node, *life, *space);
        let reply = self.perform(&parcel);
        self.requests += 1;
        self.note(request);
        self.note(&reply);
        self.saw_arrival(&parcel, &reply)?;
        let is_late = !self.waits_for(&parcel);
        self.tell(|| Act::Performed {
            letter: parcel.letter(),
            reply: words::reply(&parcel.request, &reply),
            is_good: words::is_good(&reply),
            is_late,
        });
        if !request.is_read() {
            self.count_landing(&parcel, &reply);
        }
        if words::is_head(request) && !request.is_read() {
            self.flown((node, life, space));
        }
        let witness = &mut self.spaces[space].witness;
        let lives = witness.chain().lives();
        witness.saw_from(&self.store, request, &reply, Some(&parcel.ops))?;
        let was_reborn = lives > 0 && lives < witness.chain().lives();
        if words::is_head(&parcel.request) && matches!(reply, Reply::Stored { .. }) {
            self.watch_space(space);
            self.saw_head(&parcel)?;
        }
        if was_reborn {
            self.activations.count(Fault::Reborn);
        }
        let truth = self.spaces[space].witness.monitor.truth().clone();
        if self.spaces[space].past.last().is_none_or(|(_, last)| *last != truth) {
            self.remember(space, truth);
        }
        self.answer(parcel, reply);
        self.close(space);
        Ok(())
    }

    /// What the store does with a request.
    fn perform(&mut self, parcel: &Parcel) -> Reply {
        let (now, every) = (self.now, self.profile.backend.write_every);
        if self.weather.is_spent(now, every, &parcel.request) {
            self.activations.count(Fault::KeyBudget);
            return Reply::Throttled;
        }
        let reply = self.store.perform(&parcel.request);
        for fault in self.weather.performed(now, every, parcel, &reply) {
            self.activations.count(fault);
        }
        reply
    }

    /// What it means that a write was performed now.
    fn count_landing(&mut self, parcel: &Parcel, reply: &Reply) {
        let (from, is_up) = (self.nodes[parcel.node].life, self.nodes[parcel.node].is_up);
        let is_late = !self.waits_for(parcel);
        let is_head = words::is_head(&parcel.request);
        let is_done = matches!(reply, Reply::Stored { .. } | Reply::Deleted);
        if is_done && parcel.life < from && is_up {
            self.activations.count(Fault::LandedAfterRestart);
        }
        match reply {
            Reply::Stored { .. } if is_head && (parcel.life < from || !is_up) => {
                self.activations.count(Fault::LandedAfterCrash);
            }
            Reply::Stored { .. } if is_head && is_late => {
                self.activations.count(Fault::LandedLate);
            }
            Reply::Stored { .. } if is_late => self.activations.count(Fault::LateOrphan),
            Reply::Refused if is_head => self.activations.count(Fault::Refused),
            _ => {}
        }
    }

    /// The sender of a request that was performed hears of it, or not.
    fn answer(&mut self, mut parcel: Parcel, reply: Reply) {
        let back = parcel.back;
        match parcel.answer {
            Answer::True => self.reply_after(back, parcel, reply),
            Answer::Broken => {
                if !parcel.request.is_read() {
                    self.activations.count(Fault::BrokenAfter);
                }
                self.reply_after(1, parcel, Reply::Lost);
            }
            Answer::Again(later) => {
                self.activations.count(Fault::Twice);
                parcel.answer = Answer::True;
                self.send_off(later, parcel);
            }
            Answer::Spoiled(spoil) => match spoil.of(&reply) {
                None => self.reply_after(back, parcel, reply),
                Some((reply, fault)) => {
                    self.activations.count(fault);
                    self.tell_exchange(&parcel, &format!("goes wrong: {spoil:?}"));
                    parcel.is_spoiled = true;
                    self.reply_after(back, parcel, reply);
                }
            },
            Answer::None | Answer::Reply(_) => {}
        }
    }

    /// A put of a head has arrived.
    fn flown(&mut self, by: (usize, u32, usize)) {
        let count = self.flying.remove(&by).map_or(0, |count| count - 1);
        if count > 0 {
            self.flying.insert(by, count);
        }
    }

    /// Whether the machine still waits for an answer that sent this.
    pub(super) fn waits_for(&self, parcel: &Parcel) -> bool {
        let node = &self.nodes[parcel.node];
        let hosted = node.hosted.get(&parcel.space);
        let running = hosted.and_then(|hosted| hosted.running(parcel.errand));
        let waits = |running: &Running| {
            running.past.round == parcel.round && running.queued_until.is_none()
        };
        node.life == parcel.life && running.is_some_and(waits)
    }

    /// Whether a machine of a node in this life is still in this round, waits for a processor to end it, or
    /// computes what comes of it.
    pub(super) fn is_in_round(
        &self,
        node: usize,
        life: u32,
        space: usize,
        errand: Errand,
        round: u32,
    ) -> bool {
        let node = &self.nodes[node];
        let hosted = node.hosted.get(&space).filter(|_| node.life == life);
        hosted.is_some_and(|hosted| hosted.is_in_round(errand, round))
    }
}
