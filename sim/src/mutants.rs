//! Planted bugs: each is switched on and hunted, where it is likely to be found and then everywhere.
//!
//! A bug that nobody finds says that an oracle, a fault or an exploration is missing. A bug is on in
//! one thread only, so several are hunted at once.

pub mod table;

use std::fmt;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use sana_engine::base::planted::{self, Bug};

use crate::arena::setup::{self, Reach};
use crate::explore::{Bounds, explore};
use crate::oracles::Oracle;
use crate::stopwatch::Stopwatch;
use crate::swarm;

/// How hard a bug is hunted.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Effort {
    /// Worlds of each exploration, at most.
    pub worlds: usize,
    /// Seeds, at most.
    pub seeds: u64,
    /// A hunt that took this many seconds begins nothing more.
    pub seconds: f64,
    /// Bugs that are hunted at once.
    pub threads: usize,
}

/// Who hunts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Hunters {
    /// Whoever is likely to find it first, and then all.
    All,
    /// The explorations alone.
    Explorations,
    /// Seeds alone.
    Seeds,
}

/// What a hunt came to.
#[derive(Clone, PartialEq, Debug)]
pub struct Hunt {
    /// The bug.
    pub bug: Bug,
    /// Who hunted it.
    pub hunters: Hunters,
    /// How it was found, if it was.
    pub catch: Option<Catch>,
    /// Worlds that were visited, wherever.
    pub worlds: usize,
    /// Seeds that were run.
    pub seeds: u64,
    /// How long it took.
    pub seconds: f64,
}

/// How a bug was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Catch {
    /// Who found it.
    pub by: Finder,
    /// Which property it broke.
    pub oracle: Oracle,
    /// What was seen.
    pub what: String,
    /// Events of the shortest story that shows it. A seed tells no shortest.
    pub events: Option<usize>,
}

/// Who finds a bug.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Finder {
    /// The small exploration of this name.
    Exploration(&'static str),
    /// The world of this seed.
    Seed(u64),
}

/// A bug has to be found by so many seeds, or within so many seconds.
pub const SEEDS_MAX: u64 = 10_000;
/// See [`SEEDS_MAX`].
pub const SECONDS_MAX: f64 = 60.0;

/// How long clients of a hunting seed keep asking, in seconds.
const SECONDS: u64 = 30;
/// Worlds and seeds of a first look everywhere: it finds most bugs, and costs the others little. What an
/// exploration is likely to find has been looked for there, so seeds come before all the others.
const FIRST_LOOK: (usize, u64) = (20_000, 400);

/// Hunts bugs, several at once. Each hunt is reported once those before it were.
///
/// # Panics
///
/// If the simulator itself does.
pub fn hunt_all(hunts: &[(Bug, Hunters)], effort: Effort, report: impl FnMut(&Hunt) + Send) {
    let next = AtomicUsize::new(0);
    let reports = Mutex::new((0, vec![None; hunts.len()], report));
    let work = || {
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some((bug, hunters)) = hunts.get(place) else { return };
            let hunt = hunt(*bug, *hunters, effort);
            let mut reports = reports.lock().expect("nobody panics while he reports");
            let (reported, hunts, report) = &mut *reports;
            hunts[place] = Some(hunt);
            while let Some(Some(hunt)) = hunts.get(*reported) {
                report(hunt);
                *reported += 1;
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..effort.threads {
            scope.spawn(work);
        }
        work();
    });
}

/// Hunts a bug in this thread.
pub fn hunt(bug: Bug, hunters: Hunters, effort: Effort) -> Hunt {
    planted::choose(Some(bug));
    let hunt = Hunt { bug, hunters, catch: None, worlds: 0, seeds: 0, seconds: 0.0 };
    let mut hunting = Hunting { hunt, effort, watch: Stopwatch::start() };
    hunting.hunt.catch = hunting.go();
    planted::choose(None);
    hunting.hunt.seconds = hunting.watch.seconds();
    hunting.hunt
}

impl Hunt {
    /// Whether the bug was found as soon as it must be.
    pub fn is_soon(&self) -> bool {
        self.catch.is_some() && (self.seeds <= SEEDS_MAX || self.seconds <= SECONDS_MAX)
    }
}

/// A hunt on its way.
struct Hunting {
    hunt: Hunt,
    effort: Effort,
    watch: Stopwatch,
}

impl Hunting {
    fn go(&mut self) -> Option<Catch> {
        let Effort { worlds, seeds, .. } = self.effort;
        let (first_worlds, first_seeds) = (FIRST_LOOK.0.min(worlds), FIRST_LOOK.1.min(seeds));
        match self.hunt.hunters {
            Hunters::Seeds => self.run(0..seeds),
            Hunters::Explorations => self
                .where_it_is_likely()
                .or_else(|| self.explore_all(first_worlds))
                .or_else(|| self.explore_all(worlds)),
            Hunters::All => self
                .where_it_is_likely()
                .or_else(|| self.run(0..first_seeds))
                .or_else(|| self.explore_all(first_worlds))
                .or_else(|| self.run(first_seeds..seeds))
                .or_else(|| self.explore_all(worlds)),
        }
    }

    fn is_over(&self) -> bool {
        self.watch.seconds() > self.effort.seconds
    }

    fn where_it_is_likely(&mut self) -> Option<Catch> {
        likely(self.hunt.bug).and_then(|name| self.explore(name, self.effort.worlds))
    }

    fn explore_all(&mut self, worlds: usize) -> Option<Catch> {
        setup::NAMES.into_iter().find_map(|name| self.explore(name, worlds))
    }

    fn explore(&mut self, name: &'static str, worlds: usize) -> Option<Catch> {
        let setup = setup::named(name, Reach::Small).filter(|_| !self.is_over())?;
        let exploration = explore(&setup.begin(), Bounds { worlds, threads: 1 }, |_, _| ());
        self.hunt.worlds += exploration.states;
        let failure = exploration.failure?;
        let (by, events) = (Finder::Exploration(name), Some(failure.way.len()));
        let (oracle, what) = (failure.broken.oracle, failure.broken.what);
        Some(Catch { by, oracle, what, events })
    }

    fn run(&mut self, mut seeds: Range<u64>) -> Option<Catch> {
        let size = swarm::size(3, SECONDS);
        seeds.find_map(|seed| {
            if self.is_over() {
                return None;
            }
            self.hunt.seeds += 1;
            let broken = swarm::run(seed, size).broken?;
            let (by, oracle, what) = (Finder::Seed(seed), broken.oracle, broken.what);
            Some(Catch { by, oracle, what, events: None })
        })
    }
}

impl fmt::Display for Finder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exploration(name) => write!(f, "explore {name}"),
            Self::Seed(seed) => write!(f, "seed {seed}"),
        }
    }
}

/// The explorations, and the bugs that break what each is about. Any other bug is looked for by seeds
/// first.
const LIKELY: [(&str, &[Bug]); 13] = [
    (
        "commit",
        &[
            Bug::LostIsSuccess,
            Bug::OwnPutIsAnothers,
            Bug::UnknownIsFailure,
            Bug::UnchangedIsOvertaken,
            Bug::OverlayIsNotLookedUp,
        ],
    ),
    (
        "group",
        &[
            Bug::NeighbourGetsError,
            Bug::GroupSeesStateBefore,
            Bug::KeyWithoutFingerprint,
            Bug::OverlaidRowsAnswer,
            Bug::DeletesAreNotOverlaid,
            Bug::ThrottledIsSuccess,
            Bug::UnstoredPartIsNamed,
            Bug::GroupForgetsItsKeys,
        ],
    ),
    (
        "flush",
        &[
            Bug::RefusedIsSuccess,
            Bug::CommitIdPerWriter,
            Bug::PublicationDropsRing,
            Bug::AnsweredBeforeThePut,
            Bug::FlushDropsAllEntries,
            Bug::RebaseKeepsItsHead,
            Bug::IndexedBytesJump,
            Bug::FlushRebases,
            Bug::FlushKillsNothing,
            Bug::FlushLooksAtRowsAlone,
            Bug::LastAbsorbedStays,
            Bug::ConditionFollows,
            Bug::FlushTakesFirstWords,
            Bug::DeletesAloneLeaveNothing,
        ],
    ),
    (
        "delete",
        &[
            Bug::DeleteGivesUpWhenOvertaken,
            Bug::IncarnationComesBack,
            Bug::RingOfAnotherLife,
            Bug::UnknownIsMissed,
            Bug::UnknownDeletionIsDone,
            Bug::DeletionGoesIntoNextLife,
            Bug::OutOfTheRingIsFailure,
            Bug::UnreadIsGone,
            Bug::TombstoneTellsAll,
            Bug::StepsBeginAgain,
        ],
    ),
    (
        "rebirth",
        &[
            Bug::FloorFallsAtRebirth,
            Bug::BatchesOfAnotherLife,
            Bug::FlushGoesIntoNextLife,
            Bug::TombstoneIsSwept,
        ],
    ),
    (
        "spill",
        &[
            Bug::UnstoredIsNamed,
            Bug::OffsetIsForgotten,
            Bug::SpilledBytesCountTwice,
            Bug::StagedWithoutNonce,
            Bug::SpillDropsOthers,
        ],
    ),
    (
        "merge",
        &[
            Bug::FirstWordCounts,
            Bug::MergeDropsKills,
            Bug::MergeInputsUnchecked,
            Bug::DeadRowsAnswer,
            Bug::NoncesBeginAgain,
        ],
    ),
    (
        "collect",
        &[
            Bug::OrphansAboveFloor,
            Bug::TrashWithoutFloor,
            Bug::FloorIsIgnored,
            Bug::SweepWithoutFloor,
            Bug::OrphansAtTheFloor,
        ],
    ),
    ("retry", &[Bug::NotDecidedAgain]),
    ("condition", &[Bug::ConditionIgnored, Bug::MatchesStayOld, Bug::MatchesAreNotTestedAgain]),
    ("drop", &[Bug::DroppedNumberComesBack, Bug::DropsLeaveMatches]),
    ("lock", &[Bug::LockBeforeKey, Bug::LockedForEver]),
    (
        "keys",
        &[Bug::DeadRowsAreFound, Bug::FlushForgetsKeys, Bug::KeysInLogOnly, Bug::MergeForgetsKeys],
    ),
];

/// The exploration that is about what a bug breaks, if there is one.
fn likely(bug: Bug) -> Option<&'static str> {
    LIKELY.iter().find(|(_, bugs)| bugs.contains(&bug)).map(|(name, _)| *name)
}
