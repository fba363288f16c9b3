//! O5 and the counters of O6 of one namespace: every version of its head follows from the one before.

use std::collections::BTreeSet;

use sana_engine::base::id::{CommitId, Cursor, Incarnation, Stamp};
use sana_engine::format::head::{Head, Live};
use sana_engine::format::log::LogEntry;

use crate::oracles::{Broken, Oracle};

/// What is known of a register from the versions it had.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Chain {
    head: Option<Head>,
    /// Every life of the namespace.
    incarnations: BTreeSet<Incarnation>,
    /// Every commit of its present life, in order.
    commits: Vec<CommitId>,
    /// Unindexed bytes above which writes are turned away, if any writer keeps to it.
    limit: Option<u64>,
}

impl Chain {
    /// The newest version.
    pub const fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// Every writer turns writes away above this many unindexed bytes.
    pub const fn limit(&mut self, bytes: u64) {
        self.limit = Some(bytes);
    }

    /// How many lives the namespace has had.
    pub fn lives(&self) -> usize {
        self.incarnations.len()
    }

    /// Takes in the version that was just put. `excused` may have more unindexed bytes than the limit.
    ///
    /// # Errors
    ///
    /// [`Broken`] if it does not follow from the one before.
    pub fn push(&mut self, next: Head, excused: bool) -> Result<(), Broken> {
        let zero = Stamp(0);
        let (step, floor) = self.head.as_ref().map_or((zero, zero), |h| (h.step, h.floor));
        chain(next.step == step.next(), || format!("step {} follows {}", next.step.0, step.0))?;
        chain(floor <= next.floor && next.floor <= next.step, || {
            format!("the floor went from {} to {} at step {}", floor.0, next.floor.0, next.step.0)
        })?;
        let before = self.head.as_ref().and_then(Head::live);
        match (before, next.live()) {
            (None, Some(live)) => self.created(&next, live)?,
            (Some(before), Some(live)) => {
                let same = self.head.as_ref().is_some_and(|h| h.incarnation == next.incarnation);
                chain(same, || "a life began before the one before had ended".into())?;
                follows(before, live, floor)?;
                if !excused {
                    self.within_limit(before, live)?;
                }
                self.commits.extend(live.log.entries.last().and_then(|last| {
                    (before.log.committed < live.log.committed).then_some(last.commit)
                }));
            }
            (Some(_), None) => {
                let same = self.head.as_ref().is_some_and(|h| h.incarnation == next.incarnation);
                chain(same, || "a tombstone of another life".into())?;
            }
            (None, None) => chain(false, || "something dead was put over something dead".into())?,
        }
        if let Some(live) = next.live() {
            self.conserved(live)?;
        }
        self.head = Some(next);
        Ok(())
    }

    fn created(&mut self, next: &Head, live: &Live) -> Result<(), Broken> {
        let is_new = self.incarnations.insert(next.incarnation);
        chain(is_new, || "a life began a second time".into())?;
        chain(live.names().is_empty(), || "H3: a creating put names objects".into())?;
        chain(live.log.committed <= Cursor(1), || "a life began with a past".into())?;
        self.commits = live.log.entries.iter().map(|entry| entry.commit).collect();
        Ok(())
    }

    /// O6: a commit that is not alone keeps within the limit.
    fn within_limit(&self, before: &Live, after: &Live) -> Result<(), Broken> {
        let Some(limit) = self.limit.filter(|_| before.log.committed < after.log.committed) else {
            return Ok(());
        };
        let (had, has) = (before.log.unindexed_bytes(), after.log.unindexed_bytes());
        Oracle::Conserved.demand(had == 0 || has <= limit, || {
            format!("{has} bytes wait to be indexed, more than the limit of {limit}")
        })
    }

    /// O6: what is counted is there.
    fn conserved(&self, live: &Live) -> Result<(), Broken> {
        let log = &live.log;
        let bytes: u64 = log.entries.iter().map(|entry| u64::from(entry.bytes)).sum();
        let counted = log.bytes_committed.checked_sub(log.bytes_indexed);
        Oracle::Conserved.demand(counted == Some(bytes), || {
            format!("{counted:?} bytes should wait to be indexed, and {bytes} do")
        })?;
        let expected = self.commits.iter().enumerate().skip(log.indexed.0 as usize);
        let expected = expected.map(|(n, commit)| (Cursor(n as u64 + 1), *commit));
        let entries = log.entries.iter().map(|entry| (entry.cursor, entry.commit));
        Oracle::Conserved.demand(entries.eq(expected), || {
            format!("the entries after {:?} are not the commits after it", log.indexed)
        })?;
        Oracle::Conserved.demand(log.committed.0 as usize == self.commits.len(), || {
            format!("{:?} commits are counted, {} happened", log.committed, self.commits.len())
        })?;
        let ring = live
            .recent
            .iter()
            .all(|(cursor, commit)| self.commits.get(cursor.0 as usize - 1) == Some(commit));
        let newest = live.recent.last().map_or(Cursor(0), |(cursor, _)| *cursor);
        chain(ring && newest == log.committed, || {
            "H7: the ring does not hold the newest commits".into()
        })
    }
}

fn follows(before: &Live, after: &Live, floor: Stamp) -> Result<(), Broken> {
    let (old, new) = (before.names(), after.names());
    let low = new.difference(&old).find(|(_, name)| name.stamp < floor);
    chain(low.is_none(), || format!("H2: {low:?} is named anew below the floor {}", floor.0))?;
    let commits = after.log.committed.0.checked_sub(before.log.committed.0);
    chain(commits.is_some_and(|n| n <= 1), || {
        format!("{:?} is followed by {:?}", before.log.committed, after.log.committed)
    })?;
    chain(before.log.indexed <= after.log.indexed, || "what was indexed is no more".into())?;
    let rows = before.manifest.next_row <= after.manifest.next_row;
    Oracle::Unique.demand(rows, || "row numbers are given out again".into())?;
    let generations = before.manifest.generation <= after.manifest.generation;
    chain(generations, || "a generation comes back".into())?;
    let kept = before.log.entries.iter().filter(|entry| after.log.indexed < entry.cursor);
    let word = |entry: &LogEntry| (entry.cursor, entry.commit, entry.operations, entry.bytes);
    chain(
        kept.map(word).eq(after
            .log
            .entries
            .iter()
            .map(word)
            .take_while(|word| word.0 <= before.log.committed)),
        || "entries of the log were lost, changed or put back".into(),
    )?;
    let numbers = before.schema.next_id <= after.schema.next_id;
    chain(numbers, || "numbers of attributes are given out again".into())?;
    // An attribute may be dropped, and its name be given to another. A number stands for one forever.
    let mut changed = after.schema.attributes.iter().filter(|(name, now)| {
        let known = before.schema.by_id(now.id);
        let same = known.map(|(name, known)| (name, known.value_type));
        same.map_or(now.id < before.schema.next_id, |same| same != (*name, now.value_type))
    });
    chain(changed.next().is_none(), || "a number stands for another attribute".into())
}

fn chain(holds: bool, what: impl FnOnce() -> String) -> Result<(), Broken> {
    Oracle::Chain.demand(holds, what)
}
