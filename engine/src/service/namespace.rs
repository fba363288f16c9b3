//! One namespace on one node: what is held of it, who waits, and what is to be run next.
//!
//! # Invariants
//!
//! - **V1** At most one task of a node that puts heads to order runs at a time (*the turn*): the node
//!   never races with itself, and commits and publications take turns. Only garbage collection goes
//!   beside; it loses races without harm.
//! - **V2** A strong query is answered from a head whose check began after the query arrived. One
//!   check serves every query that arrived before it began.
//! - **V3** What is held is never replaced by an older version. Heads are never removed: a namespace that
//!   ends has one that says so.
//! - **V4** Every ticket is answered exactly once.
//! - **V5** Who has waited for the turn as long as a write may take is turned away: nothing was sent. Who
//!   was in a group that came to nothing waits as long once more, and so for a few of its others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::base::id::Nonces;
use crate::base::name::NamespaceName;
use crate::base::planted::{self, Bug};
use crate::base::time::{Timestamp, WallTime};
use crate::format::head::Head;
use crate::format::log::{Payload, WriteOutcome};
use crate::namespace::head::Spilled;
use crate::namespace::overlay::Decoded;
use crate::namespace::request::{
    Answer, Consistency, QueryError, QueryRequest, WriteError, WriteRequest,
};
use crate::namespace::snapshot::Snapshot;
use crate::ops::commit::{CommitPlan, Committed};
use crate::ops::delete::{DeleteError, Deleted};
use crate::ops::publication::Publicized;
use crate::ops::snapshot::{Held, RefreshError};
use crate::service::queue::{Ask, Queue};
use crate::service::settings::Settings;
use crate::service::task::{Output, Start, TaskId};
use crate::service::upkeep::Upkeep;
use crate::service::view::View;
use crate::service::writes::Group;

/// Names one request of a client among those of a driver.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub u64);

/// What a client is told.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Word {
    /// Of a write.
    Written(Result<WriteOutcome, WriteError>),
    /// Of a query.
    Answered(Result<Answer, QueryError>),
    /// Of a question about the namespace itself: its newest version.
    Described(Result<Arc<Snapshot>, QueryError>),
    /// Of a deletion: whether there was anything to delete.
    Deleted(Result<bool, DeleteError>),
}

/// One namespace on one node.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct NamespaceService {
    name: NamespaceName,
    settings: Settings,
    view: View,
    queue: Queue,
    running: BTreeMap<TaskId, Running>,
    started: u64,
    upkeep: Upkeep,
    spilled: Spilled,
    /// When work from here was last over that may have changed the head.
    put_at: Option<Timestamp>,
    /// Whether a publication had the turn last, so that a commit that waits goes before the next one.
    commit_is_next: bool,
}

/// What runs, and who is told of its end.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Running {
    /// `knew` says that a head was known when it began.
    Refresh {
        asks: Vec<Ask>,
        began: Timestamp,
        knew: bool,
    },
    Commit {
        group: Group,
        began: Timestamp,
    },
    Delete(Ticket),
    Query(Ask),
    Upkeep,
}

/// How often a query starts over because its snapshot was too old.
const RESTARTS_MAX: u32 = 3;

impl NamespaceService {
    /// A namespace of which nothing is known yet.
    pub fn new(now: Timestamp, name: NamespaceName, settings: Settings) -> Self {
        Self {
            name,
            settings,
            view: View::default(),
            queue: Queue::default(),
            running: BTreeMap::new(),
            started: 0,
            upkeep: Upkeep::new(now),
            spilled: Spilled::new(),
            put_at: None,
            commit_is_next: false,
        }
    }

    /// A client writes. `bytes` is about how large the request is.
    pub fn write(&mut self, now: Timestamp, ticket: Ticket, request: WriteRequest, bytes: usize) {
        self.queue.writes.push(now, ticket, request, bytes);
    }

    /// A client deletes the namespace.
    pub fn delete(&mut self, now: Timestamp, ticket: Ticket) {
        self.queue.deletes.push_back((now, ticket));
    }

    /// A client asks a query.
    pub fn query(&mut self, now: Timestamp, ticket: Ticket, request: QueryRequest) {
        let query = Some(Arc::new(request));
        self.queue.asks.push(Ask { ticket, query, arrived: now, restarts: 0 });
    }

    /// A client asks what the namespace is.
    pub fn describe(&mut self, now: Timestamp, ticket: Ticket) {
        self.queue.asks.push(Ask { ticket, query: None, arrived: now, restarts: 0 });
    }

    /// Somebody who knows says that there may be something to index.
    ///
    /// Does nothing where this node does not index.
    pub fn look(&mut self) {
        if self.settings.indexes {
            self.upkeep.look();
        }
    }

    /// Somebody who knows says that there may be objects that nobody names.
    ///
    /// Does nothing where this node does not index.
    pub fn suspect(&mut self, now: Timestamp) {
        if self.settings.indexes {
            self.upkeep.suspect(now, TaskId(self.started));
        }
    }

    /// Drops what was read of the namespace beside its head: the next query loads it anew. The head
    /// stays, for what this node writes and indexes starts from it (V3). What is under way ends with what it
    /// has read, and that is not held either.
    pub fn purge(&mut self) {
        self.view.drop_loaded(TaskId(self.started));
    }

    /// What is held that was read beside the head, as of the newest version for which it was.
    pub fn loaded(&self) -> Option<&Arc<Snapshot>> {
        self.view.snapshot()
    }

    /// The newest head this node knows of.
    pub fn head(&self) -> Option<&Arc<Head>> {
        self.view.version.as_ref().map(|(_, head)| head)
    }

    /// How many requests of clients wait for an operation to take them up.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Bytes of the unindexed batches that are held, as they are encoded. With the directories of the
    /// segments that is what a namespace takes of a node while nothing runs.
    pub fn held_bytes(&self) -> u64 {
        let loaded = self.view.loaded.as_ref().map(|(_, snapshot)| &snapshot.head);
        let live = loaded.and_then(|head| head.live());
        live.map_or(0, |live| live.log.unindexed_bytes())
    }

    /// Whether nothing runs, nobody waits, and there is nothing to index or delete, nor a sweep owed:
    /// then a driver may forget the namespace.
    pub fn is_idle(&self) -> bool {
        let quiet = self.running.is_empty() && self.queue.len() == 0;
        let live = self.head().and_then(|head| head.live());
        let done = live.is_none_or(|live| live.log.entries.is_empty() && live.trash.is_empty());
        quiet && self.upkeep.is_idle() && (done || !self.settings.indexes)
    }

    /// Whether it is known that there is no head, so that nothing may be deleted (H3).
    pub const fn is_absent(&self) -> bool {
        self.view.is_absent()
    }

    /// When work of this node was last over that may have left something behind, if a sweep is owed for it.
    pub fn owes_sweep_since(&self) -> Option<Timestamp> {
        self.upkeep.owes_sweep_since()
    }

    /// Whether, as of the newest version known, nothing is left to flush or to merge. To know of what
    /// others did, [`look`](Self::look) first.
    pub fn is_settled(&self) -> bool {
        let live = self.head().and_then(|head| head.live());
        let flushed = live.is_none_or(|live| live.log.entries.is_empty());
        let flushed = flushed || planted::is(Bug::LogsCountAsSettled);
        flushed && self.upkeep.is_settled(&self.view)
    }

    /// Whose requests an operation under way works for.
    pub fn tickets(&self, id: TaskId) -> Vec<Ticket> {
        match self.running.get(&id) {
            Some(Running::Commit { group, .. }) => group.tickets.clone(),
            Some(Running::Delete(ticket)) => vec![*ticket],
            Some(Running::Query(ask)) => vec![ask.ticket],
            Some(Running::Refresh { asks, .. }) => asks.iter().map(|ask| ask.ticket).collect(),
            Some(Running::Upkeep) | None => Vec::new(),
        }
    }

    /// When to call [`due`](Self::due) at the latest, if nothing else happens.
    pub fn wake_at(&self, now: Timestamp, wall: WallTime) -> Option<Timestamp> {
        let interval = self.settings.commit_interval_min;
        // Who waits for the turn is woken by the end of what has it.
        let is_free = !self.has_turn() && !self.upkeep.has_turn();
        let waits = !self.queue.writes.is_empty() || self.upkeep.waits_for_turn();
        let put = self.put_at.filter(|_| is_free && waits).map(|at| at + interval);
        let upkeep = self
            .settings
            .indexes
            .then(|| self.upkeep.wake_at(now, wall, &self.settings, &self.view));
        [put, upkeep.flatten()].into_iter().flatten().min()
    }

    /// The operations to begin now. Each is to be run to its end and reported to
    /// [`finished`](Self::finished). `seed` was never used before.
    pub fn due(&mut self, now: Timestamp, wall: WallTime, seed: u128) -> Vec<(TaskId, Start)> {
        let seed = if planted::is(Bug::NoncesComeBack) { 7 } else { seed };
        let mut nonces = Nonces::new(seed);
        let mut starts = Vec::new();
        self.start_queries(now, &mut starts);
        let lends = self.view.lend();
        if self.settings.indexes {
            let (name, settings) = (self.name.clone(), self.settings);
            let waits = self.commit_is_next && !self.queue.writes.is_empty();
            let free = !self.has_turn() && !self.is_early(now) && !waits;
            let upkeep =
                self.upkeep.due(now, wall, &name, &settings, &self.view, free, &mut nonces);
            for start in upkeep {
                let running = Running::Upkeep;
                starts.push((self.run(running), start));
            }
        }
        self.view.take_back(lends);
        self.start_refresh(now, &mut starts);
        if !self.has_turn() && !self.upkeep.has_turn() {
            starts.extend(self.start_delete(&mut nonces, now));
        }
        if !self.has_turn() && !self.upkeep.has_turn() {
            starts.extend(self.start_commit(now, wall, &mut nonces));
        }
        starts
    }

    /// An operation that was begun is over. Who is told what.
    ///
    /// # Panics
    ///
    /// If no such operation runs, or the head of the namespace was removed: then nothing that is known
    /// here is true any more, and a driver starts over with a new service.
    pub fn finished(&mut self, now: Timestamp, id: TaskId, output: Output) -> Vec<(Ticket, Word)> {
        let running = self.running.remove(&id).expect("V4: a task ends once");
        let mut words = match (running, output) {
            (
                Running::Refresh { knew: true, .. },
                Output::Refresh(Ok(Held { version: None, .. })),
            ) => {
                panic!("V3: a head that was there is gone, and nobody here removes heads")
            }
            (Running::Refresh { asks, began, .. }, Output::Refresh(outcome)) => {
                let began = if planted::is(Bug::AgeFromTheReply) { now } else { began };
                self.refreshed(now, id, asks, began, outcome)
            }
            (Running::Commit { group, began }, Output::Commit(committed)) => {
                self.committed(now, id, &group, began, *committed)
            }
            (Running::Delete(ticket), Output::Delete(outcome)) => {
                self.deleted(now, id, ticket, outcome)
            }
            (Running::Query(ask), Output::Query(outcome)) => self.answered(id, ask, outcome),
            (Running::Upkeep, output) => {
                if let Output::Publication(Publicized::Landed(..) | Publicized::Unknown) = output {
                    (self.put_at, self.commit_is_next) = (Some(now), true);
                }
                if let Some((held, directory)) =
                    self.upkeep.finished(now, TaskId(self.started), output)
                {
                    self.view.adopt(id, held, &[], directory);
                }
                Vec::new()
            }
            (running, output) => unreachable!("{output:?} does not end {running:?}"),
        };
        // What had the turn may have had it for long.
        words.extend(self.queue.turn_away(now, self.settings.write_time_max));
        words
    }

    fn run(&mut self, running: Running) -> TaskId {
        self.started += 1;
        let id = TaskId(self.started);
        self.running.insert(id, running);
        id
    }

    /// Whether a commit or a deletion runs (V1).
    fn has_turn(&self) -> bool {
        let takes =
            |running: &Running| matches!(running, Running::Commit { .. } | Running::Delete(_));
        self.running.values().any(takes)
    }

    /// Begins the queries whose check is over, and those that are content with what is held.
    fn start_queries(&mut self, now: Timestamp, starts: &mut Vec<(TaskId, Start)>) {
        for ask in core::mem::take(&mut self.queue.asks) {
            let consistency = ask.query.as_ref().map(|query| query.consistency);
            // What was checked is the newest version known: only if that is loaded, it answers.
            let newest = self.view.is_loaded() || planted::is(Bug::LoadedCountsAsNewest);
            let loaded = self.view.loaded.as_ref().filter(|_| newest);
            let loaded = loaded.map(|(_, snapshot)| snapshot.clone());
            match (consistency, self.view.checked_at, loaded) {
                (Some(Consistency::Eventual(most)), Some(at), Some(snapshot))
                    if now <= at + most || planted::is(Bug::StaleForEver) =>
                {
                    self.queue.ready.push((ask, snapshot));
                }
                _ => self.queue.asks.push(ask),
            }
        }
        for (ask, snapshot) in core::mem::take(&mut self.queue.ready) {
            starts.push(self.start_query(ask, snapshot));
        }
    }

    fn start_query(&mut self, ask: Ask, snapshot: Arc<Snapshot>) -> (TaskId, Start) {
        let request = ask.query.clone().expect("only queries are started");
        let deadline = ask.arrived + self.settings.query_time_max;
        let host = self.settings.host;
        (self.run(Running::Query(ask)), Start::Query { snapshot, request, host, deadline })
    }

    /// Begins a head check, if somebody waits for one and none is under way.
    fn start_refresh(&mut self, now: Timestamp, starts: &mut Vec<(TaskId, Start)>) {
        let refreshes = self.running.values().any(|r| matches!(r, Running::Refresh { .. }));
        let wanted = !self.queue.asks.is_empty() || self.upkeep.wants_refresh(now, &self.view);
        if refreshes && planted::is(Bug::EarlierCheckServes) {
            for running in self.running.values_mut() {
                if let Running::Refresh { asks, .. } = running {
                    asks.append(&mut self.queue.asks);
                }
            }
        }
        if refreshes || !wanted {
            return;
        }
        let asks = core::mem::take(&mut self.queue.asks);
        let deadline = now + self.settings.query_time_max;
        let start =
            Start::Refresh { namespace: self.name.clone(), held: self.view.loaded(), deadline };
        let knew = self.view.version.is_some();
        starts.push((self.run(Running::Refresh { asks, began: now, knew }), start));
    }

    /// Whether the head was changed from here so lately that the store may not take another change.
    fn is_early(&self, now: Timestamp) -> bool {
        self.put_at.is_some_and(|at| now < at + self.settings.commit_interval_min)
    }

    fn start_delete(&mut self, nonces: &mut Nonces, now: Timestamp) -> Option<(TaskId, Start)> {
        let (_, ticket) = self.queue.deletes.pop_front()?;
        let start = Start::Delete {
            namespace: self.name.clone(),
            held: self.view.held(),
            nonces: nonces.fork(),
            deadline: now + self.settings.write_time_max,
        };
        Some((self.run(Running::Delete(ticket)), start))
    }

    /// Begins a commit of all that waits, up to a bound: group commit.
    fn start_commit(
        &mut self,
        now: Timestamp,
        wall: WallTime,
        nonces: &mut Nonces,
    ) -> Option<(TaskId, Start)> {
        if self.is_early(now) {
            return None;
        }
        let group = self.queue.writes.take()?;
        let deadline = now + self.settings.write_time_max;
        let plan = CommitPlan {
            namespace: self.name.clone(),
            requests: group.requests.clone(),
            spilled: self.spilled.clone(),
            wall,
            nonces: nonces.fork(),
            deadline,
            host: self.settings.host,
            unindexed_bytes_max: self.settings.unindexed_bytes_max,
            idempotency_retention: self.settings.idempotency_retention,
        };
        let start = Start::Commit(Box::new(plan), self.view.held());
        Some((self.run(Running::Commit { group, began: now }), start))
    }

    fn refreshed(
        &mut self,
        now: Timestamp,
        id: TaskId,
        asks: Vec<Ask>,
        began: Timestamp,
        outcome: Result<Held, RefreshError>,
    ) -> Vec<(Ticket, Word)> {
        let held = match outcome {
            Ok(held) => held,
            Err(error) => {
                let error = match error {
                    RefreshError::Unavailable => {
                        self.upkeep.unanswered(now);
                        QueryError::Unavailable
                    }
                    RefreshError::Damaged { bad, version } => {
                        if version.is_some() {
                            self.upkeep.met_damage(now, id);
                            self.view.adopt(id, Held { version, snapshot: None }, &[], None);
                        } else {
                            self.upkeep.met_damaged_head(now, id, &self.view);
                        }
                        QueryError::Damaged(bad)
                    }
                };
                if planted::is(Bug::FailedCheckCounts) {
                    self.view.checked_at = Some(began);
                }
                let refuse = |ask: Ask| (ask.ticket, ask.refuse(error.clone()));
                let tells = !planted::is(Bug::FailedCheckTellsNobody);
                return asks.into_iter().filter(|_| tells).map(refuse).collect();
            }
        };
        if !planted::is(Bug::PollsForEver) {
            self.upkeep.looked(now, id);
        }
        self.view.checked_at = Some(began);
        let mut words = Vec::new();
        for ask in asks {
            match (&held.snapshot, &ask.query) {
                (None, _) => words.push((ask.ticket, ask.refuse(QueryError::NoNamespace))),
                (Some(snapshot), None) => {
                    words.push((ask.ticket, Word::Described(Ok(snapshot.clone()))));
                }
                (Some(snapshot), Some(_)) => self.queue.ready.push((ask, snapshot.clone())),
            }
        }
        self.view.adopt(id, held, &[], None);
        words
    }

    fn committed(
        &mut self,
        now: Timestamp,
        id: TaskId,
        group: &Group,
        began: Timestamp,
        committed: Committed,
    ) -> Vec<(Ticket, Word)> {
        let tickets = &group.tickets;
        assert_eq!(tickets.len(), committed.outcomes.len(), "V4: every request has an outcome");
        let is_for_want = committed.is_for_want();
        self.commit_is_next = false;
        let (has_written, learned) = (committed.has_written, committed.held.is_some());
        if has_written {
            self.put_at = Some(now);
        }
        self.spilled = committed.spilled;
        if let Some(held) = committed.held {
            let log = held.live().map(|(.., live)| live.log.entries.as_slice()).unwrap_or_default();
            if !self.spilled.is_empty() {
                let riding = log.iter().filter(|e| matches!(e.payload, Payload::Inline(_)));
                let riding: BTreeSet<_> = riding.map(|entry| entry.commit).collect();
                self.spilled.retain(|commit, _| riding.contains(commit));
            }
            let entry = log.last().zip(committed.landed);
            let decoded = entry.map(|(entry, landed)| Decoded {
                cursor: entry.cursor,
                commit: landed.commit,
                batch: landed.batch,
            });
            // The put of the head was itself a check, at some moment after the commit began.
            let check = if planted::is(Bug::CommitEndIsACheck) { now } else { began };
            self.view.checked_at = self.view.checked_at.max(Some(check));
            self.view.adopt(id, held, decoded.as_slice(), None);
            if self.settings.indexes {
                self.upkeep.committed(now);
            }
        }
        if has_written {
            self.worked(now, learned);
        }
        if is_for_want && self.queue.writes.wanted_too_much(now, group) {
            return Vec::new();
        }
        let told =
            committed.outcomes.into_iter().zip(&*group.requests).map(|(outcome, request)| {
                // Only a filter can be for less. Anything else is to be tried again.
                let is_late =
                    matches!(outcome, Err(WriteError::TooMuch)) && !request.is_by_filter();
                Word::Written(if is_late { Err(WriteError::Unavailable) } else { outcome })
            });
        tickets.iter().copied().zip(told).collect()
    }

    /// Work is over that may have left something behind. Who does not index leaves it to others, and
    /// where there is no head nothing may be deleted (H3). Who has not learned which version is the newest
    /// looks, for what was left may be of one that is not known here.
    fn worked(&mut self, now: Timestamp, learned: bool) {
        if !learned {
            self.view.doubt();
        }
        if self.settings.indexes && !self.view.is_absent() {
            self.upkeep.worked(now);
            if !learned {
                self.upkeep.look_after(TaskId(self.started));
            }
        }
    }

    fn deleted(
        &mut self,
        now: Timestamp,
        id: TaskId,
        ticket: Ticket,
        outcome: Result<Deleted, DeleteError>,
    ) -> Vec<(Ticket, Word)> {
        let was_absent = matches!(outcome, Ok(Deleted::Absent(_)));
        let learned = outcome.is_ok();
        let word = match outcome {
            Ok(Deleted::Landed(held)) => {
                self.put_at = Some(now);
                self.view.adopt(id, held, &[], None);
                Ok(true)
            }
            Ok(Deleted::Absent(held)) => {
                self.view.adopt(id, held, &[], None);
                Ok(false)
            }
            Err(error) => Err(error),
        };
        if !was_absent {
            self.worked(now, learned);
        }
        vec![(ticket, Word::Deleted(word))]
    }

    fn answered(
        &mut self,
        id: TaskId,
        mut ask: Ask,
        mut outcome: Result<Answer, QueryError>,
    ) -> Vec<(Ticket, Word)> {
        if let Ok(answer) = &mut outcome
            && let Some(learned) = answer.learned.take()
            && !self.view.was_dropped_since(id)
            && let Some((tag, snapshot)) = self.view.loaded.take()
        {
            self.view.loaded = Some((tag, snapshot.learn(&learned)));
        }
        if matches!(outcome, Err(QueryError::Vanished(_))) && ask.restarts < RESTARTS_MAX {
            ask.restarts += 1;
            self.view.checked_at = None;
            self.queue.asks.push(ask);
            return Vec::new();
        }
        vec![(ask.ticket, Word::Answered(outcome))]
    }
}
