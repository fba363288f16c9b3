//! Which namespaces a node has in memory.
//!
//! One comes there when somebody asks for it, or when the node finds something to do for it, and is
//! forgotten when nobody has asked for a while and nothing is left to do (`runtime/src/node/hosted.rs`).
//!
//! # Surveys
//!
//! What nobody names shows in no head, so nodes that index list everything when they start and from time
//! to time, and take up the namespaces of which they see such (`runtime/src/node/survey.rs`). That is
//! how what a crashed node left behind is found where nobody ever writes again.

use std::collections::BTreeSet;

use sana_engine::base::name::Key;
use sana_engine::format::layout;
use sana_engine::ops::sweep;
use sana_engine::service::namespace::NamespaceService;

use crate::oracles::reuse::Maker;
use crate::oracles::{Broken, reachability};
use crate::story::{Act, Lane};
use crate::world::node::Hosted;
use crate::world::profile::Fault;
use crate::world::{Event, World};

impl World {
    /// The namespace in a node's memory; brought there if it is not.
    pub(super) fn host(&mut self, n: usize, space: usize) -> &mut Hosted {
        let (now, settings) = (self.now, self.profile.settings);
        let name = &self.spaces[space].name;
        let node = &mut self.nodes[n];
        assert!(node.is_up, "who does not run has no memory");
        let (local, role) = (node.clock.at(now), node.role);
        let stays = &mut node.stays;
        node.hosted.entry(space).or_insert_with(|| {
            let service = NamespaceService::new(local, name.clone(), role.settings(settings));
            *stays += 1;
            Hosted::new(service, now, *stays)
        })
    }

    /// Forgets a namespace for which nobody has asked for a while, and of a name that stands for nothing
    /// all that was asked about it. False if the node has to keep it.
    pub(super) fn forget(&mut self, n: usize, space: usize) -> Result<bool, Broken> {
        let (now, after) = (self.now, self.fleet.forget_after);
        let Some(hosted) = self.nodes[n].hosted.get(&space) else { return Ok(true) };
        let is_over = hosted.asked_at + after <= now || hosted.service.head().is_none();
        if is_over { self.drop_from_memory(n, space) } else { Ok(false) }
    }

    /// Forgets a namespace of which there is nothing to be done. False if there is.
    fn drop_from_memory(&mut self, n: usize, space: usize) -> Result<bool, Broken> {
        let Some(hosted) = self.nodes[n].hosted.get(&space) else { return Ok(true) };
        if !hosted.has_nothing_to_do() {
            return Ok(false);
        }
        if hosted.service.head().is_some() {
            self.activations.count(Fault::Forgotten);
            self.tell(|| Act::Does(Lane::Node(n), format!("forgets ns{space}")));
            self.leaves_nothing(n, space)?;
        }
        self.nodes[n].hosted.remove(&space);
        Ok(true)
    }

    /// Somebody has a node drop all that it can read again of a namespace (`runtime/src/node/mod.rs`).
    pub(super) fn purge(&mut self, n: usize, life: u32, space: usize) -> Result<(), Broken> {
        if !self.lives(n, life) {
            return Ok(());
        }
        self.activations.count(Fault::Purged);
        self.tell(|| Act::Does(Lane::Node(n), format!("is to drop what it has read of ns{space}")));
        let name = &self.spaces[space].name;
        let node = &mut self.nodes[n];
        if let Some(cache) = &mut node.cache {
            cache.purge(name);
        }
        let Some(hosted) = node.hosted.get_mut(&space) else { return Ok(()) };
        hosted.purge();
        if self.drop_from_memory(n, space)? { Ok(()) } else { self.pump(n, space) }
    }

    /// Who indexes and forgets a namespace has deleted whatever it has made there that nobody names.
    fn leaves_nothing(&self, n: usize, space: usize) -> Result<(), Broken> {
        let node = &self.nodes[n];
        if !node.role.indexes() {
            return Ok(());
        }
        // What a service of it has made that crashed, its later ones cannot know of either.
        let crashed = node.crashed.get(&space).copied().unwrap_or_default();
        let is_own = |key: &Key| {
            if self.watch.is_excused(key) {
                return false;
            }
            let maker = self.watch.maker(key);
            let is_mine = |maker: &Maker| (maker.node, maker.life) == (n, node.life);
            maker.filter(is_mine).is_some_and(|maker| crashed < maker.errand.stay)
        };
        let left = self.unnamed(space).into_iter().find(is_own);
        Self::live_demand(left.is_none(), || {
            format!("node {n} forgets ns{space}, where it has left {left:?}, which nobody names")
        })
    }

    /// The objects of a namespace that nobody names. What is trash is named as such, and those who see it
    /// delete it.
    pub(super) fn unnamed(&self, space: usize) -> Vec<Key> {
        let space = &self.spaces[space];
        let prefix = layout::namespace_data(&space.name);
        let mut keys = self.store.keys_below(&prefix).peekable();
        if keys.peek().is_none() {
            return Vec::new();
        }
        let head = space.witness.chain().head();
        let names = head.map(|head| reachability::names(&space.name, head));
        let trash = head.map(|head| reachability::trash(&space.name, head));
        let named = names.into_iter().flatten().chain(trash.into_iter().flatten());
        let named: BTreeSet<Key> = named.collect();
        let is_unnamed = |key: &&Key| !named.contains(key) && !self.weather.is_foreign(key);
        keys.filter(is_unnamed).cloned().collect()
    }

    /// A node lists everything, and will again.
    pub(super) fn survey(&mut self, n: usize, life: u32) -> Result<(), Broken> {
        if !self.lives(n, life) {
            return Ok(());
        }
        self.after(self.fleet.survey_every, Event::Survey { node: n, life });
        if self.nodes[n].is_cut || !self.nodes[n].role.indexes() {
            return Ok(());
        }
        let spaces = self.nodes[n].spaces.clone();
        for space in spaces.iter().copied() {
            if self.shows_unnamed(space) {
                self.activations.count(Fault::Surveyed);
                self.tell(|| Act::Does(Lane::Node(n), format!("sees orphans in ns{space}")));
                let local = self.nodes[n].clock.at(self.now);
                self.host(n, space).service.suspect(local);
                self.pump(n, space)?;
            }
            if !self.lives(n, life) {
                // It crashed over what it sent.
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether a listing of a namespace shows objects that its head does not name.
    fn shows_unnamed(&self, space: usize) -> bool {
        let space = &self.spaces[space];
        let prefix = layout::namespace_data(&space.name);
        let seen: Vec<Key> = self.store.keys_below(&prefix).cloned().collect();
        let head = space.witness.chain().head();
        !seen.is_empty() && head.is_some_and(|head| sweep::finds_unnamed(&seen, head))
    }
}
