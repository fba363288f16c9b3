//! Writes one register on a condition and finds out whether the write happened.
//!
//! # Story
//!
//! 1. **Writing**: put the body, on the condition; beside it, create an object nobody refers to yet,
//!    if there is one to create.
//!    - stored: it *landed*;
//!    - turned away: it did not happen, pause (3);
//!    - refused or lost: check (2). A refusal may be due to our own earlier put.
//! 2. **Checking**: get the object.
//!    - it has our body: it *landed*;
//!    - it is still the version the condition names: nothing is decided, pause (3);
//!    - it is anything else: it was *overtaken*.
//! 3. **Pausing**: sleep a little, for the store may be turning writes away; then write again (1).
//!
//! At the deadline, with neither known, the outcome is *unknown*: the write may yet happen.
//!
//! # Invariants
//!
//! - **P1** No two writes of anyone put the same body under the same key, so whoever finds a body
//!   knows who wrote it, and no tag ever comes back. The caller sees to that, with a fresh nonce in
//!   the body.
//! - **P2** All puts of one publish carry the same body and the same condition, so at most one of
//!   them lands, however many are adrift.

use core::time::Duration;

use crate::base::blob::Blob;
use crate::base::name::Key;
use crate::base::planted::{self, Bug};
use crate::base::time::Timestamp;
use crate::machine::request::{Reply, Request, Tag, When};
use crate::machine::{Machine, Round, Step};

/// A conditional write on its way. See the [module](self) for its story.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Publish {
    write: Write,
    beside: Beside,
    deadline: Timestamp,
    pause: Duration,
    state: State,
}

/// What is written, and on what condition.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Write {
    /// The register.
    pub key: Key,
    /// Its whole new content.
    pub body: Blob,
    /// The condition: [`When::Absent`] or [`When::Matches`].
    pub when: When,
}

/// What is known of the object that is created beside the write.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Beside {
    /// It goes out with the first put. Later puts do not repeat it.
    Wanted(Option<Request>),
    /// Whether the store said that it is there.
    Tried(bool),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum State {
    Writing,
    Checking,
    Pausing,
}

/// What became of the write, and whether the object beside it is known to be there.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Published {
    /// The fate of the write.
    pub fate: Fate,
    /// Whether the object created beside the write is known to be there.
    pub beside_stored: bool,
}

/// What became of a conditional write.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Fate {
    /// It happened, made this version, and was what the object held when we heard of it.
    Landed(Tag),
    /// The object has moved on to this, so nothing of ours that is adrift can land any more. Ours
    /// may have been among the versions between: a format that must know keeps a trace of it.
    Overtaken(Option<(Tag, Blob)>),
    /// The deadline came first. It may have happened or may still happen.
    Unknown,
}

impl Publish {
    /// Begins to write, giving up at `deadline`.
    ///
    /// `beside` creates an object in the round of the first put. `pause` is the least time between
    /// two puts.
    ///
    /// # Panics
    ///
    /// If `pause` is zero: a store that turns writes away would be asked again as fast as it can
    /// answer.
    pub fn start(
        now: Timestamp,
        write: Write,
        beside: Option<Request>,
        pause: Duration,
        deadline: Timestamp,
    ) -> Step<Self> {
        assert!(!pause.is_zero(), "writes must not be repeated without a pause");
        let beside = Beside::Wanted(beside);
        Self { write, beside, deadline, pause, state: State::Writing }.put(now)
    }

    fn put(self, now: Timestamp) -> Step<Self> {
        if self.deadline <= now {
            return self.end(Fate::Unknown);
        }
        let Write { key, body, when } = self.write.clone();
        let mut requests = vec![Request::Put { key, body, when }];
        if let Beside::Wanted(beside) = &self.beside {
            requests.extend(beside.clone());
        }
        let round = Round::ask_all(requests, self.deadline);
        Step::Wait(Self { state: State::Writing, ..self }, round)
    }

    fn check(self, now: Timestamp) -> Step<Self> {
        if self.deadline <= now {
            return self.end(Fate::Unknown);
        }
        let round = Round::ask(Request::get(self.write.key.clone()), self.deadline);
        Step::Wait(Self { state: State::Checking, ..self }, round)
    }

    fn pause(self, now: Timestamp) -> Step<Self> {
        let round = Round::sleep(self.deadline.min(now + self.pause));
        Step::Wait(Self { state: State::Pausing, ..self }, round)
    }

    fn end(self, fate: Fate) -> Step<Self> {
        Step::Done(Published { fate, beside_stored: self.beside == Beside::Tried(true) })
    }

    /// Whether `tag`, or the lack of one, is what the condition asks for.
    fn is_awaited(&self, tag: Option<&Tag>) -> bool {
        match &self.write.when {
            When::Absent | When::Fresh => tag.is_none(),
            When::Matches(wanted) => tag == Some(wanted),
        }
    }
}

impl Machine for Publish {
    type Output = Published;

    fn step(mut self, now: Timestamp, replies: Vec<Reply>) -> Step<Self> {
        let mut replies = replies.into_iter();
        let first = replies.next();
        if self.state == State::Writing && matches!(self.beside, Beside::Wanted(_)) {
            let beside = replies.next();
            let taken = beside == Some(Reply::Refused) && planted::is(Bug::StagedWithoutNonce);
            self.beside = Beside::Tried(taken || matches!(beside, Some(Reply::Stored { .. })));
        }
        match (self.state, first) {
            (State::Writing, Some(Reply::Stored { tag })) => self.end(Fate::Landed(tag)),
            (State::Writing, Some(Reply::Throttled)) if planted::is(Bug::ThrottledIsSuccess) => {
                self.end(Fate::Landed(Tag::new("?")))
            }
            (State::Writing, Some(Reply::Throttled)) => self.pause(now),
            (State::Writing, Some(Reply::Lost)) if planted::is(Bug::LostIsSuccess) => {
                self.end(Fate::Landed(Tag::new("?")))
            }
            (State::Writing, Some(Reply::Refused)) if planted::is(Bug::RefusedIsSuccess) => {
                self.end(Fate::Landed(Tag::new("?")))
            }
            (State::Writing, Some(Reply::Refused | Reply::Lost)) => self.check(now),
            (State::Checking, Some(Reply::Found { tag, body }))
                if body == self.write.body && !planted::is(Bug::OwnPutIsAnothers) =>
            {
                self.end(Fate::Landed(tag))
            }
            (State::Checking, Some(Reply::Found { tag, body }))
                if planted::is(Bug::UnchangedIsOvertaken) =>
            {
                self.end(Fate::Overtaken(Some((tag, body))))
            }
            (State::Checking, Some(Reply::Found { tag, .. })) if self.is_awaited(Some(&tag)) => {
                self.pause(now)
            }
            (State::Checking, Some(Reply::Missing)) if self.is_awaited(None) => self.pause(now),
            (State::Checking, Some(Reply::Found { tag, .. }))
                if planted::is(Bug::ConditionFollows) =>
            {
                self.write.when = When::Matches(tag);
                self.pause(now)
            }
            (State::Checking, Some(Reply::Found { tag, body })) => {
                self.end(Fate::Overtaken(Some((tag, body))))
            }
            (State::Checking, Some(Reply::Missing)) => self.end(Fate::Overtaken(None)),
            (State::Checking, Some(Reply::Lost)) if planted::is(Bug::UnreadIsGone) => {
                self.end(Fate::Overtaken(None))
            }
            (State::Checking, Some(Reply::Lost | Reply::Throttled | Reply::Unreadable)) => {
                self.end(Fate::Unknown)
            }
            (State::Pausing, None) => self.put(now),
            (state, reply) => unreachable!("{reply:?} does not end {state:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINE: Timestamp = Timestamp(10);

    fn write() -> Write {
        let (body, when) = (vec![7].into(), When::Matches(Tag::new("1")));
        Write { key: Key::new("a"), body, when }
    }

    fn put() -> Round {
        let Write { key, body, when } = write();
        Round::ask(Request::Put { key, body, when }, DEADLINE)
    }

    fn get() -> Round {
        Round::ask(Request::get(Key::new("a")), DEADLINE)
    }

    fn found(tag: &str, byte: u8) -> Reply {
        Reply::Found { tag: Tag::new(tag), body: vec![byte].into() }
    }

    fn stored(tag: &str) -> Reply {
        Reply::Stored { tag: Tag::new(tag) }
    }

    /// Takes a publish of `[7]` over version 1 through this story: what it must ask, when that round
    /// ends, and how.
    fn tell(beside: Option<Request>, story: &[(Round, u64, Vec<Reply>)]) -> Step<Publish> {
        let pause = Duration::from_millis(2);
        let mut step = Publish::start(Timestamp(0), write(), beside, pause, DEADLINE);
        for (expected, now, replies) in story {
            let Step::Wait(publish, round) = step else { panic!("{step:?} before {expected:?}") };
            assert_eq!(round, *expected);
            step = publish.step(Timestamp(*now), replies.clone());
        }
        step
    }

    fn done(fate: Fate) -> Step<Publish> {
        Step::Done(Published { fate, beside_stored: false })
    }

    #[test]
    fn a_refusal_by_our_own_lost_write_is_recognised() {
        let story = [(put(), 1, vec![Reply::Refused]), (get(), 2, vec![found("2", 7)])];
        assert_eq!(tell(None, &story), done(Fate::Landed(Tag::new("2"))));
    }

    #[test]
    fn an_unchanged_object_is_written_again_after_a_pause() {
        let story = [
            (put(), 1, vec![Reply::Lost]),
            (get(), 2, vec![found("1", 0)]),
            (Round::sleep(Timestamp(4)), 4, vec![]),
            (put(), 5, vec![stored("2")]),
        ];
        assert_eq!(tell(None, &story), done(Fate::Landed(Tag::new("2"))));
    }

    #[test]
    fn a_write_that_was_turned_away_is_written_again_without_looking() {
        let story = [
            (put(), 1, vec![Reply::Throttled]),
            (Round::sleep(Timestamp(3)), 3, vec![]),
            (put(), 5, vec![stored("2")]),
        ];
        assert_eq!(tell(None, &story), done(Fate::Landed(Tag::new("2"))));
    }

    #[test]
    fn another_writers_version_is_handed_to_the_caller() {
        let story = [(put(), 1, vec![Reply::Lost]), (get(), 2, vec![found("2", 8)])];
        let theirs = Some((Tag::new("2"), vec![8].into()));
        assert_eq!(tell(None, &story), done(Fate::Overtaken(theirs)));
    }

    #[test]
    fn a_register_that_is_not_there_is_created_again_and_never_replaced() {
        let creation = Write { when: When::Absent, ..write() };
        for (write, again) in [(creation, true), (write(), false)] {
            let pause = Duration::from_millis(2);
            let step = Publish::start(Timestamp(0), write, None, pause, DEADLINE);
            let Step::Wait(publish, _) = step else { panic!("it is put") };
            let step = publish.step(Timestamp(1), vec![Reply::Lost]);
            let Step::Wait(publish, _) = step else { panic!("it is looked for") };
            match publish.step(Timestamp(2), vec![Reply::Missing]) {
                Step::Wait(_, round) => assert!(again && round == Round::sleep(Timestamp(4))),
                step @ Step::Done(_) => {
                    assert!(!again && step == done(Fate::Overtaken(None)), "{step:?}");
                }
            }
        }
    }

    #[test]
    fn nothing_is_sent_after_the_deadline() {
        let lost = [(put(), 10, vec![Reply::Lost])];
        assert_eq!(tell(None, &lost), done(Fate::Unknown));
        let overslept = [
            (put(), 1, vec![Reply::Lost]),
            (get(), 9, vec![found("1", 0)]),
            (Round::sleep(DEADLINE), 12, vec![]),
        ];
        assert_eq!(tell(None, &overslept), done(Fate::Unknown));
    }

    #[test]
    fn the_object_beside_goes_out_once_and_counts_only_if_the_store_said_so() {
        let beside = Request::create(Key::new("b"), vec![1].into());
        let mut both = put();
        both.requests.push(beside.clone());
        for (reply, beside_stored) in
            [(stored("9"), true), (Reply::Lost, false), (Reply::Refused, false)]
        {
            let story = [
                (both.clone(), 1, vec![Reply::Throttled, reply]),
                (Round::sleep(Timestamp(3)), 3, vec![]),
                (put(), 5, vec![stored("2")]),
            ];
            let fate = Fate::Landed(Tag::new("2"));
            let expected = Step::Done(Published { fate, beside_stored });
            assert_eq!(tell(Some(beside.clone()), &story), expected);
        }
    }
}
