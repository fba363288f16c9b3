//! What each node is for, and how nodes start, crash, are restarted one after the other, and find work
//! that nobody asks them for.
//!
//! # Roles
//!
//! The engine has one switch: whether a node indexes, which means that it flushes, merges, collects and
//! sweeps. A node that only serves clients is one whose switch is off. One that only indexes is one that
//! nobody asks. One for maintenance never finds a log old or large enough to flush. More roles than
//! these the engine's settings cannot express.
//!
//! # Looking for work
//!
//! A process that indexes reads the head of every namespace from time to time, and sees to what is left
//! there if nothing has moved between two looks (`runtime/src/node/watch.rs`): a log, or trash that is
//! due. A look that finds nothing has no effect, so looks happen here only when there is a log or trash
//! is due: a fleet that rests costs nothing.

use core::time::Duration;

use sana_engine::service::left::{self, Progress};
use sana_engine::service::settings::Settings;

use crate::choices::{Choices, Scope, Site};
use crate::oracles::Broken;
use crate::oracles::linearizability::OpId;
use crate::story::{Act, Lane};
use crate::world::cache::NodeCache;
use crate::world::node::{Hosted, Node, Watched};
use crate::world::profile::Fault;
use crate::world::size::{Size, is_large};
use crate::world::{Event, Space, World};

/// What a node is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    /// Everything.
    All,
    /// It serves clients and leaves indexing to others.
    Api,
    /// It indexes, and no client knows of it.
    Indexer,
    /// It merges, collects and sweeps, and neither flushes nor serves clients.
    Maintenance,
}

/// Longer than any world: a log is never this old.
const NEVER: Duration = Duration::from_hours(1_000_000);

impl Role {
    /// The role of each way.
    const WAYS: [Self; 5] = [Self::All, Self::Api, Self::Api, Self::Indexer, Self::Maintenance];

    /// Whether clients ask it.
    pub const fn serves(self) -> bool {
        matches!(self, Self::All | Self::Api)
    }

    /// Whether it indexes what was written.
    pub const fn flushes(self) -> bool {
        matches!(self, Self::All | Self::Indexer)
    }

    /// Whether it does anything unasked.
    pub const fn indexes(self) -> bool {
        !matches!(self, Self::Api)
    }

    /// How a node of this role treats namespaces.
    pub(super) fn settings(self, settings: Settings) -> Settings {
        match self {
            Self::All | Self::Indexer => settings,
            Self::Api => Settings { indexes: false, ..settings },
            Self::Maintenance => Settings { flush_after: NEVER, flush_bytes: u64::MAX, ..settings },
        }
    }
}

/// What the nodes of a world have in common.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Fleet {
    /// Whether nodes have roles of their own.
    is_mixed: bool,
    /// How often a node looks for work, in milliseconds.
    watch_every: u64,
    /// How long a node keeps a namespace in memory for which nobody asks, in milliseconds.
    pub(super) forget_after: u64,
    /// How often a node lists everything, in milliseconds.
    pub(super) survey_every: u64,
    /// When the nodes are restarted one after the other, and how long after one the next.
    rolls: Option<(u64, u64)>,
    /// Whether some nodes stay away once the faults have stopped.
    pub(super) has_core: bool,
}

impl Fleet {
    /// The fleet of one seed.
    pub(super) fn draw(choices: &mut Choices, size: Size) -> Self {
        choices.enter(Scope::Fleet);
        let is_mixed = choices.choose(Site::Profile, 2) == 1;
        let watch_every = [30_000, 5_000, 1_000][choices.choose(Site::Profile, 3)];
        let rolls = choices.choose(Site::Node, 3) > 0;
        let first = choices.between(Site::Node, 0, size.busy.min(u64::from(u32::MAX) - 1));
        let pause = [1_000, 100, 5_000][choices.choose(Site::Node, 3)];
        let has_core = choices.choose(Site::Node, 2) == 1;
        let forget_after = [300_000, 30_000, 5_000, 500][choices.choose(Site::Profile, 4)];
        let survey_every = [60_000, 10_000, 300_000][choices.choose(Site::Profile, 3)];
        let [watch_every, forget_after, survey_every] = if size.pace.is_of_production() {
            [30_000, 300_000, 86_400_000]
        } else {
            [watch_every, forget_after, survey_every]
        };
        let seldom = if is_large(size.spaces) { 3_600_000 } else { 0 };
        let survey_every = survey_every.max(seldom);
        let rolls = rolls.then_some((first, pause));
        Self { is_mixed, watch_every, forget_after, survey_every, rolls, has_core }
    }

    /// The same, and nobody is restarted or stays away.
    pub(super) const fn calm(self) -> Self {
        Self { rolls: None, has_core: false, ..self }
    }

    /// What each node is for. Each namespace has a node that serves clients and one that indexes.
    pub(super) fn roles(&self, nodes: usize, spaces: &[Space], choices: &mut Choices) -> Vec<Role> {
        let mut roles: Vec<Role> = (0..nodes)
            .map(|n| {
                choices.enter(Scope::Member(n as u32));
                let role = Role::WAYS[choices.choose(Site::Node, Role::WAYS.len())];
                if self.is_mixed { role } else { Role::All }
            })
            .collect();
        for space in spaces {
            for is_needed in [Role::serves as fn(Role) -> bool, Role::flushes] {
                if !space.nodes.iter().any(|n| is_needed(roles[*n])) {
                    space.nodes.first().into_iter().for_each(|n| roles[*n] = Role::All);
                }
            }
        }
        roles
    }
}

impl World {
    /// The nodes that a client of this namespace can ask now.
    pub(super) fn servers(&self, space: usize) -> Vec<usize> {
        let serves = |n: &usize| {
            let node = &self.nodes[*n];
            node.is_up && node.role.serves() && !node.is_cut
        };
        self.spaces[space].nodes.iter().copied().filter(serves).collect()
    }

    /// Starts a node with nothing in its memory.
    pub(super) fn start(&mut self, n: usize) -> Result<(), Broken> {
        if self.nodes[n].is_gone {
            return Ok(());
        }
        let (now, cache_bytes) = (self.now, self.profile.cache_bytes);
        let node = &mut self.nodes[n];
        node.life += 1;
        node.is_up = true;
        node.started = now;
        node.paused_until = 0;
        node.drawn = 0;
        node.cache = (cache_bytes > 0).then(|| NodeCache::new(cache_bytes));
        let Node { role, life, .. } = *node;
        let spaces = node.spaces.clone();
        self.tell(|| Act::Starts(Lane::Node(n), format!("starts ({role:?}, life {life})")));
        for space in spaces.iter().copied().filter(|_| role.indexes()) {
            // An earlier process may have left anything to be done.
            if self.left(n, space).is_some() {
                self.host(n, space).service.look();
                self.pump(n, space)?;
            }
            if !self.lives(n, life) {
                // It crashed over what it sent.
                return Ok(());
            }
            self.watch_node(n, space);
        }
        self.survey(n, life)
    }

    /// Whether a node runs, and in this life.
    pub(super) fn lives(&self, n: usize, life: u32) -> bool {
        self.nodes[n].life == life && self.nodes[n].is_up
    }

    /// A node crashes: its memory is gone, and what it sent goes its way. Later it starts again.
    pub(super) fn crash(&mut self, n: usize) {
        let delay = self.crash_delay();
        self.crash_for(n, delay);
    }

    /// How long a node that crashes is away.
    pub(super) fn crash_delay(&mut self) -> u64 {
        self.choices.between(Site::Node, 1, 3_000)
    }

    /// A node crashes, and is away for so long.
    pub(super) fn crash_for(&mut self, n: usize, delay: u64) {
        let Node { life, started, .. } = self.nodes[n];
        if self.now < started + 500 && life > 1 {
            self.activations.count(Fault::CrashAgain);
        }
        self.fall(n);
        self.after(delay, Event::Start(n));
    }

    /// A node is no more.
    pub(super) fn fall(&mut self, n: usize) {
        self.tell(|| Act::Crashes(Lane::Node(n)));
        self.saw_crash_in(n, |_| true);
        let node = &mut self.nodes[n];
        let life = node.life;
        node.is_up = false;
        node.watched.clear();
        node.crashed.clear();
        node.cache = None;
        let hosted = std::mem::take(&mut node.hosted);
        for (space, hosted) in hosted {
            self.drop_asked(n, life, space, hosted);
        }
    }

    /// One namespace of a node crashes: the node goes on, and begins it anew when it is asked.
    pub(super) fn fall_in_space(&mut self, n: usize, space: usize) {
        let life = self.nodes[n].life;
        let Some(hosted) = self.nodes[n].hosted.get(&space) else { return };
        let stay = hosted.stay;
        self.activations.count(Fault::SpaceCrashed);
        self.tell(|| Act::Does(Lane::Node(n), format!("crashes over ns{space}, and goes on")));
        self.saw_crash_in(n, |sealed| sealed == space);
        let node = &mut self.nodes[n];
        node.crashed.insert(space, stay);
        if let Some(hosted) = node.hosted.remove(&space) {
            self.drop_asked(n, life, space, hosted);
        }
    }

    /// Nobody hears of what was asked of a service that is no more.
    fn drop_asked(&mut self, n: usize, life: u32, space: usize, hosted: Hosted) {
        for (ticket, client) in hosted.tickets {
            self.abandon(client, space, ticket.0 as OpId, (n, life));
        }
        self.close(space);
    }

    /// Plans the restart of all nodes, one after the other.
    pub(super) fn plan_rolling(&mut self) {
        if let Some((first, _)) = self.fleet.rolls {
            self.after(first, Event::Roll(0));
        }
    }

    /// A node has its turn in a rolling restart.
    pub(super) fn roll(&mut self, n: usize) {
        let Some((_, pause)) = self.fleet.rolls.filter(|_| self.is_faulty) else { return };
        if self.nodes[n].is_up {
            self.choices.enter(Scope::Rolled(n as u32));
            self.activations.count(Fault::Rolled);
            self.crash(n);
        }
        if n + 1 < self.nodes.len() {
            self.after(pause, Event::Roll(n + 1));
        }
    }

    /// The head of a namespace has changed: whoever looks for work will see what is left of it.
    pub(super) fn watch_space(&mut self, space: usize) {
        for place in 0..self.spaces[space].nodes.len() {
            let n = self.spaces[space].nodes[place];
            self.watch_node(n, space);
        }
    }

    /// Plans the next look of a node at a namespace, if there is or will be something that it may be left.
    fn watch_node(&mut self, n: usize, space: usize) {
        let (now, every) = (self.now, self.fleet.watch_every);
        if !self.nodes[n].role.indexes() || !self.nodes[n].is_up {
            return;
        }
        let Some(wait) = self.left_after(n, space) else { return };
        let Node { life, started, .. } = self.nodes[n];
        let at = started + ((now - started + wait) / every + 1) * every;
        let planned = &mut self.nodes[n].watched.entry(space).or_default().planned;
        if planned.is_none_or(|planned| at < planned) {
            *planned = Some(at);
            self.after(at - now, Event::Watch { node: n, life, space });
        }
    }

    /// A node looks at the head of a namespace.
    pub(super) fn look(&mut self, n: usize, life: u32, space: usize) -> Result<(), Broken> {
        let now = self.now;
        let planned = self.nodes[n].watched.get(&space).and_then(|watched| watched.planned);
        if !self.lives(n, life) || planned.is_none_or(|at| now < at) {
            return Ok(());
        }
        let looked = self.nodes[n].looked(space);
        self.choices.enter(Scope::Watch(n as u32, space as u32, looked));
        let lost = self.profile.faults.dropped + self.profile.faults.throttled;
        let is_lost = self.choices.chance(Site::Fate, if self.is_faulty { lost } else { 0 });
        let before = self.nodes[n].watched.remove(&space).and_then(|watched| watched.left);
        if is_lost || self.nodes[n].is_cut {
            self.watch_node(n, space);
            return Ok(());
        }
        let left = self.left(n, space);
        if left.is_some() {
            self.nodes[n].watched.insert(space, Watched { planned: None, left });
        }
        self.watch_node(n, space);
        if left.is_some() && left == before {
            let hosted = self.host(n, space);
            hosted.asked_at = now;
            hosted.service.look();
            self.activations.count(Fault::Watched);
            self.pump(n, space)?;
        }
        Ok(())
    }

    /// How far the upkeep of a namespace has come, if something is left, as a node sees it.
    fn left(&self, n: usize, space: usize) -> Option<Progress> {
        let head = self.spaces[space].witness.chain().head()?;
        let node = &self.nodes[n];
        let settings = node.role.settings(self.profile.settings);
        left::left(head, node.clock.wall(self.now), &settings)
    }

    /// In how many milliseconds something may be left of a namespace, as a node sees it, if nothing is
    /// done until then.
    fn left_after(&self, n: usize, space: usize) -> Option<u64> {
        let live = self.spaces[space].witness.chain().head()?.live()?;
        if !live.log.entries.is_empty() {
            return Some(0);
        }
        let wall = self.nodes[n].clock.wall(self.now);
        let oldest = live.trash.iter().map(|trash| wall.since(trash.at)).max()?;
        let wait = self.profile.settings.trash_retention.saturating_sub(oldest);
        Some(wait.as_millis() as u64)
    }
}
