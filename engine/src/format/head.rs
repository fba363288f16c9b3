//! The register of a namespace: the whole truth about it.
//!
//! # Bytes
//!
//! One frame of kind `Head` whose body is the postcard form of [`Head`], padded with zeros so that a
//! live head is longer than [`TOMBSTONE_BYTES_MAX`] and a tombstone is not: a listing tells them
//! apart by size.
//!
//! # Invariants
//!
//! - **D1** No two heads have equal bytes: each holds a nonce drawn for it. So no tag ever returns.
//! - **D2** `step` is one more with every put, in all incarnations; `floor` never falls and is at
//!   most `step`.

use serde::{Deserialize, Serialize};

use crate::base::blob::Blob;
use crate::base::id::{CommitId, Cursor, Incarnation, Nonce, Stamp};
use crate::base::limits::TOMBSTONE_BYTES_MAX;
use crate::base::name::Key;
use crate::base::time::WallTime;
use crate::format::frame::{self, BadObject, Kind};
use crate::format::layout::{Family, ObjectName};
use crate::format::log::Log;
use crate::format::manifest::Manifest;
use crate::format::schema::Schema;

/// A namespace's register.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Head {
    /// Drawn for this very version.
    pub nonce: Nonce,
    /// How many versions there were.
    pub step: Stamp,
    /// No later version introduces the name of an object whose stamp is below.
    pub floor: Stamp,
    /// Which life of the namespace this is.
    pub incarnation: Incarnation,
    /// What the namespace is.
    pub state: State,
}

/// What a namespace is.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum State {
    /// It is there.
    Live(Box<Live>),
    /// It was deleted. A tombstone is never removed, so that a late creation finds the key taken.
    Tombstone,
}

/// A namespace that is there.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Live {
    /// The step of the version that created this incarnation.
    pub created: Stamp,
    /// When it was created, by the calendar of the node that did.
    pub created_at: WallTime,
    /// When it was last written to, by the calendar of the node that did.
    pub written_at: WallTime,
    /// The schema in force.
    pub schema: Schema,
    /// Whether documents and schema may not be changed.
    pub read_only: bool,
    /// What is indexed.
    pub manifest: Manifest,
    /// What is committed and not indexed.
    pub log: Log,
    /// The newest commits, oldest first, without gaps: the ring that lost replies are looked up in.
    pub recent: Vec<(Cursor, CommitId)>,
    /// Objects that no version names any more, until they are deleted; by ascending step.
    pub trash: Vec<Trash>,
}

/// Objects that one version unlinked.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Trash {
    /// The step of the version that names them no more.
    pub retired: Stamp,
    /// When that was, by the calendar of the node that did it.
    pub at: WallTime,
    /// The objects.
    pub names: Vec<(Family, ObjectName)>,
}

impl Live {
    /// A namespace in which there is nothing yet, created by the version of this step.
    pub fn new(created: Stamp, at: WallTime) -> Self {
        Self {
            created,
            created_at: at,
            written_at: at,
            schema: Schema::default(),
            read_only: false,
            manifest: Manifest::default(),
            log: Log::default(),
            recent: Vec::new(),
            trash: Vec::new(),
        }
    }
}

impl Head {
    /// The head as bytes.
    pub fn encode(&self) -> Vec<u8> {
        match self.state {
            State::Live(_) => frame::encode(Kind::Head, self, TOMBSTONE_BYTES_MAX + 1),
            State::Tombstone => frame::encode(Kind::Head, self, 0),
        }
    }

    /// Reads a head back.
    ///
    /// # Errors
    ///
    /// [`BadObject`] if these are not the bytes of a head.
    pub fn decode(key: &Key, bytes: &Blob) -> Result<Self, BadObject> {
        frame::decode(Kind::Head, key, bytes)
    }
}
