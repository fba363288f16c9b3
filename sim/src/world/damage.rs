//! Reads that go wrong: what they say is not what the store holds.
//!
//! The engine must notice it by its checksums. It may say that something is damaged, to those for
//! whom it was read, and to nobody else; and it may never take it for true.

use sana_engine::base::blob::Blob;
use sana_engine::machine::request::Reply;
use sana_engine::namespace::request::{QueryError, WriteError};
use sana_engine::ops::delete::DeleteError;
use sana_engine::service::namespace::Word;

use crate::oracles::Broken;
use crate::oracles::linearizability::OpId;
use crate::world::World;
use crate::world::profile::Fault;

/// What is wrong with the reply to a read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Spoil {
    /// A bit is another: which one, of so many as there are [`PARTS`] of the whole.
    Flip(u64),
    /// Only so many parts of the whole are there.
    Cut(u64),
    /// The store finds that the object is damaged.
    Unreadable,
    /// The store does not find the object.
    Missing,
}

/// Places at which something may be wrong.
pub const PARTS: u64 = 512;

impl Spoil {
    /// The reply instead of this one, and what went wrong, if it can.
    pub fn of(self, reply: &Reply) -> Option<(Reply, Fault)> {
        let Reply::Found { tag, body } = reply else { return None };
        if body.is_empty() {
            return None;
        }
        let found = |body: Blob| Reply::Found { tag: tag.clone(), body };
        let at = |part: u64| (part % PARTS) as usize * body.len() / PARTS as usize;
        Some(match self {
            Self::Flip(part) => {
                let mut bytes = body.as_slice().to_vec();
                bytes[at(part)] ^= 1u8 << (part % 8);
                (found(bytes.into()), Fault::Flipped)
            }
            Self::Cut(parts) => (found(body.slice(0, at(parts))?), Fault::Cut),
            Self::Unreadable => (Reply::Unreadable, Fault::Unreadable),
            Self::Missing => (Reply::Missing, Fault::Blip),
        })
    }
}

/// What a client learns who is told that something is damaged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Damaged {
    /// Its query has no answer, or nothing was changed.
    Nothing,
    /// Something may have been changed.
    Unknown,
}

impl World {
    /// What was read for these requests was not true.
    pub(super) fn mislead(&mut self, ops: &[OpId]) {
        self.misled.extend(ops);
    }

    /// What a client learns from this, if it says that something is damaged and may say so. Who says
    /// so to anybody else has not read what the store holds, or has taken it for damaged.
    pub(super) fn told_of_damage(
        &mut self,
        space: usize,
        op: OpId,
        word: &Word,
    ) -> Result<Option<Damaged>, Broken> {
        if !self.misled.remove(&op) {
            return Ok(None);
        }
        let monitor = &mut self.spaces[space].witness.monitor;
        let learned = match word {
            Word::Answered(Err(QueryError::Damaged(_))) => {
                monitor.change(|monitor| monitor.close_query(op));
                Damaged::Nothing
            }
            Word::Written(Err(WriteError::Unreadable(_))) => {
                monitor.change(|monitor| monitor.refuse(op))?;
                Damaged::Nothing
            }
            Word::Written(Err(WriteError::Damaged(_)))
            | Word::Deleted(Err(DeleteError::Damaged(_))) => Damaged::Unknown,
            _ => return Ok(None),
        };
        self.activations.count(Fault::DamageTold);
        Ok(Some(learned))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sana_engine::machine::request::Tag;

    #[test]
    fn what_is_spoiled_is_never_what_it_was() {
        for length in [1, 2, 20, 511, 5_000] {
            let body: Blob = vec![7; length].into();
            let reply = Reply::Found { tag: Tag::new("1"), body };
            for part in 0..PARTS {
                for spoil in [Spoil::Flip(part), Spoil::Cut(part)] {
                    assert_ne!(spoil.of(&reply).unwrap().0, reply, "{spoil:?} of {length}");
                }
            }
            assert_eq!(Spoil::Missing.of(&reply), Some((Reply::Missing, Fault::Blip)));
        }
        assert_eq!(Spoil::Flip(0).of(&Reply::Missing), None);
    }
}
