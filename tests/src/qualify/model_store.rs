//! The simulator's model of a bucket as a store that can be asked: the positive control of a
//! qualification, and its negative ones.

use std::sync::{Arc, Mutex, PoisonError};

use sana_engine::machine::drive::ObjectStore;
use sana_engine::machine::request::{Reply, Request};
use sana_sim::store::{Kind, Store, Tags};

/// The model as a store. A clone is another handle to the same objects.
#[derive(Clone, Debug)]
pub struct ModelStore {
    store: Arc<Mutex<Store>>,
}

impl ModelStore {
    /// An empty bucket of a kind.
    pub fn new(kind: Kind) -> Self {
        let store = Store::of_kind(kind, Tags::Counted { last: 0 });
        Self { store: Arc::new(Mutex::new(store)) }
    }
}

impl ObjectStore for ModelStore {
    async fn perform(&self, request: Request) -> Reply {
        // The model is pure: a panic in it would be a bug between two of its statements.
        self.store.lock().unwrap_or_else(PoisonError::into_inner).perform(&request)
    }
}
