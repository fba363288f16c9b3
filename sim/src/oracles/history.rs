//! O1 once more, by itself: the history of a namespace, as its clients saw it, has an order.
//!
//! The guided [monitor](super::linearizability) is told by the store which requests take effect when. So
//! it has one order at hand and tests that one, which is right if the order is the one in which the heads
//! were put; that they form a chain is O5. This knows nothing of the store. It has what clients asked and
//! were told and when, and looks for *any* order, with [Wing and Gong's search](super::wgl). The monitor
//! demands more, so whatever it is content with must have an order here. If it has none, one of the two
//! is wrong.
//!
//! Documents are bound together by filters, so a history is not taken apart further than by namespaces.
//! A stale query has an order of its own and is left to the monitor.

use std::collections::BTreeMap;
use std::sync::Arc;

use sana_engine::namespace::request::{Answer, Consistency, Found, QueryError, QueryRequest};

use crate::digest::{Digest, Shared};
use crate::model::{Change, Effect, State};
use crate::oracles::linearizability::{OpId, Told};
use crate::oracles::wgl::{self, Model, Op, Verdict};
use crate::oracles::{Broken, Oracle, search};
use crate::words::Said;

/// What clients of a namespace asked and were told, from the beginning.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct History {
    /// Moments that were given out.
    moments: u64,
    open: BTreeMap<OpId, (u64, Deed)>,
    ops: Vec<Op<Deed>>,
    /// Whether there was more than is looked at.
    is_long: bool,
}

/// What a client asked, and was told.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Deed {
    /// A change, and what it came to.
    Change(Change, Option<Effect>),
    /// A query, and what it found.
    Query(OpId, Arc<QueryRequest>, Heard),
}

/// What a client was told of a query.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Heard {
    /// What was found.
    Found(Found),
    /// There is no such namespace.
    NoNamespace,
    /// It names an attribute that does not exist.
    NoAttribute,
}

/// What came of looking for an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Looked {
    /// There is one.
    Found,
    /// There are too many operations to look for one.
    Long,
    /// There were too many orders to be tried.
    Undecided,
}

/// How many histories came to what.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Orders {
    /// There is an order.
    pub found: u64,
    /// They are too long.
    pub long: u64,
    /// They were given up.
    pub undecided: u64,
}

impl Orders {
    /// One more.
    pub const fn count(&mut self, looked: Looked) {
        match looked {
            Looked::Found => self.found += 1,
            Looked::Long => self.long += 1,
            Looked::Undecided => self.undecided += 1,
        }
    }

    /// Adds those of other worlds.
    pub const fn add(&mut self, other: Self) {
        self.found += other.found;
        self.long += other.long;
        self.undecided += other.undecided;
    }

    /// Whether so many are decided that it says something: at least half.
    pub const fn are_enough(self) -> bool {
        self.found >= self.long + self.undecided
    }
}

/// Operations of a history that is looked at.
const OPS_MAX: usize = 150;
/// States that are visited, unless others of the same world were in vain.
pub const STATES_MAX: usize = 20_000;
/// Nor fewer than this. Most histories have an order that is found at the first try.
const STATES_MIN: usize = 500;

impl History {
    /// A client asks for a change.
    pub fn begin(&mut self, op: OpId, change: Change) {
        let moment = self.moment();
        if self.is_long {
            return;
        }
        if change.is_staged() {
            let deed = Deed::Change(Change::Create, None);
            self.ops.push(Op { begin: moment, end: None, deed });
        }
        let begin = self.moment();
        self.open.insert(op, (begin, Deed::Change(change, None)));
    }

    /// A client asks a query.
    pub fn begin_query(&mut self, op: OpId, query: &Arc<QueryRequest>) {
        let begin = self.moment();
        if !self.is_long && query.consistency == Consistency::Strong {
            let deed = Deed::Query(op, Arc::clone(query), Heard::NoNamespace);
            self.open.insert(op, (begin, deed));
        }
    }

    /// A client is told what became of its change.
    pub fn hear(&mut self, op: OpId, said: &Said) {
        match said {
            Said::Effect(effect) => {
                if let Some((begin, Deed::Change(change, _))) = self.open.remove(&op) {
                    self.keep(begin, true, Deed::Change(change, Some(effect.clone())));
                }
            }
            Said::Unknown => self.unheard(op),
            // It did not and will not happen, or another oracle is about to say more.
            Said::Refused | Said::Wrong(_) => {
                self.open.remove(&op);
            }
        }
    }

    /// A client is told what its query found, if it found anything.
    pub fn answer_query(&mut self, op: OpId, outcome: &Result<Answer, QueryError>) {
        let Some((begin, Deed::Query(_, query, _))) = self.open.remove(&op) else { return };
        let heard = match outcome {
            Ok(answer) => Heard::Found(answer.found.clone()),
            Err(QueryError::NoNamespace) => Heard::NoNamespace,
            Err(QueryError::Invalid(_)) => Heard::NoAttribute,
            Err(_) => return,
        };
        self.keep(begin, true, Deed::Query(op, query, heard));
    }

    /// Nobody will hear of this request. If it is a change, it may still happen.
    pub fn unheard(&mut self, op: OpId) {
        if let Some((begin, deed @ Deed::Change(..))) = self.open.remove(&op) {
            self.keep(begin, false, deed);
        }
    }

    /// That there is an order, if it is looked for. It visits at most so many states; if
    /// that was in vain, the next of the same world gets half of them, or a thousand tangled histories
    /// would take minutes.
    ///
    /// # Errors
    ///
    /// [`Broken`] if there is none.
    pub fn check(mut self, most: &mut usize) -> Result<Looked, Broken> {
        for (begin, deed) in std::mem::take(&mut self.open).into_values() {
            if matches!(deed, Deed::Change(..)) {
                self.ops.push(Op { begin, end: None, deed });
            }
        }
        if self.is_long {
            return Ok(Looked::Long);
        }
        let mut namespace = Namespace::default();
        let first = Shared::new(State::default());
        match wgl::check(&mut namespace, &self.ops, first, *most) {
            Verdict::Order(_) => Ok(Looked::Found),
            Verdict::GaveUp => {
                *most = (*most / 2).max(STATES_MIN);
                Ok(Looked::Undecided)
            }
            Verdict::None(stuck) => {
                let stuck: Vec<_> = stuck.into_iter().map(|place| &self.ops[place]).collect();
                Oracle::Linearizable.broken(format!(
                    "no order of {} requests explains what clients were told; none gets by {stuck:?}",
                    self.ops.len()
                ))
            }
        }
    }

    const fn moment(&mut self) -> u64 {
        self.moments += 1;
        self.moments
    }

    fn keep(&mut self, begin: u64, has_ended: bool, deed: Deed) {
        let end = has_ended.then_some(self.moment());
        self.ops.push(Op { begin, end, deed });
        if self.ops.len() > OPS_MAX {
            // Half a history says nothing.
            (self.ops, self.open) = (Vec::new(), BTreeMap::new());
            self.is_long = true;
        }
    }
}

/// A namespace, and what was worked out of it.
#[derive(Debug, Default)]
struct Namespace {
    /// Whether a query can have been answered so from this state.
    fits: BTreeMap<(Digest, OpId), bool>,
}

impl Model for Namespace {
    type State = Shared<State>;
    type Deed = Deed;

    fn apply(&mut self, state: &Shared<State>, deed: &Deed) -> Option<Shared<State>> {
        match deed {
            Deed::Change(change, told) => {
                let (after, effect) = state.after(change);
                // Of two who delete at once both may be told that they did: the monitor sees to it that
                // something was there.
                let both = *change == Change::Remove && *told == Some(Effect::Removed);
                let fits = told.as_ref().is_none_or(|told| *told == effect) || both;
                fits.then(|| Shared::new(after))
            }
            Deed::Query(op, query, heard) => {
                let told = match heard {
                    Heard::Found(found) => Told::Found(found),
                    Heard::NoNamespace => Told::NoNamespace,
                    Heard::NoAttribute => Told::NoAttribute,
                };
                let contents = &state.contents;
                let fits = self.fits.entry((state.digest(), *op));
                let fits = fits.or_insert_with(|| search::agrees(contents, query, told));
                fits.then(|| state.clone())
            }
        }
    }

    fn digest(state: &Shared<State>) -> Digest {
        state.digest()
    }
}

#[cfg(test)]
mod tests {
    use sana_engine::base::name::AttributeName;
    use sana_engine::base::value::Raw;
    use sana_engine::namespace::request::{
        Include, Rank, RawDocument, Statistics, Want, WriteRequest,
    };

    use super::*;
    use crate::model::search::find;

    fn put(n: i128) -> Change {
        let attributes = vec![(AttributeName::parse("n").unwrap(), Raw::Integer(n))];
        let upserts = Some(vec![RawDocument { id: Raw::Integer(1), attributes }]);
        Change::Write(Arc::new(WriteRequest { upserts, ..WriteRequest::default() }))
    }

    fn query() -> Arc<QueryRequest> {
        let want = Want::rows(Rank::By(vec![]), 9, Include::All);
        Arc::new(QueryRequest { filter: None, want, consistency: Consistency::Strong })
    }

    fn answer(changes: &[Change]) -> Answer {
        let state = changes.iter().fold(State::default(), |state, change| state.after(change).0);
        let found = find(state.contents.as_deref().unwrap(), &query()).unwrap();
        Answer { found, statistics: Statistics::default(), learned: None }
    }

    #[test]
    fn a_lost_write_may_be_seen_late_and_not_be_gone_again() {
        let effect = Effect::Written(Some(1), None, None);
        let history = |answers: [&[Change]; 2]| {
            let mut history = History::default();
            history.begin(1, put(1));
            history.unheard(1);
            history.begin(2, put(2));
            history.hear(2, &Said::Effect(effect.clone()));
            for (op, seen) in (3..).zip(answers) {
                history.begin_query(op, &query());
                history.answer_query(op, &Ok(answer(seen)));
            }
            let mut most = STATES_MAX;
            history.check(&mut most)
        };
        assert_eq!(history([&[put(2)], &[put(1)]]), Ok(Looked::Found));
        assert_eq!(history([&[put(2)], &[put(2)]]), Ok(Looked::Found));
        let gone = history([&[put(1)], &[put(2)]]).unwrap_err();
        assert_eq!(gone.oracle, Oracle::Linearizable);
    }
}
