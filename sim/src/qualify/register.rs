//! One object as the model has it: what each answered request says of it, and does to it.
//!
//! This is [`Store::perform`](crate::store::Store::perform) for one key, with numbers for tags and
//! contents: the spelling of tags is the store's own affair. That both are the same is tested by
//! histories of the model itself (`tests.rs`).

/// What is under the key: a version, or nothing.
pub(super) type State = Option<Version>;

/// One version of the object. A content that comes back may bring its tag with it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Version {
    /// The number of its tag, or [`UNSEEN`].
    pub(super) tag: u32,
    /// The number of its content.
    pub(super) body: u32,
}

/// The tag of a version that nobody was ever told of.
pub(super) const UNSEEN: u32 = u32::MAX;

/// The condition of a put.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Condition {
    Absent,
    Matches(u32),
}

impl Condition {
    fn holds(self, state: State) -> bool {
        match self {
            Self::Absent => state.is_none(),
            Self::Matches(tag) => state.is_some_and(|version| version.tag == tag),
        }
    }
}

/// What a reply says of the object at the moment at which the request took effect.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Deed {
    /// It was not there.
    Missing,
    /// It was at this tag.
    NotModified(u32),
    /// It had one of these contents, and this tag if it was told.
    Seen { tag: Option<u32>, bodies: Vec<u32> },
    /// A condition did not hold.
    Refused(Condition),
    /// The condition held, and one of these versions was made.
    Put { when: Condition, versions: Vec<Version> },
    /// It is gone.
    Delete,
}

impl Deed {
    /// Whether it may leave another state than it found.
    pub(super) const fn changes(&self) -> bool {
        matches!(self, Self::Put { .. } | Self::Delete)
    }

    /// Whether a deed that changes nothing may take effect in this state.
    pub(super) fn fits(&self, state: State) -> bool {
        match (self, state) {
            (Self::Missing, state) => state.is_none(),
            (Self::NotModified(tag), Some(version)) => version.tag == *tag,
            (Self::Seen { tag, bodies }, Some(version)) => {
                tag.is_none_or(|tag| version.tag == tag) && bodies.contains(&version.body)
            }
            (Self::Refused(condition), state) => !condition.holds(state),
            _ => false,
        }
    }

    /// The states that a deed may leave that changes this one; none if it cannot take effect in it.
    pub(super) fn leaves(&self, state: State) -> Vec<State> {
        match self {
            Self::Put { when, versions } if when.holds(state) => {
                versions.iter().copied().map(Some).collect()
            }
            Self::Delete => vec![None],
            _ => Vec::new(),
        }
    }
}
