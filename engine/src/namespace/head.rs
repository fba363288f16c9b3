//! The only functions that make the next head from a head.
//!
//! # Invariants
//!
//! - **W1** Every put of a head adds one to its step, draws a fresh nonce, and never lowers the floor.
//! - **W2** No transition introduces the name of an object whose stamp is below the floor of the head
//!   it starts from: whoever collects garbage raises the floor first.
//! - **W3** What goes to trash is *the names of the old head without those of the new one*, computed
//!   here and nowhere else (H6).
//! - **W4** A commit adds one entry and one place in the ring of recent commits; the ring has no gaps
//!   (H7).
//! - **W5** A publication leaves schema, ring and the entries it did not absorb as the head has them
//!   that it replaces.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::blob::Blob;
use crate::base::id::{CommitId, Cursor, Incarnation, Nonce, Stamp};
use crate::base::limits;
use crate::base::planted::{self, Bug};
use crate::base::time::WallTime;
use crate::format::head::{Head, Live, State, Trash};
use crate::format::layout::{Family, ObjectName};
use crate::format::log::{Log, LogEntry, Payload};
use crate::format::schema::Schema;
use crate::namespace::segments::{FlushEdit, MergeEdit, Stale};

/// An entry to be committed.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct NewEntry {
    /// Names the commit.
    pub commit: CommitId,
    /// How many documents it puts or deletes.
    pub operations: u32,
    /// Size of its batch, in bytes.
    pub bytes: u32,
    /// Where its batch is.
    pub payload: Payload,
    /// The schema in force from this commit on.
    pub schema: Schema,
    /// Whether documents and schema may not be changed from this commit on.
    pub read_only: bool,
}

/// Where batches lie that a head may still carry inline: log objects known to be there.
pub type Spilled = BTreeMap<CommitId, (ObjectName, u32)>;

/// A change of what is indexed or kept, to be made to whatever head is the newest.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Edit {
    /// A flush: entries become a segment.
    Flush(FlushEdit),
    /// A merge: segments become one.
    Merge(MergeEdit),
    /// No later version introduces names with a stamp below this.
    RaiseFloor(Stamp),
    /// The trash of these steps is deleted.
    Forget(Vec<Stamp>),
}

/// Why a transition cannot be made from a head.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum Blocked {
    /// A name it would introduce lies below the floor: the work behind it starts over.
    #[error("the work is older than the floor")]
    BelowFloor,
    /// What it rests on is not there any more.
    #[error("the head has moved on from what the work rests on")]
    Stale,
    /// It is there already.
    #[error("it has happened already")]
    Done,
}

/// What the newest head says about a commit that was attempted on an older one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CommitFate {
    /// It is in the chain of versions.
    Landed,
    /// It is not in the chain and cannot get into it any more.
    Missed,
    /// It cannot be told.
    Unknown,
}

/// A commit that was attempted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Attempt {
    /// Its id.
    pub commit: CommitId,
    /// The incarnation it belongs to.
    pub incarnation: Incarnation,
    /// Its position.
    pub cursor: Cursor,
    /// The step its version would have.
    pub step: Stamp,
}

impl Head {
    /// The first version of a namespace, or of its next incarnation over a tombstone. Empty.
    ///
    /// # Panics
    ///
    /// If `previous` is alive.
    pub fn create(
        previous: Option<&Self>,
        nonce: Nonce,
        incarnation: Incarnation,
        at: WallTime,
    ) -> Self {
        assert!(
            previous.is_none_or(|p| p.live().is_none()),
            "W1: only what is dead is created over"
        );
        assert!(previous.is_none_or(|p| p.incarnation != incarnation), "W1: a life is lived once");
        let counted = previous.filter(|_| !planted::is(Bug::StepsBeginAgain));
        let step = counted.map_or(Stamp(0), |p| p.step).next();
        let live = Live::new(step, at);
        let floor = previous.filter(|_| !planted::is(Bug::FloorFallsAtRebirth));
        let floor = floor.map_or(Stamp(0), |p| p.floor);
        let again = previous.filter(|_| planted::is(Bug::IncarnationComesBack));
        let incarnation = again.map_or(incarnation, |p| p.incarnation);
        Self { nonce, step, floor, incarnation, state: State::Live(Box::new(live)) }
    }

    /// What the namespace holds, if it is there.
    pub const fn live(&self) -> Option<&Live> {
        match &self.state {
            State::Live(live) => Some(live),
            State::Tombstone => None,
        }
    }

    /// The version with one more commit. Inline batches that are known to lie in an object are named
    /// there from now on.
    ///
    /// # Errors
    ///
    /// [`Blocked::BelowFloor`] if the entry's object is older than the floor.
    ///
    /// # Panics
    ///
    /// If the namespace is not alive.
    pub fn commit(
        &self,
        nonce: Nonce,
        entry: NewEntry,
        spilled: &Spilled,
        at: WallTime,
    ) -> Result<Self, Blocked> {
        let mut live = self.live().expect("W1: only a live namespace is written to").clone();
        for old in &mut live.log.entries {
            if let (Payload::Inline(_), Some((name, start))) =
                (&old.payload, spilled.get(&old.commit))
                && self.floor <= name.stamp
            {
                old.payload = Payload::Object { name: *name, start: *start };
                if planted::is(Bug::SpilledBytesCountTwice) {
                    live.log.bytes_committed += u64::from(old.bytes);
                }
            }
        }
        if !spilled.is_empty() && planted::is(Bug::SpillDropsOthers) {
            live.log.entries.retain(|old| spilled.contains_key(&old.commit));
        }
        let NewEntry { commit, operations, bytes, payload, schema, read_only } = entry;
        let cursor = live.log.committed.next();
        live.log.entries.push(LogEntry { cursor, commit, operations, bytes, payload });
        live.log.committed = cursor;
        live.log.bytes_committed += u64::from(bytes);
        live.schema = schema;
        live.read_only = read_only;
        live.written_at = at;
        live.recent.push((cursor, commit));
        let surplus = live.recent.len().saturating_sub(limits::RECENT_COMMITS_MAX);
        live.recent.drain(..surplus);
        assert_eq!(live.recent.last(), Some(&(cursor, commit)), "W4: the ring ends at the commit");
        let first = live.log.committed.0 - live.log.entries.len() as u64;
        assert_eq!(first, live.log.indexed.0, "G1: the entries are those after the indexed cursor");
        self.advance(nonce, live, self.floor, at)
    }

    /// The version with an edit made to it.
    ///
    /// # Errors
    ///
    /// [`Blocked`] if it cannot be made, or has been.
    ///
    /// # Panics
    ///
    /// If the head is not sound (W1, W5).
    pub fn edit(&self, nonce: Nonce, edit: &Edit, at: WallTime) -> Result<Self, Blocked> {
        let Some(live) = self.live() else { return Err(Blocked::Stale) };
        assert!(live.created <= self.step, "W1: created before the present");
        let mut next = live.clone();
        let mut floor = self.floor;
        match edit {
            Edit::Flush(flush)
                if flush.incarnation != self.incarnation
                    && !planted::is(Bug::FlushGoesIntoNextLife) =>
            {
                return Err(Blocked::Stale);
            }
            Edit::Flush(flush) if flush.has_landed(&live.manifest, live.log.indexed) => {
                return Err(Blocked::Done);
            }
            Edit::Flush(flush) => {
                next.manifest =
                    flush.apply(&live.manifest, live.log.indexed).map_err(Blocked::from)?;
                let all = planted::is(Bug::FlushDropsAllEntries);
                next.log.absorb(if all { live.log.committed } else { flush.to });
            }
            Edit::Merge(merge) if merge.has_landed(&live.manifest) => return Err(Blocked::Done),
            Edit::Merge(merge) => {
                next.manifest = merge.apply(&live.manifest).map_err(Blocked::from)?;
            }
            Edit::RaiseFloor(to) if *to <= self.floor => return Err(Blocked::Done),
            Edit::RaiseFloor(to) => floor = (*to).min(self.step),
            Edit::Forget(steps) => {
                next.trash.retain(|trash| !steps.contains(&trash.retired));
                if next.trash.len() == live.trash.len() {
                    return Err(Blocked::Done);
                }
            }
        }
        assert_eq!(next.log.committed, live.log.committed, "W5: a publication commits nothing");
        assert_eq!(next.schema, live.schema, "W5: a publication leaves the schema as it is");
        if planted::is(Bug::PublicationDropsRing) {
            next.recent.clear();
        }
        self.advance(nonce, next, floor, at)
    }

    /// The version that ends this incarnation.
    #[must_use]
    pub const fn tombstone(&self, nonce: Nonce) -> Self {
        let (step, floor) = (self.step.next(), self.floor);
        Self { nonce, step, floor, incarnation: self.incarnation, state: State::Tombstone }
    }

    /// Every object that this version names in manifest and log.
    pub fn names(&self) -> BTreeSet<(Family, ObjectName)> {
        self.live().map(Live::names).unwrap_or_default()
    }

    /// What became of a commit that was attempted on an older version.
    ///
    /// A version of the chain has each step exactly once. So where the attempt's step is known to
    /// belong to somebody else, the attempt missed; where the ring reaches back to its cursor, the
    /// ring tells (H7); otherwise nobody can.
    pub fn fate_of(&self, attempt: &Attempt) -> CommitFate {
        let Some(live) = self.live() else {
            return if self.step <= attempt.step || planted::is(Bug::TombstoneTellsAll) {
                CommitFate::Missed
            } else {
                CommitFate::Unknown
            };
        };
        let is_ours = |(_, commit): &(Cursor, CommitId)| *commit == attempt.commit;
        if live.recent.iter().any(is_ours) && !planted::is(Bug::OwnPutIsAnothers) {
            return CommitFate::Landed;
        }
        let same = self.incarnation == attempt.incarnation || planted::is(Bug::RingOfAnotherLife);
        let covered = live.recent.first().is_some_and(|(first, _)| *first <= attempt.cursor);
        let not_reached = live.log.committed < attempt.cursor;
        let step_taken = self.step <= attempt.step || (!same && live.created <= attempt.step);
        let known = step_taken || (same && (covered || not_reached));
        if known || planted::is(Bug::UnknownIsMissed) {
            CommitFate::Missed
        } else {
            CommitFate::Unknown
        }
    }

    /// Makes `live` the next version: the one place where steps are counted and trash is found.
    fn advance(
        &self,
        nonce: Nonce,
        mut live: Live,
        floor: Stamp,
        at: WallTime,
    ) -> Result<Self, Blocked> {
        assert!(self.floor <= floor && floor <= self.step, "W1: the floor rises, and not ahead");
        let (old, new) = (self.names(), live.names());
        let is_below = |(_, name): &(Family, ObjectName)| name.stamp < self.floor;
        if new.difference(&old).any(is_below) && !planted::is(Bug::FloorIsIgnored) {
            return Err(Blocked::BelowFloor);
        }
        let mut names: Vec<_> = old.difference(&new).copied().collect();
        if planted::is(Bug::TrashHoldsWhatIsNamed) && !names.is_empty() {
            names = old.into_iter().collect();
        }
        let step = self.step.next();
        if !names.is_empty() {
            live.trash.push(Trash { retired: step, at, names });
        }
        let state = State::Live(Box::new(live));
        Ok(Self { nonce, step, floor, incarnation: self.incarnation, state })
    }
}

impl Live {
    /// Every object that is named in manifest and log.
    pub fn names(&self) -> BTreeSet<(Family, ObjectName)> {
        let parts = self.manifest.segments.iter().flat_map(|segment| &segment.parts);
        let segments = parts.map(|part| (Family::Segment, part.name));
        let objects = self.log.entries.iter().filter_map(|entry| match &entry.payload {
            Payload::Object { name, .. } => Some((Family::Log, *name)),
            Payload::Inline(_) => None,
        });
        segments.chain(objects).collect()
    }
}

impl Log {
    /// Drops the entries up to `to`, which a flush absorbed.
    fn absorb(&mut self, to: Cursor) {
        let absorbed = self.entries.iter().filter(|entry| entry.cursor <= to);
        self.bytes_indexed += absorbed.map(|entry| u64::from(entry.bytes)).sum::<u64>();
        if planted::is(Bug::IndexedBytesJump) {
            self.bytes_indexed = self.bytes_committed;
        }
        let stays = planted::is(Bug::LastAbsorbedStays);
        self.entries.retain(|entry| to < entry.cursor || (stays && to == entry.cursor));
        self.indexed = to;
    }

    /// Bytes committed and not indexed.
    pub const fn unindexed_bytes(&self) -> u64 {
        self.bytes_committed.saturating_sub(self.bytes_indexed)
    }

    /// Documents put or deleted and not indexed.
    pub fn unindexed_operations(&self) -> u64 {
        self.entries.iter().map(|entry| u64::from(entry.operations)).sum()
    }

    /// The batches that stand in the head itself.
    pub fn inline(&self) -> impl Iterator<Item = (CommitId, &Blob)> {
        self.entries.iter().filter_map(|entry| match &entry.payload {
            Payload::Inline(batch) => Some((entry.commit, batch)),
            Payload::Object { .. } => None,
        })
    }
}

impl From<Stale> for Blocked {
    fn from(_: Stale) -> Self {
        Self::Stale
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A namespace that lives, with so many commits of ten bytes and two documents each.
    fn head(commits: u64) -> Head {
        let first = Head::create(None, Nonce(1), Incarnation(Nonce(9)), WallTime(0));
        (1..=commits)
            .fold(first, |head, n| head.commit(Nonce(n.into()), entry(n), &no(), at()).unwrap())
    }

    fn entry(n: u64) -> NewEntry {
        let payload = Payload::Inline(Blob::from(vec![0; 10]));
        let (commit, schema) = (CommitId(Nonce(n.into())), Schema::default());
        NewEntry { commit, operations: 2, bytes: 10, payload, schema, read_only: false }
    }

    fn no() -> Spilled {
        Spilled::new()
    }

    fn at() -> WallTime {
        WallTime(0)
    }

    /// The attempt of a commit on the head with so many commits.
    fn attempt(after: u64, commit: u64) -> Attempt {
        let base = head(after);
        let cursor = base.live().unwrap().log.committed.next();
        let commit = CommitId(Nonce(commit.into()));
        Attempt { commit, incarnation: base.incarnation, cursor, step: base.step.next() }
    }

    #[test]
    fn what_is_not_indexed_is_counted_in_bytes_and_documents() {
        let mut live = head(3).live().unwrap().clone();
        assert_eq!((live.log.unindexed_bytes(), live.log.unindexed_operations()), (30, 6));
        assert_eq!(live.log.inline().count(), 3);
        live.log.absorb(Cursor(2));
        assert_eq!((live.log.unindexed_bytes(), live.log.unindexed_operations()), (10, 2));
        assert_eq!((live.log.indexed, live.log.inline().count()), (Cursor(2), 1));
    }

    #[test]
    fn the_ring_tells_of_a_commit_for_as_long_as_it_reaches_back() {
        let longest = limits::RECENT_COMMITS_MAX as u64;
        let (landed, missed) = (attempt(4, 5), attempt(4, 7_777));
        assert_eq!(head(5).fate_of(&landed), CommitFate::Landed);
        assert_eq!(head(4).fate_of(&missed), CommitFate::Missed, "it cannot have happened yet");
        // The oldest commit of a full ring is the one at the cursor of the attempt.
        assert_eq!(head(4 + longest).fate_of(&landed), CommitFate::Landed);
        assert_eq!(head(4 + longest).fate_of(&missed), CommitFate::Missed);
        assert_eq!(head(5 + longest).fate_of(&landed), CommitFate::Unknown);
        assert_eq!(head(5 + longest).fate_of(&missed), CommitFate::Unknown);
    }

    #[test]
    fn another_life_and_a_tombstone_tell_of_commits_only_by_steps() {
        let missed = attempt(4, 7_777);
        let dead = |commits| head(commits).tombstone(Nonce(50));
        let reborn =
            |dead: &Head| Head::create(Some(dead), Nonce(51), Incarnation(Nonce(10)), at());
        // The tombstone has the very step of the attempt: so that did not happen.
        assert_eq!(dead(4).fate_of(&missed), CommitFate::Missed);
        assert_eq!(dead(5).fate_of(&missed), CommitFate::Unknown);
        assert_eq!(reborn(&dead(3)).fate_of(&missed), CommitFate::Missed);
        assert_eq!(reborn(&dead(4)).fate_of(&missed), CommitFate::Unknown);
        let written = reborn(&dead(3)).commit(Nonce(60), entry(60), &no(), at()).unwrap();
        assert_eq!(written.fate_of(&missed), CommitFate::Missed, "this life began at its step");
    }

    #[test]
    fn what_lies_below_the_floor_is_named_no_more() {
        let floor = |to| head(3).edit(Nonce(70), &Edit::RaiseFloor(Stamp(to)), at());
        let raised = floor(3).unwrap();
        assert_eq!((raised.floor, raised.step), (Stamp(3), Stamp(5)));
        assert_eq!(floor(9).unwrap().floor, Stamp(4), "not above the newest version");
        assert_eq!(floor(0), Err(Blocked::Done));
        let named = |stamp| {
            let name = ObjectName { stamp: Stamp(stamp), nonce: Nonce(80) };
            let payload = Payload::Object { name, start: 0 };
            raised.commit(Nonce(71), NewEntry { payload, ..entry(71) }, &no(), at())
        };
        assert_eq!(named(2), Err(Blocked::BelowFloor));
        assert!(named(3).is_ok());
    }
}
