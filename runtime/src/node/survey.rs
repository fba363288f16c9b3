//! Finds objects that nobody names in namespaces that nobody uses.
//!
//! # Story
//!
//! A node that works for a namespace sweeps it before it leaves memory. But a process that is killed
//! takes along what it owed, and if nobody writes there again, nobody sweeps. So a node that indexes
//! lists all data when it starts, and then from time to time:
//!
//! 1. all objects, page by page, which come namespace by namespace;
//! 2. of each namespace its head, in a request after the listing (H4);
//! 3. if the listing shows what the head does not name, the namespace is taken up and swept when
//!    whatever is under way there has had its time.
//!
//! # Invariants
//!
//! - **S1** Nothing is deleted here: a survey only says where to sweep, and the sweep judges anew.
//! - **S2** A store that does not answer delays a survey. A head that cannot be read is left for the
//!   next one.

use core::time::Duration;

use sana_engine::base::name::{Key, NamespaceName};
use sana_engine::format::layout;
use sana_engine::machine::drive::Clock;
use sana_engine::ops::sweep;

use super::watch::{LOOK_PAUSE, STORE_PAUSE};
use super::{Node, listing};
use crate::compute::Crashed;

impl Node {
    /// Looks for what nobody names, now and every so often, for as long as it runs.
    pub async fn survey(&self, every: Duration) {
        loop {
            self.survey_once().await;
            tokio::time::sleep(every).await;
        }
    }

    /// Goes through all data once.
    pub async fn survey_once(&self) {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let (keys, more) = self.page_of_data(after.as_ref()).await;
            after = keys.last().cloned().filter(|_| more);
            for key in keys {
                let Some(name) = namespace_of(&key) else { continue };
                if let Some(before) = seen.first().and_then(namespace_of).filter(|b| *b != name) {
                    self.judge(&before, &core::mem::take(&mut seen)).await;
                }
                seen.push(key);
            }
            tokio::time::sleep(LOOK_PAUSE).await;
            if after.is_none() {
                break;
            }
        }
        if let Some(last) = seen.first().and_then(namespace_of) {
            self.judge(&last, &seen).await;
        }
    }

    /// A page of all data, however long the store takes for it.
    async fn page_of_data(&self, after: Option<&Key>) -> (Vec<Key>, bool) {
        loop {
            let (store, clock) = (&self.shared.counted, &self.shared.clock);
            match listing::ask(store, clock, layout::data(), after.cloned(), listing::PAGE).await {
                Ok((objects, more)) => {
                    return (objects.into_iter().map(|(key, _)| key).collect(), more);
                }
                Err(error) => tracing::warn!("data could not be listed: {error}"),
            }
            tokio::time::sleep(STORE_PAUSE).await;
        }
    }

    /// Takes up a namespace if its head does not name all that was seen of it.
    async fn judge(&self, name: &NamespaceName, seen: &[Key]) {
        tokio::time::sleep(LOOK_PAUSE).await;
        let Some(head) = self.newest_head(name).await else { return };
        if !sweep::finds_unnamed(seen, &head) {
            return;
        }
        tracing::debug!(namespace = %name, "there are objects that nobody names, or will be named");
        let now = self.shared.clock.now();
        let suspected = self.hand(name, |state| state.service.suspect(now));
        let begun = suspected.map(|(hosted, starts)| self.begin(&hosted, starts));
        begun.unwrap_or_else(|Crashed| tracing::error!("namespace {name} crashed"));
    }
}

fn namespace_of(key: &Key) -> Option<NamespaceName> {
    layout::parse_object(key).map(|(place, ..)| place.namespace)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sana_engine::base::value::Raw;
    use sana_engine::machine::drive::ObjectStore;
    use sana_engine::machine::request::{Reply, Request};
    use sana_engine::namespace::request::{RawDocument, WriteRequest};
    use sana_engine::service::settings::Settings;

    use super::*;
    use crate::store::memory::MemoryStore;
    use crate::telemetry::Metrics;

    fn node(store: &MemoryStore, settings: Settings) -> Node {
        Node::start(store.clone().into(), 1 << 20, 1, settings, Arc::new(Metrics::new()))
    }

    async fn write(node: &Node, name: &NamespaceName) {
        let documents = vec![RawDocument { id: Raw::Integer(1), attributes: vec![] }];
        let request = WriteRequest { upserts: Some(documents), ..WriteRequest::default() };
        node.write(name, request, 10).await.unwrap().unwrap();
    }

    async fn objects(store: &MemoryStore) -> usize {
        let request = Request::List { prefix: layout::data(), after: None, limit: 1_000 };
        let Reply::Listed { objects, .. } = store.perform(request).await else {
            panic!("a folder in memory is listed")
        };
        objects.len()
    }

    async fn until<F: Future<Output = bool>>(what: &str, is: impl Fn() -> F) {
        for _ in 0..400 {
            if is().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("{what}");
    }

    #[tokio::test]
    async fn data_of_a_namespace_that_was_deleted_goes_though_the_process_was_killed() {
        let store = MemoryStore::new();
        let (kept, gone) =
            (NamespaceName::parse("kept").unwrap(), NamespaceName::parse("gone").unwrap());
        let flushes = Settings { flush_after: Duration::ZERO, ..Settings::default() };
        let killed = node(&store, flushes);
        for name in [&kept, &gone] {
            write(&killed, name).await;
            until("it is never flushed", async || killed.is_settled(name)).await;
        }
        let all = objects(&store).await;
        killed.delete(&gone).await.unwrap().unwrap();
        drop(killed);
        let sweeps = Settings { sweep_every: Duration::from_millis(50), ..Settings::default() };
        let next = node(&store, sweeps);
        next.survey_once().await;
        let held: Vec<_> = next.held().into_iter().map(|held| held.name).collect();
        assert_eq!(held, [gone], "where all is named there is nothing to do");
        until("it is never deleted", async || objects(&store).await == all / 2).await;
        let found = next.describe(&kept).await.unwrap().unwrap();
        assert!(found.names().len() == all / 2, "what is named stays");
    }
}
