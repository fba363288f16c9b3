//! One process: the services it hosts, and the rounds its machines are in.

use std::collections::BTreeMap;
use std::sync::Arc;

use sana_engine::machine::flight::Flight;
use sana_engine::service::namespace::{NamespaceService, Ticket};
use sana_engine::service::task::{Task, TaskId};

use crate::oracles::cost::Bill;
use crate::oracles::linearizability::OpId;
use crate::oracles::snapshots::Asked;

use crate::world::clock::Clock;

/// A process.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Node {
    /// Its clocks.
    pub clock: Clock,
    /// How often it was started.
    pub life: u32,
    /// Whether it runs.
    pub is_up: bool,
    /// When it was last started.
    pub started: u64,
    /// It stands still until this time.
    pub paused_until: u64,
    /// The namespaces it has to do with, by their numbers.
    pub hosted: BTreeMap<usize, Hosted>,
    /// Reads and writes sent about each namespace, in all its lives.
    sent: BTreeMap<usize, [u32; 2]>,
}

/// One namespace on one node.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Hosted {
    /// The engine's part.
    pub service: NamespaceService,
    /// Its machines under way.
    pub tasks: BTreeMap<TaskId, Running>,
    /// Which client waits for which answer.
    pub tickets: BTreeMap<Ticket, usize>,
    /// The next time it is sure to be woken; it may have passed.
    pub wake: u64,
    /// How often it was woken in a row and found nothing to do.
    pub idle_wakes: u32,
}

/// A machine in its round.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Running {
    /// The machine.
    pub task: Task,
    /// Its round.
    pub flight: Flight,
    /// Which of its rounds that is.
    pub round: u32,
    /// The requests of clients that it works for.
    pub ops: Arc<[OpId]>,
    /// Whether a write of it was answered as lost.
    pub has_lost: bool,
    /// Whether a conditional put of it was refused.
    pub was_refused: bool,
    /// What it costs.
    pub bill: Bill,
    /// What it was asked, if it is a query.
    pub asked: Option<Asked>,
}

impl Node {
    /// A node that was never started.
    pub const fn new(clock: Clock) -> Self {
        Self {
            clock,
            life: 0,
            is_up: false,
            started: 0,
            paused_until: 0,
            hosted: BTreeMap::new(),
            sent: BTreeMap::new(),
        }
    }

    /// Counts a request about a namespace: which of its kind it is.
    pub fn sent(&mut self, space: usize, is_read: bool) -> u32 {
        let sent = &mut self.sent.entry(space).or_default()[usize::from(!is_read)];
        *sent += 1;
        *sent
    }
}

impl Hosted {
    /// A namespace of which nothing is known.
    pub fn new(service: NamespaceService) -> Self {
        let (tasks, tickets) = (BTreeMap::new(), BTreeMap::new());
        Self { service, tasks, tickets, wake: 0, idle_wakes: 0 }
    }

    /// Takes the machine to its next round.
    pub fn keep(
        &mut self,
        id: TaskId,
        task: Task,
        flight: Flight,
        bill: Bill,
        asked: Option<Asked>,
    ) {
        let running = if let Some(before) = self.tasks.remove(&id) {
            Running { task, flight, round: before.round + 1, bill, asked, ..before }
        } else {
            let tickets = self.service.tickets(id).into_iter();
            let ops = tickets.map(|ticket| ticket.0 as OpId).collect();
            let (has_lost, was_refused) = (false, false);
            Running { task, flight, round: 0, ops, has_lost, was_refused, bill, asked }
        };
        self.tasks.insert(id, running);
    }
}
