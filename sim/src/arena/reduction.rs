//! What need not be tried, because whatever comes of it comes of something that is.
//!
//! # Rounds that nobody notices
//!
//! A round is *private* if nobody else can tell when it happens, nor change what it comes to: a machine
//! sleeps, or reads objects that are there and never change, or creates objects under names that only
//! it knows. If an actor is in a private round, only what can happen to that actor is tried: its round
//! with every fate, its time running out, its crash. What others could do at that moment they can
//! do afterwards.
//!
//! **Why nothing is lost.** Take any way from here to an end in which others come first. Sooner or
//! later something happens to the actor, for a round can always go on; call the first such event *e*
//! and what came before it *u*. Then *e* can happen at once: nothing in *u* is the actor's, a read finds
//! the same bytes, a create finds no object, and what is left of losses and crashes only ever gets
//! less. Then *u* can happen after *e*: it takes from what is left the same in all, and meets the same
//! objects. Both orders end with the same store and the same actors. So each end has a way that
//! begins with an event of this actor, and so on from there. (No way is endless: sleeping spends the time
//! until a deadline, and a machine makes a few reads and creates between two rounds on the head.)
//!
//! **Why no oracle is lulled.** The oracles look after each event, so the order could matter to them.
//! A private round puts no head and deletes nothing. It may end a deed, and so tell a client an answer;
//! or a crash may close the client's request. To be told sooner, or closed sooner, leaves the monitor
//! fewer readings in *u* and after it, never others: it explores all orders of what is open, and every
//! check asks whether there *is* a reading that fits. So whatever would have been found broken is
//! found broken, at the latest where it would have been.
//!
//! **What has to be so**, and is looked at in the world at hand:
//!
//! - an object to be read is there, and nobody may delete any more: no collector or sweeper has a deed
//!   left, and no deletion is adrift;
//! - an object to be created is not there, nobody may list any more, and no put of a head by this
//!   actor is adrift, for that might name it. Of others nobody can know the name: a head that names
//!   what is not there breaks O7 as it is put.
//!
//! # Writes that cannot land
//!
//! A write adrift whose condition can never hold again is forgotten at once, and the requests it
//! would have served are closed. A put on a version that is not the newest is such a one, and so is a
//! creation of the head where there is one: each version has a step of its own (O5), so no tag ever comes
//! back, and a head is never deleted (O7). That it lands is that it is refused, which changes nothing.
//!
//! A lost creation of an object that nobody may list any more is forgotten as well. Its sender knows
//! that it must not name it (C5, U1); if a mistake makes it, the head names what is not there, and O7 is
//! broken sooner than if it had landed.
//!
//! # Rounds that others come between
//!
//! The requests of a round are in flight together, so anything may happen between two of them. Where no
//! more than one of them is *noticed* by others, in the sense above, that gives nothing new: all others
//! could as well happen at the moment of that one. So the round is performed in one event. If there
//! are more, each is an event, in any order. Such rounds are: deletions of several objects; reads of
//! several objects while others may delete them; the put of a head beside which an object is created,
//! while others may list it.

use sana_engine::format::layout;
use sana_engine::machine::request::{Request, When};

use crate::arena::Setup;
use crate::arena::turn::{Actor, Adrift, Running};
use crate::deed::Deed;
use crate::digest::Shared;
use crate::store::Store;

/// What may still be done to objects by anybody, so far as it matters to who reads or creates them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Outlook {
    deletes: bool,
    lists: bool,
}

impl Outlook {
    /// What these actors, and the writes adrift, may still do.
    pub(super) fn of(setup: &Setup, actors: &[Shared<Actor>], adrift: &[Shared<Adrift>]) -> Self {
        let left = setup.scripts.iter().zip(actors);
        let mut left = left.flat_map(|(script, actor)| &script[actor.at as usize..]);
        let lists = left.clone().any(|deed| matches!(deed, Deed::Sweep));
        let deletes = lists
            || left.any(|deed| matches!(deed, Deed::Collect))
            || adrift.iter().any(|write| matches!(write.request, Request::Delete { .. }));
        Self { deletes, lists }
    }

    /// Whether others can tell when this happens, or change what it comes to.
    pub(super) fn is_noticed(self, request: &Request, store: &Store) -> bool {
        match request {
            Request::Get { key, .. } => {
                !layout::is_immutable(key) || self.deletes || store.get(key).is_none()
            }
            Request::Put { key, when: When::Fresh, .. } => self.lists || store.get(key).is_some(),
            Request::Put { .. } | Request::Delete { .. } | Request::List { .. } => true,
        }
    }

    /// Whether this can never land any more, or nobody could ever tell.
    pub(super) fn is_dead(self, request: &Request, store: &Store) -> bool {
        let Request::Put { key, when, .. } = request else { return false };
        match when {
            When::Matches(tag) => store.get(key).is_none_or(|object| object.tag != *tag),
            When::Absent => store.get(key).is_some(),
            When::Fresh => !self.lists,
        }
    }
}

/// Whether an actor is in a round that nobody notices.
pub(super) fn is_private(
    outlook: Outlook,
    actor: usize,
    running: &Running,
    store: &Store,
    adrift: &[Shared<Adrift>],
) -> bool {
    let requests = &running.round.requests;
    let creates = requests.iter().any(|request| !request.is_read());
    let may_name = || adrift.iter().any(|write| write.actor == actor && write.request.is_visible());
    let noticed = requests.iter().any(|request| outlook.is_noticed(request, store));
    !(noticed || creates && may_name())
}
