//! Which namespaces there are: the heads that a listing shows to be live.

use core::time::Duration;

use sana_engine::base::limits::TOMBSTONE_BYTES_MAX;
use sana_engine::base::name::{Key, NamespaceName};
use sana_engine::format::layout;
use sana_engine::machine::Round;
use sana_engine::machine::drive::{Clock, ObjectStore, fly};
use sana_engine::machine::request::{Reply, Request};

/// Some namespaces, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// Their names.
    pub names: Vec<NamespaceName>,
    /// Whether there may be more behind the last.
    pub more: bool,
}

/// Namespaces could not be listed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the store does not answer; ask again")]
pub struct ListError;

/// The most names of a page, and the keys that are asked for at a time: tombstones are among them, and
/// there may be more of them than of names.
pub(super) const PAGE_MAX: usize = 1_000;
/// The same, as a request has it.
pub(super) const PAGE: u32 = PAGE_MAX as u32;
/// How long one request of a listing may take.
const TIME_MAX: Duration = Duration::from_secs(30);

/// The names that begin with `prefix` and come after `after`, at most `limit`.
pub(super) async fn list<S: ObjectStore, C: Clock>(
    store: &S,
    clock: &C,
    prefix: &str,
    after: Option<&NamespaceName>,
    limit: usize,
) -> Result<Page, ListError> {
    // Whoever lists all from the beginning comes across them first.
    let finds_dots = prefix.is_empty() && after.is_none();
    let mut dots = if finds_dots { Vec::new() } else { dots(store, clock, prefix, after).await? };
    // Where it stands among the names, which of those of dots is not where their keys do.
    let mut after = after.map(|after| layout::heads(after.as_str()));
    let mut names = Vec::new();
    loop {
        let (heads, more) = ask(store, clock, layout::heads(prefix), after, PAGE).await?;
        after = heads.last().map(|(key, _)| key.clone());
        let is_dots = |(key, _): &&(Key, u64)| key.as_str().starts_with(layout::dots().as_str());
        dots.extend(heads.iter().filter(|head| finds_dots && is_dots(head)).filter_map(live));
        for name in heads.iter().filter(|head| !is_dots(head)).filter_map(live) {
            let before = dots.partition_point(|dots| *dots < name);
            names.extend(dots.drain(..before));
            names.push(name);
            if names.len() > limit {
                names.truncate(limit);
                return Ok(Page { names, more: true });
            }
        }
        if !more || after.is_none() {
            names.append(&mut dots);
            let more = names.len() > limit;
            names.truncate(limit);
            return Ok(Page { names, more });
        }
    }
}

/// Those of `.` and `..` that a listing shows. Their keys stand elsewhere than their names would.
async fn dots<S: ObjectStore, C: Clock>(
    store: &S,
    clock: &C,
    prefix: &str,
    after: Option<&NamespaceName>,
) -> Result<Vec<NamespaceName>, ListError> {
    let shown =
        |name: &str| name.starts_with(prefix) && after.is_none_or(|after| after.as_str() < name);
    if !shown(".") && !shown("..") {
        return Ok(Vec::new());
    }
    let (heads, _) = ask(store, clock, layout::dots(), None, 2).await?;
    Ok(heads.iter().filter_map(live).filter(|name| shown(name.as_str())).collect())
}

/// The namespace of a register, if it lives: tombstones are short, live heads are not.
fn live((key, bytes): &(Key, u64)) -> Option<NamespaceName> {
    layout::namespace_of_head(key).filter(|_| *bytes > TOMBSTONE_BYTES_MAX as u64)
}

/// Asks for one key, whatever it is: whether the store answers.
pub(super) async fn reach<S: ObjectStore, C: Clock>(store: &S, clock: &C) -> Result<(), ListError> {
    ask(store, clock, layout::heads(""), None, 1).await.map(drop)
}

/// A page of keys with their sizes, and whether there may be more.
pub(super) async fn ask<S: ObjectStore, C: Clock>(
    store: &S,
    clock: &C,
    prefix: Key,
    after: Option<Key>,
    limit: u32,
) -> Result<(Vec<(Key, u64)>, bool), ListError> {
    let request = Request::List { prefix, after, limit };
    let round = Round::ask(request, clock.now() + TIME_MAX);
    match fly(store, clock, round).await.pop() {
        Some(Reply::Listed { objects, more }) => {
            Ok((objects.into_iter().map(|object| (object.key, object.bytes)).collect(), more))
        }
        _ => Err(ListError),
    }
}

#[cfg(test)]
mod tests {
    use sana_engine::machine::request::When;

    use super::*;
    use crate::clock::SystemClock;
    use crate::store::counted::Counted;
    use crate::store::memory::MemoryStore;

    async fn put(store: &MemoryStore, name: &str, bytes: usize) {
        let key = layout::head(&NamespaceName::parse(name).unwrap());
        let body = vec![0; bytes].into();
        let reply = store.perform(Request::Put { key, body, when: When::Absent }).await;
        assert!(matches!(reply, Reply::Stored { .. }));
    }

    #[tokio::test]
    async fn pages_show_live_namespaces_in_order_and_each_once() {
        let store = MemoryStore::new();
        for n in 0..50 {
            // Every third is a tombstone.
            let bytes = if n % 3 == 0 { TOMBSTONE_BYTES_MAX } else { TOMBSTONE_BYTES_MAX + 1 };
            put(&store, &format!("ns-{n:02}"), bytes).await;
        }
        put(&store, "other", 1_000).await;
        let (mut after, mut all) = (None, Vec::new());
        loop {
            let page = list(&store, &SystemClock, "ns-", after.as_ref(), 7).await.unwrap();
            assert!(page.names.len() <= 7);
            all.extend(page.names.iter().map(|name| name.as_str().to_owned()));
            after = page.names.last().cloned();
            if !page.more {
                break;
            }
        }
        let expected: Vec<_> =
            (0..50).filter(|n| n % 3 != 0).map(|n| format!("ns-{n:02}")).collect();
        assert_eq!(all, expected);
    }

    #[tokio::test]
    async fn names_of_dots_stand_among_the_others_where_they_belong() {
        let store = MemoryStore::new();
        let all = ["-", "-a", ".", "..", "...", ".a", "0", "a", "a."];
        for name in all {
            put(&store, name, 1_000).await;
        }
        for prefix in ["", ".", "..", "...", ".a", "-", "a", "x"] {
            let expected: Vec<_> =
                all.into_iter().filter(|name| name.starts_with(prefix)).collect();
            for limit in 1..=all.len() {
                let (mut listed, mut after) = (Vec::new(), None);
                loop {
                    let page =
                        list(&store, &SystemClock, prefix, after.as_ref(), limit).await.unwrap();
                    assert!(page.names.len() <= limit);
                    listed.extend(page.names.iter().map(|name| name.as_str().to_owned()));
                    after = page.names.last().cloned();
                    if !page.more {
                        break;
                    }
                }
                assert_eq!(listed, expected, "{prefix} by {limit}");
            }
        }
    }

    #[tokio::test]
    async fn many_tombstones_cost_few_requests_and_readiness_costs_one() {
        let store = MemoryStore::new();
        for n in 0..2_500 {
            put(&store, &format!("dead-{n:04}"), TOMBSTONE_BYTES_MAX).await;
        }
        put(&store, "live", TOMBSTONE_BYTES_MAX + 1).await;
        let store = Counted::new(store);
        let page = list(&store, &SystemClock, "", None, 1).await.unwrap();
        assert_eq!(page.names.len(), 1);
        assert_eq!(store.counts().lists, 3, "three pages of keys, the last of which has the name");
        reach(&store, &SystemClock).await.unwrap();
        assert_eq!(store.counts().lists, 4);
    }
}
