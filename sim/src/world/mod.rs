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
//! | [`profile`] | Which faults are there, and how often did each happen? |
//! | [`node`]    | What does a process consist of?                       |
//! | [`drive`]   | What does a node do next?                             |
//! | [`network`] | What becomes of a request?                            |
//! | [`clients`] | What do clients ask, and what are they told?          |
//! | [`quiet`]   | Did everything get quiet?                             |
//! | [`watch`]   | What is everything watched for?                       |

pub mod clients;
pub mod clock;
pub mod drive;
pub mod network;
pub mod node;
pub mod profile;
pub mod quiet;
pub mod watch;

use std::collections::BTreeMap;
use std::hash::Hash;

use sana_engine::base::name::NamespaceName;
use sana_engine::format::head::Head;
use sana_engine::service::namespace::NamespaceService;
use serde::{Deserialize, Serialize};

use crate::choices::{Choices, Scope, Site, Ways};
use crate::digest::{Digest, Mixer};
use crate::explore::Story;
use crate::model::Contents;
use crate::oracles::history::History;
use crate::oracles::linearizability::OpId;
use crate::oracles::snapshots::Versions;
use crate::oracles::witness::Witness;
use crate::oracles::{Broken, Oracle};
use crate::store::{Kind, Store};
use clients::Client;
use clock::{Clock, Skew};
use network::Parcel;
use node::{Hosted, Node};
use profile::{Activations, Fault, Profile};
use watch::{Counts, Watch};

/// Everything.
#[derive(Clone, Debug)]
pub struct World {
    profile: Profile,
    /// The time, in milliseconds since the beginning. No node sees it.
    now: u64,
    events: BTreeMap<(u64, u64), Event>,
    /// Events that were caused so far, and that happened.
    caused: u64,
    happened: u64,
    /// Requests that reached the store.
    requests: u64,
    store: Store,
    nodes: Vec<Node>,
    spaces: Vec<Space>,
    clients: Vec<Client>,
    /// How far calendars were apart.
    skew: Skew,
    /// Puts of heads on their way: of which node, in which life, and for which namespace.
    flying: BTreeMap<(usize, u32, usize), u32>,
    ops: OpId,
    /// Whether anything goes wrong.
    is_faulty: bool,
    /// Whether all has come to rest, so that whoever asks is answered.
    is_quiet: bool,
    choices: Choices,
    mixer: Mixer,
    activations: Activations,
    watch: Watch,
    story: Story,
}

/// One namespace.
#[derive(Clone, Debug)]
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
    /// A node has something to do for a namespace.
    Wake { node: usize, life: u32, space: usize },
    /// A client goes on.
    Client(usize),
    /// A node starts.
    Start(usize),
}

/// How large a world is, and which store it has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Size {
    /// Nodes.
    pub nodes: usize,
    /// Namespaces.
    pub spaces: usize,
    /// Nodes that have to do with a namespace.
    pub nodes_per_space: usize,
    /// Clients of a namespace.
    pub clients_per_space: usize,
    /// How long clients go on asking, in milliseconds.
    pub busy: u64,
    /// What the store keeps of its promises.
    pub store: Kind,
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Run {
    /// The fingerprint of every decision and every exchange.
    pub digest: Digest,
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
    /// What happened, in words, if anybody listened.
    pub story: Vec<String>,
}

impl World {
    /// A world in which these choices decide.
    ///
    /// # Panics
    ///
    /// Never: the names of its namespaces are good.
    pub fn new(mut choices: Choices, size: Size, story: Story) -> Self {
        let profile = Profile::draw(&mut choices);
        let store = Store::of_kind(size.store, profile.tags).with_pages_of(profile.page);
        let clocks: Vec<Clock> = (0..size.nodes).map(|n| draw_clock(n, &mut choices)).collect();
        let mut skew = Skew::default();
        clocks.iter().for_each(|clock| skew.set(clock.calendar_off));
        let nodes = clocks.into_iter().map(Node::new).collect();
        let spaces =
            (0..size.spaces).map(|n| Space::draw(n, size, &profile, &mut choices)).collect();
        let clients = size.spaces * size.clients_per_space;
        let mut world = Self {
            profile,
            now: 0,
            events: BTreeMap::new(),
            caused: 0,
            happened: 0,
            requests: 0,
            store,
            nodes,
            spaces,
            clients: (0..clients).map(|n| Client::new(n % size.spaces)).collect(),
            skew,
            flying: BTreeMap::new(),
            ops: 0,
            is_faulty: true,
            is_quiet: false,
            choices,
            mixer: Mixer::new(),
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
        world
    }

    /// Lets everything happen.
    pub fn run(mut self, size: Size) -> Run {
        let broken = self.live(size).err();
        if let Some(broken) = &broken {
            let (now, broken) = (self.now, broken.to_string());
            self.story.tell(|| format!("{now:>8} {broken}"));
        }
        let mut mixer = self.mixer;
        mixer.mix(self.choices.digest());
        mixer.mix(self.store.digest());
        Run {
            digest: mixer.digest(),
            activations: self.activations,
            counts: self.watch.counts,
            events: self.happened,
            ops: self.ops.into(),
            time: self.now,
            broken,
            ways: self.choices.into_record(),
            story: self.story.into_lines(),
        }
    }

    fn live(&mut self, size: Size) -> Result<(), Broken> {
        while self.now < size.busy && self.happen()? {}
        self.calm_down();
        self.get_quiet()?;
        self.have_last_words()?;
        self.look_for_orders()
    }

    /// Lets the next event happen. False if there is none.
    fn happen(&mut self) -> Result<bool, Broken> {
        let Some(((time, _), event)) = self.events.pop_first() else { return Ok(false) };
        self.now = time;
        self.happened += 1;
        if let Some(until) = self.paused(&event) {
            self.after(until - self.now, event);
            return Ok(true);
        }
        match event {
            Event::Arrive(parcel) => self.arrive(*parcel)?,
            Event::Return(parcel) => self.take_reply(*parcel)?,
            Event::Wake { node, life, space } => self.wake(node, life, space)?,
            Event::Client(client) => self.client_goes_on(client)?,
            Event::Start(node) => self.start(node)?,
        }
        Ok(true)
    }

    /// Until when the node stands still that this event is for.
    fn paused(&self, event: &Event) -> Option<u64> {
        let node = match event {
            Event::Return(parcel) => parcel.node,
            Event::Wake { node, .. } => *node,
            Event::Arrive(_) | Event::Client(_) | Event::Start(_) => return None,
        };
        let until = self.nodes[node].paused_until;
        (self.now < until).then_some(until)
    }

    fn after(&mut self, delay: u64, event: Event) {
        // Events of one time happen in the order in which they were caused.
        self.caused += 1;
        self.events.insert((self.now + delay, self.caused), event);
    }

    /// Starts a node with nothing in its memory.
    fn start(&mut self, n: usize) -> Result<(), Broken> {
        let (now, settings) = (self.now, self.profile.settings);
        let node = &mut self.nodes[n];
        node.life += 1;
        node.is_up = true;
        node.started = now;
        node.paused_until = 0;
        let local = node.clock.at(now);
        let life = node.life;
        let spaces: Vec<usize> = self.spaces_of(n);
        for space in spaces {
            let name = self.spaces[space].name.clone();
            let mut service = NamespaceService::new(local, name, settings);
            service.look();
            self.nodes[n].hosted.insert(space, Hosted::new(service));
        }
        self.tell(|| format!("node {n} starts (life {life})"));
        for space in self.spaces_of(n) {
            self.pump(n, space)?;
        }
        Ok(())
    }

    fn spaces_of(&self, n: usize) -> Vec<usize> {
        let has = |space: &&(usize, &Space)| space.1.nodes.contains(&n);
        self.spaces.iter().enumerate().filter(|s| has(&s)).map(|(i, _)| i).collect()
    }

    /// A node crashes: its memory is gone, and what it sent goes its way.
    fn crash(&mut self, n: usize) {
        let life = self.nodes[n].life;
        let delay = self.choices.between(Site::Node, 1, 3_000);
        self.tell(|| format!("node {n} crashes"));
        if self.now < self.nodes[n].started + 500 && life > 1 {
            self.activations.count(Fault::CrashAgain);
        }
        self.nodes[n].is_up = false;
        let hosted = std::mem::take(&mut self.nodes[n].hosted);
        for (space, hosted) in hosted {
            for (_, client) in hosted.tickets {
                self.abandon(client, space, (n, life));
            }
            self.close(space);
        }
        self.after(delay, Event::Start(n));
    }

    fn calm_down(&mut self) {
        self.is_faulty = false;
        self.tell(|| "the faults stop, and clients ask no more".into());
    }

    fn tell(&mut self, line: impl FnOnce() -> String) {
        let now = self.now;
        self.story.tell(|| format!("{now:>8} {}", line()));
    }

    /// Takes something that happened into the fingerprint of the run.
    fn note(&mut self, what: &impl Hash) {
        self.mixer.mix(self.now.into());
        what.hash(&mut self.mixer);
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
        let first = n * size.nodes / size.spaces;
        let mut witness = Witness::guided(name.clone());
        witness.limit(profile.settings.unindexed_bytes_max);
        let nodes = 0..size.nodes_per_space.min(size.nodes);
        Self {
            name,
            calm: [1, 1, 10, 100][choices.choose(Site::Profile, 4)],
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
    Clock { ahead, rate, calendar_off }
}

#[cfg(test)]
mod tests;
