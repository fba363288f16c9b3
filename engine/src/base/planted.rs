//! Planted bugs: known ways to lose data, switched on one at a time by tests that must find them.
//!
//! A production build is made without the feature `planted`. There [`is`] is a constant `false`, so
//! the branches it guards are compiled out.

/// Every bug that can be planted, by its number in the list of `docs/mutants.md`.
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
    /// What has fallen out of the ring is reported as not done.
    OutOfTheRingIsFailure = 8,
    /// Every supply of nonces begins with the same.
    NoncesBeginAgain = 9,
    /// The checksum of what was written whole is not looked at.
    ChecksumsAreIgnored = 15,
    /// A deletion that was overtaken by a commit counts as done.
    DeleteGivesUpWhenOvertaken = 16,
    /// Creating over a tombstone takes the incarnation that was there.
    IncarnationComesBack = 17,
    /// A tombstone is removed when its life is swept.
    TombstoneIsSwept = 18,
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
    /// Log objects have names without a nonce, and a name that is taken counts as one's own.
    StagedWithoutNonce = 24,
    /// A commit that names a spilled batch drops the entries that were not spilled.
    SpillDropsOthers = 25,
    /// A spilled batch is looked for at the beginning of its object.
    OffsetIsForgotten = 26,
    /// A batch that is missing is taken for an empty one.
    MissingBatchIsEmpty = 27,
    /// In the overlay the first word on an id counts, not the last.
    FirstWordCounts = 28,
    /// A batch that cannot be decoded is passed over.
    UndecodedIsPassedOver = 29,
    /// A flush drops all entries, not only those it absorbed.
    FlushDropsAllEntries = 30,
    /// H1: a flush is published as long as the next row is what it was, wherever the cursor is.
    FlushLooksAtRowsAlone = 31,
    /// The last entry that a flush absorbed stays in the log.
    LastAbsorbedStays = 32,
    /// A flush is published into another incarnation.
    FlushGoesIntoNextLife = 33,
    /// A merge gives its rows new numbers, so later kills miss them.
    MergeRenumbersRows = 34,
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
    /// Orphans are deleted one stamp too far: also those at the floor.
    OrphansAtTheFloor = 46,
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
    /// What a filter of a write matched and was changed since counts as matching.
    MatchesAreNotTestedAgain = 65,
    /// A known key answers success without comparing what was asked.
    KeyWithoutFingerprint = 68,
    /// Idempotency keys do not survive the flush.
    FlushForgetsKeys = 70,
    /// A repeat under a key is refused because the namespace was locked meanwhile.
    LockBeforeKey = 71,
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
    /// Rows that tie with the last one held are passed over.
    TiesArePassedOver = 86,
    /// Who was asked to look at a namespace looks again for ever.
    PollsForEver = 95,
    /// The cache knows an object by its name without the nonce.
    CacheKeyWithoutNonce = 96,
    /// What was asked for before a purge is kept when it arrives after it.
    SlowReadFillsCache = 97,
    /// Registers are cached.
    RegisterIsCached = 98,
    /// An overtaken put is put again over whatever is there.
    ConditionFollows = 108,
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
    /// M1: a round ends with its first answer, and what else was asked counts as lost.
    RoundEndsAtFirstAnswer = 146,
    /// M1: a round whose time is up waits for the answers all the same.
    RoundsWaitForAnswers = 147,
    /// A deletion is of the version held, without a look whether there is another life.
    HeldVersionIsDeleted = 148,
    /// A register that could not be read counts as gone.
    UnreadIsGone = 149,
    /// H7: a commit that a tombstone does not tell of is taken as missed.
    TombstoneTellsAll = 150,
    /// The steps of a new life begin at one.
    StepsBeginAgain = 151,
    /// U1: a part of a segment whose creation was not confirmed is named.
    UnstoredPartIsNamed = 152,
    /// Of several words on an id a flush takes the first.
    FlushTakesFirstWords = 153,
    /// A flush of nothing but deletes makes no segment, so nothing is killed.
    DeletesAloneLeaveNothing = 154,
    /// The ids of a merge stand where they would if no row were dead.
    MergeMisplacesIds = 155,
    /// Objects of lives that are over are not orphans.
    DeadLivesAreNotSwept = 156,
    /// A node that has swept once does not do so again.
    SweeperRunsOnce = 157,
    /// A publication that was in vain keeps the turn, so nothing is written any more.
    TurnIsNotGivenBack = 158,
    /// A service is woken for a flush that cannot begin before the log is loaded.
    WokenWhileLoading = 159,
    /// A node flushes what it committed itself, not what others did who crashed.
    OnlyOwnLogsAreFlushed = 160,
    /// After work in vain it is begun again at the same old head.
    StaleWorkGoesOn = 161,
    /// Whoever waits for a head check that fails is not told.
    FailedCheckTellsNobody = 162,
    /// A head check that failed makes what is held count as fresh.
    FailedCheckCounts = 163,
    /// How old an answer is counts from the end of a commit, not from its beginning.
    CommitEndIsACheck = 164,
    /// What is loaded answers as if it were the newest version known.
    LoadedCountsAsNewest = 165,
    /// A commit decides by an older snapshot than the version that it replaces.
    HeldIsMixed = 166,
    /// Writes by filter are committed together with others.
    FiltersJoinGroups = 167,
    /// Q3: a query that did not look for replaced rows says that it did.
    LearnsWithoutLooking = 169,
    /// Q3: a new segment leaves the dead rows of those before it as they were.
    DeadOfFewerSegments = 170,
    /// Two requests under one key in one group both take effect.
    GroupForgetsItsKeys = 171,
    /// A lock keeps out who would unlock.
    LockedForEver = 172,
    /// The limit of unindexed bytes is kept without the batch that comes.
    LimitWithoutTheBatch = 173,
    /// Rows by distance are those of what is indexed alone.
    OverlayIsNotRanked = 174,
    /// A document counts again in the group of each element of an array.
    TagsCountTwice = 175,
    /// Once there are enough groups the last takes nothing in.
    LastGroupIsClosed = 176,
    /// A complement is taken of what may pass before that is known.
    NotOfWhatMayPass = 177,
    /// Where all values of a page pass, its nulls pass as well.
    NullsPassWithTheRest = 178,
    /// A node whose collection was overtaken does not collect again.
    FailedCollectionIsTheLast = 179,
    /// Of rows that are alike the last in the order are kept.
    GreatestOfAKindStay = 180,
    /// A deletion on a condition counts where there is no document.
    DeletionOfNothingCounts = 181,
    /// What a filter of a request deleted is patched by the other one and lives.
    PatchRevivesDeleted = 182,
    /// What a filter of a write matched and was deleted since is written again.
    DeletedStillMatches = 183,
    /// A tombstone is to be loaded for what was planned while the namespace lived.
    PlanOutlivesItsLife = 184,
    /// A log that waits to be indexed does not keep a service from being settled.
    LogsCountAsSettled = 185,
    /// A live namespace is never settled, as if nothing were known of what is to be merged.
    NeverSettled = 186,
    /// A driver may forget a namespace for which the node owes a sweep.
    SweepIsNotOwed = 187,
    /// A node looks after logs that others left and not after their trash.
    OnlyLogsAreWatched = 188,
    /// Of batches that are read together each is taken for the first.
    FirstOfNeighbours = 189,
    /// A node draws the same nonces whenever it begins something.
    NoncesComeBack = 190,
    /// Of several searches the later ones do not look at the overlay.
    PartsOfTwoMoments = 191,
    /// Batches ride in the head until it is flushed, however many and large.
    NothingIsSpilled = 192,
    /// A check of the head fetches it though it is unchanged.
    ChecksFetchAll = 193,
    /// Who was overtaken and could not read by what has looked.
    DamagedLookCounts = 194,
    /// Who was overtaken while a look was under way has looked.
    EarlierLookCounts = 195,
    /// A merge that gets no turn is never begun again.
    NoTurnIsTheLast = 196,
    /// A write that came to nothing is taken to have left nothing.
    NothingDoneIsNothingLeft = 197,
    /// The cache keeps what was found damaged.
    DamageStaysInCache = 198,
    /// Who asks after a purge waits for what was asked before it.
    JoinsReadFromBefore = 199,
    /// What was dropped comes back with an operation that was under way.
    PurgeIsUndone = 200,
}

impl Bug {
    /// Every bug.
    pub const ALL: [Self; 141] = [
        Self::LostIsSuccess,
        Self::RefusedIsSuccess,
        Self::OwnPutIsAnothers,
        Self::UnknownIsFailure,
        Self::UnchangedIsOvertaken,
        Self::CommitIdPerWriter,
        Self::PublicationDropsRing,
        Self::OutOfTheRingIsFailure,
        Self::NoncesBeginAgain,
        Self::ChecksumsAreIgnored,
        Self::DeleteGivesUpWhenOvertaken,
        Self::IncarnationComesBack,
        Self::TombstoneIsSwept,
        Self::RingOfAnotherLife,
        Self::AnsweredBeforeThePut,
        Self::NeighbourGetsError,
        Self::GroupSeesStateBefore,
        Self::UnstoredIsNamed,
        Self::StagedWithoutNonce,
        Self::SpillDropsOthers,
        Self::OffsetIsForgotten,
        Self::MissingBatchIsEmpty,
        Self::FirstWordCounts,
        Self::UndecodedIsPassedOver,
        Self::FlushDropsAllEntries,
        Self::FlushLooksAtRowsAlone,
        Self::LastAbsorbedStays,
        Self::FlushGoesIntoNextLife,
        Self::MergeRenumbersRows,
        Self::MergeDropsKills,
        Self::MergeInputsUnchecked,
        Self::RebaseKeepsItsHead,
        Self::IndexedBytesJump,
        Self::DeadRowsAreFound,
        Self::OrphansAtTheFloor,
        Self::OrphansAboveFloor,
        Self::CollectorRunsOnce,
        Self::OnePageOfGarbage,
        Self::OverlayIsNotLookedUp,
        Self::NotDecidedAgain,
        Self::MatchesAreNotTestedAgain,
        Self::KeyWithoutFingerprint,
        Self::FlushForgetsKeys,
        Self::LockBeforeKey,
        Self::LimitIsIgnored,
        Self::SpilledBytesCountTwice,
        Self::EarlierCheckServes,
        Self::OlderIsAdopted,
        Self::AgeFromTheReply,
        Self::DeadRowsAnswer,
        Self::OverlaidRowsAnswer,
        Self::TiesArePassedOver,
        Self::PollsForEver,
        Self::CacheKeyWithoutNonce,
        Self::SlowReadFillsCache,
        Self::RegisterIsCached,
        Self::ConditionFollows,
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
        Self::RoundEndsAtFirstAnswer,
        Self::RoundsWaitForAnswers,
        Self::HeldVersionIsDeleted,
        Self::UnreadIsGone,
        Self::TombstoneTellsAll,
        Self::StepsBeginAgain,
        Self::UnstoredPartIsNamed,
        Self::FlushTakesFirstWords,
        Self::DeletesAloneLeaveNothing,
        Self::MergeMisplacesIds,
        Self::DeadLivesAreNotSwept,
        Self::SweeperRunsOnce,
        Self::TurnIsNotGivenBack,
        Self::WokenWhileLoading,
        Self::OnlyOwnLogsAreFlushed,
        Self::StaleWorkGoesOn,
        Self::FailedCheckTellsNobody,
        Self::FailedCheckCounts,
        Self::CommitEndIsACheck,
        Self::LoadedCountsAsNewest,
        Self::HeldIsMixed,
        Self::FiltersJoinGroups,
        Self::LearnsWithoutLooking,
        Self::DeadOfFewerSegments,
        Self::GroupForgetsItsKeys,
        Self::LockedForEver,
        Self::LimitWithoutTheBatch,
        Self::OverlayIsNotRanked,
        Self::TagsCountTwice,
        Self::LastGroupIsClosed,
        Self::NotOfWhatMayPass,
        Self::NullsPassWithTheRest,
        Self::FailedCollectionIsTheLast,
        Self::GreatestOfAKindStay,
        Self::DeletionOfNothingCounts,
        Self::PatchRevivesDeleted,
        Self::DeletedStillMatches,
        Self::PlanOutlivesItsLife,
        Self::LogsCountAsSettled,
        Self::NeverSettled,
        Self::SweepIsNotOwed,
        Self::OnlyLogsAreWatched,
        Self::FirstOfNeighbours,
        Self::NoncesComeBack,
        Self::PartsOfTwoMoments,
        Self::NothingIsSpilled,
        Self::ChecksFetchAll,
        Self::DamagedLookCounts,
        Self::EarlierLookCounts,
        Self::NoTurnIsTheLast,
        Self::NothingDoneIsNothingLeft,
        Self::DamageStaysInCache,
        Self::JoinsReadFromBefore,
        Self::PurgeIsUndone,
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
