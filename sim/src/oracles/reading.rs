//! One reading of a namespace's history: an order of its requests, as far as it matters for what is to
//! come.

use std::collections::{BTreeMap, BTreeSet};

use crate::digest::Shared;
use crate::model::{Change, Contents, Effect, State};
use crate::oracles::linearizability::OpId;

/// What a change of the store is said to carry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Carried<'a> {
    /// These requests, in this order.
    Requests(&'a [OpId]),
    /// An empty namespace, with which a batch too large for a head begins.
    Creation,
    /// Nothing that a client asked for.
    Nothing,
}

/// A way in which the requests so far can have taken effect.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Reading {
    /// What the namespace is.
    pub(super) state: Shared<State>,
    /// Open changes that have taken effect, and what they came to.
    pub(super) done: BTreeMap<OpId, Effect>,
    /// What each open query may have seen.
    pub(super) seen: BTreeMap<OpId, BTreeSet<Contents>>,
    /// The states since each open change began, if guided: what comes to nothing is carried by no
    /// change of the store.
    pub(super) was: BTreeMap<OpId, BTreeSet<Shared<State>>>,
}

/// A request that takes effect, and what it comes to; none if an empty namespace begins. Then the
/// state that is come to.
pub(super) type Happening = (Option<(OpId, Effect)>, Shared<State>);

impl Reading {
    /// Whether a change came to what a client was told.
    ///
    /// Two clients that delete one namespace at once may both be told that they did: the promise is
    /// that what was there when they asked is gone, and that something was there.
    pub(super) fn explains(&self, op: OpId, effect: &Effect) -> bool {
        let gone =
            |seen: &BTreeSet<Contents>| seen.contains(&None) && seen.iter().any(Option::is_some);
        match self.done.get(&op) {
            Some(done) => done == effect,
            None => *effect == Effect::Removed && self.seen.get(&op).is_some_and(gone),
        }
    }

    /// Whether a change that came to this could have left all as it was, at a moment since it began.
    pub(super) fn changed_nothing(&self, op: OpId, change: &Change, effect: &Effect) -> bool {
        let same = |state: &Shared<State>| {
            let (after, came_to) = state.after(change);
            came_to == *effect && after == **state
        };
        !self.done.contains_key(&op)
            && match self.was.get(&op) {
                Some(states) => states.iter().any(same),
                None => same(&self.state),
            }
    }

    /// What happens, one after the other, by a change of the store that carries this.
    pub(super) fn carrying(
        &self,
        carried: Carried<'_>,
        open: &BTreeMap<OpId, Change>,
    ) -> Vec<Happening> {
        let mut steps: Vec<Happening> = Vec::new();
        match carried {
            Carried::Requests(ops) => {
                for op in ops.iter().filter(|op| !self.done.contains_key(*op)) {
                    let state = steps.last().map_or(&self.state, |(_, state)| state);
                    if let Some(change) = open.get(op) {
                        let (state, effect) = state.after(change);
                        steps.push((Some((*op, effect)), Shared::new(state)));
                    }
                }
            }
            Carried::Creation => {
                let (state, _) = self.state.after(&Change::Create);
                steps.push((None, Shared::new(state)));
            }
            Carried::Nothing => (),
        }
        steps
    }

    /// What it comes to if a change takes effect now.
    pub(super) fn with(&self, op: OpId, change: &Change) -> Self {
        let (state, effect) = self.state.after(change);
        let mut next = self.clone();
        next.done.insert(op, effect);
        next.enter(Shared::new(state));
        next
    }

    /// Comes to a state: whoever is open may see it.
    pub(super) fn enter(&mut self, state: Shared<State>) {
        for seen in self.seen.values_mut() {
            seen.insert(state.contents.clone());
        }
        for was in self.was.values_mut() {
            was.insert(state.clone());
        }
        self.state = state;
    }
}
