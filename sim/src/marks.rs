//! What an exploration or a band of seeds must have come across, or it proves nothing.

use sana_engine::format::head::Head;
use sana_engine::format::layout;
use sana_engine::format::log::Payload;
use sana_engine::machine::request::{Reply, Request};
use sana_engine::namespace::request::{QueryError, WriteError};
use sana_engine::ops::publication::Publicized;
use sana_engine::service::task::Output;

use crate::oracles::register::Chain;

/// A situation worth reaching.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Mark {
    /// A commit ended well though a write of it was lost.
    SurvivedLoss,
    /// A commit was refused by its own earlier put, and found itself in the head.
    FoundItself,
    /// A commit lost a race and was decided again.
    DecidedAgain,
    /// A publication was made to a newer head than it was built on.
    Rebased,
    /// A publication found that its work was in vain.
    Superseded,
    /// A client was told that nobody knows.
    Unknown,
    /// A write landed that nobody waited for any more.
    LandedLate,
    /// And its sender had crashed.
    LandedAfterCrash,
    /// A head named a batch in an object.
    Spilled,
    /// A head had a segment.
    Indexed,
    /// A head had both a segment and a log.
    IndexedAndLog,
    /// A namespace was deleted.
    Tombstone,
    /// A namespace was created over a tombstone.
    Reborn,
    /// The floor was raised.
    FloorRaised,
    /// A head had trash.
    Trash,
    /// A query was answered from unindexed writes.
    OverlaySeen,
    /// A query was answered.
    Answered,
    /// A collector deleted an object.
    Collected,
    /// Two segments became one.
    Merged,
    /// A sweeper deleted an orphan.
    Swept,
    /// A query began again, for an object had vanished.
    QueryAgain,
    /// A repeated key was found in the log.
    KeyInLog,
    /// A repeated key was found in a segment.
    KeyInSegment,
    /// A key stood for another request.
    KeyReused,
    /// A write was turned away because too much waits to be indexed.
    TurnedBack,
    /// A write met a namespace that is read-only.
    LockMet,
    /// A write by filter lost a race and was decided again.
    MatchedAgain,
    /// A condition of a write did not hold for all of its documents.
    ConditionFailed,
    /// A write was told which ids it had changed.
    IdsTold,
    /// Several requests became one commit.
    SeveralInGroup,
    /// A batch was staged before a head named it.
    StagedBatch,
    /// A check of the head found it unchanged.
    UnchangedHead,
    /// Rows were found by distance under a filter.
    FilteredNearest,
    /// Several lists became one.
    Fused,
    /// A query or a write named an attribute that was dropped.
    DroppedInFlight,
    /// A head was refused that names a new object below the floor that has come since.
    FloorConflict,
    /// An orphan of a life that goes on was deleted.
    LiveOrphan,
}

impl Mark {
    /// Every mark.
    pub const ALL: [Self; 37] = [
        Self::SurvivedLoss,
        Self::FoundItself,
        Self::DecidedAgain,
        Self::Rebased,
        Self::Superseded,
        Self::Unknown,
        Self::LandedLate,
        Self::LandedAfterCrash,
        Self::Spilled,
        Self::Indexed,
        Self::IndexedAndLog,
        Self::Tombstone,
        Self::Reborn,
        Self::FloorRaised,
        Self::Trash,
        Self::OverlaySeen,
        Self::Answered,
        Self::Collected,
        Self::Merged,
        Self::Swept,
        Self::QueryAgain,
        Self::KeyInLog,
        Self::KeyInSegment,
        Self::KeyReused,
        Self::TurnedBack,
        Self::LockMet,
        Self::MatchedAgain,
        Self::ConditionFailed,
        Self::IdsTold,
        Self::SeveralInGroup,
        Self::StagedBatch,
        Self::UnchangedHead,
        Self::FilteredNearest,
        Self::Fused,
        Self::DroppedInFlight,
        Self::FloorConflict,
        Self::LiveOrphan,
    ];

    /// Its bit.
    pub const fn bit(self) -> u64 {
        1 << self as u8
    }

    /// The marks of these bits.
    pub fn of(bits: u64) -> Vec<Self> {
        Self::ALL.into_iter().filter(|mark| bits & mark.bit() != 0).collect()
    }

    /// What the newest version of a head says.
    pub fn of_head(chain: &Chain) -> u64 {
        let Some(head) = chain.head() else { return 0 };
        let mut marks = if head.floor.0 > 0 { Self::FloorRaised.bit() } else { 0 };
        let Some(live) = head.live() else { return marks | Self::Tombstone.bit() };
        let mut mark = |holds: bool, mark: Self| marks |= if holds { mark.bit() } else { 0 };
        let objects = |payload: &Payload| matches!(payload, Payload::Object { .. });
        let indexed = !live.manifest.segments.is_empty();
        mark(live.log.entries.iter().any(|entry| objects(&entry.payload)), Self::Spilled);
        mark(indexed, Self::Indexed);
        mark(indexed && !live.log.entries.is_empty(), Self::IndexedAndLog);
        mark(chain.lives() > 1, Self::Reborn);
        mark(!live.trash.is_empty(), Self::Trash);
        marks
    }

    /// What a request says that was performed under this head.
    pub fn of_request(now: Option<&Head>, request: &Request, reply: &Reply) -> u64 {
        let Some(now) = now.filter(|now| now.live().is_some()) else { return 0 };
        match (request, reply) {
            (Request::Put { key, body, .. }, Reply::Refused) if !layout::is_immutable(key) => {
                let Ok(refused) = Head::decode(key, body) else { return 0 };
                let names = refused.names();
                let is_late =
                    names.difference(&now.names()).any(|(_, name)| name.stamp < now.floor);
                let is_same = refused.incarnation == now.incarnation;
                if is_same && is_late { Self::FloorConflict.bit() } else { 0 }
            }
            (Request::Delete { key }, Reply::Deleted) => {
                let place = layout::parse_object(key).map(|(place, ..)| place);
                let goes_on = place.is_some_and(|place| place.incarnation == now.incarnation);
                if goes_on { Self::LiveOrphan.bit() } else { 0 }
            }
            _ => 0,
        }
    }

    /// What the end of a machine says: whether a put of it was refused, whether a write was lost, and
    /// the first reply of its last round.
    pub fn of_output(output: &Output, refused: bool, lost: bool, last: Option<&Reply>) -> u64 {
        let when = |holds: bool, mark: Self| if holds { mark.bit() } else { 0 };
        let stored = matches!(last, Some(Reply::Stored { .. }));
        match output {
            Output::Commit(committed) => {
                let done = committed.outcomes.iter().any(Result::is_ok);
                let unknown = committed
                    .outcomes
                    .iter()
                    .any(|outcome| matches!(outcome, Err(WriteError::Unknown { .. })));
                when(committed.outcomes.len() > 1, Self::SeveralInGroup)
                    | when(done && lost, Self::SurvivedLoss)
                    | when(done && !stored && (refused || lost), Self::FoundItself)
                    | when(done && stored && refused, Self::DecidedAgain)
                    | when(unknown, Self::Unknown)
            }
            Output::Publication(Publicized::Landed(..)) => when(refused && stored, Self::Rebased),
            Output::Publication(Publicized::Superseded) => Self::Superseded.bit(),
            Output::Merge(Ok(_)) => Self::Merged.bit(),
            Output::Query(Ok(answer)) => {
                Self::Answered.bit() | when(answer.statistics.unindexed_rows > 0, Self::OverlaySeen)
            }
            Output::Collect(collected) => when(collected.deleted > 0, Self::Collected),
            Output::Sweep(swept) => when(swept.deleted > 0, Self::Swept),
            Output::Query(Err(QueryError::Vanished(_))) => Self::QueryAgain.bit(),
            _ => 0,
        }
    }
}

/// How often each situation was come across.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tally([u64; Mark::ALL.len()]);

impl Default for Tally {
    fn default() -> Self {
        Self([0; Mark::ALL.len()])
    }
}

impl Tally {
    /// Each of these was come across once more.
    pub fn count(&mut self, bits: u64) {
        if bits == 0 {
            return;
        }
        for mark in Mark::of(bits) {
            self.0[mark as usize] += 1;
        }
    }

    /// How often it was.
    pub const fn of(&self, mark: Mark) -> u64 {
        self.0[mark as usize]
    }

    /// Adds those of another world.
    pub fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(all, more)| *all += more);
    }

    /// What was come across less often than this.
    pub fn below(&self, least: u64) -> Vec<(Mark, u64)> {
        let counts = Mark::ALL.into_iter().map(|mark| (mark, self.of(mark)));
        counts.filter(|(_, count)| *count < least).collect()
    }
}
