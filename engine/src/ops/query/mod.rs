//! Answers a query from a snapshot.

use std::sync::Arc;

use crate::base::host::Host;
use crate::base::time::Timestamp;
use crate::machine::request::Reply;
use crate::machine::{Machine, Step};
use crate::namespace::request::{Answer, QueryError, QueryRequest};
use crate::namespace::snapshot::Snapshot;

/// A query on its way.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Query {}

impl Query {
    /// Begins.
    pub fn start(
        _: Timestamp,
        _: Arc<Snapshot>,
        _: &QueryRequest,
        _: Host,
        _: Timestamp,
    ) -> Step<Self> {
        Step::Done(Err(QueryError::Unavailable))
    }
}

impl Machine for Query {
    type Output = Result<Answer, QueryError>;

    fn step(self, _: Timestamp, _: Vec<Reply>) -> Step<Self> {
        Step::Done(Err(QueryError::Unavailable))
    }
}
