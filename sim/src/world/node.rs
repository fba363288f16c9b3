//! One process: the services it hosts, and the rounds its machines are in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sana_engine::base::time::Timestamp;
use sana_engine::machine::Step;
use sana_engine::machine::flight::Flight;
use sana_engine::machine::request::Reply;
use sana_engine::namespace::snapshot::Snapshot;
use sana_engine::service::cache::Keep;
use sana_engine::service::left::Progress;
use sana_engine::service::namespace::{NamespaceService, Ticket};
use sana_engine::service::task::{Output, Start, Task, TaskId};

use crate::oracles::cost::Bill;
use crate::oracles::linearizability::OpId;
use crate::oracles::snapshots::Asked;

use crate::world::cache::NodeCache;
use crate::world::clock::Clock;
use crate::world::fleet::Role;

/// A process.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Node {
    /// Its clocks.
    pub clock: Clock,
    /// What it is for.
    pub role: Role,
    /// The namespaces it has to do with whenever it runs.
    pub spaces: Arc<[usize]>,
    /// Whether it never comes back.
    pub is_gone: bool,
    /// Whether it never reaches the store again.
    pub is_cut: bool,
    /// How often it was started.
    pub life: u32,
    /// Whether it runs.
    pub is_up: bool,
    /// When it was last started.
    pub started: u64,
    /// It stands still until this time.
    pub paused_until: u64,
    /// When its clock for waiting stood still with it, from and until.
    suspended: Vec<(u64, u64)>,
    /// How often it drew what nonces are made of, in this life. Counted only for clones.
    pub drawn: u64,
    /// The namespaces it has in memory, by their numbers.
    pub hosted: BTreeMap<usize, Hosted>,
    /// Those at whose heads it looks.
    pub watched: BTreeMap<usize, Watched>,
    /// How often a namespace came into its memory, in all its lives.
    pub stays: u32,
    /// Reads and writes sent about each namespace, replies heard, looks taken, operations that compute for
    /// long as they begin and steps that do, in all its lives.
    counts: BTreeMap<usize, [u32; 6]>,
    /// What it keeps of what it reads, if it keeps anything.
    pub cache: Option<NodeCache>,
    /// The last stay of each namespace that ended in a crash of it alone.
    pub crashed: BTreeMap<usize, u32>,
}

/// A machine of a namespace, in one of its stays in memory: a service that begins anew numbers its tasks
/// anew.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Errand {
    /// Which of all stays of namespaces in the node's memory.
    pub stay: u32,
    /// The task of the service.
    pub task: TaskId,
}

/// One namespace on one node.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Hosted {
    /// The engine's part.
    pub service: NamespaceService,
    /// Its machines under way.
    pub tasks: BTreeMap<TaskId, Running>,
    /// Its operations that have not begun, for no processor is free.
    pub queued: BTreeMap<TaskId, Queued>,
    /// Its machines that compute.
    pub computing: BTreeMap<TaskId, Computing>,
    /// Which client waits for which answer.
    pub tickets: BTreeMap<Ticket, usize>,
    /// The next time it is sure to be woken; it may have passed.
    pub wake: u64,
    /// How often it was woken in a row and found nothing to do, and since when.
    pub idle_wakes: (u64, u64),
    /// When somebody last asked for it.
    pub asked_at: u64,
    /// Which of all stays in the node's memory this is.
    pub stay: u32,
    /// The operations that were under way when all that was read was dropped.
    pub purged: BTreeSet<TaskId>,
    /// When it was told that what it had built is of an older version, the last of its operations that had
    /// begun; unless one that began later has looked.
    pub overtaken: Option<TaskId>,
}

/// What a node that looks for work has seen of a namespace.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Watched {
    /// When the node will look at its head.
    pub planned: Option<u64>,
    /// What was left when the node last looked.
    pub left: Option<Progress>,
}

/// An operation that waits until a processor is free.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Queued {
    /// What is to begin. A merge that gets no turn never does.
    pub start: Option<Start>,
    /// Until when it waits.
    pub until: u64,
}

/// What is not to be held when an operation has ended that was under way when all was dropped.
#[derive(Clone, Debug)]
pub enum Dropped {
    /// What it had read.
    Read(Arc<Snapshot>),
    /// Anything but this, which was held before a query ended that has nothing to tell of it.
    Learned(Arc<Snapshot>),
}

impl Dropped {
    /// Whether it has come back.
    pub fn is_back(&self, loaded: Option<&Arc<Snapshot>>) -> bool {
        let is_held = |one: &Arc<Snapshot>| loaded.is_some_and(|held| Arc::ptr_eq(held, one));
        match self {
            Self::Read(read) => is_held(read),
            Self::Learned(before) => !is_held(before),
        }
    }
}

/// A machine in its round.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Running {
    /// The machine.
    pub task: Task,
    /// Its round.
    pub flight: Flight,
    /// Its round is over, and until this time no processor is free for it.
    pub queued_until: Option<u64>,
    /// What it has been through.
    pub past: Past,
}

/// A machine that computes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Computing {
    /// What it comes to.
    pub step: Step<Task>,
    /// When that is known.
    pub until: u64,
    /// What it has been through.
    pub past: Past,
    /// The first reply of its last round.
    pub first: Option<Reply>,
}

/// What a machine has been through.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Past {
    /// Which of its rounds this is.
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
    /// What is to become of what it reads.
    pub keep: Keep,
}

impl Node {
    /// A node that was never started.
    pub fn new(clock: Clock, role: Role, spaces: Arc<[usize]>) -> Self {
        Self {
            clock,
            role,
            spaces,
            is_gone: false,
            is_cut: false,
            life: 0,
            is_up: false,
            started: 0,
            paused_until: 0,
            suspended: Vec::new(),
            drawn: 0,
            hosted: BTreeMap::new(),
            watched: BTreeMap::new(),
            stays: 0,
            counts: BTreeMap::new(),
            cache: None,
            crashed: BTreeMap::new(),
        }
    }

    /// It does nothing for so long, and its clock for waiting goes on or stands still with it.
    pub fn stand_still(&mut self, now: u64, pause: u64, sleeps: bool) {
        self.paused_until = now + pause;
        if sleeps {
            // Nobody looks at the clock before the pause is over.
            self.clock.slept += pause;
            self.suspended.push((now, now + pause));
        }
    }

    /// The moment that lies so long before another as its clock for waiting has it.
    pub fn before(&self, moment: u64, long: u64) -> u64 {
        let mut since = moment.saturating_sub(long);
        for (from, until) in self.suspended.iter().rev() {
            if since < *until {
                since = since.saturating_sub(until - from);
            }
        }
        since
    }

    /// Counts a request about a namespace: which of its kind it is.
    pub fn sent(&mut self, space: usize, is_read: bool) -> u32 {
        self.count(space, usize::from(!is_read))
    }

    /// Counts a reply about a namespace: which one it is.
    pub fn heard(&mut self, space: usize) -> u32 {
        self.count(space, 2)
    }

    /// Counts a look at a namespace: which one it is.
    pub fn looked(&mut self, space: usize) -> u32 {
        self.count(space, 3)
    }

    /// Counts an operation of a namespace that computes for long as it begins: which one it is.
    pub fn began(&mut self, space: usize) -> u32 {
        self.count(space, 4)
    }

    /// Counts a step of a namespace that computes for long: which one it is.
    pub fn computed(&mut self, space: usize) -> u32 {
        self.count(space, 5)
    }

    fn count(&mut self, space: usize, kind: usize) -> u32 {
        let count = &mut self.counts.entry(space).or_default()[kind];
        *count += 1;
        *count
    }
}

impl Running {
    /// Whether it is to be stepped: its round is over, and if no processor was free one is now.
    pub fn is_due(&self, now: u64, local: Timestamp) -> bool {
        self.queued_until.map_or_else(|| self.flight.is_over(local), |until| until <= now)
    }
}

impl Past {
    /// A machine that begins, for these requests of clients.
    pub fn begin(start: &Start, ops: Arc<[OpId]>) -> Self {
        let (bill, asked) = (Bill::begin(start), Asked::of(start));
        let keep = Keep::of(start);
        Self { round: 0, ops, has_lost: false, was_refused: false, bill, asked, keep }
    }
}

impl Hosted {
    /// A namespace of which nothing is known, and for which somebody asks.
    pub fn new(service: NamespaceService, asked_at: u64, stay: u32) -> Self {
        Self {
            service,
            tasks: BTreeMap::new(),
            queued: BTreeMap::new(),
            computing: BTreeMap::new(),
            tickets: BTreeMap::new(),
            wake: 0,
            idle_wakes: (0, asked_at),
            asked_at,
            stay,
            purged: BTreeSet::new(),
            overtaken: None,
        }
    }

    /// The machine of an errand, if it is one of this stay and runs.
    pub fn running(&self, errand: Errand) -> Option<&Running> {
        self.tasks.get(&errand.task).filter(|_| errand.stay == self.stay)
    }

    /// Whether the machine of an errand is in a round, or computes what comes of it.
    pub fn is_in_round(&self, errand: Errand, round: u32) -> bool {
        let computing = self.computing.get(&errand.task).filter(|_| errand.stay == self.stay);
        self.running(errand).is_some_and(|running| running.past.round == round)
            || computing.is_some_and(|computing| computing.past.round == round + 1)
    }

    /// Whether nobody waits and nothing runs or is about to.
    pub fn has_nothing_to_do(&self) -> bool {
        self.tickets.is_empty() && self.machines() == 0 && self.service.is_idle()
    }

    /// How many machines are under way or about to be.
    pub fn machines(&self) -> usize {
        self.tasks.len() + self.queued.len() + self.computing.len()
    }

    /// The machines that have begun.
    pub fn begun(&self) -> impl Iterator<Item = TaskId> {
        self.tasks.keys().chain(self.computing.keys()).copied()
    }

    /// The operation that has waited long enough, if there is one.
    pub fn next_queued(&mut self, now: u64) -> Option<(TaskId, Option<Start>)> {
        let due = self.queued.iter().find(|(_, queued)| queued.until <= now);
        let id = due.map(|(id, _)| *id)?;
        self.queued.remove(&id).map(|queued| (id, queued.start))
    }

    /// The machine that has computed, if there is one.
    pub fn next_computed(&mut self, now: u64) -> Option<(TaskId, Computing)> {
        let done = self.computing.iter().find(|(_, computing)| computing.until <= now);
        let id = done.map(|(id, _)| *id)?;
        self.computing.remove(&id).map(|computing| (id, computing))
    }

    /// When something is due that waits for a processor, or computes.
    pub fn processor_at(&self) -> impl Iterator<Item = u64> {
        let queued = self.queued.values().map(|queued| queued.until);
        let over = self.tasks.values().filter_map(|running| running.queued_until);
        queued.chain(over).chain(self.computing.values().map(|computing| computing.until))
    }

    /// When a round has something to do, by the clock of its node.
    pub fn rounds_at(&self) -> impl Iterator<Item = Timestamp> {
        let waits = self.tasks.values().filter(|running| running.queued_until.is_none());
        waits.map(|running| running.flight.wake_at())
    }

    /// Drops whatever can be read again (`runtime/src/node/hosted.rs`).
    pub fn purge(&mut self) {
        self.service.purge();
        let queued = self.queued.keys().copied();
        self.purged = self.begun().chain(queued).collect();
    }

    /// What an operation that is ending may not bring back, if all was dropped while it was under way.
    pub fn dropped(&mut self, id: TaskId, output: &Output) -> Option<Dropped> {
        if !self.purged.remove(&id) {
            return None;
        }
        match output {
            Output::Refresh(Ok(held)) => held.snapshot.clone().map(Dropped::Read),
            Output::Commit(committed) => {
                let held = committed.held.as_ref();
                held.and_then(|held| held.snapshot.clone()).map(Dropped::Read)
            }
            Output::Query(_) => self.service.loaded().cloned().map(Dropped::Learned),
            _ => None,
        }
    }

    /// A machine is in its next round.
    pub fn enter(&mut self, id: TaskId, task: Task, flight: Flight, past: Past) {
        self.tasks.insert(id, Running { task, flight, queued_until: None, past });
    }
}
