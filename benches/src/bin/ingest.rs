//! How fast documents are taken in over HTTP, how soon they are indexed, and what a small request
//! costs.
//!
//! `cargo run --release -p sana-benches --bin ingest -- --data DIR [--url HOST:PORT] [--each N]
//! [--connections N] [--numbers]`
//!
//! Without `--url` a server is started in this process, on a folder that is removed afterwards.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures time, and waits")]

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sana_benches::client::Connection;
use sana_benches::data::{self, Encoding};
use sana_runtime::compute;
use sana_runtime::http::{Patience, Server, ServerOptions};
use sana_runtime::node::Node;
use sana_runtime::store::fs::FolderStore;
use sana_runtime::telemetry::Metrics;

const NAMESPACE: &str = "bench-ingest";
/// Small requests that are measured one after the other.
const SMALL: usize = 500;

fn main() {
    let data = argument("--data").expect("--data DIR says where the data set is");
    let each = argument("--each").map_or(500, |n| n.parse().expect("--each takes a number"));
    let connections =
        argument("--connections").map_or(8, |n| n.parse().expect("--connections takes a number"));
    let numbers = std::env::args().any(|argument| argument == "--numbers");
    let encoding = if numbers { Encoding::Numbers } else { Encoding::Base64 };
    let runtime = tokio::runtime::Runtime::new().expect("the system gives threads");
    let folder = std::env::temp_dir().join(format!("sana-ingest-{}", std::process::id()));
    let address = argument("--url").unwrap_or_else(|| runtime.block_on(start(&folder)));
    let documents = data::documents(Path::new(&data), encoding);
    let bodies = data::bodies(&documents, each);
    let megabytes = bodies.iter().map(Vec::len).sum::<usize>() as f64 / 1e6;
    println!("{} documents, {} bodies, {megabytes:.0} MB", documents.len(), bodies.len());
    ingest(&address, documents.len(), megabytes, bodies, connections);
    small(&address);
    if argument("--url").is_none() {
        runtime.shutdown_timeout(Duration::from_secs(1));
        std::fs::remove_dir_all(&folder).expect("the folder was made here");
    }
}

/// Sends all bodies over so many connections, then waits until all is indexed.
fn ingest(
    address: &str,
    documents: usize,
    megabytes: f64,
    bodies: Vec<Vec<u8>>,
    connections: usize,
) {
    let path = format!("/v2/namespaces/{NAMESPACE}");
    let queue = Mutex::new(VecDeque::from(bodies));
    let slowest = Mutex::new(Duration::ZERO);
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..connections {
            scope.spawn(|| {
                let mut connection = Connection::open(address).expect("the server listens");
                while let Some(body) = next(&queue) {
                    let sent = Instant::now();
                    ask(&mut connection, "POST", &path, &body);
                    let mut slowest = slowest.lock().unwrap_or_else(PoisonError::into_inner);
                    *slowest = sent.elapsed().max(*slowest);
                }
            });
        }
    });
    let seconds = began.elapsed().as_secs_f64();
    let (rate, speed) = (documents as f64 / seconds, megabytes / seconds);
    let slowest = slowest.into_inner().unwrap_or_else(PoisonError::into_inner).as_millis();
    println!(
        "acknowledged in {seconds:.2} s: {rate:.0} documents/s, {speed:.0} MB/s; slowest {slowest} ms"
    );
    let written = Instant::now();
    let mut connection = Connection::open(address).expect("the server listens");
    while unindexed(&mut connection) > 0 {
        std::thread::sleep(Duration::from_millis(20));
    }
    println!("indexed {:.2} s after the last write", written.elapsed().as_secs_f64());
    let count = br#"{"aggregate_by":{"n":["Count"]}}"#;
    let answer = ask(&mut connection, "POST", &format!("{path}/query"), count);
    println!("{}", String::from_utf8_lossy(&answer));
}

fn next(queue: &Mutex<VecDeque<Vec<u8>>>) -> Option<Vec<u8>> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

/// Measures small requests, one after the other on one connection.
fn small(address: &str) {
    let mut connection = Connection::open(address).expect("the server listens");
    let path = "/v2/namespaces/bench-small";
    let write = br#"{"upsert_rows":[{"id":1,"vector":[0.1,0.2],"a":1}],"distance_metric":"cosine_distance"}"#;
    let query = br#"{"rank_by":["vector","ANN",[0.1,0.3]],"top_k":10}"#;
    let eventual =
        br#"{"rank_by":["vector","ANN",[0.1,0.3]],"top_k":10,"consistency":{"level":"eventual"}}"#;
    let lookup = br#"{"filters":["id","Eq",17],"limit":1}"#;
    let big = format!("/v2/namespaces/{NAMESPACE}/query");
    let small = format!("{path}/query");
    let measured: [(&str, &str, &str, &[u8]); 6] = [
        ("a request that asks nothing", "GET", "/livez", b""),
        ("one-row write", "POST", path, write),
        ("query of one row", "POST", &small, query),
        ("the same, eventual", "POST", &small, eventual),
        ("lookup among all", "POST", &big, lookup),
        ("metadata", "GET", "/v2/namespaces/bench-small/metadata", b""),
    ];
    for (what, method, path, body) in measured {
        let mut times: Vec<Duration> = (0..SMALL)
            .map(|_| {
                let began = Instant::now();
                ask(&mut connection, method, path, body);
                began.elapsed()
            })
            .collect();
        times.sort();
        let (p50, p99) = (times[SMALL / 2].as_micros(), times[SMALL * 99 / 100].as_micros());
        println!("{what}: p50 {p50} µs, p99 {p99} µs");
    }
}

fn ask(connection: &mut Connection, method: &str, path: &str, body: &[u8]) -> Vec<u8> {
    let answer = connection.ask(method, path, body).expect("the connection holds");
    let text = String::from_utf8_lossy(&answer.body);
    assert!(answer.status < 300, "{method} {path}: {} {text}", answer.status);
    answer.body
}

/// Unindexed bytes of the namespace, as the server counts them.
fn unindexed(connection: &mut Connection) -> u64 {
    let page = ask(connection, "GET", "/metrics", b"");
    let page = String::from_utf8_lossy(&page).into_owned();
    let name = format!("sana_unindexed_bytes{{namespace=\"{NAMESPACE}\"}} ");
    let value = page.lines().find_map(|line| line.strip_prefix(&name));
    value.and_then(|value| value.parse().ok()).expect("the server shows what is not indexed")
}

/// Starts a server in this process and says where it listens.
async fn start(folder: &Path) -> String {
    let store = FolderStore::open(folder).expect("a folder for temporary files");
    let metrics = Arc::new(Metrics::new());
    let settings =
        sana_engine::service::settings::Settings { host: compute::host(), ..Default::default() };
    let node =
        Node::start(store.into(), 1 << 30, compute::threads(), settings, Arc::clone(&metrics));
    let options = ServerOptions {
        api_key: None,
        body_bytes_max: 512_000_000,
        bodies_bytes_max: 1 << 30,
        patience: Patience::default(),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("the system gives a port");
    let address = listener.local_addr().expect("a listener has an address").to_string();
    tokio::spawn(
        Arc::new(Server::new(node, metrics, options)).run(listener, std::future::pending()),
    );
    address
}

fn argument(name: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != name).nth(1)
}
