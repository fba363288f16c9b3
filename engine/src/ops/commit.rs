//! Writes a group of requests to a namespace: one put of its head.
//!
//! # Story
//!
//! 1. **Refreshing** ([`Refresh`]): the newest head, if none is held; with the log and the
//!    directories, if a request mentions documents or idempotency keys.
//! 2. **Looking** ([`Lookup`], [`Records`], [`Matching`]): the documents that patches and conditions
//!    mention, the records of the keys, and what filters match, at that head. Then *decide* what the
//!    requests come to.
//!    - nothing to write and the head was read in this commit: done. Read before: refresh (1), for
//!      what refuses a request must be true now.
//! 3. **Creating** ([`Publish`]): an empty head, if there is none and the batch has to be staged: a put
//!    that creates a namespace names no object of it (H3).
//! 4. **Staging**: create the log object that the head will name, if the batch is too large to ride in
//!    the head, or the head carries too many others.
//!    - stored: publish (5);
//!    - anything else: pause, and stage under a new name (H12).
//! 5. **Publishing** ([`Publish`]): the head with the entry, on the condition that it replaces the one
//!    the decision was made at. Where batches that ride in it come to much, a log object of them is
//!    created beside it, for the next head to name.
//!    - landed: done, and the clients are told;
//!    - overtaken, and the newer head shows that the commit landed: done;
//!    - overtaken, and it shows that it did not: decide again at that head (2);
//!    - it cannot be told, or the deadline came first: done, *unknown*.
//!
//! One round when the head is held and the batch rides in it; two when it is staged.
//!
//! # Invariants
//!
//! - **C1** to **C3** of `namespace::documents`.
//! - **C4** Every attempt has a commit id of its own, and is repeated with the same bytes on the same
//!   condition until its fate is known: so at most one attempt of a group lands.
//! - **C5** A head names a log object only after the store said that it is there.
//! - **C6** Nobody is told that a write happened before the put of its head is known to have.

use core::time::Duration;
use std::sync::Arc;

use crate::base::blob::Blob;
use crate::base::host::Host;
use crate::base::id::{CommitId, Incarnation, Nonces, Stamp};
use crate::base::limits;
use crate::base::name::NamespaceName;
use crate::base::planted::{self, Bug};
use crate::base::time::{Timestamp, WallTime};
use crate::format::frame::Damage;
use crate::format::head::{Head, Live};
use crate::format::layout::{self, Family, ObjectName, Place};
use crate::format::log::{Batch, Payload, WriteOutcome, gather};
use crate::format::schema::Schema;
use crate::machine::publish::{Fate, Publish, Published, Write};
use crate::machine::request::{Reply, Request, Tag, When};
use crate::machine::{Machine, Round, Step};
use crate::namespace::documents::{Known, decide, mentioned_ids, mentioned_keys};
use crate::namespace::head::{Attempt, Blocked, CommitFate, NewEntry, Spilled};
use crate::namespace::invariants;
use crate::namespace::matched::Matched;
use crate::namespace::request::{InvalidWrite, QueryError, WriteError, WriteRequest};
use crate::ops::lookup::Lookup;
use crate::ops::matching::Matching;
use crate::ops::publication::PAUSE;
use crate::ops::read::ReadError;
use crate::ops::records::Records;
use crate::ops::snapshot::{Depth, Held, Refresh, RefreshError};

/// A commit on its way. See the [module](self) for its story.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Commit {
    group: Group,
    state: State,
}

/// What a commit waits for, and what it knows only while it does.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum State {
    Refreshing(Refresh),
    LookingUp(Held, Lookup),
    Remembering(Held, Known, Records),
    Matching(Held, Known, Box<Matching>),
    Creating(Held, Decided, Arc<Head>, Publish),
    Staging(Held, Decided, Stage),
    Publishing(Attempted, Publish),
}

/// What to write, and within which bounds.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct CommitPlan {
    /// The namespace.
    pub namespace: NamespaceName,
    /// The requests, in order.
    pub requests: Arc<[WriteRequest]>,
    /// Log objects that this node made of inline batches.
    pub spilled: Spilled,
    /// What day it is.
    pub wall: WallTime,
    /// For nonces of heads, names of objects and ids of commits.
    pub nonces: Nonces,
    /// When to give up.
    pub deadline: Timestamp,
    /// What the machine can do.
    pub host: Host,
    /// Unindexed bytes above which writes are turned away.
    pub unindexed_bytes_max: u64,
    /// How long idempotency keys count.
    pub idempotency_retention: Duration,
}

/// What a commit knows from beginning to end.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Group {
    plan: CommitPlan,
    /// How much of the namespace must be held to decide.
    depth: Depth,
    /// Whether the head held was read after the commit began.
    is_fresh: bool,
    /// The version that named an object which was not there.
    missed: Option<Tag>,
    /// What the request's filters matched at an older head.
    matched: Option<Matched>,
}

/// A decision, ready to be written.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Decided {
    schema: Schema,
    read_only: bool,
    batch: Arc<Batch>,
    bytes: Blob,
    outcomes: Vec<Result<WriteOutcome, WriteError>>,
}

/// A log object being created.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Stage {
    name: ObjectName,
    body: Blob,
    /// Where each batch lies in it; `None` is our own.
    places: Vec<(Option<CommitId>, u32)>,
    is_pausing: bool,
}

/// A put of a head on its way.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Attempted {
    base: Held,
    decided: Decided,
    next: Arc<Head>,
    attempt: Attempt,
    /// The log object that is created beside it, and where each batch lies in it.
    beside: Option<(ObjectName, Vec<(CommitId, u32)>)>,
}

/// What a commit came to.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Committed {
    /// What each request is told, in their order.
    pub outcomes: Vec<Result<WriteOutcome, WriteError>>,
    /// What the node may hold from now on, if it learned anything.
    pub held: Option<Held>,
    /// The commit that made the version held out of the one held before, with its batch.
    pub landed: Option<Landed>,
    /// Log objects made of inline batches that are known to be there.
    pub spilled: Spilled,
}

/// A commit that is in the chain of versions, right behind a version that was held.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Landed {
    /// The version it was made from.
    pub base: Option<Tag>,
    /// Its id.
    pub commit: CommitId,
    /// Its batch.
    pub batch: Arc<Batch>,
}

impl Commit {
    /// Begins to write the requests of `plan` to a namespace of which `held` is held.
    ///
    /// # Panics
    ///
    /// If there are no requests.
    pub fn start(now: Timestamp, plan: CommitPlan, held: Option<Held>) -> Step<Self> {
        assert!(!plan.requests.is_empty(), "a commit is of something");
        let mut requests = plan.requests.iter();
        let mentions = requests.any(|r| r.reads_documents() || r.idempotency.is_some());
        let depth = if mentions { Depth::Snapshot } else { Depth::Head };
        let group = Group { plan, depth, is_fresh: false, missed: None, matched: None };
        match held {
            Some(held) if group.is_enough(&held) => group.look_up(now, held),
            held => group.refresh(now, held),
        }
    }
}

impl Machine for Commit {
    type Output = Committed;

    fn step(self, now: Timestamp, replies: Vec<Reply>) -> Step<Self> {
        let Self { group, state } = self;
        match state {
            State::Refreshing(refresh) => group.refreshing(now, refresh.step(now, replies)),
            State::LookingUp(held, lookup) => {
                group.looking_up(now, held, lookup.step(now, replies))
            }
            State::Remembering(held, known, records) => {
                group.remembering(now, held, known, records.step(now, replies))
            }
            State::Matching(held, known, matching) => {
                group.matching(now, held, known, matching.step(now, replies))
            }
            State::Creating(held, decided, empty, publish) => {
                group.creating(now, held, decided, empty, publish.step(now, replies))
            }
            State::Staging(held, decided, stage) => {
                let stored = matches!(replies.first(), Some(Reply::Stored { .. }));
                group.staged(now, held, decided, stage, stored)
            }
            State::Publishing(attempted, publish) => {
                group.publishing(now, attempted, publish.step(now, replies))
            }
        }
    }

    fn is_heavy(&self) -> bool {
        match self.state {
            State::Refreshing(_) | State::LookingUp(..) | State::Remembering(..) => true,
            State::Matching(_, _, ref matching) => matching.is_heavy(),
            State::Creating(..) | State::Staging(..) | State::Publishing(..) => false,
        }
    }
}

/// The transitions. Each takes what all states share and becomes a commit in the next state.
impl Group {
    fn is_enough(&self, held: &Held) -> bool {
        self.depth == Depth::Head || held.snapshot.is_some() || held.live().is_none()
    }

    fn wait(self, state: State, round: Round) -> Step<Commit> {
        Step::Wait(Commit { group: self, state }, round)
    }

    /// Ends with the same word for every request.
    fn fail(self, held: Option<Held>, error: &WriteError) -> Step<Commit> {
        let outcomes = vec![Err(error.clone()); self.plan.requests.len()];
        let spilled = self.plan.spilled;
        Step::Done(Committed { outcomes, held, landed: None, spilled })
    }

    fn refresh(mut self, now: Timestamp, held: Option<Held>) -> Step<Commit> {
        self.is_fresh = true;
        let (namespace, deadline) = (self.plan.namespace.clone(), self.plan.deadline);
        let refresh = Refresh::start(namespace, held, self.depth, deadline);
        self.refreshing(now, refresh)
    }

    fn refreshing(self, now: Timestamp, step: Step<Refresh>) -> Step<Commit> {
        match step {
            Step::Wait(refresh, round) => self.wait(State::Refreshing(refresh), round),
            Step::Done(Ok(held)) => self.look_up(now, held),
            Step::Done(Err(RefreshError::Unavailable)) => self.fail(None, &WriteError::Unavailable),
            Step::Done(Err(RefreshError::Damaged(bad))) => self.fail(None, &bad.into()),
        }
    }

    /// Reads the documents that patches mention.
    fn look_up(self, now: Timestamp, held: Held) -> Step<Commit> {
        let ids = mentioned_ids(held.live().map(|(.., live)| &live.schema), &self.plan.requests);
        match held.snapshot.clone() {
            Some(snapshot) if !ids.is_empty() => {
                let lookup = Lookup::start(snapshot, ids, self.plan.deadline);
                self.looking_up(now, held, lookup)
            }
            _ => self.remember(now, held, Known::default()),
        }
    }

    fn looking_up(self, now: Timestamp, held: Held, step: Step<Lookup>) -> Step<Commit> {
        match step {
            Step::Wait(lookup, round) => self.wait(State::LookingUp(held, lookup), round),
            Step::Done(Ok(documents)) => {
                let known = Known { documents, ..Known::default() };
                self.remember(now, held, known)
            }
            Step::Done(Err(error)) => self.unread(now, held, &error),
        }
    }

    /// Reads the records of idempotency keys, in the log and the segments of this very head (H8).
    fn remember(self, now: Timestamp, held: Held, known: Known) -> Step<Commit> {
        let keys = mentioned_keys(&self.plan.requests);
        match held.snapshot.clone() {
            Some(snapshot) if !keys.is_empty() => {
                let records = Records::start(snapshot, keys, self.plan.deadline);
                self.remembering(now, held, known, records)
            }
            _ => self.find_matches(now, held, known),
        }
    }

    fn remembering(
        self,
        now: Timestamp,
        held: Held,
        mut known: Known,
        step: Step<Records>,
    ) -> Step<Commit> {
        match step {
            Step::Wait(records, round) => {
                self.wait(State::Remembering(held, known, records), round)
            }
            Step::Done(Ok(records)) => {
                known.records = records;
                self.find_matches(now, held, known)
            }
            Step::Done(Err(error)) => self.unread(now, held, &error),
        }
    }

    /// Finds what the filters of the request match at this very head (C7).
    fn find_matches(mut self, now: Timestamp, held: Held, mut known: Known) -> Step<Commit> {
        let request = self.plan.requests.iter().find(|request| request.is_by_filter()).cloned();
        let (Some(request), Some(snapshot)) = (request, held.snapshot.clone()) else {
            return self.decide(now, held, &known);
        };
        let before = self.matched.take();
        if let Some(matched) = before.clone().filter(|_| planted::is(Bug::MatchesStayOld)) {
            known.matched = matched;
            return self.decide(now, held, &known);
        }
        if let Some(matched) = before.and_then(|matched| matched.advance(&request, &snapshot)) {
            known.matched = matched;
            return self.decide(now, held, &known);
        }
        let (host, deadline) = (self.plan.host, self.plan.deadline);
        let matching = Matching::start(now, snapshot, &request, host, deadline);
        self.matching(now, held, known, matching)
    }

    fn matching(
        self,
        now: Timestamp,
        held: Held,
        mut known: Known,
        step: Step<Matching>,
    ) -> Step<Commit> {
        match step {
            Step::Wait(matching, round) => {
                self.wait(State::Matching(held, known, Box::new(matching)), round)
            }
            Step::Done(Ok(matched)) => {
                known.matched = matched;
                self.decide(now, held, &known)
            }
            Step::Done(Err(QueryError::Vanished(key))) => {
                self.unread(now, held, &ReadError::Vanished { key })
            }
            Step::Done(Err(QueryError::Damaged(bad))) => self.fail(Some(held), &bad.into()),
            // What does not fit the schema is refused at a fresh head only (D19).
            Step::Done(Err(QueryError::Invalid(_))) => self.decide(now, held, &known),
            Step::Done(Err(QueryError::TooLarge { most })) => {
                self.fail(Some(held), &InvalidWrite::MatchesTooLarge { most }.into())
            }
            Step::Done(Err(QueryError::TooLong)) => self.fail(Some(held), &WriteError::TooMuch),
            Step::Done(Err(QueryError::Unavailable | QueryError::NoNamespace)) => {
                self.fail(None, &WriteError::Unavailable)
            }
        }
    }

    /// What a decision needs could not be read.
    fn unread(mut self, now: Timestamp, held: Held, error: &ReadError) -> Step<Commit> {
        let version = held.version.as_ref().map(|(tag, _)| tag.clone());
        match error {
            // It is still the newest version that names what is not there: nobody retired the object.
            ReadError::Vanished { key } if self.missed == version => {
                self.fail(Some(held), &Damage::Gone.of(key).into())
            }
            // The head has moved on since, or this object would be there (H2).
            ReadError::Vanished { .. } if now < self.plan.deadline => {
                self.missed = version;
                self.refresh(now, Some(held))
            }
            ReadError::Vanished { .. } | ReadError::Late => {
                self.fail(None, &WriteError::Unavailable)
            }
            ReadError::Damaged(bad) => self.fail(Some(held), &bad.clone().into()),
        }
    }

    fn decide(mut self, now: Timestamp, held: Held, known: &Known) -> Step<Commit> {
        let live = held.live().map(|(.., live)| live);
        let CommitPlan { requests, wall, idempotency_retention, .. } = &self.plan;
        let decision = decide(live, requests, known, *wall, *idempotency_retention);
        if requests.iter().any(WriteRequest::is_by_filter) {
            self.matched = Some(known.matched.clone());
        }
        if !decision.commits {
            if !self.is_fresh && !planted::is(Bug::StaleRefusal) {
                return self.refresh(now, Some(held));
            }
            let spilled = self.plan.spilled;
            let outcomes = decision.outcomes;
            return Step::Done(Committed { outcomes, held: Some(held), landed: None, spilled });
        }
        let bytes = Blob::from(decision.batch.encode());
        if let Some(behind) = self.behind(&held, bytes.len() as u64) {
            return if self.is_fresh {
                self.fail(Some(held), &behind)
            } else {
                self.refresh(now, Some(held))
            };
        }
        assert_eq!(decision.outcomes.len(), requests.len(), "C6: every request has an outcome");
        let batch = Arc::new(decision.batch);
        let (schema, read_only, outcomes) =
            (decision.schema, decision.read_only, decision.outcomes);
        let decided = Decided { schema, read_only, batch, bytes, outcomes };
        self.place(now, held, decided)
    }

    /// Whether indexing is too far behind for another batch. A batch alone is never too much.
    fn behind(&self, held: &Held, bytes: u64) -> Option<WriteError> {
        let (.., live) = held.live()?;
        if self.is_fresh && planted::is(Bug::LimitOfHeldHead) {
            return None;
        }
        let (unindexed_bytes, limit_bytes) =
            (live.log.unindexed_bytes(), self.plan.unindexed_bytes_max);
        let has_room = unindexed_bytes == 0 || planted::is(Bug::LimitIsIgnored);
        let ignored = self.plan.requests.iter().all(|request| request.ignores_backlog);
        let too_much = !has_room && !ignored && unindexed_bytes + bytes > limit_bytes;
        let too_many = live.log.entries.len() >= limits::LOG_ENTRIES_MAX;
        (too_much || too_many).then_some(WriteError::Behind { unindexed_bytes, limit_bytes })
    }

    /// Sees to it that the batch has a place: in the head, or in an object.
    fn place(self, now: Timestamp, held: Held, decided: Decided) -> Step<Commit> {
        let rides = decided.bytes.len() <= limits::INLINE_BATCH_BYTES_MAX;
        let Some((.., live)) = held.live() else {
            return if rides {
                self.publish(now, held, decided, None)
            } else {
                self.create(now, held, decided)
            };
        };
        let inline: usize = self.unspilled(live).map(|(_, batch)| batch.len()).sum();
        if rides && inline <= limits::INLINE_LOG_BYTES_MAX {
            return self.publish(now, held, decided, None);
        }
        self.stage(now, held, decided)
    }

    /// Batches that ride in a head and are in no object yet, as far as is known here.
    fn unspilled<'a>(&'a self, live: &'a Live) -> impl Iterator<Item = (CommitId, &'a Blob)> {
        let spilled = &self.plan.spilled;
        live.log.inline().filter(|(commit, _)| !spilled.contains_key(commit))
    }

    /// Creates a log object of our batch, if it does not ride in the head, and of all batches that
    /// do and might not.
    fn stage(mut self, now: Timestamp, held: Held, decided: Decided) -> Step<Commit> {
        let (_, head, live) = held.live().expect("H3: only a live namespace has objects");
        let name = ObjectName { stamp: head.step, nonce: self.plan.nonces.draw() };
        let riding = self.unspilled(live).map(|(commit, batch)| (Some(commit), batch));
        let is_large = decided.bytes.len() > limits::INLINE_BATCH_BYTES_MAX;
        let own = is_large.then_some((None, &decided.bytes));
        let (body, places) = gather(riding.chain(own));
        let stage = Stage { name, body, places, is_pausing: false };
        if now >= self.plan.deadline {
            return self.fail(Some(held), &WriteError::Unavailable);
        }
        let place = self.incarnate(head.incarnation);
        let request = Request::create(place.object(Family::Log, name), stage.body.clone());
        let round = Round::ask(request, self.plan.deadline);
        self.wait(State::Staging(held, decided, stage), round)
    }

    fn staged(
        mut self,
        now: Timestamp,
        held: Held,
        decided: Decided,
        mut stage: Stage,
        stored: bool,
    ) -> Step<Commit> {
        if stage.is_pausing {
            return self.stage(now, held, decided);
        }
        if !stored && !planted::is(Bug::UnstoredIsNamed) {
            stage.is_pausing = true;
            let round = Round::sleep(self.plan.deadline.min(now + PAUSE));
            return self.wait(State::Staging(held, decided, stage), round);
        }
        let mut own = None;
        for (commit, start) in stage.places {
            match commit {
                Some(commit) => {
                    let start = if planted::is(Bug::OffsetIsForgotten) { 0 } else { start };
                    self.plan.spilled.insert(commit, (stage.name, start));
                }
                None => own = Some((stage.name, start)),
            }
        }
        self.publish(now, held, decided, own)
    }

    fn incarnate(&self, incarnation: Incarnation) -> Place {
        Place { namespace: self.plan.namespace.clone(), incarnation }
    }

    /// Puts an empty head, so that the batch can be staged in its incarnation.
    fn create(mut self, now: Timestamp, held: Held, decided: Decided) -> Step<Commit> {
        let empty = Arc::new(self.first_head(&held));
        let write = self.write(&held, &empty);
        let publish = Publish::start(now, write, None, PAUSE, self.plan.deadline);
        self.creating(now, held, decided, empty, publish)
    }

    fn creating(
        mut self,
        now: Timestamp,
        held: Held,
        decided: Decided,
        empty: Arc<Head>,
        step: Step<Publish>,
    ) -> Step<Commit> {
        let fate = match step {
            Step::Wait(publish, round) => {
                return self.wait(State::Creating(held, decided, empty, publish), round);
            }
            Step::Done(published) => published.fate,
        };
        // The namespace is there now, by us or by others: either way everything is decided at it.
        let found = match fate {
            Fate::Landed(tag) => Some((tag, Blob::from(empty.encode()))),
            Fate::Overtaken(found) => found,
            // Nothing of the requests was sent.
            Fate::Unknown => return self.fail(None, &WriteError::Unavailable),
        };
        self.is_fresh = true;
        self.judge(now, None, found)
    }

    /// The first version of the namespace, over nothing or over its tombstone.
    fn first_head(&mut self, held: &Held) -> Head {
        let nonce = self.plan.nonces.draw();
        let incarnation = Incarnation(self.plan.nonces.draw());
        let previous = held.version.as_ref().map(|(_, head)| head.as_ref());
        Head::create(previous, nonce, incarnation, self.plan.wall)
    }

    fn write(&self, base: &Held, next: &Head) -> Write {
        assert_eq!(invariants::check(next), Ok(()), "C1: a commit makes a sound head");
        let when = match &base.version {
            Some((tag, _)) => When::Matches(tag.clone()),
            None => When::Absent,
        };
        Write { key: layout::head(&self.plan.namespace), body: next.encode().into(), when }
    }

    /// Puts the head with the entry. `own` is where the batch was staged, if it was.
    fn publish(
        mut self,
        now: Timestamp,
        base: Held,
        decided: Decided,
        own: Option<(ObjectName, u32)>,
    ) -> Step<Commit> {
        let from = if let Some((_, head, _)) = base.live() {
            Head::clone(head)
        } else {
            // What creates a namespace is its first version, with the first entry in it (H3).
            let first = self.first_head(&base);
            let step = Stamp(first.step.0 - 1);
            Head { step, ..first }
        };
        let commit = if planted::is(Bug::CommitIdPerWriter) {
            CommitId::default()
        } else {
            CommitId(self.plan.nonces.draw())
        };
        let entry = NewEntry {
            commit,
            operations: decided.batch.operations.len() as u32,
            bytes: decided.bytes.len() as u32,
            payload: match own {
                Some((name, start)) => Payload::Object { name, start },
                None => Payload::Inline(decided.bytes.clone()),
            },
            schema: decided.schema.clone(),
            read_only: decided.read_only,
        };
        let nonce = self.plan.nonces.draw();
        let next = match from.commit(nonce, entry, &self.plan.spilled, self.plan.wall) {
            Ok(next) => Arc::new(next),
            // Somebody raised the floor above what was staged: it is staged anew.
            Err(Blocked::BelowFloor | Blocked::Stale | Blocked::Done) => {
                return self.stage(now, base, decided);
            }
        };
        assert_eq!(next.step, from.step.next(), "W1: a commit is one step");
        let cursor = next.live().expect("a commit leaves a namespace alive").log.committed;
        let attempt = Attempt { commit, incarnation: next.incarnation, cursor, step: next.step };
        let name = ObjectName { stamp: from.step, nonce: self.plan.nonces.draw() };
        let spill = base.live().filter(|_| own.is_none()).and_then(|(.., live)| {
            let riding = || self.unspilled(live).chain([(commit, &decided.bytes)]);
            let bytes: usize = riding().map(|(_, batch)| batch.len()).sum();
            (bytes > limits::SPILL_BYTES_MIN).then(|| gather(riding()))
        });
        let place = self.incarnate(next.incarnation);
        let create = spill
            .as_ref()
            .map(|(body, _)| Request::create(place.object(Family::Log, name), body.clone()));
        let beside = spill.map(|(_, places)| (name, places));
        let write = self.write(&base, &next);
        let publish = Publish::start(now, write, create, PAUSE, self.plan.deadline);
        let attempted = Attempted { base, decided, next, attempt, beside };
        self.publishing(now, attempted, publish)
    }

    /// Stays in [`State::Publishing`] while `publish` has rounds to do, then acts on its outcome.
    fn publishing(
        mut self,
        now: Timestamp,
        attempted: Attempted,
        step: Step<Publish>,
    ) -> Step<Commit> {
        let Published { fate, beside_stored } = match step {
            Step::Wait(..) if planted::is(Bug::AnsweredBeforeThePut) => {
                let held = attempted.base.clone();
                return self.land(attempted, held);
            }
            Step::Wait(publish, round) => {
                return self.wait(State::Publishing(attempted, publish), round);
            }
            Step::Done(published) => published,
        };
        let commit = attempted.attempt.commit;
        if let Some((name, places)) = &attempted.beside
            && (beside_stored || planted::is(Bug::UnstoredIsNamed))
        {
            let places = places.iter().map(|&(commit, start)| (commit, (*name, start)));
            self.plan.spilled.extend(places);
        }
        match fate {
            Fate::Landed(tag) => {
                let held = Held { version: Some((tag, attempted.next.clone())), snapshot: None };
                self.land(attempted, held)
            }
            Fate::Overtaken(found) => self.overtaken(now, attempted, found),
            Fate::Unknown if planted::is(Bug::UnknownIsFailure) => {
                self.fail(None, &WriteError::Unavailable)
            }
            Fate::Unknown => self.fail(None, &WriteError::Unknown { commit }),
        }
    }

    /// The version is known that holds the commit, or is newer and known to have it behind it.
    fn land(self, attempted: Attempted, held: Held) -> Step<Commit> {
        assert!(held.live().is_some(), "C6: what landed is seen in a live head");
        let direct = held.version.as_ref().is_some_and(|(_, head)| *head == attempted.next);
        let base = attempted.base.version.as_ref().map(|(tag, _)| tag.clone());
        let (commit, batch) = (attempted.attempt.commit, attempted.decided.batch);
        let mut outcomes = attempted.decided.outcomes;
        if let Some(error) = outcomes.iter().find(|outcome| outcome.is_err()).cloned()
            && planted::is(Bug::NeighbourGetsError)
        {
            outcomes.fill(error);
        }
        Step::Done(Committed {
            outcomes,
            landed: direct.then_some(Landed { base, commit, batch }),
            held: Some(held),
            spilled: self.plan.spilled,
        })
    }

    /// Looks in the newer head for what became of the attempt (H7).
    fn overtaken(
        mut self,
        now: Timestamp,
        attempted: Attempted,
        found: Option<(Tag, Blob)>,
    ) -> Step<Commit> {
        let unknown = WriteError::Unknown { commit: attempted.attempt.commit };
        let Some((tag, body)) = found else { return self.fail(None, &unknown) };
        let head = match Head::decode(&layout::head(&self.plan.namespace), &body) {
            Ok(head) => head,
            Err(bad) => return self.fail(None, &bad.into()),
        };
        match head.fate_of(&attempted.attempt) {
            CommitFate::Landed => {
                let held = Held { version: Some((tag, Arc::new(head))), snapshot: None };
                self.land(attempted, held)
            }
            CommitFate::Unknown => self.fail(None, &unknown),
            CommitFate::Missed if planted::is(Bug::NotDecidedAgain) && head.live().is_some() => {
                let held = Held { version: Some((tag, Arc::new(head))), snapshot: None };
                self.publish(now, held, attempted.decided, None)
            }
            CommitFate::Missed => {
                self.is_fresh = true;
                self.judge(now, Some(attempted.base), Some((tag, body)))
            }
        }
    }

    /// Goes on from a version that was found in passing.
    fn judge(self, now: Timestamp, held: Option<Held>, found: Option<(Tag, Blob)>) -> Step<Commit> {
        if now >= self.plan.deadline {
            return self.fail(None, &WriteError::Unavailable);
        }
        let (namespace, deadline) = (self.plan.namespace.clone(), self.plan.deadline);
        let refresh = Refresh::found(namespace, held, self.depth, deadline, found);
        self.refreshing(now, refresh)
    }
}
