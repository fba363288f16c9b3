//! What clients ask of a store that is to be qualified: random requests of every kind on a few objects,
//! so that they are in each other's way.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use sana_engine::base::blob::Blob;
use sana_engine::base::name::Key;
use sana_engine::machine::request::{ByteRange, Reply, Request, Tag, When};
use sana_sim::choices::{Choices, Site};

use super::recorder::Patience;

/// The tags that any client was told of, by object. They are shared so that many clients put on a
/// condition that only one of them can meet.
#[derive(Clone, Debug, Default)]
pub(super) struct Board(Arc<Mutex<BTreeMap<Key, Vec<Tag>>>>);

impl Board {
    fn add(&self, key: &Key, tag: &Tag) {
        let mut board = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tags = board.entry(key.clone()).or_default();
        if !tags.contains(tag) {
            tags.push(tag.clone());
        }
    }

    fn tags(&self, key: &Key) -> Vec<Tag> {
        let board = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        board.get(key).cloned().unwrap_or_default()
    }
}

/// What one client asks.
#[derive(Clone, Debug)]
pub(super) struct Workload {
    choices: Choices,
    client: u32,
    prefix: Key,
    objects: u32,
    board: Board,
    bodies: u32,
}

/// One request, and how it is asked.
pub(super) struct Question {
    pub(super) request: Request,
    pub(super) dawdle: u32,
    pub(super) patience: Patience,
}

impl Workload {
    pub(super) fn new(seed: u64, client: u32, prefix: &Key, objects: u32, board: &Board) -> Self {
        let choices = Choices::seeded(seed ^ u64::from(client) << 48);
        let (prefix, board) = (prefix.clone(), board.clone());
        Self { choices, client, prefix, objects, board, bodies: 0 }
    }

    /// What it asks next.
    pub(super) fn next(&mut self) -> Question {
        let request = self.request();
        let dawdle = [0, 0, 1, 3][self.draw(4)];
        let hangs_up = !request.is_read() && self.draw(30) == 0;
        let patience =
            if hangs_up { Patience::Looks(1 + self.draw(3) as u32) } else { Patience::Endless };
        Question { request, dawdle, patience }
    }

    /// Takes in what was answered.
    pub(super) fn hear(&self, key: &Key, reply: &Reply) {
        if let Reply::Stored { tag } | Reply::Found { tag, .. } = reply {
            self.board.add(key, tag);
        }
    }

    fn draw(&mut self, ways: usize) -> usize {
        self.choices.choose(Site::Workload, ways)
    }

    fn request(&mut self) -> Request {
        let name = self.draw(self.objects as usize) as u32;
        let key = object(&self.prefix, name);
        match self.draw(24) {
            0..=4 => Request::get(key),
            5 | 6 => {
                let start = self.draw(30) as u64;
                let bytes = [0, 1, 9, 10_000][self.draw(4)];
                Request::get_range(key, ByteRange { start, end: start + bytes })
            }
            7 | 8 => {
                let unless = Some(self.tag(&key, name));
                let range = (self.draw(4) == 0).then_some(ByteRange { start: 1, end: 7 });
                Request::Get { key, range, unless }
            }
            9 | 10 => self.put(key, name, When::Absent),
            11 => self.put(key, name, When::Fresh),
            12..=20 => {
                let tag = self.tag(&key, name);
                self.put(key, name, When::Matches(tag))
            }
            21 => Request::Delete { key },
            _ => {
                let after = (self.draw(3) == 0).then_some(key);
                let limit = [1_000, 1_000, 1, 2][self.draw(4)];
                Request::List { prefix: self.prefix.clone(), after, limit }
            }
        }
    }

    /// Mostly the newest tag of the object, sometimes an older one, one of another object, or none
    /// that any store ever made.
    fn tag(&mut self, key: &Key, name: u32) -> Tag {
        let other = object(&self.prefix, (name + 1) % self.objects);
        let of = if self.draw(12) == 0 { &other } else { key };
        let tags = self.board.tags(of);
        let newest = tags.len().saturating_sub(1);
        let place = match self.draw(10) {
            0 => usize::MAX,
            1 => self.draw(newest + 1),
            2 => newest.saturating_sub(1),
            _ => newest,
        };
        tags.get(place).cloned().unwrap_or_else(|| Tag::new("\"a-tag-of-nobody\""))
    }

    fn put(&mut self, key: Key, name: u32, when: When) -> Request {
        Request::Put { key, body: self.body(name), when }
    }

    /// Mostly a content that was never there before, of any size; sometimes one of two that come
    /// again and again.
    fn body(&mut self, name: u32) -> Blob {
        self.bodies += 1;
        let mut text = match self.draw(12) {
            0 => format!("again {} of {name}", self.draw(2)),
            _ => format!("{} of client {} in {name}", self.bodies, self.client),
        };
        let more = match self.draw(32) {
            0 => 5_000 + self.draw(70_000),
            1..=4 => self.draw(300),
            _ => 0,
        };
        if !text.starts_with("again") {
            text.push_str(&".".repeat(more));
        }
        Blob::from(text.into_bytes())
    }
}

/// The object of this number below a prefix.
pub(super) fn object(prefix: &Key, number: u32) -> Key {
    Key::new(format!("{prefix}{number}"))
}
