//! O11: what a cache hands out is what the store said of just that part of that object, in answer to a read
//! that began after the part was last dropped; and registers are never handed out.
//!
//! The shadow of a cache is told of every read that it begins and ends, and of all that it is to drop, and
//! keeps the fingerprint of whatever it may hand out. It forgets nothing for want of room, so what a cache
//! has evicted is of no concern to it.

use std::collections::BTreeMap;

use sana_engine::base::name::{Key, NamespaceName};
use sana_engine::format::layout;
use sana_engine::machine::request::{ByteRange, Reply, Request};
use sana_engine::service::cache::ReadId;

use crate::digest::{self, Digest};
use crate::oracles::{Broken, Oracle};

/// A part of an object.
type Part = (Key, Option<ByteRange>);

/// What a cache may hand out.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Shadow {
    /// What was said of each part, and whether that is not what the store holds.
    said: BTreeMap<Part, BTreeMap<Digest, bool>>,
    /// The reads that began since the part was dropped, and are under way.
    current: BTreeMap<ReadId, Part>,
}

impl Shadow {
    /// A read begins.
    pub fn begins(&mut self, id: ReadId, request: &Request) {
        self.current.extend(part_of(request).map(|part| (id, part)));
    }

    /// A read has ended with this reply, which may not be what the store holds.
    pub fn ends(&mut self, id: ReadId, reply: &Reply, is_spoiled: bool) {
        if let (Some(part), Reply::Found { .. }) = (self.current.remove(&id), reply) {
            self.said.entry(part).or_default().insert(digest::of(reply), is_spoiled);
        }
    }

    /// Somebody waits for a read that is under way.
    ///
    /// # Errors
    ///
    /// [`Broken`] if there is none that may answer.
    pub fn joins(&self, request: &Request) -> Result<(), Broken> {
        let part = cached_part(request)?;
        demand(self.current.values().any(|current| *current == part), || {
            format!("who asks for {part:?} waits for a read that began before it was dropped")
        })
    }

    /// Something is handed out. Whether it is not what the store holds.
    ///
    /// # Errors
    ///
    /// [`Broken`] if it is not what was read.
    pub fn hands_out(&self, request: &Request, reply: &Reply) -> Result<bool, Broken> {
        let part = cached_part(request)?;
        let said = self.said.get(&part).and_then(|said| said.get(&digest::of(reply)));
        demand(said.is_some(), || {
            format!("of {part:?} something is kept that was not read since it was dropped")
        })?;
        Ok(said.copied().unwrap_or_default())
    }

    /// All that was read of a namespace is dropped, and what is being read is not to be kept.
    pub fn purge(&mut self, namespace: &NamespaceName) {
        let prefix = layout::namespace_data(namespace);
        self.drop_all(|key| key.as_str().starts_with(prefix.as_str()));
    }

    /// Somebody was told that an object is damaged: what was read of it that was so is not to be handed out
    /// any more.
    pub fn damage_is_told(&mut self, key: &Key) {
        for said in self.said.iter_mut().filter(|((of, _), _)| of == key).map(|(_, said)| said) {
            said.retain(|_, is_spoiled| !*is_spoiled);
        }
        self.current.retain(|_, (of, _)| of != key);
    }

    fn drop_all(&mut self, is_one: impl Fn(&Key) -> bool) {
        self.said.retain(|(key, _), _| !is_one(key));
        self.current.retain(|_, (key, _)| !is_one(key));
    }
}

fn part_of(request: &Request) -> Option<Part> {
    match request {
        Request::Get { key, range, .. } => Some((key.clone(), *range)),
        _ => None,
    }
}

/// The part that a cache has to do with.
fn cached_part(request: &Request) -> Result<Part, Broken> {
    let part = part_of(request).filter(|(key, _)| layout::is_immutable(key));
    part.ok_or_else(|| Broken {
        oracle: Oracle::Cached,
        what: format!("a cache has to do with {request:?}, which changes"),
    })
}

fn demand(holds: bool, what: impl FnOnce() -> String) -> Result<(), Broken> {
    Oracle::Cached.demand(holds, what)
}

#[cfg(test)]
mod tests {
    use sana_engine::base::blob::Blob;
    use sana_engine::machine::request::Tag;
    use sana_engine::service::cache::{Asked, Cache, Keep};

    use super::*;

    fn found(n: u8) -> Reply {
        Reply::Found { tag: Tag::new("t"), body: Blob::from(vec![n]) }
    }

    /// Reads of which each is another.
    fn ids() -> impl Iterator<Item = ReadId> {
        let mut cache = Cache::new(0);
        (0..).map(move |n| {
            let request = Request::get(Key::new(format!("data/{n}")));
            match cache.ask(&request, Keep::No, || ()) {
                Asked::Begun(id) => id,
                asked => panic!("{asked:?}"),
            }
        })
    }

    #[test]
    fn only_what_was_read_since_it_was_dropped_is_handed_out() {
        let (mut shadow, mut ids) = (Shadow::default(), ids());
        let of = |name: &str| Request::get(Key::new(name.to_owned()));
        let request = of("data/a/1");
        let id = ids.next().unwrap();
        shadow.begins(id, &request);
        assert!(shadow.joins(&request).is_ok() && shadow.joins(&of("data/a/2")).is_err());
        assert!(shadow.hands_out(&request, &found(1)).is_err());
        shadow.ends(id, &found(1), false);
        assert_eq!(shadow.hands_out(&request, &found(1)), Ok(false));
        assert!(shadow.hands_out(&request, &found(2)).is_err());
        assert!(shadow.joins(&request).is_err());

        let id = ids.next().unwrap();
        shadow.begins(id, &request);
        shadow.purge(&NamespaceName::parse("a").unwrap());
        shadow.ends(id, &found(1), false);
        assert!(shadow.hands_out(&request, &found(1)).is_err());
    }

    #[test]
    fn a_register_is_never_handed_out() {
        let (mut shadow, mut ids) = (Shadow::default(), ids());
        let request = Request::get(Key::new("heads/a"));
        let id = ids.next().unwrap();
        shadow.begins(id, &request);
        assert!(shadow.joins(&request).is_err());
        shadow.ends(id, &found(1), false);
        assert!(shadow.hands_out(&request, &found(1)).is_err());
    }

    #[test]
    fn what_was_told_to_be_damaged_is_not_handed_out_again() {
        let (mut shadow, mut ids) = (Shadow::default(), ids());
        let request = Request::get(Key::new("data/a/1"));
        for (n, is_spoiled) in [(1, true), (2, false)] {
            let id = ids.next().unwrap();
            shadow.begins(id, &request);
            shadow.ends(id, &found(n), is_spoiled);
            assert_eq!(shadow.hands_out(&request, &found(n)), Ok(is_spoiled));
        }
        shadow.damage_is_told(&Key::new("data/a/1"));
        assert!(shadow.hands_out(&request, &found(1)).is_err());
        assert_eq!(shadow.hands_out(&request, &found(2)), Ok(false));
    }
}
