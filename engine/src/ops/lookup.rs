//! Reads documents by their ids, at one snapshot, as the commit needs them.
//!
//! # Story
//!
//! The overlay has the last word on an id, and a segment's filter may say that it knows none. For the
//! other ids:
//!
//! 1. **Finding**: get the one block of each segment's id index that can hold each id. At most one of
//!    the rows found lives.
//! 2. **Fetching**: get the pages of the columns that are needed at those rows.
//!
//! Two rounds, as long as each reads no more than a window; none if the overlay and the filters know.
//! A query that names its documents does the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::base::id::AttributeId;
use crate::base::limits::WINDOW_BYTES;
use crate::base::planted::{self, Bug};
use crate::base::time::Timestamp;
use crate::base::value::{Document, Id};
use crate::machine::request::Reply;
use crate::machine::{Machine, Step};
use crate::namespace::request::QueryError;
use crate::namespace::snapshot::Snapshot;
use crate::ops::query::lookup::Lookup as Search;
use crate::ops::query::reads::{Read, Source};

/// A lookup on its way. See the [module](self) for its story.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Lookup {
    source: Source,
    ids: BTreeSet<Id>,
    search: Search,
    /// What is being read, and since when.
    flying: (Timestamp, Vec<Read>),
}

/// What was looked up: for every id its document, or that there is none.
pub type Documents = BTreeMap<Id, Option<Document>>;

type Outcome = Result<Documents, QueryError>;

impl Lookup {
    /// Begins to look up `ids`, with these attributes at least.
    pub fn start(
        now: Timestamp,
        snapshot: Arc<Snapshot>,
        ids: BTreeSet<Id>,
        attributes: BTreeSet<AttributeId>,
        deadline: Timestamp,
    ) -> Step<Self> {
        let source = Source { snapshot, deadline, window_bytes: WINDOW_BYTES };
        let sees_overlay = !planted::is(Bug::OverlayIsNotLookedUp);
        let search = Search::begin(&source, &ids, attributes, sees_overlay);
        Self { source, ids, search, flying: (now, Vec::new()) }.advance(now)
    }

    fn advance(mut self, now: Timestamp) -> Step<Self> {
        self.flying = (now, self.search.wanted(&self.source));
        if !self.flying.1.is_empty() {
            let round = self.source.round(&self.flying.1);
            return Step::Wait(self, round);
        }
        let mut documents: Documents = self.ids.into_iter().map(|id| (id, None)).collect();
        for document in self.search.into_documents() {
            let before = documents.insert(document.id.clone(), Some(document));
            assert_eq!(before, Some(None), "L1: a document was asked for, and is found once");
        }
        Step::Done(Ok(documents))
    }

    fn take(&mut self, replies: Vec<Reply>) -> Result<(), QueryError> {
        let (asked_at, flying) = (self.flying.0, core::mem::take(&mut self.flying.1));
        assert!(!flying.is_empty(), "L1: a round was asked for");
        let arrived = self.source.arrived(asked_at, flying, replies)?;
        self.search.take(&self.source, &arrived)
    }
}

impl Machine for Lookup {
    type Output = Outcome;

    fn step(mut self, now: Timestamp, replies: Vec<Reply>) -> Step<Self> {
        if let Err(error) = self.take(replies) {
            return Step::Done(Err(error));
        }
        let deadline = self.source.deadline;
        match self.advance(now) {
            // All that was asked for was answered, and it is more than there is time for.
            Step::Wait(..) if deadline <= now => Step::Done(Err(QueryError::TooLong)),
            step => step,
        }
    }

    fn is_heavy(&self) -> bool {
        self.source.is_heavy(&self.flying.1)
    }
}
