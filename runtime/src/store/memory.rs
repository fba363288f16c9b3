//! Objects in memory, which end with the process.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};

use sana_engine::base::blob::Blob;
use sana_engine::base::name::Key;
use sana_engine::machine::drive::ObjectStore;
use sana_engine::machine::request::{ByteRange, Listed, Reply, Request, Tag, When};

/// A store in memory. A clone is another handle to the same objects.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    shelf: Arc<Mutex<Shelf>>,
}

impl MemoryStore {
    /// A store without objects.
    pub fn new() -> Self {
        Self::default()
    }
}

impl ObjectStore for MemoryStore {
    async fn perform(&self, request: Request) -> Reply {
        // A panic inside would be a bug between two statements that cannot fail; the map is whole.
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        match request {
            Request::Get { key, range, unless } => shelf.get(&key, range, unless.as_ref()),
            Request::Put { key, body, when } => shelf.put(key, body, &when),
            Request::Delete { key } => {
                shelf.objects.remove(&key);
                Reply::Deleted
            }
            Request::List { prefix, after, limit } => shelf.list(&prefix, after, limit),
        }
    }
}

/// The objects, and how many versions there have been.
#[derive(Debug, Default)]
struct Shelf {
    objects: BTreeMap<Key, (Tag, Blob)>,
    versions: u64,
}

impl Shelf {
    fn get(&self, key: &Key, range: Option<ByteRange>, unless: Option<&Tag>) -> Reply {
        let Some((tag, body)) = self.objects.get(key) else { return Reply::Missing };
        if unless == Some(tag) {
            return Reply::NotModified;
        }
        let body = range.map_or_else(|| body.clone(), |range| cut(body, range));
        Reply::Found { tag: tag.clone(), body }
    }

    fn put(&mut self, key: Key, body: Blob, when: &When) -> Reply {
        let held = self.objects.get(&key).map(|(tag, _)| tag);
        let holds = match when {
            When::Absent | When::Fresh => held.is_none(),
            When::Matches(tag) => held == Some(tag),
        };
        if !holds {
            return Reply::Refused;
        }
        self.versions += 1;
        let tag = Tag::new(self.versions.to_string());
        self.objects.insert(key, (tag.clone(), body));
        Reply::Stored { tag }
    }

    fn list(&self, prefix: &Key, after: Option<Key>, limit: u32) -> Reply {
        let from = match after {
            Some(after) if after >= *prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix.clone()),
        };
        let mut named = self
            .objects
            .range((from, Bound::Unbounded))
            .take_while(|(key, _)| key.as_str().starts_with(prefix.as_str()))
            .map(|(key, (_, body))| Listed { key: key.clone(), bytes: body.len() as u64 });
        let objects = named.by_ref().take(limit as usize).collect();
        Reply::Listed { objects, more: named.next().is_some() }
    }
}

/// The part of `body` that `range` asks for, as far as there is one.
fn cut(body: &Blob, range: ByteRange) -> Blob {
    let position = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(body.len());
    body.slice(position(range.start), position(range.end)).unwrap_or_default()
}
