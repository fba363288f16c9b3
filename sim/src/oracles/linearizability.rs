//! O1 to O4 of one namespace, checked while the world runs.
//!
//! The monitor keeps every way in which the requests so far can have taken effect: a *reading* of the
//! history is a state of the namespace, the requests that have taken effect in it, and what each open
//! query may have seen. A request may take effect at any moment between its beginning and its end;
//! one whose outcome nobody knows stays open until nothing of it can land any more. Whatever is
//! learned rules readings out, and when none is left, no order of the requests explains what was
//! seen.
//!
//! Besides the answers the monitor is told the *truth*: what can be recovered from the store at each
//! change of it, by whoever reads all of its objects at that moment. That is an answer like any
//! other, so it rules readings out as well; it is why there are rarely more than a few. And it is O2:
//! an acknowledged write that cannot be recovered fits no reading.
//!
//! # Two ways to watch
//!
//! A small world, in which every order is tried, is *searched*: any open request may have taken effect
//! at any change. The number of readings grows with the orders of what is open, so a large world is
//! *guided*: the monitor is told with each change whose requests it carries. These must then have
//! taken effect in their order, and nobody else's; there is one reading, however much is open.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use sana_engine::namespace::request::{Found, QueryRequest};

use crate::digest::Shared;
use crate::model::keys::Keys;
use crate::model::{Change, Contents, Effect, State};
use crate::oracles::reading::{Carried, Reading};
use crate::oracles::{Broken, Oracle, search};
use crate::phrases;

/// The number of a request in a history.
pub type OpId = u32;

/// What a client is told of its query.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Told<'a> {
    /// What was found.
    Found(&'a Found),
    /// There is no such namespace.
    NoNamespace,
    /// It names an attribute that does not exist.
    NoAttribute,
}

/// All readings of a namespace's history.
#[derive(Clone, Debug)]
pub struct Monitor {
    /// Changes that may take effect.
    open: BTreeMap<OpId, Change>,
    /// Never empty.
    readings: BTreeSet<Reading>,
    /// What can be recovered from the store.
    truth: Contents,
    /// What became of the requests that are over. Says which oracle is broken, and nothing else.
    over: Arc<Vec<(OpId, Change, Ending)>>,
    /// What could be recovered before, as far as it is remembered. Says the same, and nothing else.
    past: Arc<VecDeque<Contents>>,
    /// Whether it is told whose requests each change of the store carries.
    is_guided: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ending {
    Answered,
    Refused,
}

/// The number of the empty namespace that a large write may begin with. It is over when nothing of
/// the write can land any more, whatever the client was told.
pub const fn creation_of(op: OpId) -> OpId {
    op | 1 << 30
}

/// States of the past that are remembered.
const PAST_MAX: usize = 32;
/// More readings than this are not followed.
const READINGS_MAX: usize = 4_000;

impl Monitor {
    /// The history in which nothing has happened and there is no namespace.
    pub fn new() -> Self {
        let state = Shared::new(State::default());
        let (done, seen, was) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let reading = Reading { state, done, seen, was };
        Self {
            open: BTreeMap::new(),
            readings: BTreeSet::from([reading]),
            truth: None,
            over: Arc::default(),
            past: Arc::default(),
            is_guided: false,
        }
    }

    /// The same, for a world that says whose requests each change of the store carries.
    pub fn guided() -> Self {
        Self { is_guided: true, ..Self::new() }
    }

    /// A client asks for a change.
    pub fn begin(&mut self, op: OpId, change: Change) {
        if matches!(change, Change::Remove) {
            self.begin_query(op);
        }
        if self.is_guided {
            self.edit(|reading| {
                reading.was.insert(op, BTreeSet::from([reading.state.clone()]));
            });
        } else if change.is_staged() {
            self.open.insert(creation_of(op), Change::Create);
        }
        self.open.insert(op, change);
    }

    /// A client is told what its change came to.
    ///
    /// # Errors
    ///
    /// [`Broken`] if no order of requests explains it.
    pub fn answer(&mut self, op: OpId, effect: &Effect) -> Result<(), Broken> {
        if self.is_guided {
            let change = self.open.get(&op);
            let fits = |reading: &Reading| {
                reading.explains(op, effect)
                    || change.is_some_and(|change| reading.changed_nothing(op, change, effect))
            };
            if !self.readings.iter().any(fits) {
                return self.contradicted(op, effect);
            }
            self.readings.retain(fits);
        } else {
            let readings = self.spread(&self.truth, Some((op, effect)))?;
            if readings.is_empty() {
                return self.contradicted(op, effect);
            }
            self.readings = readings;
        }
        self.end(op, Some(Ending::Answered));
        Ok(())
    }

    /// Says which property an answer breaks.
    fn contradicted(&self, op: OpId, effect: &Effect) -> Result<(), Broken> {
        let elsewhere = self.readings.iter().any(|reading| reading.done.contains_key(&op));
        let happened = matches!(effect, Effect::Written(..) | Effect::Named(..) | Effect::Removed);
        let oracle =
            if happened && !elsewhere { Oracle::Recoverable } else { Oracle::Linearizable };
        oracle.broken(format!(
            "request {op}, {}, was answered {}, and the store says {}",
            self.open.get(&op).map_or("over".into(), phrases::change),
            phrases::effect(effect),
            phrases::contents(&self.truth)
        ))
    }

    /// A client is told that its change did not and will not take effect.
    ///
    /// # Errors
    ///
    /// [`Broken`] if it did.
    pub fn refuse(&mut self, op: OpId) -> Result<(), Broken> {
        self.readings.retain(|reading| !reading.done.contains_key(&op));
        if self.readings.is_empty() {
            let change = self.open.get(&op).map_or("over".into(), phrases::change);
            return Oracle::Refused.broken(format!("request {op}, {change}, is visible"));
        }
        self.end(op, Some(Ending::Refused));
        Ok(())
    }

    /// Nothing of this change can land any more, and nobody will hear of it.
    pub fn close(&mut self, op: OpId) {
        self.end(op, None);
    }

    /// Nobody will hear of this change, and it may still take effect.
    pub fn unheard(&mut self, op: OpId) {
        self.edit(|reading| {
            reading.seen.remove(&op);
            reading.was.remove(&op);
        });
    }

    fn end(&mut self, op: OpId, ending: Option<Ending>) {
        let Some(change) = self.open.remove(&op) else { return };
        if let Some(ending) = ending {
            Arc::make_mut(&mut self.over).push((op, change, ending));
        }
        self.edit(|reading| {
            reading.done.remove(&op);
            reading.seen.remove(&op);
            reading.was.remove(&op);
        });
    }

    /// A client asks a query.
    pub fn begin_query(&mut self, op: OpId) {
        self.edit(|reading| {
            reading.seen.insert(op, BTreeSet::from([reading.state.contents.clone()]));
        });
    }

    /// A query that may be answered from any of these earlier states as well.
    pub fn begin_stale_query(&mut self, op: OpId, earlier: &BTreeSet<Contents>) {
        self.begin_query(op);
        self.edit(|reading| {
            reading.seen.entry(op).or_default().extend(earlier.iter().cloned());
        });
    }

    /// A client is told what its query found.
    ///
    /// # Errors
    ///
    /// [`Broken`] if no order of requests explains it.
    pub fn answer_query(
        &mut self,
        op: OpId,
        query: &QueryRequest,
        answer: Told<'_>,
    ) -> Result<(), Broken> {
        let agrees = |contents: &Contents| search::agrees(contents, query, answer);
        let fits = |reading: &Reading| reading.seen[&op].iter().any(agrees);
        let readings = std::mem::take(&mut self.readings);
        let (fit, unfit): (BTreeSet<_>, BTreeSet<_>) = readings.into_iter().partition(fits);
        if fit.is_empty() {
            let seen: BTreeSet<&Contents> = unfit.iter().flat_map(|r| &r.seen[&op]).collect();
            if !self.past.iter().chain(seen.iter().copied()).any(agrees) {
                return search::broken(query, answer, &self.truth);
            }
            let seen: Vec<String> = seen.into_iter().map(phrases::contents).collect();
            let seen = seen.join(" or ");
            let query = phrases::query(query);
            return Oracle::Linearizable.broken(format!(
                "query {op}, {query}, was answered {answer:?}, and what it may have seen is {seen}"
            ));
        }
        self.readings = fit;
        self.close_query(op);
        Ok(())
    }

    /// Nobody will hear of this query.
    pub fn close_query(&mut self, op: OpId) {
        self.edit(|reading| {
            reading.seen.remove(&op);
        });
    }

    /// The store has changed: this is what can be recovered from it.
    ///
    /// # Errors
    ///
    /// [`Broken`] if no order of requests explains it.
    pub fn observe(&mut self, truth: &Contents) -> Result<(), Broken> {
        if self.truth == *truth {
            return Ok(());
        }
        let readings = self.spread(truth, None)?;
        if readings.is_empty() {
            return self.unexplained(truth);
        }
        self.readings = readings;
        self.remember(truth);
        Ok(())
    }

    /// The store has changed: this is what can be recovered from it, and what the change carried.
    ///
    /// # Errors
    ///
    /// [`Broken`] if what it carried does not explain it.
    ///
    /// # Panics
    ///
    /// If the monitor is not guided.
    pub fn observe_carried(
        &mut self,
        truth: &Contents,
        carried: Carried<'_>,
    ) -> Result<(), Broken> {
        assert!(self.is_guided, "only who is guided is told what a change carries");
        let reading = self.readings.first().expect("there is a reading");
        let steps = reading.carrying(carried, &self.open);
        let last = steps.last().map_or(&reading.state, |(_, state)| state);
        if last.contents != *truth {
            return self.unexplained(truth);
        }
        if let Carried::Requests(ops) = carried {
            self.first_time(reading, ops)?;
        }
        self.remember(truth);
        if !steps.is_empty() {
            self.edit(|reading| {
                for (done, state) in &steps {
                    reading.done.extend(done.clone());
                    reading.enter(state.clone());
                }
            });
        }
        Ok(())
    }

    /// What a change carries has not happened before, seen or unseen, and nobody was told otherwise.
    fn first_time(&self, reading: &Reading, ops: &[OpId]) -> Result<(), Broken> {
        let new = |op: &OpId| self.open.contains_key(op) && !reading.done.contains_key(op);
        let Some(op) = ops.iter().find(|op| !new(op)) else { return Ok(()) };
        let refused =
            self.over.iter().any(|(over, _, ending)| over == op && *ending == Ending::Refused);
        let (oracle, what) = if refused {
            (Oracle::Refused, "was refused")
        } else {
            (Oracle::Idempotent, "has had its effect")
        };
        oracle.broken(format!("request {op} takes effect and {what} before"))
    }

    /// This can be recovered from now on.
    fn remember(&mut self, truth: &Contents) {
        if self.truth == *truth {
            return;
        }
        let past = Arc::make_mut(&mut self.past);
        if past.len() == PAST_MAX {
            past.pop_front();
        }
        past.push_back(std::mem::replace(&mut self.truth, truth.clone()));
    }

    /// What can be recovered from the store, as last observed.
    pub const fn truth(&self) -> &Contents {
        &self.truth
    }

    /// Whether one of these writes may be done however much waits to be indexed.
    pub fn ignores_backlog(&self, ops: &[OpId]) -> bool {
        let ignores =
            |change: &Change| matches!(change, Change::Write(write) if write.ignores_backlog);
        ops.iter().filter_map(|op| self.open.get(op)).any(ignores)
    }

    fn edit(&mut self, edit: impl Fn(&mut Reading)) {
        let readings = std::mem::take(&mut self.readings);
        self.readings.extend(readings.into_iter().map(|mut reading| {
            edit(&mut reading);
            reading
        }));
    }

    /// Lets open changes take effect in every order: the readings that end in this truth and in which
    /// the change asked for came to what it was said to. That there are too many to follow is an error:
    /// whoever stops looking proves nothing.
    fn spread(
        &self,
        truth: &Contents,
        answered: Option<(OpId, &Effect)>,
    ) -> Result<BTreeSet<Reading>, Broken> {
        let mut all = self.readings.clone();
        let mut front: Vec<Reading> = all.iter().cloned().collect();
        while let Some(reading) = front.pop() {
            for (op, change) in &self.open {
                if reading.done.contains_key(op) {
                    continue;
                }
                let next = reading.with(*op, change);
                if all.insert(next.clone()) {
                    front.push(next);
                }
            }
            let few = all.len() <= READINGS_MAX;
            Oracle::Sound.demand(few, || "a history has too many readings to follow".into())?;
        }
        all.retain(|reading| {
            reading.state.contents == *truth
                && answered.is_none_or(|(op, effect)| reading.explains(op, effect))
        });
        Ok(all)
    }

    /// Says which property it breaks that the store has come to this.
    fn unexplained(&self, truth: &Contents) -> Result<(), Broken> {
        let explained_by = |ending: Ending, keeps_keys: bool| {
            let mut other = self.clone();
            let again =
                |change: &Change| matches!(change, Change::Write(w) if w.idempotency.is_some());
            let over = self
                .over
                .iter()
                .rev()
                .filter(|(_, change, e)| *e == ending && (keeps_keys || again(change)));
            for (n, (_, change, _)) in over.take(4).enumerate() {
                other.open.insert(OpId::MAX - n as OpId, change.clone());
            }
            if !keeps_keys {
                other.edit(|reading| {
                    let contents = reading.state.contents.clone();
                    reading.state = Shared::new(State { contents, keys: Keys::default() });
                });
            }
            other.spread(truth, None).is_ok_and(|readings| !readings.is_empty())
        };
        let (from, to) = (phrases::contents(&self.truth), phrases::contents(truth));
        let change = format!("what can be recovered has changed from {from} to {to}");
        if explained_by(Ending::Refused, true) {
            Oracle::Refused.broken(format!("{change}, by a request that was refused"))
        } else if explained_by(Ending::Answered, false) {
            Oracle::Idempotent.broken(format!("{change}, by a request that had its effect before"))
        } else {
            Oracle::Recoverable.broken(format!("{change}, by no request"))
        }
    }
}

impl Default for Monitor {
    fn default() -> Self {
        Self::new()
    }
}

impl Hash for Monitor {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // What is over decides nothing that is to come.
        self.open.hash(state);
        self.readings.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::search::find;
    use sana_engine::base::name::AttributeName;
    use sana_engine::base::value::Raw;
    use sana_engine::namespace::request::{
        Idempotency, Include, Rank, RawDocument, Want, WriteRequest,
    };

    fn put(id: i128, n: i128, key: Option<&str>) -> Change {
        let attributes = vec![(AttributeName::parse("n").unwrap(), Raw::Integer(n))];
        let idempotency = key.map(|key| Idempotency { key: key.into(), fingerprint: 1 });
        Change::Write(Arc::new(WriteRequest {
            upserts: Some(vec![RawDocument { id: Raw::Integer(id), attributes }]),
            idempotency,
            ..WriteRequest::default()
        }))
    }

    fn after(changes: &[&Change]) -> Contents {
        changes.iter().fold(State::default(), |state, change| state.after(change).0).contents
    }

    const WRITTEN: Effect = Effect::Written(Some(1), None, None);

    fn query() -> QueryRequest {
        let want = Want::rows(Rank::By(vec![]), 9, Include::All);
        QueryRequest {
            filter: None,
            want,
            consistency: sana_engine::namespace::request::Consistency::default(),
        }
    }

    fn oracle(result: Result<(), Broken>) -> Option<Oracle> {
        result.err().map(|broken| broken.oracle)
    }

    #[test]
    fn an_acknowledged_write_must_be_recoverable() {
        let (a, b) = (put(1, 1, None), put(1, 2, None));
        let mut monitor = Monitor::new();
        monitor.begin(1, a.clone());
        assert_eq!(oracle(monitor.clone().answer(1, &WRITTEN)), Some(Oracle::Recoverable));
        monitor.observe(&after(&[&a])).unwrap();
        monitor.answer(1, &WRITTEN).unwrap();
        monitor.begin(2, b.clone());
        monitor.observe(&after(&[&a, &b])).unwrap();
        assert_eq!(oracle(monitor.observe(&after(&[&a]))), Some(Oracle::Recoverable));
    }

    #[test]
    fn a_refused_write_must_not_appear() {
        let a = put(1, 1, None);
        let mut monitor = Monitor::new();
        monitor.begin(1, a.clone());
        monitor.refuse(1).unwrap();
        assert_eq!(oracle(monitor.observe(&after(&[&a]))), Some(Oracle::Refused));
    }

    #[test]
    fn a_write_whose_outcome_is_unknown_may_land_late_but_once() {
        let (a, b) = (put(1, 1, Some("a")), put(1, 2, None));
        let mut monitor = Monitor::new();
        monitor.begin(1, a.clone());
        monitor.begin(2, b.clone());
        monitor.observe(&after(&[&b])).unwrap();
        monitor.answer(2, &WRITTEN).unwrap();
        monitor.observe(&after(&[&b, &a])).unwrap();
        monitor.answer(1, &WRITTEN).unwrap();
        monitor.begin(3, b.clone());
        monitor.observe(&after(&[&b])).unwrap();
        monitor.answer(3, &WRITTEN).unwrap();
        assert_eq!(oracle(monitor.observe(&after(&[&a]))), Some(Oracle::Idempotent));
    }

    #[test]
    fn a_query_sees_a_moment_between_its_beginning_and_its_end() {
        let (a, b, c) = (put(1, 1, None), put(1, 2, None), put(1, 3, None));
        let mut monitor = Monitor::new();
        for (op, change) in [&a, &b].into_iter().enumerate() {
            monitor.begin(op as OpId, change.clone());
        }
        monitor.observe(&after(&[&a])).unwrap();
        monitor.answer(0, &WRITTEN).unwrap();
        monitor.begin_query(9);
        monitor.observe(&after(&[&b])).unwrap();
        monitor.answer(1, &WRITTEN).unwrap();
        let found = |change| find(after(&[change]).as_deref().unwrap(), &query()).unwrap();
        for seen in [&a, &b] {
            monitor.clone().answer_query(9, &query(), Told::Found(&found(seen))).unwrap();
        }
        // There was no namespace once. There always was the attribute that the query names: none.
        let too_old = monitor.clone().answer_query(9, &query(), Told::NoNamespace);
        assert_eq!(oracle(too_old), Some(Oracle::Linearizable));
        let of_no_state = monitor.clone().answer_query(9, &query(), Told::NoAttribute);
        assert_eq!(oracle(of_no_state), Some(Oracle::Search));
        let never = monitor.clone().answer_query(9, &query(), Told::Found(&found(&c)));
        assert_eq!(oracle(never), Some(Oracle::Search));
        monitor.begin(2, c.clone());
        monitor.begin_query(10);
        monitor.observe(&after(&[&c])).unwrap();
        monitor.begin_query(11);
        let late = monitor.answer_query(11, &query(), Told::Found(&found(&a)));
        assert_eq!(oracle(late), Some(Oracle::Linearizable));
    }
}
