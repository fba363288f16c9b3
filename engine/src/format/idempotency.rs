//! Which requests with an idempotency key a segment remembers: key → record, in sorted blocks.
//!
//! # Bytes
//!
//! A key is the idempotency key; a value is the postcard form of an [`IdempotencyRecord`].

use crate::base::blob::Blob;
use crate::base::name::Key;
use crate::format::blocks::{Block, BlockRef};
use crate::format::frame::{BadObject, Damage};
use crate::format::log::IdempotencyRecord;

/// One block of records, opened.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct RecordBlock {
    block: Block,
}

impl RecordBlock {
    /// Opens a block: `bytes` is what stands in its extent, which lies in the object `key`.
    ///
    /// # Errors
    ///
    /// [`BadObject`] if these are not the bytes of this block.
    pub fn open(block: &BlockRef, key: &Key, bytes: &Blob) -> Result<Self, BadObject> {
        let block = Block::open(block, key, bytes)?;
        let whole = block.entries().all(|(_, value)| decode(value).is_some());
        let wrong = || Damage::Content("a block of records holds something else").of(key);
        whole.then_some(Self { block }).ok_or_else(wrong)
    }

    /// The record of an idempotency key, if it is here.
    pub fn find(&self, key: &str) -> Option<IdempotencyRecord> {
        self.block.find(key.as_bytes()).and_then(decode)
    }

    /// All records, by ascending keys.
    pub fn records(&self) -> impl Iterator<Item = IdempotencyRecord> {
        self.block.entries().filter_map(|(_, value)| decode(value))
    }

    pub(crate) fn into_block(self) -> Block {
        self.block
    }
}

/// A record as a value.
///
/// # Panics
///
/// Never: records serialize.
pub(crate) fn encode(record: &IdempotencyRecord) -> Vec<u8> {
    postcard::to_allocvec(record).expect("records serialize, and a Vec grows")
}

/// The record that this value spells, if it spells one.
pub(crate) fn decode(value: &[u8]) -> Option<IdempotencyRecord> {
    postcard::from_bytes(value).ok()
}
