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

/// What became of a write, as a body. `reads` says whether it had to look at documents, for the bill.
pub fn written(outcome: &WriteOutcome, reads: bool) -> Bytes {
    write::answer(outcome, reads, 1)
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

#[cfg(test)]
mod tests {
    use sana_engine::base::value::Id;
    use sana_engine::namespace::request::{AnswerRow, Found, Statistics};

    use super::*;

    #[test]
    fn a_body_is_understood_or_refused_as_by_a_server() {
        let request = write(br#"{"deletes":[1,2]}"#, Some("k".to_owned())).unwrap();
        assert_eq!(request.deletes.map(|ids| ids.len()), Some(2));
        assert_eq!(request.idempotency.map(|idempotency| idempotency.key), Some("k".to_owned()));
        let status =
            |body: &[u8]| (write(body, None).unwrap_err().status, query(body).unwrap_err().status);
        assert_eq!(status(b"{"), (400, 400));
        assert_eq!(status(br#"{"unknown":1}"#), (422, 422));
    }

    #[test]
    fn an_answer_is_printed_as_its_query_asked() {
        let query = query(br#"{"limit":1,"offset":1}"#).unwrap();
        let row = |id| AnswerRow {
            id: Id::Uint(id),
            distance: None,
            attributes: Vec::new(),
            computed: Vec::new(),
        };
        let statistics = Statistics { unindexed_rows: 0, namespace_rows: 2 };
        let found = Found::Rows(vec![row(1), row(2)]);
        let body = query.answered(&Answer { found, statistics, learned: None });
        let parsed: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(parsed["rows"], serde_json::json!([{"id": 2}]));
    }
}
