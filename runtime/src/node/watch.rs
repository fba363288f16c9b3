//! Finds what is left to be done in namespaces that nobody asks this node for.
//!
//! # Story
//!
//! 1. At the start the head of every namespace is read, and nothing more: an earlier process may have left
//!    a log that is not indexed, or trash that is due. Such a namespace is looked at.
//! 2. Then heads are read from time to time. Where something is left, and nothing has moved since a round
//!    ago, nobody else sees to it, and this node does.
//!
//! # Invariants
//!
//! - **W1** A store that does not answer for a while delays a round, and does not end it: it goes on
//!   where it was.
//! - **W2** What is indexed by those who wrote it is left to them: two nodes that index the same do
//!   the work twice. And a namespace with nothing to do is not brought into memory.

use core::time::Duration;
use std::collections::BTreeMap;

use sana_engine::base::name::NamespaceName;
use sana_engine::format::head::Head;
use sana_engine::format::layout;
use sana_engine::machine::Round;
use sana_engine::machine::drive::{Clock, fly};
use sana_engine::machine::request::{Reply, Request};
use sana_engine::service::left::{Progress, left};

use super::{Node, Page, listing};
use crate::clock;
use crate::compute::Crashed;

/// How far the upkeep had come where something was left.
type Left = BTreeMap<NamespaceName, Progress>;

/// The pause between two namespaces.
pub(super) const LOOK_PAUSE: Duration = Duration::from_millis(5);
/// The pause before a store is asked again that did not answer.
pub(super) const STORE_PAUSE: Duration = Duration::from_secs(5);
/// How long reading one head may take.
const TIME_MAX: Duration = Duration::from_secs(30);

impl Node {
    /// Sees to it that all namespaces are indexed, whoever writes to them, for as long as it runs.
    /// `every` is the pause between two rounds.
    pub async fn watch(&self, every: Duration) {
        let mut before = self.round(|_, _| true).await;
        loop {
            tokio::time::sleep(every).await;
            before = self.round(|name, left| before.get(name) == Some(left)).await;
        }
    }

    /// Reads the head of every namespace, and looks at those with something to do that are to be looked
    /// at. Says how far all of these are.
    pub(super) async fn round(&self, is_ours: impl Fn(&NamespaceName, &Progress) -> bool) -> Left {
        let (mut all, mut after) = (Left::new(), None);
        loop {
            let page = self.page(after.as_ref()).await;
            for name in &page.names {
                if let Some(left) = self.left(name).await {
                    if is_ours(name, &left) {
                        self.look_or_tell(name);
                    }
                    all.insert(name.clone(), left);
                }
                tokio::time::sleep(LOOK_PAUSE).await;
            }
            after = page.names.last().cloned().filter(|_| page.more);
            if after.is_none() {
                return all;
            }
        }
    }

    /// A page of names, however long the store takes for it (W1).
    async fn page(&self, after: Option<&NamespaceName>) -> Page {
        loop {
            match self.list("", after, listing::PAGE_MAX).await {
                Ok(page) => return page,
                Err(error) => tracing::warn!("namespaces could not be listed: {error}"),
            }
            tokio::time::sleep(STORE_PAUSE).await;
        }
    }

    /// How far the upkeep of a namespace has come, if something is left. What cannot be read now is read
    /// in the next round.
    async fn left(&self, name: &NamespaceName) -> Option<Progress> {
        left(&self.newest_head(name).await?, clock::wall_time(), &self.shared.settings)
    }

    /// The head of a namespace, if there is one and it can be read.
    pub(super) async fn newest_head(&self, name: &NamespaceName) -> Option<Head> {
        let key = layout::head(name);
        let clock = &self.shared.clock;
        let round = Round::ask(Request::get(key.clone()), clock.now() + TIME_MAX);
        let reply = fly(&self.shared.counted, clock, round).await.pop();
        let Some(Reply::Found { body, .. }) = reply else { return None };
        let head = Head::decode(&key, &body);
        head.inspect_err(|bad| tracing::error!("{bad}")).ok()
    }

    fn look_or_tell(&self, name: &NamespaceName) {
        let look = self.look(name);
        look.unwrap_or_else(|Crashed| tracing::error!("namespace {name} crashed"));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sana_engine::base::value::Raw;
    use sana_engine::namespace::request::{RawDocument, WriteRequest};
    use sana_engine::service::settings::Settings;

    use super::*;
    use crate::store::memory::MemoryStore;
    use crate::telemetry::Metrics;

    fn node(store: &MemoryStore, indexes: bool) -> Node {
        with(store, Settings { indexes, ..Settings::default() })
    }

    fn with(store: &MemoryStore, settings: Settings) -> Node {
        Node::start(store.clone().into(), 1 << 20, 1, settings, Arc::new(Metrics::new()))
    }

    async fn write(node: &Node, name: &NamespaceName, id: i128) {
        let documents = vec![RawDocument { id: Raw::Integer(id), attributes: vec![] }];
        let request = WriteRequest { upserts: Some(documents), ..WriteRequest::default() };
        node.write(name, request, 10).await.unwrap().unwrap();
    }

    async fn is_indexed(node: &Node, name: &NamespaceName) -> bool {
        let head = node.describe(name).await.unwrap().unwrap();
        head.live().unwrap().log.entries.is_empty()
    }

    #[tokio::test]
    async fn what_another_process_writes_later_is_indexed_again_and_again() {
        let (store, docs) = (MemoryStore::new(), NamespaceName::parse("docs").unwrap());
        let (writer, indexer) = (node(&store, false), node(&store, true));
        let watching = tokio::spawn(async move { indexer.watch(Duration::from_millis(20)).await });
        for id in 0..2 {
            // The first look at everything is over.
            tokio::time::sleep(Duration::from_millis(100)).await;
            write(&writer, &docs, id).await;
            let mut looks = 0;
            while !is_indexed(&writer, &docs).await {
                looks += 1;
                assert!(looks < 200, "write {id} was never indexed");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        watching.abort();
    }

    #[tokio::test]
    async fn only_what_nobody_indexes_for_a_round_is_looked_at() {
        let (store, docs) = (MemoryStore::new(), NamespaceName::parse("docs").unwrap());
        let (writer, indexer) = (node(&store, false), node(&store, true));
        write(&writer, &docs, 1).await;
        let again =
            |before: &Left, name: &NamespaceName, left: &Progress| before.get(name) == Some(left);
        let first = indexer.round(|name, left| again(&Left::new(), name, left)).await;
        assert_eq!(first.keys().collect::<Vec<_>>(), [&docs]);
        assert_eq!(indexer.held(), [], "its writer may be about to index it");
        assert_eq!(indexer.round(|name, left| again(&first, name, left)).await, first);
        assert_eq!(indexer.held().len(), 1);
        while !is_indexed(&writer, &docs).await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let third = indexer.round(|name, left| again(&first, name, left)).await;
        assert_eq!(third, Left::new(), "there is nothing left");
    }

    /// It stayed for as long as no process that indexes was restarted.
    #[tokio::test]
    async fn trash_of_a_process_that_ended_is_collected_by_those_that_run() {
        let (store, docs) = (MemoryStore::new(), NamespaceName::parse("docs").unwrap());
        let flushes = Settings { flush_after: Duration::ZERO, ..Settings::default() };
        let collects = Settings { trash_retention: Duration::ZERO, ..Settings::default() };
        let (ends, runs) = (with(&store, flushes), with(&store, collects));
        for id in 0..8 {
            write(&ends, &docs, id).await;
            while !ends.is_settled(&docs) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        let trash = async || {
            let head = runs.newest_head(&docs).await.unwrap();
            head.live().unwrap().trash.len()
        };
        assert_eq!((trash().await, runs.held()), (1, vec![]), "eight segments became one");
        drop(ends);
        assert_eq!(runs.round(|_, _| true).await.len(), 1);
        while trash().await > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(runs.round(|_, _| true).await, Left::new(), "nothing is left");
    }
}
