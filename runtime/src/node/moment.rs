//! Several queries of one namespace at one moment, or one that takes nothing from memory.
//!
//! The service of a namespace answers one query at a time, from what it holds. Here somebody takes one
//! version in hand and asks it as often as necessary. If the index changed under that version and an
//! object is gone, all begins again at a newer one.

use std::sync::Arc;

use sana_engine::base::name::NamespaceName;
use sana_engine::base::time::Timestamp;
use sana_engine::machine::drive::Clock;
use sana_engine::namespace::request::{Answer, QueryError, QueryRequest};
use sana_engine::namespace::snapshot::Snapshot;
use sana_engine::ops::snapshot::RefreshError;
use sana_engine::service::cache::Keep;
use sana_engine::service::task::{Output, Start};

use super::crash::caught;
use super::reads::Reads;
use super::{Given, Node};
use crate::compute::Crashed;

/// Whether what is in memory answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Memory {
    /// It does, and keeps what was read.
    Used,
    /// The store answers everything, and nothing is kept.
    Unused,
}

/// The newest versions of a namespace, one after the other, for something that begins again if an object
/// that it needs is gone. All of it together may take as long as one query.
#[derive(Debug)]
pub struct Moments {
    node: Node,
    name: NamespaceName,
    memory: Memory,
    deadline: Timestamp,
    restarts: u32,
}

/// A namespace at one moment.
#[derive(Debug)]
pub struct Moment {
    node: Node,
    snapshot: Arc<Snapshot>,
    memory: Memory,
    deadline: Timestamp,
    /// How it was read that this is the newest version.
    reads: Reads,
}

/// How often all begins again because the version turned out to be too old.
const RESTARTS_MAX: u32 = 3;

impl Node {
    /// The newest versions of a namespace, from now on.
    pub fn moments(&self, name: &NamespaceName, memory: Memory) -> Moments {
        let deadline = self.shared.clock.now() + self.shared.settings.query_time_max;
        Moments { node: self.clone(), name: name.clone(), memory, deadline, restarts: 0 }
    }

    /// Answers a query from the store alone, as a node would that has just started.
    ///
    /// # Errors
    ///
    /// [`Crashed`] if it was given up.
    pub async fn query_cold(
        &self,
        name: &NamespaceName,
        request: QueryRequest,
    ) -> Given<(Answer, Reads), QueryError> {
        let mut moments = self.moments(name, Memory::Unused);
        loop {
            let moment = match moments.newest().await? {
                Ok(moment) => moment,
                Err(error) => return Ok(Err(error)),
            };
            match moment.ask(request.clone()).await? {
                Err(error) if moments.begins_again(&error) => {}
                Ok((answer, reads)) => {
                    // The head is never kept, and here nothing is: it counts like the rest.
                    let head = Reads { hits: 0, misses: 1 };
                    return Ok(Ok((answer, reads.and(moment.reads).and(head))));
                }
                Err(error) => return Ok(Err(error)),
            }
        }
    }

    /// The newest version, nothing of which is taken from memory.
    async fn newest_cold(
        &self,
        name: &NamespaceName,
        deadline: Timestamp,
    ) -> Given<(Arc<Snapshot>, Reads), QueryError> {
        let start = Start::Refresh { namespace: name.clone(), held: None, deadline };
        let (output, reads) = self.driven(start, Keep::Bypass).await?;
        let Output::Refresh(refreshed) = output else { unreachable!("{output:?} is no refresh") };
        Ok(match refreshed {
            Ok(held) => held.snapshot.ok_or(QueryError::NoNamespace),
            Err(RefreshError::Unavailable) => Err(QueryError::Unavailable),
            Err(RefreshError::Damaged { bad, .. }) => Err(QueryError::Damaged(bad)),
        }
        .map(|snapshot| (snapshot, reads)))
    }

    /// Runs an operation that no service knows of.
    async fn driven(&self, start: Start, keep: Keep) -> Result<(Output, Reads), Crashed> {
        let driven = caught(self.shared.drive(start, keep)).await.and_then(|driven| driven);
        driven.inspect_err(|Crashed| {
            tracing::error!("an invariant did not hold in a query of its own");
            self.shared.metrics.crashed();
        })
    }
}

impl Moments {
    /// The newest version.
    ///
    /// # Errors
    ///
    /// [`Crashed`] if it was given up.
    pub async fn newest(&self) -> Given<Moment, QueryError> {
        let (node, memory, deadline) = (self.node.clone(), self.memory, self.deadline);
        let found = match memory {
            Memory::Used => {
                let newest = node.newest(&self.name).await?;
                newest.map(|snapshot| (snapshot, Reads::default()))
            }
            Memory::Unused => node.newest_cold(&self.name, deadline).await?,
        };
        Ok(found.map(|(snapshot, reads)| Moment { node, snapshot, memory, deadline, reads }))
    }

    /// Whether what ended like this is to begin again at a newer version.
    pub fn begins_again(&mut self, error: &QueryError) -> bool {
        self.restarts += 1;
        matches!(error, QueryError::Vanished(_)) && self.restarts <= RESTARTS_MAX
    }
}

impl Moment {
    /// The version.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Answers a query at this version, however fresh it would be.
    ///
    /// # Errors
    ///
    /// [`Crashed`] if it was given up.
    pub async fn ask(&self, request: QueryRequest) -> Given<(Answer, Reads), QueryError> {
        let start = Start::Query {
            snapshot: Arc::clone(&self.snapshot),
            request: Arc::new(request),
            host: self.node.shared.settings.host,
            deadline: self.deadline,
        };
        let keep = match self.memory {
            Memory::Used => Keep::Yes,
            Memory::Unused => Keep::Bypass,
        };
        let (output, reads) = self.node.driven(start, keep).await?;
        let Output::Query(outcome) = output else { unreachable!("{output:?} is no answer") };
        Ok(outcome.map(|answer| (answer, reads)))
    }
}
