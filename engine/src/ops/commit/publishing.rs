//! Steps 3 to 5 of a commit: a place for the batch, and the put of the head.

use std::sync::Arc;

use super::{Attempted, Commit, Committed, Decided, Group, Landed, Stage, State};
use crate::base::blob::Blob;
use crate::base::id::{CommitId, Incarnation, Nonce, Stamp};
use crate::base::limits;
use crate::base::planted::{self, Bug};
use crate::base::time::Timestamp;
use crate::format::head::{Head, Live};
use crate::format::layout::{self, Family, ObjectName, Place};
use crate::format::log::{Payload, gather};
use crate::machine::publish::{Fate, Publish, Published, Write};
use crate::machine::request::{Request, Tag, When};
use crate::machine::{Round, Step};
use crate::namespace::head::{Attempt, Blocked, CommitFate, NewEntry};
use crate::namespace::invariants;
use crate::namespace::request::WriteError;
use crate::ops::publication::PAUSE;
use crate::ops::snapshot::{Held, Refresh};

impl Group {
    /// Sees to it that the batch has a place: in the head, or in an object.
    pub(super) fn place(self, now: Timestamp, held: Held, decided: Decided) -> Step<Commit> {
        let rides = decided.bytes.len() <= limits::INLINE_BATCH_BYTES_MAX;
        let Some((_, head, live)) = held.live() else {
            return if rides {
                self.publish(now, held, decided, None)
            } else {
                self.create(now, held, decided)
            };
        };
        let inline: usize = self.unspilled(head, live).map(|(_, batch)| batch.len()).sum();
        let is_small = inline <= limits::INLINE_LOG_BYTES_MAX;
        if rides && (is_small || planted::is(Bug::NothingIsSpilled)) {
            return self.publish(now, held, decided, None);
        }
        self.stage(now, held, decided)
    }

    /// Batches that ride in a head and are in no object yet, as far as is known here.
    fn unspilled<'a>(
        &'a self,
        head: &'a Head,
        live: &'a Live,
    ) -> impl Iterator<Item = (CommitId, &'a Blob)> {
        let spilled = &self.plan.spilled;
        // An object below the floor can be named no more (W2).
        let is_named = |(name, _): &(ObjectName, u32)| head.floor <= name.stamp;
        live.log.inline().filter(move |(commit, _)| !spilled.get(commit).is_some_and(is_named))
    }

    /// Creates a log object of our batch, if it does not ride in the head, and of all batches that
    /// do and might not.
    fn stage(mut self, now: Timestamp, held: Held, decided: Decided) -> Step<Commit> {
        let (_, head, live) = held.live().expect("H3: only a live namespace has objects");
        let name = ObjectName { stamp: head.step, nonce: self.plan.nonces.draw() };
        let riding = self.unspilled(head, live).map(|(commit, batch)| (Some(commit), batch));
        let is_large = decided.bytes.len() > limits::INLINE_BATCH_BYTES_MAX;
        let own = is_large.then_some((None, &decided.bytes));
        let (body, places) = gather(riding.chain(own));
        let stage = Stage { name, body, places, is_pausing: false };
        if now >= self.plan.deadline {
            return self.fail(Some(held), &WriteError::Unavailable);
        }
        let place = self.incarnate(head.incarnation);
        let request = Request::create(place.object(Family::Log, name), stage.body.clone());
        self.has_written = true;
        let round = Round::ask(request, self.plan.deadline);
        self.wait(State::Staging(held, decided, stage), round)
    }

    pub(super) fn staged(
        mut self,
        now: Timestamp,
        held: Held,
        decided: Decided,
        mut stage: Stage,
        stored: bool,
    ) -> Step<Commit> {
        if stage.is_pausing {
            return self.stage(now, held, decided);
        }
        if !stored && !planted::is(Bug::UnstoredIsNamed) {
            stage.is_pausing = true;
            let round = Round::sleep(self.plan.deadline.min(now + PAUSE));
            return self.wait(State::Staging(held, decided, stage), round);
        }
        let mut own = None;
        for (commit, start) in stage.places {
            match commit {
                Some(commit) => {
                    let start = if planted::is(Bug::OffsetIsForgotten) { 0 } else { start };
                    self.plan.spilled.insert(commit, (stage.name, start));
                }
                None => own = Some((stage.name, start)),
            }
        }
        self.publish(now, held, decided, own)
    }

    fn incarnate(&self, incarnation: Incarnation) -> Place {
        Place { namespace: self.plan.namespace.clone(), incarnation }
    }

    /// Puts an empty head, so that the batch can be staged in its incarnation.
    fn create(mut self, now: Timestamp, held: Held, decided: Decided) -> Step<Commit> {
        let empty = Arc::new(self.first_head(&held));
        let write = self.write(&held, &empty);
        if now >= self.plan.deadline {
            return self.fail(Some(held), &WriteError::Unavailable);
        }
        let publish = Publish::start(now, write, None, PAUSE, self.plan.deadline);
        self.has_written = true;
        self.creating(now, held, decided, empty, publish)
    }

    pub(super) fn creating(
        mut self,
        now: Timestamp,
        held: Held,
        decided: Decided,
        empty: Arc<Head>,
        step: Step<Publish>,
    ) -> Step<Commit> {
        let fate = match step {
            Step::Wait(publish, round) => {
                return self.wait(State::Creating(held, decided, empty, publish), round);
            }
            Step::Done(published) => published.fate,
        };
        // The namespace is there now, by us or by others: either way everything is decided at it.
        let found = match fate {
            Fate::Landed(tag) => Some((tag, Blob::from(empty.encode()))),
            Fate::Overtaken(found) => found,
            // Nothing of the requests was sent.
            Fate::Unknown => return self.fail(None, &WriteError::Unavailable),
        };
        self.is_fresh = true;
        self.judge(now, None, found)
    }

    /// The first version of the namespace, over nothing or over its tombstone.
    fn first_head(&mut self, held: &Held) -> Head {
        let nonce = self.plan.nonces.draw();
        let incarnation = Incarnation(self.plan.nonces.draw());
        let previous = held.version.as_ref().map(|(_, head)| head.as_ref());
        Head::create(previous, nonce, incarnation, self.plan.wall)
    }

    fn write(&self, base: &Held, next: &Head) -> Write {
        assert_eq!(invariants::check(next), Ok(()), "C1: a commit makes a sound head");
        let when = match &base.version {
            Some((tag, _)) => When::Matches(tag.clone()),
            None => When::Absent,
        };
        Write { key: layout::head(&self.plan.namespace), body: next.encode().into(), when }
    }

    /// Puts the head with the entry. `own` is where the batch was staged, if it was.
    fn publish(
        mut self,
        now: Timestamp,
        base: Held,
        decided: Decided,
        own: Option<(ObjectName, u32)>,
    ) -> Step<Commit> {
        let from = if let Some((_, head, _)) = base.live() {
            Head::clone(head)
        } else {
            // What creates a namespace is its first version, with the first entry in it (H3).
            let first = self.first_head(&base);
            let step = Stamp(first.step.0 - 1);
            Head { step, ..first }
        };
        let commit = if planted::is(Bug::CommitIdPerWriter) {
            CommitId::default()
        } else {
            CommitId(self.plan.nonces.draw())
        };
        let entry = NewEntry {
            commit,
            operations: decided.batch.operations.len() as u32,
            bytes: u32::try_from(decided.bytes.len()).expect("C8: a batch is below 4 GiB"),
            payload: match own {
                Some((name, start)) => Payload::Object { name, start },
                None => Payload::Inline(decided.bytes.clone()),
            },
            schema: decided.schema.clone(),
            read_only: decided.read_only,
        };
        let nonce = self.plan.nonces.draw();
        let next = match from.commit(nonce, entry, &self.plan.spilled, self.plan.wall) {
            Ok(next) => Arc::new(next),
            // Somebody raised the floor above what was staged: it is staged anew.
            Err(Blocked::BelowFloor | Blocked::Stale | Blocked::Done) => {
                return self.stage(now, base, decided);
            }
        };
        assert_eq!(next.step, from.step.next(), "W1: a commit is one step");
        let cursor = next.live().expect("a commit leaves a namespace alive").log.committed;
        let attempt = Attempt { commit, incarnation: next.incarnation, cursor, step: next.step };
        let mut name = ObjectName { stamp: from.step, nonce: self.plan.nonces.draw() };
        if planted::is(Bug::StagedWithoutNonce) {
            name.nonce = Nonce::default();
        }
        let spill = base.live().filter(|_| own.is_none()).and_then(|(_, head, live)| {
            let riding = || self.unspilled(head, live).chain([(commit, &decided.bytes)]);
            let bytes: usize = riding().map(|(_, batch)| batch.len()).sum();
            let is_much = bytes > limits::SPILL_BYTES_MIN;
            (is_much && !planted::is(Bug::NothingIsSpilled)).then(|| gather(riding()))
        });
        let place = self.incarnate(next.incarnation);
        let create = spill
            .as_ref()
            .map(|(body, _)| Request::create(place.object(Family::Log, name), body.clone()));
        let beside = spill.map(|(_, places)| (name, places));
        let write = self.write(&base, &next);
        if write.body.len() > limits::HEAD_BYTES_MAX {
            return self.full(now, base);
        }
        // What is not sent has no fate that could be unknown.
        if now >= self.plan.deadline {
            return self.fail(Some(base), &WriteError::Unavailable);
        }
        let publish = Publish::start(now, write, create, PAUSE, self.plan.deadline);
        let attempted = Attempted { base, decided, next, attempt, beside };
        self.has_written = true;
        self.publishing(now, attempted, publish)
    }

    /// There is no room in the head. What refuses a request must be true now.
    fn full(self, now: Timestamp, held: Held) -> Step<Commit> {
        if self.is_fresh {
            return self.fail(Some(held), &WriteError::Full { most: limits::HEAD_BYTES_MAX });
        }
        self.refresh(now, Some(held))
    }

    /// Stays in [`State::Publishing`] while `publish` has rounds to do, then acts on its outcome.
    pub(super) fn publishing(
        mut self,
        now: Timestamp,
        attempted: Attempted,
        step: Step<Publish>,
    ) -> Step<Commit> {
        let Published { fate, beside_stored } = match step {
            Step::Wait(..) if planted::is(Bug::AnsweredBeforeThePut) => {
                let held = attempted.base.clone();
                return self.land(attempted, held);
            }
            Step::Wait(publish, round) => {
                return self.wait(State::Publishing(attempted, publish), round);
            }
            Step::Done(published) => published,
        };
        let commit = attempted.attempt.commit;
        if let Some((name, places)) = &attempted.beside
            && (beside_stored || planted::is(Bug::UnstoredIsNamed))
        {
            let places = places.iter().map(|&(commit, start)| (commit, (*name, start)));
            self.plan.spilled.extend(places);
        }
        match fate {
            Fate::Landed(tag) => {
                let held = Held { version: Some((tag, attempted.next.clone())), snapshot: None };
                self.land(attempted, held)
            }
            Fate::Overtaken(found) => self.overtaken(now, attempted, found),
            Fate::Unknown if planted::is(Bug::UnknownIsFailure) => {
                self.fail(None, &WriteError::Unavailable)
            }
            Fate::Unknown => self.fail(None, &WriteError::Unknown { commit }),
        }
    }

    /// The version is known that holds the commit, or is newer and known to have it behind it.
    fn land(self, attempted: Attempted, held: Held) -> Step<Commit> {
        assert!(held.live().is_some(), "C6: what landed is seen in a live head");
        let direct = held.version.as_ref().is_some_and(|(_, head)| *head == attempted.next);
        let base = attempted.base.version.as_ref().map(|(tag, _)| tag.clone());
        let (commit, batch) = (attempted.attempt.commit, attempted.decided.batch);
        let mut outcomes = attempted.decided.outcomes;
        if let Some(error) = outcomes.iter().find(|outcome| outcome.is_err()).cloned()
            && planted::is(Bug::NeighbourGetsError)
        {
            outcomes.fill(error);
        }
        Step::Done(Committed {
            outcomes,
            landed: direct.then_some(Landed { base, commit, batch }),
            held: Some(held),
            spilled: self.plan.spilled,
            has_written: true,
        })
    }

    /// Looks in the newer head for what became of the attempt (H7).
    fn overtaken(
        mut self,
        now: Timestamp,
        attempted: Attempted,
        found: Option<(Tag, Blob)>,
    ) -> Step<Commit> {
        let unknown = WriteError::Unknown { commit: attempted.attempt.commit };
        let Some((tag, body)) = found else { return self.fail(None, &unknown) };
        let head = match invariants::read(&layout::head(&self.plan.namespace), &body) {
            Ok(head) => head,
            Err(bad) => return self.fail(None, &WriteError::Damaged(bad)),
        };
        match head.fate_of(&attempted.attempt) {
            CommitFate::Landed => {
                let held = Held { version: Some((tag, Arc::new(head))), snapshot: None };
                self.land(attempted, held)
            }
            CommitFate::Unknown if planted::is(Bug::OutOfTheRingIsFailure) => {
                self.fail(None, &WriteError::Unavailable)
            }
            CommitFate::Unknown => self.fail(None, &unknown),
            CommitFate::Missed if planted::is(Bug::NotDecidedAgain) && head.live().is_some() => {
                let held = Held { version: Some((tag, Arc::new(head))), snapshot: None };
                self.publish(now, held, attempted.decided, None)
            }
            CommitFate::Missed => {
                self.is_fresh = true;
                self.judge(now, Some(attempted.base), Some((tag, body)))
            }
        }
    }

    /// Goes on from a version that was found in passing.
    fn judge(self, now: Timestamp, held: Option<Held>, found: Option<(Tag, Blob)>) -> Step<Commit> {
        if now >= self.plan.deadline {
            return self.fail(None, &WriteError::Unavailable);
        }
        let (namespace, deadline) = (self.plan.namespace.clone(), self.plan.deadline);
        let refresh = Refresh::found(namespace, held, self.depth, deadline, found);
        self.refreshing(now, refresh)
    }
}
