//! One namespace on one node: what is held of it, who waits, and what is to be run next.
//!
//! # Invariants
//!
//! - **V1** At most one task of a node that puts heads to order runs at a time (*the turn*): the node
//!   never races with itself, and commits and publications take turns. Only garbage collection goes
//!   beside; it loses races without harm.
//! - **V2** A strong query is answered from a head whose check began after the query arrived. One
//!   check serves every query that arrived before it began.
//! - **V3** What is held is never replaced by an older version.
//! - **V4** Every ticket is answered exactly once.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::base::host::Host;
use crate::base::id::Nonces;
use crate::base::limits;
use crate::base::name::NamespaceName;
use crate::base::planted::{self, Bug};
use crate::base::time::{Timestamp, WallTime};
use crate::format::head::Head;
use crate::format::log::{Payload, WriteOutcome};
use crate::format::segment::Directory;
use crate::machine::request::Tag;
use crate::namespace::head::Spilled;
use crate::namespace::overlay::Decoded;
use crate::namespace::request::{
    Answer, Consistency, QueryError, QueryRequest, WriteError, WriteRequest,
};
use crate::namespace::snapshot::Snapshot;
use crate::ops::commit::{CommitPlan, Committed};
use crate::ops::delete::{DeleteError, Deleted};
use crate::ops::snapshot::{Held, RefreshError};
use crate::service::task::{Output, Start, TaskId};
use crate::service::upkeep::Upkeep;
use crate::service::writes::{Group, Writes};

/// Names one request of a client among those of a driver.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub u64);

/// How a node treats its namespaces.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Settings {
    /// The longest a write may take.
    pub write_time_max: Duration,
    /// The longest a query may take.
    pub query_time_max: Duration,
    /// The least time between two commits. For stores that allow few changes of one object.
    pub commit_interval_min: Duration,
    /// Unindexed bytes above which writes are turned away.
    pub unindexed_bytes_max: u64,
    /// How long idempotency keys count.
    pub idempotency_retention: Duration,
    /// How long unlinked objects are kept.
    pub trash_retention: Duration,
    /// Whether the node flushes, merges and collects.
    pub indexes: bool,
    /// Whether it merges until nothing is left to merge, not only what is worth it.
    pub compacts: bool,
    /// A log this old is flushed, however small.
    pub flush_after: Duration,
    /// A log this large is flushed, however young.
    pub flush_bytes: u64,
    /// How often orphans are looked for.
    pub sweep_every: Duration,
    /// What the machine can do.
    pub host: Host,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            write_time_max: Duration::from_secs(30),
            query_time_max: limits::QUERY_TIME_MAX,
            commit_interval_min: Duration::ZERO,
            unindexed_bytes_max: limits::UNINDEXED_BYTES_MAX,
            idempotency_retention: limits::IDEMPOTENCY_RETENTION,
            trash_retention: limits::TRASH_RETENTION,
            indexes: true,
            compacts: false,
            flush_after: Duration::from_secs(1),
            flush_bytes: 16 << 20,
            sweep_every: Duration::from_hours(1),
            host: Host::default(),
        }
    }
}

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
    committed_at: Option<Timestamp>,
}

/// What is held of the namespace.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct View {
    /// Whether anything is known at all.
    is_known: bool,
    /// The newest version known; `None` if there was no head.
    version: Option<(Tag, Arc<Head>)>,
    /// The newest version whose log and directories are here.
    loaded: Option<(Tag, Arc<Snapshot>)>,
    /// When the check began that last said what the newest version is.
    checked_at: Option<Timestamp>,
}

/// Who waits.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
struct Queue {
    writes: Writes,
    deletes: VecDeque<Ticket>,
    /// Questions that wait for a head check.
    asks: Vec<Ask>,
    /// Queries whose head check is over.
    ready: Vec<(Ask, Arc<Snapshot>)>,
}

/// A question that waits for a head check, or runs.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Ask {
    ticket: Ticket,
    /// The query; `None` asks for the version itself.
    query: Option<Arc<QueryRequest>>,
    arrived: Timestamp,
    /// How often a snapshot turned out to be too old for it.
    restarts: u32,
}

/// What runs, and who is told of its end.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Running {
    Refresh { asks: Vec<Ask>, began: Timestamp },
    Commit { group: Group, began: Timestamp },
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
            committed_at: None,
        }
    }

    /// A client writes. `bytes` is about how large the request is.
    pub fn write(&mut self, ticket: Ticket, request: WriteRequest, bytes: usize) {
        self.queue.writes.push(ticket, request, bytes);
    }

    /// A client deletes the namespace.
    pub fn delete(&mut self, ticket: Ticket) {
        self.queue.deletes.push_back(ticket);
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
    pub fn look(&mut self) {
        self.upkeep.look();
    }

    /// Drops what was read of the namespace beside its head: the next query loads it anew. The head
    /// stays, for what this node writes and indexes starts from it (V3).
    pub fn purge(&mut self) {
        self.view.loaded = None;
    }

    /// The newest head this node knows of.
    pub fn head(&self) -> Option<&Arc<Head>> {
        self.view.version.as_ref().map(|(_, head)| head)
    }

    /// How many requests of clients wait for an operation to take them up.
    pub fn waiting(&self) -> usize {
        let Queue { writes, deletes, asks, ready } = &self.queue;
        writes.len() + deletes.len() + asks.len() + ready.len()
    }

    /// Bytes of the unindexed batches that are held, as they are encoded. With the directories of the
    /// segments that is what a namespace takes of a node while nothing runs.
    pub fn held_bytes(&self) -> u64 {
        let loaded = self.view.loaded.as_ref().map(|(_, snapshot)| &snapshot.head);
        let live = loaded.and_then(|head| head.live());
        live.map_or(0, |live| live.log.unindexed_bytes())
    }

    /// Whether nothing runs, nobody waits, and there is nothing to index or delete: then a driver may
    /// forget the namespace.
    pub fn is_idle(&self) -> bool {
        let quiet = self.running.is_empty()
            && self.queue.writes.is_empty()
            && self.queue.deletes.is_empty()
            && self.queue.asks.is_empty()
            && self.queue.ready.is_empty();
        let live = self.head().and_then(|head| head.live());
        let done = live.is_none_or(|live| live.log.entries.is_empty() && live.trash.is_empty());
        quiet && self.upkeep.is_idle() && (done || !self.settings.indexes)
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
        let writes = is_free && !self.queue.writes.is_empty();
        let commit = self.committed_at.filter(|_| writes).map(|at| at + interval);
        let upkeep = self
            .settings
            .indexes
            .then(|| self.upkeep.wake_at(now, wall, &self.settings, &self.view));
        [commit, upkeep.flatten()].into_iter().flatten().min()
    }

    /// The operations to begin now. Each is to be run to its end and reported to
    /// [`finished`](Self::finished). `seed` was never used before.
    pub fn due(&mut self, now: Timestamp, wall: WallTime, seed: u128) -> Vec<(TaskId, Start)> {
        let seed = if planted::is(Bug::NoncesComeBack) { 7 } else { seed };
        let mut nonces = Nonces::new(seed);
        let mut starts = Vec::new();
        self.start_queries(now, &mut starts);
        if self.settings.indexes {
            let (name, settings) = (self.name.clone(), self.settings);
            let free = !self.has_turn();
            let upkeep =
                self.upkeep.due(now, wall, &name, &settings, &self.view, free, &mut nonces);
            for start in upkeep {
                let running = Running::Upkeep;
                starts.push((self.run(running), start));
            }
        }
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
    /// If no such operation runs.
    pub fn finished(&mut self, now: Timestamp, id: TaskId, output: Output) -> Vec<(Ticket, Word)> {
        let running = self.running.remove(&id).expect("V4: a task ends once");
        match (running, output) {
            (Running::Refresh { asks, began }, Output::Refresh(outcome)) => self.refreshed(
                now,
                asks,
                if planted::is(Bug::AgeFromTheReply) { now } else { began },
                outcome,
            ),
            (Running::Commit { group, .. }, Output::Commit(committed))
                if group.tickets.len() > 1 && committed.is_unreadable() =>
            {
                self.queue.writes.put_back(&group);
                Vec::new()
            }
            (Running::Commit { group, began }, Output::Commit(committed)) => {
                self.committed(now, &group.tickets, began, *committed)
            }
            (Running::Delete(ticket), Output::Delete(outcome)) => self.deleted(ticket, outcome),
            (Running::Query(ask), Output::Query(outcome)) => self.answered(ask, outcome),
            (Running::Upkeep, output) => {
                if let Some((held, directory)) = self.upkeep.finished(now, output) {
                    self.view.adopt(held, &[], directory);
                }
                Vec::new()
            }
            (running, output) => unreachable!("{output:?} does not end {running:?}"),
        }
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
        starts.push((self.run(Running::Refresh { asks, began: now }), start));
    }

    fn start_delete(&mut self, nonces: &mut Nonces, now: Timestamp) -> Option<(TaskId, Start)> {
        let ticket = self.queue.deletes.pop_front()?;
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
        let early =
            self.committed_at.is_some_and(|at| now < at + self.settings.commit_interval_min);
        if early {
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
        asks: Vec<Ask>,
        began: Timestamp,
        outcome: Result<Held, RefreshError>,
    ) -> Vec<(Ticket, Word)> {
        let held = match outcome {
            Ok(held) => held,
            Err(error) => {
                let error = match error {
                    RefreshError::Unavailable => QueryError::Unavailable,
                    RefreshError::Damaged(bad) => {
                        self.upkeep.met_damage(now);
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
            self.upkeep.looked(now);
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
        self.view.adopt(held, &[], None);
        words
    }

    fn committed(
        &mut self,
        now: Timestamp,
        tickets: &[Ticket],
        began: Timestamp,
        committed: Committed,
    ) -> Vec<(Ticket, Word)> {
        assert_eq!(tickets.len(), committed.outcomes.len(), "V4: every request has an outcome");
        self.committed_at = Some(now);
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
            self.view.adopt(held, decoded.as_slice(), None);
            self.upkeep.committed(now);
        }
        let words = committed.outcomes.into_iter().map(Word::Written);
        tickets.iter().copied().zip(words).collect()
    }

    fn deleted(
        &mut self,
        ticket: Ticket,
        outcome: Result<Deleted, DeleteError>,
    ) -> Vec<(Ticket, Word)> {
        let word = match outcome {
            Ok(Deleted::Landed(held)) => {
                self.view.adopt(held, &[], None);
                Ok(true)
            }
            Ok(Deleted::Absent(held)) => {
                self.view.adopt(held, &[], None);
                Ok(false)
            }
            Err(error) => Err(error),
        };
        vec![(ticket, Word::Deleted(word))]
    }

    fn answered(
        &mut self,
        mut ask: Ask,
        mut outcome: Result<Answer, QueryError>,
    ) -> Vec<(Ticket, Word)> {
        if let Ok(answer) = &mut outcome
            && let Some(learned) = answer.learned.take()
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

impl Ask {
    fn refuse(&self, error: QueryError) -> Word {
        match self.query {
            Some(_) => Word::Answered(Err(error)),
            None => Word::Described(Err(error)),
        }
    }
}

impl View {
    /// The newest version, if anything is known, with its snapshot if that is here.
    pub(super) fn held(&self) -> Option<Held> {
        self.is_known.then(|| {
            let tag = self.version.as_ref().map(|(tag, _)| tag);
            let is_one = |loaded| Some(loaded) == tag || planted::is(Bug::HeldIsMixed);
            let loaded = self.loaded.as_ref().filter(|(loaded, _)| is_one(loaded));
            let snapshot = loaded.map(|(_, snapshot)| snapshot.clone());
            Held { version: self.version.clone(), snapshot }
        })
    }

    /// The newest version that is loaded.
    fn loaded(&self) -> Option<Held> {
        let (tag, snapshot) = self.loaded.clone()?;
        Some(Held { version: Some((tag, snapshot.head.clone())), snapshot: Some(snapshot) })
    }

    /// Whether the newest version known is loaded.
    pub(super) fn is_loaded(&self) -> bool {
        let tag = self.version.as_ref().map(|(tag, _)| tag);
        self.loaded.as_ref().map(|(tag, _)| tag) == tag
    }

    /// The newest version that is loaded.
    pub(super) fn snapshot(&self) -> Option<&Arc<Snapshot>> {
        self.loaded.as_ref().map(|(_, snapshot)| snapshot)
    }

    /// The newest version, if there is one.
    pub(super) const fn version(&self) -> Option<&(Tag, Arc<Head>)> {
        self.version.as_ref()
    }

    /// Takes what an operation found, unless something newer is here (V3). `batches` and `directory`
    /// are what the operation knows of it beside the head, so that it need not be read.
    fn adopt(&mut self, held: Held, batches: &[Decoded], directory: Option<Arc<Directory>>) {
        let step = |version: &Option<(Tag, Arc<Head>)>| version.as_ref().map(|(_, head)| head.step);
        let is_older = self.is_known && step(&held.version) < step(&self.version);
        if is_older && !planted::is(Bug::OlderIsAdopted) {
            return;
        }
        self.is_known = true;
        self.version = held.version;
        let Some((tag, head)) = &self.version else { return };
        if let Some(snapshot) = held.snapshot {
            self.loaded = Some((tag.clone(), snapshot));
        } else if self.loaded.as_ref().is_some_and(|(loaded, _)| loaded == tag) {
        } else if let Some((old, snapshot)) = self.loaded.take() {
            let directory: Vec<_> = directory.into_iter().collect();
            self.loaded = Some(match Snapshot::advance(snapshot, head, batches, &directory) {
                Ok(next) => (tag.clone(), Arc::new(next)),
                Err(snapshot) => (old, snapshot),
            });
        }
    }
}
