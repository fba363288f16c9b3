//! How one operation was read.

use core::sync::atomic::{AtomicU64, Ordering};

use sana_engine::machine::drive::ObjectStore;
use sana_engine::machine::request::{Reply, Request};
use sana_engine::service::cache::{self, Keep};

use crate::cache::{CachedStore, Origin};
use crate::store::Store;
use crate::store::counted::Counted;

/// Where the reads of one operation were answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Reads {
    /// In memory.
    pub hits: u64,
    /// By the store, though memory could have.
    pub misses: u64,
}

impl Reads {
    /// Those of two operations.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self { hits: self.hits + other.hits, misses: self.misses + other.misses }
    }
}

/// The store as one operation sees it: it counts.
#[derive(Debug)]
pub(super) struct Tally<'a> {
    store: &'a CachedStore<Counted<Store>>,
    keep: Keep,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl<'a> Tally<'a> {
    pub(super) const fn new(store: &'a CachedStore<Counted<Store>>, keep: Keep) -> Self {
        Self { store, keep, hits: AtomicU64::new(0), misses: AtomicU64::new(0) }
    }

    pub(super) fn reads(&self) -> Reads {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Reads { hits: read(&self.hits), misses: read(&self.misses) }
    }
}

impl ObjectStore for Tally<'_> {
    async fn perform(&self, request: Request) -> Reply {
        let could = cache::may_keep(&request);
        let (reply, origin) = self.store.ask(request, self.keep).await;
        match origin {
            Origin::Memory => self.hits.fetch_add(1, Ordering::Relaxed),
            Origin::Store => self.misses.fetch_add(u64::from(could), Ordering::Relaxed),
        };
        reply
    }
}
