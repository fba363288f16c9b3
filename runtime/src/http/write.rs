//! `POST /v2/namespaces/{ns}`: what is to be written, and what became of it.

use bytes::Bytes;
use sana_engine::base::limits;
use sana_engine::base::name::AttributeName;
use sana_engine::base::value::Raw;
use sana_engine::format::log::Affected;
use sana_engine::format::schema::Metric;
use sana_engine::namespace::request::{
    ByFilter, Create, Idempotency, RawDocument, WriteOutcome, WriteRequest,
};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

use super::documents::{Columns, Rows};
use super::errors::Failure;
use super::json::{self, AnyRaw, PrintedId};
use super::query::QUERIED_BYTES_MIN;
use super::tree::{Fields, Tree};
use super::{filter, schema};

/// A body, field by field. Null is the same as not there.
///
/// A field that is not known is refused: whoever misspells `upsert_rows` would otherwise hear that
/// all went well.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    upsert_rows: Option<Rows>,
    upsert_columns: Option<Columns>,
    patch_rows: Option<Rows>,
    patch_columns: Option<Columns>,
    deletes: Option<Vec<AnyRaw>>,
    distance_metric: Option<MetricName>,
    schema: Option<Fields>,
    create_namespace: Option<bool>,
    encryption: Option<Tree>,
    sharding: Option<Sharding>,
    return_affected_ids: Option<bool>,
    disable_backpressure: Option<bool>,
    upsert_condition: Option<Tree>,
    patch_condition: Option<Tree>,
    delete_condition: Option<Tree>,
    patch_by_filter: Option<PatchByFilter>,
    patch_by_filter_allow_partial: Option<bool>,
    delete_by_filter: Option<Tree>,
    delete_by_filter_allow_partial: Option<bool>,
    copy_from_namespace: Option<IgnoredAny>,
    branch_from_namespace: Option<IgnoredAny>,
}

/// A metric as it is spelled on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum MetricName {
    CosineDistance,
    EuclideanSquared,
    DotProduct,
}

impl From<MetricName> for Metric {
    fn from(name: MetricName) -> Self {
        match name {
            MetricName::CosineDistance => Self::Cosine,
            MetricName::EuclideanSquared => Self::EuclideanSquared,
            MetricName::DotProduct => Self::Dot,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PatchByFilter {
    filters: Tree,
    patch: Fields,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sharding {
    num_shards: u64,
}

/// The request in a body. `key` is the client's idempotency key, if it sent one.
///
/// # Errors
///
/// 400 or 422, saying what is wrong with the body.
pub(super) fn parse(body: &[u8], key: Option<String>) -> Result<WriteRequest, Failure> {
    let parsed: Body = json::parse(body)?;
    parsed.refuse_unsupported()?;
    let said = schema::parse(parsed.schema.unwrap_or_default().0)?;
    let metric = parsed.distance_metric.map(Metric::from);
    let deletes = parsed.deletes.map(|ids| ids.into_iter().map(|AnyRaw(id)| id).collect());
    let fingerprint = || xxhash_rust::xxh3::xxh3_128(body);
    let condition = |filter: Option<Tree>| filter.as_deref().map(filter::parse).transpose();
    let delete_by_filter = condition(parsed.delete_by_filter)?.map(|filter| {
        let allows_partial = parsed.delete_by_filter_allow_partial == Some(true);
        ByFilter { filter, allows_partial }
    });
    let patch_by_filter = parsed.patch_by_filter.map(|patch| {
        let allows_partial = parsed.patch_by_filter_allow_partial == Some(true);
        let filter = filter::parse(&patch.filters)?;
        Ok((ByFilter { filter, allows_partial }, changes(&patch.patch)?))
    });
    let request = WriteRequest {
        upserts: both("upsert", parsed.upsert_rows, parsed.upsert_columns)?,
        patches: both("patch", parsed.patch_rows, parsed.patch_columns)?,
        deletes,
        schema: said.attributes,
        id_type: said.id_type,
        metric,
        create: match parsed.create_namespace {
            None => Create::WithDocuments,
            Some(true) => Create::Always,
            Some(false) => Create::Never,
        },
        idempotency: key.map(|key| Idempotency { key, fingerprint: fingerprint() }),
        upsert_condition: condition(parsed.upsert_condition)?,
        patch_condition: condition(parsed.patch_condition)?,
        delete_condition: condition(parsed.delete_condition)?,
        delete_by_filter,
        patch_by_filter: patch_by_filter.transpose()?,
        drops: said.drops,
        read_only: None,
        wants_ids: parsed.return_affected_ids == Some(true),
        ignores_backlog: false,
    };
    // What reads before it writes would read ever more of what is not indexed.
    let ignores_backlog = parsed.disable_backpressure == Some(true) && !request.reads_documents();
    Ok(WriteRequest { ignores_backlog, ..request })
}

/// The changes that `patch_by_filter` makes.
fn changes(patch: &Map<String, Value>) -> Result<Vec<(AttributeName, Raw)>, Failure> {
    let change = |(name, value): (&String, &Value)| {
        let parsed =
            AttributeName::parse(name).map_err(|problem| Failure::bad_attribute(name, problem))?;
        Ok((parsed, json::raw(&format!("patch_by_filter.patch.{name}"), value)?))
    };
    patch.iter().map(change).collect()
}

impl Body {
    fn refuse_unsupported(&self) -> Result<(), Failure> {
        let fields = [
            ("copy_from_namespace", self.copy_from_namespace),
            ("branch_from_namespace", self.branch_from_namespace),
        ];
        if let Some((name, _)) = fields.iter().find(|(_, value)| value.is_some()) {
            return Err(Failure::unsupported(name));
        }
        if self.sharding.as_ref().is_some_and(|sharding| sharding.num_shards != 1) {
            return Err(Failure::unsupported("a num_shards other than 1"));
        }
        self.encryption.as_deref().map_or(Ok(()), refuse_encryption)
    }
}

/// Refuses keys that only a hosted service could hold.
fn refuse_encryption(encryption: &Value) -> Result<(), Failure> {
    if encryption.get("mode") == Some(&json!("default")) {
        return Ok(());
    }
    let hosted = Failure::hosted("encryption with a customer-managed key");
    let Some(key) = encryption.get("key_name").and_then(Value::as_str) else {
        return Err(hosted);
    };
    if key.starts_with("projects/") || key.starts_with("arn:") {
        return Err(hosted);
    }
    Err(Failure::meaning(format!("{}. Malformed Cloud KMS crypto key: {key}", hosted.message)))
}

/// The documents of rows and columns together.
fn both(
    verb: &str,
    rows: Option<Rows>,
    columns: Option<Columns>,
) -> Result<Option<Vec<RawDocument>>, Failure> {
    match (rows, columns) {
        (None, None) => Ok(None),
        (Some(rows), None) => rows.0.map(Some),
        (None, Some(columns)) => columns.0.map(Some),
        (Some(_), Some(_)) => Err(Failure::meaning(format!(
            "💔 use either {verb}_rows or {verb}_columns in one request"
        ))),
    }
}

/// The idempotency key in a header.
///
/// # Errors
///
/// 400 if it is empty, too long or not UTF-8.
pub(super) fn idempotency_key(header: &[u8]) -> Result<String, Failure> {
    let most = limits::IDEMPOTENCY_KEY_BYTES_MAX;
    let key = core::str::from_utf8(header).ok().filter(|key| (1..=most).contains(&key.len()));
    key.map(str::to_owned).ok_or_else(|| {
        Failure::meaning(format!("💔 the header Idempotency-Key takes 1 to {most} bytes of UTF-8"))
    })
}

/// What became of a write, as the answer's body. `reads` says whether the write had to look for
/// documents, which counts as a query.
pub(super) fn answer(outcome: &WriteOutcome, reads: bool, total_ms: u64) -> Bytes {
    let WriteOutcome { upserted, patched, deleted, logical_bytes, remaining, .. } = *outcome;
    let affected: u64 = [upserted, patched, deleted].into_iter().flatten().sum();
    let mut body = json!({
        "status": "OK",
        "message": format!("successfully wrote {affected} rows"),
        "rows_affected": affected,
        "billing": {"billable_logical_bytes_written": logical_bytes},
        "performance": {"server_total_ms": total_ms},
    });
    if reads {
        body["billing"]["query"] = json!({
            "billable_logical_bytes_queried": QUERIED_BYTES_MIN,
            "billable_logical_bytes_returned": 0,
        });
    }
    let counts =
        [("rows_upserted", upserted), ("rows_patched", patched), ("rows_deleted", deleted)];
    for (name, count) in counts {
        if let Some(count) = count {
            body[name] = json!(count);
        }
    }
    if let Some(remaining) = remaining {
        body["rows_remaining"] = json!(remaining);
    }
    if let Some(Affected { upserted, patched, deleted }) = &outcome.affected {
        let lists =
            [("upserted_ids", upserted), ("patched_ids", patched), ("deleted_ids", deleted)];
        for (name, ids) in lists.into_iter().filter(|(_, ids)| !ids.is_empty()) {
            body[name] = json!(ids.iter().map(PrintedId).collect::<Vec<_>>());
        }
    }
    Bytes::from(body.to_string())
}

#[cfg(test)]
mod tests {
    use sana_engine::base::value::{IdType, ScalarType, Type};
    use sana_engine::namespace::request::{Operator, Predicate};

    use super::*;

    fn parsed(body: &str) -> WriteRequest {
        parse(body.as_bytes(), None).unwrap_or_else(|failure| panic!("{body}: {failure:?}"))
    }

    fn refused(body: &str, status: u16, part: &str) {
        let failure = parse(body.as_bytes(), None).expect_err(body);
        assert_eq!(failure.status.as_u16(), status, "{body}: {failure:?}");
        assert!(failure.message.contains(part), "{body}: {failure:?}");
    }

    fn text(text: &str) -> Raw {
        Raw::Text(text.into())
    }

    #[test]
    fn rows_as_the_official_client_sends_them() {
        let request = parsed(
            r#"{"distance_metric":"cosine_distance","schema":{"name":{"type":"string","filterable":true},"u":"uuid","t":"datetime"},"upsert_rows":[{"id":1,"vector":"zczMPc3MTD4=","name":"foo","n":null,"t":"2024-03-01T01:02:03+00:00","u":"769c134d-07b8-4225-954a-b6cc5ffc320c"},{"id":2,"vector":[1,2],"tags":["a","b"]}]}"#,
        );
        assert_eq!(request.metric, Some(Metric::Cosine));
        let types: Vec<_> =
            request.schema.iter().map(|(name, a)| (name.as_str(), a.value_type)).collect();
        let scalar = Type::Scalar;
        let expected = [
            ("name", scalar(ScalarType::String)),
            ("t", scalar(ScalarType::DateTime)),
            ("u", scalar(ScalarType::Uuid)),
        ];
        assert_eq!(types, expected);
        let upserts = request.upserts.unwrap();
        assert_eq!(upserts[0].id, Raw::Integer(1));
        assert_eq!(upserts[0].attributes[0].1, text("zczMPc3MTD4="));
        assert_eq!(upserts[0].attributes[2].1, Raw::Null);
        let vector = Raw::List(vec![Raw::Integer(1), Raw::Integer(2)]);
        assert_eq!(upserts[1].attributes[0].1, vector);
        assert_eq!((request.patches, request.deletes), (None, None));
    }

    #[test]
    fn columns_and_named_vectors_as_the_official_client_sends_them() {
        let request = parsed(
            r#"{"distance_metric":"euclidean_squared","upsert_columns":{"id":[1,2],"vector":["zczMPc3MTD4=","mpmZPs3MzD4="],"name":["a",null]}}"#,
        );
        let upserts = request.upserts.unwrap();
        assert_eq!(upserts.len(), 2);
        let name = AttributeName::parse("name").unwrap();
        assert_eq!(upserts[0].attributes[1], (name, text("a")));
        let named = parsed(
            r#"{"schema":{"emb":{"type":"[2]f32","ann":true}},"upsert_rows":[{"id":1,"emb":"zczMPc3MTD4="}]}"#,
        );
        assert_eq!(named.schema[0].1.value_type, Type::vector(2));
    }

    #[test]
    fn an_empty_list_is_told_apart_from_none() {
        let request = parsed(r#"{"upsert_rows":[],"deletes":[],"patch_rows":null}"#);
        assert_eq!(request.upserts, Some(Vec::new()));
        assert_eq!((request.patches, request.deletes), (None, Some(Vec::new())));
    }

    #[test]
    fn a_namespace_is_created_as_asked() {
        let request = parsed(r#"{"create_namespace":true,"schema":{"id":"uint"}}"#);
        assert_eq!((request.create, request.id_type), (Create::Always, Some(IdType::Uint)));
        assert_eq!(parsed(r#"{"create_namespace":false}"#).create, Create::Never);
        assert_eq!(parsed("{}").create, Create::WithDocuments);
    }

    #[test]
    fn shapes_are_refused_in_the_words_clients_know() {
        refused(
            r#"{"upsert_rows":{"id":[1]}}"#,
            422,
            "Failed to deserialize the JSON body into the target type: upsert_rows: invalid type: map, expected a sequence",
        );
        refused(r#"{"distance_metric":"manhattan"}"#, 422, "unknown variant `manhattan`");
        refused(r#"{"upsert_row":[]}"#, 422, "unknown field `upsert_row`, expected one of");
        refused("[]", 422, "expected a map");
        refused("3", 422, "invalid type: integer `3`");
        refused("{", 400, "Failed to parse the request body as JSON: ");
        refused(r#"{"deletes":5}"#, 422, "deletes: invalid type: integer `5`, expected a sequence");
    }

    #[test]
    fn what_cannot_be_done_is_said_and_never_passed_over() {
        let features = [
            r#"{"copy_from_namespace":"src"}"#,
            r#"{"branch_from_namespace":{"source_namespace":"src"}}"#,
            r#"{"sharding":{"num_shards":2}}"#,
        ];
        for body in features {
            refused(body, 400, "is not supported by this version of Sana");
        }
        parsed(r#"{"encryption":{"mode":"default"},"sharding":{"num_shards":1}}"#);
        parsed(r#"{"disable_backpressure":false,"upsert_condition":null}"#);
        let key = r#"{"encryption":{"mode":"customer-managed","key_name":"mykey"}}"#;
        refused(key, 400, "Malformed Cloud KMS crypto key: mykey");
        refused(key, 400, "hosted service");
    }

    #[test]
    fn conditions_and_filters_as_the_official_client_sends_them() {
        let request = parsed(
            r#"{"deletes":[7,8],"patch_condition":["a","Lt",{"$ref_new":"a"}],"patch_rows":[{"id":1,"a":1}],"return_affected_ids":true,"disable_backpressure":true}"#,
        );
        let (attribute, new) = ("a".to_owned(), "a".to_owned());
        let newer = Predicate::CompareNew { attribute, operator: Operator::Lt, new };
        assert_eq!(request.patch_condition, Some(newer));
        assert!(request.wants_ids && !request.ignores_backlog, "a patch does not ignore a backlog");
        assert!(parsed(r#"{"deletes":[7],"disable_backpressure":true}"#).ignores_backlog);
        let request = parsed(
            r#"{"delete_by_filter":["And",[["a","Gt",0]]],"delete_by_filter_allow_partial":true,"patch_by_filter":{"filters":["a","Eq",1],"patch":{"a":2,"b":null}}}"#,
        );
        assert!(request.delete_by_filter.unwrap().allows_partial);
        let (by_filter, changes) = request.patch_by_filter.unwrap();
        assert!(!by_filter.allows_partial);
        let names: Vec<_> =
            changes.iter().map(|(name, raw)| (name.as_str(), raw.clone())).collect();
        assert_eq!(names, [("a", Raw::Integer(2)), ("b", Raw::Null)]);
        refused(r#"{"patch_by_filter":{"filters":["a","Eq",1]}}"#, 422, "missing field `patch`");
        refused(r#"{"delete_by_filter":{"a":1}}"#, 422, "expected an array");
        refused(r#"{"upsert_condition":["a","Lt",{"$ref_new":1}]}"#, 422, "$ref_new");
        refused(r#"{"patch_by_filter":{"filters":["a","Eq",1],"patch":{"$a":1}}}"#, 400, "'$a'");
    }

    #[test]
    fn an_idempotency_key_has_a_length() {
        assert_eq!(idempotency_key(b"a"), Ok("a".to_owned()));
        assert!(idempotency_key(&[b'a'; 256]).is_ok());
        for bad in [&b""[..], &[b'a'; 257], b"\xff"] {
            assert_eq!(idempotency_key(bad).unwrap_err().status.as_u16(), 400);
        }
        let fingerprint = |body: &str| {
            parse(body.as_bytes(), Some("k".to_owned())).unwrap().idempotency.unwrap().fingerprint
        };
        assert_eq!(fingerprint(r#"{"deletes":[1]}"#), fingerprint(r#"{"deletes":[1]}"#));
        assert_ne!(fingerprint(r#"{"deletes":[1]}"#), fingerprint(r#"{"deletes":[2]}"#));
    }

    #[test]
    fn an_answer_counts_what_was_asked_for() {
        let outcome = WriteOutcome {
            upserted: Some(2),
            deleted: Some(0),
            logical_bytes: 9,
            ..WriteOutcome::default()
        };
        let body: Value = serde_json::from_slice(&answer(&outcome, false, 3)).unwrap();
        assert_eq!(body["rows_affected"], 2);
        assert_eq!((&body["rows_upserted"], &body["rows_deleted"]), (&json!(2), &json!(0)));
        assert_eq!(body.get("rows_patched"), None);
        assert_eq!(body["billing"], json!({"billable_logical_bytes_written": 9}));
        let body: Value = serde_json::from_slice(&answer(&outcome, true, 3)).unwrap();
        let query = json!({
            "billable_logical_bytes_queried": 256_000_000,
            "billable_logical_bytes_returned": 0,
        });
        assert_eq!(body["billing"]["query"], query);
        assert_eq!(body["performance"]["server_total_ms"], 3);
    }
}
