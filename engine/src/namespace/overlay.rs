//! What is committed and not indexed, held in memory so that queries can lay it over the segments.
//!
//! # Invariants
//!
//! - **O1** The entries are those of one head's log, in the order of their cursors: the last word on
//!   an id is the newest.

use core::ops::Bound;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::id::{CommitId, Cursor};
use crate::base::planted::{self, Bug};
use crate::base::value::{Document, Id};
use crate::format::log::{Batch, IdempotencyRecord, Operation};

/// The decoded log of one head.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Overlay {
    entries: Vec<Decoded>,
    /// Where the last word on each id is: the cursor of the entry, and the place in its batch.
    latest: BTreeMap<Id, (Cursor, u32)>,
}

/// One entry of the log, decoded.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Decoded {
    /// Its position.
    pub cursor: Cursor,
    /// Its commit.
    pub commit: CommitId,
    /// Its batch.
    pub batch: Arc<Batch>,
}

impl Overlay {
    /// Adds the entry after the last.
    ///
    /// # Panics
    ///
    /// If it is not the next one (O1).
    pub fn push(&mut self, entry: Decoded) {
        let last = self.entries.last().map(|last| last.cursor);
        assert!(last.is_none_or(|last| last.next() == entry.cursor), "O1: entries leave no gap");
        for (place, operation) in entry.batch.operations.iter().enumerate() {
            if planted::is(Bug::FirstWordCounts) && self.latest.contains_key(operation.id()) {
                continue;
            }
            let is_delete = matches!(operation, Operation::Delete(_));
            if is_delete && planted::is(Bug::DeletesAreNotOverlaid) {
                continue;
            }
            self.latest.insert(operation.id().clone(), (entry.cursor, place as u32));
        }
        self.entries.push(entry);
    }

    /// Forgets the entries up to `indexed`: a flush absorbed them.
    ///
    /// # Panics
    ///
    /// Never: they are in order (O1).
    pub fn absorb(&mut self, indexed: Cursor) {
        if self.entries.first().is_none_or(|first| indexed < first.cursor) {
            return;
        }
        self.entries.retain(|entry| indexed < entry.cursor);
        let forgets = planted::is(Bug::AbsorbForgetsNewer);
        self.latest.retain(|_, (cursor, _)| indexed < *cursor && !forgets);
        let first = self.entries.first().map(|entry| entry.cursor);
        assert!(first.is_none_or(|first| indexed < first), "O1: what is absorbed is forgotten");
    }

    /// The entries, oldest first.
    pub fn entries(&self) -> &[Decoded] {
        &self.entries
    }

    /// The entry at this position, if it is here.
    pub fn entry(&self, cursor: Cursor) -> Option<&Decoded> {
        let first = self.entries.first()?.cursor;
        self.entries.get(usize::try_from(cursor.0.checked_sub(first.0)?).ok()?)
    }

    /// The last word on an id: nothing, that it was deleted, or the document.
    pub fn get(&self, id: &Id) -> Option<Option<&Document>> {
        self.latest.get(id).map(|at| self.word(*at))
    }

    /// Every id that has a word here, ascending, with the last word on it.
    pub fn words(&self) -> impl Iterator<Item = (&Id, Option<&Document>)> {
        self.words_from(Bound::Unbounded)
    }

    /// The same for the ids from this one on.
    pub fn words_from(&self, id: Bound<&Id>) -> impl Iterator<Item = (&Id, Option<&Document>)> {
        self.latest.range((id, Bound::Unbounded)).map(|(id, at)| (id, self.word(*at)))
    }

    /// The ids on which an entry after this one has the last word, ascending.
    pub fn ids_after(&self, cursor: Cursor) -> impl Iterator<Item = &Id> {
        let some = self.entries.last().is_some_and(|last| cursor < last.cursor);
        let latest = some.then_some(&self.latest).into_iter().flatten();
        latest.filter(move |(_, (at, _))| cursor < *at).map(|(id, _)| id)
    }

    /// How many ids have a word here.
    pub fn len(&self) -> usize {
        self.latest.len()
    }

    /// Whether no id has a word here.
    pub fn is_empty(&self) -> bool {
        self.latest.is_empty()
    }

    /// The newest record of an idempotency key.
    pub fn record(&self, key: &str) -> Option<&IdempotencyRecord> {
        let records = self.entries.iter().rev().flat_map(|entry| entry.batch.records.iter().rev());
        records.into_iter().find(|record| record.key == key)
    }

    fn word(&self, (cursor, place): (Cursor, u32)) -> Option<&Document> {
        let entry = self.entry(cursor).expect("O1: `latest` names entries that are here");
        match &entry.batch.operations[place as usize] {
            Operation::Put(document) => Some(document),
            Operation::Delete(_) => None,
        }
    }
}
