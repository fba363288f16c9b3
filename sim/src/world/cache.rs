//! What a node keeps of what it reads, and what becomes of a read that the store is not asked for.
//!
//! The cache is the engine's ([`Cache`]), of a node and not of one namespace, as in production
//! (`runtime/src/cache.rs`): who waits for a read is a parcel here. It begins empty with every life, and
//! outlives the namespaces that crash or are forgotten. Half of all worlds have none, and large ones; some have
//! room for next to nothing.

use std::collections::BTreeMap;

use sana_engine::base::name::{Key, NamespaceName};
use sana_engine::machine::request::{Reply, Request};
use sana_engine::namespace::request::{QueryError, WriteError};
use sana_engine::ops::read::ReadError;
use sana_engine::ops::snapshot::RefreshError;
use sana_engine::service::cache::{Asked, Cache, READ_TIME_MAX, ReadId};
use sana_engine::service::task::Output;

use crate::oracles::Broken;
use crate::oracles::cache::Shadow;
use crate::story::{Act, Lane, Letter};
use crate::words;
use crate::world::network::{Answer, Parcel};
use crate::world::profile::Fault;
use crate::world::{Event, World};

/// The cache of a node, and what it may hand out.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct NodeCache {
    cache: Cache<Parcel>,
    shadow: Shadow,
    /// When the reads began that are under way: the oldest first.
    begun: BTreeMap<ReadId, u64>,
    /// Whether it is sure to be looked when the oldest has had its time.
    is_timed: bool,
}

/// How long a read is waited for, in milliseconds.
const READ_MOST: u64 = READ_TIME_MAX.as_millis() as u64;

impl NodeCache {
    /// An empty one, with room for so many bytes.
    pub fn new(bytes_max: usize) -> Self {
        let (cache, shadow) = (Cache::new(bytes_max), Shadow::default());
        Self { cache, shadow, begun: BTreeMap::new(), is_timed: false }
    }

    /// Bytes that it keeps.
    pub fn bytes(&self) -> u64 {
        self.cache.statistics().bytes
    }

    /// An operation has ended, perhaps for something that is damaged.
    pub fn heed(&mut self, output: &Output) {
        self.cache.heed(output);
        damaged(output).iter().for_each(|key| self.shadow.is_damaged(key));
    }

    /// What was read of a namespace is dropped.
    pub fn purge(&mut self, name: &NamespaceName) {
        self.cache.purge(name);
        self.shadow.purge(name);
    }

    /// What a node is to do with a request, and whether an answer that was kept is not what the store holds.
    fn ask(&mut self, parcel: &Parcel) -> Result<(Asked, bool), Broken> {
        let Self { cache, shadow, .. } = self;
        let Parcel { request, keep, .. } = parcel;
        let asked = cache.ask(request, *keep, || parcel.clone());
        let is_spoiled = match &asked {
            Asked::Pass => false,
            Asked::Kept(reply) => shadow.hands_out(request, reply)?,
            Asked::Joined => shadow.joins(request, *keep, parcel.letter()).map(|()| false)?,
            Asked::Begun(id) => {
                shadow.begins(*id, request, *keep, parcel.letter()).map(|()| false)?
            }
        };
        Ok((asked, is_spoiled))
    }

    fn end(&mut self, id: ReadId, reply: &Reply, is_spoiled: bool) -> Result<Vec<Parcel>, Broken> {
        self.begun.remove(&id);
        let waiting = self.cache.end(id, reply);
        let hear: Vec<Letter> = waiting.iter().map(Parcel::letter).collect();
        self.shadow.ends(id, reply, is_spoiled, &hear)?;
        Ok(waiting)
    }
}

/// What an operation found damaged, as far as it ended for that.
fn damaged(output: &Output) -> Vec<&Key> {
    match output {
        Output::Refresh(Err(RefreshError::Damaged { bad, .. }))
        | Output::Query(Err(QueryError::Damaged(bad)))
        | Output::Flush(Err(ReadError::Damaged(bad)))
        | Output::Merge(Err(ReadError::Damaged(bad))) => vec![&bad.key],
        Output::Commit(committed) => {
            let outcomes = committed.outcomes.iter();
            let key = |outcome| match outcome {
                &Err(WriteError::Unreadable(ref bad)) => Some(&bad.key),
                _ => None,
            };
            outcomes.filter_map(key).collect()
        }
        _ => Vec::new(),
    }
}

impl World {
    /// Whether the store has to be asked for what a node is about to send. Else it is answered without it,
    /// now or when a read is over that is under way.
    pub(super) fn asks_store(&mut self, parcel: &mut Parcel) -> Result<bool, Broken> {
        let (n, life, now) = (parcel.node, parcel.life, self.now);
        let Some(cache) = self.nodes[n].cache.as_mut() else { return Ok(true) };
        let (asked, is_spoiled) = cache.ask(parcel)?;
        match asked {
            Asked::Pass => Ok(true),
            Asked::Begun(read) => {
                parcel.read = Some(read);
                cache.begun.insert(read, now);
                if !std::mem::replace(&mut cache.is_timed, true) {
                    self.after(READ_MOST, Event::ReadsEnd { node: n, life });
                }
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
                self.after(0, Event::Remember(Box::new(parcel)));
                Ok(false)
            }
        }
    }

    fn tell_spared(&mut self, n: usize, does: &str, request: &Request) {
        self.tell(|| Act::Does(Lane::Node(n), format!("{does}: {}", words::request(request))));
    }

    /// A reply of the store reaches a node: whoever waits for it hears of it.
    pub(super) fn take_reply(&mut self, parcel: &Parcel) -> Result<(), Broken> {
        if self.nodes[parcel.node].is_cut {
            return Ok(());
        }
        let (Some(read), Answer::Reply(reply)) = (parcel.read, &parcel.answer) else {
            return self.hear(parcel);
        };
        self.end_read((parcel.node, parcel.life), read, (reply, parcel.is_spoiled))
    }

    /// The reads of a node, in one of its lives, that have had their time are over.
    pub(super) fn end_reads(&mut self, n: usize, life: u32) -> Result<(), Broken> {
        let now = self.now;
        while self.lives(n, life)
            && let Some(cache) = self.nodes[n].cache.as_mut()
        {
            let oldest = cache.begun.first_key_value().map(|(read, began)| (*read, *began));
            let Some((read, began)) = oldest else {
                cache.is_timed = false;
                break;
            };
            if now < began + READ_MOST {
                self.after(began + READ_MOST - now, Event::ReadsEnd { node: n, life });
                break;
            }
            self.end_read((n, life), read, (&Reply::Lost, false))?;
        }
        Ok(())
    }

    /// A read of a node, in one of its lives, is over: all who wait for it hear of it. The reply may not be
    /// what the store holds.
    pub(super) fn end_read(
        &mut self,
        (n, life): (usize, u32),
        read: ReadId,
        (reply, is_spoiled): (&Reply, bool),
    ) -> Result<(), Broken> {
        if !self.lives(n, life) {
            return Ok(());
        }
        let Some(cache) = self.nodes[n].cache.as_mut() else { return Ok(()) };
        for waiting in cache.end(read, reply, is_spoiled)? {
            let answer = Answer::Reply(reply.clone());
            self.hear(&Parcel { answer, is_spoiled, ..waiting })?;
        }
        Ok(())
    }
}
