//! Sees every change of one namespace's objects and hears every answer given about it.
//!
//! Whoever performs requests tells the witness, and the witness asks the oracles.

use std::hash::{Hash, Hasher};

use sana_engine::base::name::NamespaceName;
use sana_engine::format::layout;
use sana_engine::machine::request::{Reply, Request};

use crate::digest::Shared;
use crate::oracles::linearizability::Monitor;
use crate::oracles::reachability::Deleted;
use crate::oracles::register::Chain;
use crate::oracles::{Broken, recovery};
use crate::store::Store;

/// All that was seen of a namespace.
#[derive(Clone, Debug)]
pub struct Witness {
    namespace: NamespaceName,
    /// The requests of clients, and what they were told.
    pub monitor: Shared<Monitor>,
    chain: Shared<Chain>,
    deleted: Shared<Deleted>,
}

impl Witness {
    /// Nothing was seen yet.
    pub fn new(namespace: NamespaceName) -> Self {
        Self {
            namespace,
            monitor: Shared::new(Monitor::new()),
            chain: Shared::new(Chain::default()),
            deleted: Shared::new(Deleted::default()),
        }
    }

    /// Every writer turns writes away above this many unindexed bytes.
    pub fn limit(&mut self, bytes: u64) {
        self.chain.change(|chain| chain.limit(bytes));
    }

    /// The versions its head had.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The store has performed a request about this namespace.
    ///
    /// # Errors
    ///
    /// [`Broken`] if a property does not hold any more.
    ///
    /// # Panics
    ///
    /// If the store says that it stored a head and has none.
    pub fn saw(&mut self, store: &Store, request: &Request, reply: &Reply) -> Result<(), Broken> {
        match (request, reply) {
            (Request::Put { key, .. }, Reply::Stored { .. })
                if *key == layout::head(&self.namespace) =>
            {
                let head = recovery::head(store, &self.namespace)?.expect("it was just put");
                self.deleted.check(&self.namespace, &head, store)?;
                let contents = recovery::contents(store, &self.namespace, Some(&head))?;
                self.chain.change(|chain| chain.push(head))?;
                self.monitor.change(|monitor| monitor.observe(&contents))
            }
            (Request::Delete { key }, Reply::Deleted) => {
                let head = self.chain.head();
                self.deleted.change(|deleted| deleted.push(&self.namespace, head, key))
            }
            _ => Ok(()),
        }
    }
}

impl Hash for Witness {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.monitor.hash(state);
        self.chain.hash(state);
        self.deleted.hash(state);
    }
}
