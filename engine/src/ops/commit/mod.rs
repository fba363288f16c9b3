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
//! - **C8** A batch is not much larger than its requests and what was found for them: a document that
//!   several of them change is in it once, and what filters match is bounded as whoever reads it will hold it.
//! - **C6** Nobody is told that a write happened before the put of its head is known to have.

mod looking;
mod publishing;

use core::time::Duration;
use std::sync::Arc;

use crate::base::blob::Blob;
use crate::base::host::Host;
use crate::base::id::{CommitId, Nonces};
use crate::base::limits;
use crate::base::name::NamespaceName;
use crate::base::planted::{self, Bug};
use crate::base::time::{Timestamp, WallTime};
use crate::format::head::Head;
use crate::format::layout::ObjectName;
use crate::format::log::{Batch, WriteOutcome};
use crate::format::schema::Schema;
use crate::machine::publish::Publish;
use crate::machine::request::{Reply, Tag};
use crate::machine::{Machine, Round, Step};
use crate::namespace::documents::{Known, decide};
use crate::namespace::head::{Attempt, Spilled};
use crate::namespace::matched::Matched;
use crate::namespace::request::{InvalidWrite, WriteError, WriteRequest};
use crate::ops::lookup::Lookup;
use crate::ops::matching::Matching;
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
    /// Whether anything was sent to be written.
    has_written: bool,
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
    /// Whether anything was sent to be written. The head may have changed then, and something may be left that
    /// nobody names, whatever the requests came to.
    pub has_written: bool,
}

impl Committed {
    /// Whether nothing was written because of what the requests need together: something cannot be
    /// read, or it is too much. Alone most of them may well succeed.
    pub fn is_for_want(&self) -> bool {
        let is = |outcome: &Result<_, _>| {
            matches!(
                outcome,
                Err(WriteError::Unreadable(_)
                    | WriteError::TooMuch
                    | WriteError::Invalid(InvalidWrite::MatchesTooLarge { .. }))
            )
        };
        !self.outcomes.is_empty() && self.outcomes.iter().all(is)
    }
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
        let (missed, matched) = (None, None);
        let group = Group { plan, depth, is_fresh: false, missed, matched, has_written: false };
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
        // What was held before says nothing of what is there now.
        let held = held.filter(|_| self.is_fresh);
        let (spilled, has_written) = (self.plan.spilled, self.has_written);
        Step::Done(Committed { outcomes, held, landed: None, spilled, has_written })
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
            Step::Done(Err(RefreshError::Damaged { bad, version })) => {
                let held = version.map(|version| Held { version: Some(version), snapshot: None });
                self.fail(held, &WriteError::Unreadable(bad))
            }
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
            let has_written = self.has_written && !planted::is(Bug::NothingDoneIsNothingLeft);
            let spilled = self.plan.spilled;
            let (outcomes, held) = (decision.outcomes, Some(held));
            return Step::Done(Committed { outcomes, held, landed: None, spilled, has_written });
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
        let bytes = if planted::is(Bug::LimitWithoutTheBatch) { 0 } else { bytes };
        let too_much = !has_room && !ignored && unindexed_bytes + bytes > limit_bytes;
        let too_many = live.log.entries.len() >= limits::LOG_ENTRIES_MAX;
        (too_much || too_many).then_some(WriteError::Behind { unindexed_bytes, limit_bytes })
    }
}
