//! How many queries of one namespace run at once.
//!
//! # Invariants
//!
//! - **N1** The queries of one namespace that run at once take no more than its slots, so that one
//!   namespace cannot take all of a node. Who waits longer than a moment is told to come back.
//! - **N2** A namespace that nobody queries takes no memory here.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::StatusCode;
use sana_engine::base::name::NamespaceName;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::errors::{Failure, Retry};

/// The slots of all namespaces.
#[derive(Debug, Default)]
pub(super) struct Slots {
    namespaces: Arc<Mutex<BTreeMap<NamespaceName, Arc<Semaphore>>>>,
}

/// The slots that one query holds, until it is dropped.
#[derive(Debug)]
pub(super) struct Taken {
    name: NamespaceName,
    permit: Option<OwnedSemaphorePermit>,
    namespaces: Arc<Mutex<BTreeMap<NamespaceName, Arc<Semaphore>>>>,
}

/// The slots of one namespace.
pub(super) const SLOTS: u32 = 16;
/// How long a query waits for its slots.
const WAIT_MAX: Duration = Duration::from_millis(800);

impl Slots {
    /// Takes slots, once they are free. Who wants more than there are takes all.
    ///
    /// # Errors
    ///
    /// 429 if they were not in time.
    pub(super) async fn take(&self, name: &NamespaceName, slots: u32) -> Result<Taken, Failure> {
        let slots = slots.min(SLOTS);
        let semaphore = {
            let mut namespaces = locked(&self.namespaces);
            let new = || Arc::new(Semaphore::new(SLOTS as usize));
            Arc::clone(namespaces.entry(name.clone()).or_insert_with(new))
        };
        let namespaces = Arc::clone(&self.namespaces);
        let mut taken = Taken { name: name.clone(), permit: None, namespaces };
        let permit = tokio::time::timeout(WAIT_MAX, semaphore.acquire_many_owned(slots)).await;
        let Ok(permit) = permit else {
            let message = format!(
                "💔 too many concurrent queries of namespace '{name}': it has {SLOTS} slots, and \
                 none was free for {} ms; send the query again later",
                WAIT_MAX.as_millis()
            );
            let failure = Failure::new(StatusCode::TOO_MANY_REQUESTS, message);
            return Err(Failure { retry: Retry::After(1), ..failure });
        };
        // The semaphore is never closed.
        taken.permit = permit.ok();
        Ok(taken)
    }

    /// How many slots are taken, of all namespaces.
    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        let namespaces = locked(&self.namespaces);
        namespaces.values().map(|slots| SLOTS as usize - slots.available_permits()).sum()
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        drop(self.permit.take());
        let mut namespaces = locked(&self.namespaces);
        // Whoever has or waits for slots holds the semaphore, and only under the lock is it given out.
        if namespaces.get(&self.name).is_some_and(|semaphore| Arc::strong_count(semaphore) == 1) {
            namespaces.remove(&self.name);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing under the lock panics half-way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> NamespaceName {
        NamespaceName::parse(name).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_slot_waits_a_moment_and_is_told_to_come_back() {
        let slots = Slots::default();
        let mut held = Vec::new();
        for _ in 0..SLOTS {
            held.push(slots.take(&name("a"), 1).await.unwrap());
        }
        let began = tokio::time::Instant::now();
        let failure = slots.take(&name("a"), 1).await.unwrap_err();
        assert_eq!((failure.status.as_u16(), failure.retry), (429, Retry::After(1)));
        assert!(failure.message.contains("concurrent queries of namespace 'a'"), "{failure:?}");
        assert!(began.elapsed() >= WAIT_MAX && began.elapsed() < 2 * WAIT_MAX);
        assert!(slots.take(&name("b"), SLOTS).await.is_ok(), "another namespace has its own");
        let waiting = async {
            tokio::time::sleep(WAIT_MAX / 2).await;
            held.truncate(SLOTS as usize - 4);
        };
        let a = name("a");
        let (taken, ()) = tokio::join!(slots.take(&a, 4), waiting);
        assert!(taken.is_ok(), "slots that become free in time are taken");
    }

    #[tokio::test(start_paused = true)]
    async fn who_wants_more_slots_than_there_are_takes_all() {
        let slots = Slots::default();
        let all = slots.take(&name("a"), SLOTS * 4).await.unwrap();
        assert!(slots.take(&name("a"), 1).await.is_err());
        drop(all);
        assert!(slots.take(&name("a"), 1).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_namespace_nobody_queries_is_forgotten() {
        let slots = Slots::default();
        let one = slots.take(&name("a"), SLOTS).await.unwrap();
        assert!(slots.take(&name("a"), 1).await.is_err());
        assert_eq!(locked(&slots.namespaces).len(), 1);
        drop(one);
        assert_eq!(locked(&slots.namespaces).len(), 0);
    }
}
