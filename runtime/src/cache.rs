//! A store behind the engine's cache: what [`Cache`] decides is done here, under a lock, with a task for each
//! read that is under way.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sana_engine::base::name::NamespaceName;
use sana_engine::machine::drive::ObjectStore;
use sana_engine::machine::request::{Reply, Request};
use sana_engine::service::cache::{
    self, Asked, Cache, CacheStatistics, Keep, READ_TIME_MAX, ReadId,
};
use sana_engine::service::task::Output;
use tokio::sync::oneshot;

/// A store behind a cache. A clone is another handle to the same store and cache.
#[derive(Clone, Debug)]
pub struct CachedStore<S> {
    store: S,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared(Mutex<Cache<oneshot::Sender<Reply>>>);

/// Where an answer came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// It was kept in memory.
    Memory,
    /// The store was asked.
    Store,
}

impl<S: ObjectStore + Clone + Send + Sync + 'static> CachedStore<S> {
    /// A cache of at most `bytes_max` bytes before `store`.
    pub fn new(store: S, bytes_max: usize) -> Self {
        Self { store, shared: Arc::new(Shared(Mutex::new(Cache::new(bytes_max)))) }
    }

    /// Asks for one request, once, and says where the answer came from.
    pub async fn ask(&self, request: Request, keep: Keep) -> (Reply, Origin) {
        if !cache::concerns(&request, keep) {
            return (self.store.perform(request).await, Origin::Store);
        }
        let (say, hear) = oneshot::channel();
        let asked = self.shared.cache().ask(&request, keep, || say);
        match asked {
            Asked::Pass => return (self.store.perform(request).await, Origin::Store),
            Asked::Kept(reply) => return (reply, Origin::Memory),
            Asked::Joined => {}
            // A task of its own: whoever asked first may go away while others still wait.
            Asked::Begun(id) => drop(tokio::spawn(self.clone().read(id, request))),
        }
        (hear.await.unwrap_or(Reply::Lost), Origin::Store)
    }

    /// Drops all that is kept of a namespace.
    pub fn purge(&self, namespace: &NamespaceName) {
        self.shared.cache().purge(namespace);
    }

    /// Takes note of how an operation ended: what it found damaged is not kept.
    pub fn heed(&self, output: &Output) {
        self.shared.cache().heed(output);
    }

    /// How the cache has fared.
    pub fn statistics(&self) -> CacheStatistics {
        self.shared.cache().statistics()
    }

    async fn read(self, id: ReadId, request: Request) {
        let mut ending = Ending { shared: &self.shared, id, reply: Reply::Lost };
        if let Ok(reply) = tokio::time::timeout(READ_TIME_MAX, self.store.perform(request)).await {
            ending.reply = reply;
        }
    }
}

impl<S: ObjectStore + Clone + Send + Sync + 'static> ObjectStore for CachedStore<S> {
    async fn perform(&self, request: Request) -> Reply {
        self.ask(request, Keep::Yes).await.0
    }
}

impl Shared {
    fn cache(&self) -> MutexGuard<'_, Cache<oneshot::Sender<Reply>>> {
        // Nothing under the lock panics half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells those who wait how a read ended, also if it ended in a panic (C3).
struct Ending<'a> {
    shared: &'a Shared,
    id: ReadId,
    reply: Reply,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let waiting = self.shared.cache().end(self.id, &self.reply);
        for say in waiting {
            // Whoever does not listen any more does not want to know.
            let _ = say.send(self.reply.clone());
        }
    }
}

#[cfg(test)]
mod tests;
