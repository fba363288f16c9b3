//! O7: what a head names exists, whole; what was deleted is not named again, and could not have been.

use std::collections::BTreeSet;

use sana_engine::base::name::{Key, NamespaceName};
use sana_engine::format::head::Head;
use sana_engine::format::layout::{self, Place};

use crate::oracles::{Broken, Oracle};
use crate::store::Store;

/// The objects of a namespace that were deleted.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Deleted {
    keys: BTreeSet<Key>,
}

impl Deleted {
    /// Takes in that an object was deleted while this was the head.
    ///
    /// # Errors
    ///
    /// [`Broken`] if the head names it, or a later one still might (H2): it is of the life that goes
    /// on, and not below the floor. Where there is no head, somebody may be creating it (H3).
    pub fn push(&mut self, head: Option<&Head>, key: &Key) -> Result<(), Broken> {
        self.keys.insert(key.clone());
        let Some(head) = head else {
            return Oracle::Reachable
                .broken(format!("H3: {key} was deleted while there is no head"));
        };
        let Some((place, family, name)) = layout::parse_object(key) else {
            return Oracle::Reachable
                .broken(format!("{key} was deleted, no object of a namespace"));
        };
        let goes_on = head.live().is_some() && place.incarnation == head.incarnation;
        let named = goes_on && head.names().contains(&(family, name));
        Oracle::Reachable
            .demand(!named, || format!("{key} was deleted while the head names it"))?;
        Oracle::Reachable.demand(!goes_on || name.stamp < head.floor, || {
            format!("H2: {key} was deleted while the floor is {}", head.floor.0)
        })
    }

    /// Checks a head that was just put over another one. What that one named was there, and would have
    /// been missed when it was deleted.
    ///
    /// # Errors
    ///
    /// [`Broken`] if it names what is not there, or was deleted.
    pub fn check(
        &self,
        namespace: &NamespaceName,
        before: Option<&Head>,
        head: &Head,
        store: &Store,
    ) -> Result<(), Broken> {
        let before = before.filter(|before| before.incarnation == head.incarnation);
        let old = before.map(Head::names).unwrap_or_default();
        let place = Place { namespace: namespace.clone(), incarnation: head.incarnation };
        for (family, name) in head.names().difference(&old) {
            let key = place.object(*family, *name);
            let is_there = store.get(&key).is_some();
            Oracle::Reachable.demand(is_there, || format!("the head names {key}, not there"))?;
            let was_deleted = self.keys.contains(&key);
            Oracle::Reachable.demand(!was_deleted, || format!("{key} was deleted before"))?;
        }
        Ok(())
    }
}

/// The keys of the trash of a head.
pub fn trash<'a>(
    namespace: &'a NamespaceName,
    head: &'a Head,
) -> impl Iterator<Item = Key> + use<'a> {
    let place = Place { namespace: namespace.clone(), incarnation: head.incarnation };
    let trash = head.live().into_iter().flat_map(|live| &live.trash);
    let names = trash.flat_map(|trash| trash.names.iter().copied());
    names.map(move |(family, name)| place.object(family, name))
}

/// The keys of all objects that a head names.
pub fn names<'a>(namespace: &'a NamespaceName, head: &Head) -> impl Iterator<Item = Key> + use<'a> {
    let incarnation = head.incarnation;
    let place = Place { namespace: namespace.clone(), incarnation };
    head.names().into_iter().map(move |(family, name)| place.object(family, name))
}
