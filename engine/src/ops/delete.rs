//! Ends a namespace: replaces its head by a tombstone.
//!
//! # Story
//!
//! 1. **Refreshing** ([`Refresh`]): the newest head. A held one is not good enough: if another
//!    incarnation has begun since, it is that one the client means.
//!    - there is none, or a tombstone: done, there is no such namespace;
//!    - a live one: put the tombstone (2).
//! 2. **Publishing** ([`Publish`]): the tombstone over that very version.
//!    - landed: done;
//!    - overtaken by a later version of the same incarnation: put a tombstone over that one (2);
//!    - overtaken by a tombstone or another incarnation: what was there after the client asked is
//!      over, done;
//!    - unknown: done.
//!
//! Two rounds.
//!
//! # Invariants
//!
//! - **E1** A tombstone replaces the very version it was made from (H9 needs it), and is never removed:
//!   a late creation finds the key taken.

use std::sync::Arc;

use crate::base::id::Nonces;
use crate::base::name::NamespaceName;
use crate::base::planted::{self, Bug};
use crate::base::time::Timestamp;
use crate::format::frame::BadObject;
use crate::format::head::Head;
use crate::format::layout;
use crate::machine::publish::{Fate, Publish, Write};
use crate::machine::request::{Reply, Tag, When};
use crate::machine::{Machine, Step};
use crate::namespace::invariants;
use crate::ops::publication::PAUSE;
use crate::ops::snapshot::{Depth, Held, Refresh, RefreshError};

/// A deletion on its way. See the [module](self) for its story.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Delete {
    order: Order,
    state: State,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum State {
    Refreshing(Refresh),
    Publishing(Arc<Head>, Publish),
}

/// What a deletion knows from beginning to end.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Order {
    namespace: NamespaceName,
    nonces: Nonces,
    deadline: Timestamp,
}

/// What became of a deletion.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Deleted {
    /// The incarnation that was there is over. What the node may hold from now on.
    Landed(Held),
    /// There was no such namespace.
    Absent(Held),
}

/// Why a namespace is not known to be deleted.
#[derive(Clone, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum DeleteError {
    /// The store did not answer, and nothing was sent to be written. It is not deleted: ask again.
    #[error("the store does not answer; nothing was deleted, ask again later")]
    Unavailable,
    /// The store did not say in time what became of it. Deleting again is harmless.
    #[error("the outcome is unknown: the store did not say in time whether it happened; ask again")]
    Unknown,
    /// The head cannot be read.
    #[error(transparent)]
    Damaged(#[from] BadObject),
}

impl Delete {
    /// Begins to delete a namespace of which `held` is held.
    pub fn start(
        now: Timestamp,
        namespace: NamespaceName,
        held: Option<Held>,
        nonces: Nonces,
        deadline: Timestamp,
    ) -> Step<Self> {
        let step = match held {
            Some(held) if planted::is(Bug::HeldVersionIsDeleted) => Step::Done(Ok(held)),
            held => Refresh::start(namespace.clone(), held, Depth::Head, deadline),
        };
        Order { namespace, nonces, deadline }.refreshing(now, step)
    }
}

impl Order {
    fn refreshing(self, now: Timestamp, step: Step<Refresh>) -> Step<Delete> {
        let held = match step {
            Step::Wait(refresh, round) => {
                return Step::Wait(
                    Delete { order: self, state: State::Refreshing(refresh) },
                    round,
                );
            }
            Step::Done(Ok(held)) => held,
            Step::Done(Err(RefreshError::Unavailable)) => {
                return Step::Done(Err(DeleteError::Unavailable));
            }
            Step::Done(Err(RefreshError::Damaged { bad, .. })) => {
                return Step::Done(Err(bad.into()));
            }
        };
        match held.live() {
            Some((tag, head, _)) => self.end(now, tag.clone(), head),
            None => Step::Done(Ok(Deleted::Absent(held))),
        }
    }

    fn end(mut self, now: Timestamp, tag: Tag, head: &Head) -> Step<Delete> {
        let tombstone = Arc::new(head.tombstone(self.nonces.draw()));
        assert!(head.live().is_some(), "E1: only what lives is ended");
        assert_eq!(tombstone.step, head.step.next(), "W1: a deletion is one step");
        assert_eq!(tombstone.incarnation, head.incarnation, "E1: a tombstone tells whose it is");
        let key = layout::head(&self.namespace);
        let write = Write { key, body: tombstone.encode().into(), when: When::Matches(tag) };
        let publish = Publish::start(now, write, None, PAUSE, self.deadline);
        self.publishing(now, tombstone, publish)
    }

    fn publishing(self, now: Timestamp, next: Arc<Head>, step: Step<Publish>) -> Step<Delete> {
        let fate = match step {
            Step::Wait(publish, round) => {
                let state = State::Publishing(next, publish);
                return Step::Wait(Delete { order: self, state }, round);
            }
            Step::Done(published) => published.fate,
        };
        match fate {
            Fate::Landed(tag) => {
                let held = Held { version: Some((tag, next)), snapshot: None };
                Step::Done(Ok(Deleted::Landed(held)))
            }
            Fate::Unknown if planted::is(Bug::UnknownDeletionIsDone) => {
                Step::Done(Ok(Deleted::Landed(Held::ABSENT)))
            }
            Fate::Unknown => Step::Done(Err(DeleteError::Unknown)),
            Fate::Overtaken(None) => Step::Done(Ok(Deleted::Landed(Held::ABSENT))),
            Fate::Overtaken(Some((tag, body))) => {
                match invariants::read(&layout::head(&self.namespace), &body) {
                    Ok(head)
                        if head.live().is_some()
                            && (head.incarnation == next.incarnation
                                || planted::is(Bug::DeletionGoesIntoNextLife)) =>
                    {
                        if planted::is(Bug::DeleteGivesUpWhenOvertaken) {
                            return Step::Done(Ok(Deleted::Landed(Held::ABSENT)));
                        }
                        self.end(now, tag, &head)
                    }
                    Ok(head) => {
                        let held = Held { version: Some((tag, Arc::new(head))), snapshot: None };
                        Step::Done(Ok(Deleted::Landed(held)))
                    }
                    Err(bad) => Step::Done(Err(bad.into())),
                }
            }
        }
    }
}

impl Machine for Delete {
    type Output = Result<Deleted, DeleteError>;

    fn step(self, now: Timestamp, replies: Vec<Reply>) -> Step<Self> {
        let Self { order, state } = self;
        match state {
            State::Refreshing(refresh) => order.refreshing(now, refresh.step(now, replies)),
            State::Publishing(next, publish) => {
                order.publishing(now, next, publish.step(now, replies))
            }
        }
    }
}
