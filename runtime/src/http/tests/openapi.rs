//! `docs/openapi.json` says what the server does, no more and no less.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request};
use serde_json::{Map, Value, json};

use super::*;
use crate::http::path::{Route, Verb};

/// The names of all routes.
const NAMES: [&str; 13] = [
    "livez",
    "readyz",
    "metrics",
    "namespaces",
    "write",
    "query",
    "delete",
    "metadata",
    "update_metadata",
    "schema",
    "update_schema",
    "hint_cache_warm",
    "recall",
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
            Verb::Delete => 6,
            Verb::Metadata => 7,
            Verb::UpdateMetadata => 8,
            Verb::Schema => 9,
            Verb::UpdateSchema => 10,
            Verb::Warm => 11,
            Verb::Recall => 12,
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
        other => panic!("the file uses the type {other}"),
    }
}

async fn send(server: &Arc<Server>, method: &Method, path: &str, body: &Value) -> (u16, Vec<u8>) {
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    let request = Request::builder().method(method).uri(path).body(Full::new(body)).unwrap();
    let Ok(response) = Arc::clone(server).answer(request).await;
    let status = response.status().as_u16();
    let Ok(body) = response.into_body().collect().await;
    (status, body.to_bytes().to_vec())
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
    assert_eq!(gone.0, 404, "the last example deletes the namespace");
    let error: Value = serde_json::from_slice(&gone.1).unwrap();
    assert_eq!(file.misfit(&file.0["components"]["schemas"]["Error"], &error, "error"), Ok(()));
}

/// The server lists the fields that it knows when it is sent one that it does not.
#[tokio::test]
async fn the_file_names_every_field_of_a_request_and_no_other() {
    let file = File::read();
    let server = Arc::new(server(None, Patience::default(), 1 << 20));
    send(&server, &Method::POST, "/v2/namespaces/a", &json!({"upsert_rows": [{"id": 1}]})).await;
    let bodies = [
        ("/v2/namespaces/a", "WriteRequest"),
        ("/v2/namespaces/a/query", "QueryRequest"),
        ("/v1/namespaces/a/_debug/recall", "RecallRequest"),
    ];
    for (path, schema) in bodies {
        let (status, answer) = send(&server, &Method::POST, path, &json!({"no_field": 1})).await;
        assert_eq!(status, 422, "{path}");
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        let (_, listed) = answer["error"].as_str().unwrap().split_once("expected one of ").unwrap();
        let mut listed: Vec<&str> = listed.split('`').skip(1).step_by(2).collect();
        listed.sort_unstable();
        let properties = file.0["components"]["schemas"][schema]["properties"].as_object().unwrap();
        let mut named: Vec<&str> = properties.keys().map(String::as_str).collect();
        named.sort_unstable();
        assert_eq!(named, listed, "{schema}");
    }
}
