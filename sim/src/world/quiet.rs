//! Once the faults have stopped, everything must get quiet: answers are given, logs indexed, and what
//! nobody names is gone. If it does not, this says who waits for what.

use std::collections::BTreeSet;
use std::sync::Arc;

use sana_engine::base::name::Key;
use sana_engine::format::layout;
use sana_engine::namespace::request::{Consistency, Include, QueryRequest, Rank, Want};

use crate::oracles::{Broken, Oracle, reachability};
use crate::workload::Ask;
use crate::world::World;

/// How long it may take, in milliseconds, where all calendars agree.
///
/// Who unlinks an object dates it by its own calendar, and who collects it looks at another. So trash
/// may lie there for as long as calendars are apart (X3: a wrong calendar wastes, and never loses).
/// That much longer it may take.
const PATIENCE: u64 = 900_000;
/// So often orphans may have to be looked for until all are gone.
const SWEEPS: u64 = 4;
/// How long it must then stay quiet, in milliseconds.
const IDLE: u64 = 60_000;
/// Requests that a service may make in that time: it sweeps every few seconds in these worlds.
const IDLE_REQUESTS_MAX: u64 = 250;
/// Rounds that a query of these worlds takes, at most.
const ROUNDS_MAX: u64 = 8;
/// How often it is looked at, in milliseconds.
const LOOK_EVERY: u64 = 5_000;

impl World {
    pub(super) fn get_quiet(&mut self) -> Result<(), Broken> {
        let sweep = self.profile.settings.sweep_every.as_millis() as u64;
        let until = self.now + PATIENCE + SWEEPS * sweep + self.skew.most();
        let mut restless = String::from("nothing was looked at");
        while self.now < until {
            let look = self.now + LOOK_EVERY;
            while self.events.first_key_value().is_some_and(|((at, _), _)| *at <= look) {
                self.happen()?;
            }
            self.now = self.now.max(look);
            match self.restless() {
                Some(why) => restless = why,
                None => return self.stay_quiet(),
            }
        }
        Oracle::Live.broken(restless)
    }

    /// Who has nothing to do must not keep asking the store.
    fn stay_quiet(&mut self) -> Result<(), Broken> {
        let (until, before) = (self.now + IDLE, self.requests);
        while self.events.first_key_value().is_some_and(|((at, _), _)| *at <= until) {
            self.happen()?;
        }
        self.now = self.now.max(until);
        let hosted: usize = self.nodes.iter().map(|node| node.hosted.len()).sum();
        let requests = self.requests - before;
        Oracle::Live.demand(requests <= hosted as u64 * IDLE_REQUESTS_MAX, || {
            format!("{requests} requests in an idle minute, by {hosted} services")
        })
    }

    /// Where nothing goes wrong any more, whoever asks is answered: a client of each namespace looks at
    /// all there is. What it finds the witness checks.
    pub(super) fn have_last_words(&mut self) -> Result<(), Broken> {
        // In some worlds the store is too far away for the time that a query has.
        let settings = &self.profile.settings;
        let time = settings.query_time_max.min(settings.write_time_max).as_millis() as u64;
        self.is_quiet = self.profile.latency.1 * 2 * ROUNDS_MAX <= time;
        for c in 0..self.spaces.len().min(self.clients.len()) {
            let nodes = &self.spaces[self.clients[c].space].nodes;
            let Some(node) = nodes.iter().copied().find(|n| self.nodes[*n].is_up) else { continue };
            let want = Want::rows(Rank::By(Vec::new()), 10_000, Include::All);
            let consistency = Consistency::Strong;
            let query = QueryRequest { filter: None, want, consistency };
            self.ask(c, node, Ask::Query(Arc::new(query)))?;
        }
        let until = self.now + IDLE;
        while self.events.first_key_value().is_some_and(|((at, _), _)| *at <= until) {
            self.happen()?;
        }
        let waits = self.clients.iter().any(|client| client.waiting.is_some());
        Oracle::Live.demand(!waits, || "a client of a quiet world was not answered".into())
    }

    /// What is not quiet yet.
    fn restless(&self) -> Option<String> {
        if let Some((c, client)) =
            self.clients.iter().enumerate().find(|(_, client)| client.waiting.is_some())
        {
            let waits = self.nodes.iter().enumerate().flat_map(|(n, node)| {
                let hosted = node.hosted.get(&client.space);
                let tasks = hosted.into_iter().flat_map(|hosted| hosted.tasks.values());
                tasks.map(move |running| format!("node {n}: {running:?}"))
            });
            let waits: Vec<String> = waits.map(|line| line.chars().take(400).collect()).collect();
            return Some(format!("client {c} waits for {:?}; {waits:#?}", client.waiting));
        }
        (0..self.spaces.len()).find_map(|space| self.restless_space(space))
    }

    fn restless_space(&self, s: usize) -> Option<String> {
        let space = &self.spaces[s];
        let head = space.witness.chain().head();
        if let Some(live) = head.and_then(|head| head.live()) {
            if !live.log.entries.is_empty() {
                return Some(format!("ns{s} has {} entries to index", live.log.entries.len()));
            }
            if !live.trash.is_empty() {
                return Some(format!("ns{s} has trash: {:?}", live.trash));
            }
        }
        let named: BTreeSet<Key> =
            head.map(|head| reachability::names(&space.name, head).collect()).unwrap_or_default();
        let prefix = layout::namespace_data(&space.name);
        let is_orphan = |key: &&Key| !named.contains(*key) && !self.weather.is_foreign(key);
        let orphan = self.store.keys_below(&prefix).find(is_orphan);
        orphan.map(|key| format!("ns{s}: nobody names {key}"))
    }
}
