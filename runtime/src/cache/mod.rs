//! Immutable objects that were read, kept in memory.
//!
//! # Invariants
//!
//! - **C1** Only what is written once is kept: a register never enters. So what is found here is what
//!   the store holds, however old it is.
//! - **C2** A hit is a share of the blob that was read first, so its checksum is computed once.
//! - **C3** Equal reads that overlap ask the store once. A read that ends without an answer is
//!   forgotten, and the next one asks again.
//! - **C4** After a purge nothing is kept of a namespace that was read before it, whenever it arrives.
//! - **C5** Nor of an object of which something that was read turned out to be damaged.

mod sieve;

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sana_engine::base::name::{Key, NamespaceName};
use sana_engine::format::layout;
use sana_engine::machine::drive::ObjectStore;
use sana_engine::machine::request::{ByteRange, Reply, Request};
use tokio::sync::oneshot;

use sieve::Sieve;

/// A store behind a cache. A clone is another handle to the same store and cache.
#[derive(Clone, Debug)]
pub struct CachedStore<S> {
    store: S,
    shared: Arc<Shared>,
}

/// What part of which object.
type Stretch = (Key, Option<ByteRange>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    hits: AtomicU64,
    misses: AtomicU64,
}

#[derive(Debug)]
struct State {
    kept: Sieve<Stretch, Reply>,
    /// The reads that whoever wants the same waits for.
    joined: BTreeMap<Stretch, ReadId>,
    /// All reads that are under way: those, and others whose objects were purged meanwhile.
    reads: BTreeMap<ReadId, Read>,
    /// Reads so far.
    begun: u64,
}

/// Which of all reads.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct ReadId(u64);

/// A read that is under way.
#[derive(Debug, Default)]
struct Read {
    /// Those who wait for it.
    waiting: Vec<oneshot::Sender<Reply>>,
    /// Whether any of them wants it kept.
    keep: bool,
}

/// Where an answer came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// It was kept in memory.
    Memory,
    /// The store was asked.
    Store,
}

/// What to do with an object that is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keep {
    /// Keep it: it will be read again.
    Yes,
    /// Pass it on: whoever reads everything once would push out what others read often.
    No,
    /// Nor look for it here: whoever asks wants to know how long the store takes.
    Bypass,
}

/// Whether the answer to a request may be kept (C1).
pub fn may_keep(request: &Request) -> bool {
    matches!(request, Request::Get { key, unless: None, .. } if layout::is_immutable(key))
}

/// How a cache has fared.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CacheStatistics {
    /// Reads answered from memory.
    pub hits: u64,
    /// Reads that could have been and were not.
    pub misses: u64,
    /// Bytes kept.
    pub bytes: u64,
}

/// How long a read is waited for before those who wait are told that it is lost.
const READ_TIME_MAX: Duration = Duration::from_secs(30);
/// Bytes that an entry costs beside its body: keys, links, counts.
const ENTRY_BYTES: usize = 320;

impl<S: ObjectStore + Clone + Send + Sync + 'static> CachedStore<S> {
    /// A cache of at most `bytes_max` bytes before `store`.
    pub fn new(store: S, bytes_max: usize) -> Self {
        let (joined, reads) = (BTreeMap::new(), BTreeMap::new());
        let state = State { kept: Sieve::new(bytes_max), joined, reads, begun: 0 };
        let (hits, misses) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { store, shared: Arc::new(Shared { state: Mutex::new(state), hits, misses }) }
    }

    /// Asks for one request, once, and says where the answer came from.
    pub async fn ask(&self, request: Request, keep: Keep) -> (Reply, Origin) {
        match request {
            Request::Get { key, range, unless: None }
                if layout::is_immutable(&key) && keep != Keep::Bypass =>
            {
                self.read((key, range), keep).await
            }
            request => (self.store.perform(request).await, Origin::Store),
        }
    }

    /// Drops all that is kept of a namespace (C4).
    pub fn purge(&self, namespace: &NamespaceName) {
        let prefix = layout::namespace_data(namespace);
        self.shared.state().drop_all(&prefix, |key| key.as_str().starts_with(prefix.as_str()));
    }

    /// Drops all that is kept of an object: what was read of it turned out to be damaged, and the store
    /// may have it whole (C5).
    pub fn forget(&self, key: &Key) {
        self.shared.state().drop_all(key, |kept| kept == key);
    }

    /// How the cache has fared.
    pub fn statistics(&self) -> CacheStatistics {
        CacheStatistics {
            hits: self.shared.hits.load(Ordering::Relaxed),
            misses: self.shared.misses.load(Ordering::Relaxed),
            bytes: self.shared.state().kept.bytes() as u64,
        }
    }

    async fn read(&self, stretch: Stretch, keep: Keep) -> (Reply, Origin) {
        let (say, hear) = oneshot::channel();
        let first = {
            let mut state = self.shared.state();
            if let Some(reply) = state.kept.find(&stretch) {
                self.shared.hits.fetch_add(1, Ordering::Relaxed);
                return (reply.clone(), Origin::Memory);
            }
            state.join(&stretch, say, keep)
        };
        self.shared.misses.fetch_add(1, Ordering::Relaxed);
        if let Some(id) = first {
            // A task of its own: whoever asked first may go away while others still wait.
            tokio::spawn(self.clone().fetch(id, stretch));
        }
        (hear.await.unwrap_or(Reply::Lost), Origin::Store)
    }

    async fn fetch(self, id: ReadId, stretch: Stretch) {
        let (key, range) = stretch.clone();
        let mut ending = Ending { shared: &self.shared, id, stretch, reply: Reply::Lost };
        let asked = self.store.perform(Request::Get { key, range, unless: None });
        if let Ok(reply) = tokio::time::timeout(READ_TIME_MAX, asked).await {
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
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock panics half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Waits for a read together with those who do, or for a new one: which one is to be begun.
    fn join(
        &mut self,
        stretch: &Stretch,
        say: oneshot::Sender<Reply>,
        keep: Keep,
    ) -> Option<ReadId> {
        let known = self.joined.get(stretch).copied();
        let id = known.unwrap_or(ReadId(self.begun));
        if known.is_none() {
            self.begun += 1;
            self.joined.insert(stretch.clone(), id);
        }
        let read = self.reads.entry(id).or_default();
        read.waiting.push(say);
        read.keep |= keep == Keep::Yes;
        known.is_none().then_some(id)
    }

    /// A read is over: who waits for it. What it found is kept if somebody wants it so, and it was not
    /// purged meanwhile.
    fn end(&mut self, id: ReadId, stretch: &Stretch, reply: &Reply) -> Read {
        let read = self.reads.remove(&id).unwrap_or_default();
        if self.joined.get(stretch) == Some(&id) {
            self.joined.remove(stretch);
            if let (Reply::Found { body, .. }, true) = (reply, read.keep) {
                let bytes = body.len() + ENTRY_BYTES;
                self.kept.insert(stretch.clone(), reply.clone(), bytes);
            }
        }
        read
    }

    /// Drops what is kept of these objects. What is being read of them is not kept either, and nobody joins
    /// who comes later. They are next to each other, `first` or behind it.
    fn drop_all(&mut self, first: &Key, is_one: impl Fn(&Key) -> bool) {
        let first = (first.clone(), None);
        let joined = self.joined.range(first.clone()..);
        let joined = joined.take_while(|((key, _), _)| is_one(key)).map(|(stretch, _)| stretch);
        let joined: Vec<Stretch> = joined.cloned().collect();
        for stretch in &joined {
            self.joined.remove(stretch);
        }
        self.kept.remove_all(&first, |(key, _)| is_one(key));
    }
}

/// Tells those who wait how a read ended, also if it ended in a panic (C3).
struct Ending<'a> {
    shared: &'a Shared,
    id: ReadId,
    stretch: Stretch,
    reply: Reply,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let read = self.shared.state().end(self.id, &self.stretch, &self.reply);
        for say in read.waiting {
            // Whoever does not listen any more does not want to know.
            let _ = say.send(self.reply.clone());
        }
    }
}

#[cfg(test)]
mod tests;
