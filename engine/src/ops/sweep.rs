//! Finds and deletes what crashed or overtaken work left behind: objects that no head names.
//!
//! # Story
//!
//! 1. **Listing**: everything under `data/<ns>/`, page by page.
//! 2. **Reading** ([`Refresh`]): the newest head, in a round after the listing (H4).
//!    - there is none: nothing is deleted, somebody may be creating it (H3);
//!    - of its own incarnation: what lies below its floor and is named neither in manifest, log nor
//!      trash is an orphan;
//!    - of another incarnation, or if the head is a tombstone: that incarnation is dead, all of it.
//! 3. **Raising** ([`Publication`]): the floor to the step that the last sweep saw, so that work that
//!    began before it cannot publish any more. Only if there is something to delete above the floor: a
//!    namespace without orphans is not written to. What lies at the newest step itself no floor covers,
//!    until there is a newer version. If the last sweep saw this version already, and nobody came since,
//!    the put of the floor is that version, and the sweeps after it find what to delete.
//! 4. **Deleting**: the orphans, many in a round. One that the store does not let go (a lock, a lost
//!    reply) stays for the next sweep, and keeps no other.
//!
//! # Invariants
//!
//! - **Y1** An orphan goes only if a head is known to be in place whose floor is above its stamp (H2).
//! - **Y2** What a listing showed is judged by a head that was read after it (H4). The listing need be
//!   no snapshot: an object it missed is found by the next sweep.

use std::collections::BTreeSet;

use crate::base::id::{Nonces, Stamp};
use crate::base::name::{Key, NamespaceName};
use crate::base::planted::{self, Bug};
use crate::base::time::{Timestamp, WallTime};
use crate::format::head::Head;
use crate::format::layout;
use crate::machine::request::{Listed, Reply, Request};
use crate::machine::{Machine, Round, Step};
use crate::namespace::head::Edit;
use crate::ops::collect::BATCH;
use crate::ops::publication::{Plan, Publication, Publicized};
use crate::ops::snapshot::{Depth, Held, Refresh};

/// A sweep on its way. See the [module](self) for its story.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Sweep {
    plan: SweepPlan,
    state: State,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum State {
    Listing(Vec<Key>),
    Reading(Vec<Key>, Box<Refresh>),
    Raising(Vec<Key>, Box<Publication>),
    Deleting(Deleting),
}

/// Orphans that are being deleted.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Deleting {
    /// Those not yet deleted; the last go next.
    left: Vec<Key>,
    /// Whether some began at the floor that was asked for. The next sweep may have a higher one.
    leaves: bool,
    deleted: u64,
    /// Those that may still be there though they were to be deleted.
    kept: u64,
    held: Held,
}

/// Which namespace to sweep, and how.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct SweepPlan {
    /// The namespace.
    pub namespace: NamespaceName,
    /// Work that began before this step is taken for dead.
    pub floor: Stamp,
    /// What day it is.
    pub wall: WallTime,
    /// For nonces of heads.
    pub nonces: Nonces,
    /// When to give up.
    pub deadline: Timestamp,
}

/// What a sweep came to.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Swept {
    /// How many objects it deleted.
    pub deleted: u64,
    /// Whether it saw everything and left nothing that it was to delete.
    pub is_complete: bool,
    /// The newest version it knows of.
    pub held: Option<Held>,
}

/// Objects named in one page of a listing.
const PAGE: u32 = 1_000;

impl Sweep {
    /// Begins to sweep a namespace.
    pub fn start(plan: SweepPlan) -> Step<Self> {
        plan.list(Vec::new())
    }
}

impl SweepPlan {
    fn wait(self, state: State, round: Round) -> Step<Sweep> {
        Step::Wait(Sweep { plan: self, state }, round)
    }

    fn give_up(deleted: u64, held: Option<Held>) -> Step<Sweep> {
        Step::Done(Swept { deleted, is_complete: false, held })
    }

    /// Asks for the page behind what was listed so far.
    fn list(self, seen: Vec<Key>) -> Step<Sweep> {
        let prefix = layout::namespace_data(&self.namespace);
        let request = Request::List { prefix, after: seen.last().cloned(), limit: PAGE };
        let round = Round::ask(request, self.deadline);
        self.wait(State::Listing(seen), round)
    }

    fn listed(
        self,
        now: Timestamp,
        mut seen: Vec<Key>,
        objects: Vec<Listed>,
        more: bool,
    ) -> Step<Sweep> {
        assert!(objects.is_sorted(), "Y2: a listing is in the order of keys");
        let goes_on = more && !objects.is_empty() && !planted::is(Bug::OnePageOfGarbage);
        seen.extend(objects.into_iter().map(|object| object.key));
        if goes_on {
            return self.list(seen);
        }
        let refresh = Refresh::start(self.namespace.clone(), None, Depth::Head, self.deadline);
        self.reading(now, seen, refresh)
    }

    fn reading(self, now: Timestamp, seen: Vec<Key>, step: Step<Refresh>) -> Step<Sweep> {
        match step {
            Step::Wait(refresh, round) => self.wait(State::Reading(seen, Box::new(refresh)), round),
            Step::Done(Ok(held)) => self.judge(now, seen, held),
            Step::Done(Err(_)) => Self::give_up(0, None),
        }
    }

    /// Raises the floor first, if there is something to delete that it does not cover.
    fn judge(mut self, now: Timestamp, seen: Vec<Key>, held: Held) -> Step<Sweep> {
        let Some((tag, head)) = held.version.clone() else {
            return self.delete(Vec::new(), false, held);
        };
        let mut left = orphans(&seen, &head, head.floor);
        if head.live().is_none() && planted::is(Bug::TombstoneIsSwept) {
            left.push(layout::head(&self.namespace));
        }
        let floor = self.floor.min(head.step);
        let at_floor = orphans(&seen, &head, floor.next()).len();
        let is_worth =
            if floor == head.step { at_floor } else { orphans(&seen, &head, floor).len() };
        if head.live().is_none() || is_worth <= left.len() {
            let leaves = at_floor > left.len();
            return self.delete(left, leaves, held);
        }
        if planted::is(Bug::SweepWithoutFloor) {
            return self.delete(orphans(&seen, &head, floor), false, held);
        }
        let plan = Plan {
            namespace: self.namespace.clone(),
            edit: Edit::RaiseFloor(floor),
            wall: self.wall,
            nonces: self.nonces.fork(),
            deadline: self.deadline,
        };
        self.raising(seen, Publication::start(now, plan, tag, &head))
    }

    fn raising(self, seen: Vec<Key>, step: Step<Publication>) -> Step<Sweep> {
        match step {
            Step::Wait(publication, round) => {
                self.wait(State::Raising(seen, Box::new(publication)), round)
            }
            Step::Done(Publicized::Landed(tag, head)) => {
                let left = orphans(&seen, &head, head.floor);
                let leaves = orphans(&seen, &head, head.floor.next()).len() > left.len();
                let held = Held { version: Some((tag, head)), snapshot: None };
                self.delete(left, leaves, held)
            }
            Step::Done(_) => Self::give_up(0, None),
        }
    }

    fn delete(self, left: Vec<Key>, leaves: bool, held: Held) -> Step<Sweep> {
        self.delete_more(Deleting { left, leaves, deleted: 0, kept: 0, held })
    }

    fn delete_more(self, deleting: Deleting) -> Step<Sweep> {
        let Deleting { left, leaves, deleted, kept, .. } = &deleting;
        if left.is_empty() {
            let (deleted, is_complete) = (*deleted, *kept == 0 && !leaves);
            return Step::Done(Swept { deleted, is_complete, held: Some(deleting.held) });
        }
        let going = left[left.len().saturating_sub(BATCH)..].iter();
        let requests = going.map(|key| Request::Delete { key: key.clone() }).collect();
        let round = Round::ask_all(requests, self.deadline);
        self.wait(State::Deleting(deleting), round)
    }

    fn deleted(self, now: Timestamp, mut deleting: Deleting, replies: &[Reply]) -> Step<Sweep> {
        let Deleting { left, deleted, kept, .. } = &mut deleting;
        assert!(replies.len() <= left.len(), "Y1: only orphans are deleted");
        let gone = replies.iter().filter(|reply| **reply == Reply::Deleted).count();
        *deleted += gone as u64;
        *kept += (replies.len() - gone) as u64;
        if now >= self.deadline {
            return Self::give_up(*deleted, Some(deleting.held));
        }
        left.truncate(left.len() - replies.len());
        self.delete_more(deleting)
    }
}

/// Whether among the objects seen of a namespace there are some that no version names, or will be named
/// by work under way, judged by a head that was read afterwards.
pub fn finds_unnamed(seen: &[Key], head: &Head) -> bool {
    !orphans(seen, head, Stamp(u64::MAX)).is_empty()
}

/// Which of the objects seen no version can name if its floor is `floor`, judged by a head that was read
/// afterwards.
fn orphans(seen: &[Key], head: &Head, floor: Stamp) -> Vec<Key> {
    let mut named: BTreeSet<_> = head.names();
    let trash = head.live().map(|live| live.trash.as_slice()).unwrap_or_default();
    named.extend(trash.iter().flat_map(|trash| &trash.names));
    let is_orphan = |key: &&Key| {
        let Some((place, family, name)) = layout::parse_object(key) else { return false };
        if place.incarnation != head.incarnation || head.live().is_none() {
            return !planted::is(Bug::DeadLivesAreNotSwept);
        }
        let is_below = name.stamp < floor
            || (name.stamp == floor && planted::is(Bug::OrphansAtTheFloor))
            || planted::is(Bug::OrphansAboveFloor);
        is_below && !named.contains(&(family, name))
    };
    seen.iter().filter(is_orphan).cloned().collect()
}

impl Machine for Sweep {
    type Output = Swept;

    fn step(self, now: Timestamp, replies: Vec<Reply>) -> Step<Self> {
        let Self { plan, state } = self;
        match state {
            State::Listing(seen) => match replies.into_iter().next() {
                Some(Reply::Listed { objects, more }) => plan.listed(now, seen, objects, more),
                _ => SweepPlan::give_up(0, None),
            },
            State::Reading(seen, refresh) => plan.reading(now, seen, refresh.step(now, replies)),
            State::Raising(seen, publication) => plan.raising(seen, publication.step(now, replies)),
            State::Deleting(deleting) => plan.deleted(now, deleting, &replies),
        }
    }
}
