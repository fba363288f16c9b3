//! Every machine a service starts, as one machine, so that a driver needs to know only one.

use std::sync::Arc;

use crate::base::host::Host;
use crate::base::id::Nonces;
use crate::base::name::NamespaceName;
use crate::base::time::Timestamp;
use crate::format::frame::BadObject;
use crate::format::head::Head;
use crate::machine::request::{Reply, Tag};
use crate::machine::{Machine, Step};
use crate::namespace::request::{Answer, QueryError, QueryRequest, WriteError};
use crate::namespace::snapshot::Snapshot;
use crate::ops::collect::{Collect, CollectPlan, Collected};
use crate::ops::commit::{Commit, CommitPlan, Committed};
use crate::ops::delete::{Delete, DeleteError, Deleted};
use crate::ops::flush::{self, Flush, Flushed};
use crate::ops::merge::{Merge, MergePlan, Merged};
use crate::ops::publication::{Plan, Publication, Publicized};
use crate::ops::query::Query;
use crate::ops::read::ReadError;
use crate::ops::snapshot::{Depth, Held, Refresh, RefreshError};
use crate::ops::sweep::{Sweep, SweepPlan, Swept};

/// Names a task among those of one service.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TaskId(pub u64);

/// An operation that is to begin. Beginning may compute for a while, so it is left to the driver.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Start {
    /// Bring a namespace up to date.
    Refresh {
        /// The namespace.
        namespace: NamespaceName,
        /// What is held of it.
        held: Option<Held>,
        /// When to give up.
        deadline: Timestamp,
    },
    /// Write a group of requests.
    Commit(Box<CommitPlan>, Option<Held>),
    /// Make an edit.
    Publication(Box<Plan>, Tag, Arc<Head>),
    /// End a namespace.
    Delete {
        /// The namespace.
        namespace: NamespaceName,
        /// What is held of it.
        held: Option<Held>,
        /// For the tombstone.
        nonces: Nonces,
        /// When to give up.
        deadline: Timestamp,
    },
    /// Answer a query.
    Query {
        /// What to answer it from.
        snapshot: Arc<Snapshot>,
        /// The query.
        request: Arc<QueryRequest>,
        /// What the machine can do.
        host: Host,
        /// When to give up.
        deadline: Timestamp,
    },
    /// Make a segment of log entries.
    Flush {
        /// The log, and the segments it kills rows in.
        snapshot: Arc<Snapshot>,
        /// For the names of objects.
        nonces: Nonces,
        /// When to give up.
        deadline: Timestamp,
    },
    /// Make one segment of several.
    Merge(Box<MergePlan>),
    /// Delete trash.
    Collect(Box<CollectPlan>, Tag, Arc<Head>),
    /// Delete orphans.
    Sweep(Box<SweepPlan>),
}

/// Any operation on its way.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Task {
    /// See [`Start::Refresh`].
    Refresh(Box<Refresh>),
    /// See [`Start::Commit`].
    Commit(Box<Commit>),
    /// See [`Start::Publication`].
    Publication(Box<Publication>),
    /// See [`Start::Delete`].
    Delete(Box<Delete>),
    /// See [`Start::Query`].
    Query(Box<Query>),
    /// See [`Start::Flush`].
    Flush(Box<Flush>),
    /// See [`Start::Merge`].
    Merge(Box<Merge>),
    /// See [`Start::Collect`].
    Collect(Box<Collect>),
    /// See [`Start::Sweep`].
    Sweep(Box<Sweep>),
}

/// What an operation came to.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Output {
    /// Of [`Start::Refresh`].
    Refresh(Result<Held, RefreshError>),
    /// Of [`Start::Commit`].
    Commit(Box<Committed>),
    /// Of [`Start::Publication`].
    Publication(Publicized),
    /// Of [`Start::Delete`].
    Delete(Result<Deleted, DeleteError>),
    /// Of [`Start::Query`].
    Query(Result<Answer, QueryError>),
    /// Of [`Start::Flush`].
    Flush(Result<Box<Flushed>, ReadError>),
    /// Of [`Start::Merge`].
    Merge(Result<Box<Merged>, ReadError>),
    /// Of [`Start::Merge`], where the driver lets merges take turns: it was not begun.
    NoTurn,
    /// Of [`Start::Collect`].
    Collect(Collected),
    /// Of [`Start::Sweep`].
    Sweep(Swept),
}

impl Output {
    /// The damaged objects that it met, if it failed for such: what was read of them must not be believed
    /// again.
    pub fn damaged(&self) -> Vec<&BadObject> {
        match self {
            Self::Refresh(Err(RefreshError::Damaged { bad, .. }))
            | Self::Query(Err(QueryError::Damaged(bad)))
            | Self::Flush(Err(ReadError::Damaged(bad)))
            | Self::Merge(Err(ReadError::Damaged(bad))) => vec![bad],
            Self::Commit(committed) => {
                let outcomes = committed.outcomes.iter();
                let unreadable = outcomes.filter_map(|outcome| match outcome {
                    Err(WriteError::Unreadable(bad)) => Some(bad),
                    _ => None,
                });
                unreadable.collect()
            }
            _ => Vec::new(),
        }
    }
}

impl Start {
    /// Whether nobody waits for it.
    pub const fn is_upkeep(&self) -> bool {
        matches!(
            self,
            Self::Publication(..)
                | Self::Flush { .. }
                | Self::Merge(_)
                | Self::Collect(..)
                | Self::Sweep { .. }
        )
    }

    /// Begins the operation.
    pub fn begin(self, now: Timestamp) -> Step<Task> {
        match self {
            Self::Refresh { namespace, held, deadline } => {
                refresh(Refresh::start(namespace, held, Depth::Snapshot, deadline))
            }
            Self::Commit(plan, held) => commit(Commit::start(now, *plan, held)),
            Self::Publication(plan, tag, head) => {
                publication(Publication::start(now, *plan, tag, &head))
            }
            Self::Delete { namespace, held, nonces, deadline } => {
                delete(Delete::start(now, namespace, held, nonces, deadline))
            }
            // All its time went by before the store said which version is the newest.
            Self::Query { deadline, .. } if deadline <= now => {
                Step::Done(Output::Query(Err(QueryError::Unavailable)))
            }
            Self::Query { snapshot, request, host, deadline } => {
                query(Query::start(now, snapshot, &request, host, deadline))
            }
            Self::Flush { snapshot, nonces, deadline } => {
                let settings = flush::Settings::default();
                flushing(Flush::start(now, snapshot, nonces, settings, deadline))
            }
            Self::Merge(plan) => merge(Merge::start(now, *plan)),
            Self::Collect(plan, tag, head) => collect(Collect::start(now, *plan, tag, &head)),
            Self::Sweep(plan) => sweep(Sweep::start(*plan)),
        }
    }

    /// Whether to begin may compute for more than a few milliseconds.
    pub fn is_heavy(&self) -> bool {
        match self {
            Self::Commit(..) | Self::Flush { .. } | Self::Merge(_) => true,
            Self::Query { snapshot, request, .. } => Query::begins_heavily(snapshot, request),
            _ => false,
        }
    }
}

impl Machine for Task {
    type Output = Output;

    fn step(self, now: Timestamp, replies: Vec<Reply>) -> Step<Self> {
        match self {
            Self::Refresh(machine) => refresh(machine.step(now, replies)),
            Self::Commit(machine) => commit(machine.step(now, replies)),
            Self::Publication(machine) => publication(machine.step(now, replies)),
            Self::Delete(machine) => delete(machine.step(now, replies)),
            Self::Query(machine) => query(machine.step(now, replies)),
            Self::Flush(machine) => flushing(machine.step(now, replies)),
            Self::Merge(machine) => merge(machine.step(now, replies)),
            Self::Collect(machine) => collect(machine.step(now, replies)),
            Self::Sweep(machine) => sweep(machine.step(now, replies)),
        }
    }

    fn is_heavy(&self) -> bool {
        match self {
            Self::Refresh(machine) => machine.is_heavy(),
            Self::Commit(machine) => machine.is_heavy(),
            Self::Publication(machine) => machine.is_heavy(),
            Self::Delete(machine) => machine.is_heavy(),
            Self::Query(machine) => machine.is_heavy(),
            Self::Flush(machine) => machine.is_heavy(),
            Self::Merge(machine) => machine.is_heavy(),
            Self::Collect(machine) => machine.is_heavy(),
            Self::Sweep(machine) => machine.is_heavy(),
        }
    }
}

fn refresh(step: Step<Refresh>) -> Step<Task> {
    step.within(|m| Task::Refresh(Box::new(m)), |o| Step::Done(Output::Refresh(o)))
}

fn commit(step: Step<Commit>) -> Step<Task> {
    step.within(|m| Task::Commit(Box::new(m)), |o| Step::Done(Output::Commit(Box::new(o))))
}

fn publication(step: Step<Publication>) -> Step<Task> {
    step.within(|m| Task::Publication(Box::new(m)), |o| Step::Done(Output::Publication(o)))
}

fn delete(step: Step<Delete>) -> Step<Task> {
    step.within(|m| Task::Delete(Box::new(m)), |o| Step::Done(Output::Delete(o)))
}

fn query(step: Step<Query>) -> Step<Task> {
    step.within(|m| Task::Query(Box::new(m)), |o| Step::Done(Output::Query(o)))
}

fn flushing(step: Step<Flush>) -> Step<Task> {
    let end = |o: Result<Flushed, ReadError>| Step::Done(Output::Flush(o.map(Box::new)));
    step.within(|m| Task::Flush(Box::new(m)), end)
}

fn merge(step: Step<Merge>) -> Step<Task> {
    let end = |o: Result<Merged, ReadError>| Step::Done(Output::Merge(o.map(Box::new)));
    step.within(|m| Task::Merge(Box::new(m)), end)
}

fn collect(step: Step<Collect>) -> Step<Task> {
    step.within(|m| Task::Collect(Box::new(m)), |o| Step::Done(Output::Collect(o)))
}

fn sweep(step: Step<Sweep>) -> Step<Task> {
    step.within(|m| Task::Sweep(Box::new(m)), |o| Step::Done(Output::Sweep(o)))
}
