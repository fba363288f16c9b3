//! Tells whether a store answers as `sana_engine::machine::request` says.
//!
//! Whoever implements [`ObjectStore`] runs [`check`] on it, in a test on a Tokio runtime with several
//! threads, [`check_tags_never_return`] if its tags are not derived from contents, and
//! [`check_any_name`] if it takes any text as a key:
//!
//! ```
//! # use sana_runtime::store::memory::MemoryStore;
//! # let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
//! # runtime.block_on(async {
//! sana_tests::conformance::check(MemoryStore::new).await;
//! # });
//! ```
//!
//! The store must be well: a reply that is [`Reply::Lost`] or [`Reply::Throttled`] fails the suite.

use std::collections::BTreeSet;

use sana_engine::base::blob::Blob;
use sana_engine::base::name::Key;
use sana_engine::machine::drive::ObjectStore;
use sana_engine::machine::request::{ByteRange, Listed, Reply, Request, Tag, When};
use tokio::task::JoinSet;

/// What can be checked: a store whose clones are handles to the same objects.
pub trait Subject: ObjectStore + Clone + Send + Sync + 'static {}

impl<S: ObjectStore + Clone + Send + Sync + 'static> Subject for S {}

/// Runs every case on an empty store made for it.
///
/// # Panics
///
/// If the store answers otherwise than it should. The message says what was asked.
pub async fn check<S: Subject>(make: impl Fn() -> S + Send + Sync) {
    what_is_stored_is_found(&make()).await;
    a_missing_object_is_missing(&make()).await;
    a_version_is_recognized(&make()).await;
    a_range_is_cut_at_the_end(&make()).await;
    conditions_are_judged(&make()).await;
    a_deletion_is_complete(&make()).await;
    bodies_of_any_size_are_kept(&make()).await;
    listings_name_what_is_there_in_order(&make()).await;
    pages_are_bounded_and_complete(&make()).await;
    names_are_kept_apart(&make(), &decent_keys()).await;
    for round in 0..ROUNDS {
        one_of_many_writers_wins(&make(), round).await;
    }
    no_increment_is_lost(&make()).await;
}

/// Checks that the store takes any text as a key, also what stands for folders elsewhere. The keys of
/// Sana are decent: no store has to do this.
///
/// # Panics
///
/// If the store does not, or takes one key for another.
pub async fn check_any_name<S: Subject>(make: impl Fn() -> S + Send + Sync) {
    let keys = [decent_keys(), indecent_keys()].concat();
    names_are_kept_apart(&make(), &keys).await;
}

/// Checks that tags name versions and not contents: a deleted object that is written again, and
/// content that comes back, have new tags.
///
/// # Panics
///
/// If a tag comes back.
pub async fn check_tags_never_return<S: Subject>(make: impl Fn() -> S + Send + Sync) {
    let store = make();
    let mut tags = BTreeSet::new();
    for when in [When::Absent, When::Fresh, When::Absent] {
        let mut tag = stored(put(&store, "a", "one", when).await);
        assert!(tags.insert(tag.clone()), "the tag {tag:?} came back with the object");
        for content in ["two", "one", "one"] {
            let next = put(&store, "a", content, When::Matches(tag.clone())).await;
            tag = stored(next);
            assert!(tags.insert(tag.clone()), "the tag {tag:?} came back with its content");
        }
        delete(&store, "a").await;
    }
    stored(put(&store, "a", "one", When::Absent).await);
    for tag in tags {
        let late = put(&store, "a", "late", When::Matches(tag)).await;
        assert_eq!(late, Reply::Refused, "a put on a version of an earlier life");
    }
}

/// How often a race is run.
const ROUNDS: usize = 10;
/// How many writers race.
const WRITERS: usize = 50;
/// How many tasks count together, and how far each.
const COUNTERS: u64 = 8;
const INCREMENTS: u64 = 25;

async fn what_is_stored_is_found<S: Subject>(store: &S) {
    for (key, when) in [("absent", When::Absent), ("fresh", When::Fresh)] {
        let tag = stored(put(store, key, "body", when).await);
        assert_eq!(get(store, key).await, (tag.clone(), Blob::from(b"body".to_vec())), "{key}");
        let next = stored(put(store, key, "next", When::Matches(tag.clone())).await);
        assert_ne!(tag, next, "{key}: another version has another tag");
        assert_eq!(get(store, key).await, (next, Blob::from(b"next".to_vec())), "{key}");
    }
}

async fn a_missing_object_is_missing<S: Subject>(store: &S) {
    stored(put(store, "a/b", "body", When::Fresh).await);
    for key in ["a", "a/", "a/b/c", "a/bb", "b"] {
        assert_eq!(store.perform(Request::get(Key::new(key))).await, Reply::Missing, "{key}");
        let range = Some(ByteRange { start: 0, end: 1 });
        let unless = Some(Tag::new("none"));
        let request = Request::Get { key: Key::new(key), range, unless };
        assert_eq!(store.perform(request).await, Reply::Missing, "{key}, in part");
    }
}

async fn a_version_is_recognized<S: Subject>(store: &S) {
    for (key, when) in [("absent", When::Absent), ("fresh", When::Fresh)] {
        let old = stored(put(store, key, "one", when).await);
        let ask = |unless: &Tag, range| Request::Get {
            key: Key::new(key),
            range,
            unless: Some(unless.clone()),
        };
        let part = Some(ByteRange { start: 1, end: 2 });
        assert_eq!(store.perform(ask(&old, None)).await, Reply::NotModified, "{key}");
        assert_eq!(store.perform(ask(&old, part)).await, Reply::NotModified, "{key}, in part");
        let new = stored(put(store, key, "two", When::Matches(old.clone())).await);
        let found = |body: &str| Reply::Found { tag: new.clone(), body: blob(body) };
        assert_eq!(store.perform(ask(&old, None)).await, found("two"), "{key} was changed");
        assert_eq!(store.perform(ask(&old, part)).await, found("w"), "{key} was changed, in part");
        let foreign = Tag::new("a tag of nobody");
        assert_eq!(store.perform(ask(&foreign, None)).await, found("two"), "{key}, foreign tag");
    }
}

async fn a_range_is_cut_at_the_end<S: Subject>(store: &S) {
    for (key, when) in [("absent", When::Absent), ("fresh", When::Fresh)] {
        let tag = stored(put(store, key, "0123456789", when).await);
        for (start, end, part) in [
            (0, 10, "0123456789"),
            (0, 1, "0"),
            (3, 7, "3456"),
            (9, 10, "9"),
            (8, 11, "89"),
            (0, u64::MAX, "0123456789"),
            (10, 12, ""),
            (11, 12, ""),
            (u64::MAX - 1, u64::MAX, ""),
            (4, 4, ""),
        ] {
            let request = Request::get_range(Key::new(key), ByteRange { start, end });
            let found = Reply::Found { tag: tag.clone(), body: blob(part) };
            assert_eq!(store.perform(request).await, found, "{key}, bytes {start} to {end}");
        }
    }
}

async fn conditions_are_judged<S: Subject>(store: &S) {
    let nobody = Tag::new("a tag of nobody");
    let refused = put(store, "a", "x", When::Matches(nobody.clone())).await;
    assert_eq!(refused, Reply::Refused, "a put on a version of a missing object");
    assert_eq!(store.perform(Request::get(Key::new("a"))).await, Reply::Missing);

    let first = stored(put(store, "a", "one", When::Absent).await);
    let second = stored(put(store, "a", "two", When::Matches(first.clone())).await);
    for when in [When::Absent, When::Fresh, When::Matches(first), When::Matches(nobody)] {
        let reply = put(store, "a", "x", when.clone()).await;
        assert_eq!(reply, Reply::Refused, "a put {when:?} on an object at {second:?}");
        assert_eq!(get(store, "a").await, (second.clone(), blob("two")), "after {when:?}");
    }
    // The version of one object says nothing about another.
    stored(put(store, "b", "one", When::Absent).await);
    let reply = put(store, "b", "x", When::Matches(second)).await;
    assert_eq!(reply, Reply::Refused, "a put on the version of another object");
}

async fn a_deletion_is_complete<S: Subject>(store: &S) {
    delete(store, "a").await;
    for when in [When::Absent, When::Fresh] {
        let tag = stored(put(store, "a", "one", when).await);
        stored(put(store, "a/b", "beside", When::Fresh).await);
        delete(store, "a").await;
        delete(store, "a").await;
        assert_eq!(store.perform(Request::get(Key::new("a"))).await, Reply::Missing);
        let late = put(store, "a", "two", When::Matches(tag)).await;
        assert_eq!(late, Reply::Refused, "a put on a version that was deleted");
        assert_eq!(names(&list(store, "", None, 9).await.0), ["a/b"]);
        delete(store, "a/b").await;
        assert_eq!(list(store, "", None, 9).await, (vec![], false));
    }
}

async fn bodies_of_any_size_are_kept<S: Subject>(store: &S) {
    let sizes = [0, 1, 4_000, 4_096, 5_000, 70_000, 140_000, 1 << 20, 3, 0, 5 << 20, 2_000];
    let mut tag = None;
    for (index, bytes) in sizes.into_iter().enumerate() {
        let body = patterned(bytes, index);
        let when = tag.map_or(When::Absent, When::Matches);
        let request = Request::Put { key: Key::new("register"), body: body.clone(), when };
        let next = stored(store.perform(request).await);
        assert_eq!(get(store, "register").await, (next.clone(), body.clone()), "{bytes} bytes");
        tag = Some(next);
        let key = format!("fresh/{index}");
        let fresh =
            stored(store.perform(Request::create(Key::new(key.clone()), body.clone())).await);
        assert_eq!(get(store, &key).await, (fresh, body.clone()), "{bytes} bytes");
        let range = ByteRange { start: bytes as u64 / 3, end: bytes as u64 / 2 };
        let reply = store.perform(Request::get_range(Key::new(key), range)).await;
        let Reply::Found { body: part, .. } = reply else { panic!("{reply:?}") };
        assert_eq!(body.slice(bytes / 3, bytes / 2), Some(part), "a part of {bytes} bytes");
        let listed = list(store, "register", None, 1).await.0;
        assert_eq!(listed[0].bytes, bytes as u64, "a listing tells the size");
        let listed = list(store, &format!("fresh/{index}"), None, 1).await.0;
        assert_eq!(listed[0].bytes, bytes as u64, "a listing tells the size");
    }
}

async fn listings_name_what_is_there_in_order<S: Subject>(store: &S) {
    check_listings(store, &plain_keys(), &["", "d", "d/", "d/a", "d/a/", "d/b", "e", "z"]).await;
}

async fn names_are_kept_apart<S: Subject>(store: &S, keys: &[String]) {
    check_listings(store, keys, &["", "n", "n/", "n/.", "n/A", "n/a", "n/%", "n/x", "."]).await;
    for (index, key) in keys.iter().enumerate() {
        assert_eq!(get(store, key).await.1, patterned(index, index), "{key}");
    }
    for (index, key) in keys.iter().enumerate() {
        delete(store, key).await;
        let left = names(&list(store, "", None, 1_000).await.0).len();
        assert_eq!(left, keys.len() - index - 1, "deleting {key} deletes one object");
    }
}

/// Creates these objects and lists them by every prefix, from every key on, and in pages.
async fn check_listings<S: Subject>(store: &S, keys: &[String], prefixes: &[&str]) {
    for (index, key) in keys.iter().enumerate() {
        let body = patterned(index, index);
        let when = if index % 2 == 0 { When::Fresh } else { When::Absent };
        let request = Request::Put { key: Key::new(key.clone()), body, when };
        stored(store.perform(request).await);
    }
    let mut sorted: Vec<Listed> = Vec::new();
    for (index, key) in keys.iter().enumerate() {
        sorted.push(Listed { key: Key::new(key.clone()), bytes: index as u64 });
    }
    sorted.sort();
    for prefix in prefixes {
        let begins = |listed: &&Listed| listed.key.as_str().starts_with(prefix);
        let all: Vec<Listed> = sorted.iter().filter(begins).cloned().collect();
        assert_eq!(list(store, prefix, None, 1_000).await, (all.clone(), false), "of {prefix:?}");
        for after in sorted.iter().map(|listed| listed.key.as_str()).chain(["", "n/0", "zz"]) {
            let mut rest = all.clone();
            rest.retain(|listed| listed.key.as_str() > after);
            let page = list(store, prefix, Some(after), 1_000).await;
            assert_eq!(page, (rest, false), "of {prefix:?} after {after:?}");
        }
        for limit in 1..4 {
            assert_eq!(in_pages(store, prefix, limit).await, all, "of {prefix:?} by {limit}");
        }
    }
}

async fn pages_are_bounded_and_complete<S: Subject>(store: &S) {
    assert_eq!(list(store, "", None, 10).await, (vec![], false), "of an empty store");
    for key in ["a/1", "a/2", "a/3", "b"] {
        stored(put(store, key, "", When::Fresh).await);
    }
    let (page, more) = list(store, "a/", None, 2).await;
    assert!(page.len() <= 2 && more, "a page of two out of three");
    assert_eq!(in_pages(store, "a/", 3).await.len(), 3);
    let (page, _) = list(store, "a/", Some("a/3"), 2).await;
    assert_eq!(page, [], "nothing comes after the last");
}

async fn one_of_many_writers_wins<S: Subject>(store: &S, round: usize) {
    let matches = {
        let tag = stored(put(store, "matches", "before", When::Absent).await);
        When::Matches(tag)
    };
    // Bodies of two sizes: some fit where the first version was, some may not.
    for (key, when) in [("absent", When::Absent), ("fresh", When::Fresh), ("matches", matches)] {
        let mut race = JoinSet::new();
        for writer in 0..WRITERS {
            let body = patterned(8 + 6_000 * (writer % 2), writer);
            let request =
                Request::Put { key: Key::new(key), body: body.clone(), when: when.clone() };
            let store = store.clone();
            race.spawn(async move { (store.perform(request).await, body) });
        }
        let mut winners = Vec::new();
        for (reply, body) in race.join_all().await {
            match reply {
                Reply::Stored { tag } => winners.push((tag, body)),
                reply => assert_eq!(reply, Reply::Refused, "{key}, round {round}"),
            }
        }
        assert_eq!(winners.len(), 1, "round {round}: one of {WRITERS} writers wins {key}");
        assert_eq!(get(store, key).await, winners[0], "round {round}: the winner is found");
    }
}

async fn no_increment_is_lost<S: Subject>(store: &S) {
    let mut counters = JoinSet::new();
    for _ in 0..COUNTERS {
        let store = store.clone();
        counters.spawn(async move { count(&store, "counter", INCREMENTS).await });
    }
    counters.join_all().await;
    let total = number(&get(store, "counter").await.1);
    assert_eq!(total, COUNTERS * INCREMENTS, "every increment counts once");
}

/// Adds one to the number in a register, `increments` times, against whoever else does. A register
/// that is missing is zero. Between increments the number must never go back.
///
/// # Panics
///
/// If the store answers otherwise than it should.
pub async fn count<S: ObjectStore>(store: &S, key: &str, increments: u64) {
    let mut done = 0;
    let mut seen = 0;
    while done < increments {
        let (when, before) = match store.perform(Request::get(Key::new(key))).await {
            Reply::Missing => (When::Absent, 0),
            Reply::Found { tag, body } => (When::Matches(tag), number(&body)),
            reply => panic!("reading {key}: {reply:?}"),
        };
        assert!(before >= seen, "the number went back from {seen} to {before}");
        seen = before;
        let body = Blob::from((before + 1).to_le_bytes().to_vec());
        match store.perform(Request::Put { key: Key::new(key), body, when }).await {
            Reply::Stored { .. } => {
                done += 1;
                seen = before + 1;
            }
            Reply::Refused => {}
            reply => panic!("writing {key}: {reply:?}"),
        }
    }
}

/// The number that [`count`] keeps.
///
/// # Panics
///
/// If it is none.
pub fn number(body: &Blob) -> u64 {
    let bytes = body.as_slice().try_into();
    u64::from_le_bytes(bytes.expect("a number is eight bytes, unless the store cut it"))
}

fn plain_keys() -> Vec<String> {
    ["c", "d", "d-", "d-/a", "d/a", "d/a-", "d/a.b", "d/a/1", "d/a/2", "d/a0", "d/b", "d0", "e/f/g"]
        .map(str::to_owned)
        .to_vec()
}

/// Names that some stores confuse with one another: of any text, of parts that name something.
fn decent_keys() -> Vec<String> {
    let mut keys: Vec<String> = [
        "n",
        "n/a",
        "n/A",
        "n/a/b",
        "n/A/b",
        "n/a.",
        "n/a ",
        "n/ a",
        "n/a%2Fb",
        "n/a%2fb",
        "n/%",
        "n/%41",
        "n/%2e",
        "n/%2e%2e",
        "n/a@",
        "n/@",
        "n/a+",
        "n/+",
        "n/a~",
        "n/.tmp",
        ".tmp/a",
        "n/con",
        "n/NUL",
        "n/a:b",
        "n/a&b",
        "n/a?b",
        "n/a#b",
        "n/<a>",
        "n/\"a\"",
        "n/a;b",
        "n/a=b",
        "n/*",
        "n/ä",
        "n/a\u{308}",
        "n/\u{1f980}",
        "n/-rf",
        "n/...",
    ]
    .map(str::to_owned)
    .to_vec();
    for bytes in [79, 80, 81, 127, 128, 160, 240] {
        let long = "x".repeat(bytes);
        keys.extend([format!("n/{long}"), format!("n/{long}/b"), format!("n/{long}-")]);
    }
    keys.push(format!("n/{}", "Ä".repeat(100)));
    keys
}

/// Names that addresses cannot express, that do not fit into a line, or that are very long.
fn indecent_keys() -> Vec<String> {
    let mut keys: Vec<String> = [
        ".", "..", "n/.", "n/..", "n/../n", "n/./n", "n/a/", "n/a//b", "n/a\\b", "n/\u{7f}",
        "n/\t", "n/a\nb",
    ]
    .map(str::to_owned)
    .to_vec();
    for bytes in [255, 256, 900] {
        let long = "x".repeat(bytes);
        keys.extend([format!("n/{long}"), format!("n/{long}/b"), format!("n/{long}-")]);
    }
    keys.push(format!("n/{}", "Ä".repeat(200)));
    keys
}

/// `bytes` bytes, different for every `seed`.
fn patterned(bytes: usize, seed: usize) -> Blob {
    let byte = |at: usize| (at.wrapping_mul(31) ^ (at >> 8) ^ seed.wrapping_mul(97)) as u8;
    Blob::from((0..bytes).map(byte).collect::<Vec<u8>>())
}

fn blob(body: &str) -> Blob {
    Blob::from(body.as_bytes().to_vec())
}

async fn put<S: ObjectStore>(store: &S, key: &str, body: &str, when: When) -> Reply {
    store.perform(Request::Put { key: Key::new(key), body: blob(body), when }).await
}

fn stored(reply: Reply) -> Tag {
    match reply {
        Reply::Stored { tag } => tag,
        reply => panic!("a put whose condition held was answered {reply:?}"),
    }
}

async fn get<S: ObjectStore>(store: &S, key: &str) -> (Tag, Blob) {
    match store.perform(Request::get(Key::new(key))).await {
        Reply::Found { tag, body } => (tag, body),
        reply => panic!("reading {key}, which is there, was answered {reply:?}"),
    }
}

async fn delete<S: ObjectStore>(store: &S, key: &str) {
    let reply = store.perform(Request::Delete { key: Key::new(key) }).await;
    assert_eq!(reply, Reply::Deleted, "deleting {key}");
}

async fn list<S: ObjectStore>(
    store: &S,
    prefix: &str,
    after: Option<&str>,
    limit: u32,
) -> (Vec<Listed>, bool) {
    let (prefix, after) = (Key::new(prefix), after.map(Key::new));
    match store.perform(Request::List { prefix, after, limit }).await {
        Reply::Listed { objects, more } => (objects, more),
        reply => panic!("a listing was answered {reply:?}"),
    }
}

/// The whole listing, page by page.
async fn in_pages<S: ObjectStore>(store: &S, prefix: &str, limit: u32) -> Vec<Listed> {
    let mut all: Vec<Listed> = Vec::new();
    loop {
        let after = all.last().map(|listed| listed.key.as_str().to_owned());
        let (page, more) = list(store, prefix, after.as_deref(), limit).await;
        assert!(page.len() <= limit as usize, "a page of at most {limit}");
        assert!(!page.is_empty() || !more, "a page without names does not lead on");
        all.extend(page);
        if !more {
            return all;
        }
    }
}

fn names(listed: &[Listed]) -> Vec<&str> {
    listed.iter().map(|listed| listed.key.as_str()).collect()
}
