//! Reads whole documents by their ids, at one snapshot.
//!
//! # Story
//!
//! The overlay has the last word on an id, and a segment's filter may say that it knows none. For the
//! other ids:
//!
//! 1. **Finding**: get the one block of each segment's id index that can hold each id. At most one of
//!    the rows found lives.
//! 2. **Fetching**: get the pages of all columns at those rows.
//!
//! Two rounds; none if the overlay and the filters know.
//!
//! # Invariants
//!
//! - **L1** Of all rows that were ever written under an id, at most one lives: the others were killed
//!   when they were replaced.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::base::blob::Blob;
use crate::base::id::AttributeId;
use crate::base::name::Key;
use crate::base::planted::{self, Bug};
use crate::base::time::Timestamp;
use crate::base::value::{Document, Id, Value};
use crate::format::columns::ColumnPage;
use crate::format::frame::Damage;
use crate::format::ids::IdBlock;
use crate::format::segment::Directory;
use crate::machine::request::{Reply, Request};
use crate::machine::{Machine, Round, Step};
use crate::namespace::snapshot::Snapshot;
use crate::ops::read::ReadError;

/// A lookup on its way. See the [module](self) for its story.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Lookup {
    snapshot: Arc<Snapshot>,
    found: Documents,
    deadline: Timestamp,
    state: State,
}

/// What was looked up: for every id its document, or that there is none.
pub type Documents = BTreeMap<Id, Option<Document>>;

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum State {
    /// The blocks to read, with the ids each may hold; and their requests' order.
    Finding(Vec<(Probe, Vec<Id>)>),
    /// The pages to read, with the documents each has a value of.
    Fetching(Vec<(Fetch, Vec<(Id, u32)>)>),
}

/// A block of a segment's id index.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
struct Probe {
    segment: usize,
    block: usize,
}

/// A page of a segment's column.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
struct Fetch {
    segment: usize,
    attribute: AttributeId,
    page: usize,
}

impl Lookup {
    /// Begins to look up `ids`.
    pub fn start(snapshot: Arc<Snapshot>, ids: Vec<Id>, deadline: Timestamp) -> Step<Self> {
        let mut found = Documents::new();
        let mut probes: BTreeMap<Probe, Vec<Id>> = BTreeMap::new();
        for id in ids {
            let word = snapshot.overlay.get(&id);
            if let Some(word) = word.filter(|_| !planted::is(Bug::OverlayIsNotLookedUp)) {
                found.insert(id, word.cloned());
                continue;
            }
            for (segment, directory) in snapshot.directories.iter().enumerate() {
                if let Some(block) = directory.id_block(&id).filter(|_| directory.may_contain(&id))
                {
                    let at = directory.id_blocks().partition_point(|b| b.first < block.first);
                    probes.entry(Probe { segment, block: at }).or_default().push(id.clone());
                }
            }
            found.insert(id, None);
        }
        let lookup = Self { snapshot, found, deadline, state: State::Finding(Vec::new()) };
        let probes: Vec<_> = probes.into_iter().collect();
        if probes.is_empty() {
            return Step::Done(Ok(lookup.found));
        }
        let requests = probes.iter().map(|(probe, _)| lookup.probe(*probe)).collect();
        let round = Round::ask_all(requests, deadline);
        Step::Wait(Self { state: State::Finding(probes), ..lookup }, round)
    }

    fn directory(&self, segment: usize) -> &Arc<Directory> {
        &self.snapshot.directories[segment]
    }

    fn probe(&self, probe: Probe) -> Request {
        let directory = self.directory(probe.segment);
        let extent = directory.id_blocks()[probe.block].extent;
        super::read(&self.snapshot.place, directory.segment(), extent)
    }

    fn fetch(&self, fetch: Fetch) -> Request {
        let directory = self.directory(fetch.segment);
        let column = directory.column(fetch.attribute).expect("only columns that exist are read");
        let extent = column.pages()[fetch.page].extent;
        super::read(&self.snapshot.place, directory.segment(), extent)
    }

    /// Finds the living rows in the blocks and asks for their values.
    fn found(
        mut self,
        probes: Vec<(Probe, Vec<Id>)>,
        replies: Vec<Reply>,
    ) -> Result<Step<Self>, ReadError> {
        let mut fetches: BTreeMap<Fetch, Vec<(Id, u32)>> = BTreeMap::new();
        let mut living = BTreeSet::new();
        assert_eq!(probes.len(), replies.len(), "L1: a reply for every block");
        for ((probe, ids), reply) in probes.into_iter().zip(replies) {
            let directory = self.directory(probe.segment).clone();
            let block = &directory.id_blocks()[probe.block];
            let key = directory.key(&self.snapshot.place, &block.extent);
            let block = IdBlock::open(block, &key, &body(&key, reply)?)?;
            for id in ids {
                let position = block.find(&id).filter(|at| self.lives(probe.segment, *at));
                let Some(position) = position else { continue };
                assert!(living.insert(id.clone()), "L1: two rows of {id} live");
                self.found
                    .insert(id.clone(), Some(Document { id: id.clone(), attributes: vec![] }));
                for (attribute, column) in directory.columns() {
                    let Some(page) = column.page_of(position) else { continue };
                    let fetch = Fetch { segment: probe.segment, attribute: *attribute, page };
                    fetches.entry(fetch).or_default().push((id.clone(), position));
                }
            }
        }
        let fetches: Vec<_> = fetches.into_iter().collect();
        if fetches.is_empty() {
            return Ok(Step::Done(Ok(self.found)));
        }
        let requests = fetches.iter().map(|(fetch, _)| self.fetch(*fetch)).collect();
        let round = Round::ask_all(requests, self.deadline);
        Ok(Step::Wait(Self { state: State::Fetching(fetches), ..self }, round))
    }

    fn lives(&self, segment: usize, position: u32) -> bool {
        let row = self.directory(segment).row_at(position);
        let killed = self.snapshot.directories.iter().any(|d| d.kills().contains(row));
        !killed || planted::is(Bug::DeadRowsAreFound)
    }

    /// Puts the values into their documents.
    fn fetched(
        mut self,
        fetches: Vec<(Fetch, Vec<(Id, u32)>)>,
        replies: Vec<Reply>,
    ) -> Result<Step<Self>, ReadError> {
        assert_eq!(fetches.len(), replies.len(), "L1: a reply for every page");
        // By ascending attribute within a segment, and a document is of one segment.
        for ((fetch, rows), reply) in fetches.into_iter().zip(replies) {
            let directory = self.directory(fetch.segment).clone();
            let column = directory.column(fetch.attribute).expect("what was read exists");
            let page = &column.pages()[fetch.page];
            let key = directory.key(&self.snapshot.place, &page.extent);
            let opened = ColumnPage::open(column.value_type(), page, &key, &body(&key, reply)?)?;
            for (id, position) in rows {
                let value: Option<Value> = opened.value((position - page.first) as usize);
                let document = self.found.get_mut(&id).and_then(Option::as_mut);
                let document = document.expect("only living documents are fetched");
                document.attributes.extend(value.map(|value| (fetch.attribute, value)));
            }
        }
        Ok(Step::Done(Ok(self.found)))
    }
}

impl Machine for Lookup {
    type Output = Result<Documents, ReadError>;

    fn step(mut self, _: Timestamp, replies: Vec<Reply>) -> Step<Self> {
        let state = core::mem::replace(&mut self.state, State::Finding(Vec::new()));
        let next = match state {
            State::Finding(probes) => self.found(probes, replies),
            State::Fetching(fetches) => self.fetched(fetches, replies),
        };
        next.unwrap_or_else(|error| Step::Done(Err(error)))
    }
}

/// What was read of an object.
pub(super) fn body(key: &Key, reply: Reply) -> Result<Blob, ReadError> {
    match reply {
        Reply::Found { body, .. } => Ok(body),
        Reply::Missing => Err(ReadError::Vanished { key: key.clone() }),
        Reply::Unreadable => Err(Damage::Unreadable.of(key).into()),
        _ => Err(ReadError::Late),
    }
}
