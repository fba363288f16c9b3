//! Tests of a node, on a store in memory.

use core::time::Duration;

use sana_engine::base::name::AttributeName;
use sana_engine::base::value::Raw;
use sana_engine::format::layout;
use sana_engine::machine::drive::ObjectStore;
use sana_engine::machine::request::{Reply, Request, When};
use sana_engine::namespace::request::{
    Consistency, Found, Include, Predicate, Rank, RawDocument, Want,
};

use super::*;
use crate::store::memory::MemoryStore;

fn node(store: &MemoryStore) -> Node {
    let store = store.clone().into();
    Node::start(store, 1 << 20, 1, Settings::default(), Arc::new(Metrics::new()))
}

fn name(name: &str) -> NamespaceName {
    NamespaceName::parse(name).unwrap()
}

fn upsert(id: i128) -> WriteRequest {
    let attribute = (AttributeName::parse("a").unwrap(), Raw::Integer(id));
    let document = RawDocument { id: Raw::Integer(id), attributes: vec![attribute] };
    WriteRequest { upserts: Some(vec![document]), ..WriteRequest::default() }
}

async fn count(node: &Node, namespace: &NamespaceName) -> usize {
    let want = Want::rows(Rank::By(vec![]), 1_000, Include::Nothing);
    let filter: Option<Predicate> = None;
    let request = QueryRequest { filter, want, consistency: Consistency::Strong };
    let (answer, _) = node.query(namespace, request).await.unwrap().unwrap();
    match answer.found {
        Found::Rows(rows) => rows.len(),
        other => panic!("rows were asked for, not {other:?}"),
    }
}

#[tokio::test]
async fn what_one_node_wrote_another_reads() {
    let store = MemoryStore::new();
    let (one, other, docs) = (node(&store), node(&store), name("docs"));
    for id in 0..3 {
        one.write(&docs, upsert(id), 10).await.unwrap().unwrap();
        assert_eq!(count(&other, &docs).await as i128, id + 1);
    }
    assert_eq!(one.list("", None, 10).await.unwrap().names, std::slice::from_ref(&docs));
    assert_eq!(other.delete(&docs).await.unwrap(), Ok(true));
    assert_eq!(one.delete(&docs).await.unwrap(), Ok(false));
    assert_eq!(one.describe(&docs).await.unwrap().unwrap_err(), QueryError::NoNamespace);
}

/// What came damaged once was kept, and a node answered from it until it was restarted.
#[tokio::test]
async fn what_was_read_damaged_is_read_again() {
    let store = MemoryStore::new();
    let (writer, docs) = (node(&store), name("docs"));
    writer.write(&docs, upsert(1), 10).await.unwrap().unwrap();
    settled(&writer, &docs).await;
    let listed = Request::List { prefix: layout::namespace_data(&docs), after: None, limit: 9 };
    let Reply::Listed { objects, .. } = store.perform(listed).await else { panic!("a listing") };
    let key = objects[0].key.clone();
    let Reply::Found { body: whole, .. } = store.perform(Request::get(key.clone())).await else {
        panic!("a segment")
    };
    let put = async |body: Vec<u8>| {
        let Reply::Found { tag, .. } = store.perform(Request::get(key.clone())).await else {
            panic!("it is there")
        };
        let put = Request::Put { key: key.clone(), body: body.into(), when: When::Matches(tag) };
        assert!(matches!(store.perform(put).await, Reply::Stored { .. }));
    };
    for place in [0, whole.len() - 1] {
        let reader = node(&store);
        let mut bytes = whole.as_slice().to_vec();
        bytes[place] ^= 1;
        put(bytes).await;
        let want = Want::rows(Rank::By(vec![]), 1_000, Include::All);
        let request = QueryRequest { filter: None, want, consistency: Consistency::Strong };
        let damaged = reader.query(&docs, request).await.unwrap().unwrap_err();
        assert!(matches!(&damaged, QueryError::Damaged(bad) if bad.key == key), "{damaged:?}");
        put(whole.as_slice().to_vec()).await;
        assert_eq!(count(&reader, &docs).await, 1, "byte {place}");
    }
}

#[tokio::test]
async fn a_writer_that_goes_away_changes_nothing() {
    let (node, docs) = (node(&MemoryStore::new()), name("docs"));
    tokio::select! {
        biased;
        _ = node.write(&docs, upsert(1), 10) => panic!("a write waits for its commit"),
        () = core::future::ready(()) => {}
    }
    node.write(&docs, upsert(2), 10).await.unwrap().unwrap();
    assert_eq!(count(&node, &docs).await, 2);
}

#[tokio::test]
async fn a_crash_is_told_to_who_waits_and_the_next_request_starts_anew() {
    let (node, docs) = (node(&MemoryStore::new()), name("docs"));
    node.write(&docs, upsert(1), 10).await.unwrap().unwrap();
    let waits = node.ask(&docs, |_, _| {});
    let crashes = async {
        tokio::task::yield_now().await;
        node.hand(&docs, |_| panic!("on purpose"))
    };
    let (waited, crashed) = tokio::join!(waits, crashes);
    assert_eq!(waited.unwrap_err(), Crashed);
    assert_eq!(crashed.map(|_| ()), Err(Crashed));
    node.write(&docs, upsert(2), 10).await.unwrap().unwrap();
    assert_eq!(count(&node, &docs).await, 2);
}

#[tokio::test]
async fn the_operations_of_a_namespace_that_crashes_end_with_it() {
    let (node, docs) = (node(&MemoryStore::new()), name("docs"));
    let (go_on, stands) = std::sync::mpsc::channel::<()>();
    let other = node.clone();
    // The only thread for computing is busy, so no write gets further than to its beginning.
    let busy = tokio::spawn(async move { other.foreground().run(move || stands.recv()).await });
    let waits = node.write(&docs, upsert(1), 10);
    let crashes = async {
        while node.shared.namespaces().is_empty() {
            tokio::task::yield_now().await;
        }
        let hosted = Arc::downgrade(node.shared.namespaces().get(&docs).unwrap());
        assert_eq!(node.hand(&docs, |_| panic!("on purpose")).map(|_| ()), Err(Crashed));
        while hosted.strong_count() > 0 {
            tokio::task::yield_now().await;
        }
    };
    let (waited, ()) = tokio::join!(waits, crashes);
    assert_eq!(waited.unwrap_err(), Crashed);
    go_on.send(()).unwrap();
    busy.await.unwrap().unwrap().unwrap();
    assert_eq!(node.describe(&docs).await.unwrap().unwrap_err(), QueryError::NoNamespace);
}

#[tokio::test]
async fn a_namespace_that_is_idle_indexed_and_swept_leaves_memory_and_comes_back() {
    let sweeps = Settings { sweep_every: Duration::from_millis(200), ..Settings::default() };
    let metrics = Arc::new(Metrics::new());
    let node = Node::start(MemoryStore::new().into(), 1 << 20, 1, sweeps, metrics);
    let docs = name("docs");
    node.write(&docs, upsert(1), 10).await.unwrap().unwrap();
    let hosted = node.shared.namespaces().get(&docs).cloned().unwrap();
    let now = node.shared.clock.now();
    assert!(!hosted.ends_if_idle(now), "somebody just asked for it");
    let later = now + hosted::IDLE_TIME;
    assert!(!hosted.ends_if_idle(later), "it has something to index");
    for _ in 0..200 {
        if hosted.ends_if_idle(later) {
            assert_eq!(count(&node, &docs).await, 1);
            assert_eq!(node.held().len(), 1, "the one that is over was forgotten");
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it never was idle");
}

/// Whoever held it went on with what was no more, until it was restarted.
#[tokio::test]
async fn a_namespace_whose_head_was_removed_is_gone_and_can_begin_again() {
    let (store, docs) = (MemoryStore::new(), name("docs"));
    let node = node(&store);
    node.write(&docs, upsert(1), 10).await.unwrap().unwrap();
    assert_eq!(count(&node, &docs).await, 1);
    store.perform(Request::Delete { key: layout::head(&docs) }).await;
    // Who meets it is told that nothing is known, and the next finds what there is.
    assert!(node.describe(&docs).await.is_err());
    assert_eq!(node.describe(&docs).await.unwrap().unwrap_err(), QueryError::NoNamespace);
    node.write(&docs, upsert(2), 10).await.unwrap().unwrap();
    assert_eq!(count(&node, &docs).await, 1);
}

#[tokio::test]
async fn names_without_a_namespace_take_no_memory() {
    let node = node(&MemoryStore::new());
    for n in 0..20 {
        let asked = node.describe(&name(&format!("none-{n}"))).await.unwrap();
        assert_eq!(asked.unwrap_err(), QueryError::NoNamespace);
    }
    let refused = node.write(&name("none"), WriteRequest::default(), 10).await.unwrap();
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(node.held(), []);
    let docs = name("docs");
    node.write(&docs, upsert(1), 10).await.unwrap().unwrap();
    assert_eq!(node.held().len(), 1, "one that is there is held");
    assert_eq!(count(&node, &docs).await, 1);
}

#[tokio::test]
async fn what_an_earlier_process_left_is_indexed() {
    let (store, docs) = (MemoryStore::new(), name("docs"));
    let metrics = Arc::new(Metrics::new());
    let settings = Settings { indexes: false, ..Settings::default() };
    let earlier = Node::start(store.clone().into(), 1 << 20, 1, settings, metrics);
    earlier.write(&docs, upsert(1), 10).await.unwrap().unwrap();
    let later = node(&store);
    later.round(|_, _| true).await;
    settled(&earlier, &docs).await;
}

/// Waits until everything is indexed.
async fn settled(node: &Node, namespace: &NamespaceName) {
    for _ in 0..200 {
        let head = node.describe(namespace).await.unwrap().unwrap();
        if head.live().is_some_and(|live| live.log.entries.is_empty()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the log was not indexed");
}

/// What a query of a node asks of the store, and where it was answered.
async fn cost(node: &Node, namespace: &NamespaceName, memory: Memory) -> (Counts, Reads) {
    let want = Want::rows(Rank::By(vec![]), 1_000, Include::All);
    let request = QueryRequest { filter: None, want, consistency: Consistency::Strong };
    let before = node.store_counts();
    let (answer, reads) = match memory {
        Memory::Used => node.query(namespace, request).await.unwrap().unwrap(),
        Memory::Unused => node.query_cold(namespace, request).await.unwrap().unwrap(),
    };
    assert!(matches!(answer.found, Found::Rows(rows) if rows.len() == 3));
    (node.store_counts().since(&before), reads)
}

#[tokio::test]
async fn after_a_purge_a_query_reads_the_store_again_as_often_as_the_first_one() {
    let (node, docs) = (node(&MemoryStore::new()), name("docs"));
    let missing = node.purge(&docs).await.unwrap();
    assert_eq!(missing, Err(QueryError::NoNamespace));
    for id in 0..3 {
        node.write(&docs, upsert(id), 10).await.unwrap().unwrap();
    }
    settled(&node, &docs).await;
    node.purge(&docs).await.unwrap().unwrap();
    let (first, _) = cost(&node, &docs, Memory::Used).await;
    assert!(first.gets >= 3, "the head, a directory, a page at least: {first:?}");
    let (warm, reads) = cost(&node, &docs, Memory::Used).await;
    assert_eq!((warm.gets, warm.not_modified, reads.misses), (1, 1, 0), "{warm:?}");
    node.purge(&docs).await.unwrap().unwrap();
    assert_eq!(node.cache_statistics().bytes, 0);
    let (again, reads) = cost(&node, &docs, Memory::Used).await;
    assert_eq!((again.gets, again.not_modified), (first.gets, 0));
    assert_eq!(reads.hits, 0);
}

#[tokio::test]
async fn a_cold_query_takes_nothing_from_memory_and_leaves_nothing_there() {
    let (node, docs) = (node(&MemoryStore::new()), name("docs"));
    for id in 0..3 {
        node.write(&docs, upsert(id), 10).await.unwrap().unwrap();
    }
    settled(&node, &docs).await;
    node.purge(&docs).await.unwrap().unwrap();
    let (cold, reads) = cost(&node, &docs, Memory::Unused).await;
    assert_eq!((reads.hits, node.cache_statistics().bytes), (0, 0));
    assert!(reads.misses > 0);
    let (first, _) = cost(&node, &docs, Memory::Used).await;
    assert_eq!(cold.gets, first.gets, "as if the node had just started");
    let (warm, _) = cost(&node, &docs, Memory::Used).await;
    assert_eq!(warm.gets, 1);
    let (cold_again, reads) = cost(&node, &docs, Memory::Unused).await;
    assert_eq!((cold_again.gets, reads.hits), (cold.gets, 0));
    let missing = QueryRequest {
        filter: None,
        want: Want::rows(Rank::By(vec![]), 1, Include::Nothing),
        consistency: Consistency::Strong,
    };
    let missing = node.query_cold(&name("none"), missing).await.unwrap();
    assert_eq!(missing.unwrap_err(), QueryError::NoNamespace);
}
