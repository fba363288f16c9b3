//! What a node keeps of what it reads, and what becomes of a read that the store is not asked for.
//!
//! The cache is the engine's ([`Cache`]), of a node and not of one namespace, as in production
//! (`runtime/src/cache.rs`): who waits for a read is a parcel here. It begins empty with every life, and
//! outlives the namespaces that crash or are forgotten. Half of all worlds have none, and some have room for
//! next to nothing.

use sana_engine::base::name::{Key, NamespaceName};
use sana_engine::machine::request::{Reply, Request};
use sana_engine::namespace::request::{QueryError, WriteError};
use sana_engine::service::cache::{Asked, Cache, READ_TIME_MAX, ReadId};
use sana_engine::service::namespace::Word;
use sana_engine::service::task::Output;

use crate::oracles::Broken;
use crate::oracles::cache::Shadow;
use crate::story::{Act, Lane};
use crate::words;
use crate::world::network::{Answer, Parcel};
use crate::world::profile::Fault;
use crate::world::{Event, World};

/// The cache of a node, and what it may hand out.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct NodeCache {
    cache: Cache<Parcel>,
    shadow: Shadow,
}

impl NodeCache {
    /// An empty one, with room for so many bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self { cache: Cache::new(bytes_max), shadow: Shadow::default() }
    }

    /// An operation has ended.
    pub fn heed(&mut self, output: &Output) {
        self.cache.heed(output);
    }

    /// What was read of a namespace is dropped.
    pub fn purge(&mut self, name: &NamespaceName) {
        self.cache.purge(name);
        self.shadow.purge(name);
    }

    /// A client hears something, perhaps that an object is damaged.
    pub fn saw_word(&mut self, word: &Word) {
        let damaged: Option<&Key> = match word {
            Word::Answered(Err(QueryError::Damaged(bad)))
            | Word::Written(Err(WriteError::Unreadable(bad))) => Some(&bad.key),
            _ => None,
        };
        if let Some(key) = damaged {
            self.shadow.damage_is_told(key);
        }
    }

    /// What a node is to do with a request, and whether an answer that was kept is not what the store holds.
    fn ask(&mut self, parcel: &Parcel) -> Result<(Asked, bool), Broken> {
        let Self { cache, shadow } = self;
        let request = &parcel.request;
        let asked = cache.ask(request, parcel.keep, || parcel.clone());
        let is_spoiled = match &asked {
            Asked::Pass => false,
            Asked::Kept(reply) => shadow.hands_out(request, reply)?,
            Asked::Joined => {
                shadow.joins(request)?;
                false
            }
            Asked::Begun(id) => {
                shadow.begins(*id, request);
                false
            }
        };
        Ok((asked, is_spoiled))
    }

    fn end(&mut self, id: ReadId, reply: &Reply, is_spoiled: bool) -> Vec<Parcel> {
        self.shadow.ends(id, reply, is_spoiled);
        self.cache.end(id, reply)
    }
}

impl World {
    /// Whether the store has to be asked for what a node is about to send. Else it is answered without it,
    /// now or when a read is over that is under way.
    pub(super) fn asks_store(&mut self, parcel: &mut Parcel) -> Result<bool, Broken> {
        let n = parcel.node;
        let Some(cache) = self.nodes[n].cache.as_mut() else { return Ok(true) };
        let (asked, is_spoiled) = cache.ask(parcel)?;
        match asked {
            Asked::Pass => Ok(true),
            Asked::Begun(id) => {
                parcel.read = Some(id);
                Ok(true)
            }
            Asked::Joined => {
                self.activations.count(Fault::ReadJoined);
                self.tell_spared(n, "waits for what is being read", &parcel.request);
                Ok(false)
            }
            Asked::Kept(reply) => {
                self.activations.count(Fault::ReadKept);
                self.tell_spared(n, "has in memory", &parcel.request);
                let answer = Answer::Reply(reply);
                let parcel = Parcel { answer, is_spoiled, ..parcel.clone() };
                self.after(0, Event::Return(Box::new(parcel)));
                Ok(false)
            }
        }
    }

    fn tell_spared(&mut self, n: usize, does: &str, request: &Request) {
        self.tell(|| Act::Does(Lane::Node(n), format!("{does}: {}", words::request(request))));
    }

    /// A reply reaches a node: whoever waits for it hears of it.
    pub(super) fn take_reply(&mut self, parcel: &Parcel) -> Result<(), Broken> {
        let Some(id) = parcel.read else { return self.hear(parcel) };
        let Answer::Reply(reply) = &parcel.answer else { return Ok(()) };
        self.end_read((parcel.node, parcel.life), id, reply, parcel.is_spoiled)
    }

    /// A read of a node will never be answered.
    pub(super) fn is_never_answered(&mut self, parcel: &Parcel) {
        if let Some(read) = parcel.read {
            let Parcel { node, life, .. } = *parcel;
            let until = READ_TIME_MAX.as_millis() as u64;
            self.after(until, Event::ReadEnds { node, life, read });
        }
    }

    /// A read of a node, in one of its lives, is over: all who wait for it hear of it.
    pub(super) fn end_read(
        &mut self,
        (n, life): (usize, u32),
        id: ReadId,
        reply: &Reply,
        is_spoiled: bool,
    ) -> Result<(), Broken> {
        if !self.lives(n, life) || self.nodes[n].is_cut {
            return Ok(());
        }
        let cache = self.nodes[n].cache.as_mut();
        let waiting = cache.map(|cache| cache.end(id, reply, is_spoiled)).unwrap_or_default();
        for waiting in waiting {
            let answer = Answer::Reply(reply.clone());
            self.hear(&Parcel { answer, is_spoiled, ..waiting })?;
        }
        Ok(())
    }

    /// Somebody has a node drop all that it can read again of a namespace.
    pub(super) fn purge(&mut self, n: usize, space: usize) {
        self.activations.count(Fault::Purged);
        self.tell(|| Act::Does(Lane::Node(n), format!("is to drop what it has read of ns{space}")));
        let name = &self.spaces[space].name;
        self.nodes[n].purge(space, name);
    }
}
