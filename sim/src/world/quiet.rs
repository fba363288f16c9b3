//! Once the faults have stopped, everything must get quiet: answers are given, logs indexed, and what
//! nobody names is gone. If it does not, [`waits`](super::waits) says who waits for what.
//!
//! In half of all worlds not every node is there to see it: some stay dead and some never reach the
//! store again. What is left is a *core*: of each namespace at least one node that serves clients, and
//! one that indexes. These must do it alone.

use std::sync::Arc;

use sana_engine::namespace::request::{Consistency, Include, QueryRequest, Rank, Want};

use crate::choices::{Scope, Site};
use crate::oracles::{Broken, Oracle};
use crate::story::{Act, Lane};
use crate::workload::Ask;
use crate::world::World;
use crate::world::fleet::Role;
use crate::world::profile::Fault;
use crate::world::size::is_large;

/// How long it may take, in milliseconds, where all calendars agree.
///
/// Who unlinks an object dates it by its own calendar, and who collects it looks at another. So trash
/// may lie there for as long as calendars are apart (X3: a wrong calendar wastes, and never loses).
/// That much longer it may take.
const PATIENCE: u64 = 900_000;
/// So often orphans may have to be looked for until all are gone.
const SWEEPS: u64 = 4;
/// So often everything may have to be listed until nothing is overlooked.
const SURVEYS: u64 = 2;
/// How long it must then stay quiet, in milliseconds.
const IDLE: u64 = 60_000;
/// Requests that a service may make in that time: it sweeps every few seconds in these worlds.
const IDLE_REQUESTS_MAX: u64 = 250;
/// Rounds that a query of these worlds takes, at most.
const ROUNDS_MAX: u64 = 8;
/// How often clients ask whom damage is told of that is long over, until they are answered.
const WORDS_MOST: u32 = 50;
/// How often it is looked at, in milliseconds.
const LOOK_EVERY: u64 = 5_000;
/// How often whoever is not settled looks again, in milliseconds.
const LOOK_AGAIN: u64 = 30_000;
/// How often it is looked at who is settled, in milliseconds.
const SETTLE_EVERY: u64 = 1_000;

/// How long nodes of a large world stay that are cut off for ever, in milliseconds: longer than any
/// request takes and any node stands still. They do nothing but try again, each for each of its
/// namespaces, which is nearly all that happens while a large world gets quiet in hours.
const CUT_OFF: u64 = 120_000;

/// What becomes of a node that is not in the core, by its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Away {
    Dead,
    CutOff,
}

/// What is not quiet yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Restless {
    /// A client waits for an answer.
    Client(usize),
    /// In a namespace there is something to be done.
    Space(usize),
}

impl World {
    pub(super) fn calm_down(&mut self) {
        self.is_faulty = false;
        self.weather.clear();
        self.tell(|| "the faults stop, and clients ask no more".to_owned());
        self.leave_core();
    }

    /// Lets the nodes go that are not in the core.
    fn leave_core(&mut self) {
        let mut away: Vec<Option<Away>> = (0..self.nodes.len())
            .map(|n| {
                self.choices.enter(Scope::Survivor(n as u32));
                let way = self.choices.choose(Site::Node, 3);
                [None, Some(Away::Dead), Some(Away::CutOff)][way].filter(|_| self.fleet.has_core)
            })
            .collect();
        for space in self.spaces.iter() {
            for is_needed in [Role::serves as fn(Role) -> bool, Role::flushes] {
                let mut fit = space.nodes.iter().filter(|n| is_needed(self.nodes[**n].role));
                let first = fit.clone().next();
                if fit.all(|n| away[*n].is_some())
                    && let Some(n) = first
                {
                    away[*n] = None;
                }
            }
        }
        for (n, away) in away.into_iter().enumerate() {
            match away {
                Some(Away::Dead) => {
                    self.activations.count(Fault::StayedDead);
                    self.tell(|| Act::Does(Lane::Node(n), "stays dead".to_owned()));
                    self.nodes[n].is_gone = true;
                    self.fall(n);
                }
                Some(Away::CutOff) => {
                    self.activations.count(Fault::CutOff);
                    self.tell(|| {
                        Act::Does(Lane::Node(n), "never reaches the store again".to_owned())
                    });
                    self.nodes[n].is_cut = true;
                }
                None => {}
            }
        }
    }

    pub(super) fn get_quiet(&mut self) -> Result<(), Broken> {
        let sweep = self.profile.settings.sweep_every.as_millis() as u64;
        let patience = PATIENCE + SWEEPS * sweep;
        let patience = patience + SURVEYS * self.fleet.survey_every;
        let until = self.now + patience + self.skew.most_at(self.now + 2 * patience);
        let mut at = 0;
        let mut cut_off = Some(self.now + CUT_OFF).filter(|_| is_large(self.spaces.len()));
        while self.now < until {
            if cut_off.take_if(|end| *end <= self.now).is_some() {
                self.take_cut_off_away()?;
            }
            let look = self.now + LOOK_EVERY;
            self.pass_until(look)?;
            if self.next_restless(&mut at).is_none() {
                return self.stay_quiet();
            }
        }
        Oracle::Live.broken(self.who_waits())
    }

    /// Nodes that never reach the store again are taken away. Whoever asked one was told by then that
    /// there is no answer.
    fn take_cut_off_away(&mut self) -> Result<(), Broken> {
        for n in 0..self.nodes.len() {
            if !self.nodes[n].is_cut || !self.nodes[n].is_up {
                continue;
            }
            let mut hosted = self.nodes[n].hosted.iter();
            let waits = hosted.find(|(_, hosted)| !hosted.tickets.is_empty()).map(|(s, _)| *s);
            Self::live_demand(waits.is_none(), || {
                let who = waits.map(|space| self.node_waits(n, space)).unwrap_or_default();
                format!("who asked a node that is cut off is not told so:\n{who}")
            })?;
            self.tell(|| Act::Does(Lane::Node(n), "is taken away".to_owned()));
            self.nodes[n].is_gone = true;
            self.fall(n);
        }
        Ok(())
    }

    /// Lets everything happen until this time.
    fn pass_until(&mut self, time: u64) -> Result<(), Broken> {
        while self.events.has_until(time) {
            self.happen()?;
        }
        self.now = self.now.max(time);
        Ok(())
    }

    /// Who has nothing to do must not keep asking the store.
    fn stay_quiet(&mut self) -> Result<(), Broken> {
        let (until, before) = (self.now + IDLE, self.requests);
        self.pass_until(until)?;
        let up = self.nodes.iter().filter(|node| node.is_up);
        let services: usize = up.map(|node| node.spaces.len()).sum();
        let requests = self.requests - before;
        Oracle::Live.demand(requests <= services as u64 * IDLE_REQUESTS_MAX, || {
            format!("{requests} requests in an idle minute, by {services} services")
        })
    }

    /// Where nothing goes wrong any more, whoever asks is answered: a client of each namespace looks at
    /// all there is. What it finds the witness checks.
    pub(super) fn have_last_words(&mut self) -> Result<(), Broken> {
        // In some worlds the store is too far away for the time that a query has.
        let settings = &self.profile.settings;
        let time = settings.query_time_max.min(settings.write_time_max).as_millis() as u64;
        self.is_quiet = self.profile.latency.1 * 2 * ROUNDS_MAX <= time;
        // What was damaged on its way may still be in a cache. Who finds it so drops it, and asks again.
        for _ in 0..WORDS_MOST {
            let before = self.activations.of(Fault::DamageTold);
            self.ask_all()?;
            if self.activations.of(Fault::DamageTold) == before {
                return if self.is_quiet { self.settle() } else { Ok(()) };
            }
        }
        Oracle::Live.broken("in a quiet world clients hear of damage again and again")
    }

    /// A client of each namespace looks at all there is, and is answered.
    fn ask_all(&mut self) -> Result<(), Broken> {
        for c in 0..self.spaces.len().min(self.clients.len()) {
            let Some(node) = self.servers(self.clients[c].space).first().copied() else { continue };
            let want = Want::rows(Rank::By(Vec::new()), 10_000, Include::All);
            let consistency = Consistency::Strong;
            let query = QueryRequest { filter: None, want, consistency };
            self.ask(c, node, Ask::Query(Arc::new(query)))?;
        }
        let until = self.now + IDLE;
        self.pass_until(until)?;
        let waits = self.clients.iter().any(|client| client.waiting.is_some());
        Oracle::Live.demand(!waits, || "a client of a quiet world was not answered".into())
    }

    /// Whoever indexes, has looked at the newest version and finds nothing to do is settled, if only
    /// until he looks again.
    fn settle(&mut self) -> Result<(), Broken> {
        let mut restless = Vec::new();
        for n in 0..self.nodes.len() {
            let node = &self.nodes[n];
            if node.is_up && !node.is_cut && node.role.indexes() {
                restless.extend(node.spaces.iter().map(|space| (n, *space)));
            }
        }
        // Whatever was begun before the faults stopped may have to run out of time first.
        let (until, mut look_at) = (self.now + PATIENCE, self.now);
        while !restless.is_empty() && self.now < until {
            // What was damaged on its way may still be in a cache: who meets it knows no more than before,
            // and drops it. So whoever wants to know looks again, as `sana compact` does.
            if look_at <= self.now {
                look_at += LOOK_AGAIN;
                self.look_all(&restless)?;
            }
            self.pass_until(self.now + SETTLE_EVERY)?;
            let now = self.now;
            restless.retain(|(n, space)| {
                let Some(hosted) = self.nodes[*n].hosted.get_mut(space) else { return false };
                // Whoever looks whether it is settled keeps it from being forgotten.
                hosted.asked_at = now;
                !hosted.service.is_settled()
            });
        }
        Oracle::Live.demand(restless.is_empty(), || {
            let all = restless.iter().map(|(n, space)| format!("node {n} of ns{space}"));
            format!("in a quiet world these are not settled: {:?}", all.collect::<Vec<_>>())
        })
    }

    /// These nodes look at these namespaces.
    fn look_all(&mut self, all: &[(usize, usize)]) -> Result<(), Broken> {
        for (n, space) in all.iter().copied() {
            let now = self.now;
            let hosted = self.host(n, space);
            hosted.asked_at = now;
            hosted.service.look();
            self.pump(n, space)?;
        }
        Ok(())
    }

    /// What is not quiet yet, from this place on and around. Whoever looks again begins where it was not
    /// quiet: only all that there is, one after the other, is quiet.
    pub(super) fn next_restless(&self, at: &mut usize) -> Option<Restless> {
        let (clients, all) = (self.clients.len(), self.clients.len() + self.spaces.len());
        for n in (*at..all).chain(0..*at) {
            let restless = if n < clients {
                self.clients[n].waiting.is_some().then_some(Restless::Client(n))
            } else {
                self.lacks(n - clients).is_some().then_some(Restless::Space(n - clients))
            };
            if restless.is_some() {
                *at = n;
                return restless;
            }
        }
        None
    }

    /// What a namespace still lacks.
    pub(super) fn lacks(&self, s: usize) -> Option<String> {
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
        self.unnamed(s).first().map(|key| format!("in ns{s} nobody names {key}"))
    }
}
