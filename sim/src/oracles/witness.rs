//! Sees every change of one namespace's objects and hears every answer given about it.
//!
//! Whoever performs requests tells the witness, and the witness asks the oracles.

use std::hash::{Hash, Hasher};

use sana_engine::base::id::Cursor;
use sana_engine::base::name::NamespaceName;
use sana_engine::format::head::Head;
use sana_engine::format::layout;
use sana_engine::machine::request::{Reply, Request};

use crate::digest::Shared;
use crate::oracles::linearizability::{Monitor, OpId};
use crate::oracles::reachability::Deleted;
use crate::oracles::reading::Carried;
use crate::oracles::recovery::Memory;
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
    /// Decides nothing: it saves reading again what never changes.
    memory: Memory,
}

impl Witness {
    /// Nothing was seen yet.
    pub fn new(namespace: NamespaceName) -> Self {
        Self::with(namespace, Monitor::new())
    }

    /// The same, where every request says whose it is.
    pub fn guided(namespace: NamespaceName) -> Self {
        Self::with(namespace, Monitor::guided())
    }

    fn with(namespace: NamespaceName, monitor: Monitor) -> Self {
        Self {
            namespace,
            monitor: Shared::new(monitor),
            chain: Shared::new(Chain::default()),
            deleted: Shared::new(Deleted::default()),
            memory: Memory::default(),
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
        self.saw_from(store, request, reply, None)
    }

    /// The same; the request came from a machine that works for these requests of clients.
    ///
    /// # Errors
    ///
    /// [`Broken`] if a property does not hold any more.
    ///
    /// # Panics
    ///
    /// If the store says that it stored a head and has none.
    pub fn saw_from(
        &mut self,
        store: &Store,
        request: &Request,
        reply: &Reply,
        ops: Option<&[OpId]>,
    ) -> Result<(), Broken> {
        match (request, reply) {
            (Request::Put { key, .. }, Reply::Stored { .. })
                if *key == layout::head(&self.namespace) =>
            {
                let head = recovery::head(store, &self.namespace)?.expect("it was just put");
                self.deleted.check(&self.namespace, self.chain.head(), &head, store)?;
                let contents = self.memory.contents(store, &self.namespace, &head)?;
                let carried = ops.map(|ops| carried(self.chain.head(), &head, ops));
                let excused = ops.is_some_and(|ops| self.monitor.ignores_backlog(ops));
                self.chain.change(|chain| chain.push(head, excused))?;
                self.monitor.change(|monitor| match carried {
                    Some(carried) => monitor.observe_carried(&contents, carried),
                    None => monitor.observe(&contents),
                })
            }
            (Request::Delete { key }, Reply::Deleted) => {
                let head = self.chain.head();
                self.deleted.change(|deleted| deleted.push(head, key))
            }
            _ => Ok(()),
        }
    }
}

/// What a put of a head carries that came from a machine working for these requests.
fn carried<'a>(before: Option<&Head>, head: &Head, ops: &'a [OpId]) -> Carried<'a> {
    let committed = |head: &Head| head.live().map(|live| live.log.committed);
    match (before.and_then(committed), committed(head)) {
        (None, Some(Cursor(0))) if !ops.is_empty() => Carried::Creation,
        (Some(before), Some(after)) if before == after => Carried::Nothing,
        _ => Carried::Requests(ops),
    }
}

impl Hash for Witness {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.monitor.hash(state);
        self.chain.hash(state);
        self.deleted.hash(state);
    }
}
