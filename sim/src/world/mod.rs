//! The world: many nodes, one store, and everything that can go wrong between them, as one value.
//!
//! # Story
//!
//! Events happen in the order of their times. A client asks a node; the node's service begins
//! machines; each request of a machine's round *arrives* at the store after a while, is performed
//! there, and its reply *returns* after another. Every decision, from a delay to the fate of a
//! request to a crash, is one of [`Choices`]. At the end the faults stop, clients ask no more, and
//! everything must get quiet.
//!
//! | module      | what it answers                                       |
//! |-------------|-------------------------------------------------------|
//! | [`clock`]   | What do a node's clocks show?                         |
//! | [`size`]    | How large is it, and how much is asked?               |
//! | [`profile`] | Which faults are there, and how often did each happen? |
//! | [`faults`]  | What becomes of each fault that we know of?           |
//! | [`aim`]     | Which writes do faults fall on?                        |
//! | [`backend`] | Which stores are there, and what can go wrong with each? |
//! | [`weather`] | What goes wrong for a while?                          |
//! | [`damage`]  | Which reads say what is not so, and who may hear of it? |
//! | [`node`]    | What does a process consist of?                       |
//! | [`fleet`]   | What is each node for, and how does it start and end?  |
//! | [`memory`]  | What does it have in memory?                          |
//! | [`cache`]   | What does it keep of what it reads?                   |
//! | [`drive`]   | What does a node do next?                             |
//! | [`processor`] | How long does a step take?                          |
//! | [`network`] | What becomes of a request?                            |
//! | [`clients`] | What do clients ask, and what are they told?          |
//! | [`quiet`]   | Did everything get quiet?                             |
//! | [`waits`]   | Who waits for what?                                   |
//! | [`fork`]    | What does a copy of a world cost, and what is it for? |
//! | [`watch`]   | What is everything watched for?                       |
//!
//! # A value
//!
//! A world can be copied at any moment, and the copy goes on exactly like the original. Nodes,
//! namespaces, clients and objects are shared between copies until one of them changes them, so a copy
//! of a large world is cheap. [`World::digest`] is the fingerprint of all of it.

mod agenda;
pub mod aim;
pub mod backend;
pub mod cache;
pub mod clients;
pub mod clock;
pub mod damage;
pub mod drive;
pub mod faults;
pub mod fleet;
pub mod fork;
pub mod memory;
pub mod network;
pub mod node;
pub mod processor;
pub mod profile;
pub mod quiet;
pub mod size;
pub mod waits;
pub mod watch;
pub mod weather;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;

use sana_engine::base::name::NamespaceName;
use sana_engine::format::head::Head;

use crate::choices::{Choices, Scope, Site, Ways};
use crate::digest::{self, Digest, Mixer};
use crate::many::Many;
use crate::model::Contents;
use crate::oracles::history::History;
use crate::oracles::linearizability::OpId;
use crate::oracles::snapshots::Versions;
use crate::oracles::witness::Witness;
use crate::oracles::{Broken, Oracle};
use crate::store::Store;
use crate::story::{Act, Scene, Story};
use agenda::Agenda;
use clients::Client;
use clock::{Clock, DRIFT_MOST, Skew};
use fleet::Fleet;
use network::Parcel;
use node::Node;
use profile::{Activations, Fault, Profile};
use size::{Pace, Size};
use watch::{Counts, Watch};
use weather::Weather;

/// Everything.
#[derive(Clone, Debug)]
pub struct World {
    profile: Profile,
    /// The time, in milliseconds since the beginning. No node sees it.
    now: u64,
    events: Agenda<Event>,
    /// Events that happened so far.
    happened: u64,
    /// How often a service was let do what it can.
    pumps: u64,
    /// Requests that reached the store.
    requests: u64,
    store: Store,
    fleet: Fleet,
    nodes: Many<Node>,
    spaces: Many<Space>,
    clients: Many<Client>,
    /// How far calendars were apart.
    skew: Skew,
    /// Puts of heads on their way: of which node, in which life, and for which namespace.
    flying: BTreeMap<(usize, u32, usize), u32>,
    weather: Weather,
    /// Requests of clients for which something was read that was not so.
    misled: BTreeSet<OpId>,
    ops: OpId,
    /// Whether anything goes wrong.
    is_faulty: bool,
    /// Whether all has come to rest, so that whoever asks is answered.
    is_quiet: bool,
    choices: Choices,
    mixer: Mixer,
    /// The fingerprint of the run after every so many events.
    checkpoints: Vec<Digest>,
    activations: Activations,
    watch: Watch,
    story: Story,
}

/// One namespace.
#[derive(Clone, Hash, Debug)]
pub struct Space {
    name: NamespaceName,
    /// How many times as long as elsewhere its clients think before they ask again.
    calm: u64,
    witness: Witness,
    /// What could be recovered, since when.
    past: Vec<(u64, Contents)>,
    /// What could be recovered at each step of its head.
    versions: Versions,
    /// What its clients asked and were told.
    history: History,
    /// Its newest head.
    before: Option<Head>,
    /// The nodes that have to do with it.
    nodes: Vec<usize>,
    /// Requests nobody will hear of, with the node and its life that served them.
    orphaned: BTreeMap<OpId, (usize, u32)>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Event {
    /// A request reaches the store.
    Arrive(Box<Parcel>),
    /// A reply reaches its node.
    Return(Box<Parcel>),
    /// A node has in memory what a machine of it wants to read.
    Remember(Box<Parcel>),
    /// Somebody has a node drop all that it can read again of a namespace.
    Purge { node: usize, life: u32, space: usize },
    /// A node may have waited long enough for a read.
    ReadsEnd { node: usize, life: u32 },
    /// A node has something to do for a namespace.
    Wake { node: usize, life: u32, space: usize },
    /// A client goes on.
    Client(usize),
    /// A client gives up waiting, if it still does, for what it had asked a node.
    GiveUp { client: usize, op: OpId, node: usize },
    /// A node starts.
    Start(usize),
    /// Something may begin to go wrong for a while.
    Weather,
    /// A node has its turn in a rolling restart.
    Roll(usize),
    /// A node looks whether there is work that nobody asks it for.
    Watch { node: usize, life: u32, space: usize },
    /// A node lists everything.
    Survey { node: usize, life: u32 },
}

/// A checkpoint is kept after this many events.
pub const CHECKPOINT_EVERY: u64 = 1_024;
/// The state of a service goes into the fingerprint when services were let do what they can so often.
const STATE_EVERY: u64 = 64;
/// What a run came to.
#[derive(Clone, Debug)]
pub struct Run {
    /// The fingerprint of every decision, every exchange and every so many states.
    pub digest: Digest,
    /// What it was after each [`CHECKPOINT_EVERY`] events: where two runs differ for the first time.
    pub checkpoints: Vec<Digest>,
    /// What happened, and how often.
    pub activations: Activations,
    /// What else was counted.
    pub counts: Counts,
    /// Events.
    pub events: u64,
    /// Requests of clients.
    pub ops: u64,
    /// How long it was, in milliseconds, by the world's time.
    pub time: u64,
    /// The property that was broken, if one was.
    pub broken: Option<Broken>,
    /// What was decided otherwise than calmly, if it was recorded.
    pub ways: Ways,
    /// What happened, if anybody listened.
    pub story: Vec<Scene>,
}

impl World {
    /// A world in which these choices decide.
    ///
    /// # Panics
    ///
    /// Never: the names of its namespaces are good.
    pub fn new(mut choices: Choices, size: Size, story: Story) -> Self {
        let mut profile = Profile::draw(&mut choices, size.store);
        size.shape(&mut profile);
        let store = Store::of_kind(size.store, profile.backend.tags).with_pages_of(profile.page);
        let mut clocks: Vec<Clock> = (0..size.nodes).map(|n| draw_clock(n, &mut choices)).collect();
        if profile.is_calm() {
            clocks.fill(Clock::TRUE);
        }
        let mut skew = Skew::default();
        clocks.iter().for_each(|clock| skew.set(clock.calendar_off));
        let spaces: Vec<Space> =
            (0..size.spaces).map(|n| Space::draw(n, size, &profile, &mut choices)).collect();
        let fleet = Fleet::draw(&mut choices, size);
        let fleet = if profile.is_calm() { fleet.calm() } else { fleet };
        let roles = fleet.roles(size.nodes, &spaces, &mut choices);
        let mut hosts = vec![Vec::new(); size.nodes];
        for (n, space) in spaces.iter().enumerate() {
            space.nodes.iter().for_each(|node| hosts[*node].push(n));
        }
        let nodes = clocks.into_iter().zip(roles).zip(hosts);
        let clients = size.spaces * size.clients_per_space;
        let mut world = Self {
            profile,
            now: 0,
            events: Agenda::new(),
            happened: 0,
            pumps: 0,
            requests: 0,
            store,
            fleet,
            nodes: nodes
                .map(|((clock, role), spaces)| Node::new(clock, role, spaces.into()))
                .collect(),
            spaces: spaces.into_iter().collect(),
            clients: (0..clients).map(|n| Client::new(n % size.spaces)).collect(),
            skew,
            flying: BTreeMap::new(),
            weather: Weather::default(),
            misled: BTreeSet::new(),
            ops: 0,
            is_faulty: true,
            is_quiet: false,
            choices,
            mixer: Mixer::new(),
            checkpoints: Vec::new(),
            activations: Activations::default(),
            watch: Watch::default(),
            story,
        };
        for node in 0..size.nodes {
            world.after(0, Event::Start(node));
        }
        for client in 0..clients {
            world.think(client);
        }
        world.plan_rolling();
        if !world.profile.weather.is_calm() {
            world.after(weather::EVERY, Event::Weather);
        }
        world.count_drift();
        world
    }

    /// Lets everything happen.
    pub fn run(mut self, size: Size) -> Run {
        let broken = self.live_until(size.busy).and_then(|()| self.end()).err();
        self.into_run(broken)
    }

    /// What it came to.
    fn into_run(mut self, broken: Option<Broken>) -> Run {
        self.watch.give_up();
        if let Some(broken) = &broken {
            let broken = broken.to_string();
            self.tell(|| Act::Breaks(broken));
        }
        let mut mixer = self.mixer;
        mixer.mix(self.choices.digest());
        mixer.mix(self.store.digest());
        Run {
            digest: mixer.digest(),
            checkpoints: self.checkpoints,
            activations: self.activations,
            counts: self.watch.counts,
            events: self.happened,
            ops: self.ops.into(),
            time: self.now,
            broken,
            ways: self.choices.into_record(),
            story: self.story.into_scenes(),
        }
    }

    /// Lets things happen as long as clients ask.
    fn live_until(&mut self, time: u64) -> Result<(), Broken> {
        while self.now < time && self.happen()? {}
        Ok(())
    }

    /// The faults stop, and everything must get quiet.
    fn end(&mut self) -> Result<(), Broken> {
        self.calm_down();
        self.get_quiet()?;
        self.have_last_words()?;
        self.look_for_orders()
    }

    /// Lets the next event happen. False if there is none.
    fn happen(&mut self) -> Result<bool, Broken> {
        let Some((time, event)) = self.events.pop() else { return Ok(false) };
        self.now = time;
        self.happened += 1;
        if self.happened.is_multiple_of(CHECKPOINT_EVERY) {
            let mut mixer = self.mixer;
            mixer.mix(self.choices.digest());
            self.checkpoints.push(mixer.digest());
        }
        if let Some(until) = self.paused(&event) {
            self.after(until - self.now, event);
            return Ok(true);
        }
        match event {
            Event::Arrive(parcel) => self.arrive(*parcel)?,
            Event::Return(parcel) => self.take_reply(&parcel)?,
            Event::Remember(parcel) => self.hear(&parcel)?,
            Event::Purge { node, life, space } => self.purge(node, life, space)?,
            Event::ReadsEnd { node, life } => self.end_reads(node, life)?,
            Event::Wake { node, life, space } => self.wake(node, life, space)?,
            Event::Client(client) => self.client_goes_on(client)?,
            Event::GiveUp { client, op, node } => self.give_up(client, op, node),
            Event::Start(node) => self.start(node)?,
            Event::Roll(node) => self.roll(node),
            Event::Watch { node, life, space } => self.look(node, life, space)?,
            Event::Survey { node, life } => self.survey(node, life)?,
            Event::Weather => self.change_weather(),
        }
        Ok(true)
    }

    /// Until when the node stands still that this event is for.
    fn paused(&self, event: &Event) -> Option<u64> {
        let node = match event {
            Event::Return(parcel) | Event::Remember(parcel) => parcel.node,
            Event::ReadsEnd { node, .. }
            | Event::Purge { node, .. }
            | Event::Wake { node, .. }
            | Event::Watch { node, .. }
            | Event::Survey { node, .. } => *node,
            Event::Arrive(_)
            | Event::Client(_)
            | Event::GiveUp { .. }
            | Event::Start(_)
            | Event::Roll(_)
            | Event::Weather => return None,
        };
        let until = self.nodes[node].paused_until;
        (self.now < until).then_some(until)
    }

    fn after(&mut self, delay: u64, event: Event) {
        self.events.add(self.now + delay, event);
    }

    /// Counts the clocks that run at a rate of their own.
    fn count_drift(&mut self) {
        let drifts = |node: &&Node| node.clock.rate != Clock::TRUE.rate;
        for _ in 0..self.nodes.iter().filter(drifts).count() {
            self.activations.count(Fault::Drifted);
        }
    }

    fn tell<A: Into<Act>>(&mut self, act: impl FnOnce() -> A) {
        self.story.at(self.now);
        self.story.tell(act);
    }

    /// Takes something that happened into the fingerprint of the run.
    fn note(&mut self, what: &impl Hash) {
        self.mixer.mix(self.now.into());
        what.hash(&mut self.mixer);
    }

    /// Takes the state of a service into the fingerprint of the run, now and then.
    fn note_state(&mut self, n: usize, space: usize) {
        self.pumps += 1;
        if self.pumps.is_multiple_of(STATE_EVERY)
            && let Some(hosted) = self.nodes[n].hosted.get(&space)
        {
            self.mixer.mix(digest::of(&hosted.service));
        }
    }

    /// The fingerprint of everything there is, and of all that happened.
    pub fn digest(&self) -> Digest {
        let counts = (self.now, self.happened, self.pumps, self.requests, self.ops);
        let is = (self.is_faulty, self.is_quiet);
        let past = (self.mixer.digest(), self.choices.position(), self.activations);
        let rest = (&self.fleet, &self.skew, &self.flying, &self.weather, &self.misled);
        let parts = (&self.nodes, &self.spaces, &self.clients, &self.events);
        digest::of(&(counts, is, past, rest, parts, self.store.digest()))
    }

    fn live_demand(holds: bool, what: impl FnOnce() -> String) -> Result<(), Broken> {
        Oracle::Live.demand(holds, what)
    }
}

impl Space {
    /// The namespace of this number, somewhere among the nodes.
    fn draw(n: usize, size: Size, profile: &Profile, choices: &mut Choices) -> Self {
        let name = NamespaceName::parse(&format!("ns{n}")).expect("letters and digits");
        choices.enter(Scope::Space(n as u32));
        let calm = [1, 1, 10, 100][choices.choose(Site::Profile, 4)];
        let is_calm = size.pace == Pace::Drawn && !profile.aim.is_set();
        let calm = if is_calm { calm } else { 1 };
        let first = n * size.nodes / size.spaces;
        let mut witness = Witness::guided(name.clone());
        witness.limit(profile.settings.unindexed_bytes_max);
        let nodes = 0..size.nodes_per_space.min(size.nodes);
        Self {
            name,
            calm,
            witness,
            past: vec![(0, None)],
            versions: Versions::default(),
            history: History::default(),
            before: None,
            nodes: nodes.map(|k| (first + k) % size.nodes).collect(),
            orphaned: BTreeMap::new(),
        }
    }
}

fn draw_clock(n: usize, choices: &mut Choices) -> Clock {
    choices.enter(Scope::Node(n as u32));
    let ahead = [0, 5, 86_400_000][choices.choose(Site::Node, 3)];
    let rate = [1_000_000, 1_000_100, 900_000, 1_100_000][choices.choose(Site::Node, 4)];
    let calendar_off = [0, -3_000, 3_000, 3_600_000][choices.choose(Site::Node, 4)];
    let calendar_drift = [0, 0, -DRIFT_MOST, DRIFT_MOST][choices.choose(Site::Node, 4)];
    Clock { ahead, rate, calendar_off, calendar_drift, slept: 0 }
}

#[cfg(test)]
mod tests;
