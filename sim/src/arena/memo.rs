//! What was worked out before: turns by what they depend on, and one share of each part of a world.
//!
//! A turn depends on its actor, the store and the witness, and on nothing else of the world. Most
//! worlds differ in the rest, so a turn that was taken in one of them is known for all.

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
    turns: Table<Option<Arc<Outcome>>>,
    actors: Table<Option<Shared<Actor>>>,
    stores: Table<Option<Shared<Store>>>,
    witnesses: Table<Option<Shared<Witness>>>,
    closed: Table<Option<Shared<Witness>>>,
}

/// Turns that are remembered. With more, all are forgotten: memory is bounded, and they come again.
const TURNS_MAX: usize = 1 << 21;

impl Memo {
    /// The turn of this fingerprint, if it was taken before.
    pub(super) fn turn(&mut self, key: Digest) -> Option<Arc<Outcome>> {
        self.turns.entry(key).0.clone()
    }

    /// Remembers a turn.
    pub(super) fn keep(&mut self, key: Digest, outcome: Outcome) -> Arc<Outcome> {
        if self.turns.len() > TURNS_MAX {
            *self = Self::default();
        }
        let Outcome { actor, store, witness, adrift, orphaned, marks } = outcome;
        let outcome = Arc::new(Outcome {
            actor: share(&mut self.actors, actor),
            store: store.map(|store| share(&mut self.stores, store)),
            witness: share(&mut self.witnesses, witness),
            adrift,
            orphaned,
            marks,
        });
        *self.turns.entry(key).0 = Some(Arc::clone(&outcome));
        outcome
    }

    /// The witness once nobody will hear of these requests any more.
    pub(super) fn without(&mut self, witness: &Shared<Witness>, over: &[OpId]) -> Shared<Witness> {
        let (closed, _) = self.closed.entry(digest::of(&(witness, over)));
        if let Some(closed) = closed {
            return closed.clone();
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
        closed.insert(share(&mut self.witnesses, next)).clone()
    }
}

/// The first share of this value that there was.
fn share<T: std::hash::Hash>(table: &mut Table<Option<Shared<T>>>, value: Shared<T>) -> Shared<T> {
    table.entry(value.digest()).0.get_or_insert(value).clone()
}
