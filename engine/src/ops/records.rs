//! Looks up idempotency keys, at one snapshot: in its log and in its segments.
//!
//! # Story
//!
//! 1. **Reading**: get the one block of each segment's records that can hold each key, unless the
//!    overlay or the segment's filter knows. Of several records of a key the newest counts.
//!
//! One round; none if the overlay and the filters know.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::planted::{self, Bug};
use crate::base::time::Timestamp;
use crate::format::idempotency::RecordBlock;
use crate::format::log::IdempotencyRecord;
use crate::machine::request::Reply;
use crate::machine::{Machine, Round, Step};
use crate::namespace::snapshot::Snapshot;
use crate::ops::read::{ReadError, body};

/// A lookup of keys on its way. See the [module](self) for its story.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Records {
    snapshot: Arc<Snapshot>,
    found: Found,
    /// The blocks that were asked for: segment, and key.
    asked: Vec<(usize, String)>,
}

/// The newest record of each key that has one.
pub type Found = BTreeMap<String, IdempotencyRecord>;

impl Records {
    /// Begins to look up `keys`.
    pub fn start(snapshot: Arc<Snapshot>, keys: Vec<String>, deadline: Timestamp) -> Step<Self> {
        let mut found = Found::new();
        let (mut asked, mut requests) = (Vec::new(), Vec::new());
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
                    let segment_ref = directory.segment();
                    requests.push(super::read(&snapshot.place, segment_ref, block.extent));
                    asked.push((segment, key.clone()));
                }
            }
        }
        if asked.is_empty() {
            return Step::Done(Ok(found));
        }
        Step::Wait(Self { snapshot, found, asked }, Round::ask_all(requests, deadline))
    }

    fn read(mut self, replies: Vec<Reply>) -> Result<Found, ReadError> {
        assert_eq!(self.asked.len(), replies.len(), "H8: a reply for every block");
        for ((segment, key), reply) in self.asked.iter().zip(replies) {
            let directory = &self.snapshot.directories[*segment];
            let block = directory.record_block(key).expect("what was asked for is there");
            let object = directory.key(&self.snapshot.place, &block.extent);
            let opened = RecordBlock::open(block, &object, &body(&object, reply)?)?;
            let Some(record) = opened.find(key) else { continue };
            let known = self.found.get(key);
            if known.is_none_or(|known| known.at <= record.at) {
                self.found.insert(key.clone(), record);
            }
        }
        Ok(self.found)
    }
}

impl Machine for Records {
    type Output = Result<Found, ReadError>;

    fn step(self, _: Timestamp, replies: Vec<Reply>) -> Step<Self> {
        Step::Done(self.read(replies))
    }
}
