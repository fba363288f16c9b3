//! What was worked out before: turns by what they depend on, and one share of each part of a world.
//!
//! A turn depends on its actor, the store and the witness, and on nothing else of the world. Most
//! worlds differ in the rest, so a turn that was taken in one of them is known for all.

use std::hash::Hash;
use std::sync::Arc;

use crate::arena::turn::{Actor, Outcome};
use crate::digest::{self, Digest, Shared};
use crate::oracles::linearizability::OpId;
use crate::oracles::witness::Witness;
use crate::store::Store;
use crate::table::Table;

/// What one thread has worked out.
#[derive(Debug, Default)]
pub struct Memo {
    turns: Recent<Arc<[Outcome]>>,
    actors: Recent<Shared<Actor>>,
    stores: Recent<Shared<Store>>,
    witnesses: Recent<Shared<Witness>>,
    closed: Recent<Shared<Witness>>,
}

/// Values that were asked for lately. What was not for a while is forgotten: it can be worked out again.
#[derive(Debug)]
struct Recent<V> {
    young: Table<Option<V>>,
    old: Table<Option<V>>,
}

/// When so many turns are young, all that is young becomes old, and what was old is forgotten.
const YOUNG_MAX: usize = 1 << 18;

impl Memo {
    /// The turn of this fingerprint, in every image of a world, if it was taken before.
    pub(super) fn turn(&mut self, key: Digest) -> Option<Arc<[Outcome]>> {
        self.turns.get(key)
    }

    /// Remembers a turn.
    pub(super) fn keep(&mut self, key: Digest, outcomes: Vec<Outcome>) -> Arc<[Outcome]> {
        if self.turns.young.len() >= YOUNG_MAX {
            self.turns.age();
            self.actors.age();
            self.stores.age();
            self.witnesses.age();
            self.closed.age();
        }
        let outcomes = outcomes.into_iter().map(|outcome| Outcome {
            actor: outcome.actor.map(|actor| self.actors.share(actor)),
            store: outcome.store.map(|store| self.stores.share(store)),
            witness: self.witnesses.share(outcome.witness),
            ..outcome
        });
        let outcomes: Arc<[Outcome]> = outcomes.collect();
        self.turns.insert(key, Arc::clone(&outcomes));
        outcomes
    }

    /// The witness once nobody will hear of these requests any more.
    pub(super) fn without(&mut self, witness: &Shared<Witness>, over: &[OpId]) -> Shared<Witness> {
        let key = digest::of(&(witness, over));
        if let Some(closed) = self.closed.get(key) {
            return closed;
        }
        let mut next = witness.clone();
        next.change(|witness| {
            witness.monitor.change(|monitor| {
                for op in over {
                    monitor.close(*op);
                    monitor.close_query(*op);
                }
            });
        });
        let next = self.witnesses.share(next);
        self.closed.insert(key, next.clone());
        next
    }
}

impl<V: Clone> Recent<V> {
    fn get(&mut self, key: Digest) -> Option<V> {
        if let Some(value) = self.young.get(key) {
            return value.clone();
        }
        let value = self.old.get(key)?.clone()?;
        self.insert(key, value.clone());
        Some(value)
    }

    fn insert(&mut self, key: Digest, value: V) {
        *self.young.entry(key).0 = Some(value);
    }

    fn age(&mut self) {
        self.old = std::mem::take(&mut self.young);
    }
}

impl<T: Hash> Recent<Shared<T>> {
    /// The first share of this value that there was.
    fn share(&mut self, value: Shared<T>) -> Shared<T> {
        let key = value.digest();
        self.get(key).unwrap_or_else(|| {
            self.insert(key, value.clone());
            value
        })
    }
}

impl<V> Default for Recent<V> {
    fn default() -> Self {
        Self { young: Table::new(), old: Table::new() }
    }
}
