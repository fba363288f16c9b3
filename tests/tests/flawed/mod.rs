//! A store with a flaw of one's choice.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use sana_engine::base::blob::Blob;
use sana_engine::base::name::Key;
use sana_engine::machine::drive::ObjectStore;
use sana_engine::machine::request::{Listed, Reply, Request, Tag, When};

/// What is wrong with a store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Flaw {
    /// A condition is judged at one moment and the write applied at a later one.
    JudgesTooEarly,
    /// A put on a version of a missing object creates it.
    CreatesOnMatch,
    /// A put on an absent object replaces one that is there.
    ReplacesOnAbsent,
    /// An object nobody refers to may be written twice.
    ReplacesOnFresh,
    /// A range that reaches past the end is a missing object.
    RefusesLongRanges,
    /// A range is ignored.
    IgnoresRanges,
    /// An object is sent although the asker has it.
    IgnoresUnless,
    /// A deletion of a missing object fails.
    MissesOnDelete,
    /// Deleted objects are deleted with all whose names begin like theirs.
    DeletesBelow,
    /// Listings are in the order of paths: what lies in `a/` before `a-`.
    ListsByPath,
    /// A page begins with the object after which it should begin.
    ListsAfterInclusive,
    /// A page that is full says that it is the last.
    ForgetsMore,
    /// A page has as many objects as there are.
    IgnoresLimit,
    /// A listing names sizes that are not those of the bodies.
    ListsNoSizes,
    /// Names that differ in case are one.
    IgnoresCase,
    /// Long names are cut off.
    CutsNames,
    /// Tags are derived from contents, as some stores do. This alone is allowed.
    TagOfContent,
}

impl Flaw {
    /// The flaws that no store may have.
    pub(crate) const ALL: [Self; 16] = [
        Self::JudgesTooEarly,
        Self::CreatesOnMatch,
        Self::ReplacesOnAbsent,
        Self::ReplacesOnFresh,
        Self::RefusesLongRanges,
        Self::IgnoresRanges,
        Self::IgnoresUnless,
        Self::MissesOnDelete,
        Self::DeletesBelow,
        Self::ListsByPath,
        Self::ListsAfterInclusive,
        Self::ForgetsMore,
        Self::IgnoresLimit,
        Self::ListsNoSizes,
        Self::IgnoresCase,
        Self::CutsNames,
    ];
}

type Objects = BTreeMap<String, (Tag, Blob)>;

/// A store in memory that has one flaw.
#[derive(Clone, Debug)]
pub(crate) struct Flawed {
    flaw: Flaw,
    objects: Arc<Mutex<(Objects, u64)>>,
}

impl Flawed {
    pub(crate) fn new(flaw: Flaw) -> Self {
        Self { flaw, objects: Arc::default() }
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    fn name(&self, key: &Key) -> String {
        match self.flaw {
            Flaw::IgnoresCase => key.as_str().to_lowercase(),
            Flaw::CutsNames => key.as_str().chars().take(200).collect(),
            _ => key.as_str().to_owned(),
        }
    }

    fn allows(&self, held: Option<&Tag>, when: &When) -> bool {
        match when {
            When::Absent => held.is_none() || self.has(Flaw::ReplacesOnAbsent),
            When::Fresh => held.is_none() || self.has(Flaw::ReplacesOnFresh),
            When::Matches(tag) => held.map_or(self.has(Flaw::CreatesOnMatch), |held| held == tag),
        }
    }

    async fn put(&self, key: &Key, body: Blob, when: &When) -> Reply {
        let name = self.name(key);
        let judge = |objects: &Objects| self.allows(objects.get(&name).map(|(tag, _)| tag), when);
        if !judge(&self.objects.lock().unwrap().0) {
            return Reply::Refused;
        }
        tokio::task::yield_now().await;
        let mut shelf = self.objects.lock().unwrap();
        if !self.has(Flaw::JudgesTooEarly) && !judge(&shelf.0) {
            return Reply::Refused;
        }
        shelf.1 += 1;
        let tag = match self.flaw {
            Flaw::TagOfContent => Tag::new(format!("{:08x}-{}", body.crc32(), body.len())),
            _ => Tag::new(shelf.1.to_string()),
        };
        shelf.0.insert(name, (tag.clone(), body));
        Reply::Stored { tag }
    }

    fn list(&self, prefix: &str, after: Option<&str>, limit: u32) -> Reply {
        let shelf = self.objects.lock().unwrap();
        let begins = |name: &&str| name.starts_with(prefix);
        let follows = |name: &&str| match after {
            Some(after) if self.has(Flaw::ListsAfterInclusive) => *name >= after,
            Some(after) => *name > after,
            None => true,
        };
        let mut names: Vec<&str> =
            shelf.0.keys().map(String::as_str).filter(begins).filter(follows).collect();
        if self.has(Flaw::ListsByPath) {
            names.sort_by(|a, b| a.split('/').cmp(b.split('/')));
        }
        let limit = if self.has(Flaw::IgnoresLimit) { usize::MAX } else { limit as usize };
        let more = names.len() > limit && !self.has(Flaw::ForgetsMore);
        names.truncate(limit);
        let listed = |name: &str| {
            let bytes = if self.has(Flaw::ListsNoSizes) { 0 } else { shelf.0[name].1.len() as u64 };
            Listed { key: Key::new(name), bytes }
        };
        Reply::Listed { objects: names.into_iter().map(listed).collect(), more }
    }
}

impl ObjectStore for Flawed {
    async fn perform(&self, request: Request) -> Reply {
        match request {
            Request::Get { key, range, unless } => {
                let shelf = self.objects.lock().unwrap();
                let Some((tag, body)) = shelf.0.get(&self.name(&key)) else {
                    return Reply::Missing;
                };
                if unless.as_ref() == Some(tag) && !self.has(Flaw::IgnoresUnless) {
                    return Reply::NotModified;
                }
                let range = range.filter(|_| !self.has(Flaw::IgnoresRanges));
                let bytes = body.len() as u64;
                let (start, end) = range.map_or((0, bytes), |range| (range.start, range.end));
                if end > bytes && self.has(Flaw::RefusesLongRanges) {
                    return Reply::Missing;
                }
                let end = end.min(bytes);
                let part = body.slice(start.min(end) as usize, end as usize);
                Reply::Found { tag: tag.clone(), body: part.unwrap() }
            }
            Request::Put { key, body, when } => self.put(&key, body, &when).await,
            Request::Delete { key } => {
                let objects = &mut self.objects.lock().unwrap().0;
                let name = self.name(&key);
                if self.has(Flaw::DeletesBelow) {
                    objects.retain(|other, _| !other.starts_with(&name));
                    return Reply::Deleted;
                }
                let gone = objects.remove(&name).is_none();
                if gone && self.has(Flaw::MissesOnDelete) { Reply::Missing } else { Reply::Deleted }
            }
            Request::List { prefix, after, limit } => {
                self.list(prefix.as_str(), after.as_ref().map(Key::as_str), limit)
            }
        }
    }
}
