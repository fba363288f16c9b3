//! Finds what there is to index in namespaces that nobody asks this node for.
//!
//! # Story
//!
//! 1. At the start every namespace is looked at: an earlier process may have left anything to be done.
//! 2. Then, from time to time, the head of every namespace is read and nothing more. Where something
//!    is not indexed, and no more of it is than a round ago, nobody else sees to it, and this node does.
//!
//! # Invariants
//!
//! - **W1** A store that does not answer for a while delays a round, and does not end it: it goes on
//!   where it was.
//! - **W2** What is indexed by those who wrote it is left to them: two nodes that index the same do
//!   the work twice. And a namespace with nothing to do is not brought into memory.

use core::time::Duration;
use std::collections::BTreeMap;

use sana_engine::base::id::Cursor;
use sana_engine::base::name::NamespaceName;
use sana_engine::format::head::Head;
use sana_engine::format::layout;
use sana_engine::machine::Round;
use sana_engine::machine::drive::{Clock, fly};
use sana_engine::machine::request::{Reply, Request};

use super::{Node, Page, listing};
use crate::compute::Crashed;

/// How far the logs were indexed that were not indexed to their end.
type Unindexed = BTreeMap<NamespaceName, Cursor>;

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
        self.look_at_all().await;
        let mut unindexed = Unindexed::new();
        loop {
            tokio::time::sleep(every).await;
            unindexed = self.look_at_what_is_left(&unindexed).await;
        }
    }

    /// Looks at every namespace once.
    pub async fn look_at_all(&self) {
        let mut after = None;
        loop {
            let page = self.page(after.as_ref()).await;
            for name in &page.names {
                self.look_or_tell(name);
                tokio::time::sleep(LOOK_PAUSE).await;
            }
            after = page.names.last().cloned().filter(|_| page.more);
            if after.is_none() {
                return;
            }
        }
    }

    /// Looks at the namespaces of which nothing was indexed since the last round, though there is
    /// something to index; says how far the others are.
    async fn look_at_what_is_left(&self, before: &Unindexed) -> Unindexed {
        let (mut unindexed, mut after) = (Unindexed::new(), None);
        loop {
            let page = self.page(after.as_ref()).await;
            for name in &page.names {
                if let Some(indexed) = self.indexed_so_far(name).await {
                    if before.get(name) == Some(&indexed) {
                        self.look_or_tell(name);
                    }
                    unindexed.insert(name.clone(), indexed);
                }
                tokio::time::sleep(LOOK_PAUSE).await;
            }
            after = page.names.last().cloned().filter(|_| page.more);
            if after.is_none() {
                return unindexed;
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

    /// How far the log of a namespace is indexed, if that is not to its end. What cannot be read now
    /// is read in the next round.
    async fn indexed_so_far(&self, name: &NamespaceName) -> Option<Cursor> {
        let head = self.newest_head(name).await?;
        head.live().filter(|live| !live.log.entries.is_empty()).map(|live| live.log.indexed)
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
        let settings = Settings { indexes, ..Settings::default() };
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
        let first = indexer.look_at_what_is_left(&Unindexed::new()).await;
        assert_eq!(first, Unindexed::from([(docs.clone(), Cursor(0))]));
        assert_eq!(indexer.held(), [], "its writer may be about to index it");
        assert_eq!(indexer.look_at_what_is_left(&first).await, first);
        assert_eq!(indexer.held().len(), 1);
        while !is_indexed(&writer, &docs).await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let third = indexer.look_at_what_is_left(&first).await;
        assert_eq!(third, Unindexed::new(), "there is nothing left");
    }
}
