//! Histories of the model itself: clients in a random order, with every fate of a request. They are
//! always included; with one reply changed they almost never are.

use std::collections::BTreeMap;

use sana_engine::base::name::Key;
use sana_engine::machine::request::{ByteRange, Listed, Reply, Request, Tag, When};

use super::{blob, check};
use crate::choices::{Choices, Site};
use crate::qualify::contradiction::Contradiction;
use crate::qualify::history::{Entry, History};
use crate::qualify::{Rules, Verdict};
use crate::store::{Kind, Store, Tags};

const KEYS: [&str; 3] = ["k/a", "k/b", "k/c"];

/// How a request of a client stands.
enum Standing {
    Asked,
    /// The part of a page that was seen at an earlier moment than the rest.
    HalfListed(Reply),
    Answered(Reply),
}

/// Clients and a store, in an order that a seed decides.
struct Play {
    keys: &'static [&'static str],
    store: Store,
    choices: Choices,
    clients: Vec<Option<(u64, Request, Standing)>>,
    adrift: Vec<Request>,
    tags: BTreeMap<Key, Vec<Tag>>,
    moment: u64,
    bodies: u64,
    entries: Vec<Entry>,
}

/// What clients see of a store of this kind.
pub(super) fn play(
    keys: &'static [&'static str],
    kind: Kind,
    tags: Tags,
    seed: u64,
    requests: usize,
) -> History {
    let mut choices = Choices::seeded(seed);
    let clients = choices.between(Site::Workload, 1, 6) as usize;
    let mut play = Play {
        keys,
        store: Store::of_kind(kind, tags),
        choices,
        clients: (0..clients).map(|_| None).collect(),
        adrift: Vec::new(),
        tags: BTreeMap::new(),
        moment: 0,
        bodies: 0,
        entries: Vec::new(),
    };
    while play.entries.len() < requests {
        play.step();
    }
    // What is under way has no reply, and may have happened.
    for client in 0..clients {
        if let Some((begin, request, _)) = play.clients[client].take() {
            play.record(client, begin, request, Reply::Lost);
        }
    }
    History { entries: play.entries }
}

impl Play {
    fn draw(&mut self, ways: usize) -> usize {
        self.choices.choose(Site::Workload, ways)
    }

    fn step(&mut self) {
        self.moment += 1;
        if !self.adrift.is_empty() && self.draw(20) == 0 {
            let late = self.draw(self.adrift.len());
            self.store.perform(&self.adrift.remove(late));
            return;
        }
        let client = self.draw(self.clients.len());
        let Some((begin, request, standing)) = self.clients[client].take() else {
            let request = self.request();
            self.clients[client] = Some((self.moment, request, Standing::Asked));
            return;
        };
        let standing = match (standing, self.draw(40)) {
            (Standing::Asked, 0) => Standing::Answered(Reply::Throttled),
            (Standing::Asked, 1) => Standing::Answered(Reply::Lost),
            (Standing::Asked, 2) => {
                self.adrift.push(request.clone());
                Standing::Answered(Reply::Lost)
            }
            (Standing::Asked, fate) => {
                let reply = self.store.perform(&request);
                match reply {
                    Reply::Listed { more: false, .. } if fate % 2 == 0 => {
                        Standing::HalfListed(reply)
                    }
                    reply => Standing::Answered(reply),
                }
            }
            (Standing::HalfListed(first), _) => {
                let second = self.store.perform(&request);
                Standing::Answered(self.torn(first, second))
            }
            (Standing::Answered(_), 0) => return self.record(client, begin, request, Reply::Lost),
            (Standing::Answered(reply), _) => return self.record(client, begin, request, reply),
        };
        self.clients[client] = Some((begin, request, standing));
    }

    /// A page that saw some objects at one moment, and the others at another.
    fn torn(&mut self, first: Reply, second: Reply) -> Reply {
        let (Reply::Listed { objects: one, .. }, Reply::Listed { objects: two, more: false }) =
            (first, second.clone())
        else {
            return second;
        };
        let mut objects = Vec::new();
        for key in self.keys.iter().copied().map(Key::new) {
            let of = if self.draw(2) == 0 { &one } else { &two };
            objects.extend(of.iter().find(|listed| listed.key == key).cloned());
        }
        Reply::Listed { objects, more: false }
    }

    fn record(&mut self, client: usize, begin: u64, request: Request, reply: Reply) {
        if let Reply::Stored { tag } | Reply::Found { tag, .. } = &reply {
            let tags = self.tags.entry(request.key().clone()).or_default();
            if tags.last() != Some(tag) {
                tags.push(tag.clone());
            }
        }
        let client = client as u32;
        self.entries.push(Entry { client, begin, end: self.moment, request, reply });
    }

    fn request(&mut self) -> Request {
        let key = Key::new(self.keys[self.draw(self.keys.len())]);
        let known = self.tags.get(&key).cloned().unwrap_or_default();
        let tag = match (self.draw(8), known.len()) {
            (0, _) | (_, 0) => Tag::new("?"),
            (1 | 2, many) => known[self.draw(many)].clone(),
            (_, many) => known[many - 1].clone(),
        };
        match self.draw(12) {
            0..=2 => Request::get(key),
            3 => {
                let start = self.draw(12) as u64;
                let end = start + self.draw(6) as u64;
                Request::get_range(key, ByteRange { start, end })
            }
            4 => Request::Get { key, range: None, unless: Some(tag) },
            5..=6 => Request::Put { key, body: self.body(), when: When::Absent },
            7..=9 => Request::Put { key, body: self.body(), when: When::Matches(tag) },
            10 => Request::Delete { key },
            _ => {
                let after = (self.draw(3) == 0).then_some(key);
                let limit = [9, 9, 1, 2][self.draw(4)];
                Request::List { prefix: Key::new("k/"), after, limit }
            }
        }
    }

    /// Mostly a new body, sometimes one that was there before, and of any object.
    fn body(&mut self) -> sana_engine::base::blob::Blob {
        self.bodies += 1;
        let number = if self.draw(6) == 0 { self.draw(3) as u64 } else { self.bodies + 10 };
        blob(&format!("{number}{}", "-".repeat(number as usize % 5)))
    }
}

#[track_caller]
fn contradiction(history: &History) -> Option<Box<Contradiction>> {
    match check(history, Rules::default()) {
        Verdict::Fits(_) => None,
        Verdict::Contradicts(contradiction) => Some(contradiction),
        Verdict::Undecided { key } => panic!("too many orders of what was asked of {key}"),
    }
}

#[test]
fn every_history_of_the_model_is_included() {
    for seed in 0..600 {
        for tags in [Tags::Counted { last: 0 }, Tags::Digested] {
            let history = play(&KEYS, Kind::Sound, tags, seed, 120);
            if let Some(contradiction) = contradiction(&history) {
                panic!("seed {seed}, {tags:?}: {contradiction}");
            }
        }
    }
}

/// The history with another reply to one of its requests, of a kind that the store may give; none if
/// none was found.
pub(super) fn mutated(history: &History, choices: &mut Choices) -> Option<History> {
    let mut mutated = history.clone();
    for _ in 0..1_000 {
        let place = choices.choose(Site::Fate, mutated.entries.len());
        let other = choices.choose(Site::Fate, mutated.entries.len());
        let foreign = history.entries[other].reply.clone();
        let entry = &mut mutated.entries[place];
        let reply = match (&entry.request, &entry.reply, foreign) {
            (_, Reply::Lost | Reply::Throttled, _) => continue,
            (Request::Put { .. }, Reply::Stored { .. }, _) => Reply::Refused,
            (Request::Put { .. }, Reply::Refused, _) => Reply::Stored { tag: Tag::new("new") },
            (Request::Get { .. }, Reply::Missing, found @ Reply::Found { .. }) => found,
            (Request::Get { .. }, Reply::Found { .. }, Reply::Found { tag, body }) => {
                Reply::Found { tag, body }
            }
            (Request::Get { .. }, Reply::Found { .. } | Reply::NotModified, _) => Reply::Missing,
            (Request::List { .. }, Reply::Listed { objects, more }, _) if !objects.is_empty() => {
                let mut objects: Vec<Listed> = objects.clone();
                objects.remove(choices.choose(Site::Fate, objects.len()));
                Reply::Listed { objects, more: *more }
            }
            _ => continue,
        };
        if entry.reply != reply {
            entry.reply = reply;
            return Some(mutated);
        }
    }
    None
}

#[test]
fn a_history_with_another_reply_is_refused_but_for_those_that_may_be_so() {
    let (mut refused, mut fewest) = (0, Vec::new());
    for seed in 0..1_000 {
        let history = play(&KEYS, Kind::Sound, Tags::Counted { last: 0 }, seed, 60);
        let mutated = mutated(&history, &mut Choices::seeded(seed + 7_000)).unwrap();
        if let Some(contradiction) = contradiction(&mutated) {
            refused += 1;
            fewest.push(contradiction.replies.len());
        }
    }
    fewest.sort_unstable();
    let median = fewest[fewest.len() / 2];
    println!(
        "{refused} of 1000 refused, told by {median} replies in the median, {:?} at most",
        fewest.last()
    );
    assert!(refused >= 900, "only {refused} of 1000 changed histories were refused");
    assert!(median <= 3, "a contradiction is told by {median} replies in the median");
}

#[test]
fn a_weak_store_is_found_out_by_its_histories() {
    for (name, kind) in Kind::ALL.into_iter().filter(|(_, kind)| *kind != Kind::Sound) {
        let is_found_out = |seed: &u64| {
            let history = play(&KEYS, kind, Tags::Counted { last: 0 }, *seed, 120);
            contradiction(&history).is_some()
        };
        let found_out = (0..200).filter(is_found_out).count();
        println!("{name}: {found_out} of 200 histories contradict the model");
        assert!(found_out >= 120, "{name}: only {found_out} of 200");
    }
}
