//! Looks up idempotency keys, at one snapshot: in its log and in its segments.
//!
//! # Story
//!
//! 1. **Reading**: get the one block of each segment's records that can hold each key, unless the
//!    overlay or the segment's filter knows, a window a round. Of several records of a key the newest
//!    counts.
//!
//! One round for each window; none if the overlay and the filters know.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::base::planted::{self, Bug};
use crate::base::time::Timestamp;
use crate::format::blocks::BlockRef;
use crate::format::idempotency::RecordBlock;
use crate::format::log::IdempotencyRecord;
use crate::format::manifest::Extent;
use crate::format::segment::Directory;
use crate::machine::request::Reply;
use crate::machine::{Machine, Round, Step};
use crate::namespace::request::QueryError;
use crate::namespace::snapshot::Snapshot;
use crate::ops::read::{ReadError, body};
use crate::ops::snapshot::WINDOW_REQUESTS;

/// A lookup of keys on its way. See the [module](self) for its story.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Records {
    snapshot: Arc<Snapshot>,
    deadline: Timestamp,
    found: Found,
    /// The blocks that were asked for, in the order of the requests.
    flying: Vec<Block>,
    /// Those that are still to be asked for.
    pending: VecDeque<Block>,
}

/// A block of a segment's records, and the keys that it can hold.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Block {
    segment: usize,
    keys: Vec<String>,
}

/// The newest record of each key that has one.
pub type Found = BTreeMap<String, IdempotencyRecord>;

impl Records {
    /// Begins to look up `keys`.
    pub fn start(snapshot: Arc<Snapshot>, keys: Vec<String>, deadline: Timestamp) -> Step<Self> {
        let mut found = Found::new();
        let mut blocks: BTreeMap<(usize, Extent), Vec<String>> = BTreeMap::new();
        for key in keys {
            if let Some(record) = snapshot.overlay.record(&key) {
                found.insert(key, record.clone());
                continue;
            }
            if planted::is(Bug::KeysInLogOnly) {
                continue;
            }
            for (segment, directory) in snapshot.directories.iter().enumerate() {
                if let Some(block) = directory.record_block(&key) {
                    blocks.entry((segment, block.extent)).or_default().push(key.clone());
                }
            }
        }
        let pending = blocks.into_iter().map(|((segment, _), keys)| Block { segment, keys });
        let pending = pending.collect();
        Self { snapshot, deadline, found, flying: Vec::new(), pending }.next()
    }

    /// Asks for the next window, if there is one.
    fn next(mut self) -> Step<Self> {
        if self.pending.is_empty() {
            return Step::Done(Ok(self.found));
        }
        let most = self.pending.len().min(WINDOW_REQUESTS);
        self.flying = self.pending.drain(..most).collect();
        let request = |block: &Block| {
            let directory = &self.snapshot.directories[block.segment];
            let extent = block.of(directory).extent;
            super::read(&self.snapshot.place, directory.segment(), extent)
        };
        let round = Round::ask_all(self.flying.iter().map(request).collect(), self.deadline);
        Step::Wait(self, round)
    }

    fn take(&mut self, replies: Vec<Reply>) -> Result<(), ReadError> {
        let flying = core::mem::take(&mut self.flying);
        assert_eq!(flying.len(), replies.len(), "H8: a reply for every block");
        for (asked, reply) in flying.into_iter().zip(replies) {
            let directory = &self.snapshot.directories[asked.segment];
            let block = asked.of(directory);
            let object = directory.key(&self.snapshot.place, &block.extent);
            let opened = RecordBlock::open(block, &object, &body(&object, reply)?)?;
            for key in asked.keys {
                let Some(record) = opened.find(&key) else { continue };
                let known = self.found.get(&key);
                if known.is_none_or(|known| known.at <= record.at) {
                    self.found.insert(key, record);
                }
            }
        }
        Ok(())
    }
}

impl Block {
    /// Where it lies in its segment.
    fn of<'a>(&self, directory: &'a Directory) -> &'a BlockRef {
        let block = self.keys.first().and_then(|key| directory.record_block(key));
        block.expect("H8: a block is asked for because of a key")
    }
}

impl Machine for Records {
    type Output = Result<Found, QueryError>;

    fn step(mut self, now: Timestamp, replies: Vec<Reply>) -> Step<Self> {
        let deadline = self.deadline;
        match self.take(replies).map(|()| self.next()) {
            // All that was asked for was answered, and it is more than there is time for.
            Ok(Step::Wait(..)) if deadline <= now => Step::Done(Err(QueryError::TooLong)),
            Ok(step) => step,
            Err(error) => Step::Done(Err(error.into())),
        }
    }
}
