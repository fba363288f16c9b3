//! Finds documents by their ids: the overlay has the last word, then the id indexes.
//!
//! # Invariants
//!
//! - **L1** Of all rows ever written under an id at most one lives: the others were killed when they
//!   were replaced.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::base::blob::Blob;
use crate::base::id::AttributeId;
use crate::base::value::{Document, Id};
use crate::namespace::request::QueryError;
use crate::ops::query::reads::{Place, Read, Source};
use crate::ops::query::rows::Rows;

/// Ids being looked up.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(in crate::ops) struct Lookup {
    /// The documents of the overlay.
    held: Vec<Document>,
    attributes: BTreeSet<AttributeId>,
    state: State,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum State {
    /// Finding where documents stand in the segments.
    Finding {
        pending: VecDeque<(Read, Vec<Id>)>,
        flying: BTreeMap<Read, Vec<Id>>,
        found: BTreeMap<Id, Place>,
    },
    /// Fetching the attributes of these documents.
    Fetching(Vec<Id>, Rows),
}

impl Lookup {
    /// Begins to look up `ids`, with these attributes at least. `sees_overlay` is false to plant a bug.
    pub(in crate::ops) fn begin(
        source: &Source,
        ids: &BTreeSet<Id>,
        attributes: BTreeSet<AttributeId>,
        sees_overlay: bool,
    ) -> Self {
        let overlay = &source.snapshot.overlay;
        let word = |id| overlay.get(id).filter(|_| sees_overlay);
        let held = ids.iter().filter_map(|id| word(id)?.cloned()).collect();
        let unsaid = || ids.iter().filter(|id| word(id).is_none());
        let segments = 0..source.directories().count();
        let pending = segments.flat_map(|segment| source.probes(segment, unsaid())).collect();
        let (flying, found) = (BTreeMap::new(), BTreeMap::new());
        Self { held, attributes, state: State::Finding { pending, flying, found } }
    }

    /// What to read next; nothing if all documents are there.
    pub(in crate::ops) fn wanted(&mut self, source: &Source) -> Vec<Read> {
        if let State::Finding { pending, flying, found } = &mut self.state {
            let taken = source.window(pending, |(read, _)| source.bytes(read));
            *flying = taken.into_iter().collect();
            if !flying.is_empty() {
                return flying.keys().copied().collect();
            }
            let (ids, places): (Vec<_>, Vec<_>) = core::mem::take(found).into_iter().unzip();
            let rows = Rows::begin(source, places.into_iter().map(Some), &self.attributes);
            self.state = State::Fetching(ids, rows);
        }
        match &mut self.state {
            State::Fetching(_, rows) => rows.wanted(source),
            State::Finding { .. } => panic!("the branch above ends the search"),
        }
    }

    /// Takes what was read.
    pub(in crate::ops) fn take(
        &mut self,
        source: &Source,
        arrived: &BTreeMap<Read, Blob>,
    ) -> Result<(), QueryError> {
        let (flying, found) = match &mut self.state {
            State::Fetching(_, rows) => return rows.take(source, arrived),
            State::Finding { flying, found, .. } => (flying, found),
        };
        for (read, ids) in core::mem::take(flying) {
            let block = source.open_block(&read, &arrived[&read])?;
            for id in ids {
                let position = source.find(&read, &block, &id)?;
                let place = position.map(|position| Place { segment: read.segment, position });
                if let Some(place) = place.filter(|place| source.lives(*place)) {
                    let other = found.insert(id, place);
                    assert_eq!(other, None, "L1: two rows of one id live");
                }
            }
        }
        Ok(())
    }

    /// The documents that there are.
    ///
    /// # Panics
    ///
    /// If something is still wanted.
    pub(in crate::ops) fn into_documents(self) -> Vec<Document> {
        let State::Fetching(ids, rows) = self.state else { panic!("the lookup is not over") };
        let documents = ids.into_iter().zip(rows.into_values());
        let documents = documents.map(|(id, attributes)| Document { id, attributes });
        documents.chain(self.held).collect()
    }
}
