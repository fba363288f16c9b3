//! Whatever is done to an object, it is found.

use sana_engine::base::name::AttributeName;
use sana_engine::base::value::Raw;
use sana_engine::machine::request::When;
use sana_engine::namespace::request::{RawDocument, WriteRequest};
use sana_engine::service::settings::Settings;
use std::sync::Arc;

use super::*;
use crate::clock::SystemClock;
use crate::node::Node;
use crate::store::Store;
use crate::store::fs::FolderStore;
use crate::store::memory::MemoryStore;
use crate::telemetry::Metrics;

fn name() -> NamespaceName {
    NamespaceName::parse("a").unwrap()
}

fn documents(ids: core::ops::Range<i128>) -> WriteRequest {
    let text = AttributeName::parse("text").unwrap();
    let size = AttributeName::parse("size").unwrap();
    let document = |id: i128| RawDocument {
        id: Raw::Integer(id),
        attributes: vec![
            (text.clone(), Raw::Text(format!("text number {id}").into())),
            (size.clone(), Raw::Integer(id * 3)),
        ],
    };
    WriteRequest { upserts: Some(ids.map(document).collect()), ..WriteRequest::default() }
}

async fn write(store: &Store, requests: Vec<WriteRequest>, indexes: bool) {
    let settings = Settings { indexes, flush_after: Duration::ZERO, ..Settings::default() };
    let node = Node::start(store.clone(), 1 << 20, 1, settings, Arc::new(Metrics::new()));
    for request in requests {
        node.write(&name(), request, 100).await.unwrap().unwrap();
    }
    while indexes && !node.is_settled(&name()) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A store with a namespace that has two segments, one with kills, and something in its log.
async fn filled() -> Store {
    let store: Store = MemoryStore::new().into();
    write(&store, vec![documents(0..300)], true).await;
    let deletes = Some((0..50).map(Raw::Integer).collect());
    let deleting = WriteRequest { deletes, ..documents(300..320) };
    write(&store, vec![deleting], true).await;
    // Too large to stand in the head.
    write(&store, vec![documents(400..60_000)], false).await;
    store
}

async fn objects(store: &Store) -> Vec<Key> {
    let all = Request::List { prefix: Key::new(""), after: None, limit: 1_000 };
    let Reply::Listed { objects, .. } = store.perform(all).await else { panic!("no listing") };
    objects.into_iter().map(|object| object.key).collect()
}

async fn get(store: &Store, key: &Key) -> (Tag, Blob) {
    match store.perform(Request::get(key.clone())).await {
        Reply::Found { tag, body } => (tag, body),
        other => panic!("{other:?}"),
    }
}

async fn put(store: &Store, key: &Key, body: impl Into<Blob>) {
    let when = match store.perform(Request::get(key.clone())).await {
        Reply::Found { tag, .. } => When::Matches(tag),
        _ => When::Absent,
    };
    let body = body.into();
    let reply = store.perform(Request::Put { key: key.clone(), body, when }).await;
    assert!(matches!(reply, Reply::Stored { .. }), "{reply:?}");
}

async fn findings(store: &Store) -> Vec<String> {
    namespace(store, &SystemClock, &name()).await.unwrap().findings
}

#[tokio::test]
async fn what_was_written_is_whole_and_what_is_not_there_is_no_namespace() {
    let store = filled().await;
    let verified = namespace(&store, &SystemClock, &name()).await.unwrap();
    assert_eq!(verified.findings, [""; 0]);
    assert!(verified.is_live && verified.objects >= 4, "{verified:?}");
    let none = NamespaceName::parse("none").unwrap();
    let none = namespace(&store, &SystemClock, &none).await.unwrap();
    assert_eq!(none, Verified::default());
}

#[tokio::test]
async fn every_object_that_is_gone_cut_or_changed_is_found_and_named() {
    let store = filled().await;
    let keys = objects(&store).await;
    assert!(keys.len() >= 4, "a head, two segments and a log object: {keys:?}");
    for key in keys {
        let (_, body) = get(&store, &key).await;
        let named = |found: &[String]| found.iter().any(|finding| finding.contains(key.as_str()));
        // The end of a head is padding.
        let end = if key.as_str().starts_with("heads/") { body.len() / 2 } else { body.len() };
        for at in (0..end).step_by((end / 23).max(1)).chain([end - 1]) {
            let mut changed = body.as_slice().to_vec();
            changed[at] ^= 0x10;
            put(&store, &key, changed).await;
            let found = findings(&store).await;
            assert!(named(&found), "byte {at} of {key} was changed: {found:?}");
        }
        for kept in [0, 1, end / 2, end - 1] {
            put(&store, &key, body.as_slice()[..kept].to_vec()).await;
            let found = findings(&store).await;
            assert!(named(&found), "{key} was cut to {kept} bytes: {found:?}");
        }
        if !key.as_str().starts_with("heads/") {
            store.perform(Request::Delete { key: key.clone() }).await;
            let found = findings(&store).await;
            assert!(named(&found), "{key} was deleted: {found:?}");
        }
        put(&store, &key, body).await;
        assert_eq!(findings(&store).await, [""; 0]);
    }
}

#[tokio::test]
async fn a_head_that_a_folder_cannot_read_back_is_damage_and_not_an_absence() {
    let path = std::env::temp_dir().join(format!("sana-verify-{:032x}", crate::entropy::seed()));
    let store: Store = FolderStore::open(&path).unwrap().into();
    write(&store, vec![documents(0..3)], false).await;
    assert_eq!(findings(&store).await, [""; 0]);
    let file = path.join("heads/a@");
    let whole = std::fs::read(&file).unwrap();
    // One bit in the header of each slot; the newest version is in one of them.
    let slot = (whole.len() - 4096) / 2;
    let mut changed = whole.clone();
    for at in [4096 + 9, 4096 + slot + 9] {
        changed[at] ^= 1;
    }
    std::fs::write(&file, changed).unwrap();
    let verified = namespace(&store, &SystemClock, &name()).await.unwrap();
    assert!(verified.is_live, "{verified:?}");
    assert!(verified.findings[0].contains("heads/a cannot be read back"), "{verified:?}");
    std::fs::remove_dir_all(&path).unwrap();
}

/// Makes a head wrong.
type Change = fn(&mut Live);

#[tokio::test]
async fn a_head_that_counts_wrong_is_found() {
    let store = filled().await;
    let key = layout::head(&name());
    let (_, body) = get(&store, &key).await;
    let head = Head::decode(&key, &body).unwrap();
    let with = |change: Change| {
        let mut head = head.clone();
        let sana_engine::format::head::State::Live(live) = &mut head.state else { panic!() };
        change(live);
        head.encode()
    };
    let wrong: [(&str, Change); 4] = [
        ("documents live", |live| live.manifest.live_rows -= 1),
        ("G2", |live| live.log.bytes_committed += 1),
        ("operations", |live| live.log.entries[0].operations += 1),
        ("is to be deleted", |live| {
            let name = live.manifest.segments[0].parts[0].name;
            live.trash.push(sana_engine::format::head::Trash {
                retired: live.created,
                at: live.created_at,
                names: vec![(Family::Segment, name)],
            });
        }),
    ];
    for (said, change) in wrong {
        put(&store, &key, with(change)).await;
        let found = findings(&store).await;
        assert!(found.iter().any(|finding| finding.contains(said)), "{said}: {found:?}");
    }
}
