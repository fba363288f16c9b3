//! Makes one segment of several.

use core::ops::Range;
use core::time::Duration;
use std::sync::Arc;

use crate::base::id::Nonces;
use crate::base::time::{Timestamp, WallTime};
use crate::format::segment::Directory;
use crate::machine::request::Reply;
use crate::machine::{Machine, Step};
use crate::namespace::segments::MergeEdit;
use crate::namespace::snapshot::Snapshot;
use crate::ops::read::ReadError;

/// A merge on its way.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Merge {}

/// What to merge, and how.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct MergePlan {
    /// The segments, and who kills rows in them.
    pub snapshot: Arc<Snapshot>,
    /// Which of its segments.
    pub segments: Range<usize>,
    /// For the names of objects.
    pub nonces: Nonces,
    /// What day it is.
    pub wall: WallTime,
    /// How long idempotency keys count.
    pub idempotency_retention: Duration,
    /// When to give up.
    pub deadline: Timestamp,
}

/// What a merge made.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Merged {
    /// What it changes.
    pub edit: MergeEdit,
    /// The directory of the segment it made, so that nobody here has to read it.
    pub directory: Option<Arc<Directory>>,
}

/// Why nothing was made.
pub type MergeError = ReadError;

impl Merge {
    /// Begins.
    pub fn start(_: Timestamp, _: MergePlan) -> Step<Self> {
        Step::Done(Err(ReadError::Late))
    }
}

impl Machine for Merge {
    type Output = Result<Merged, MergeError>;

    fn step(self, _: Timestamp, _: Vec<Reply>) -> Step<Self> {
        Step::Done(Err(ReadError::Late))
    }
}
