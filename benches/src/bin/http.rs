//! What HTTP costs around a small query.
//!
//! `cargo run --release -p sana-benches --bin http [-- --each N]`
//!
//! One process, one connection that is kept alive, one request at a time, three things in turn: the
//! query over HTTP; the same query asked of the node directly; and a server that answers every request
//! with a constant as long as the query's answer, with nothing but the HTTP library in it. The query
//! takes a view that the node holds, so no store is asked.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use sana_benches::client::Connection;
use sana_engine::base::name::{AttributeName, NamespaceName};
use sana_engine::base::value::Raw;
use sana_engine::namespace::request::{
    Consistency, Direction, Found, Include, Operator, OrderKey, Predicate, QueryRequest, Rank, Want,
};
use sana_runtime::compute;
use sana_runtime::http::{Patience, Server, ServerOptions};
use sana_runtime::node::Node;
use sana_runtime::store::memory::MemoryStore;
use sana_runtime::telemetry::Metrics;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

const NAMESPACE: &str = "bench-http";
const DOCUMENTS: usize = 1_000;
/// The three things are measured in turn, so many times.
const TURNS: usize = 10;
/// The same query that [`request`] is.
const QUERY: &[u8] = br#"{"filters":["a","Lt",20],"rank_by":["a","desc"],"limit":10,"include_attributes":["name","a"],"consistency":{"level":"eventual"}}"#;

fn main() {
    let each = std::env::args().skip_while(|argument| argument != "--each").nth(1);
    let each: usize = each.map_or(2_000, |n| n.parse().expect("--each takes a number"));
    let runtime = Runtime::new().expect("the system gives threads");
    let (node, address) = runtime.block_on(start());
    let mut connection = Connection::open(&address).expect("the server listens");
    fill(&mut connection);
    let path = format!("/v2/namespaces/{NAMESPACE}/query");
    let answer = connection.ask("POST", &path, QUERY).expect("the connection holds");
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(answer.status == 200 && text.matches("\"id\"").count() == 10, "{text}");
    let constant = runtime.block_on(constant(answer.body.into()));
    let mut peer = Connection::open(&constant).expect("the peer listens");
    let (mut over_http, mut direct, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        ask(&mut connection, &path, each, &mut over_http);
        direct.extend(runtime.block_on(asked_directly(node.clone(), each)));
        ask(&mut peer, &path, each, &mut bare);
    }
    println!(
        "{DOCUMENTS} documents, answer of {} bytes, {} requests each",
        text.len(),
        TURNS * each
    );
    let (over_http, direct, bare) = (Spread::of(over_http), Spread::of(direct), Spread::of(bare));
    println!("query over HTTP:             {over_http}");
    println!("the same, asked of the node: {direct}");
    println!("a constant over HTTP:        {bare}");
    let whole = over_http.p50 - direct.p50;
    println!("HTTP around the query: p50 {whole:.1} µs, of which the library {:.1} µs", bare.p50);
}

/// Times in microseconds.
struct Spread {
    p50: f64,
    p99: f64,
}

impl Spread {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |share: usize| times[times.len() * share / 100].as_secs_f64() * 1e6;
        Self { p50: at(50), p99: at(99) }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "p50 {:6.1} µs, p99 {:6.1} µs", self.p50, self.p99)
    }
}

fn ask(connection: &mut Connection, path: &str, count: usize, times: &mut Vec<Duration>) {
    for _ in 0..count {
        let began = Instant::now();
        let answer = connection.ask("POST", path, QUERY).expect("the connection holds");
        times.push(began.elapsed());
        assert_eq!(answer.status, 200);
    }
}

/// Asks on a thread of the runtime, as the server does.
async fn asked_directly(node: Node, count: usize) -> Vec<Duration> {
    let name = NamespaceName::parse(NAMESPACE).expect("a good name");
    let request = request();
    let asking = tokio::spawn(async move {
        let mut times = Vec::with_capacity(count);
        for _ in 0..count {
            let (began, request) = (Instant::now(), request.clone());
            let (answer, _) = node.query(&name, request).await.expect("no crash").expect("rows");
            times.push(began.elapsed());
            assert!(matches!(answer.found, Found::Rows(rows) if rows.len() == 10));
        }
        times
    });
    asking.await.expect("the queries are answered")
}

fn request() -> QueryRequest {
    let name = |name| AttributeName::parse(name).expect("a good name");
    let rank = Rank::By(vec![(OrderKey::Attribute(name("a")), Direction::Descending)]);
    let filter = Predicate::Compare {
        attribute: "a".to_owned(),
        operator: Operator::Lt,
        operand: Raw::Integer(20),
    };
    let want = Want::rows(rank, 10, Include::These(vec![name("name"), name("a")]));
    let consistency = Consistency::Eventual(Duration::from_mins(1));
    QueryRequest { filter: Some(filter), want, consistency }
}

fn fill(connection: &mut Connection) {
    let row = |id: usize| serde_json::json!({"id": id, "a": id, "name": format!("document {id}")});
    let rows: Vec<_> = (0..DOCUMENTS).map(row).collect();
    let body = serde_json::json!({ "upsert_rows": rows }).to_string();
    let path = format!("/v2/namespaces/{NAMESPACE}");
    let answer = connection.ask("POST", &path, body.as_bytes()).expect("the connection holds");
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
}

/// Starts a server of a store in memory; its node, and where it listens.
async fn start() -> (Node, String) {
    let metrics = Arc::new(Metrics::new());
    let settings =
        sana_engine::service::settings::Settings { host: compute::host(), ..Default::default() };
    let store = MemoryStore::new().into();
    let node = Node::start(store, 1 << 28, compute::threads(), settings, Arc::clone(&metrics));
    let options = ServerOptions {
        api_key: None,
        body_bytes_max: 1 << 24,
        bodies_bytes_max: 1 << 28,
        patience: Patience::default(),
    };
    let (listener, address) = listen().await;
    let server = Arc::new(Server::new(node.clone(), metrics, options));
    tokio::spawn(server.run(listener, std::future::pending()));
    (node, address)
}

/// Starts a server that reads every request and answers with these bytes; where it listens.
async fn constant(bytes: Bytes) -> String {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("connections are accepted");
            stream.set_nodelay(true).expect("the socket is there");
            let bytes = bytes.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let bytes = bytes.clone();
                async move {
                    request.into_body().collect().await.expect("a whole body");
                    let mut response = Response::new(Full::new(bytes));
                    let json = hyper::header::HeaderValue::from_static("application/json");
                    response.headers_mut().insert(hyper::header::CONTENT_TYPE, json);
                    Ok::<_, Infallible>(response)
                }
            });
            let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::spawn(async move { served.await.expect("the client stays") });
        }
    });
    address
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("the system gives a port");
    let address = listener.local_addr().expect("a listener has an address").to_string();
    (listener, address)
}
