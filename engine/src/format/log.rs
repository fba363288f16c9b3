//! What is committed and not indexed, and the bytes of one commit's batch.
//!
//! # Bytes
//!
//! A batch is one frame of kind `Batch`. It stands in the head itself (*inline*) or as a stretch of a
//! log object, which is nothing but frames of batches, one behind the other.
//!
//! # Invariants
//!
//! - **G1** `committed` and `indexed` count commits. The entries are those between, in order, without
//!   a gap.
//! - **G2** `bytes_committed - bytes_indexed` is the sum of the entries' bytes: backpressure is exact.

use serde::{Deserialize, Serialize};

use crate::base::blob::Blob;
use crate::base::id::{CommitId, Cursor};
use crate::base::name::Key;
use crate::base::time::WallTime;
use crate::base::value::{Document, Id};
use crate::format::frame::{self, BadObject, Kind};
use crate::format::layout::ObjectName;

/// The log of a namespace: part of its head.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Log {
    /// How many commits there were.
    pub committed: Cursor,
    /// How many of them are indexed.
    pub indexed: Cursor,
    /// Bytes of all batches ever committed.
    pub bytes_committed: u64,
    /// Bytes of all batches ever indexed.
    pub bytes_indexed: u64,
    /// The commits that are not indexed.
    pub entries: Vec<LogEntry>,
}

/// One commit.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct LogEntry {
    /// Its position.
    pub cursor: Cursor,
    /// Its id.
    pub commit: CommitId,
    /// Documents it puts or deletes.
    pub operations: u32,
    /// Size of its batch, in bytes.
    pub bytes: u32,
    /// Where its batch is.
    pub payload: Payload,
}

/// Where a batch is.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Payload {
    /// Here.
    Inline(Blob),
    /// In a log object.
    Object {
        /// The object.
        name: ObjectName,
        /// Its first byte there.
        start: u32,
    },
}

/// What one commit writes.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Batch {
    /// In order; the last word on an id counts.
    pub operations: Vec<Operation>,
    /// The requests in it that had an idempotency key.
    pub records: Vec<IdempotencyRecord>,
}

/// One document put or deleted.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Operation {
    /// This is what the namespace holds under the document's id now.
    Put(Document),
    /// The namespace holds nothing under this id now.
    Delete(Id),
}

impl Operation {
    /// The id it is about.
    pub const fn id(&self) -> &Id {
        match self {
            Self::Put(document) => &document.id,
            Self::Delete(id) => id,
        }
    }

    /// The document it puts; none if it deletes.
    pub const fn document(&self) -> Option<&Document> {
        match self {
            Self::Put(document) => Some(document),
            Self::Delete(_) => None,
        }
    }
}

/// What a write came to.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct WriteOutcome {
    /// Documents put; `None` if the request had no such list.
    pub upserted: Option<u64>,
    /// Documents changed, of those that existed.
    pub patched: Option<u64>,
    /// Ids sent to be removed, whether or not there was a document.
    pub deleted: Option<u64>,
    /// Size of what was written, as bills count it.
    pub logical_bytes: u64,
    /// Whether a filter matches more documents than were changed; `None` if no filter might.
    pub remaining: Option<bool>,
    /// Which documents, if the request wanted to know.
    pub affected: Option<Affected>,
}

/// Which documents a write affected, by their ids.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Affected {
    /// Those put.
    pub upserted: Vec<Id>,
    /// Those changed.
    pub patched: Vec<Id>,
    /// Those removed.
    pub deleted: Vec<Id>,
}

/// A request that had an idempotency key, and what it came to.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct IdempotencyRecord {
    /// The key.
    pub key: String,
    /// Digest of what was asked.
    pub fingerprint: u128,
    /// When it was committed, by the committing node's calendar.
    pub at: WallTime,
    /// What it came to.
    pub outcome: WriteOutcome,
}

impl Batch {
    /// The batch as a frame.
    pub fn encode(&self) -> Vec<u8> {
        frame::encode(Kind::Batch, self, 0)
    }

    /// Reads a batch back. `key` is the object it stands in.
    ///
    /// # Errors
    ///
    /// [`BadObject`] if these are not the bytes of a batch.
    pub fn decode(key: &Key, bytes: &Blob) -> Result<Self, BadObject> {
        frame::decode(Kind::Batch, key, bytes)
    }
}

/// A log object of batches, and the offset of each in it.
///
/// # Panics
///
/// If there is none, or they come to 4 GiB.
pub fn gather<'a, K>(batches: impl Iterator<Item = (K, &'a Blob)>) -> (Blob, Vec<(K, u32)>) {
    let mut body = Vec::new();
    let mut places = Vec::new();
    for (name, batch) in batches {
        let start = u32::try_from(body.len()).expect("offsets in a log object have 32 bits");
        places.push((name, start));
        body.extend_from_slice(batch.as_slice());
    }
    assert!(!places.is_empty(), "a log object holds a batch");
    (body.into(), places)
}
