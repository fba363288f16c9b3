//! What an actor of the explorer does: a client's request, or a piece of upkeep, machine after machine.
//!
//! This is what `service` does for a node, one thing at a time and told by a script.

use core::time::Duration;
use std::fmt;
use std::sync::Arc;

use sana_engine::base::host::Host;
use sana_engine::base::id::Nonces;
use sana_engine::base::limits;
use sana_engine::base::name::NamespaceName;
use sana_engine::base::time::{Timestamp, WallTime};
use sana_engine::namespace::head::{Edit, Spilled};
use sana_engine::namespace::request::{QueryError, QueryRequest, WriteRequest};
use sana_engine::ops::collect::CollectPlan;
use sana_engine::ops::commit::{CommitPlan, Committed};
use sana_engine::ops::delete::{DeleteError, Deleted};
use sana_engine::ops::merge::MergePlan;
use sana_engine::ops::publication::{Plan, Publicized};
use sana_engine::ops::snapshot::Held;
use sana_engine::ops::sweep::SweepPlan;
use sana_engine::service::task::{Output, Start};

use crate::model::Change;
use crate::oracles::linearizability::{OpId, Told};
use crate::oracles::witness::Witness;
use crate::oracles::{Broken, Oracle};
use crate::phrases;
use crate::words;

/// Something to do.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Deed {
    /// Write these requests in one commit.
    Write(Arc<[WriteRequest]>),
    /// Answer a query.
    Query(Arc<QueryRequest>),
    /// Delete the namespace.
    Remove,
    /// Make a segment of the log.
    Flush,
    /// Make one segment of the newest two.
    Merge,
    /// Delete trash.
    Collect,
    /// Delete orphans.
    Sweep,
}

/// Which of a deed's machines runs.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Stage {
    deed: Deed,
    namespace: NamespaceName,
    nonces: Nonces,
    /// What was held, or was found by the machine before.
    held: Option<Held>,
    restarts: u32,
}

/// What follows a machine's end.
#[derive(Clone, Debug)]
pub enum Next {
    /// Another machine.
    Go(Stage, Box<Start>),
    /// The next deed. What the actor holds from now on, if it learned anything.
    Done {
        /// Of the namespace.
        held: Option<Held>,
        /// Of batches in objects.
        spilled: Option<Spilled>,
    },
    /// Nobody knows what became of it.
    Unknown,
}

/// When a deed is given up.
const DEADLINE: Timestamp = Timestamp(1_000);
/// What day it is, for ever.
const WALL: WallTime = WallTime(1_000_000);
/// How often a query may start over.
const RESTARTS_MAX: u32 = 3;

impl Deed {
    /// How many requests of clients it serves.
    pub fn ops(&self) -> u32 {
        match self {
            Self::Write(requests) => requests.len() as u32,
            Self::Query(_) | Self::Remove => 1,
            Self::Flush | Self::Merge | Self::Collect | Self::Sweep => 0,
        }
    }

    /// Whether a client asks again when it does not know.
    pub fn is_repeatable(&self) -> bool {
        match self {
            Self::Write(requests) => requests.iter().all(|r| r.idempotency.is_some()),
            _ => false,
        }
    }

    /// What one calls who does it.
    pub const fn who(&self) -> &'static str {
        match self {
            Self::Write(_) => "writer",
            Self::Query(_) => "reader",
            Self::Remove => "remover",
            Self::Flush => "flusher",
            Self::Merge => "merger",
            Self::Collect => "collector",
            Self::Sweep => "sweeper",
        }
    }

    /// Tells the witness that clients ask.
    pub fn begin(&self, witness: &mut Witness, ops: &[OpId]) {
        witness.monitor.change(|monitor| match self {
            Self::Write(requests) => {
                for (op, request) in ops.iter().zip(requests.iter()) {
                    monitor.begin(*op, Change::Write(Arc::new(request.clone())));
                }
            }
            Self::Query(_) => ops.iter().for_each(|op| monitor.begin_query(*op)),
            Self::Remove => ops.iter().for_each(|op| monitor.begin(*op, Change::Remove)),
            Self::Flush | Self::Merge | Self::Collect | Self::Sweep => {}
        });
    }

    /// The first machine of the deed.
    pub fn start(
        self,
        namespace: &NamespaceName,
        held: Option<Held>,
        spilled: Spilled,
        seed: u128,
    ) -> (Stage, Start) {
        let nonces = Nonces::new(seed);
        let namespace = namespace.clone();
        let mut stage = Stage { deed: self.clone(), namespace, nonces, held, restarts: 0 };
        let start = match self {
            Self::Write(requests) => stage.commit(requests, spilled),
            Self::Remove => Start::Delete {
                namespace: stage.namespace.clone(),
                held: stage.held.clone(),
                nonces: stage.nonces.fork(),
                deadline: DEADLINE,
            },
            Self::Query(_) | Self::Flush | Self::Merge | Self::Collect | Self::Sweep => {
                stage.refresh()
            }
        };
        (stage, start)
    }
}

impl Stage {
    fn commit(&mut self, requests: Arc<[WriteRequest]>, spilled: Spilled) -> Start {
        let plan = CommitPlan {
            namespace: self.namespace.clone(),
            requests,
            spilled,
            wall: WALL,
            nonces: self.nonces.fork(),
            deadline: DEADLINE,
            host: Host::default(),
            unindexed_bytes_max: limits::UNINDEXED_BYTES_MAX,
            idempotency_retention: limits::IDEMPOTENCY_RETENTION,
        };
        Start::Commit(Box::new(plan), self.held.clone())
    }

    fn refresh(&self) -> Start {
        // Only what is whole can be brought up to date.
        let held = self.held.clone().filter(|held| held.snapshot.is_some());
        Start::Refresh { namespace: self.namespace.clone(), held, deadline: DEADLINE }
    }

    /// What follows a machine's end. Clients are told what they are to be told, and the witness hears
    /// it.
    ///
    /// # Errors
    ///
    /// [`Broken`] if what a client was told is not so.
    pub fn next(self, output: Output, witness: &mut Witness, ops: &[OpId]) -> Result<Next, Broken> {
        match output {
            Output::Refresh(Ok(held)) => self.refreshed(held, witness, ops),
            Output::Refresh(Err(_)) => Ok(self.unanswered(witness, ops)),
            Output::Commit(committed) => committed_to(*committed, witness, ops),
            Output::Query(Err(QueryError::Vanished(_))) if self.restarts < RESTARTS_MAX => {
                let stage = Self { restarts: self.restarts + 1, ..self };
                let start = Box::new(stage.refresh());
                Ok(Next::Go(stage, start))
            }
            Output::Query(Ok(answer)) => {
                let query = self.query();
                witness.monitor.change(|monitor| {
                    monitor.answer_query(ops[0], query, Told::Found(&answer.found))
                })?;
                Ok(self.done())
            }
            Output::Query(Err(error)) => {
                bad_only_if_unavailable(&error)?;
                Ok(self.unanswered(witness, ops))
            }
            Output::Delete(outcome) => removed(outcome, witness, ops),
            Output::Flush(Ok(flushed)) => Ok(self.publish(Edit::Flush(flushed.edit))),
            Output::Merge(Ok(merged)) => Ok(self.publish(Edit::Merge(merged.edit))),
            Output::Flush(Err(_)) | Output::Merge(Err(_)) | Output::NoTurn => Ok(self.done()),
            Output::Publication(Publicized::Damaged(bad)) => Oracle::Sound.broken(bad.to_string()),
            Output::Publication(_) | Output::Collect(_) | Output::Sweep(_) => Ok(self.done()),
        }
    }

    fn query(&self) -> &QueryRequest {
        match &self.deed {
            Deed::Query(query) => query,
            other => unreachable!("{other:?} asks nothing"),
        }
    }

    fn done(self) -> Next {
        Next::Done { held: self.held, spilled: None }
    }

    /// A query ends without an answer, or upkeep without having begun.
    fn unanswered(self, witness: &mut Witness, ops: &[OpId]) -> Next {
        witness.monitor.change(|monitor| ops.iter().for_each(|op| monitor.close_query(*op)));
        self.done()
    }

    fn refreshed(
        mut self,
        held: Held,
        witness: &mut Witness,
        ops: &[OpId],
    ) -> Result<Next, Broken> {
        self.held = Some(held.clone());
        let (Some(snapshot), Some(version)) = (held.snapshot, held.version) else {
            if let Deed::Query(query) = &self.deed {
                witness
                    .monitor
                    .change(|monitor| monitor.answer_query(ops[0], query, Told::NoNamespace))?;
            }
            return Ok(self.done());
        };
        let (tag, head) = version;
        let start = match self.deed.clone() {
            Deed::Query(request) => {
                Start::Query { snapshot, request, host: Host::default(), deadline: DEADLINE }
            }
            Deed::Flush if snapshot.live().log.entries.is_empty() => return Ok(self.done()),
            Deed::Flush => {
                let nonces = self.nonces.fork();
                Start::Flush { snapshot, nonces, deadline: DEADLINE }
            }
            Deed::Merge => {
                let count = snapshot.live().manifest.segments.len();
                if count < 2 {
                    return Ok(self.done());
                }
                let plan = MergePlan {
                    snapshot,
                    segments: count - 2..count,
                    nonces: self.nonces.fork(),
                    wall: WALL,
                    idempotency_retention: limits::IDEMPOTENCY_RETENTION,
                    deadline: DEADLINE,
                };
                Start::Merge(Box::new(plan))
            }
            Deed::Collect => {
                let plan = CollectPlan {
                    namespace: self.namespace.clone(),
                    wall: WALL,
                    retention: Duration::ZERO,
                    nonces: self.nonces.fork(),
                    deadline: DEADLINE,
                };
                Start::Collect(Box::new(plan), tag, head)
            }
            Deed::Sweep => {
                let plan = SweepPlan {
                    namespace: self.namespace.clone(),
                    floor: head.step,
                    wall: WALL,
                    nonces: self.nonces.fork(),
                    deadline: DEADLINE,
                };
                Start::Sweep(Box::new(plan))
            }
            other => unreachable!("{other:?} does not begin with a look"),
        };
        Ok(Next::Go(self, Box::new(start)))
    }

    fn publish(mut self, edit: Edit) -> Next {
        let version = self.held.as_ref().and_then(|held| held.version.clone());
        let (tag, head) = version.expect("what is published was built from a version");
        let plan = Plan {
            namespace: self.namespace.clone(),
            edit,
            wall: WALL,
            nonces: self.nonces.fork(),
            deadline: DEADLINE,
        };
        let start = Box::new(Start::Publication(Box::new(plan), tag, head));
        Next::Go(self, start)
    }
}

/// Tells the clients of a commit what it came to.
fn committed_to(committed: Committed, witness: &mut Witness, ops: &[OpId]) -> Result<Next, Broken> {
    let mut unknown = false;
    for (op, outcome) in ops.iter().zip(&committed.outcomes) {
        unknown |= words::told(witness, *op, &words::said(outcome))?;
    }
    if unknown {
        return Ok(Next::Unknown);
    }
    Ok(Next::Done { held: committed.held, spilled: Some(committed.spilled) })
}

fn removed(
    outcome: Result<Deleted, DeleteError>,
    witness: &mut Witness,
    ops: &[OpId],
) -> Result<Next, Broken> {
    let told = outcome.as_ref().map(|deleted| matches!(deleted, Deleted::Landed(_)));
    if words::told(witness, ops[0], &words::said_of_removal(told))? {
        return Ok(Next::Unknown);
    }
    let held = outcome.ok().map(|(Deleted::Landed(held) | Deleted::Absent(held))| held);
    Ok(Next::Done { held, spilled: None })
}

/// A query may fail because the store does not answer, or the index changes too fast. It may not find
/// that something is damaged: nothing is.
fn bad_only_if_unavailable(error: &QueryError) -> Result<(), Broken> {
    let harmless =
        matches!(error, QueryError::Unavailable | QueryError::TooLong | QueryError::Vanished(_));
    Oracle::Linearizable.demand(harmless, || format!("a query failed: {error}"))
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write(requests) => {
                write!(
                    f,
                    "write {}",
                    requests.iter().map(phrases::write).collect::<Vec<_>>().join(" and ")
                )
            }
            Self::Query(request) => f.write_str(&phrases::query(request)),
            Self::Remove => f.write_str("delete the namespace"),
            Self::Flush => f.write_str("flush"),
            Self::Merge => f.write_str("merge"),
            Self::Collect => f.write_str("collect trash"),
            Self::Sweep => f.write_str("sweep orphans"),
        }
    }
}
