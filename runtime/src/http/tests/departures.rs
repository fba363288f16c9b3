//! Clients that announce much and send nothing, and clients that hang up before they are answered.

use std::sync::Barrier;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;

use super::*;

/// Begins a request and hangs up once its body was read.
async fn hang_up(server: &Arc<Server>, path: &str, body: String) {
    let request = Request::post(path).body(Full::new(Bytes::from(body))).unwrap();
    tokio::select! {
        biased;
        _ = Arc::clone(server).answer(request) => panic!("a request takes more than one step"),
        () = core::future::ready(()) => {}
    }
}

#[tokio::test]
async fn who_hangs_up_leaves_the_memory_of_its_body_to_its_write() {
    let server = Arc::new(server(None, Patience::default(), 1 << 20));
    let all = server.budget.free();
    hang_up(&server, "/v2/namespaces/a", WRITE.to_owned()).await;
    assert!(server.budget.free() < all, "the write is under way");
    for _ in 0..200 {
        if server.budget.free() == all {
            assert_eq!(server.node.held().len(), 1, "it was done");
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the memory was never given back");
}

#[tokio::test]
async fn who_hangs_up_leaves_its_slots_to_its_query() {
    let server = Arc::new(server(None, Patience::default(), 1 << 20));
    let write = Request::post("/v2/namespaces/a").body(Full::new(Bytes::from(WRITE))).unwrap();
    let Ok(response) = Arc::clone(&server).answer(write).await;
    assert_eq!(response.status().as_u16(), 200);
    // The query begins, and waits for a thread: it names so many ids that planning it is heavy.
    let ids: Vec<u64> = (0..100).collect();
    let query = format!(r#"{{"limit":1,"filters":["id","In",{ids:?}]}}"#);
    let threads_are_taken = Arc::new(Barrier::new(3));
    for _ in 0..2 {
        let (compute, barrier) = (server.node.foreground().clone(), Arc::clone(&threads_are_taken));
        tokio::spawn(async move { compute.run(move || barrier.wait()).await });
    }
    tokio::task::yield_now().await;
    hang_up(&server, "/v2/namespaces/a/query", query).await;
    tokio::task::yield_now().await;
    assert_eq!(server.slots.taken(), 1, "the query is under way");
    threads_are_taken.wait();
    for _ in 0..200 {
        if server.slots.taken() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the slots were never given back");
}

#[tokio::test]
async fn a_request_that_needs_no_body_is_answered_before_one_comes() {
    let running = start(Some("secret")).await;
    let endless = "host: x\r\ncontent-length: 512000000\r\n";
    let key = "authorization: Bearer secret\r\n";
    let requests = [
        ("GET /livez", "", "200"),
        ("GET /readyz", "", "200"),
        ("GET /v1/namespaces", key, "200"),
        ("DELETE /v2/namespaces/a", key, "404"),
        ("GET /v1/namespaces/a/schema", key, "404"),
        ("POST /v2/namespaces/a", "", "401"),
    ];
    for (line, key, expected) in requests {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        let request = format!("{line} HTTP/1.1\r\n{endless}{key}\r\n");
        let answered = tokio::time::timeout(Duration::from_secs(5), ask(&mut stream, &request));
        let (head, _) = answered.await.expect("it waits for a body");
        assert!(head.starts_with(&format!("HTTP/1.1 {expected} ")), "{line}: {head}");
    }
}
