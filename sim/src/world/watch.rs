//! What the whole world is watched for: reuse, bounds, costs, and what was come across.

use std::collections::{BTreeMap, BTreeSet};

use sana_engine::base::name::Key;
use sana_engine::machine::request::{Reply, Request, When};
use sana_engine::namespace::request::{QueryError, Rank, Want, WriteError, WriteRequest};
use sana_engine::service::namespace::{Ticket, Word};
use sana_engine::service::task::Output;

use crate::ledger::{self, Ledger};
use crate::marks::{Mark, Tally};
use crate::oracles::Broken;
use crate::oracles::bounds::{self, Load};
use crate::oracles::cost::{Bill, Costs, Work};
use crate::oracles::history::{Orders, STATES_MAX};
use crate::oracles::linearizability::OpId;
use crate::oracles::reachability;
use crate::oracles::reuse::{Maker, Reuse};
use crate::oracles::snapshots::Asked;
use crate::words;
use crate::workload::Ask;
use crate::world::cache::NodeCache;
use crate::world::network::{Answer, Parcel};
use crate::world::node::Errand;
use crate::world::{Space, World};

/// All of that.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    reuse: Reuse,
    /// What is counted.
    pub counts: Counts,
    /// Of each node, the writes whose fate is sealed. It may still crash while it waits.
    sealed: BTreeMap<usize, Vec<Sealed>>,
    /// Objects that nobody may name though their makers are not to blame: those that were created late or for
    /// the second time when nobody waited to hear of it any more, and what a namespace had named until somebody
    /// else deleted it.
    excused: BTreeSet<Key>,
    /// By namespace, the requests that first took effect under each key.
    keys: BTreeMap<(usize, String), Keyed>,
}

/// What a run counts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Situations.
    pub marks: Tally,
    /// Writes and their fates.
    pub ledger: Ledger,
    /// Histories by what came of looking for an order without knowing the store's.
    pub orders: Orders,
    /// Rounds and requests of operations to which nothing happened.
    pub costs: Costs,
}

impl Counts {
    /// Adds those of another world.
    pub fn add(&mut self, other: &Self) {
        self.marks.add(&other.marks);
        self.ledger.add(&other.ledger);
        self.costs.add(&other.costs);
        self.orders.add(other.orders);
    }
}

/// A write whose fate is sealed, and who waits to hear of it.
#[derive(Clone, Copy, Debug)]
struct Sealed {
    life: u32,
    space: usize,
    errand: Errand,
    round: u32,
    site: ledger::Site,
    fate: ledger::Fate,
}

/// The request that took effect under a key, and the commit.
#[derive(Clone, Copy, Debug)]
struct Keyed {
    op: OpId,
    cursor: u64,
    life: usize,
}

/// What a parcel is to the ledger.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Passage {
    /// What it writes.
    pub site: Option<ledger::Site>,
    /// Whether it is on its way for longer than its sender waits.
    pub is_late: bool,
}

impl Watch {
    /// Who first tried to create an object, if anybody did.
    pub fn maker(&self, key: &Key) -> Option<Maker> {
        self.reuse.maker(key)
    }

    /// Whether it is not for its maker to see to it that an object is gone that nobody names.
    pub fn is_excused(&self, key: &Key) -> bool {
        self.excused.contains(key)
    }

    /// The fate of a write is sealed, and its sender has not crashed so far.
    pub fn seal(&mut self, parcel: &Parcel, fate: ledger::Fate) {
        let &Parcel { node, life, space, errand, round, .. } = parcel;
        if let Some(site) = parcel.passage.site {
            let sealed = Sealed { life, space, errand, round, site, fate };
            self.sealed.entry(node).or_default().push(sealed);
        }
    }

    /// Nobody crashes any more.
    pub fn give_up(&mut self) {
        for Sealed { site, fate, .. } in std::mem::take(&mut self.sealed).into_values().flatten() {
            self.counts.ledger.count(site, fate, false);
        }
    }

    /// A write was not sent, for its sender crashed.
    pub const fn unsent(&mut self, parcel: &Parcel) {
        if let Some(site) = parcel.passage.site {
            self.counts.ledger.unsent(site);
        }
    }
}

impl World {
    /// A node crashes, or some of its namespaces do, and may wait to hear of some of its writes.
    pub(super) fn saw_crash_in(&mut self, n: usize, crashes: impl Fn(usize) -> bool) {
        let sealed = self.watch.sealed.remove(&n).unwrap_or_default();
        let (over, others): (Vec<_>, Vec<_>) =
            sealed.into_iter().partition(|sealed| crashes(sealed.space));
        if !others.is_empty() {
            self.watch.sealed.insert(n, others);
        }
        for Sealed { life, space, errand, round, site, fate } in over {
            let waits = self.is_in_round(n, life, space, errand, round);
            self.watch.counts.ledger.count(site, fate, waits);
        }
    }

    /// A request has reached the store.
    pub(super) fn saw_arrival(&mut self, parcel: &Parcel, reply: &Reply) -> Result<(), Broken> {
        let &Parcel { node, life, space, errand, ref request, .. } = parcel;
        if let Some(site) = parcel.passage.site {
            let fate = match (&parcel.answer, reply) {
                _ if parcel.passage.is_late => ledger::Fate::Late,
                (Answer::Broken | Answer::None, _) => ledger::Fate::LostAfter,
                (_, Reply::Refused) => ledger::Fate::Refused,
                (_, Reply::Throttled) => ledger::Fate::Throttled,
                _ => ledger::Fate::Stored,
            };
            let has_crashed = self.nodes[node].life != life || !self.nodes[node].is_up;
            let landed = matches!(reply, Reply::Stored { .. }) && request.is_visible();
            if landed && (has_crashed || !self.waits_for(parcel)) {
                let late = Mark::LandedLate.bit() | bit(has_crashed, Mark::LandedAfterCrash);
                self.watch.counts.marks.count(late);
            }
            if has_crashed {
                self.watch.counts.ledger.count(site, fate, true);
            } else {
                self.watch.seal(parcel, fate);
            }
        }
        if let (Request::Put { key, when: When::Fresh, .. }, Reply::Stored { .. }) =
            (request, reply)
            && (parcel.passage.is_late || self.watch.maker(key).is_some())
            && !self.is_in_round(node, life, space, errand, parcel.round)
        {
            self.watch.excused.insert(key.clone());
        }
        // What the collector deletes was named, and is no orphan.
        if parcel.passage.site.is_some_and(|site| site != ledger::Site::TrashDeletion) {
            let head = self.spaces[space].witness.chain().head();
            self.watch.counts.marks.count(Mark::of_request(head, request, reply));
        }
        if *reply == Reply::NotModified && words::is_head(request) {
            self.watch.counts.marks.count(Mark::UnchangedHead.bit());
        }
        self.watch.reuse.created(Maker { node, life, space, errand }, request)
    }

    /// A head was put over another, as this request says.
    pub(super) fn saw_head(&mut self, parcel: &Parcel) -> Result<(), Broken> {
        let Request::Put { body, .. } = &parcel.request else { return Ok(()) };
        let now = self.now;
        let Space { name, versions, witness, before, .. } = &mut self.spaces[parcel.space];
        let Some(head) = witness.chain().head() else { return Ok(()) };
        versions.push(now, head, witness.monitor.truth().clone());
        self.watch.counts.marks.count(Mark::of_head(witness.chain()));
        bounds::check_head(head, body.len())?;
        self.watch.reuse.put(before.as_ref(), head)?;
        let committed = head.live().map(|live| live.log.committed.0);
        let life = witness.chain().lives();
        // Who deletes a namespace deletes what it had named.
        if let (None, Some(before)) = (head.live(), before.as_ref()) {
            let named = reachability::names(name, before).chain(reachability::trash(name, before));
            let by = (parcel.node, parcel.life);
            let is_of_others = |key: &Key| {
                self.watch.maker(key).is_some_and(|maker| (maker.node, maker.life) != by)
            };
            let named: Vec<Key> = named.filter(is_of_others).collect();
            self.watch.excused.extend(named);
        }
        *before = Some(head.clone());
        for op in parcel.ops.iter().filter(|_| committed.is_some()) {
            let hosted = self.nodes[parcel.node].hosted.get(&parcel.space);
            let client = hosted.and_then(|hosted| hosted.tickets.get(&Ticket((*op).into())));
            let waiting = client.and_then(|client| self.clients[*client].waiting.as_ref());
            let Some(Ask::Write(request)) = waiting.filter(|w| w.op == *op).map(|w| &w.ask) else {
                continue;
            };
            if let Some(key) = &request.idempotency {
                let keyed = Keyed { op: *op, cursor: committed.unwrap_or_default(), life };
                let known = self.watch.keys.entry((parcel.space, key.key.clone())).or_insert(keyed);
                if known.life != life {
                    *known = keyed;
                }
            }
        }
        Ok(())
    }

    /// A machine has ended.
    pub(super) fn saw_end(
        &mut self,
        space: usize,
        asked: Option<&Asked>,
        bill: &Bill,
        output: &Output,
        marks: u64,
    ) -> Result<(), Broken> {
        let again = marks & Mark::DecidedAgain.bit() != 0;
        let matched = again && bill.work == Work::CommitMatching;
        let is_commit = matches!(output, Output::Commit(_));
        let more =
            bit(matched, Mark::MatchedAgain) | bit(is_commit && bill.staged > 0, Mark::StagedBatch);
        self.watch.counts.marks.count(marks | more);
        self.watch.counts.costs.count(bill);
        if let (Some(asked), Output::Query(outcome)) = (asked, output) {
            self.spaces[space].versions.check(asked, outcome)?;
        }
        bill.end(output)
    }

    /// Looks for an order of each history that is not too long.
    pub(super) fn look_for_orders(&mut self) -> Result<(), Broken> {
        let mut most = STATES_MAX;
        for space in 0..self.spaces.len() {
            let looked = std::mem::take(&mut self.spaces[space].history).check(&mut most)?;
            self.watch.counts.orders.count(looked);
        }
        Ok(())
    }

    /// What a service takes of its node.
    pub(super) fn weigh_load(&self, n: usize, space: usize) -> Result<(), Broken> {
        let Some(hosted) = self.nodes[n].hosted.get(&space) else { return Ok(()) };
        // Of a round that is over nobody listens for the rest.
        let flies = hosted.tasks.values().filter(|running| running.queued_until.is_none());
        let cached_bytes = self.nodes[n].cache.as_ref().map_or(0, NodeCache::bytes);
        bounds::check_load(Load {
            flying: flies.map(|running| running.flight.flying()).sum(),
            cached_bytes,
            cached_bytes_max: self.profile.cache_bytes as u64,
            machines: hosted.machines(),
            tickets: hosted.tickets.len(),
            waiting: hosted.service.waiting(),
            held_bytes: hosted.service.held_bytes(),
            unindexed_bytes_max: self.profile.settings.unindexed_bytes_max,
        })
    }

    /// A client was told something.
    pub(super) fn saw_word(&mut self, space: usize, op: OpId, ask: &Ask, word: &Word) {
        let bits = match (ask, word) {
            (Ask::Write(request), Word::Written(Ok(outcome))) => {
                let ids = outcome.affected.is_some();
                let named = [&request.upserts, &request.patches].into_iter().flatten().flatten();
                let few = outcome.upserted.unwrap_or(0) + outcome.patched.unwrap_or(0);
                let failed = request.is_conditional() && few < named.count() as u64;
                self.repeated(space, op, request)
                    | bit(ids, Mark::IdsTold)
                    | bit(failed, Mark::ConditionFailed)
            }
            (Ask::Write(_), Word::Written(Err(error))) => match error {
                WriteError::KeyReused => Mark::KeyReused.bit(),
                WriteError::Behind { .. } => Mark::TurnedBack.bit(),
                WriteError::ReadOnly => Mark::LockMet.bit(),
                WriteError::Invalid(_) | WriteError::Filter(_) => Mark::DroppedInFlight.bit(),
                _ => 0,
            },
            (Ask::Query(_), Word::Answered(Err(QueryError::Invalid(_)))) => {
                Mark::DroppedInFlight.bit()
            }
            (Ask::Query(query), Word::Answered(Ok(_))) => match &query.want {
                Want::Rows { rank: Rank::Nearest { .. }, .. } => {
                    bit(query.filter.is_some(), Mark::FilteredNearest)
                }
                Want::Several { fuse: Some(_), .. } => Mark::Fused.bit(),
                _ => 0,
            },
            _ => 0,
        };
        self.watch.counts.marks.count(bits);
    }

    /// Whether a write only repeated what its key stands for, and where the key was found.
    fn repeated(&self, space: usize, op: OpId, request: &WriteRequest) -> u64 {
        let Some(key) = &request.idempotency else { return 0 };
        let Some(keyed) = self.watch.keys.get(&(space, key.key.clone())) else { return 0 };
        let chain = self.spaces[space].witness.chain();
        let live = chain.head().and_then(|head| head.live());
        let Some(live) = live.filter(|_| chain.lives() == keyed.life && keyed.op != op) else {
            return 0;
        };
        let is_indexed = keyed.cursor <= live.log.indexed.0;
        if is_indexed { Mark::KeyInSegment.bit() } else { Mark::KeyInLog.bit() }
    }
}

const fn bit(holds: bool, mark: Mark) -> u64 {
    if holds { mark.bit() } else { 0 }
}
