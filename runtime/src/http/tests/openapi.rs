//! `docs/openapi.json` says what the server does, no more and no less.

use core::pin::Pin;
use core::task::{Context, Poll};
use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame};
use hyper::{Method, Request};
use sana_engine::base::blob::Blob;
use sana_engine::base::name::NamespaceName;
use sana_engine::format::layout;
use sana_engine::machine::drive::ObjectStore;
use sana_engine::machine::request::{Reply, Request as StoreRequest, When};
use serde_json::{Map, Value, json};

use super::*;
use crate::http::path::{Route, Verb};
use crate::http::slots::SLOTS;

/// The names of all routes.
const NAMES: [&str; 15] = [
    "livez",
    "readyz",
    "metrics",
    "namespaces",
    "write",
    "query",
    "explain_query",
    "delete",
    "metadata",
    "update_metadata",
    "schema",
    "update_schema",
    "hint_cache_warm",
    "recall",
    "purge_cache",
];

/// The place of a route among the names: a new route does not compile before it has one.
const fn place(route: &Route) -> usize {
    match route {
        Route::Live => 0,
        Route::Ready => 1,
        Route::Metrics => 2,
        Route::Namespaces => 3,
        Route::Namespace(_, verb) => match verb {
            Verb::Write => 4,
            Verb::Query => 5,
            Verb::Explain => 6,
            Verb::Delete => 7,
            Verb::Metadata => 8,
            Verb::UpdateMetadata => 9,
            Verb::Schema => 10,
            Verb::UpdateSchema => 11,
            Verb::Warm => 12,
            Verb::Recall => 13,
            Verb::Purge => 14,
        },
    }
}

struct File(Value);

/// One operation of the file.
struct Operation<'a> {
    path: &'a str,
    method: Method,
    body: &'a Value,
}

impl File {
    fn read() -> Self {
        Self(serde_json::from_str(include_str!("../../../../docs/openapi.json")).unwrap())
    }

    /// All operations, in the order in which their examples work.
    fn operations<'a>(&'a self) -> Vec<Operation<'a>> {
        let paths = self.0["paths"].as_object().unwrap();
        let of_path = |(path, methods): (&'a String, &'a Value)| {
            let methods = methods.as_object().unwrap().iter();
            methods.map(move |(method, body)| {
                let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
                Operation { path, method, body }
            })
        };
        let mut operations: Vec<_> = paths.iter().flat_map(of_path).collect();
        operations.sort_by_key(|operation| operation.body["x-order"].as_u64().unwrap());
        operations
    }

    /// What a value does not fit of a schema, and where.
    fn misfit(&self, schema: &Value, value: &Value, place: &str) -> Result<(), String> {
        if let Some(name) = schema["$ref"].as_str() {
            let name = name.strip_prefix("#/components/schemas/").unwrap();
            let schema = &self.0["components"]["schemas"][name];
            assert!(schema.is_object(), "there is no schema {name}");
            return self.misfit(schema, value, place);
        }
        if let Some(ways) = schema["anyOf"].as_array() {
            let fits = ways.iter().any(|way| self.misfit(way, value, place).is_ok());
            return if fits { Ok(()) } else { Err(format!("{place}: {value} fits no way")) };
        }
        if let Some(allowed) = schema["enum"].as_array()
            && !allowed.contains(value)
        {
            return Err(format!("{place}: {value} is none of {allowed:?}"));
        }
        let types = match &schema["type"] {
            Value::Array(types) => types.clone(),
            Value::Null => Vec::new(),
            one => vec![one.clone()],
        };
        if !types.is_empty() && !types.iter().any(|t| is(t.as_str().unwrap(), value)) {
            return Err(format!("{place}: {value} is not of type {types:?}"));
        }
        for item in value.as_array().into_iter().flatten().filter(|_| schema["items"].is_object()) {
            self.misfit(&schema["items"], item, &format!("{place}[]"))?;
        }
        value.as_object().map_or(Ok(()), |fields| self.misfit_fields(schema, fields, place))
    }

    fn misfit_fields(
        &self,
        schema: &Value,
        fields: &Map<String, Value>,
        place: &str,
    ) -> Result<(), String> {
        let required = schema["required"].as_array().into_iter().flatten();
        for name in required.map(|name| name.as_str().unwrap()) {
            if !fields.contains_key(name) {
                return Err(format!("{place}: {name} is missing"));
            }
        }
        for (name, value) in fields {
            let place = format!("{place}.{name}");
            match (&schema["properties"][name], &schema["additionalProperties"]) {
                (Value::Null, Value::Bool(false)) => return Err(format!("{place} is unknown")),
                (Value::Null, rest @ Value::Object(_)) => self.misfit(rest, value, &place)?,
                (Value::Null, _) => {}
                (schema, _) => self.misfit(schema, value, &place)?,
            }
        }
        Ok(())
    }
}

fn is(type_name: &str, value: &Value) -> bool {
    match type_name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        other => panic!("the file uses the type {other}"),
    }
}

async fn send(server: &Arc<Server>, method: &Method, path: &str, body: &Value) -> (u16, Vec<u8>) {
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    let request = Request::builder().method(method).uri(path).body(Full::new(body)).unwrap();
    let Ok(response) = Arc::clone(server).answer(request).await;
    (response.status().as_u16(), response.into_body().to_vec())
}

#[test]
fn the_file_names_every_route_and_no_other() {
    let file = File::read();
    let mut named = Vec::new();
    for Operation { path, method, body } in file.operations() {
        let route = Route::parse(&method, &path.replace("{ns}", "a")).unwrap();
        assert_eq!(body["operationId"], route.name(), "{method} {path}");
        assert_eq!(NAMES[place(&route)], route.name());
        named.push(route.name());
    }
    named.sort_unstable();
    named.dedup();
    let mut names = NAMES.to_vec();
    names.sort_unstable();
    assert_eq!(named, names);
}

#[tokio::test]
async fn the_examples_of_the_file_work_and_answers_are_as_it_says() {
    let file = File::read();
    let server = Arc::new(server(None, Patience::default(), 1 << 20));
    let mut sent = 0;
    for Operation { path, method, body } in file.operations() {
        let content = &body["requestBody"]["content"]["application/json"];
        let examples = content["examples"].as_object();
        let examples = examples.map_or(vec![json!(null)], |examples| {
            examples.values().map(|example| example["value"].clone()).collect()
        });
        let responses = body["responses"].as_object().unwrap();
        let (expected, response) =
            responses.iter().find(|(code, _)| code.starts_with('2')).unwrap();
        let path = path.replace("{ns}", "films");
        for example in examples {
            if !example.is_null() {
                assert_eq!(file.misfit(&content["schema"], &example, "request"), Ok(()), "{path}");
            }
            if method == Method::DELETE {
                let write = json!({"upsert_rows": [{"id": 1}]});
                send(&server, &Method::POST, "/v2/namespaces/films", &write).await;
            }
            let (status, answer) = send(&server, &method, &path, &example).await;
            let text = String::from_utf8(answer).unwrap();
            assert_eq!(&status.to_string(), expected, "{method} {path} {example}: {text}");
            let schema = &response["content"]["application/json"]["schema"];
            if schema.is_object() {
                let answer: Value = serde_json::from_str(&text).unwrap();
                assert_eq!(file.misfit(schema, &answer, "answer"), Ok(()), "{path}: {text}");
            }
            sent += 1;
        }
    }
    assert!(sent >= 20, "{sent} examples");
    let gone = send(&server, &Method::GET, "/v2/namespaces/films/metadata", &json!(null)).await;
    assert_eq!(gone.0, 404, "the last examples delete the namespace");
    let error: Value = serde_json::from_slice(&gone.1).unwrap();
    assert_eq!(file.misfit(&file.0["components"]["schemas"]["Error"], &error, "error"), Ok(()));
}

/// What stands between backticks in a text.
fn quoted(text: &str) -> Vec<String> {
    let mut words: Vec<_> = text.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    words.sort_unstable();
    words
}

fn keys(object: &Value) -> Vec<String> {
    let mut keys: Vec<_> = object.as_object().unwrap().keys().cloned().collect();
    keys.sort_unstable();
    keys
}

/// The server lists the fields that it knows when it is sent one that it does not.
#[tokio::test]
async fn the_file_names_every_field_of_a_request_and_no_other() {
    let file = File::read();
    let server = Arc::new(server(None, Patience::default(), 1 << 20));
    send(&server, &Method::POST, "/v2/namespaces/a", &json!({"upsert_rows": [{"id": 1}]})).await;
    let (write, query) = ("/v2/namespaces/a", "/v2/namespaces/a/query");
    let unknown = json!({"no_field": 1});
    let limit = "QueryRequest/properties/limit/anyOf/1";
    let per = "QueryRequest/properties/limit/anyOf/1/properties/per";
    let fuse = json!({"queries": [{"limit": 1}], "rerank_by": ["RRF", unknown]});
    let bodies = [
        ("POST", write, unknown.clone(), "WriteRequest"),
        ("POST", write, json!({"sharding": unknown}), "WriteRequest/properties/sharding"),
        (
            "POST",
            write,
            json!({"patch_by_filter": unknown}),
            "WriteRequest/properties/patch_by_filter",
        ),
        ("POST", query, unknown.clone(), "QueryRequest"),
        ("POST", query, json!({"queries": [unknown]}), "QueryRequest"),
        ("POST", query, json!({"limit": unknown}), limit),
        ("POST", query, json!({"limit": {"per": unknown}}), per),
        ("POST", query, json!({"consistency": unknown}), "QueryRequest/properties/consistency"),
        ("POST", query, fuse, "FuseOptions"),
        ("POST", "/v2/namespaces/a/explain_query", unknown.clone(), "QueryRequest"),
        ("POST", "/v1/namespaces/a/_debug/recall", unknown.clone(), "RecallRequest"),
        ("PATCH", "/v1/namespaces/a/metadata", unknown, "MetadataChanges"),
    ];
    for (method, path, body, schema) in bodies {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let (status, answer) = send(&server, &method, path, &body).await;
        let answer = String::from_utf8(answer).unwrap();
        assert_eq!(status, 422, "{path} {body}: {answer}");
        let (before, listed) = answer.split_once(", expected ").unwrap();
        assert!(before.contains("unknown field `no_field`"), "{answer}");
        let schema = file.0.pointer(&format!("/components/schemas/{schema}")).unwrap();
        assert_eq!(schema["additionalProperties"], false, "{path} {body}");
        assert_eq!(keys(&schema["properties"]), quoted(listed), "{path} {body}");
    }
}

/// Fields that an attribute's schema does not have are passed over, as on turbopuffer. So each that
/// the file names is sent with a value that it cannot have.
#[tokio::test]
async fn each_field_of_an_attribute_s_schema_is_one_that_the_server_looks_at() {
    let file = File::read();
    let server = Arc::new(server(None, Patience::default(), 1 << 20));
    let path = "/v2/namespaces/a";
    let named = keys(&file.0["components"]["schemas"]["AttributeSchema"]["properties"]);
    assert!(named.len() >= 10, "{named:?}");
    for field in named {
        let mut attribute = json!({"type": "string"});
        attribute[&field] = json!(17);
        let body = json!({"create_namespace": true, "schema": {"id": "uint", "a": attribute}});
        let (status, answer) = send(&server, &Method::POST, path, &body).await;
        let answer = String::from_utf8(answer).unwrap();
        assert!(matches!(status, 400 | 422) && answer.contains(&field), "{body}: {answer}");
    }
    let body = json!({"create_namespace": true, "schema": {"id": "uint", "a": {"type": "string", "no_field": 17}}});
    assert_eq!(send(&server, &Method::POST, path, &body).await.0, 200);
}

#[test]
fn paths_that_the_server_takes_are_in_the_file() {
    let file = File::read();
    let named = |method: &Method, rest: &str| {
        file.operations().iter().any(|operation| {
            operation.method == *method
                && operation.path.split_once("/namespaces").is_some_and(|(_, other)| other == rest)
        })
    };
    let rests = [
        "",
        "/{ns}",
        "/{ns}/query",
        "/{ns}/explain_query",
        "/{ns}/async",
        "/{ns}/operations/x",
        "/{ns}/metadata",
        "/{ns}/schema",
        "/{ns}/hint_cache_warm",
        "/{ns}/_debug/recall",
        "/{ns}/_debug/purge_cache",
        "/{ns}/_debug/warm_cache",
    ];
    let mut taken = 0;
    for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        for (rest, version) in rests.iter().flat_map(|rest| [(rest, "v1"), (rest, "v2")]) {
            let path = format!("/{version}/namespaces{}", rest.replace("{ns}", "a"));
            if Route::parse(&method, &path).is_ok() {
                assert!(named(&method, rest), "{method} {path} is not in the file");
                taken += 1;
            }
        }
    }
    assert!(taken >= 16, "{taken} were taken");
}

/// What statuses each operation was seen to answer with.
#[derive(Default)]
struct Seen(BTreeMap<String, BTreeSet<u16>>);

impl Seen {
    fn note(&mut self, operation: &Operation<'_>, status: u16) {
        let name = operation.body["operationId"].as_str().unwrap().to_owned();
        self.0.entry(name).or_default().insert(status);
    }
}

/// A body of which nothing ever arrives.
struct Nothing;

impl Body for Nothing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

async fn stuck(server: &Arc<Server>, method: &Method, path: &str) -> u16 {
    let request = Request::builder().method(method).uri(path).body(Nothing).unwrap();
    let Ok(response) = Arc::clone(server).answer(request).await;
    response.status().as_u16()
}

/// Everything that can go wrong with a request, done to every operation.
async fn mistreat(server: &Arc<Server>, keyed: &Arc<Server>, of: &Operation<'_>) -> Vec<u16> {
    let at = |name: &str| of.path.replace("{ns}", name);
    let mut statuses = vec![send(keyed, &of.method, &at("a"), &json!(null)).await.0];
    if of.path.contains("{ns}") {
        for name in ["a%20b", "none", "damaged"] {
            let missing = json!({"create_namespace": false});
            let body = match of.body["operationId"].as_str() {
                Some("write") => missing,
                Some("query" | "explain_query") => json!({"limit": 1}),
                _ if of.body["requestBody"].is_object() => json!({}),
                _ => json!(null),
            };
            statuses.push(send(server, &of.method, &at(name), &body).await.0);
        }
    }
    if of.body["requestBody"].is_object() {
        for body in [json!([1]), json!("x".repeat(2 << 20)), json!({"schema": {"a": "no type"}})] {
            statuses.push(send(server, &of.method, &at("a"), &body).await.0);
        }
        statuses.push(stuck(server, &of.method, &at("a")).await);
        let schema = json!({"b": "int"});
        let body = if of.path.ends_with("schema") { schema } else { json!({ "schema": schema }) };
        statuses.push(send(server, &of.method, &at("still"), &body).await.0);
    }
    statuses
}

#[tokio::test]
async fn each_error_status_is_in_the_file_and_each_in_the_file_can_be() {
    let file = File::read();
    let patience = Patience { silence: Duration::from_millis(50), ..Patience::default() };
    let store = MemoryStore::new();
    let damaged = NamespaceName::parse("damaged").unwrap();
    let put = StoreRequest::Put {
        key: layout::head(&damaged),
        body: Blob::from(b"not a head".to_vec()),
        when: When::Absent,
    };
    assert!(matches!(store.perform(put).await, Reply::Stored { .. }));
    let keyed = Arc::new(server(Some("secret"), patience, 1 << 20));
    let server = Arc::new(server_on(store, None, patience, 1 << 20));
    for (name, read_only) in [("a", false), ("still", true)] {
        let path = format!("/v2/namespaces/{name}");
        send(&server, &Method::POST, &path, &json!({"upsert_rows": [{"id": 1}]})).await;
        let path = format!("/v1/namespaces/{name}/metadata");
        send(&server, &Method::PATCH, &path, &json!({"read_only": read_only})).await;
    }
    let mut seen = Seen::default();
    let slots = server.slots.take(&NamespaceName::parse("a").unwrap(), SLOTS).await.unwrap();
    for operation in file.operations() {
        for status in mistreat(&server, &keyed, &operation).await {
            seen.note(&operation, status);
        }
        if operation.path.ends_with("/query") {
            let path = operation.path.replace("{ns}", "a");
            let body = json!({"limit": 1});
            seen.note(&operation, send(&server, &operation.method, &path, &body).await.0);
        }
    }
    drop(slots);
    seen.0.get_mut("namespaces").unwrap().extend([send(
        &server,
        &Method::GET,
        "/v1/namespaces?page_size=0",
        &json!(null),
    )
    .await
    .0]);
    for operation in file.operations() {
        let documented: BTreeSet<u16> = keys(&operation.body["responses"])
            .iter()
            .map(|status| status.parse().unwrap())
            .collect();
        let name = operation.body["operationId"].as_str().unwrap();
        let seen: BTreeSet<_> = seen.0[name].iter().copied().collect();
        let hidden: Vec<_> = seen.difference(&documented).collect();
        assert_eq!(hidden, Vec::<&u16>::new(), "{name} answers what the file does not say");
        // A store that does not answer, and what takes too long, are not to be had here; the rest is.
        let mut missed: BTreeSet<_> = documented.difference(&seen).copied().collect();
        missed.retain(|status| !matches!(status, 200 | 202 | 503 | 504));
        if name != "query" {
            missed.remove(&429);
        }
        // Nothing that is damaged stands in the way of these, and nothing crashes here.
        if matches!(name, "metrics" | "purge_cache") {
            missed.remove(&500);
        }
        assert_eq!(missed, BTreeSet::new(), "{name} never answers what the file says");
    }
}
