//! What goes wrong for a while: outages, partitions, expired credentials, budgets, locked objects.
//!
//! Once in a second it is decided whether something begins, to whom it happens, and how long it lasts.
//! As long as it lasts, requests meet it on their way. When the faults stop it is over.

use std::collections::{BTreeMap, BTreeSet};

use sana_engine::base::name::Key;
use sana_engine::format::layout;
use sana_engine::machine::request::{Reply, Request, When};

use crate::choices::{Choices, Scope, Site};
use crate::world::backend::Backend;
use crate::world::network::Parcel;
use crate::world::profile::Fault;
use crate::world::{Event, World};

/// How often what begins, of a thousand seconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Climate {
    /// Nobody reaches the store.
    pub outage: u32,
    /// A node does not reach the store.
    pub partition: u32,
    /// The credentials of a node have expired.
    pub expired: u32,
    /// A node has asked more than it may.
    pub budget: u32,
    /// All objects of a namespace are too busy.
    pub prefix: u32,
    /// Objects of a namespace cannot be deleted.
    pub locked: u32,
    /// Somebody puts an object of his own among those of a namespace.
    pub foreign: u32,
    /// Objects of a namespace cannot be read back.
    pub rot: u32,
}

impl Climate {
    /// What a seed's world has of it.
    pub fn draw(choices: &mut Choices, backend: &Backend) -> Self {
        let pick = |choices: &mut Choices, can: bool, from: &[u32]| {
            let drawn = from[choices.choose(Site::Profile, from.len())];
            if can { drawn } else { 0 }
        };
        let far = backend.is_remote;
        let any = pick(choices, true, &[0, 0, 1]) == 1;
        Self {
            outage: pick(choices, any, &[0, 0, 30]),
            partition: pick(choices, any && far, &[0, 30, 100]),
            expired: pick(choices, any, &[0, 0, 50]),
            budget: pick(choices, any, &[0, 0, 50]),
            prefix: pick(choices, any, &[0, 0, 50]),
            locked: pick(choices, any, &[0, 50, 150]),
            foreign: pick(choices, any, &[0, 30, 100]),
            rot: pick(choices, any && backend.checks, &[0, 50, 100]),
        }
    }

    /// Whether nothing ever begins.
    pub fn is_calm(&self) -> bool {
        *self == Self::default()
    }

    const fn weights(&self) -> [u32; 9] {
        let Self { outage, partition, expired, budget, prefix, locked, foreign, rot } = *self;
        let all = outage + partition + expired + budget + prefix + locked + foreign + rot;
        [1_000 - all, outage, partition, expired, budget, prefix, locked, foreign, rot]
    }
}

/// What goes on now, and what the store and its users remember.
#[derive(Clone, Hash, Debug, Default)]
pub struct Weather {
    spells: Vec<Spell>,
    seconds: u32,
    /// Objects that are not Sana's.
    foreign: BTreeSet<Key>,
    /// When each register was last written, where that counts.
    written: BTreeMap<Key, u64>,
    /// Of each node and namespace, the newest write that has arrived.
    arrived: BTreeMap<(usize, usize), u32>,
    /// How often objects of a namespace came or went; and up to when the pages that a node listed of it
    /// know of that.
    changes: BTreeMap<usize, u64>,
    pages: BTreeMap<(usize, usize), u64>,
}

/// Something that lasts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Spell {
    ill: Ill,
    breach: Breach,
    until: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Ill {
    Outage,
    Partition(usize),
    Expired(usize),
    NodeBudget(usize),
    Prefix(usize),
    Locked(usize),
    Rot(usize),
}

/// What becomes of a request that cannot get through.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Breach {
    /// It is turned away.
    TurnedAway,
    /// It never arrives, and nobody says so.
    Silent,
    /// It arrives, and the reply does not come back.
    Mute,
    /// It is performed, but what is read cannot be.
    Unreadable,
}

/// The shortest and the longest that something lasts, in milliseconds.
const LASTS: (u64, u64) = (500, 20_000);
/// How often something may begin, in milliseconds.
pub const EVERY: u64 = 1_000;

/// Whether a request is about an object of the half that is locked or damaged when some are.
fn is_ill(request: &Request) -> bool {
    let key = request.key().as_str().trim_end_matches(".segment");
    key.ends_with(['0', '1', '2', '3', '4', '5', '6', '7'])
}

impl Ill {
    /// Whether a request meets it.
    fn meets(self, parcel: &Parcel) -> bool {
        let Parcel { node, space, request, number, .. } = parcel;
        match self {
            Self::Outage => true,
            Self::Partition(n) | Self::Expired(n) => n == *node,
            // One of four is within the budget.
            Self::NodeBudget(n) => n == *node && !number.is_multiple_of(4),
            Self::Prefix(s) => s == *space && layout::is_immutable(request.key()),
            Self::Locked(s) => {
                s == *space && is_ill(request) && matches!(request, Request::Delete { .. })
            }
            // Of objects half; and the register.
            Self::Rot(s) => {
                let is_get = matches!(request, Request::Get { .. });
                s == *space && is_get && (is_ill(request) || !layout::is_immutable(request.key()))
            }
        }
    }

    const fn fault(self) -> Fault {
        match self {
            Self::Outage => Fault::Outage,
            Self::Partition(_) => Fault::Partition,
            Self::Expired(_) => Fault::Expired,
            Self::NodeBudget(_) => Fault::NodeBudget,
            Self::Prefix(_) => Fault::PrefixThrottled,
            Self::Locked(_) => Fault::DeleteRefused,
            Self::Rot(_) => Fault::Rotten,
        }
    }
}

impl Weather {
    /// What a request meets on its way, and what becomes of it.
    pub fn meets(&self, now: u64, parcel: &Parcel) -> Option<(Fault, Breach)> {
        let meets = |spell: &&Spell| now < spell.until && spell.ill.meets(parcel);
        self.spells.iter().find(meets).map(|spell| (spell.ill.fault(), spell.breach))
    }

    /// Everything is over.
    pub fn clear(&mut self) {
        self.spells.clear();
    }

    /// Whether an object is somebody else's.
    pub fn is_foreign(&self, key: &Key) -> bool {
        self.foreign.contains(key)
    }

    /// Whether this register was written too short a while ago to be written again.
    pub fn is_spent(&self, now: u64, every: u64, request: &Request) -> bool {
        let Request::Put { key, .. } = request else { return false };
        every > 0 && self.written.get(key).is_some_and(|at| now < at + every)
    }

    /// Takes note of a request that was performed, and says what there is to say of it.
    pub fn performed(
        &mut self,
        now: u64,
        every: u64,
        parcel: &Parcel,
        reply: &Reply,
    ) -> Vec<Fault> {
        let Parcel { node, space, request, number, .. } = parcel;
        let mut faults = Vec::new();
        if !request.is_read() {
            let newest = self.arrived.entry((*node, *space)).or_default();
            if *number < *newest {
                faults.push(Fault::Overtook);
            }
            *newest = (*newest).max(*number);
        }
        match (request, reply) {
            (Request::Put { key, .. }, Reply::Stored { .. })
                if !layout::is_immutable(key) && every > 0 =>
            {
                self.written.insert(key.clone(), now);
            }
            (Request::Put { when: When::Fresh, .. }, Reply::Stored { .. })
            | (Request::Delete { .. }, Reply::Deleted) => {
                *self.changes.entry(*space).or_default() += 1;
            }
            (Request::Put { when: When::Absent, .. }, Reply::Refused) => {
                faults.push(Fault::CreateRaced);
            }
            (Request::List { after, .. }, Reply::Listed { .. }) => {
                let changes = self.changes.get(space).copied().unwrap_or_default();
                let known = self.pages.insert((*node, *space), changes);
                if after.is_some() && known.is_some_and(|known| known < changes) {
                    faults.push(Fault::ListChanged);
                }
            }
            _ => {}
        }
        faults
    }
}

impl World {
    /// A second has passed: something may begin.
    pub(super) fn change_weather(&mut self) {
        if !self.is_faulty {
            return;
        }
        let now = self.now;
        self.weather.spells.retain(|spell| now < spell.until);
        self.weather.seconds += 1;
        self.choices.enter(Scope::Weather(self.weather.seconds));
        let what = self.choices.weigh(Site::Weather, &self.profile.weather.weights());
        let node = self.choices.choose(Site::Weather, self.nodes.len());
        let space = self.choices.choose(Site::Weather, self.spaces.len());
        let lasts = self.choices.between(Site::Weather, LASTS.0, LASTS.1);
        let breaches = [Breach::TurnedAway, Breach::Silent, Breach::Mute];
        let breach = breaches[self.choices.choose(Site::Weather, breaches.len())];
        let breached = |ill| Some((ill, breach));
        let turned_away = |ill| Some((ill, Breach::TurnedAway));
        let begins = match what {
            1 => breached(Ill::Outage),
            2 => breached(Ill::Partition(node)),
            3 => turned_away(Ill::Expired(node)),
            4 => turned_away(Ill::NodeBudget(node)),
            5 => turned_away(Ill::Prefix(space)),
            6 => turned_away(Ill::Locked(space)),
            7 => {
                self.litter(space);
                None
            }
            8 => Some((Ill::Rot(space), Breach::Unreadable)),
            _ => None,
        };
        if let Some((ill, breach)) = begins {
            self.tell(|| format!("for {lasts} ms: {ill:?}, {breach:?}"));
            self.weather.spells.push(Spell { ill, breach, until: now + lasts });
        }
        self.after(EVERY, Event::Weather);
    }

    /// Somebody puts an object of his own among those of a namespace.
    fn litter(&mut self, space: usize) {
        let prefix = layout::namespace_data(&self.spaces[space].name);
        let nonce = "0123456789abcdef0123456789abcdef";
        let names = [
            "notes.txt".to_owned(),
            "lost+found/1".to_owned(),
            format!("{nonce}/index/0000000000000001-{nonce}.segment.part"),
            format!("{nonce}/log/1-{nonce}"),
            "~/%2e%2e/".to_owned(),
        ];
        let name = &names[self.choices.choose(Site::Weather, names.len())];
        let key = Key::new(format!("{}{name}", prefix.as_str()));
        self.tell(|| format!("somebody puts {}", key.as_str()));
        let body = b"not ours".to_vec().into();
        let reply = self.store.perform(&Request::create(key.clone(), body));
        if matches!(reply, Reply::Stored { .. }) {
            self.activations.count(Fault::Foreign);
            self.weather.foreign.insert(key);
        }
    }
}
