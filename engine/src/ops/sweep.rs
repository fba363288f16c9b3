//! Finds and deletes what crashed or overtaken work left behind: objects that no head names.
//!
//! # Story
//!
//! 1. **Raising** ([`Publication`]): the floor to the step that the last sweep saw, so that work that
//!    began before it cannot publish any more. Passed over where the head is a tombstone.
//! 2. **Listing**: everything under `data/<ns>/`, page by page.
//! 3. **Reading** ([`Refresh`]): the newest head, in a round after the listing (H4).
//!    - there is none: nothing is deleted, somebody may be creating it (H3);
//!    - of its own incarnation: what lies below its floor and is named neither in manifest, log nor
//!      trash is an orphan;
//!    - of another incarnation, or if the head is a tombstone: that incarnation is dead, all of it.
//! 4. **Deleting**: the orphans, many in a round.
//!
//! # Invariants
//!
//! - **Y1** An orphan goes only if a head is known to be in place whose floor is above its stamp (H2).
//! - **Y2** What a listing showed is judged by a head that was read after it (H4). The listing need be
//!   no snapshot: an object it missed is found by the next sweep.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::base::id::{Nonces, Stamp};
use crate::base::name::{Key, NamespaceName};
use crate::base::planted::{self, Bug};
use crate::base::time::{Timestamp, WallTime};
use crate::format::head::Head;
use crate::format::layout;
use crate::machine::request::{Listed, Reply, Request, Tag};
use crate::machine::{Machine, Round, Step};
use crate::namespace::head::Edit;
use crate::ops::collect::BATCH;
use crate::ops::publication::{Plan, Publication, Publicized};
use crate::ops::snapshot::{Depth, Held, Refresh};

/// A sweep on its way. See the [module](self) for its story.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Sweep {
    rounds: Rounds,
    state: State,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum State {
    Raising(Box<Publication>),
    Listing(Vec<Key>),
    Reading(Vec<Key>, Box<Refresh>),
    Deleting { left: Vec<Key>, deleted: u64, held: Held },
}

/// What a sweep knows from beginning to end.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Rounds {
    namespace: NamespaceName,
    deadline: Timestamp,
}

/// Which namespace to sweep, and how.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct SweepPlan {
    /// The namespace.
    pub namespace: NamespaceName,
    /// Its newest known version.
    pub version: Option<(Tag, Arc<Head>)>,
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
    /// Whether it saw everything and deleted all orphans.
    pub is_complete: bool,
    /// The newest version it knows of.
    pub held: Option<Held>,
}

/// Objects named in one page of a listing.
const PAGE: u32 = 1_000;

impl Sweep {
    /// Begins to sweep a namespace.
    pub fn start(now: Timestamp, plan: SweepPlan) -> Step<Self> {
        let SweepPlan { namespace, version, floor, wall, nonces, deadline } = plan;
        let rounds = Rounds { namespace: namespace.clone(), deadline };
        match version {
            Some((tag, head)) if head.live().is_some() && head.floor < floor => {
                let plan =
                    Plan { namespace, edit: Edit::RaiseFloor(floor), wall, nonces, deadline };
                rounds.raising(Publication::start(now, plan, tag, &head))
            }
            _ => rounds.list(Vec::new()),
        }
    }
}

impl Rounds {
    fn wait(self, state: State, round: Round) -> Step<Sweep> {
        Step::Wait(Sweep { rounds: self, state }, round)
    }

    fn give_up(deleted: u64, held: Option<Held>) -> Step<Sweep> {
        Step::Done(Swept { deleted, is_complete: false, held })
    }

    fn raising(self, step: Step<Publication>) -> Step<Sweep> {
        match step {
            Step::Wait(publication, round) => {
                self.wait(State::Raising(Box::new(publication)), round)
            }
            Step::Done(Publicized::Landed(..) | Publicized::Superseded) => self.list(Vec::new()),
            Step::Done(Publicized::Unknown | Publicized::Damaged(_)) => Self::give_up(0, None),
        }
    }

    /// Asks for the page behind what was listed so far.
    fn list(self, seen: Vec<Key>) -> Step<Sweep> {
        let prefix = layout::namespace_data(&self.namespace);
        let request = Request::List { prefix, after: seen.last().cloned(), limit: PAGE };
        let round = Round::ask(request, self.deadline);
        self.wait(State::Listing(seen), round)
    }

    fn listed(self, mut seen: Vec<Key>, objects: Vec<Listed>, more: bool) -> Step<Sweep> {
        assert!(objects.is_sorted(), "Y2: a listing is in the order of keys");
        let goes_on = more && !objects.is_empty();
        seen.extend(objects.into_iter().map(|object| object.key));
        if goes_on {
            return self.list(seen);
        }
        let refresh = Refresh::start(self.namespace.clone(), None, Depth::Head, self.deadline);
        self.reading(seen, refresh)
    }

    fn reading(self, seen: Vec<Key>, step: Step<Refresh>) -> Step<Sweep> {
        match step {
            Step::Wait(refresh, round) => self.wait(State::Reading(seen, Box::new(refresh)), round),
            Step::Done(Ok(held)) => {
                let left = held.version.as_ref().map(|(_, head)| orphans(&seen, head));
                self.delete(left.unwrap_or_default(), 0, held)
            }
            Step::Done(Err(_)) => Self::give_up(0, None),
        }
    }

    fn delete(self, left: Vec<Key>, deleted: u64, held: Held) -> Step<Sweep> {
        if left.is_empty() {
            return Step::Done(Swept { deleted, is_complete: true, held: Some(held) });
        }
        let going = left[left.len().saturating_sub(BATCH)..].iter();
        let requests = going.map(|key| Request::Delete { key: key.clone() }).collect();
        let round = Round::ask_all(requests, self.deadline);
        self.wait(State::Deleting { left, deleted, held }, round)
    }

    fn deleted(
        self,
        now: Timestamp,
        mut left: Vec<Key>,
        deleted: u64,
        held: Held,
        replies: &[Reply],
    ) -> Step<Sweep> {
        assert!(replies.len() <= left.len(), "Y1: only orphans are deleted");
        let gone = replies.iter().filter(|reply| **reply == Reply::Deleted).count();
        let deleted = deleted + gone as u64;
        if gone < replies.len() || now >= self.deadline {
            return Self::give_up(deleted, Some(held));
        }
        left.truncate(left.len() - replies.len());
        self.delete(left, deleted, held)
    }
}

/// Which of the objects seen no version can name, judged by a head that was read afterwards.
fn orphans(seen: &[Key], head: &Head) -> Vec<Key> {
    let mut named: BTreeSet<_> = head.names();
    let trash = head.live().map(|live| live.trash.as_slice()).unwrap_or_default();
    named.extend(trash.iter().flat_map(|trash| &trash.names));
    let is_orphan = |key: &&Key| {
        let Some((place, family, name)) = layout::parse_object(key) else { return false };
        if place.incarnation != head.incarnation || head.live().is_none() {
            return true;
        }
        let is_below = name.stamp < head.floor || planted::is(Bug::OrphansAboveFloor);
        is_below && !named.contains(&(family, name))
    };
    seen.iter().filter(is_orphan).cloned().collect()
}

impl Machine for Sweep {
    type Output = Swept;

    fn step(self, now: Timestamp, replies: Vec<Reply>) -> Step<Self> {
        let Self { rounds, state } = self;
        match state {
            State::Raising(publication) => rounds.raising(publication.step(now, replies)),
            State::Listing(seen) => match replies.into_iter().next() {
                Some(Reply::Listed { objects, more }) => rounds.listed(seen, objects, more),
                _ => Rounds::give_up(0, None),
            },
            State::Reading(seen, refresh) => rounds.reading(seen, refresh.step(now, replies)),
            State::Deleting { left, deleted, held } => {
                rounds.deleted(now, left, deleted, held, &replies)
            }
        }
    }
}
