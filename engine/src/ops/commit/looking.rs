//! Step 2 of a commit: what has to be known before the requests can be decided.

use super::{Commit, Group, State};
use crate::base::planted::{self, Bug};
use crate::base::time::Timestamp;
use crate::format::frame::Damage;
use crate::machine::Step;
use crate::namespace::documents::{Known, mentioned_attributes, mentioned_ids, mentioned_keys};
use crate::namespace::request::{InvalidWrite, QueryError, WriteError};
use crate::ops::lookup::Lookup;
use crate::ops::matching::Matching;
use crate::ops::read::ReadError;
use crate::ops::records::Records;
use crate::ops::snapshot::Held;

impl Group {
    /// Reads the documents that patches mention.
    pub(super) fn look_up(self, now: Timestamp, held: Held) -> Step<Commit> {
        let Some(schema) = held.live().map(|(.., live)| &live.schema) else {
            return self.remember(now, held, Known::default());
        };
        let ids = mentioned_ids(schema, &self.plan.requests);
        match held.snapshot.clone() {
            Some(snapshot) if !ids.is_empty() => {
                let attributes = mentioned_attributes(schema, &self.plan.requests);
                let lookup = Lookup::start(now, snapshot, ids, attributes, self.plan.deadline);
                self.looking_up(now, held, lookup)
            }
            _ => self.remember(now, held, Known::default()),
        }
    }

    pub(super) fn looking_up(self, now: Timestamp, held: Held, step: Step<Lookup>) -> Step<Commit> {
        match step {
            Step::Wait(lookup, round) => self.wait(State::LookingUp(held, lookup), round),
            Step::Done(Ok(documents)) => {
                let known = Known { documents, ..Known::default() };
                self.remember(now, held, known)
            }
            Step::Done(Err(error)) => self.unfound(now, held, &Known::default(), error),
        }
    }

    /// Reads the records of idempotency keys, in the log and the segments of this very head (H8).
    fn remember(self, now: Timestamp, held: Held, known: Known) -> Step<Commit> {
        let keys = mentioned_keys(&self.plan.requests);
        match held.snapshot.clone() {
            Some(snapshot) if !keys.is_empty() => {
                let records = Records::start(snapshot, keys, self.plan.deadline);
                self.remembering(now, held, known, records)
            }
            _ => self.find_matches(now, held, known),
        }
    }

    pub(super) fn remembering(
        self,
        now: Timestamp,
        held: Held,
        mut known: Known,
        step: Step<Records>,
    ) -> Step<Commit> {
        match step {
            Step::Wait(records, round) => {
                self.wait(State::Remembering(held, known, records), round)
            }
            Step::Done(Ok(records)) => {
                known.records = records;
                self.find_matches(now, held, known)
            }
            Step::Done(Err(error)) => self.unfound(now, held, &known, error),
        }
    }

    /// Finds what the filters of the request match at this very head (C7).
    fn find_matches(mut self, now: Timestamp, held: Held, mut known: Known) -> Step<Commit> {
        let request = self.plan.requests.iter().find(|request| request.is_by_filter()).cloned();
        let (Some(request), Some(snapshot)) = (request, held.snapshot.clone()) else {
            return self.decide(now, held, &known);
        };
        let before = self.matched.take();
        if let Some(matched) = before.clone().filter(|_| planted::is(Bug::MatchesStayOld)) {
            known.matched = matched;
            return self.decide(now, held, &known);
        }
        if let Some(matched) = before.and_then(|matched| matched.advance(&request, &snapshot)) {
            known.matched = matched;
            return self.decide(now, held, &known);
        }
        let (host, deadline) = (self.plan.host, self.plan.deadline);
        let matching = Matching::start(now, snapshot, &request, host, deadline);
        self.matching(now, held, known, matching)
    }

    pub(super) fn matching(
        self,
        now: Timestamp,
        held: Held,
        mut known: Known,
        step: Step<Matching>,
    ) -> Step<Commit> {
        match step {
            Step::Wait(matching, round) => {
                self.wait(State::Matching(held, known, Box::new(matching)), round)
            }
            Step::Done(Ok(matched)) => {
                known.matched = matched;
                self.decide(now, held, &known)
            }
            Step::Done(Err(error)) => self.unfound(now, held, &known, error),
        }
    }

    /// Documents that a decision needs were not found.
    fn unfound(self, now: Timestamp, held: Held, known: &Known, error: QueryError) -> Step<Commit> {
        match error {
            QueryError::Vanished(key) => self.unread(now, held, &ReadError::Vanished { key }),
            QueryError::Damaged(bad) => self.unread(now, held, &bad.into()),
            // What does not fit the schema is refused at a fresh head only (D19).
            QueryError::Invalid(_) => self.decide(now, held, known),
            QueryError::TooLarge { .. } if !self.is_fresh => self.refresh(now, Some(held)),
            QueryError::TooLarge { most } => {
                self.fail(Some(held), &InvalidWrite::MatchesTooLarge { most }.into())
            }
            QueryError::TooLong => self.fail(Some(held), &WriteError::TooMuch),
            QueryError::Unavailable | QueryError::NoNamespace => {
                self.fail(None, &WriteError::Unavailable)
            }
        }
    }

    /// What a decision needs could not be read.
    fn unread(mut self, now: Timestamp, held: Held, error: &ReadError) -> Step<Commit> {
        let version = held.version.as_ref().map(|(tag, _)| tag.clone());
        match error {
            // It is still the newest version that names what is not there: nobody retired the object.
            ReadError::Vanished { key } if self.missed == version => {
                self.fail(Some(held), &WriteError::Unreadable(Damage::Gone.of(key)))
            }
            // The head has moved on since, or this object would be there (H2).
            ReadError::Vanished { .. } if now < self.plan.deadline => {
                self.missed = version;
                self.refresh(now, Some(held))
            }
            ReadError::Vanished { .. } | ReadError::Late => {
                self.fail(None, &WriteError::Unavailable)
            }
            // Nor may what refuses a request be of an older version.
            ReadError::Damaged(_) if !self.is_fresh => self.refresh(now, Some(held)),
            ReadError::Damaged(bad) => self.fail(Some(held), &WriteError::Unreadable(bad.clone())),
        }
    }
}
