//! Which documents the filters of a write match, and how that stays true as the namespace moves on.
//!
//! # Invariants
//!
//! - **C7** What is matched is exact at one head: of all documents, those whose filter passes, up to a
//!   limit. What was found at an older head is brought up to date by the commits since, as long as all
//!   of them are still in the log and none dropped an attribute, for that changes documents without a
//!   word on them; else it is found anew. So a write by filter is as serializable as any other, and
//!   who is overtaken does not scan again.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::id::{Cursor, Incarnation};
use crate::base::limits;
use crate::base::planted::{self, Bug};
use crate::base::value::{Document, Id};
use crate::format::schema::Schema;
use crate::index::filter::Filter;
use crate::namespace::overlay::Decoded;
use crate::namespace::request::{ByFilter, WriteRequest};
use crate::namespace::snapshot::Snapshot;

/// What the filters of one request match.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Matched {
    /// The life of the namespace and the position of the last commit that were seen.
    pub at: (Incarnation, Cursor),
    /// The schema that was seen.
    pub schema: Schema,
    /// What is to be removed.
    pub deletes: MatchedIds,
    /// What is to be changed.
    pub patches: Matches,
}

/// What one filter matches.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Matches {
    /// The documents.
    pub documents: BTreeMap<Id, Document>,
    /// Whether there are more than may be changed at once.
    pub more: bool,
}

/// What one filter matches, where only the ids count: there may be millions.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct MatchedIds {
    /// The ids of the documents.
    pub ids: BTreeSet<Id>,
    /// Whether there are more than may be removed at once.
    pub more: bool,
}

impl Matched {
    /// The same at a newer snapshot; `None` if that cannot be told from the log.
    pub fn advance(mut self, request: &WriteRequest, snapshot: &Snapshot) -> Option<Self> {
        let (log, schema) = (&snapshot.live().log, &snapshot.live().schema);
        let (incarnation, seen) = self.at;
        let drops = self.schema.attributes.values().any(|was| schema.by_id(was.id).is_none());
        let drops = drops && !planted::is(Bug::DropsLeaveMatches);
        let told = log.indexed <= seen && seen <= log.committed;
        if incarnation != snapshot.head.incarnation || !told || drops {
            return None;
        }
        let since = snapshot.overlay.entries().iter().filter(|entry| seen < entry.cursor);
        let since: Vec<&Decoded> = since.collect();
        // A filter that does not fit any more is refused when the request is decided.
        let resolved = |by_filter: &ByFilter| Filter::resolve(&by_filter.filter, schema).ok();
        let deletes = request.delete_by_filter.as_ref().and_then(resolved);
        let patches = request.patch_by_filter.as_ref().and_then(|(patches, _)| resolved(patches));
        for operation in since.iter().flat_map(|entry| &entry.batch.operations) {
            let (id, document) = (operation.id(), operation.document());
            if document.is_none() && planted::is(Bug::DeletedStillMatches) {
                continue;
            }
            let matching = |filter: &Filter, is_known: bool| {
                let is_old = is_known && planted::is(Bug::MatchesAreNotTestedAgain);
                document.filter(|document| is_old || filter.matches(document))
            };
            if let Some(filter) = &deletes {
                let matching = matching(filter, self.deletes.ids.contains(id));
                self.deletes.see(id, matching.is_some(), limits::DELETE_BY_FILTER_MAX);
            }
            if let Some(filter) = &patches {
                let matching = matching(filter, self.patches.documents.contains_key(id));
                self.patches.see(id, matching, limits::PATCH_BY_FILTER_MAX);
            }
        }
        self.at.1 = log.committed;
        self.schema.clone_from(schema);
        Some(self)
    }
}

impl Matches {
    /// Takes note of what is there under an id now, if it matches.
    fn see(&mut self, id: &Id, document: Option<&Document>, most: usize) {
        match document {
            None => {
                self.documents.remove(id);
            }
            Some(document) if self.documents.len() < most || self.documents.contains_key(id) => {
                self.documents.insert(id.clone(), document.clone());
            }
            Some(_) => self.more = true,
        }
    }
}

impl MatchedIds {
    /// Takes note of whether what is there under an id now matches.
    fn see(&mut self, id: &Id, matches: bool, most: usize) {
        if !matches {
            self.ids.remove(id);
        } else if self.ids.len() < most || self.ids.contains(id) {
            self.ids.insert(id.clone());
        } else {
            self.more = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_more_only_beyond_the_limit() {
        let (mut matches, mut matched) = (Matches::default(), MatchedIds::default());
        for (id, held, more) in [(1, 1, false), (2, 2, false), (2, 2, false), (3, 2, true)] {
            let document = Document { id: Id::Uint(id), attributes: Vec::new() };
            matches.see(&document.id, Some(&document), 2);
            matched.see(&document.id, true, 2);
            assert_eq!((matches.documents.len(), matches.more), (held, more));
            assert_eq!((matched.ids.len(), matched.more), (held, more));
        }
    }
}
