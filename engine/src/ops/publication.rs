//! Makes an edit to the newest head: a flush, a merge, a raised floor, trash that is gone.
//!
//! # Story
//!
//! 1. **Publishing** ([`Publish`]): put the head that is held, with the edit made to it.
//!    - landed: done;
//!    - overtaken by a head the edit can be made to: the same on that head (1). This is what rebasing
//!      is: commits and publications of others stay, the edit is made on top;
//!    - overtaken by a head that has the edit already: ours landed unnoticed, done;
//!    - overtaken by a head that contradicts the edit: done, *superseded*;
//!    - unknown: done; whatever became of it, the next publication finds out from the head.
//!
//! One round if nobody else publishes.
//!
//! # Invariants
//!
//! - **B1** An edit is made by the pure functions of `namespace::head`, to the very head that the put
//!   replaces. Nothing is carried over from the head that the work began with (W3, W5).
//! - **B2** Who was superseded or does not know deletes nothing (H11).

use core::time::Duration;
use std::sync::Arc;

use crate::base::id::Nonces;
use crate::base::name::NamespaceName;
use crate::base::planted::{self, Bug};
use crate::base::time::{Timestamp, WallTime};
use crate::format::frame::BadObject;
use crate::format::head::Head;
use crate::format::layout;
use crate::machine::publish::{Fate, Publish, Write};
use crate::machine::request::{Reply, Tag, When};
use crate::machine::{Machine, Step};
use crate::namespace::head::{Blocked, Edit};
use crate::namespace::invariants;

/// A publication on its way. See the [module](self) for its story.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Publication {
    plan: Plan,
    /// The head on its way, and the machine that carries it.
    next: Arc<Head>,
    publish: Publish,
}

/// What a publication knows from beginning to end.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Plan {
    /// The namespace.
    pub namespace: NamespaceName,
    /// What to change.
    pub edit: Edit,
    /// What day it is.
    pub wall: WallTime,
    /// For the nonces of heads.
    pub nonces: Nonces,
    /// When to give up.
    pub deadline: Timestamp,
}

/// What became of a publication.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Publicized {
    /// The edit is made. The head that made it or contains it, and its version.
    Landed(Tag, Arc<Head>),
    /// The edit contradicts the newest head: the work behind it was in vain. Starting over from the
    /// newest head may succeed.
    Superseded,
    /// The store did not say in time.
    Unknown,
    /// The head cannot be read.
    Damaged(BadObject),
}

/// The least time between two puts of one head.
pub const PAUSE: Duration = Duration::from_millis(50);

impl Publication {
    /// Begins to make the edit, to `head` of version `tag` if that is still the newest.
    pub fn start(now: Timestamp, plan: Plan, tag: Tag, head: &Head) -> Step<Self> {
        plan.attempt(now, tag, head)
    }
}

impl Plan {
    fn attempt(mut self, now: Timestamp, tag: Tag, head: &Head) -> Step<Publication> {
        let next = match head.edit(self.nonces.draw(), &self.edit, self.wall) {
            Ok(next) => Arc::new(next),
            Err(Blocked::Done) => {
                return Step::Done(Publicized::Landed(tag, Arc::new(head.clone())));
            }
            Err(Blocked::Stale | Blocked::BelowFloor) => return Step::Done(Publicized::Superseded),
        };
        assert_eq!(invariants::check(&next), Ok(()), "B1: an edit makes a sound head");
        assert_eq!(next.step, head.step.next(), "W1: a publication is one step");
        assert_eq!(next.incarnation, head.incarnation, "B1: an edit starts no new life");
        assert!(head.floor <= next.floor, "W1: the floor rises");
        let key = layout::head(&self.namespace);
        let write = Write { key, body: next.encode().into(), when: When::Matches(tag) };
        let publish = Publish::start(now, write, None, PAUSE, self.deadline);
        self.publishing(now, next, publish)
    }

    /// Waits while `publish` has rounds to do, then acts on its outcome.
    fn publishing(
        self,
        now: Timestamp,
        next: Arc<Head>,
        publish: Step<Publish>,
    ) -> Step<Publication> {
        let published = match publish {
            Step::Wait(publish, round) => {
                return Step::Wait(Publication { plan: self, next, publish }, round);
            }
            Step::Done(published) => published,
        };
        match published.fate {
            Fate::Landed(tag) => Step::Done(Publicized::Landed(tag, next)),
            Fate::Unknown => Step::Done(Publicized::Unknown),
            Fate::Overtaken(None) => Step::Done(Publicized::Superseded),
            Fate::Overtaken(Some((tag, body))) => {
                let key = layout::head(&self.namespace);
                match invariants::read(&key, &body) {
                    Ok(head)
                        if head.incarnation != next.incarnation
                            && !planted::is(Bug::FlushGoesIntoNextLife) =>
                    {
                        Step::Done(Publicized::Superseded)
                    }
                    Ok(_) if planted::is(Bug::RebaseKeepsItsHead) => {
                        let body = next.encode().into();
                        let write = Write { key, body, when: When::Matches(tag) };
                        let publish = Publish::start(now, write, None, PAUSE, self.deadline);
                        self.publishing(now, next, publish)
                    }
                    Ok(head) => self.attempt(now, tag, &head),
                    Err(bad) => Step::Done(Publicized::Damaged(bad)),
                }
            }
        }
    }
}

impl Machine for Publication {
    type Output = Publicized;

    fn step(self, now: Timestamp, replies: Vec<Reply>) -> Step<Self> {
        let Self { plan, next, publish } = self;
        plan.publishing(now, next, publish.step(now, replies))
    }
}
