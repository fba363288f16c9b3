//! Planted bugs: known ways to lose data, switched on one at a time by tests that must find them.
//!
//! A production build is made without the feature `planted`. There [`is`] is a constant `false`, so
//! the branches it guards are compiled out.

/// Every bug that can be planted, by its number in the list of planted bugs in `docs/testing.md`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Bug {
    /// A lost reply to the head put is taken as success.
    LostIsSuccess = 1,
    /// A refused put is taken as success without looking.
    RefusedIsSuccess = 2,
    /// A refusal by one's own earlier put is taken as somebody else's, and the batch is committed again.
    OwnPutIsAnothers = 3,
    /// At the deadline a commit of unknown outcome is reported as not done.
    UnknownIsFailure = 4,
    /// After a lost reply the requests are decided and put anew on the same version.
    UnchangedIsOvertaken = 5,
    /// The id of a commit is its writer's, not its own.
    CommitIdPerWriter = 6,
    /// A publication drops the ring of recent commit ids.
    PublicationDropsRing = 7,
    /// A deletion that was overtaken by a commit counts as done.
    DeleteGivesUpWhenOvertaken = 16,
    /// Creating over a tombstone takes the incarnation that was there.
    IncarnationComesBack = 17,
    /// H7: the ring of one life of a namespace tells about commits of another.
    RingOfAnotherLife = 19,
    /// Answers are given when the put is sent.
    AnsweredBeforeThePut = 20,
    /// What is wrong with one request of a group is told to all.
    NeighbourGetsError = 21,
    /// Requests of a group are decided at the state before the group.
    GroupSeesStateBefore = 22,
    /// A head names a log object whose creation was not confirmed.
    UnstoredIsNamed = 23,
    /// A spilled batch is looked for at the beginning of its object.
    OffsetIsForgotten = 26,
    /// In the overlay the first word on an id counts, not the last.
    FirstWordCounts = 28,
    /// A flush drops all entries, not only those it absorbed.
    FlushDropsAllEntries = 30,
    /// A flush is published into another incarnation.
    FlushGoesIntoNextLife = 33,
    /// A merge drops the kills of rows that lie outside of it.
    MergeDropsKills = 35,
    /// A merge is published though its inputs are not there any more.
    MergeInputsUnchecked = 36,
    /// An overtaken publication puts its own head over the newer one.
    RebaseKeepsItsHead = 38,
    /// After a flush all bytes count as indexed, not only those it absorbed.
    IndexedBytesJump = 39,
    /// A lookup takes the first row of an id that it finds, dead or not.
    DeadRowsAreFound = 45,
    /// Orphans are deleted though work in flight may still publish them.
    OrphansAboveFloor = 51,
    /// A node that has collected trash once does not do so again.
    CollectorRunsOnce = 55,
    /// Orphans are looked for on the first page of a listing.
    OnePageOfGarbage = 56,
    /// A patch looks at the index and not at the overlay.
    OverlayIsNotLookedUp = 63,
    /// After a lost race the decision is not made again.
    NotDecidedAgain = 64,
    /// A known key answers success without comparing what was asked.
    KeyWithoutFingerprint = 68,
    /// Idempotency keys do not survive the flush.
    FlushForgetsKeys = 70,
    /// The limit of unindexed bytes is not kept.
    LimitIsIgnored = 72,
    /// Bytes of a spilled batch are counted again.
    SpilledBytesCountTwice = 73,
    /// A strong query uses a head check that began before it arrived.
    EarlierCheckServes = 75,
    /// What a node holds is replaced by something older.
    OlderIsAdopted = 76,
    /// How old an answer is counts from the reply to a head check, not from its request.
    AgeFromTheReply = 77,
    /// A query answers rows that were killed.
    DeadRowsAnswer = 80,
    /// The overlay's document and its indexed predecessor both answer.
    OverlaidRowsAnswer = 85,
    /// H1: a flush is published over another flush.
    FlushRebases = 109,
    /// H2: trash is deleted without raising the floor.
    TrashWithoutFloor = 110,
    /// H2: a put names an object below the floor.
    FloorIsIgnored = 111,
    /// H6: trash holds what the new head still names.
    TrashHoldsWhatIsNamed = 114,
    /// H7: what the ring does not cover is taken as not landed.
    UnknownIsMissed = 115,
    /// H8: an idempotency key is looked up in the log only.
    KeysInLogOnly = 116,
    /// What a held, outdated head refuses is refused without looking.
    StaleRefusal = 122,
    /// A log that stays small is never flushed, however old.
    SmallLogsAreLeft = 123,
    /// H2: orphans are deleted before the floor is raised.
    SweepWithoutFloor = 124,
    /// H8: idempotency keys do not survive a merge.
    MergeForgetsKeys = 125,
    /// A new life of a namespace begins with its floor at zero.
    FloorFallsAtRebirth = 126,
    /// The overlay passes over deletions.
    DeletesAreNotOverlaid = 127,
    /// A snapshot of one life of a namespace is brought forward into the next.
    AdvanceAcrossLives = 128,
    /// Batches held of one life of a namespace are taken for those of the next.
    BatchesOfAnotherLife = 129,
    /// A patch drops the attributes that it does not mention.
    PatchForgetsTheRest = 130,
    /// Conditions of writes are not looked at.
    ConditionIgnored = 131,
    /// What filters of a write matched is not brought up to date when the commit is overtaken.
    MatchesStayOld = 132,
    /// A put that was turned away is taken as success.
    ThrottledIsSuccess = 133,
    /// A flush leaves the rows alive that its documents replace.
    FlushKillsNothing = 134,
    /// A flush kills rows that another segment has killed.
    DeadRowsAreKilledAgain = 135,
    /// A merge brings rows back that were killed.
    MergeKeepsDeadRows = 136,
    /// A query that is content with a stale answer gets one however old.
    StaleForEver = 137,
    /// What a flush absorbed takes newer words out of the overlay with it.
    AbsorbForgetsNewer = 138,
    /// A deletion of unknown outcome is reported as done.
    UnknownDeletionIsDone = 139,
    /// A deletion that was overtaken deletes what came after.
    DeletionGoesIntoNextLife = 140,
    /// The limit of unindexed bytes is kept at the head held, not at the one that is replaced.
    LimitOfHeldHead = 141,
    /// An attribute gets the lowest number that is free, also that of a dropped one.
    DroppedNumberComesBack = 142,
    /// A read-only namespace is written to.
    LockIsIgnored = 143,
    /// Groups are made of what is indexed alone.
    OverlayIsNotGrouped = 144,
    /// What filters of a write matched stays, though an attribute they look at was dropped.
    DropsLeaveMatches = 145,
    /// A node draws the same nonces whenever it begins something.
    NoncesComeBack = 170,
    /// Of several searches the later ones do not look at the overlay.
    PartsOfTwoMoments = 171,
    /// Batches ride in the head until it is flushed, however many and large.
    NothingIsSpilled = 172,
    /// A check of the head fetches it though it is unchanged.
    ChecksFetchAll = 173,
}

impl Bug {
    /// Every bug.
    pub const ALL: [Self; 71] = [
        Self::LostIsSuccess,
        Self::RefusedIsSuccess,
        Self::OwnPutIsAnothers,
        Self::UnknownIsFailure,
        Self::UnchangedIsOvertaken,
        Self::CommitIdPerWriter,
        Self::PublicationDropsRing,
        Self::DeleteGivesUpWhenOvertaken,
        Self::IncarnationComesBack,
        Self::RingOfAnotherLife,
        Self::AnsweredBeforeThePut,
        Self::NeighbourGetsError,
        Self::GroupSeesStateBefore,
        Self::UnstoredIsNamed,
        Self::OffsetIsForgotten,
        Self::FirstWordCounts,
        Self::FlushDropsAllEntries,
        Self::FlushGoesIntoNextLife,
        Self::MergeDropsKills,
        Self::MergeInputsUnchecked,
        Self::RebaseKeepsItsHead,
        Self::IndexedBytesJump,
        Self::DeadRowsAreFound,
        Self::OrphansAboveFloor,
        Self::CollectorRunsOnce,
        Self::OnePageOfGarbage,
        Self::OverlayIsNotLookedUp,
        Self::NotDecidedAgain,
        Self::KeyWithoutFingerprint,
        Self::FlushForgetsKeys,
        Self::LimitIsIgnored,
        Self::SpilledBytesCountTwice,
        Self::EarlierCheckServes,
        Self::OlderIsAdopted,
        Self::AgeFromTheReply,
        Self::DeadRowsAnswer,
        Self::OverlaidRowsAnswer,
        Self::FlushRebases,
        Self::TrashWithoutFloor,
        Self::FloorIsIgnored,
        Self::TrashHoldsWhatIsNamed,
        Self::UnknownIsMissed,
        Self::KeysInLogOnly,
        Self::StaleRefusal,
        Self::SmallLogsAreLeft,
        Self::SweepWithoutFloor,
        Self::MergeForgetsKeys,
        Self::FloorFallsAtRebirth,
        Self::DeletesAreNotOverlaid,
        Self::AdvanceAcrossLives,
        Self::BatchesOfAnotherLife,
        Self::PatchForgetsTheRest,
        Self::ConditionIgnored,
        Self::MatchesStayOld,
        Self::ThrottledIsSuccess,
        Self::FlushKillsNothing,
        Self::DeadRowsAreKilledAgain,
        Self::MergeKeepsDeadRows,
        Self::StaleForEver,
        Self::AbsorbForgetsNewer,
        Self::UnknownDeletionIsDone,
        Self::DeletionGoesIntoNextLife,
        Self::LimitOfHeldHead,
        Self::DroppedNumberComesBack,
        Self::LockIsIgnored,
        Self::OverlayIsNotGrouped,
        Self::DropsLeaveMatches,
        Self::NoncesComeBack,
        Self::PartsOfTwoMoments,
        Self::NothingIsSpilled,
        Self::ChecksFetchAll,
    ];
}

/// Whether `bug` is switched on.
#[cfg(not(feature = "planted"))]
pub const fn is(bug: Bug) -> bool {
    let _ = bug;
    false
}

#[cfg(feature = "planted")]
pub use switch::{choose, is};

#[cfg(feature = "planted")]
mod switch {
    use core::cell::Cell;

    use super::Bug;

    thread_local! {
        /// The bug that is on. One thread looks for one bug at a time.
        static CHOSEN: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Whether `bug` is switched on in this thread.
    pub fn is(bug: Bug) -> bool {
        CHOSEN.get() == Some(bug)
    }

    /// Switches one bug on in this thread, or all off.
    pub fn choose(bug: Option<Bug>) {
        CHOSEN.set(bug);
    }
}
