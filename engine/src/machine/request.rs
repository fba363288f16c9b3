//! All that a store can be asked, and every fate a request can have.

use std::sync::Arc;

use crate::base::blob::Blob;
use crate::base::name::Key;

/// One operation on the store.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Request {
    /// Read an object, or a part of it. Answered by [`Reply::Found`], [`Reply::Missing`],
    /// [`Reply::NotModified`], [`Reply::Throttled`] or [`Reply::Lost`].
    Get {
        /// The object to read.
        key: Key,
        /// The part to read; all of it if `None`. A part that reaches past the end is cut short.
        range: Option<ByteRange>,
        /// Answer [`Reply::NotModified`] if the object is this version.
        unless: Option<Tag>,
    },
    /// Write the whole object, on a condition. Answered by [`Reply::Stored`], [`Reply::Refused`],
    /// [`Reply::Throttled`] or [`Reply::Lost`].
    Put {
        /// The object to write.
        key: Key,
        /// Its whole new content.
        body: Blob,
        /// The condition, judged by the store at the moment it applies the write.
        when: When,
    },
    /// Remove an object that nobody refers to any more. Answered by [`Reply::Deleted`], also if
    /// there was none, [`Reply::Throttled`] or [`Reply::Lost`].
    Delete {
        /// The object to remove.
        key: Key,
    },
    /// Name the objects whose keys begin with `prefix`, in the order of their keys. Answered by
    /// [`Reply::Listed`], [`Reply::Throttled`] or [`Reply::Lost`].
    List {
        /// What the keys begin with.
        prefix: Key,
        /// Name only keys that come after this one.
        after: Option<Key>,
        /// Name at most this many. A store may stop sooner and says so.
        limit: u32,
    },
}

impl Request {
    /// Reads a whole object.
    pub const fn get(key: Key) -> Self {
        Self::Get { key, range: None, unless: None }
    }

    /// Reads a part of an object.
    pub const fn get_range(key: Key, range: ByteRange) -> Self {
        Self::Get { key, range: Some(range), unless: None }
    }

    /// Creates an object under a name that nobody refers to yet.
    pub const fn create(key: Key, body: Blob) -> Self {
        Self::Put { key, body, when: When::Fresh }
    }

    /// Whether the request changes nothing, so that it may be repeated and hedged (M2).
    pub const fn is_read(&self) -> bool {
        matches!(self, Self::Get { .. } | Self::List { .. })
    }

    /// Whether the request changes an object that others can see (M4).
    pub const fn is_visible(&self) -> bool {
        matches!(self, Self::Put { when: When::Absent | When::Matches(_), .. })
    }

    /// The object in question; of a listing, the prefix.
    pub const fn key(&self) -> &Key {
        match self {
            Self::Get { key, .. } | Self::Put { key, .. } | Self::Delete { key } => key,
            Self::List { prefix, .. } => prefix,
        }
    }
}

/// What the store must find for a conditional write to happen.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum When {
    /// No object has this key.
    Absent,
    /// The object is still this version.
    Matches(Tag),
    /// No object has this key, and no other object names it: its name holds a nonce drawn for it. A
    /// store treats it as [`When::Absent`]; what differs is that nobody can see it happen (M4).
    Fresh,
}

/// A part of an object, in bytes: `start` inclusive, `end` exclusive.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ByteRange {
    /// The first byte.
    pub start: u64,
    /// The byte after the last.
    pub end: u64,
}

/// What became of one request.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Reply {
    /// The object, as of some moment between asking and now.
    Found {
        /// The version that was read.
        tag: Tag,
        /// Its content, or the part asked for as far as there is one.
        body: Blob,
    },
    /// The object is the version the request names.
    NotModified,
    /// No object had this key.
    Missing,
    /// The write happened.
    Stored {
        /// The version it made.
        tag: Tag,
    },
    /// The condition did not hold, so the write did not happen. It may be our own earlier write,
    /// whose reply was lost, that made the condition fail.
    Refused,
    /// The object is not there any more.
    Deleted,
    /// What was named.
    Listed {
        /// The objects, in the order of their keys.
        objects: Vec<Listed>,
        /// Whether there may be more behind the last.
        more: bool,
    },
    /// The object is there, and the store knows that what it keeps of it is damaged. The request did
    /// not happen and asking again does not help. Only reads are answered so.
    Unreadable,
    /// The request was turned away before anything came of it: the store is busy, full, or refuses
    /// us. It did not happen and will not.
    Throttled,
    /// Nothing is known. A lost write may have happened, may still happen, or may never happen.
    Lost,
}

/// One object of a listing.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Listed {
    /// Its key.
    pub key: Key,
    /// Its size, in bytes.
    pub bytes: u64,
}

/// The store's fingerprint of one version of an object.
///
/// Some stores derive it from the content, so equal content has equal tags. Whoever writes an object
/// more than once therefore makes sure that no content ever comes back.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Tag(Arc<str>);

impl Tag {
    /// The tag of this spelling. Stores hand out the spelling they understand when it comes back.
    pub fn new(tag: impl Into<Arc<str>>) -> Self {
        Self(tag.into())
    }

    /// The tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
