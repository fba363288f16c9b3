//! Which documents the filters of a write match, and how that stays true as the namespace moves on.
//!
//! # Invariants
//!
//! - **C7** What is matched is exact at one head: of all documents, those whose filter passes, up to a
//!   limit. What was found at an older head is brought up to date by the commits since, as long as all
//!   of them are still in the log and none dropped an attribute, for that changes documents without a
//!   word on them; else it is found anew. So a write by filter is as serializable as any other, and
//!   who is overtaken does not scan again.

use std::collections::BTreeMap;

use crate::base::id::{Cursor, Incarnation};
use crate::base::limits;
use crate::base::planted::{self, Bug};
use crate::base::value::{Document, Id};
use crate::format::schema::Schema;
use crate::index::filter::Filter;
use crate::namespace::overlay::Decoded;
use crate::namespace::request::WriteRequest;
use crate::namespace::snapshot::Snapshot;

/// What the filters of one request match.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Matched {
    /// The life of the namespace and the position of the last commit that were seen.
    pub at: (Incarnation, Cursor),
    /// The schema that was seen.
    pub schema: Schema,
    /// What is to be removed. Of these documents only the ids count.
    pub deletes: Matches,
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
        let deletes = request.delete_by_filter.as_ref().map(|by_filter| &by_filter.filter);
        let patches = request.patch_by_filter.as_ref().map(|(by_filter, _)| &by_filter.filter);
        for (filter, matches, most) in [
            (deletes, &mut self.deletes, limits::DELETE_BY_FILTER_MAX),
            (patches, &mut self.patches, limits::PATCH_BY_FILTER_MAX),
        ] {
            let Some(filter) = filter else { continue };
            // A filter that does not fit any more is refused when the request is decided.
            let Ok(filter) = Filter::resolve(filter, schema) else { continue };
            for operation in since.iter().flat_map(|entry| &entry.batch.operations) {
                matches.see(&filter, operation.id(), operation.document(), most);
            }
        }
        self.at.1 = log.committed;
        self.schema.clone_from(schema);
        Some(self)
    }
}

impl Matches {
    /// Takes note of what is there under an id now.
    fn see(&mut self, filter: &Filter, id: &Id, document: Option<&Document>, most: usize) {
        let known = self.documents.contains_key(id);
        let matches = |document: &&Document| {
            filter.matches(document) || (known && planted::is(Bug::MatchesAreNotTestedAgain))
        };
        match document.filter(matches) {
            None if document.is_none() && planted::is(Bug::DeletedStillMatches) => {}
            None => {
                self.documents.remove(id);
            }
            Some(document) if self.documents.len() < most || known => {
                self.documents.insert(id.clone(), document.clone());
            }
            Some(_) => self.more = true,
        }
    }
}
