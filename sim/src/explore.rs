//! Every world that events can make of a first one, nearest first.
//!
//! From each world the explorer takes every sequence of decisions that one step of it asks for
//! ([`Choices::enumerating`]). Worlds are recognised by their fingerprints and entered once, so the
//! first way that leads to a broken one is a shortest. Of worlds that were left, only the fingerprint
//! is kept and which step of which world led there: enough to play the way again and tell it.
//!
//! Several threads share the work. Worlds are numbered in the order in which one thread would come
//! across them, so counts and stories are the same with any number of threads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use crate::choices::Choices;
use crate::digest::Digest;
use crate::oracles::Broken;
use crate::story::{Act, Scene, Story};
use crate::table::Table;

/// A world that can be explored.
pub trait World: Clone {
    /// What need not be worked out twice, in one thread.
    type Memo: Default + Send;

    /// What tells it from all others.
    fn digest(&self) -> Digest;

    /// Lets one event happen, told in words to the story. False if there is none left.
    ///
    /// # Errors
    ///
    /// [`Broken`] if a property does not hold afterwards.
    fn advance(
        &mut self,
        choices: &mut Choices,
        story: &mut Story,
        memo: &mut Self::Memo,
    ) -> Result<bool, Broken>;

    /// What this world has come across that an exploration should: one bit each.
    fn marks(&self) -> u64;
}

/// What an exploration came across.
#[derive(Clone, Debug, Default)]
pub struct Exploration {
    /// Different worlds.
    pub states: usize,
    /// Events.
    pub transitions: u64,
    /// Events on the longest shortest way.
    pub depth: usize,
    /// Worlds in which nothing can happen any more.
    pub ends: u64,
    /// What was come across: one bit each.
    pub marks: u64,
    /// Whether it stopped because there were too many worlds.
    pub is_cut: bool,
    /// The first property found broken, and how that came.
    pub failure: Option<Failure>,
}

/// A property that was broken, and a shortest way to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// Which property.
    pub broken: Broken,
    /// Which step of each world on the way, for [`replay`].
    pub way: Vec<u32>,
}

/// How far an exploration goes, and on how many processors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// It gives up after this many worlds.
    pub worlds: usize,
    /// Threads. What is found, and how much there was to find, is the same with any number.
    pub threads: usize,
}

/// How the world of a number was first reached: the number of another, and which of its steps.
#[derive(Clone, Copy, Debug)]
struct Origin {
    from: u32,
    step: u32,
}

/// Worlds of one distance from the first, with their numbers; some of them.
type Chunk<W> = Vec<(u32, W)>;

/// Worlds of a chunk: few enough that threads end a round together, enough that they seldom meet.
const CHUNK: usize = 64;

/// Walks through every world that `first` can become. `report` hears of the progress after each round
/// of events: what was come across, and how many worlds the next round begins from.
pub fn explore<W: World + Send>(
    first: &W,
    bounds: Bounds,
    mut report: impl FnMut(&Exploration, usize),
) -> Exploration {
    let mut search = Search::new(first.digest());
    let mut front = vec![vec![(0, first.clone())]];
    loop {
        search.round(front, bounds);
        front = std::mem::take(&mut search.next_front);
        search.found.states = search.origins.len();
        if let Some((broken, step)) = search.broken.take() {
            search.found.failure = Some(Failure { broken, way: way_to(&search.origins, step) });
        }
        if front.is_empty() || search.is_over() {
            return search.found;
        }
        search.found.depth += 1;
        report(&search.found, front.iter().map(Vec::len).sum());
    }
}

/// What is known between rounds of events.
struct Search<W: World> {
    seen: Table<()>,
    /// One of each thread that has none of them now.
    memos: Vec<W::Memo>,
    origins: Vec<Origin>,
    next_front: Vec<Chunk<W>>,
    /// A property that was broken, and by which step of which world.
    broken: Option<(Broken, Origin)>,
    found: Exploration,
}

/// What became of the worlds of a chunk.
struct Expanded<W> {
    next: Vec<(Digest, Origin, W)>,
    transitions: u64,
    ends: u64,
    marks: u64,
    broken: Option<(Broken, Origin)>,
}

impl<W: World + Send> Search<W> {
    fn new(first: Digest) -> Self {
        let mut seen = Table::new();
        seen.entry(first);
        Self {
            seen,
            memos: Vec::new(),
            origins: vec![Origin { from: 0, step: 0 }],
            next_front: Vec::new(),
            broken: None,
            found: Exploration::default(),
        }
    }

    fn is_over(&self) -> bool {
        self.found.is_cut || self.found.failure.is_some() || self.broken.is_some()
    }

    /// Takes every step of every world of the front. Chunks are expanded by many threads, and taken
    /// in in their order: so every world gets the number it would get from one thread.
    fn round(&mut self, front: Vec<Chunk<W>>, bounds: Bounds) {
        let chunks: Vec<Mutex<Chunk<W>>> = front.into_iter().map(Mutex::new).collect();
        let next = AtomicUsize::new(0);
        let waiting = Mutex::new((self, 0, BTreeMap::new()));
        let work = || {
            let mut memo = locked(&waiting).0.memos.pop().unwrap_or_default();
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                let Some(chunk) = chunks.get(n) else { break };
                let expanded = expand(std::mem::take(&mut *locked(chunk)), &mut memo);
                let mut waiting = locked(&waiting);
                let (search, taken, results) = &mut *waiting;
                results.insert(n, expanded);
                while !search.is_over()
                    && let Some(expanded) = results.remove(taken)
                {
                    search.take_in(expanded, bounds);
                    *taken += 1;
                }
                if search.is_over() {
                    break;
                }
            }
            locked(&waiting).0.memos.push(memo);
        };
        std::thread::scope(|scope| {
            for _ in 1..bounds.threads {
                scope.spawn(work);
            }
            work();
        });
    }

    fn take_in(&mut self, expanded: Expanded<W>, bounds: Bounds) {
        self.found.transitions += expanded.transitions;
        self.found.ends += expanded.ends;
        self.found.marks |= expanded.marks;
        self.broken = expanded.broken;
        for (digest, origin, world) in expanded.next {
            if !self.seen.entry(digest).1 {
                continue;
            }
            if self.next_front.last().is_none_or(|chunk| chunk.len() == CHUNK) {
                self.next_front.push(Vec::with_capacity(CHUNK));
            }
            let chunk = self.next_front.last_mut().expect("there is one now");
            chunk.push((self.origins.len() as u32, world));
            self.origins.push(origin);
        }
        self.found.is_cut = self.origins.len() >= bounds.worlds;
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("a thread that panics ends the exploration")
}

/// Takes every step of these worlds, up to one that breaks a property.
fn expand<W: World>(chunk: Chunk<W>, memo: &mut W::Memo) -> Expanded<W> {
    let mut all = Expanded { next: Vec::new(), transitions: 0, ends: 0, marks: 0, broken: None };
    for (from, world) in chunk {
        let mut choices = Choices::enumerating();
        let mut step = 0;
        loop {
            let mut next = world.clone();
            let result = next.advance(&mut choices, &mut Story::silent(), memo);
            let origin = Origin { from, step };
            all.transitions += 1;
            all.marks |= next.marks();
            match result {
                Err(broken) => {
                    all.broken = Some((broken, origin));
                    return all;
                }
                Ok(false) => all.ends += 1,
                Ok(true) => all.next.push((next.digest(), origin, next)),
            }
            step += 1;
            if !choices.next_sequence() {
                break;
            }
        }
    }
    all
}

/// The way to a step of a world: which step of each world on it, the first world's first.
fn way_to(origins: &[Origin], Origin { from, step }: Origin) -> Vec<u32> {
    let mut way = vec![step];
    let mut at = from;
    while at != 0 {
        let origin = origins[at as usize];
        way.push(origin.step);
        at = origin.from;
    }
    way.reverse();
    way
}

/// Plays a way again, to tell it. What broke on it, if anything.
pub fn replay<W: World>(first: &W, way: &[u32]) -> (Vec<Scene>, Option<Broken>) {
    let mut world = first.clone();
    let mut story = Story::told();
    let mut memo = W::Memo::default();
    for (n, step) in way.iter().enumerate() {
        story.at(n as u64 + 1);
        // The steps before are taken only to learn which decisions this one is.
        let mut choices = Choices::enumerating();
        for _ in 0..*step {
            let _ = world.clone().advance(&mut choices, &mut Story::silent(), &mut memo);
            choices.next_sequence();
        }
        if let Err(broken) = world.advance(&mut choices, &mut story, &mut memo) {
            story.tell(|| Act::Breaks(broken.to_string()));
            return (story.into_scenes(), Some(broken));
        }
    }
    (story.into_scenes(), None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choices::Site;
    use crate::digest;
    use crate::oracles::Oracle;

    /// Two counters that one step at a time takes up to a limit; forbidden if they meet at one point.
    #[derive(Clone, Hash)]
    struct Counters {
        counts: [u8; 2],
        forbidden: [u8; 2],
    }

    impl World for Counters {
        type Memo = ();

        fn digest(&self) -> Digest {
            digest::of(self)
        }

        fn advance(
            &mut self,
            choices: &mut Choices,
            story: &mut Story,
            (): &mut (),
        ) -> Result<bool, Broken> {
            let can: Vec<usize> = (0..2).filter(|i| self.counts[*i] < 9).collect();
            if can.is_empty() {
                return Ok(false);
            }
            let which = can[choices.choose(Site::Event, can.len())];
            self.counts[which] += 1;
            story.tell(|| format!("{which} counts"));
            Oracle::Sound.demand(self.counts != self.forbidden, || "they met".into())?;
            Ok(true)
        }

        fn marks(&self) -> u64 {
            u64::from(self.counts == [9, 9])
        }
    }

    const fn bounds(threads: usize) -> Bounds {
        Bounds { worlds: 1_000_000, threads }
    }

    #[test]
    fn every_world_is_entered_once() {
        let first = Counters { counts: [0, 0], forbidden: [99, 99] };
        let exploration = explore(&first, bounds(1), |_, _| ());
        assert_eq!((exploration.states, exploration.ends), (100, 1));
        assert_eq!((exploration.marks, exploration.depth), (1, 18));
    }

    #[test]
    fn the_story_of_a_broken_property_is_a_shortest_one() {
        let first = Counters { counts: [0, 0], forbidden: [2, 1] };
        let exploration = explore(&first, bounds(1), |_, _| ());
        let failure = exploration.failure.unwrap();
        let (story, broken) = replay(&first, &failure.way);
        assert_eq!((story.len(), broken), (4, Some(failure.broken)));
    }

    #[test]
    fn more_threads_find_the_same() {
        for forbidden in [[99, 99], [7, 8]] {
            let first = Counters { counts: [0, 0], forbidden };
            let one = explore(&first, bounds(1), |_, _| ());
            for threads in [2, 5] {
                let many = explore(&first, bounds(threads), |_, _| ());
                assert_eq!(format!("{many:?}"), format!("{one:?}"));
            }
        }
    }
}
