//! Clients: what each asks, of whom, and what it makes of the answer.

use std::collections::BTreeSet;
use std::sync::Arc;

use sana_engine::namespace::request::{
    Answer, Consistency, QueryError, QueryRequest, WriteError, WriteOutcome, WriteRequest,
};
use sana_engine::service::namespace::{Ticket, Word};

use crate::choices::{Scope, Site};
use crate::model::{Change, Contents};
use crate::oracles::linearizability::{OpId, Told};
use crate::oracles::{Broken, Oracle};
use crate::phrases;
use crate::story::{Act, Lane};
use crate::words;
use crate::workload::Ask;
use crate::world::damage::Damaged;
use crate::world::profile::Fault;
use crate::world::{Event, Space, World};

/// One client of one namespace, who asks one thing at a time.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Client {
    /// The namespace.
    pub space: usize,
    /// What it asked and was not told yet.
    pub waiting: Option<Waiting>,
    /// What it will ask again, under its key.
    again: Option<Ask>,
    /// How often it had its turn, and thought about the next.
    turns: u32,
    thoughts: u32,
}

/// A question without an answer.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Waiting {
    /// The number of the request.
    pub op: OpId,
    /// What it asked.
    pub ask: Ask,
}

impl Waiting {
    /// What is waited for.
    pub(super) fn in_words(&self) -> String {
        let Self { op, ask } = self;
        format!("request {op}, to {}", phrases::ask(ask))
    }
}

/// How long a client that asks nothing waits for its next turn, in milliseconds.
const SILENCE: u64 = 1_000;
/// Of a thousand requests of clients that are impatient, those that may be given up.
const GIVES_UP: u32 = 250;
/// What is remembered of the past, in milliseconds: longer than any query may lag behind.
const PAST_MOST: u64 = 200_000;

impl Client {
    /// A client that has not asked yet.
    pub const fn new(space: usize) -> Self {
        Self { space, waiting: None, again: None, turns: 0, thoughts: 0 }
    }
}

impl World {
    /// A client asks something.
    pub(super) fn client_goes_on(&mut self, c: usize) -> Result<(), Broken> {
        if !self.is_faulty || self.clients[c].waiting.is_some() {
            return Ok(());
        }
        let space = self.clients[c].space;
        let up = self.servers(space);
        if up.is_empty() {
            self.after(100, Event::Client(c));
            return Ok(());
        }
        self.clients[c].turns += 1;
        self.choices.enter(Scope::Turn(c as u32, self.clients[c].turns));
        let node = up[self.choices.choose(Site::Workload, up.len())];
        let paused = self.nodes[node].paused_until.saturating_sub(self.now);
        if paused > 0 {
            // The node takes nothing up, so the client waits before it has asked.
            self.after(paused, Event::Client(c));
            return Ok(());
        }
        let unique = u64::from(self.ops) + 1;
        let ask = match self.clients[c].again.take() {
            Some(ask) => {
                self.activations.count(Fault::Repeated);
                Some(ask)
            }
            None => self.profile.mix.ask(&mut self.choices, unique),
        };
        if let Some(ask) = ask {
            self.ask(c, node, ask)
        } else {
            self.after(SILENCE, Event::Client(c));
            Ok(())
        }
    }

    /// A client asks a node that listens.
    pub(super) fn ask(&mut self, c: usize, node: usize, ask: Ask) -> Result<(), Broken> {
        let space = self.clients[c].space;
        self.ops += 1;
        let op = self.ops;
        self.note(&ask);
        let local = self.nodes[node].clock.at(self.now);
        let earlier = self.earlier(space, node, &ask);
        self.host(node, space).asked_at = self.now;
        let Space { witness, history, .. } = &mut self.spaces[space];
        let monitor = &mut witness.monitor;
        let hosted = self.nodes[node].hosted.get_mut(&space).expect("it was just brought there");
        let ticket = Ticket(op.into());
        hosted.tickets.insert(ticket, c);
        match &ask {
            Ask::Write(request) => {
                let change = Change::Write(Arc::clone(request));
                history.begin(op, change.clone());
                monitor.change(|monitor| monitor.begin(op, change));
                hosted.service.write(local, ticket, (**request).clone(), 100);
            }
            Ask::Remove => {
                history.begin(op, Change::Remove);
                monitor.change(|monitor| monitor.begin(op, Change::Remove));
                hosted.service.delete(local, ticket);
            }
            Ask::Query(query) => {
                history.begin_query(op, query);
                monitor.change(|monitor| monitor.begin_stale_query(op, &earlier));
                hosted.service.query(local, ticket, (**query).clone());
            }
        }
        self.tell(|| {
            let (client, node, op) = (Lane::Client(c), Lane::Node(node), op.into());
            Act::Asks { client, node, op, text: phrases::ask(&ask) }
        });
        self.clients[c].waiting = Some(Waiting { op, ask });
        if self.is_faulty
            && self.profile.patience > 0
            && self.choices.chance(Site::Workload, GIVES_UP)
        {
            let patience = self.choices.between(Site::Delay, 1, self.profile.patience);
            self.after(patience, Event::GiveUp { client: c, op, node });
        }
        self.pump(node, space)
    }

    /// A client waits no longer. The node goes on with what it was asked, and nobody listens.
    pub(super) fn give_up(&mut self, c: usize, op: OpId, node: usize) {
        let waits = self.clients[c].waiting.as_ref().is_some_and(|waiting| waiting.op == op);
        if !waits || !self.is_faulty {
            return;
        }
        self.activations.count(Fault::GaveUp);
        self.tell(|| Act::Does(Lane::Client(c), format!("gives up waiting (#{op})")));
        let (space, life) = (self.clients[c].space, self.nodes[node].life);
        self.abandon(c, space, op, (node, life));
    }

    /// What a query may see beside the present, if it is content with less.
    fn earlier(&self, space: usize, node: usize, ask: &Ask) -> BTreeSet<Contents> {
        let Ask::Query(query) = ask else { return BTreeSet::new() };
        let Consistency::Eventual(most) = query.consistency else { return BTreeSet::new() };
        // How old an answer is the node's own clock says, at whatever rate it runs.
        let long = self.nodes[node].clock.longest(most.as_millis() as u64);
        let since = self.nodes[node].before(self.now, long);
        let past = &self.spaces[space].past;
        // The last state before that moment was still in force at it.
        let first = past.partition_point(|(at, _)| *at <= since).saturating_sub(1);
        past[first..].iter().map(|(_, contents)| contents.clone()).collect()
    }

    /// What could be recovered has changed.
    pub(super) fn remember(&mut self, space: usize, contents: Contents) {
        let now = self.now;
        let past = &mut self.spaces[space].past;
        past.push((now, contents));
        let old = past.partition_point(|(at, _)| at + PAST_MOST < now);
        past.drain(..old.saturating_sub(1));
    }

    /// A client is told what something came to, if it still wants to know.
    pub(super) fn deliver(
        &mut self,
        c: usize,
        node: usize,
        (op, word): (OpId, Word),
    ) -> Result<(), Broken> {
        let space = self.clients[c].space;
        self.note(&word);
        let Some(Waiting { ask, .. }) = self.clients[c].waiting.take_if(|waiting| waiting.op == op)
        else {
            self.misled.remove(&op);
            self.close(space);
            return Ok(());
        };
        self.tell(|| {
            let (client, node, op) = (Lane::Client(c), Lane::Node(node), op.into());
            let (text, is_good) = (phrases::word(&word), phrases::is_good(&word));
            Act::Told { client, node, op, text, is_good }
        });
        self.saw_word(space, op, &ask, &word);
        let damaged = self.told_of_damage(space, op, &word)?;
        let Space { witness, history, .. } = &mut self.spaces[space];
        let mut unknown = damaged == Some(Damaged::Unknown);
        let mut again = false;
        match (&ask, word) {
            _ if damaged.is_some() => {
                again =
                    unknown && matches!(&ask, Ask::Write(request) if request.idempotency.is_some());
            }
            (Ask::Write(request), Word::Written(outcome)) => {
                let said = words::said(&outcome);
                history.hear(op, &said);
                unknown = words::told(witness, op, &said)?;
                self.count_written(request, &outcome);
                let failed = matches!(outcome, Err(WriteError::Unavailable));
                again = (unknown || failed) && request.idempotency.is_some();
            }
            (Ask::Remove, Word::Deleted(outcome)) => {
                let told = match &outcome {
                    Ok(was_there) => Ok(*was_there),
                    Err(error) => Err(error),
                };
                let said = words::said_of_removal(told);
                history.hear(op, &said);
                unknown = words::told(witness, op, &said)?;
                if outcome == Ok(true) {
                    self.activations.count(Fault::Removed);
                }
            }
            (Ask::Query(query), Word::Answered(outcome)) => {
                self.answered(space, op, query, &outcome)?;
            }
            (ask, word) => {
                return Oracle::Sound.broken(format!("{ask:?} was answered by {word:?}"));
            }
        }
        let by = (node, self.nodes[node].life);
        if unknown {
            self.activations.count(Fault::Unknown);
            self.spaces[space].witness.monitor.change(|monitor| monitor.unheard(op));
            self.spaces[space].orphaned.insert(op, by);
        }
        self.close(space);
        if again {
            self.clients[c].again = Some(ask);
        }
        self.think(c);
        Ok(())
    }

    fn count_written(
        &mut self,
        request: &WriteRequest,
        outcome: &Result<WriteOutcome, WriteError>,
    ) {
        let counted = match outcome {
            Ok(_) if !request.drops.is_empty() => Some(Fault::Dropped),
            Ok(_) if request.read_only.is_some() => Some(Fault::Locked),
            Err(WriteError::ReadOnly) => Some(Fault::ReadOnly),
            Err(WriteError::Invalid(_) | WriteError::Filter(_)) => Some(Fault::NoAttribute),
            _ => None,
        };
        counted.into_iter().for_each(|fault| self.activations.count(fault));
    }

    /// A client is told what its query came to.
    fn answered(
        &mut self,
        space: usize,
        op: OpId,
        query: &QueryRequest,
        outcome: &Result<Answer, QueryError>,
    ) -> Result<(), Broken> {
        self.spaces[space].history.answer_query(op, outcome);
        let monitor = &mut self.spaces[space].witness.monitor;
        let told = match outcome {
            Ok(answer) => Some(Told::Found(&answer.found)),
            Err(QueryError::NoNamespace) => Some(Told::NoNamespace),
            Err(QueryError::Invalid(_)) => Some(Told::NoAttribute),
            Err(QueryError::Unavailable | QueryError::TooLong | QueryError::Vanished(_)) => None,
            Err(error) => {
                return Oracle::Linearizable.broken(format!("query {op} failed: {error}"));
            }
        };
        match told {
            Some(told) => monitor.change(|monitor| monitor.answer_query(op, query, told))?,
            None => monitor.change(|monitor| monitor.close_query(op)),
        }
        Oracle::Live.demand(told.is_some() || !self.is_quiet, || {
            format!("query {op} of a quiet world has no answer: {outcome:?}")
        })?;
        if told == Some(Told::NoAttribute) {
            self.activations.count(Fault::NoAttribute);
        }
        if matches!(query.consistency, Consistency::Eventual(_)) && outcome.is_ok() {
            self.activations.count(Fault::Stale);
        }
        Ok(())
    }

    /// A client takes its time before it asks.
    pub(super) fn think(&mut self, c: usize) {
        self.clients[c].thoughts += 1;
        self.choices.enter(Scope::Thought(c as u32, self.clients[c].thoughts));
        let most = self.profile.think * self.spaces[self.clients[c].space].calm;
        let think = self.choices.between(Site::Delay, 1, most);
        self.after(think, Event::Client(c));
    }

    /// A client will not hear what something came to that it had asked a node in this life.
    pub(super) fn abandon(&mut self, c: usize, space: usize, op: OpId, by: (usize, u32)) {
        let waiting = self.clients[c].waiting.take_if(|waiting| waiting.op == op);
        let Some(Waiting { ask, .. }) = waiting else { return };
        self.misled.remove(&op);
        let change = !matches!(ask, Ask::Query(_));
        self.spaces[space].history.unheard(op);
        self.spaces[space]
            .witness
            .monitor
            .change(|monitor| if change { monitor.unheard(op) } else { monitor.close_query(op) });
        if change {
            self.spaces[space].orphaned.insert(op, by);
        }
        if matches!(&ask, Ask::Write(request) if request.idempotency.is_some()) {
            self.clients[c].again = Some(ask);
        }
        self.think(c);
    }

    /// Forgets requests that nobody will hear of and that cannot take effect any more.
    pub(super) fn close(&mut self, space: usize) {
        let flying = &self.flying;
        let flies = |(node, life): (usize, u32)| {
            flying.get(&(node, life, space)).is_some_and(|count| *count > 0)
        };
        let nodes = &self.nodes;
        let is_at_it = |op: OpId, (node, life): (usize, u32)| {
            let hosted = nodes[node].hosted.get(&space).filter(|_| nodes[node].life == life);
            hosted.is_some_and(|hosted| hosted.tickets.contains_key(&Ticket(op.into())))
        };
        let over: Vec<OpId> = self.spaces[space]
            .orphaned
            .iter()
            .filter(|(op, by)| !flies(**by) && !is_at_it(**op, **by))
            .map(|(op, _)| *op)
            .collect();
        for op in over {
            self.spaces[space].orphaned.remove(&op);
            self.spaces[space].witness.monitor.change(|monitor| monitor.close(op));
        }
    }
}
