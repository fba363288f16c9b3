//! `GET /v2/namespaces/{ns}/metadata`: what a namespace is.

use bytes::Bytes;
use sana_engine::base::time::WallTime;
use sana_engine::format::head::Live;
use sana_engine::namespace::request::{Create, WriteRequest};
use serde::Deserialize;
use serde_json::json;

use super::errors::Failure;
use super::json::date_time;
use super::schema;
use super::tree::Tree;

/// Fewer unindexed bytes than this count as nothing: clients expect a namespace to be up to date
/// right after a first small write.
const UPDATING_BYTES_MIN: u64 = 64 << 10;

/// A namespace, as the answer's body.
pub(super) fn answer(live: &Live) -> Bytes {
    let time = |at: WallTime| date_time(i64::try_from(at.0).unwrap_or(i64::MAX));
    let unindexed_bytes = live.log.unindexed_bytes();
    let index = if unindexed_bytes < UPDATING_BYTES_MIN {
        json!({"status": "up-to-date"})
    } else {
        let rows: u64 = live.log.entries.iter().map(|entry| u64::from(entry.operations)).sum();
        json!({
            "status": "updating",
            "unindexed_bytes": unindexed_bytes,
            "unindexed_rows": rows,
        })
    };
    let mut body = json!({
        "approx_logical_bytes": live.manifest.logical_bytes,
        "approx_row_count": live.manifest.live_rows,
        "created_at": time(live.created_at),
        "updated_at": time(live.written_at),
        "last_write_at": time(live.written_at),
        "encryption": {"mode": "default"},
        "index": index,
        "schema": schema::in_metadata(&live.schema),
    });
    if live.read_only {
        body["read_only"] = json!(true);
    }
    Bytes::from(body.to_string())
}

/// What a client wants to change of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Changes {
    read_only: Option<bool>,
    pinning: Option<Tree>,
}

/// The request in a body.
///
/// # Errors
///
/// 400 or 422, saying what is wrong with the body.
pub(super) fn parse(body: &[u8]) -> Result<WriteRequest, Failure> {
    let changes: Changes = super::json::parse(body)?;
    if changes.pinning.is_some_and(|pinning| *pinning != json!(false)) {
        return Err(Failure::unsupported("pinning"));
    }
    let (create, read_only) = (Create::Never, changes.read_only);
    Ok(WriteRequest { create, read_only, ..WriteRequest::default() })
}

#[cfg(test)]
pub(super) mod tests {
    use sana_engine::base::id::{CommitId, Cursor, Stamp};
    use sana_engine::format::log::{Log, LogEntry, Payload};
    use sana_engine::format::manifest::Manifest;
    use sana_engine::format::schema::Schema;
    use serde_json::Value;

    use super::*;

    pub(in crate::http) fn live(unindexed_bytes: u32) -> Live {
        let entry = LogEntry {
            cursor: Cursor(1),
            commit: CommitId::default(),
            operations: 3,
            bytes: unindexed_bytes,
            payload: Payload::Inline(vec![].into()),
        };
        Live {
            created: Stamp::default(),
            created_at: WallTime(0),
            written_at: WallTime(1_709_337_600_000),
            schema: Schema::default(),
            read_only: false,
            manifest: Manifest::default(),
            log: Log {
                committed: Cursor(1),
                bytes_committed: unindexed_bytes.into(),
                entries: vec![entry],
                ..Log::default()
            },
            recent: vec![],
            trash: vec![],
        }
    }

    #[test]
    fn a_namespace_has_the_keys_that_clients_compare() {
        let body: Value = serde_json::from_slice(&answer(&live(10))).unwrap();
        let expected = json!({
            "approx_logical_bytes": 0,
            "approx_row_count": 0,
            "created_at": "1970-01-01T00:00:00.000000000Z",
            "updated_at": "2024-03-02T00:00:00.000000000Z",
            "last_write_at": "2024-03-02T00:00:00.000000000Z",
            "encryption": {"mode": "default"},
            "index": {"status": "up-to-date"},
            "schema": {},
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn what_is_not_indexed_is_shown_once_it_matters() {
        let body: Value = serde_json::from_slice(&answer(&live(1 << 20))).unwrap();
        let expected =
            json!({"status": "updating", "unindexed_bytes": 1 << 20, "unindexed_rows": 3});
        assert_eq!(body["index"], expected);
    }
}
