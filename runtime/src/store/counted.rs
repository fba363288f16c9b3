//! Counts what goes to a store and what comes back: for metrics, and for tests that hold an
//! operation to its budget of requests and bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sana_engine::machine::drive::ObjectStore;
use sana_engine::machine::request::{Reply, Request};

/// A store that counts. A clone counts into the same counters.
#[derive(Clone, Debug)]
pub struct Counted<S> {
    store: S,
    counters: Arc<Counters>,
}

/// What was asked and answered since the beginning.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Reads of objects, whole or in part.
    pub gets: u64,
    /// Conditional writes that others can see: [`Request::is_visible`].
    pub visible_puts: u64,
    /// Creations of objects that nobody refers to yet.
    pub fresh_puts: u64,
    /// Deletions.
    pub deletes: u64,
    /// Listings; each page is one.
    pub lists: u64,
    /// Bytes of the bodies that were found.
    pub bytes_read: u64,
    /// Bytes of the bodies that were stored.
    pub bytes_written: u64,
    /// Reads of an object that was the version the asker had.
    pub not_modified: u64,
    /// Writes whose condition did not hold.
    pub refused: u64,
    /// Requests that were turned away.
    pub throttled: u64,
    /// Requests of which nothing is known.
    pub lost: u64,
}

impl<S> Counted<S> {
    /// Counts what goes to `store`.
    pub fn new(store: S) -> Self {
        Self { store, counters: Arc::default() }
    }

    /// The counts so far. A request counts when it is asked, its outcome when it is answered.
    pub fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &*self.counters;
        Counts {
            gets: read(&counters.gets),
            visible_puts: read(&counters.visible_puts),
            fresh_puts: read(&counters.fresh_puts),
            deletes: read(&counters.deletes),
            lists: read(&counters.lists),
            bytes_read: read(&counters.bytes_read),
            bytes_written: read(&counters.bytes_written),
            not_modified: read(&counters.not_modified),
            refused: read(&counters.refused),
            throttled: read(&counters.throttled),
            lost: read(&counters.lost),
        }
    }
}

impl Counts {
    /// All requests together.
    pub const fn requests(&self) -> u64 {
        self.gets + self.visible_puts + self.fresh_puts + self.deletes + self.lists
    }

    /// What was counted since `earlier`, which was taken from the same store.
    #[must_use]
    pub const fn since(&self, earlier: &Self) -> Self {
        Self {
            gets: self.gets - earlier.gets,
            visible_puts: self.visible_puts - earlier.visible_puts,
            fresh_puts: self.fresh_puts - earlier.fresh_puts,
            deletes: self.deletes - earlier.deletes,
            lists: self.lists - earlier.lists,
            bytes_read: self.bytes_read - earlier.bytes_read,
            bytes_written: self.bytes_written - earlier.bytes_written,
            not_modified: self.not_modified - earlier.not_modified,
            refused: self.refused - earlier.refused,
            throttled: self.throttled - earlier.throttled,
            lost: self.lost - earlier.lost,
        }
    }
}

impl<S: ObjectStore + Sync> ObjectStore for Counted<S> {
    async fn perform(&self, request: Request) -> Reply {
        let counters = &*self.counters;
        let asked = match &request {
            Request::Get { .. } => &counters.gets,
            Request::Put { .. } if request.is_visible() => &counters.visible_puts,
            Request::Put { .. } => &counters.fresh_puts,
            Request::Delete { .. } => &counters.deletes,
            Request::List { .. } => &counters.lists,
        };
        add(asked, 1);
        let written = match &request {
            Request::Put { body, .. } => body.len(),
            _ => 0,
        };
        let reply = self.store.perform(request).await;
        match &reply {
            Reply::Found { body, .. } => add(&counters.bytes_read, body.len()),
            Reply::Stored { .. } => add(&counters.bytes_written, written),
            Reply::NotModified => add(&counters.not_modified, 1),
            Reply::Refused => add(&counters.refused, 1),
            Reply::Throttled => add(&counters.throttled, 1),
            Reply::Lost => add(&counters.lost, 1),
            Reply::Missing | Reply::Unreadable | Reply::Deleted | Reply::Listed { .. } => {}
        }
        reply
    }
}

/// The counters behind [`Counts`], field by field.
#[derive(Debug, Default)]
struct Counters {
    gets: AtomicU64,
    visible_puts: AtomicU64,
    fresh_puts: AtomicU64,
    deletes: AtomicU64,
    lists: AtomicU64,
    bytes_read: AtomicU64,
    bytes_written: AtomicU64,
    not_modified: AtomicU64,
    refused: AtomicU64,
    throttled: AtomicU64,
    lost: AtomicU64,
}

fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(count as u64, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use sana_engine::base::blob::Blob;
    use sana_engine::base::name::Key;

    use super::*;
    use crate::store::memory::MemoryStore;

    #[tokio::test]
    async fn every_request_is_counted_once_by_kind_and_bytes() {
        let store = Counted::new(MemoryStore::new());
        let key = Key::new("a");
        let create = Request::create(key.clone(), Blob::from(vec![0; 7]));
        store.perform(create.clone()).await;
        store.perform(create).await;
        let before = store.counts();
        assert_eq!(
            before,
            Counts { fresh_puts: 2, bytes_written: 7, refused: 1, ..Counts::default() }
        );
        let Reply::Found { tag, .. } = store.perform(Request::get(key.clone())).await else {
            panic!("the object is there")
        };
        store.perform(Request::Get { key: key.clone(), range: None, unless: Some(tag) }).await;
        store.perform(Request::Delete { key: key.clone() }).await;
        store.perform(Request::List { prefix: key, after: None, limit: 1 }).await;
        let since = store.counts().since(&before);
        let expected = Counts {
            gets: 2,
            deletes: 1,
            lists: 1,
            bytes_read: 7,
            not_modified: 1,
            ..Counts::default()
        };
        assert_eq!(since, expected);
        assert_eq!(since.requests(), 4);
    }
}
