//! Makes a segment of log entries.

use std::sync::Arc;

use crate::base::id::Nonces;
use crate::base::time::Timestamp;
use crate::format::segment::Directory;
use crate::machine::request::Reply;
use crate::machine::{Machine, Step};
use crate::namespace::segments::FlushEdit;
use crate::namespace::snapshot::Snapshot;
use crate::ops::lookup::LookupError;

/// A flush on its way.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Flush {}

/// What a flush made.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Flushed {
    /// What it changes.
    pub edit: FlushEdit,
    /// The directory of the segment it made, so that nobody here has to read it.
    pub directory: Option<Arc<Directory>>,
}

/// Why nothing was made.
pub type FlushError = LookupError;

impl Flush {
    /// Begins.
    pub fn start(_: Timestamp, _: Arc<Snapshot>, _: Nonces, _: Timestamp) -> Step<Self> {
        Step::Done(Err(LookupError::Unavailable))
    }
}

impl Machine for Flush {
    type Output = Result<Flushed, FlushError>;

    fn step(self, _: Timestamp, _: Vec<Reply>) -> Step<Self> {
        Step::Done(Err(LookupError::Unavailable))
    }
}
