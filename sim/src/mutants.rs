//! Planted bugs: each is switched on and hunted, where it is likely to be found and then everywhere.
//!
//! A bug that nobody finds says that an oracle, a fault or an exploration is missing. A bug is on in
//! one thread only, so several are hunted at once.

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
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Effort {
    /// Worlds of each exploration, at most.
    pub worlds: usize,
    /// Seeds, at most.
    pub seeds: u64,
    /// Bugs that are hunted at once.
    pub threads: usize,
}

/// What a hunt came to.
#[derive(Clone, PartialEq, Debug)]
pub struct Hunt {
    /// The bug.
    pub bug: Bug,
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
    /// By which exploration, or by which seed.
    pub by: String,
    /// Which property it broke.
    pub oracle: Oracle,
    /// Events of the shortest story that shows it. A seed tells no shortest.
    pub events: Option<usize>,
}

/// How long clients of a hunting seed keep asking, in seconds.
const SECONDS: u64 = 30;
/// Worlds and seeds of a first look everywhere: it finds most bugs, and costs the others little.
const FIRST_LOOK: (usize, u64) = (20_000, 20);

/// Hunts bugs, several at once. Each is reported once those before it were.
///
/// # Panics
///
/// If the simulator itself does.
pub fn hunt_all(bugs: &[Bug], effort: Effort, report: impl FnMut(&Hunt) + Send) {
    let next = AtomicUsize::new(0);
    let reports = Mutex::new((0, vec![None; bugs.len()], report));
    let work = || {
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(bug) = bugs.get(place) else { return };
            let hunt = hunt(*bug, effort);
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
pub fn hunt(bug: Bug, effort: Effort) -> Hunt {
    let watch = Stopwatch::start();
    planted::choose(Some(bug));
    let mut hunt = Hunt { bug, catch: None, worlds: 0, seeds: 0, seconds: 0.0 };
    let (worlds, seeds) = FIRST_LOOK;
    hunt.catch = hunt
        .where_it_is_likely(effort)
        .or_else(|| hunt.run(0..seeds.min(effort.seeds)))
        .or_else(|| hunt.explore_all(worlds.min(effort.worlds)))
        .or_else(|| hunt.run(seeds.min(effort.seeds)..effort.seeds))
        .or_else(|| hunt.explore_all(effort.worlds));
    planted::choose(None);
    hunt.seconds = watch.seconds();
    hunt
}

impl Hunt {
    fn where_it_is_likely(&mut self, effort: Effort) -> Option<Catch> {
        likely(self.bug).and_then(|name| self.explore(name, effort.worlds))
    }

    fn explore_all(&mut self, worlds: usize) -> Option<Catch> {
        setup::NAMES.into_iter().find_map(|name| self.explore(name, worlds))
    }

    fn explore(&mut self, name: &str, worlds: usize) -> Option<Catch> {
        let setup = setup::named(name, Reach::Small)?;
        let exploration = explore(&setup.begin(), Bounds { worlds, threads: 1 }, |_, _| ());
        self.worlds += exploration.states;
        let failure = exploration.failure?;
        let (by, events) = (format!("explore {name}"), Some(failure.way.len()));
        Some(Catch { by, oracle: failure.broken.oracle, events })
    }

    fn run(&mut self, seeds: Range<u64>) -> Option<Catch> {
        let size = swarm::size(3, SECONDS);
        seeds.into_iter().find_map(|seed| {
            self.seeds += 1;
            let broken = swarm::run(seed, size).broken?;
            Some(Catch { by: format!("seed {seed}"), oracle: broken.oracle, events: None })
        })
    }
}

/// The exploration that is about what a bug breaks. Without one it is looked for by seeds first.
const fn likely(bug: Bug) -> Option<&'static str> {
    Some(match bug {
        Bug::LostIsSuccess
        | Bug::OwnPutIsAnothers
        | Bug::UnknownIsFailure
        | Bug::UnchangedIsOvertaken
        | Bug::OverlayIsNotLookedUp => "commit",
        Bug::NeighbourGetsError
        | Bug::GroupSeesStateBefore
        | Bug::KeyWithoutFingerprint
        | Bug::OverlaidRowsAnswer
        | Bug::DeletesAreNotOverlaid
        | Bug::ThrottledIsSuccess => "group",
        Bug::RefusedIsSuccess
        | Bug::CommitIdPerWriter
        | Bug::PublicationDropsRing
        | Bug::AnsweredBeforeThePut
        | Bug::FlushDropsAllEntries
        | Bug::RebaseKeepsItsHead
        | Bug::IndexedBytesJump
        | Bug::FlushRebases
        | Bug::FlushKillsNothing => "flush",
        Bug::DeleteGivesUpWhenOvertaken
        | Bug::IncarnationComesBack
        | Bug::RingOfAnotherLife
        | Bug::UnknownIsMissed
        | Bug::UnknownDeletionIsDone
        | Bug::DeletionGoesIntoNextLife => "delete",
        Bug::FloorFallsAtRebirth | Bug::BatchesOfAnotherLife | Bug::FlushGoesIntoNextLife => {
            "rebirth"
        }
        Bug::UnstoredIsNamed | Bug::OffsetIsForgotten | Bug::SpilledBytesCountTwice => "spill",
        Bug::FirstWordCounts
        | Bug::MergeDropsKills
        | Bug::MergeInputsUnchecked
        | Bug::DeadRowsAnswer => "merge",
        Bug::OrphansAboveFloor
        | Bug::TrashWithoutFloor
        | Bug::FloorIsIgnored
        | Bug::SweepWithoutFloor => "collect",
        Bug::NotDecidedAgain => "retry",
        Bug::ConditionIgnored | Bug::MatchesStayOld => "condition",
        Bug::DroppedNumberComesBack | Bug::LockIsIgnored | Bug::DropsLeaveMatches => "drop",
        Bug::DeadRowsAreFound
        | Bug::FlushForgetsKeys
        | Bug::KeysInLogOnly
        | Bug::MergeForgetsKeys => "keys",
        _ => return None,
    })
}
