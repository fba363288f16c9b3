//! O8: names of objects, ids of commits, nonces of heads, lives and row numbers are never given out
//! again, by nobody, in no life of any node, over the whole world.
//!
//! All rests on it: that whoever finds a body knows who wrote it (P1), that a tag never comes back, that
//! a commit is found by its id (R1), that a killed row stays killed.

use std::collections::{BTreeMap, BTreeSet};

use sana_engine::base::id::{Nonce, Row};
use sana_engine::base::name::Key;
use sana_engine::format::head::Head;
use sana_engine::machine::request::{Request, When};

use crate::digest::{self, Digest};
use crate::oracles::{Broken, Oracle};
use crate::world::node::Errand;

/// One machine of one node in one of its lives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Maker {
    /// The node.
    pub node: usize,
    /// Its life.
    pub life: u32,
    /// The namespace it worked for.
    pub space: usize,
    /// The machine.
    pub errand: Errand,
}

/// What was given out.
#[derive(Clone, Debug, Default)]
pub struct Reuse {
    /// The objects that anybody tried to create, who, and with what in them.
    names: BTreeMap<Key, (Maker, Digest)>,
    /// Nonces of heads that were put.
    heads: BTreeSet<Nonce>,
    /// Commits, and lives of namespaces.
    ids: BTreeSet<Nonce>,
}

impl Reuse {
    /// Somebody's request has reached the store.
    ///
    /// # Errors
    ///
    /// [`Broken`] if it is to create an object under a name that stood for something else.
    pub fn created(&mut self, maker: Maker, request: &Request) -> Result<(), Broken> {
        let Request::Put { key, body, when: When::Fresh } = request else { return Ok(()) };
        let made = (maker, digest::of(body));
        let known = *self.names.entry(key.clone()).or_insert(made);
        Oracle::Unique.demand(known == made, || {
            format!("{key} is created by {maker:?} and was by {:?}, or is another object", known.0)
        })
    }

    /// Who first tried to create an object, if anybody did.
    pub fn maker(&self, key: &Key) -> Option<Maker> {
        self.names.get(key).map(|(maker, _)| *maker)
    }

    /// A head was put over another.
    ///
    /// # Errors
    ///
    /// [`Broken`] if something new in it is not new.
    pub fn put(&mut self, before: Option<&Head>, head: &Head) -> Result<(), Broken> {
        let is_new = self.heads.insert(head.nonce);
        Oracle::Unique
            .demand(is_new, || format!("P1: the nonce of step {} is old", head.step.0))?;
        let goes_on = before.is_some_and(|before| before.incarnation == head.incarnation);
        let is_new = goes_on || self.ids.insert(head.incarnation.0);
        Oracle::Unique.demand(is_new, || format!("{:?} lives again", head.incarnation))?;
        let Some(live) = head.live() else { return Ok(()) };
        let before = before.filter(|_| goes_on).and_then(Head::live);
        let committed = before.map_or(0, |before| before.log.committed.0);
        if committed < live.log.committed.0
            && let Some(entry) = live.log.entries.last()
        {
            let is_new = self.ids.insert(entry.commit.0);
            Oracle::Unique.demand(is_new, || format!("commit {:?} again", entry.commit))?;
        }
        // A segment that was not there is of new rows, or takes the place of those it was made of.
        let old = before.map(|before| before.manifest.segments.as_slice()).unwrap_or_default();
        let next = before.map_or(Row(0), |before| before.manifest.next_row);
        let mut end = Row(0);
        for segment in &live.manifest.segments {
            let apart = end <= segment.base && segment.end <= live.manifest.next_row;
            Oracle::Unique.demand(apart, || {
                format!("rows {:?}..{:?} are given out twice", segment.base, segment.end)
            })?;
            end = segment.end;
            let is_known = old.iter().any(|old| old.parts == segment.parts);
            let is_merged = old.iter().any(|old| old.base == segment.base);
            Oracle::Unique.demand(is_known || is_merged || next <= segment.base, || {
                format!("a segment begins at {:?} and {next:?} was next", segment.base)
            })?;
        }
        Ok(())
    }
}
