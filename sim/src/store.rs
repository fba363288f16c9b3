//! A bucket as a value: objects by key, and what the store does with a request.
//!
//! This is the store as it should be; what happens to requests on their way to it and to replies on
//! their way back is up to the world. Two things are up to the store: how it spells tags, and, for a
//! negative control, that it may be one of those that cannot be trusted.

use std::hash::{Hash, Hasher};

use sana_engine::base::blob::Blob;
use sana_engine::base::name::Key;
use sana_engine::format::layout;
use sana_engine::machine::request::{ByteRange, Listed, Reply, Request, Tag, When};

use serde::{Deserialize, Serialize};

use crate::digest::{self, Mixer};
use crate::shelf::Shelf;

/// A bucket.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Store {
    /// A copy shares what neither it nor the original has changed since.
    objects: Shelf<Key, Object>,
    tags: Tags,
    kind: Kind,
    /// What was asked so often that every nth of it goes wrong. Counted only by weak stores.
    asked: u64,
    /// Keys of one page of a listing, at most.
    page: u32,
}

/// One version of an object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Object {
    /// Its fingerprint.
    pub tag: Tag,
    /// Its content.
    pub body: Blob,
    /// The version it replaced, kept only by stores that are not what they should be.
    before: Option<Box<Self>>,
}

/// Which store it is, by what it promises and keeps.
///
/// The sound ones differ in what can go wrong on the way to them (`world::backend`): the bucket itself
/// does the same. The weak ones are negative controls.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub enum Kind {
    /// All that Sana needs: one of the sound ones that follow, each seed another.
    #[default]
    Sound,
    /// It performs every put, whatever its condition says.
    IgnoresConditions,
    /// It looks at conditions too early: of two puts on the same version both are performed.
    TwoWinners,
    /// Of the gets of an object that was changed, every fourth finds the version before.
    StaleReads,
    /// A bucket of S3 itself.
    S3,
    /// Google's, which takes one write of an object in a second.
    Gcs,
    /// Azure's.
    Azure,
    /// Cloudflare's, which takes one write of an object in a second.
    R2,
    /// A server of one's own.
    Minio,
    /// A folder.
    Folder,
    /// Of the gets of registers every sixteenth finds nothing.
    Blips,
    /// Its listings leave out some of the objects, always the same.
    ShortLists,
    /// It removes old objects by a rule that somebody has set.
    Lifecycle,
    /// Sound, but the machines that use it are clones, which draw the same nonces.
    Clones,
}

impl Kind {
    /// Every kind, and its name on the command line.
    pub const ALL: [(&'static str, Self); 14] = [
        ("any", Self::Sound),
        ("s3", Self::S3),
        ("gcs", Self::Gcs),
        ("azure", Self::Azure),
        ("r2", Self::R2),
        ("minio", Self::Minio),
        ("folder", Self::Folder),
        ("weak-conditions", Self::IgnoresConditions),
        ("weak-races", Self::TwoWinners),
        ("weak-reads", Self::StaleReads),
        ("weak-blips", Self::Blips),
        ("weak-lists", Self::ShortLists),
        ("weak-lifecycle", Self::Lifecycle),
        ("weak-clones", Self::Clones),
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, kind)| *kind == self).map_or("any", |(name, _)| name)
    }

    /// Whether it is a negative control.
    pub const fn is_weak(self) -> bool {
        matches!(
            self,
            Self::IgnoresConditions
                | Self::TwoWinners
                | Self::StaleReads
                | Self::Blips
                | Self::ShortLists
                | Self::Lifecycle
                | Self::Clones
        )
    }

    /// Whether it needs to know which version an object replaced.
    const fn keeps_past(self) -> bool {
        matches!(self, Self::TwoWinners | Self::StaleReads)
    }
}

impl Hash for Object {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.tag.hash(state);
        self.body.hash(state);
    }
}

/// How a store makes its tags.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Tags {
    /// Each version of anything has a number of its own.
    Counted {
        /// The number of the newest version.
        last: u64,
    },
    /// From the content: if it comes back, so does the tag.
    Digested,
}

impl Store {
    /// An empty bucket.
    pub const fn new(tags: Tags) -> Self {
        Self::of_kind(Kind::Sound, tags)
    }

    /// An empty bucket of some kind.
    pub const fn of_kind(kind: Kind, tags: Tags) -> Self {
        Self { objects: Shelf::new(), tags, kind, asked: 0, page: 1_000 }
    }

    /// The same, with pages of listings so short that they end in the middle.
    #[must_use]
    pub fn with_pages_of(self, page: u32) -> Self {
        Self { page, ..self }
    }

    /// Which store it is.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Does what a request asks for, and answers.
    pub fn perform(&mut self, request: &Request) -> Reply {
        match request {
            Request::Get { key, range, unless } => match self.found(key) {
                None => Reply::Missing,
                Some(object) if unless.as_ref() == Some(&object.tag) => Reply::NotModified,
                Some(Object { tag, body, .. }) => {
                    let body = range.map_or_else(|| body.clone(), |range| part(body, range));
                    Reply::Found { tag: tag.clone(), body }
                }
            },
            Request::Put { key, body, when } => {
                if !self.holds(key, when) {
                    return Reply::Refused;
                }
                let tag = self.tag_of(key, body);
                let before = self.objects.remove(key).filter(|_| self.kind.keeps_past());
                let before = before.map(|object| Box::new(Object { before: None, ..object }));
                let object = Object { tag: tag.clone(), body: body.clone(), before };
                self.objects.insert(key.clone(), object);
                self.expire(key);
                Reply::Stored { tag }
            }
            Request::Delete { key } => {
                self.objects.remove(key);
                Reply::Deleted
            }
            Request::List { prefix, after, limit } => {
                self.list(prefix, after.as_ref(), (*limit).min(self.page) as usize)
            }
        }
    }

    /// The version that a get finds.
    fn found(&mut self, key: &Key) -> Option<&Object> {
        let object = self.objects.get(key)?;
        match self.kind {
            Kind::StaleReads => {
                self.asked += 1;
                let is_stale = self.asked.is_multiple_of(4);
                object.before.as_deref().filter(|_| is_stale).or(Some(object))
            }
            Kind::Blips if !layout::is_immutable(key) => {
                self.asked += 1;
                let is_blind = self.asked.is_multiple_of(16);
                Some(object).filter(|_| !is_blind)
            }
            _ => Some(object),
        }
    }

    /// Where a rule says so, every fourth put of an object makes the oldest one go.
    fn expire(&mut self, put: &Key) {
        if self.kind != Kind::Lifecycle || !layout::is_immutable(put) {
            return;
        }
        self.asked += 1;
        let oldest =
            self.objects.iter().map(|(key, _)| key).find(|key| layout::is_immutable(key)).cloned();
        if self.asked.is_multiple_of(4)
            && let Some(oldest) = oldest
        {
            self.objects.remove(&oldest);
        }
    }

    /// Whether a listing names this object.
    fn lists(&self, key: &Key) -> bool {
        self.kind != Kind::ShortLists || !key.as_str().ends_with(['0', '4', '8', 'c', 't'])
    }

    /// Whether a put with this condition is performed.
    fn holds(&self, key: &Key, when: &When) -> bool {
        let object = self.objects.get(key);
        let holds = match when {
            When::Absent | When::Fresh => object.is_none(),
            When::Matches(tag) => object.is_some_and(|object| {
                let before = object.before.as_ref().filter(|_| self.kind == Kind::TwoWinners);
                object.tag == *tag || before.is_some_and(|before| before.tag == *tag)
            }),
        };
        holds || self.kind == Kind::IgnoresConditions
    }

    fn tag_of(&mut self, key: &Key, body: &Blob) -> Tag {
        match &mut self.tags {
            Tags::Counted { last } => {
                *last += 1;
                Tag::new(format!("{last}"))
            }
            Tags::Digested => {
                let mut mixer = Mixer::new();
                key.hash(&mut mixer);
                mixer.write(body.as_slice());
                Tag::new(format!("{:032x}", mixer.digest()))
            }
        }
    }

    fn list(&self, prefix: &Key, after: Option<&Key>, limit: usize) -> Reply {
        let first = after.filter(|after| prefix <= *after).unwrap_or(prefix);
        let mut named = self
            .objects
            .from(first)
            .filter(|(key, _)| after != Some(*key) && self.lists(key))
            .take_while(|(key, _)| key.as_str().starts_with(prefix.as_str()));
        let objects = named
            .by_ref()
            .take(limit)
            .map(|(key, object)| Listed { key: key.clone(), bytes: object.body.len() as u64 })
            .collect();
        Reply::Listed { objects, more: named.next().is_some() }
    }

    /// The object under this key.
    pub fn get(&self, key: &Key) -> Option<&Object> {
        self.objects.get(key)
    }

    /// Everything there is, by key.
    pub fn objects(&self) -> impl Iterator<Item = (&Key, &Object)> {
        self.objects.iter()
    }

    /// The keys that begin with this one.
    pub fn keys_below<'a>(&'a self, prefix: &'a Key) -> impl Iterator<Item = &'a Key> {
        let keys = self.objects.from(prefix).map(|(key, _)| key);
        keys.take_while(|key| key.as_str().starts_with(prefix.as_str()))
    }

    /// What the store holds, as a fingerprint.
    pub fn digest(&self) -> digest::Digest {
        digest::of(self)
    }
}

/// The part of a body that a range asks for, as far as there is one.
pub(crate) fn part(body: &Blob, range: ByteRange) -> Blob {
    let position = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(body.len());
    let end = position(range.end);
    body.slice(position(range.start).min(end), end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &str, body: &str, when: When) -> Request {
        Request::Put { key: Key::new(key), body: body.as_bytes().to_vec().into(), when }
    }

    fn stored(store: &mut Store, key: &str, body: &str, when: When) -> Tag {
        let Reply::Stored { tag } = store.perform(&put(key, body, when)) else { panic!("refused") };
        tag
    }

    #[test]
    fn a_put_happens_if_its_condition_holds() {
        for tags in [Tags::Counted { last: 0 }, Tags::Digested] {
            let mut store = Store::new(tags);
            let never = When::Matches(Tag::new("?"));
            assert_eq!(store.perform(&put("a", "x", never)), Reply::Refused);
            let first = stored(&mut store, "a", "x", When::Absent);
            assert_eq!(store.perform(&put("a", "y", When::Fresh)), Reply::Refused);
            let second = stored(&mut store, "a", "y", When::Matches(first.clone()));
            assert_ne!(first, second);
            assert_eq!(store.perform(&put("a", "z", When::Matches(first))), Reply::Refused);
        }
    }

    #[test]
    fn a_weak_store_breaks_the_promise_it_is_named_after() {
        let twice = |kind| {
            let mut store = Store::of_kind(kind, Tags::Digested);
            let first = stored(&mut store, "a", "x", When::Absent);
            stored(&mut store, "a", "y", When::Matches(first.clone()));
            let both = store.perform(&put("a", "z", When::Matches(first)));
            let any = store.perform(&put("a", "z", When::Absent));
            let get = Request::Get { key: Key::new("a"), range: None, unless: None };
            let bodies = (0..4).map(|_| match store.perform(&get) {
                Reply::Found { body, .. } => body.as_slice().to_vec(),
                reply => panic!("{reply:?}"),
            });
            let stale = bodies.collect::<std::collections::BTreeSet<_>>().len() > 1;
            (both != Reply::Refused, any != Reply::Refused, stale)
        };
        assert_eq!(twice(Kind::Sound), (false, false, false));
        assert_eq!(twice(Kind::IgnoresConditions), (true, true, false));
        assert_eq!(twice(Kind::TwoWinners), (true, false, false));
        assert_eq!(twice(Kind::StaleReads), (false, false, true));
        assert_eq!(twice(Kind::ShortLists), (false, false, false));
    }

    #[test]
    fn weak_stores_lose_sight_of_objects_each_in_its_way() {
        let gone = |kind| {
            let mut store = Store::of_kind(kind, Tags::Digested);
            stored(&mut store, "heads/a", "x", When::Absent);
            for name in ["data/a/1", "data/a/2", "data/a/3", "data/a/4"] {
                stored(&mut store, name, "x", When::Fresh);
            }
            let blips = (0..32).filter(|_| {
                let get = Request::get(Key::new("heads/a"));
                store.perform(&get) == Reply::Missing
            });
            let blips = blips.count();
            let list = Request::List { prefix: Key::new("data/"), after: None, limit: 9 };
            let Reply::Listed { objects, .. } = store.perform(&list) else { panic!("no list") };
            (blips, objects.len(), store.objects().count())
        };
        assert_eq!(gone(Kind::Sound), (0, 4, 5));
        assert_eq!(gone(Kind::Blips), (2, 4, 5));
        assert_eq!(gone(Kind::ShortLists), (0, 3, 5));
        assert_eq!(gone(Kind::Lifecycle), (0, 3, 4));
    }

    #[test]
    fn content_that_comes_back_has_its_old_tag_only_where_tags_are_digests() {
        let comes_back = |tags| {
            let mut store = Store::new(tags);
            let first = stored(&mut store, "a", "x", When::Absent);
            let second = stored(&mut store, "a", "y", When::Matches(first.clone()));
            first == stored(&mut store, "a", "x", When::Matches(second))
        };
        assert!(comes_back(Tags::Digested));
        assert!(!comes_back(Tags::Counted { last: 0 }));
    }

    #[test]
    fn a_range_is_cut_short_at_the_end() {
        let mut store = Store::new(Tags::Digested);
        let tag = stored(&mut store, "a", "abcdef", When::Absent);
        for (start, end, expected) in [(0, 3, "abc"), (4, 9, "ef"), (7, 9, "")] {
            let get = Request::get_range(Key::new("a"), ByteRange { start, end });
            let body = expected.as_bytes().to_vec().into();
            assert_eq!(store.perform(&get), Reply::Found { tag: tag.clone(), body });
        }
        let unless = Some(tag);
        let get = Request::Get { key: Key::new("a"), range: None, unless };
        assert_eq!(store.perform(&get), Reply::NotModified);
    }

    #[test]
    fn a_listing_goes_on_after_the_last_key_of_its_page() {
        let mut store = Store::new(Tags::Digested).with_pages_of(2);
        for key in ["a", "b/1", "b/2", "b/3", "c"] {
            stored(&mut store, key, "x", When::Absent);
        }
        let mut list = |after: Option<&str>| {
            let (prefix, after) = (Key::new("b/"), after.map(Key::new));
            match store.perform(&Request::List { prefix, after, limit: 10 }) {
                Reply::Listed { objects, more } => {
                    (objects.iter().map(|o| o.key.to_string()).collect::<Vec<_>>(), more)
                }
                reply => panic!("{reply:?}"),
            }
        };
        assert_eq!(list(None), (vec!["b/1".into(), "b/2".into()], true));
        assert_eq!(list(Some("b/2")), (vec!["b/3".into()], false));
    }
}
