//! Finds the documents that the filters of a write match, at one snapshot.
//!
//! # Story
//!
//! 1. **Deletes** ([`Query`]): the ids that `delete_by_filter` matches, one more than may be removed.
//! 2. **Patches** ([`Query`]): the documents that `patch_by_filter` matches, one more than may be
//!    changed. If they are too large to be held and a part of them is enough, fewer, again.
//!
//! A field that is not there is passed over. Nothing is changed; the rounds are those of the queries.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::host::Host;
use crate::base::limits;
use crate::base::time::Timestamp;
use crate::base::value::Document;
use crate::index::predicate::Predicate;
use crate::machine::request::Reply;
use crate::machine::{Machine, Step};
use crate::namespace::matched::{Matched, MatchedIds, Matches};
use crate::namespace::request::{
    Answer, AnswerRow, ByFilter, Consistency, Found, Include, QueryError, QueryRequest, Rank, Want,
    WriteRequest,
};
use crate::namespace::snapshot::Snapshot;
use crate::ops::query::Query;

/// What is matched, on its way. See the [module](self) for its story.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Matching {
    find: Find,
    state: State,
}

/// How many documents a request may change at once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Most {
    /// By deleting them.
    pub(super) deletes: usize,
    /// By patching them.
    pub(super) patches: usize,
}

/// What part of the documents is tried next, if they are too large to be held.
const FEWER: usize = 8;

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum State {
    Deletes(Query),
    Patches(Query),
}

/// What is known from beginning to end.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Find {
    snapshot: Arc<Snapshot>,
    /// The filter of the patches, if there is one.
    patches: Option<ByFilter>,
    /// How many documents may be changed; fewer, if so many cannot be held.
    most: Most,
    host: Host,
    deadline: Timestamp,
    matched: Matched,
}

impl Matching {
    /// Begins to find what the filters of a request match.
    pub fn start(
        now: Timestamp,
        snapshot: Arc<Snapshot>,
        request: &WriteRequest,
        host: Host,
        deadline: Timestamp,
    ) -> Step<Self> {
        let (deletes, patches) = (limits::DELETE_BY_FILTER_MAX, limits::PATCH_BY_FILTER_MAX);
        Self::with(now, snapshot, request, host, deadline, Most { deletes, patches })
    }

    /// The same for other limits.
    pub(super) fn with(
        now: Timestamp,
        snapshot: Arc<Snapshot>,
        request: &WriteRequest,
        host: Host,
        deadline: Timestamp,
        most: Most,
    ) -> Step<Self> {
        let at = (snapshot.head.incarnation, snapshot.live().log.committed);
        let schema = snapshot.live().schema.clone();
        let patches = request.patch_by_filter.as_ref().map(|(by_filter, _)| by_filter.clone());
        let matched = Matched { at, schema, ..Matched::default() };
        let find = Find { snapshot, patches, most, host, deadline, matched };
        match &request.delete_by_filter {
            Some(by_filter) => {
                let want = Want::Ids { limit: most.deletes + 1 };
                let query = find.query(now, &by_filter.filter, want);
                find.deletes(now, query)
            }
            None => find.find_patches(now),
        }
    }
}

impl Find {
    /// Asks for what a filter matches.
    fn query(&self, now: Timestamp, filter: &Predicate, want: Want) -> Step<Query> {
        let filter = Some(filter.clone());
        let request = QueryRequest { filter, want, consistency: Consistency::Strong };
        Query::start(now, self.snapshot.clone(), &request, self.host, self.deadline)
    }

    fn deletes(mut self, now: Timestamp, step: Step<Query>) -> Step<Matching> {
        match step {
            Step::Wait(query, round) => {
                Step::Wait(Matching { find: self, state: State::Deletes(query) }, round)
            }
            Step::Done(Ok(answer)) => {
                let Found::Ids(mut ids) = answer.found else { unreachable!("ids were asked for") };
                let more = ids.len() > self.most.deletes;
                ids.truncate(self.most.deletes);
                self.matched.deletes = MatchedIds { ids: ids.into_iter().collect(), more };
                self.find_patches(now)
            }
            Step::Done(Err(error)) => Step::Done(Err(error)),
        }
    }

    fn find_patches(self, now: Timestamp) -> Step<Matching> {
        let Some(by_filter) = &self.patches else { return Step::Done(Ok(self.matched)) };
        let want = Want::rows(Rank::By(Vec::new()), self.most.patches + 1, Include::All);
        let query = self.query(now, &by_filter.filter, want);
        self.patches(now, query)
    }

    fn patches(mut self, now: Timestamp, step: Step<Query>) -> Step<Matching> {
        match step {
            Step::Wait(query, round) => {
                Step::Wait(Matching { find: self, state: State::Patches(query) }, round)
            }
            Step::Done(Ok(answer)) => {
                self.matched.patches = self.matches(answer);
                Step::Done(Ok(self.matched))
            }
            Step::Done(Err(QueryError::TooLarge { .. })) if self.takes_fewer() => {
                self.most.patches /= FEWER;
                self.find_patches(now)
            }
            Step::Done(Err(error)) => Step::Done(Err(error)),
        }
    }

    /// Whether the client is content with fewer documents than there are.
    fn takes_fewer(&self) -> bool {
        let partial = self.patches.as_ref().is_some_and(|by_filter| by_filter.allows_partial);
        partial && self.most.patches >= FEWER
    }

    fn matches(&self, answer: Answer) -> Matches {
        let most = self.most.patches;
        let Found::Rows(mut rows) = answer.found else { unreachable!("rows were asked for") };
        let more = rows.len() > most;
        rows.truncate(most);
        let documents = rows.into_iter().map(|row| self.document(row));
        let documents: BTreeMap<_, _> = documents.map(|d| (d.id.clone(), d)).collect();
        assert!(documents.len() <= most, "C7: no more than may be changed at once");
        Matches { documents, more }
    }

    /// A row as a document: names are numbers again.
    fn document(&self, row: AnswerRow) -> Document {
        let attributes = &self.snapshot.live().schema.attributes;
        let numbered = |(name, value)| {
            let attribute =
                attributes.get(&name).expect("an answer shows attributes of the schema");
            (attribute.id, value)
        };
        let mut attributes: Vec<_> = row.attributes.into_iter().map(numbered).collect();
        attributes.sort_unstable_by_key(|(attribute, _)| *attribute);
        Document { id: row.id, attributes }
    }
}

impl Machine for Matching {
    type Output = Result<Matched, QueryError>;

    fn step(self, now: Timestamp, replies: Vec<Reply>) -> Step<Self> {
        match self.state {
            State::Deletes(query) => self.find.deletes(now, query.step(now, replies)),
            State::Patches(query) => self.find.patches(now, query.step(now, replies)),
        }
    }

    fn is_heavy(&self) -> bool {
        match &self.state {
            State::Deletes(query) | State::Patches(query) => query.is_heavy(),
        }
    }
}
