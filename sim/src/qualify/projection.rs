//! What a history says of each object for itself.
//!
//! Objects know nothing of one another, so a history has an order if the requests on each object have
//! one. A page of a listing is a look at each object that it names or should have named, and each look
//! has a moment of its own: no store promises that a page is a picture of one moment.
//!
//! What can be seen to be wrong without looking for an order is found here: replies that no store may
//! give to a request, and one tag for two contents.

use std::collections::{BTreeMap, BTreeSet};

use sana_engine::base::blob::Blob;
use sana_engine::base::name::Key;
use sana_engine::machine::request::{ByteRange, Listed, Reply, Request, Tag, When};

use super::contradiction::{Contradiction, Why};
use super::history::{Entry, History};
use super::register::{Condition, Deed, State, UNSEEN, Version};
use super::search::Op;
use super::{Conflicts, Rules};
use crate::store::part;

/// One object: what was asked of it, and the states it can ever have been in.
pub(super) struct Object {
    pub(super) key: Key,
    pub(super) ops: Vec<Op>,
    pub(super) states: Vec<State>,
}

/// Takes a history apart.
pub(super) fn objects(history: &History, rules: Rules) -> Result<Vec<Object>, Contradiction> {
    let mut keys = BTreeSet::new();
    for entry in &history.entries {
        if !matches!(entry.request, Request::List { .. }) {
            keys.insert(entry.request.key().clone());
        }
    }
    for entry in &history.entries {
        if let Some(why) = impossible(entry, &keys) {
            let key = entry.request.key().clone();
            return Err(Contradiction { key, why, replies: vec![entry.clone()], others: 0 });
        }
    }
    let told = tags_told(history);
    keys.into_iter().map(|key| object(history, key, &told, rules)).collect()
}

/// Under which tags each content was told anywhere. Where tags are digests of the content alone, an
/// object may have the tag of another.
fn tags_told(history: &History) -> BTreeMap<Blob, BTreeSet<Tag>> {
    let mut told = BTreeMap::<Blob, BTreeSet<Tag>>::new();
    for entry in &history.entries {
        if let Some((tag, body)) = told_by(entry) {
            told.entry(body.clone()).or_default().insert(tag.clone());
        }
    }
    told
}

/// The tag and the whole content that an entry tells of.
const fn told_by(entry: &Entry) -> Option<(&Tag, &Blob)> {
    match (&entry.request, &entry.reply) {
        (Request::Put { body, .. }, Reply::Stored { tag })
        | (Request::Get { range: None, .. }, Reply::Found { tag, body }) => Some((tag, body)),
        _ => None,
    }
}

/// Why no store may reply so, whatever it holds.
fn impossible(entry: &Entry, keys: &BTreeSet<Key>) -> Option<Why> {
    let why = match (&entry.request, &entry.reply) {
        (_, Reply::Lost | Reply::Throttled) => return None,
        (Request::Get { unless, .. }, Reply::Found { tag, .. }) if unless.as_ref() == Some(tag) => {
            "the object was sent although the client said that it has this version"
        }
        (Request::Get { .. }, Reply::Found { .. } | Reply::Missing)
        | (Request::Get { unless: Some(_), .. }, Reply::NotModified)
        | (Request::Put { .. }, Reply::Stored { .. } | Reply::Refused)
        | (Request::Delete { .. }, Reply::Deleted) => return None,
        (Request::List { prefix, after, limit }, Reply::Listed { objects, more }) => {
            page(objects, *more, prefix, after.as_ref(), *limit, keys)?
        }
        _ => "a request of this kind is not answered so",
    };
    Some(Why::Impossible(why))
}

/// What is wrong with a page, whatever there is to be listed.
fn page(
    objects: &[Listed],
    more: bool,
    prefix: &Key,
    after: Option<&Key>,
    limit: u32,
    keys: &BTreeSet<Key>,
) -> Option<&'static str> {
    let begins = |listed: &Listed| listed.key.as_str().starts_with(prefix.as_str());
    let first = objects.first().map(|listed| &listed.key);
    if objects.len() > limit as usize {
        Some("the page is longer than was asked for")
    } else if !objects.is_sorted_by(|a, b| a.key < b.key) {
        Some("the page is not in the order of keys")
    } else if !objects.iter().all(begins) || after.is_some_and(|it| first.is_some_and(|f| f <= it))
    {
        Some("the page names what was not asked for")
    } else if more && objects.is_empty() {
        Some("the page names nothing and says that there is more")
    } else if !objects.iter().all(|listed| keys.contains(&listed.key)) {
        Some("the page names an object that nobody put")
    } else {
        None
    }
}

fn object(
    history: &History,
    key: Key,
    told: &BTreeMap<Blob, BTreeSet<Tag>>,
    rules: Rules,
) -> Result<Object, Contradiction> {
    let mut known = Known::new(told);
    let named = |entry: &&Entry| *entry.request.key() == key;
    for entry in history.entries.iter().filter(named) {
        known.learn(entry, &key)?;
    }
    for entry in history.entries.iter().filter(named) {
        known.learn_lost(entry);
    }
    let mut ops = Vec::new();
    for (index, entry) in history.entries.iter().enumerate() {
        let Some(deed) = known.deed(entry, &key) else { continue };
        let must = entry.reply != Reply::Lost;
        let end = must.then_some(entry.end);
        ops.push(Op { entry: index, begin: entry.begin, end, must, deed });
    }
    if rules.conflicts == Conflicts::Allowed {
        forgive_conflicts(&mut ops);
    }
    ops.sort_by_key(|op| op.begin);
    let mut states = BTreeSet::from([None]);
    for op in &ops {
        if let Deed::Put { versions, .. } = &op.deed {
            states.extend(versions.iter().copied().map(Some));
        }
    }
    Ok(Object { key, ops, states: states.into_iter().collect() })
}

/// A put that was refused while another change of the object was under way says nothing.
fn forgive_conflicts(ops: &mut Vec<Op>) {
    let puts = |op: &&Op| op.deed.changes() || matches!(op.deed, Deed::Refused(_));
    let writes: Vec<(usize, u64, u64)> = ops
        .iter()
        .filter(puts)
        .map(|op| (op.entry, op.begin, op.end.unwrap_or(u64::MAX)))
        .collect();
    ops.retain(|op| {
        let end = op.end.unwrap_or(u64::MAX);
        let meets = |(other, from, until): &(usize, u64, u64)| {
            *other != op.entry && *from < end && op.begin < *until
        };
        !matches!(op.deed, Deed::Refused(_)) || !writes.iter().any(meets)
    });
}

/// A content: a body that a reply may show, or one that none did, of which only the size counts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Content {
    Told(Blob),
    Untold(usize),
}

/// The numbers of tags and contents of one object, and what is known of them.
struct Known<'a> {
    tags: BTreeMap<Tag, u32>,
    contents: BTreeMap<Content, u32>,
    /// For each tag its content, if that was told whole, with the entry that told it.
    owners: BTreeMap<Tag, (u32, Entry)>,
    /// Parts that were found under tags.
    parts: Vec<(Tag, ByteRange, Blob)>,
    /// How many puts have each body.
    puts: BTreeMap<Blob, usize>,
    /// Under which tags each content was told of any object.
    told: &'a BTreeMap<Blob, BTreeSet<Tag>>,
}

impl<'a> Known<'a> {
    const fn new(told: &'a BTreeMap<Blob, BTreeSet<Tag>>) -> Self {
        Self {
            tags: BTreeMap::new(),
            contents: BTreeMap::new(),
            owners: BTreeMap::new(),
            parts: Vec::new(),
            puts: BTreeMap::new(),
            told,
        }
    }

    /// Takes in what an entry says of tags and contents.
    fn learn(&mut self, entry: &Entry, key: &Key) -> Result<(), Contradiction> {
        if let Request::Put { body, .. } = &entry.request {
            *self.puts.entry(body.clone()).or_default() += 1;
        }
        if let (Request::Get { range: Some(range), .. }, Reply::Found { tag, body }) =
            (&entry.request, &entry.reply)
        {
            self.parts.push((tag.clone(), *range, body.clone()));
        }
        let Some((tag, body)) = told_by(entry) else { return Ok(()) };
        let content = self.content(Content::Told(body.clone()));
        let (owner, first) = self.owners.entry(tag.clone()).or_insert((content, entry.clone()));
        if *owner == content {
            return Ok(());
        }
        let (key, replies) = (key.clone(), vec![first.clone(), entry.clone()]);
        Err(Contradiction { key, why: Why::OneTagTwoContents, replies, others: 0 })
    }

    /// Gives a number to the content of a put of which nobody knows what became.
    fn learn_lost(&mut self, entry: &Entry) {
        let (Request::Put { body, .. }, Reply::Lost) = (&entry.request, &entry.reply) else {
            return;
        };
        let content = self.content_of_lost(body);
        self.content(content);
    }

    fn content_of_lost(&self, body: &Blob) -> Content {
        let told = Content::Told(body.clone());
        let is_told = self.told.contains_key(body) || self.tags_shown_of(body).next().is_some();
        if is_told { told } else { Content::Untold(body.len()) }
    }

    /// Tags under which only parts were found, all of which are parts of this body.
    fn tags_shown_of(&self, body: &Blob) -> impl Iterator<Item = &Tag> {
        let shows = |of: &Tag| {
            let mut parts = self.parts.iter().filter(|(tag, ..)| tag == of);
            parts.all(|(_, range, found)| part(body, *range) == *found)
        };
        let tags: BTreeSet<&Tag> = self.parts.iter().map(|(tag, ..)| tag).collect();
        tags.into_iter().filter(move |tag| !self.owners.contains_key(*tag) && shows(tag))
    }

    fn content(&mut self, content: Content) -> u32 {
        let next = self.contents.len() as u32;
        *self.contents.entry(content).or_insert(next)
    }

    fn tag(&mut self, tag: &Tag) -> u32 {
        let next = self.tags.len() as u32;
        *self.tags.entry(tag.clone()).or_insert(next)
    }

    /// What an entry says of the object; `None` if it says nothing.
    fn deed(&mut self, entry: &Entry, key: &Key) -> Option<Deed> {
        if *entry.request.key() != *key && !matches!(entry.request, Request::List { .. }) {
            return None;
        }
        Some(match (&entry.request, &entry.reply) {
            (Request::List { prefix, after, .. }, Reply::Listed { objects, more }) => {
                return self.listed(key, prefix, after.as_ref(), objects, *more);
            }
            (Request::Get { .. }, Reply::Missing) => Deed::Missing,
            (Request::Get { unless, .. }, Reply::NotModified) => {
                Deed::NotModified(self.tag(unless.as_ref()?))
            }
            (Request::Get { range, .. }, Reply::Found { tag, body }) => {
                let bodies = self.bodies(tag, *range, body);
                Deed::Seen { tag: Some(self.tag(tag)), bodies }
            }
            (Request::Put { when, .. }, Reply::Refused) => Deed::Refused(self.condition(when)),
            (Request::Put { body, when, .. }, Reply::Stored { tag }) => {
                let body = self.content(Content::Told(body.clone()));
                let versions = vec![Version { tag: self.tag(tag), body }];
                Deed::Put { when: self.condition(when), versions }
            }
            (Request::Put { body, when, .. }, Reply::Lost) => {
                Deed::Put { when: self.condition(when), versions: self.versions_of_lost(body) }
            }
            (Request::Delete { .. }, Reply::Deleted | Reply::Lost) => Deed::Delete,
            _ => return None,
        })
    }

    fn condition(&mut self, when: &When) -> Condition {
        match when {
            When::Absent | When::Fresh => Condition::Absent,
            When::Matches(tag) => Condition::Matches(self.tag(tag)),
        }
    }

    /// The contents that a get can have found.
    fn bodies(&self, tag: &Tag, range: Option<ByteRange>, found: &Blob) -> Vec<u32> {
        let is_it = |content: &Content| match (content, range) {
            (Content::Told(body), None) => body == found,
            (Content::Told(body), Some(range)) => part(body, range) == *found,
            (Content::Untold(_), _) => false,
        };
        let owner = self.owners.get(tag).map(|(content, _)| *content);
        let of_tag = |number: u32| owner.is_none_or(|owner| owner == number);
        let all = self.contents.iter().filter(|(_, number)| of_tag(**number));
        all.filter(|(content, _)| is_it(content)).map(|(_, number)| *number).collect()
    }

    /// The versions that a put can have made whose reply was lost. If nobody else put its body, and
    /// the body was found, it was found under the tag of this version. Otherwise a version of it may
    /// have come and gone unseen.
    fn versions_of_lost(&mut self, body: &Blob) -> Vec<Version> {
        let content = self.content_of_lost(body);
        let content = self.content(content);
        let owned = self.owners.iter().filter(|(_, (owner, _))| *owner == content);
        let mut tags: BTreeSet<Tag> = owned.map(|(tag, _)| tag.clone()).collect();
        let is_found = !tags.is_empty() && self.puts.get(body) == Some(&1);
        tags.extend(self.told.get(body).into_iter().flatten().cloned());
        tags.extend(self.tags_shown_of(body).cloned());
        let mut versions: Vec<Version> =
            tags.iter().map(|tag| Version { tag: self.tag(tag), body: content }).collect();
        if !is_found {
            versions.push(Version { tag: UNSEEN, body: content });
        }
        versions
    }

    /// What a page says of this object, if it is one of those that the page covers.
    fn listed(
        &self,
        key: &Key,
        prefix: &Key,
        after: Option<&Key>,
        objects: &[Listed],
        more: bool,
    ) -> Option<Deed> {
        let last = objects.last().map(|listed| &listed.key);
        let is_asked = key.as_str().starts_with(prefix.as_str())
            && after.is_none_or(|after| key > after)
            && (!more || last.is_some_and(|last| key <= last));
        let found = objects.iter().find(|listed| listed.key == *key);
        is_asked.then(|| match found {
            None => Deed::Missing,
            Some(listed) => {
                let has_size = |content: &Content| match content {
                    Content::Told(body) => body.len() as u64 == listed.bytes,
                    Content::Untold(bytes) => *bytes as u64 == listed.bytes,
                };
                let bodies = self.contents.iter().filter(|(content, _)| has_size(content));
                Deed::Seen { tag: None, bodies: bodies.map(|(_, number)| *number).collect() }
            }
        })
    }
}
