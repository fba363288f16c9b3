//! Immutable objects that were read, kept in memory: what is there, what is being read, and who waits.
//!
//! A node has one, for all of its namespaces. A driver shows it every request before it sends it
//! ([`Cache::ask`]) and does as it is told: it answers from what is kept, or has the asker wait for a read
//! that is under way, or asks the store and says what that said ([`Cache::end`]). `W` is whoever waits: a
//! channel in production, a parcel in the simulator.
//!
//! # Invariants
//!
//! - **C1** Only what is written once is kept: a register never enters. So what is found here is what
//!   the store holds, however old it is.
//! - **C2** A hit is a share of the blob that was read first, so its checksum is computed once.
//! - **C3** Equal reads that overlap ask the store once. A read that ends without an answer is
//!   forgotten, and the next one asks again.
//! - **C4** After a purge nothing is kept of a namespace that was read before it, whenever it arrives,
//!   and nobody waits for it who came later.
//! - **C5** Nor of an object of which something that was read turned out to be damaged.

mod sieve;

use core::time::Duration;
use std::collections::BTreeMap;

use crate::base::name::{Key, NamespaceName};
use crate::base::planted::{self, Bug};
use crate::format::layout;
use crate::machine::request::{ByteRange, Reply, Request};
use crate::service::task::{Output, Start};

use sieve::Sieve;

/// What is kept and what is being read. See the [module](self).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Cache<W> {
    kept: Sieve<Stretch, Reply>,
    /// The reads that whoever wants the same waits for.
    joined: BTreeMap<Stretch, ReadId>,
    /// All reads that are under way: those, and others whose objects were purged meanwhile.
    reads: BTreeMap<ReadId, Read<W>>,
    /// Reads so far.
    begun: u64,
    hits: u64,
    misses: u64,
}

/// What part of which object.
pub type Stretch = (Key, Option<ByteRange>);

/// Which of all reads.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ReadId(u64);

/// A read that is under way.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Read<W> {
    stretch: Stretch,
    /// Those who wait for it.
    waiting: Vec<W>,
    /// Whether any of them wants it kept.
    keep: bool,
}

/// What a driver is to do with a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Asked {
    /// Ask the store. The cache has nothing to do with it.
    Pass,
    /// This is the answer.
    Kept(Reply),
    /// Wait: somebody reads just that.
    Joined,
    /// Ask the store, for [`READ_TIME_MAX`] at most, and end this read with what it said. Who asked is among
    /// those who wait for it.
    Begun(ReadId),
}

/// What to do with an object that is read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Keep {
    /// Keep it: it will be read again.
    Yes,
    /// Pass it on: whoever reads everything once would push out what others read often.
    No,
    /// Nor look for it here: whoever asks wants to know how long the store takes.
    Bypass,
}

/// How a cache has fared.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CacheStatistics {
    /// Reads answered from memory.
    pub hits: u64,
    /// Reads that could have been and were not.
    pub misses: u64,
    /// Bytes kept.
    pub bytes: u64,
}

/// How long a read is waited for before those who wait are told that it is lost.
pub const READ_TIME_MAX: Duration = Duration::from_secs(30);
/// Bytes that an entry costs beside its body: keys, links, counts.
const ENTRY_BYTES: usize = 320;

impl Keep {
    /// What to do with what an operation reads. Upkeep reads everything once, which must not push out
    /// what queries read often.
    pub const fn of(start: &Start) -> Self {
        if start.is_upkeep() { Self::No } else { Self::Yes }
    }
}

/// Whether the answer to a request may be kept (C1).
pub fn may_keep(request: &Request) -> bool {
    let may = |key| layout::is_immutable(key) || planted::is(Bug::RegisterIsCached);
    matches!(request, Request::Get { key, unless: None, .. } if may(key))
}

/// Whether a cache has anything to do with a request. Of all others it need not be asked.
pub fn concerns(request: &Request, keep: Keep) -> bool {
    keep != Keep::Bypass && may_keep(request)
}

/// The key under which what is read of an object is kept.
fn known_as(key: &Key) -> Key {
    if planted::is(Bug::CacheKeyWithoutNonce)
        && let Some((name, _)) = key.as_str().rsplit_once('-')
    {
        return Key::new(name.to_owned());
    }
    key.clone()
}

impl<W> Cache<W> {
    /// An empty cache that keeps at most `bytes_max` bytes.
    pub const fn new(bytes_max: usize) -> Self {
        Self {
            kept: Sieve::new(bytes_max),
            joined: BTreeMap::new(),
            reads: BTreeMap::new(),
            begun: 0,
            hits: 0,
            misses: 0,
        }
    }

    /// What to do with a request. `who` names who waits if it is to be waited for.
    pub fn ask(&mut self, request: &Request, keep: Keep, who: impl FnOnce() -> W) -> Asked {
        let stretch = match request {
            Request::Get { key, range, .. } if concerns(request, keep) => (known_as(key), *range),
            _ => return Asked::Pass,
        };
        if let Some(reply) = self.kept.find(&stretch) {
            self.hits += 1;
            return Asked::Kept(reply.clone());
        }
        self.misses += 1;
        let known = self.joined.get(&stretch).copied();
        let id = known.unwrap_or(ReadId(self.begun));
        if known.is_none() {
            self.begun += 1;
            self.joined.insert(stretch.clone(), id);
        }
        let begin = || Read { stretch, waiting: Vec::new(), keep: false };
        let read = self.reads.entry(id).or_insert_with(begin);
        read.waiting.push(who());
        read.keep |= keep == Keep::Yes;
        if known.is_some() { Asked::Joined } else { Asked::Begun(id) }
    }

    /// A read is over: who waits for the reply. What was found is kept if somebody wants it so and it was
    /// not purged meanwhile. A read that was over before has nobody waiting.
    pub fn end(&mut self, id: ReadId, reply: &Reply) -> Vec<W> {
        let Some(Read { stretch, waiting, keep }) = self.reads.remove(&id) else {
            return Vec::new();
        };
        let is_current = self.joined.get(&stretch) == Some(&id);
        if is_current {
            self.joined.remove(&stretch);
        }
        if let Reply::Found { body, .. } = reply
            && keep
            && (is_current || planted::is(Bug::SlowReadFillsCache))
        {
            let bytes = body.len() + ENTRY_BYTES;
            self.kept.insert(stretch, reply.clone(), bytes);
        }
        waiting
    }

    /// Drops all that is kept of a namespace (C4).
    pub fn purge(&mut self, namespace: &NamespaceName) {
        let prefix = layout::namespace_data(namespace);
        self.drop_all(&prefix, |key| key.as_str().starts_with(prefix.as_str()));
    }

    /// Takes note of how an operation ended. Of objects that it found damaged nothing is kept: the store may
    /// have them whole (C5).
    pub fn heed(&mut self, output: &Output) {
        for bad in output.damaged() {
            if !planted::is(Bug::DamageStaysInCache) {
                self.drop_all(&bad.key, |kept| *kept == bad.key);
            }
        }
    }

    /// How it has fared.
    pub const fn statistics(&self) -> CacheStatistics {
        let bytes = self.kept.bytes() as u64;
        CacheStatistics { hits: self.hits, misses: self.misses, bytes }
    }

    /// Drops what is kept of these objects. What is being read of them is not kept either, and nobody joins
    /// who comes later. They are next to each other, `first` or behind it.
    fn drop_all(&mut self, first: &Key, is_one: impl Fn(&Key) -> bool) {
        let first = (first.clone(), None);
        let joined = self.joined.range(first.clone()..);
        let joined = joined.take_while(|((key, _), _)| is_one(key)).map(|(stretch, _)| stretch);
        let joined: Vec<Stretch> = joined.cloned().collect();
        if !planted::is(Bug::JoinsReadFromBefore) {
            for stretch in &joined {
                self.joined.remove(stretch);
            }
        }
        self.kept.remove_all(&first, |(key, _)| is_one(key));
    }
}

#[cfg(test)]
mod tests;
