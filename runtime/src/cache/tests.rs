//! Tests of the cache, before a store that is slow and sometimes fails.

use core::sync::atomic::AtomicUsize;

use sana_engine::base::blob::Blob;
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
    assert_eq!(statistics.bytes, 6 + ENTRY_BYTES as u64);
}

#[tokio::test]
async fn a_register_is_asked_for_every_time() {
    let store = CachedStore::new(Slow::default(), 1 << 20);
    for _ in 0..2 {
        store.perform(read("heads/a")).await;
    }
    assert_eq!(store.store.asked.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn parts_of_an_object_are_kept_apart() {
    let store = CachedStore::new(Slow::default(), 1 << 20);
    for end in [1, 2, 1] {
        let range = ByteRange { start: 0, end };
        store.perform(Request::get_range(Key::new("data/a"), range)).await;
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

#[tokio::test]
async fn what_is_passed_on_is_not_kept() {
    let store = CachedStore::new(Slow::default(), 1 << 20);
    for _ in 0..2 {
        let (_, origin) = store.ask(read("data/a"), Keep::No).await;
        assert_eq!(origin, Origin::Store);
    }
    assert_eq!(store.statistics().bytes, 0);
}

#[tokio::test]
async fn a_purged_namespace_is_read_anew_and_others_are_not() {
    let store = CachedStore::new(Slow::default(), 1 << 20);
    let name = |name| NamespaceName::parse(name).unwrap();
    let others = ["data/a-b/1", "data/aa/1", "data/%2e/1"];
    let keys = || ["data/a/1", "data/a/2"].into_iter().chain(others);
    for key in keys() {
        store.perform(read(key)).await;
    }
    store.purge(&name("a"));
    for key in keys() {
        let (_, origin) = store.ask(read(key), Keep::Yes).await;
        assert_eq!(origin == Origin::Memory, others.contains(&key), "{key}");
    }
    store.purge(&name("."));
    assert_eq!(store.ask(read("data/%2e/1"), Keep::Yes).await.1, Origin::Store);
}

#[tokio::test]
async fn what_was_asked_for_before_a_purge_is_not_kept_after_it() {
    let store = CachedStore::new(Slow::default(), 1 << 20);
    let purge = async {
        tokio::task::yield_now().await;
        store.purge(&NamespaceName::parse("a").unwrap());
    };
    let (reply, other, ()) =
        tokio::join!(store.perform(read("data/a/1")), store.perform(read("data/b/1")), purge);
    assert!(matches!((reply, other), (Reply::Found { .. }, Reply::Found { .. })));
    assert_eq!(store.ask(read("data/b/1"), Keep::Yes).await.1, Origin::Memory);
    assert_eq!(store.ask(read("data/a/1"), Keep::Yes).await.1, Origin::Store);
}

/// Who asked again, for what he had been told was damaged, got the same once more.
#[tokio::test]
async fn who_comes_after_a_purge_does_not_wait_for_what_was_asked_before_it() {
    let store = CachedStore::new(Slow::default(), 1 << 20);
    let key = Key::new("data/a/1");
    let again = async {
        tokio::task::yield_now().await;
        store.forget(&key);
        tokio::join!(store.perform(read("data/a/1")), store.perform(read("data/a/1")))
    };
    let (first, (second, third)) = tokio::join!(store.perform(read("data/a/1")), again);
    assert_eq!(store.store.asked.load(Ordering::Relaxed), 2);
    assert!(place(&first) != place(&second) && place(&second) == place(&third));
    let (kept, origin) = store.ask(read("data/a/1"), Keep::Yes).await;
    assert_eq!((place(&kept), origin), (place(&second), Origin::Memory));
}

#[tokio::test]
async fn what_anybody_wants_kept_is_kept() {
    let store = CachedStore::new(Slow::default(), 1 << 20);
    let (passes_on, keeps) =
        (store.ask(read("data/a"), Keep::No), store.ask(read("data/a"), Keep::Yes));
    tokio::join!(passes_on, keeps);
    assert_eq!(store.ask(read("data/a"), Keep::Yes).await.1, Origin::Memory);
    assert_eq!(store.store.asked.load(Ordering::Relaxed), 1);
}

/// Whatever was being read when something was damaged was not kept, of any namespace.
#[tokio::test]
async fn of_a_damaged_object_nothing_is_kept_and_of_others_all() {
    let store = CachedStore::new(Slow::default(), 1 << 20);
    let stretch = |key: &str, start| {
        let range = ByteRange { start, end: start + 5 };
        Request::get_range(Key::new(key), range)
    };
    store.perform(stretch("data/a/1", 0)).await;
    store.perform(stretch("data/a/2", 0)).await;
    let forget = async {
        tokio::task::yield_now().await;
        store.forget(&Key::new("data/a/1"));
    };
    let (damaged, other) = (stretch("data/a/1", 9), stretch("data/a/2", 9));
    tokio::join!(store.perform(damaged), store.perform(other), forget);
    for start in [0, 9] {
        let of = async |key| store.ask(stretch(key, start), Keep::Yes).await.1;
        assert_eq!(of("data/a/1").await, Origin::Store);
        assert_eq!(of("data/a/2").await, Origin::Memory);
    }
}

#[tokio::test]
async fn who_passes_by_the_cache_finds_and_leaves_nothing_there() {
    let store = CachedStore::new(Slow::default(), 1 << 20);
    store.ask(read("data/a"), Keep::Yes).await;
    for key in ["data/a", "data/b"] {
        let (_, origin) = store.ask(read(key), Keep::Bypass).await;
        assert_eq!(origin, Origin::Store);
    }
    assert_eq!(store.ask(read("data/a"), Keep::Yes).await.1, Origin::Memory);
    assert_eq!(store.ask(read("data/b"), Keep::Yes).await.1, Origin::Store);
}
