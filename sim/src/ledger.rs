//! Every kind of write × every fate × whether its sender crashes: how often each happened.
//!
//! A doubt that was never tried proves nothing. A cell that stays dark is named, with the reason why
//! it cannot be, if there is one; a big band in which another stays dark has failed.

use sana_engine::base::name::Key;
use sana_engine::format::layout::{self, Family};
use sana_engine::machine::request::{Request, When};

use crate::oracles::cost::Work;

/// What is written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Site {
    /// The head of a commit.
    CommitHead,
    /// The first head of a namespace.
    FirstHead,
    /// An object with batches.
    LogObject,
    /// The head that ends a namespace.
    Tombstone,
    /// A part of a segment, by a flush.
    FlushedPart,
    /// The head of a flush.
    FlushHead,
    /// A part of a segment, by a merge.
    MergedPart,
    /// The head of a merge.
    MergeHead,
    /// A head by which trash is collected: the floor is raised, or names are forgotten.
    CollectHead,
    /// Trash is deleted.
    TrashDeletion,
    /// The head of a sweep, which raises the floor.
    SweepHead,
    /// An orphan is deleted.
    OrphanDeletion,
}

/// What becomes of a write.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Fate {
    /// It happened, and its sender is told.
    Stored,
    /// It was refused, and its sender is told.
    Refused,
    /// It never happened, and its sender does not know.
    LostBefore,
    /// It reached the store, and its sender does not know.
    LostAfter,
    /// It reached the store when its sender had long given up.
    Late,
    /// It was turned away.
    Throttled,
}

/// When the sender of a write crashed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Crash {
    /// It did not, as long as the write was on its way or its sender waited to hear of it.
    No,
    /// Before it sent the write: then the write has no fate.
    Before,
    /// After it sent it.
    After,
}

/// How often what became of which write.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ledger {
    /// Writes that were never sent, for their sender crashed.
    unsent: [u64; Site::ALL.len()],
    cells: [[[u64; 2]; Fate::ALL.len()]; Site::ALL.len()],
}

/// One cell of the ledger.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cell {
    /// What was written.
    pub site: Site,
    /// What became of it; nothing, if it was not sent.
    pub fate: Option<Fate>,
    /// Whether its sender crashed.
    pub crash: Crash,
    /// How often.
    pub count: u64,
}

impl Site {
    /// Every kind of write.
    pub const ALL: [Self; 12] = [
        Self::CommitHead,
        Self::FirstHead,
        Self::LogObject,
        Self::Tombstone,
        Self::FlushedPart,
        Self::FlushHead,
        Self::MergedPart,
        Self::MergeHead,
        Self::CollectHead,
        Self::TrashDeletion,
        Self::SweepHead,
        Self::OrphanDeletion,
    ];

    /// What a request of this work writes; nothing, if it reads.
    pub fn of(work: Work, request: &Request) -> Option<Self> {
        match (request, work) {
            (Request::Get { .. } | Request::List { .. }, _) => None,
            (Request::Delete { .. }, Work::Collect) => Some(Self::TrashDeletion),
            (Request::Delete { .. }, _) => Some(Self::OrphanDeletion),
            (Request::Put { key, when, .. }, _) if is_log(key) && *when == When::Fresh => {
                Some(Self::LogObject)
            }
            (Request::Put { when: When::Fresh, .. }, Work::Merge) => Some(Self::MergedPart),
            (Request::Put { when: When::Fresh, .. }, _) => Some(Self::FlushedPart),
            (Request::Put { .. }, Work::PublishFlush) => Some(Self::FlushHead),
            (Request::Put { .. }, Work::PublishMerge) => Some(Self::MergeHead),
            (Request::Put { .. }, Work::PublishOther | Work::Collect) => Some(Self::CollectHead),
            (Request::Put { .. }, Work::Sweep) => Some(Self::SweepHead),
            (Request::Put { .. }, Work::Delete) => Some(Self::Tombstone),
            (Request::Put { when: When::Absent, .. }, _) => Some(Self::FirstHead),
            (Request::Put { .. }, _) => Some(Self::CommitHead),
        }
    }

    /// Whether it is a deletion.
    const fn is_deletion(self) -> bool {
        matches!(self, Self::TrashDeletion | Self::OrphanDeletion)
    }
}

fn is_log(key: &Key) -> bool {
    matches!(layout::parse_object(key), Some((_, Family::Log, _)))
}

impl Fate {
    /// Every fate.
    pub const ALL: [Self; 6] = [
        Self::Stored,
        Self::Refused,
        Self::LostBefore,
        Self::LostAfter,
        Self::Late,
        Self::Throttled,
    ];
}

impl Crash {
    /// In words; none if it did not.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::No => "",
            Self::Before => "the sender crashes before",
            Self::After => "the sender crashes after",
        }
    }
}

impl Ledger {
    /// A write was to be sent, and its sender crashed.
    pub const fn unsent(&mut self, site: Site) {
        self.unsent[site as usize] += 1;
    }

    /// This became of a write.
    pub const fn count(&mut self, site: Site, fate: Fate, has_crashed: bool) {
        self.cells[site as usize][fate as usize][has_crashed as usize] += 1;
    }

    /// Adds those of another world.
    pub fn add(&mut self, other: &Self) {
        self.unsent.iter_mut().zip(other.unsent).for_each(|(all, more)| *all += more);
        let cells = self.cells.iter_mut().flatten().flatten();
        let others = other.cells.iter().flatten().flatten();
        cells.zip(others).for_each(|(all, more)| *all += more);
    }

    /// Every cell.
    pub fn cells(&self) -> impl Iterator<Item = Cell> {
        Site::ALL.into_iter().flat_map(move |site| {
            let count = self.unsent[site as usize];
            let unsent = Cell { site, fate: None, crash: Crash::Before, count };
            let sent = Fate::ALL.into_iter().flat_map(move |fate| {
                [Crash::No, Crash::After].map(|crash| {
                    let counts = self.cells[site as usize][fate as usize];
                    let count = counts[usize::from(crash == Crash::After)];
                    Cell { site, fate: Some(fate), crash, count }
                })
            });
            core::iter::once(unsent).chain(sent)
        })
    }

    /// The cells in which nothing happened though it could.
    pub fn dark(&self) -> Vec<Cell> {
        self.below(1)
    }

    /// The cells in which less happened than this though it could.
    pub fn below(&self, least: u64) -> Vec<Cell> {
        let is_rare = |cell: &Cell| cell.count < least && cell.reason().is_none();
        self.cells().filter(is_rare).collect()
    }
}

impl Cell {
    /// Why it stays dark, if it has to.
    pub const fn reason(&self) -> Option<&'static str> {
        match (self.site.is_deletion(), self.fate) {
            (true, Some(Fate::Refused)) => Some("a deletion has no condition"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_counts_by_itself_and_a_dark_one_is_named() {
        let mut ledger = Ledger::default();
        let all = ledger.cells().count();
        assert_eq!(all, Site::ALL.len() * (1 + Fate::ALL.len() * 2));
        let impossible = ledger.cells().filter(|cell| cell.reason().is_some()).count();
        assert_eq!(ledger.dark().len(), all - impossible);
        ledger.unsent(Site::FlushHead);
        ledger.count(Site::CommitHead, Fate::Late, true);
        let mut twice = ledger.clone();
        twice.add(&ledger);
        assert_eq!(twice.cells().map(|cell| cell.count).sum::<u64>(), 4);
        assert_eq!(twice.dark().len(), all - impossible - 2);
    }
}
