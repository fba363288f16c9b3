//! Bodies that are wrong in every way: the right 4xx, and the namespace is as before.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::Full;
use hyper::Request;

use super::*;

const NAMESPACE: &str = "/v2/namespaces/a";

/// Sends a request past the sockets; status and body of the answer.
async fn send(
    server: &Arc<Server>,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> (u16, String) {
    let mut request = Request::post(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(body.into())).unwrap();
    let Ok(response) = Arc::clone(server).answer(request).await;
    let status = response.status().as_u16();
    (status, String::from_utf8(response.into_body().to_vec()).unwrap())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

async fn rows(server: &Arc<Server>) -> String {
    let query = r#"{"limit":100,"include_attributes":true}"#;
    let (status, body) = send(server, &format!("{NAMESPACE}/query"), &[], query).await;
    assert_eq!(status, 200, "{body}");
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    body["rows"].to_string()
}

/// A server with one document.
async fn filled(body_bytes_max: usize) -> Arc<Server> {
    let server = Arc::new(server(None, Patience::default(), body_bytes_max));
    let (status, body) = send(&server, NAMESPACE, &[], WRITE).await;
    assert_eq!(status, 200, "{body}");
    server
}

const ROWS: &str = r#"[{"a":7,"id":1}]"#;

#[tokio::test]
async fn what_is_wrong_is_refused_and_changes_nothing() {
    let server = filled(1 << 20).await;
    let wrong: [(u16, &[u8]); 24] = [
        (400, b""),
        (400, b"{"),
        (400, b"{\"upsert_rows\":[{\"id\":2}]"),
        (400, b"{\"upsert_rows\":[{\"id\":2}]} x"),
        (400, b"{\"upsert_rows\":[{\"id\":2,\"s\":\"\xff\"}]}"),
        (400, b"\xef\xbb\xbf{}"),
        (400, b"{\"upsert_rows\":[{\"id\":2,\"n\":NaN}]}"),
        (400, b"{\"upsert_rows\":[{\"id\":2,\"n\":1e999}]}"),
        (400, b"{\"upsert_rows\":[{\"id\":2,\"a\":\"text\"}]}"),
        (400, b"{\"upsert_rows\":[{\"id\":-2}]}"),
        (400, b"{\"upsert_rows\":[{\"id\":18446744073709551616}]}"),
        (400, b"{\"upsert_rows\":[{\"id\":2},{\"id\":2}]}"),
        (400, b"{\"upsert_rows\":[{\"id\":2,\"$x\":2}]}"),
        (400, b"{\"upsert_rows\":[{\"id\":2,\"vector\":[1]}]}"),
        (422, b"[]"),
        (422, b"3"),
        (422, b"{\"upsert_rows\":{\"id\":2}}"),
        (422, b"{\"upsert_rows\":[{\"a\":2}]}"),
        (422, b"{\"upsert_rows\":[{\"id\":2,\"a\":1,\"a\":2}]}"),
        (422, b"{\"upsert_rows\":[{\"id\":2,\"id\":2}]}"),
        (422, b"{\"upsert_rows\":[{\"id\":2}],\"upsert_rows\":[{\"id\":3}]}"),
        (422, b"{\"upsert_row\":[{\"id\":2}]}"),
        (422, b"{\"deletes\":5}"),
        (422, b"{\"upsert_rows\":[{\"id\":2}],\"distance_metric\":\"manhattan\"}"),
    ];
    for (expected, body) in wrong {
        let said = String::from_utf8_lossy(body);
        let (status, answer) = send(&server, NAMESPACE, &[], body).await;
        assert_eq!(status, expected, "{said}: {answer}");
        assert!(answer.contains("\"status\":\"error\""), "{said}: {answer}");
        assert_eq!(rows(&server).await, ROWS, "{said}");
    }
}

#[tokio::test]
async fn a_key_that_comes_twice_is_named_wherever_it_is() {
    let server = filled(1 << 20).await;
    let write = NAMESPACE;
    let query = "/v2/namespaces/a/query";
    let bodies = [
        (write, r#"{"upsert_rows":[{"id":2}],"schema":{"KEY":"int","KEY":"int"}}"#, "b"),
        (write, r#"{"schema":{"c":{"type":"int","KEY":true,"KEY":false}}}"#, "filterable"),
        (write, r#"{"schema":{"c":{"type":"[1]f32","ann":{"KEY":null,"KEY":null}}}}"#, "b"),
        (write, r#"{"encryption":{"KEY":"default","KEY":"default"}}"#, "mode"),
        (write, r#"{"sharding":{"KEY":1,"KEY":1}}"#, "num_shards"),
        (write, r#"{"upsert_rows":[{"id":2,"KEY":1,"KEY":2}]}"#, "b"),
        (write, r#"{"upsert_columns":{"KEY":[2],"KEY":[3]}}"#, "id"),
        (write, r#"{"patch_by_filter":{"filters":["a","Eq",7],"patch":{"KEY":1,"KEY":2}}}"#, "a"),
        (write, r#"{"delete_by_filter":["a","Eq",{"KEY":"a","KEY":"a"}]}"#, "$ref_new"),
        (query, r#"{"aggregate_by":{"KEY":["Count"],"KEY":["Count"]}}"#, "n"),
        (query, r#"{"aggregate_by":{"n":["Count"]},"group_by":[{"KEY":["x"],"KEY":["x"]}]}"#, "g"),
        (query, r#"{"limit":1,"compute_attributes":{"KEY":["a","Eq",1],"KEY":["a","Eq",1]}}"#, "c"),
        (query, r#"{"limit":{"KEY":1,"KEY":2}}"#, "total"),
        (query, r#"{"limit":{"total":1,"per":{"KEY":1,"KEY":2}}}"#, "limit"),
        (query, r#"{"limit":1,"consistency":{"KEY":"strong","KEY":"strong"}}"#, "level"),
        (query, r#"{"queries":[{"KEY":1,"KEY":1}]}"#, "limit"),
        (query, r#"{"limit":1,"rank_by":["a","SparseKNN",{"KEY":1,"KEY":2}]}"#, "7"),
        (query, r#"{"rerank_by":["RRF",{"KEY":1,"KEY":1}],"queries":[]}"#, "rank_constant"),
    ];
    for (path, body, key) in bodies {
        let body = body.replace("KEY", key);
        let (status, answer) = send(&server, path, &[], body.clone()).await;
        assert_eq!(status, 422, "{body}: {answer}");
        assert!(answer.contains(&format!("duplicate field `{key}`")), "{body}: {answer}");
        assert_eq!(rows(&server).await, ROWS, "{body}");
    }
    let schema = r#"{"b":"int","b":"int"}"#;
    let (status, answer) = send(&server, "/v1/namespaces/a/schema", &[], schema).await;
    assert!(status == 422 && answer.contains("duplicate field `b`"), "{answer}");
}

#[tokio::test]
async fn a_hundred_megabytes_of_brackets_are_refused() {
    let server = filled(128 << 20).await;
    let brackets = vec![b'['; 100_000_000];
    let objects = br#"{"a":"#.repeat(20_000_000);
    let inside = |before: &str| [before.as_bytes(), &brackets].concat();
    let bodies = [
        (422, brackets.clone()),
        (400, inside("{\"upsert_rows\":[{\"id\":2,\"a\":")),
        (400, inside("{\"schema\":{\"a\":")),
        (400, inside("{\"encryption\":")),
        (422, objects),
    ];
    for (place, (expected, body)) in bodies.into_iter().enumerate() {
        let (status, answer) = send(&server, NAMESPACE, &[], body).await;
        assert_eq!(status, expected, "{place}: {answer}");
        assert!(answer.len() < 1_000, "an answer does not repeat a hundred megabytes");
    }
    let query = inside("{\"limit\":1,\"filters\":");
    for (expected, query) in [(400, query[..10_000_000].to_vec()), (413, query)] {
        let (status, answer) = send(&server, &format!("{NAMESPACE}/query"), &[], query).await;
        assert_eq!(status, expected, "{answer}");
    }
    assert_eq!(rows(&server).await, ROWS);
}

/// Whoever can open a page in a browser of this machine could write otherwise: for such a request a
/// browser asks nobody first.
#[tokio::test]
async fn web_pages_do_not_write_to_a_server_without_a_key() {
    let server = filled(1 << 20).await;
    let all = br#"{"delete_by_filter":["id","NotEq",null]}"#.to_vec();
    let page = [("origin", "https://example.com"), ("content-type", "text/plain")];
    let (status, body) = send(&server, NAMESPACE, &page, all.clone()).await;
    assert!(status == 401 && body.contains("web pages"), "{body}");
    assert_eq!(rows(&server).await, ROWS);
    assert_eq!(send(&server, NAMESPACE, &page[1..], all).await.0, 200);
    assert!(rows(&server).await != ROWS, "who is no page may");
}

#[tokio::test]
async fn compressed_bodies_are_inflated_bounded_and_refused_if_they_are_cut() {
    let server = filled(1 << 20).await;
    let compressed = [("content-encoding", "gzip")];
    let write = gzip(br#"{"upsert_rows":[{"id":1,"a":7}]}"#);
    let (status, body) = send(&server, NAMESPACE, &compressed, write.clone()).await;
    assert_eq!(status, 200, "{body}");
    for cut in [0, 1, 5, 10, write.len() - 9, write.len() - 1] {
        let (status, body) = send(&server, NAMESPACE, &compressed, write[..cut].to_vec()).await;
        assert_eq!(status, 400, "{cut}: {body}");
    }
    let mut changed = write.clone();
    let last = changed.len() - 6;
    changed[last] ^= 1;
    for wrong in [changed, b"{}".to_vec(), [&write[..], b"x"].concat()] {
        let (status, body) = send(&server, NAMESPACE, &compressed, wrong).await;
        assert_eq!(status, 400, "{body}");
    }
    let bomb = gzip(&vec![b' '; 256 << 20]);
    assert!(bomb.len() < 1 << 20, "it fits before it is inflated");
    let (status, body) = send(&server, NAMESPACE, &compressed, bomb).await;
    assert_eq!(status, 413, "{body}");
    let unknown = [("content-encoding", "br")];
    assert_eq!(send(&server, NAMESPACE, &unknown, write).await.0, 400);
    assert_eq!(rows(&server).await, ROWS);
}

#[tokio::test]
async fn a_body_larger_than_allowed_is_refused_before_it_is_read() {
    let running = start(None).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let head =
        format!("POST {NAMESPACE} HTTP/1.1\r\nhost: x\r\ncontent-length: 999999999999\r\n\r\n");
    let (head, body) = ask(&mut stream, &head).await;
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}{body}");
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let head =
        format!("POST {NAMESPACE} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = [b"10000\r\n".as_slice(), &vec![b' '; 0x10000], b"\r\n"].concat();
    let mut sent = 0;
    while sent < 64 && stream.write_all(&chunk).await.is_ok() {
        sent += 1;
    }
    let mut said = vec![0; 12];
    // A client that goes on sending after the answer may find the connection closed.
    if stream.read_exact(&mut said).await.is_ok() {
        assert_eq!(said, b"HTTP/1.1 413");
    }
    assert!(sent < 64 || said.starts_with(b"HTTP/1.1 413"), "4 MiB were taken");
}

#[tokio::test]
async fn what_official_clients_add_to_requests_is_tolerated() {
    let server = filled(1 << 20).await;
    let headers = [
        ("prefer", "respond-async"),
        ("accept", "application/json"),
        ("accept-encoding", "identity"),
        ("x-stainless-retry-count", "2"),
        ("x-stainless-read-timeout", "59.99"),
        ("x-request-id", "tpreq_abc"),
    ];
    let paths = [
        "/v2/namespaces/a/query?stainless_overload=multiQuery",
        "/gcp-us-central1/v2/namespaces/a/query",
        "/gcp-us-central1/v2/namespaces/a/query?stainless_overload=x&y",
    ];
    for path in paths {
        let (status, body) = send(&server, path, &headers, r#"{"limit":1}"#).await;
        assert_eq!(status, 200, "{path}: {body}");
        assert!(body.contains(r#""rows":[{"id":1}]"#), "{path}: {body}");
    }
}

#[tokio::test]
async fn an_answer_is_compressed_for_who_asks_for_it() {
    let server = filled(1 << 20).await;
    let text = "compress me ".repeat(500);
    let write = format!(r#"{{"upsert_rows":[{{"id":1,"a":7,"t":"{text}"}}]}}"#);
    assert_eq!(send(&server, NAMESPACE, &[], write).await.0, 400, "4 KiB, if it is filterable");
    let write = format!(
        r#"{{"schema":{{"t":{{"type":"string","filterable":false}}}},"upsert_rows":[{{"id":1,"t":"{text}"}}]}}"#
    );
    assert_eq!(send(&server, NAMESPACE, &[], write).await.0, 200);
    let request = Request::post(format!("{NAMESPACE}/query")).header("accept-encoding", "gzip");
    let query = Full::new(Bytes::from(r#"{"limit":1,"include_attributes":true}"#));
    let Ok(response) = Arc::clone(&server).answer(request.body(query).unwrap()).await;
    assert_eq!(response.headers()["content-encoding"], "gzip");
    let mut inflated = String::new();
    let mut decoder = flate2::read::GzDecoder::new(&**response.body());
    std::io::Read::read_to_string(&mut decoder, &mut inflated).unwrap();
    assert!(inflated.contains(&text));
}
