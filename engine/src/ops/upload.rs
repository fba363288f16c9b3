//! Puts the parts of a segment into the store, beside whatever else a round does.
//!
//! # Invariants
//!
//! - **U1** A name is used for one create ever. Whatever is not known to be stored is created anew
//!   under a new name; an orphan is the collector's. (H12 for batches is the same rule.)

use core::time::Duration;
use std::collections::BTreeMap;

use crate::base::blob::Blob;
use crate::base::id::{Nonces, Stamp};
use crate::base::planted::{self, Bug};
use crate::format::layout::{Family, ObjectName, Place};
use crate::machine::request::{Reply, Request};

/// Parts on their way into the store.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Uploads {
    place: Place,
    stamp: Stamp,
    nonces: Nonces,
    added: usize,
    pending: Vec<(usize, ObjectName, Blob)>,
    stored: BTreeMap<usize, ObjectName>,
}

impl Uploads {
    /// No parts yet. Their names will carry `stamp`, the step of the head the work started from.
    pub(crate) const fn new(place: Place, stamp: Stamp, nonces: Nonces) -> Self {
        Self { place, stamp, nonces, added: 0, pending: Vec::new(), stored: BTreeMap::new() }
    }

    /// Adds the next part.
    pub(crate) fn add(&mut self, part: Blob) {
        let name = self.name();
        self.pending.push((self.added, name, part));
        self.added += 1;
    }

    /// Whether all parts added are stored.
    pub(crate) const fn is_done(&self) -> bool {
        self.pending.is_empty()
    }

    /// Creates all that are not stored yet.
    pub(crate) fn requests(&self) -> Vec<Request> {
        let create = |(_, name, part): &(usize, ObjectName, Blob)| {
            Request::create(self.place.object(Family::Segment, *name), part.clone())
        };
        self.pending.iter().map(create).collect()
    }

    /// Takes the replies to [`requests`](Self::requests).
    pub(crate) fn settle(&mut self, replies: Vec<Reply>) {
        assert_eq!(replies.len(), self.pending.len(), "U1: a reply for every part");
        let pending = core::mem::take(&mut self.pending);
        for ((number, name, part), reply) in pending.into_iter().zip(replies) {
            let hoped = reply == Reply::Lost && planted::is(Bug::UnstoredPartIsNamed);
            if hoped || matches!(reply, Reply::Stored { .. }) {
                self.stored.insert(number, name);
            } else {
                let name = self.name();
                self.pending.push((number, name, part));
            }
        }
    }

    /// The names of all parts, in order.
    ///
    /// # Panics
    ///
    /// If not all are stored.
    pub(crate) fn names(&self) -> Vec<ObjectName> {
        assert!(self.is_done(), "U1: only what is stored is named");
        self.stored.values().copied().collect()
    }

    /// A pause between attempts, for the store may be turning writes away.
    pub(crate) fn pause(&mut self) -> Duration {
        Duration::from_millis(PAUSE_MS + self.nonces.pause_ms(PAUSE_MS))
    }

    fn name(&mut self) -> ObjectName {
        ObjectName { stamp: self.stamp, nonce: self.nonces.draw() }
    }
}

const PAUSE_MS: u64 = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::Incarnation;
    use crate::base::name::NamespaceName;
    use crate::machine::request::Tag;

    #[test]
    fn parts_are_named_in_order_whichever_is_stored_first() {
        let namespace = NamespaceName::parse("ns").unwrap();
        let place = Place { namespace, incarnation: Incarnation::default() };
        let mut uploads = Uploads::new(place, Stamp(7), Nonces::new(1));
        (0..3).for_each(|part| uploads.add(vec![part].into()));
        let stored = || Reply::Stored { tag: Tag::new("1") };
        let first = uploads.requests();
        uploads.settle(vec![Reply::Lost, stored(), Reply::Throttled]);
        assert!(!uploads.is_done());
        let again = uploads.requests();
        let body = |request: &Request| match request {
            Request::Put { body, .. } => body.as_slice().to_vec(),
            other => panic!("{other:?}"),
        };
        assert_eq!(again.iter().map(body).collect::<Vec<_>>(), [[0], [2]]);
        assert!(again.iter().all(|request| first.iter().all(|f| f.key() != request.key())), "U1");
        uploads.settle(vec![stored(), stored()]);
        let keys: Vec<_> = [&again[0], &first[1], &again[1]].map(|r| r.key().clone()).into();
        let names = uploads.names().into_iter();
        let named: Vec<_> = names.map(|name| uploads.place.object(Family::Segment, name)).collect();
        assert_eq!(named, keys);
    }

    #[test]
    fn a_pause_is_a_tenth_to_two_tenths_of_a_second_and_not_the_same_for_all() {
        let namespace = NamespaceName::parse("ns").unwrap();
        let place = Place { namespace, incarnation: Incarnation::default() };
        let mut uploads = Uploads::new(place, Stamp(7), Nonces::new(1));
        let pauses: Vec<_> = (0..100).map(|_| uploads.pause().as_millis()).collect();
        assert!(pauses.iter().all(|pause| (100..=200).contains(pause)), "{pauses:?}");
        assert!(pauses.iter().any(|pause| *pause != pauses[0]));
    }
}
