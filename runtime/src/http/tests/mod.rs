//! The server as a client sees it, over real sockets.

mod connections;
mod departures;
mod hostile;
mod openapi;

use core::net::SocketAddr;

use sana_engine::service::settings::Settings;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::store::memory::MemoryStore;

struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

async fn start(api_key: Option<&str>) -> Running {
    start_with(api_key, Patience::default()).await
}

async fn start_with(api_key: Option<&str>, patience: Patience) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let server = Arc::new(server(api_key, patience, 1 << 20)).run(listener, async {
        stopped.await.unwrap();
    });
    Running { address, stop, server: tokio::spawn(server) }
}

/// A server of an empty store in memory, that takes bodies of `body_bytes_max`.
fn server(api_key: Option<&str>, patience: Patience, body_bytes_max: usize) -> Server {
    server_on(MemoryStore::new(), api_key, patience, body_bytes_max)
}

fn server_on(
    store: MemoryStore,
    api_key: Option<&str>,
    patience: Patience,
    body_bytes_max: usize,
) -> Server {
    let metrics = Arc::new(Metrics::new());
    let node = Node::start(store.into(), 1 << 20, 2, Settings::default(), Arc::clone(&metrics));
    let (api_key, bodies_bytes_max) = (api_key.map(str::to_owned), 4 * body_bytes_max);
    Server::new(
        node,
        metrics,
        ServerOptions { api_key, body_bytes_max, bodies_bytes_max, patience },
    )
}

/// Sends a request on a connection and reads what comes back: head and body.
async fn ask(stream: &mut TcpStream, request: &str) -> (String, String) {
    stream.write_all(request.as_bytes()).await.unwrap();
    read(stream).await
}

async fn read(stream: &mut TcpStream) -> (String, String) {
    let mut bytes = Vec::new();
    let head = loop {
        let mut byte = [0];
        assert_eq!(stream.read(&mut byte).await.unwrap(), 1, "the connection was closed");
        bytes.push(byte[0]);
        if bytes.ends_with(b"\r\n\r\n") {
            break String::from_utf8(bytes).unwrap();
        }
    };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.unwrap().parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    (head, String::from_utf8(body).unwrap())
}

fn post(path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nhost: x\r\n{headers}content-length: {length}\r\n\r\n{body}")
}

const WRITE: &str = r#"{"upsert_rows":[{"id":1,"a":7}]}"#;

#[tokio::test]
async fn many_requests_go_over_one_connection() {
    let running = start(None).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    for _ in 0..3 {
        let (head, body) = ask(&mut stream, &post("/v2/namespaces/a", "", WRITE)).await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}{body}");
        let (head, body) = ask(&mut stream, &post("/v2/namespaces/b/query", "", "{")).await;
        assert!(head.starts_with("HTTP/1.1 400 "), "{head}{body}");
        assert!(head.contains("content-type: application/json"), "{head}");
    }
}

#[tokio::test]
async fn without_the_key_only_supervisors_are_answered() {
    let running = start(Some("secret")).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let mut status = async |headers: &str, path: &str| {
        let (head, _) = ask(&mut stream, &post(path, headers, WRITE)).await;
        head.split(' ').nth(1).unwrap().to_owned()
    };
    let path = "/v2/namespaces/a";
    assert_eq!(status("", path).await, "401");
    assert_eq!(status("authorization: Bearer wrong!\r\n", path).await, "401");
    assert_eq!(status("authorization: Bearer secre\r\n", path).await, "401");
    assert_eq!(status("authorization: Bearer secret\r\n", path).await, "200");
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    for (path, expected) in [("/livez", "200"), ("/readyz", "200"), ("/metrics", "401")] {
        let (head, _) = ask(&mut stream, &get(path)).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {expected} ")), "{path}: {head}");
    }
}

#[tokio::test]
async fn a_server_that_stops_finishes_what_is_under_way_and_takes_nothing_new() {
    let running = start(None).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let request = post("/v2/namespaces/a", "", WRITE);
    let (first, rest) = request.split_at(request.len() - 5);
    stream.write_all(first.as_bytes()).await.unwrap();
    // The server has the head once it can have answered another connection.
    let mut other = TcpStream::connect(running.address).await.unwrap();
    ask(&mut other, "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await;
    running.stop.send(()).unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(TcpStream::connect(running.address).await.is_err());
    let (head, body) = ask(&mut stream, rest).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}{body}");
    drop((stream, other));
    running.server.await.unwrap();
}
