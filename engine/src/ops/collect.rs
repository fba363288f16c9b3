//! Deletes what was unlinked long enough ago.
//!
//! # Story
//!
//! 1. **Raising** ([`Publication`]): the floor above the stamps of the trash that is due, if it is not
//!    there yet. No later version can name these objects again (H2).
//! 2. **Deleting**: the objects, many in a round.
//! 3. **Forgetting** ([`Publication`]): the trash whose objects are known to be gone. What could not be
//!    deleted stays in the trash for the next time.
//!
//! Three rounds, and one more per [`BATCH`] objects.
//!
//! # Invariants
//!
//! - **X1** Nothing is deleted before a head is known to be in place whose floor is above its stamp
//!   (H2).
//! - **X2** A name leaves the trash only after the store said that the object is gone.
//! - **X3** How long is long enough is judged by calendars, which may be wrong: a reader that meets an
//!   object gone too early starts over from a newer head.

use core::time::Duration;
use std::sync::Arc;

use crate::base::id::{Nonces, Stamp};
use crate::base::name::NamespaceName;
use crate::base::planted::{self, Bug};
use crate::base::time::{Timestamp, WallTime};
use crate::format::head::{Head, Trash};
use crate::format::layout::{Family, ObjectName, Place};
use crate::machine::request::{Reply, Request, Tag};
use crate::machine::{Machine, Round, Step};
use crate::namespace::head::Edit;
use crate::ops::publication::{Plan, Publication, Publicized};

/// A collection on its way. See the [module](self) for its story.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Collect {
    plan: CollectPlan,
    state: State,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum State {
    Raising(Vec<Trash>, Publication),
    Deleting(Box<Deleting>),
    Forgetting((u64, u64), Publication),
}

/// Trash whose objects are being deleted.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Deleting {
    tag: Tag,
    head: Arc<Head>,
    /// Objects not yet deleted, with the step that retired them; the last go next.
    left: Vec<(Stamp, Family, ObjectName)>,
    /// What the round on its way deletes.
    going: Vec<Stamp>,
    /// Steps all of whose objects may be gone.
    due: Vec<Stamp>,
    deleted: u64,
    kept: u64,
}

/// Whose trash to collect, and what is due.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct CollectPlan {
    /// The namespace.
    pub namespace: NamespaceName,
    /// What day it is.
    pub wall: WallTime,
    /// How long trash is kept.
    pub retention: Duration,
    /// For nonces of heads.
    pub nonces: Nonces,
    /// When to give up.
    pub deadline: Timestamp,
}

/// What a collection came to.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Collected {
    /// How many objects it deleted.
    pub deleted: u64,
    /// How many the store did not let go: they stay in the trash.
    pub kept: u64,
    /// The newest version it knows of.
    pub version: Option<(Tag, Arc<Head>)>,
}

/// Objects deleted in one round.
pub const BATCH: usize = 200;

/// The trash of a head that is due.
pub fn due(head: &Head, wall: WallTime, retention: Duration) -> Vec<Trash> {
    let trash = head.live().map(|live| live.trash.as_slice()).unwrap_or_default();
    trash.iter().filter(|trash| retention <= wall.since(trash.at)).cloned().collect()
}

impl Collect {
    /// Begins to collect the trash of the version `tag`.
    pub fn start(now: Timestamp, plan: CollectPlan, tag: Tag, head: &Arc<Head>) -> Step<Self> {
        let due = due(head, plan.wall, plan.retention);
        let stamps = due.iter().flat_map(|trash| &trash.names).map(|(_, name)| name.stamp);
        match stamps.max() {
            None => plan.end((0, 0), Some((tag, head.clone()))),
            Some(stamp) if stamp < head.floor || planted::is(Bug::TrashWithoutFloor) => {
                plan.delete(tag, head.clone(), &due)
            }
            Some(stamp) => plan.raise(now, tag, head, due, stamp.next()),
        }
    }
}

impl CollectPlan {
    fn publication(&mut self, edit: Edit) -> Plan {
        Plan {
            namespace: self.namespace.clone(),
            edit,
            wall: self.wall,
            nonces: self.nonces.fork(),
            deadline: self.deadline,
        }
    }

    fn wait(self, state: State, round: Round) -> Step<Collect> {
        Step::Wait(Collect { plan: self, state }, round)
    }

    /// `done` is how many objects it deleted, and how many it could not.
    fn end(self, done: (u64, u64), version: Option<(Tag, Arc<Head>)>) -> Step<Collect> {
        drop(self);
        Step::Done(Collected { deleted: done.0, kept: done.1, version })
    }

    fn raise(
        mut self,
        now: Timestamp,
        tag: Tag,
        head: &Arc<Head>,
        due: Vec<Trash>,
        to: Stamp,
    ) -> Step<Collect> {
        let plan = self.publication(Edit::RaiseFloor(to));
        let step = Publication::start(now, plan, tag, head);
        self.raising(due, step)
    }

    fn raising(self, due: Vec<Trash>, step: Step<Publication>) -> Step<Collect> {
        match step {
            Step::Wait(publication, round) => self.wait(State::Raising(due, publication), round),
            Step::Done(Publicized::Landed(tag, head)) => {
                let stamps = due.iter().flat_map(|trash| &trash.names);
                let above = stamps.into_iter().all(|(_, name)| name.stamp < head.floor);
                assert!(above, "X1: the floor is above what is deleted");
                self.delete(tag, head, &due)
            }
            Step::Done(_) => self.end((0, 0), None),
        }
    }

    fn delete(self, tag: Tag, head: Arc<Head>, due: &[Trash]) -> Step<Collect> {
        let all = |trash: &Trash| {
            let retired = trash.retired;
            let names = trash.names.clone().into_iter();
            names.map(move |(family, name)| (retired, family, name))
        };
        let left = due.iter().flat_map(all).collect();
        let due = due.iter().map(|trash| trash.retired).collect();
        let deleting = Deleting { tag, head, left, going: Vec::new(), due, deleted: 0, kept: 0 };
        self.delete_more(Box::new(deleting))
    }

    fn delete_more(self, mut deleting: Box<Deleting>) -> Step<Collect> {
        assert!(!deleting.left.is_empty(), "X2: there is something to delete");
        let from = deleting.left.len().saturating_sub(BATCH);
        let going = deleting.left.split_off(from);
        let incarnation = deleting.head.incarnation;
        let place = Place { namespace: self.namespace.clone(), incarnation };
        let request = |&(_, family, name): &(Stamp, Family, ObjectName)| Request::Delete {
            key: place.object(family, name),
        };
        let requests = going.iter().map(request).collect();
        deleting.going = going.into_iter().map(|(retired, ..)| retired).collect();
        let round = Round::ask_all(requests, self.deadline);
        self.wait(State::Deleting(deleting), round)
    }

    fn deleted(
        mut self,
        now: Timestamp,
        mut deleting: Box<Deleting>,
        replies: &[Reply],
    ) -> Step<Collect> {
        assert_eq!(deleting.going.len(), replies.len(), "X2: a reply for every delete");
        for (retired, reply) in deleting.going.iter().zip(replies) {
            if *reply == Reply::Deleted {
                deleting.deleted += 1;
            } else {
                deleting.kept += 1;
                deleting.due.retain(|due| due != retired);
            }
        }
        if !deleting.left.is_empty() {
            if now < self.deadline {
                return self.delete_more(deleting);
            }
            // Nothing can be put any more: the next collection deletes once more what is gone.
            let kept = deleting.kept + deleting.left.len() as u64;
            return self.end((deleting.deleted, kept), None);
        }
        let Deleting { tag, head, due, deleted, kept, .. } = *deleting;
        let done = (deleted, kept);
        if due.is_empty() {
            return self.end(done, Some((tag, head)));
        }
        let plan = self.publication(Edit::Forget(due));
        let step = Publication::start(now, plan, tag, &head);
        self.forgetting(done, step)
    }

    fn forgetting(self, done: (u64, u64), step: Step<Publication>) -> Step<Collect> {
        match step {
            Step::Wait(publication, round) => {
                self.wait(State::Forgetting(done, publication), round)
            }
            Step::Done(Publicized::Landed(tag, head)) => self.end(done, Some((tag, head))),
            Step::Done(_) => self.end(done, None),
        }
    }
}

impl Machine for Collect {
    type Output = Collected;

    fn step(self, now: Timestamp, replies: Vec<Reply>) -> Step<Self> {
        let Self { plan, state } = self;
        match state {
            State::Raising(due, publication) => plan.raising(due, publication.step(now, replies)),
            State::Deleting(deleting) => plan.deleted(now, deleting, &replies),
            State::Forgetting(done, publication) => {
                plan.forgetting(done, publication.step(now, replies))
            }
        }
    }
}
