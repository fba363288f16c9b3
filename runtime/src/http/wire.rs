//! Bodies without a server: what they ask of the engine, and how its answers are printed. For whoever
//! speaks the same wire on another transport, and for the fuzzer.

use bytes::Bytes;
use sana_engine::namespace::request::{Answer, QueryRequest, WriteOutcome, WriteRequest};

use super::errors::Failure;
use super::query::{self, Performance};
use super::write;

/// A body that is not understood.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// The status of the answer: 400 for what it means, 422 for its shape.
    pub status: u16,
    /// What is wrong with it.
    pub message: String,
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self { status: failure.status.as_u16(), message: failure.message }
    }
}

/// The write in a body, under an idempotency key if there is one.
///
/// # Errors
///
/// [`Refused`], and then nothing is to be written.
pub fn write(body: &[u8], key: Option<String>) -> Result<WriteRequest, Refused> {
    Ok(write::parse(body, key)?)
}

/// What became of a write, as a body.
pub fn written(outcome: &WriteOutcome) -> Bytes {
    write::answer(outcome, 1)
}

/// The query in a body, or the several.
///
/// # Errors
///
/// [`Refused`].
pub fn query(body: &[u8]) -> Result<Query, Refused> {
    Ok(Query(query::parse(body)?))
}

/// A query as it was read from a body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Query(query::Query);

impl Query {
    /// What it asks of the engine.
    pub const fn request(&self) -> &QueryRequest {
        &self.0.request
    }

    /// What was found, as a body.
    pub fn answered(&self, answer: &Answer) -> Bytes {
        query::answer(&self.0, answer, Performance::default())
    }
}
