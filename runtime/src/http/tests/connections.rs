//! Many connections, slow ones, silent ones, and HTTP/2.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper::{Request, StatusCode};
use tokio::net::TcpSocket;
use tokio::sync::Barrier;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_connections_are_kept_and_answered_side_by_side() {
    const CONNECTIONS: usize = 400;
    let running = start(None).await;
    let all_are_there = Arc::new(Barrier::new(CONNECTIONS));
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|n| {
            let (address, all_are_there) = (running.address, Arc::clone(&all_are_there));
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(address).await.unwrap();
                let path = format!("/v2/namespaces/n{}", n % 40);
                let write = format!("{{\"upsert_rows\":[{{\"id\":{n}}}]}}");
                let (head, body) = ask(&mut stream, &post(&path, "", &write)).await;
                assert!(head.starts_with("HTTP/1.1 200 "), "{head}{body}");
                all_are_there.wait().await;
                let query = format!("{{\"filters\":[\"id\",\"Eq\",{n}],\"limit\":1}}");
                let query = post(&format!("{path}/query"), "", &query);
                let (head, body) = ask(&mut stream, &query).await;
                assert!(head.starts_with("HTTP/1.1 200 "), "{head}{body}");
                assert!(body.contains(&format!("\"rows\":[{{\"id\":{n}}}]")), "{body}");
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
}

#[tokio::test]
async fn many_requests_go_side_by_side_over_one_connection_of_http_2() {
    let running = start(None).await;
    let stream = TcpStream::connect(running.address).await.unwrap();
    let (client, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let address = running.address;
    let requests = (0..100).map(|n| {
        let mut client = client.clone();
        async move {
            let body = format!("{{\"upsert_rows\":[{{\"id\":{n}}}]}}");
            let request = Request::post(format!("http://{address}/v2/namespaces/a"));
            let request = request.body(Full::new(Bytes::from(body))).unwrap();
            let response = client.send_request(request).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert!(body.starts_with(b"{"));
        }
    });
    let tasks: Vec<_> = requests.map(tokio::spawn).collect();
    for task in tasks {
        task.await.unwrap();
    }
}

/// Reads until the server hangs up; what it said.
async fn said_until_the_end(stream: &mut TcpStream) -> String {
    let mut said = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut said)).await;
    assert!(end.is_ok(), "the server still listens");
    String::from_utf8_lossy(&said).into_owned()
}

#[tokio::test]
async fn who_connects_and_does_not_ask_is_hung_up_on() {
    let patience = Patience { head: Duration::from_millis(200), ..Patience::default() };
    let running = start_with(None, patience).await;
    // Nothing, the beginning of either version, and a head without its end.
    let heads = ["", "P", "PRI * HTTP", "POST", "GET /livez HTTP/1.1\r\nhost:"];
    for head in heads {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        assert!(!said_until_the_end(&mut stream).await.contains(" 200 "), "{head}");
    }
    let mut idle = TcpStream::connect(running.address).await.unwrap();
    ask(&mut idle, "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await;
    said_until_the_end(&mut idle).await;
}

#[tokio::test]
async fn who_asks_slowly_and_does_not_stop_is_answered() {
    let patience = Patience { head: Duration::from_millis(300), ..Patience::default() };
    let running = start_with(None, patience).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(150)).await;
        let (head, _) = ask(&mut stream, "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    }
}

#[tokio::test]
async fn a_body_that_stops_arriving_is_given_up() {
    let patience = Patience { silence: Duration::from_millis(200), ..Patience::default() };
    let running = start_with(None, patience).await;
    for headers in ["content-length: 100\r\n", "transfer-encoding: chunked\r\n"] {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        let head = format!("POST /v2/namespaces/a HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        if headers.starts_with("content") {
            stream.write_all(b"{\"upsert_rows\":[").await.unwrap();
        }
        let (head, body) = read(&mut stream).await;
        assert!(head.starts_with("HTTP/1.1 408 "), "{head}{body}");
        assert!(body.contains("did not arrive in time"), "{body}");
    }
}

/// Fills a namespace with eight megabytes, which no socket buffers.
async fn filled(address: SocketAddr) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let text = "x".repeat(1_000_000);
    let schema = r#"{"t":{"type":"string","filterable":false}}"#;
    for id in 0..8 {
        let write = format!(r#"{{"schema":{schema},"upsert_rows":[{{"id":{id},"t":"{text}"}}]}}"#);
        let (head, body) = ask(&mut stream, &post("/v2/namespaces/a", "", &write)).await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}{body}");
    }
}

const ALL: &str = r#"{"limit":100,"include_attributes":true}"#;

#[tokio::test]
async fn who_does_not_read_an_answer_is_hung_up_on() {
    let patience = Patience { silence: Duration::from_millis(300), ..Patience::default() };
    let running = start_with(None, patience).await;
    filled(running.address).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stream = socket.connect(running.address).await.unwrap();
    stream.write_all(post("/v2/namespaces/a/query", "", ALL).as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut said = Vec::new();
    // What was under way in the sockets may still arrive, or be thrown away.
    let _ = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut said))
        .await
        .expect("the connection is closed");
    assert!(said.len() < 8_000_000, "{} bytes arrived", said.len());
}

#[tokio::test]
async fn who_reads_an_answer_slowly_gets_all_of_it() {
    let patience = Patience { silence: Duration::from_millis(500), ..Patience::default() };
    let running = start_with(None, patience).await;
    filled(running.address).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(post("/v2/namespaces/a/query", "", ALL).as_bytes()).await.unwrap();
    let (mut bytes, mut said) = (vec![0; 1 << 20], 0);
    while said < 8_000_000 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let read = stream.read(&mut bytes).await.unwrap();
        assert!(read > 0, "the connection was closed after {said} bytes");
        said += read;
    }
}

#[tokio::test]
async fn who_opens_no_window_for_an_answer_is_hung_up_on() {
    let patience = Patience { silence: Duration::from_millis(300), ..Patience::default() };
    let running = start_with(None, patience).await;
    filled(running.address).await;
    // Large and small answers wait for the window, and so does the end of one.
    for (window, query) in [(1_000, ALL), (0, r#"{"limit":1}"#), (200, r#"{"limit":1}"#)] {
        let stream = TcpStream::connect(running.address).await.unwrap();
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(window);
        let (mut client, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(connection);
        let path = format!("http://{}/v2/namespaces/a/query", running.address);
        let request = Request::post(path).body(Full::new(Bytes::from(query))).unwrap();
        let response = client.send_request(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let ended = tokio::time::timeout(Duration::from_secs(10), connection).await;
        assert!(ended.is_ok(), "a stream that waits for a window of {window} is kept");
        drop(response);
    }
}

#[tokio::test]
async fn an_answer_that_is_taken_does_not_end_a_connection() {
    let patience = Patience { silence: Duration::from_millis(200), ..Patience::default() };
    let running = start_with(None, patience).await;
    filled(running.address).await;
    let stream = TcpStream::connect(running.address).await.unwrap();
    let (mut client, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    for _ in 0..3 {
        let path = format!("http://{}/v2/namespaces/a/query", running.address);
        let request = Request::post(path).body(Full::new(Bytes::from(ALL))).unwrap();
        let response = client.send_request(request).await.unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(body.len() > 8_000_000);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
