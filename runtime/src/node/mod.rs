//! One node: the namespaces it has to do with, and the operations they start.
//!
//! What a namespace is on a node, who waits and what is run next is decided by
//! [`NamespaceService`](sana_engine::service::namespace::NamespaceService), a plain value. Here it is
//! given a lock, a clock, threads and a store.
//!
//! # Story
//!
//! 1. A client's request is handed to the service of its namespace under a ticket, and the client
//!    waits for the answer to that ticket.
//! 2. What the service wants begun is begun (`drive`): one operation by the client that waits for it, each
//!    other as a task of its own.
//! 3. An operation's output goes back to the service; the answers it gives are delivered, and what it
//!    wants begun now is begun (2), one thing by the task that did the last.
//! 4. A *keeper* per namespace wakes the service when it is time for something, and drops it from
//!    memory when nobody has asked for it in a while.
//! 5. Who asks several things of one version, or wants nothing from memory, takes a version in hand and
//!    asks it (`moment`).
//! 6. A node that indexes goes through all namespaces again and again, for others write as well
//!    (`watch`), and lists everything now and then, for crashed processes leave objects behind (`survey`).
//!
//! # Invariants
//!
//! - **O1** A panic in a namespace's service or in one of its operations is a crash of that namespace
//!   on this node: its other operations end where they are, who waits is told that nothing is known, and the
//!   next request starts from the store.
//! - **O2** No two locks are held together.
//! - **O3** Who goes away while waiting changes nothing: the operation goes on.

mod crash;
mod drive;
mod hosted;
mod listing;
mod moment;
mod reads;
mod survey;
mod watch;

use core::sync::atomic::{AtomicU64, Ordering};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sana_engine::base::name::NamespaceName;
use sana_engine::format::head::Head;
use sana_engine::machine::drive::Clock;
use sana_engine::namespace::request::{
    Answer, QueryError, QueryRequest, WriteError, WriteOutcome, WriteRequest,
};
use sana_engine::namespace::snapshot::Snapshot;
use sana_engine::ops::delete::DeleteError;
use sana_engine::service::cache::CacheStatistics;
use sana_engine::service::namespace::{Ticket, Word};
use sana_engine::service::settings::Settings;
use tokio::sync::Semaphore;

use crate::cache::CachedStore;
use crate::clock::SystemClock;
use crate::compute::{Compute, Crashed};
use crate::store::Store;
use crate::store::counted::{Counted, Counts};
use crate::telemetry::Metrics;

use hosted::Hosted;
pub use listing::{ListError, Page};
pub use moment::{Memory, Moment, Moments};
pub use reads::Reads;

/// A node. A clone is another handle to the same node.
#[derive(Clone, Debug)]
pub struct Node {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: CachedStore<Counted<Store>>,
    counted: Counted<Store>,
    clock: SystemClock,
    settings: Settings,
    metrics: Arc<Metrics>,
    /// What clients wait for.
    foreground: Compute,
    /// What nobody waits for.
    background: Compute,
    /// Merges that may run at once. Each has a time by which it must be over, so many that hinder each
    /// other would all be in vain.
    merges: Semaphore,
    namespaces: Mutex<BTreeMap<NamespaceName, Arc<Hosted>>>,
    tickets: AtomicU64,
}

/// What a request came to, or that it was given up (O1).
pub type Given<T, E> = Result<Result<T, E>, Crashed>;

/// What a node says of one of the namespaces it has in memory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Held {
    /// The namespace.
    pub name: NamespaceName,
    /// Bytes committed and not indexed, as far as this node knows.
    pub unindexed_bytes: u64,
}

impl Node {
    /// A node on `store`, with a cache of `cache_bytes` and `threads` threads for computing.
    pub fn start(
        store: Store,
        cache_bytes: usize,
        threads: usize,
        settings: Settings,
        metrics: Arc<Metrics>,
    ) -> Self {
        let counted = Counted::new(store);
        let shared = Shared {
            store: CachedStore::new(counted.clone(), cache_bytes),
            counted,
            clock: SystemClock,
            settings,
            metrics,
            foreground: Compute::start(threads),
            background: Compute::start(threads.div_ceil(2)),
            merges: Semaphore::new(2 * threads.div_ceil(2)),
            namespaces: Mutex::new(BTreeMap::new()),
            tickets: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Threads for what clients wait for.
    pub fn foreground(&self) -> &Compute {
        &self.shared.foreground
    }

    /// Writes to a namespace. `bytes` is about how large the request is.
    ///
    /// # Errors
    ///
    /// [`Crashed`] if it was given up; nothing is known of it then.
    pub async fn write(
        &self,
        name: &NamespaceName,
        request: WriteRequest,
        bytes: usize,
    ) -> Given<WriteOutcome, WriteError> {
        let now = self.shared.clock.now();
        let word = self.ask(name, |service, ticket| service.write(now, ticket, request, bytes));
        match word.await? {
            (Word::Written(outcome), _) => Ok(outcome),
            (other, _) => unreachable!("V4: {other:?} answers no write"),
        }
    }

    /// Answers a query, and says how it was read.
    ///
    /// # Errors
    ///
    /// [`Crashed`] if it was given up.
    pub async fn query(
        &self,
        name: &NamespaceName,
        request: QueryRequest,
    ) -> Given<(Answer, Reads), QueryError> {
        let now = self.shared.clock.now();
        let word = self.ask(name, |service, ticket| service.query(now, ticket, request));
        match word.await? {
            (Word::Answered(outcome), reads) => Ok(outcome.map(|answer| (answer, reads))),
            (other, _) => unreachable!("V4: {other:?} answers no query"),
        }
    }

    /// The newest head of a namespace.
    ///
    /// # Errors
    ///
    /// [`Crashed`] if it was given up.
    pub async fn describe(&self, name: &NamespaceName) -> Given<Arc<Head>, QueryError> {
        let newest = self.newest(name).await?;
        Ok(newest.map(|snapshot| Arc::clone(&snapshot.head)))
    }

    /// The newest version of a namespace.
    async fn newest(&self, name: &NamespaceName) -> Given<Arc<Snapshot>, QueryError> {
        let now = self.shared.clock.now();
        let word = self.ask(name, |service, ticket| service.describe(now, ticket));
        match word.await? {
            (Word::Described(outcome), _) => Ok(outcome),
            (other, _) => unreachable!("V4: {other:?} describes nothing"),
        }
    }

    /// Deletes a namespace; says whether there was one.
    ///
    /// # Errors
    ///
    /// [`Crashed`] if it was given up; nothing is known of it then.
    pub async fn delete(&self, name: &NamespaceName) -> Given<bool, DeleteError> {
        let now = self.shared.clock.now();
        let word = self.ask(name, |service, ticket| service.delete(now, ticket));
        match word.await? {
            (Word::Deleted(outcome), _) => Ok(outcome),
            (other, _) => unreachable!("V4: {other:?} answers no deletion"),
        }
    }

    /// The namespaces whose names begin with `prefix` and come after `after`, at most `limit` of them.
    ///
    /// # Errors
    ///
    /// [`ListError`] if the store does not answer.
    pub async fn list(
        &self,
        prefix: &str,
        after: Option<&NamespaceName>,
        limit: usize,
    ) -> Result<Page, ListError> {
        listing::list(&self.shared.store, &self.shared.clock, prefix, after, limit).await
    }

    /// Whether the store answers.
    ///
    /// # Errors
    ///
    /// [`ListError`] if it does not.
    pub async fn reach(&self) -> Result<(), ListError> {
        listing::reach(&self.shared.store, &self.shared.clock).await
    }

    /// Sees to it that the newest version of a namespace is looked at, and indexed if it has to be.
    ///
    /// # Errors
    ///
    /// [`Crashed`] if the namespace broke.
    pub fn look(&self, name: &NamespaceName) -> Result<(), Crashed> {
        let (hosted, starts) = self.hand(name, |state| state.service.look())?;
        self.begin(&hosted, starts);
        Ok(())
    }

    /// Whether a namespace in memory is looked at and has nothing left to flush or to merge.
    pub fn is_settled(&self, name: &NamespaceName) -> bool {
        let hosted = self.shared.namespaces().get(name).cloned();
        hosted.is_some_and(|hosted| hosted.is_settled())
    }

    /// Drops every byte of a namespace that is in memory and can be read again.
    ///
    /// # Errors
    ///
    /// [`Crashed`] if it was given up, and [`QueryError::NoNamespace`] if there is none.
    pub async fn purge(&self, name: &NamespaceName) -> Given<(), QueryError> {
        // If it is there and cannot be read, what is in memory may be what is wrong.
        if let Err(QueryError::NoNamespace) = self.newest(name).await? {
            return Ok(Err(QueryError::NoNamespace));
        }
        // In this order: what is read from here on is of the store, and what was read before is not held.
        self.shared.store.purge(name);
        self.drop_from_memory(name)?;
        Ok(Ok(()))
    }

    /// The namespaces in memory.
    pub fn held(&self) -> Vec<Held> {
        let hosted: Vec<_> = self.shared.namespaces().values().cloned().collect();
        let held = |hosted: Arc<Hosted>| Held {
            name: hosted.name.clone(),
            unindexed_bytes: hosted.unindexed_bytes(),
        };
        hosted.into_iter().map(held).collect()
    }

    /// How the cache has fared.
    pub fn cache_statistics(&self) -> CacheStatistics {
        self.shared.store.statistics()
    }

    /// What was asked of the store.
    pub fn store_counts(&self) -> Counts {
        self.shared.counted.counts()
    }
}

impl Shared {
    fn namespaces(&self) -> MutexGuard<'_, BTreeMap<NamespaceName, Arc<Hosted>>> {
        // Nothing under the lock panics half-way through a change.
        self.namespaces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ticket(&self) -> Ticket {
        Ticket(self.tickets.fetch_add(1, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests;
