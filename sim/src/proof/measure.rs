//! Runs what the page tells of: seeds, explorations, hunts, and how short failing runs become.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use sana_engine::base::planted::Bug;

use crate::arena::setup::{self, Reach};
use crate::explore::{self, Bounds, Exploration};
use crate::mutants::{self, Hunt, Hunters};
use crate::smallest::{self, Effort};
use crate::stopwatch::Stopwatch;
use crate::swarm::{self, Band};
use crate::world::size::Size;

/// How much is measured.
#[derive(Clone, PartialEq, Debug)]
pub struct Plan {
    /// Seeds, of the worlds that the gate runs most.
    pub seeds: Range<u64>,
    /// Nodes of such a world.
    pub nodes: usize,
    /// Seconds that its clients are busy.
    pub seconds: u64,
    /// How hard each planted bug is hunted.
    pub hunt: mutants::Effort,
    /// How hard the smallest run of each bug is looked for.
    pub shrink: Effort,
    /// Whether bugs are hunted too briefly to say that one cannot be found.
    pub is_quick: bool,
}

/// What was measured.
#[derive(Clone, Debug)]
pub struct Measured {
    /// What was to be measured.
    pub plan: Plan,
    /// Seeds.
    pub band: Band,
    /// How long they took.
    pub band_seconds: f64,
    /// Small explorations, and how long each took.
    pub explored: Vec<(&'static str, Exploration, f64)>,
    /// Planted bugs.
    pub hunts: Vec<Hunt>,
    /// How long that took.
    pub hunt_seconds: f64,
    /// Decisions of a failing run of a bug, before and after it was made short.
    pub shrunk: Vec<(Bug, usize, usize)>,
    /// How long that took.
    pub shrink_seconds: f64,
    /// Bugs that were found so far: number, title, and how each was found.
    pub found: Vec<[String; 3]>,
    /// The processor.
    pub processor: String,
}

/// The processor is named here.
const PROCESSORS: &str = "/proc/cpuinfo";
/// Where bugs have their pages, below the folder of the documentation.
const BUGS: &str = "bugs";

/// The plan of the page, or of a look at it.
pub fn plan(seeds: Option<Range<u64>>, is_quick: bool, threads: usize) -> Plan {
    let seeds = seeds.unwrap_or(if is_quick { 0..200 } else { 0..5_000 });
    let (worlds, most, seconds) =
        if is_quick { (20_000, 100, 2.0) } else { (400_000, 10_000, 300.0) };
    let shrink = if is_quick {
        Effort { seeds: 20, runs: 200, alike: 1 }
    } else {
        Effort { seeds: 60, runs: 1_500, alike: 2 }
    };
    let hunt = mutants::Effort { worlds, seeds: most, seconds, threads };
    Plan { seeds, nodes: 3, seconds: 30, hunt, shrink, is_quick }
}

/// Measures. `say` hears what is being done.
pub fn measure(plan: Plan, docs: &Path, say: impl Fn(&str)) -> Measured {
    let threads = plan.hunt.threads;
    say("seeds");
    let watch = Stopwatch::start();
    let size: Size = swarm::size(plan.nodes, plan.seconds);
    let band = swarm::all(plan.seeds.clone(), size, threads, |_| ());
    let band_seconds = watch.seconds();
    say("explorations");
    let explored =
        setup::NAMES.into_iter().filter_map(|name| explore_small(name, threads)).collect();
    say("planted bugs");
    let watch = Stopwatch::start();
    let bugs: Vec<(Bug, Hunters)> = Bug::ALL.into_iter().map(|bug| (bug, Hunters::All)).collect();
    let mut hunts = Vec::new();
    mutants::hunt_all(&bugs, plan.hunt, |hunt| hunts.push(hunt.clone()));
    let hunt_seconds = watch.seconds();
    say("how short failing runs become");
    let watch = Stopwatch::start();
    let shrunk = shrink_all(&Bug::ALL, plan.shrink, threads);
    let shrink_seconds = watch.seconds();
    let (found, processor) = (found(docs), processor());
    Measured {
        plan,
        band,
        band_seconds,
        explored,
        hunts,
        hunt_seconds,
        shrunk,
        shrink_seconds,
        found,
        processor,
    }
}

fn explore_small(name: &'static str, threads: usize) -> Option<(&'static str, Exploration, f64)> {
    let watch = Stopwatch::start();
    let first = setup::named(name, Reach::Small)?.begin();
    let bounds = Bounds { worlds: 100_000_000, threads };
    let exploration = explore::explore(&first, bounds, |_, _| ());
    Some((name, exploration, watch.seconds()))
}

/// The smallest runs found in which planted bugs show: decisions before and after. Bugs that small
/// worlds of seeds do not show have none.
///
/// # Panics
///
/// If the simulator itself does.
pub fn shrink_all(bugs: &[Bug], effort: Effort, threads: usize) -> Vec<(Bug, usize, usize)> {
    let next = AtomicUsize::new(0);
    let all = Mutex::new(Vec::new());
    let work = || {
        while let Some(bug) = bugs.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Some(shrunk) = smallest::of_bug(*bug, effort) {
                let one = (*bug, shrunk.before, shrunk.trace.ways.len());
                all.lock().expect("nobody panics while he adds").push(one);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(work);
        }
    });
    let mut all = all.into_inner().expect("nobody panicked");
    all.sort_unstable_by_key(|(bug, ..)| *bug as u8);
    all
}

/// The bugs that have a page: number, title, and the paragraph that says how it was found.
pub fn found(docs: &Path) -> Vec<[String; 3]> {
    let entries = fs::read_dir(docs.join(BUGS)).into_iter().flatten().flatten();
    let pages = entries.filter_map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.starts_with(|c: char| c.is_ascii_digit())
            .then(|| fs::read_to_string(entry.path()).ok())?
    });
    let mut found: Vec<[String; 3]> = pages.filter_map(|page| entry_of(&page)).collect();
    found.sort_unstable();
    found
}

/// What the page of a bug says: `# 001: title`, and a paragraph that begins with `**Found**`.
fn entry_of(page: &str) -> Option<[String; 3]> {
    let (number, title) = page.lines().next()?.strip_prefix("# ")?.split_once(": ")?;
    let how =
        page.split("\n\n").find_map(|paragraph| paragraph.trim().strip_prefix("**Found**"))?;
    let how = how.split_whitespace().collect::<Vec<_>>().join(" ");
    Some([number.into(), title.into(), how.replace('`', "")])
}

fn processor() -> String {
    let text = fs::read_to_string(PROCESSORS).unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or_else(|| "an unknown processor".into(), |(_, name)| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_a_bug_says_how_it_was_found() {
        let page =
            "# 007: a log was left\n\n**What.** It was.\n\n**Found** by seed `2`, in\na band.\n";
        let [number, title, how] = entry_of(page).expect("it is a page");
        assert_eq!((&*number, &*title, &*how), ("007", "a log was left", "by seed 2, in a band."));
    }
}
