//! Tests of the cache, before a store that is slow and sometimes fails.

use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;

use sana_engine::base::blob::Blob;
use sana_engine::base::name::Key;
use sana_engine::machine::request::Tag;

use super::*;

/// Answers every read with the key, after a while, and counts.
#[derive(Clone, Debug, Default)]
struct Slow {
    asked: Arc<AtomicUsize>,
}

impl ObjectStore for Slow {
    async fn perform(&self, request: Request) -> Reply {
        let before = self.asked.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(10)).await;
        match request.key().as_str() {
            "data/lost" if before == 0 => Reply::Lost,
            "data/panic" if before == 0 => panic!("on purpose"),
            "data/hangs" if before == 0 => core::future::pending().await,
            key => {
                let body = Blob::from(key.as_bytes().to_vec());
                Reply::Found { tag: Tag::new("t"), body }
            }
        }
    }
}

fn read(key: &str) -> Request {
    Request::get(Key::new(key))
}

fn place(reply: &Reply) -> *const u8 {
    let Reply::Found { body, .. } = reply else { panic!("found") };
    body.as_slice().as_ptr()
}

#[tokio::test]
async fn reads_that_overlap_ask_once_and_get_one_blob() {
    let store = CachedStore::new(Slow::default(), 1 << 20);
    let (one, other) = tokio::join!(store.perform(read("data/a")), store.perform(read("data/a")));
    assert_eq!(store.store.asked.load(Ordering::Relaxed), 1);
    let (third, origin) = store.ask(read("data/a"), Keep::Yes).await;
    assert_eq!(origin, Origin::Memory);
    assert!(place(&one) == place(&other) && place(&one) == place(&third));
    let statistics = store.statistics();
    assert_eq!((statistics.hits, statistics.misses), (1, 2));
}

#[tokio::test]
async fn a_register_is_asked_for_every_time() {
    let store = CachedStore::new(Slow::default(), 1 << 20);
    for _ in 0..2 {
        store.perform(read("heads/a")).await;
    }
    assert_eq!(store.store.asked.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_read_without_an_answer_is_forgotten() {
    for key in ["data/lost", "data/panic", "data/hangs"] {
        let store = CachedStore::new(Slow::default(), 1 << 20);
        assert_eq!(store.perform(read(key)).await, Reply::Lost, "{key}");
        let (again, origin) = store.ask(read(key), Keep::Yes).await;
        assert!(matches!(again, Reply::Found { .. }), "{key}");
        assert_eq!(origin, Origin::Store);
        assert_eq!(store.store.asked.load(Ordering::Relaxed), 2);
    }
}

#[tokio::test]
async fn who_asked_first_may_go_away() {
    let store = CachedStore::new(Slow::default(), 1 << 20);
    let first = tokio::time::timeout(Duration::from_millis(1), store.perform(read("data/a")));
    let (first, second) = tokio::join!(first, store.perform(read("data/a")));
    assert!(first.is_err());
    assert!(matches!(second, Reply::Found { .. }));
    assert_eq!(store.store.asked.load(Ordering::Relaxed), 1);
}
