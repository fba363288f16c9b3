//! How fast worlds go: figures for people to read, with the machine they were measured on.
//!
//! | figure   | what is measured                                                                |
//! |----------|---------------------------------------------------------------------------------|
//! | `busy`   | nodes that all have clients all the time, asked at several paces; faults as drawn |
//! | `band`   | seeds as the gate runs them: three nodes, from the start until all is quiet, twice |
//! | `idle`   | a hundred nodes with the settings of production, asked a few times a day          |
//! | `fork`   | a copy of a world of a thousand nodes                                             |
//! | `crowd`  | ten thousand nodes, a hundred thousand namespaces                                 |

use crate::choices::Choices;
use crate::machine;
use crate::story::Story;
use crate::swarm::{self, Band};
use crate::world::size::{Pace, Size};
use crate::world::{Run, World};

/// Measures how long a processor was busy: other programs on the machine do not count.
struct Watch(f64);

impl Watch {
    fn start() -> Self {
        Self(machine::busy_seconds().unwrap_or_default())
    }

    fn seconds(&self) -> f64 {
        (machine::busy_seconds().unwrap_or_default() - self.0).max(0.01)
    }
}

/// A figure: its name, and what measures it.
type Figure = (&'static str, fn() -> String);

/// The figures.
const FIGURES: [Figure; 5] =
    [("busy", busy), ("band", band), ("idle", idle), ("fork", fork), ("crowd", crowd)];

/// Measures what has this name, or everything, and prints it. False if there is no such figure.
pub fn print(name: &str) -> bool {
    let chosen = FIGURES.iter().filter(|(figure, _)| name == "all" || name == *figure);
    let chosen: Vec<_> = chosen.collect();
    println!("in seconds of one core of {}:", machine::processor());
    for (figure, measure) in &chosen {
        println!("{figure:>6}: {}", measure());
    }
    !chosen.is_empty()
}

/// A world of one seed.
fn world(seed: u64, size: Size) -> World {
    World::new(Choices::seeded(seed), size, Story::silent())
}

/// How often each node of a busy world is asked, in milliseconds, and for how many seconds it is looked
/// at: longer than a client thinks, and so long that it takes a few seconds to simulate.
const PACES: [(u32, u64); 5] =
    [(100, 20), (1_000, 60), (10_000, 600), (20_000, 600), (60_000, 2_700)];

/// Clients of each namespace of a busy world. There are as many namespaces as nodes, so a node has as many.
const CLIENTS: u32 = 8;

/// Seeds of busy worlds of each pace: each draws other faults and another mix.
const BUSY_SEEDS: u64 = 36;

/// Every node has clients all the time. Only that time is counted, not the one in which all gets quiet.
fn busy() -> String {
    let mut rows = vec![format!(
        "{:<11}{:<14}{:>10}{:>18}{:>14}{:>13}{:>12}",
        "settings",
        "asked each",
        "an hour",
        "node-hours a s",
        "requests a s",
        "events a s",
        "took s"
    )];
    let settings = [("drawn", Pace::Steady as fn(u32) -> Pace), ("production", Pace::Patient)];
    for (name, pace) in settings {
        for (every, seconds) in PACES {
            let row = busy_row(pace(2 * CLIENTS * every), seconds);
            let row = row.unwrap_or_else(|broken| broken);
            let every = format!("{} s", f64::from(every) / 1e3);
            rows.push(format!("{name:<11}{every:<14}{row}"));
        }
    }
    rows.join("\n        ")
}

/// What worlds cost in which clients ask so often, for so many seconds of theirs.
fn busy_row(pace: Pace, seconds: u64) -> Result<String, String> {
    let clients_per_space = CLIENTS as usize;
    let size = Size { spaces: 24, clients_per_space, pace, ..swarm::size(24, seconds) };
    let watch = Watch::start();
    let (mut events, mut ops) = (0, 0);
    for seed in 0..BUSY_SEEDS {
        let mut world = world(seed, size);
        world.pass(size.busy).map_err(|broken| format!("seed {seed}: {broken}"))?;
        let (happened, asked) = world.happened();
        events += happened;
        ops += asked;
    }
    let cost = watch.seconds();
    let node_hours = (size.nodes as u64 * seconds * BUSY_SEEDS) as f64 / 3_600.0;
    Ok(format!(
        "{:>10.0}{:>18.2}{:>14.0}{:>13.0}{cost:>12.1}",
        ops as f64 / node_hours,
        node_hours / cost,
        ops as f64 / cost,
        events as f64 / cost,
    ))
}

fn band() -> String {
    let watch = Watch::start();
    let band = swarm::all(0..400, swarm::size(3, 20), 1, |_: &Band| ());
    let seconds = watch.seconds();
    if let Some((seed, broken)) = band.broken.first() {
        return format!("seed {seed}: {broken}");
    }
    format!(
        "{:.1} seeds a second, each run twice; {:.1} node-hours a second",
        band.seeds as f64 / seconds,
        band.node_ms as f64 / 3_600_000.0 / seconds
    )
}

/// How much of a year is measured.
const PART_OF_YEAR: u64 = 12;

fn idle() -> String {
    let year = 365 * 86_400;
    let size = Size { pace: Pace::Idle, ..swarm::size(100, year / PART_OF_YEAR) };
    let watch = Watch::start();
    let mut world = world(1, size);
    if let Err(broken) = world.pass(size.busy) {
        return broken.to_string();
    }
    let (events, ops) = world.happened();
    let seconds = watch.seconds() * PART_OF_YEAR as f64;
    format!(
        "{seconds:.0} s for a year of {} nodes ({} requests of clients and {} events in a year)",
        size.nodes,
        ops * PART_OF_YEAR,
        events * PART_OF_YEAR
    )
}

/// So many copies are made.
const COPIES: u64 = 200;

fn fork() -> String {
    let size = swarm::size(1_000, 20);
    let mut world = world(2, size);
    if let Err(broken) = world.pass(10_000) {
        return broken.to_string();
    }
    let watch = Watch::start();
    for seed in 0..COPIES {
        std::hint::black_box(world.fork(seed));
    }
    format!("{:.0} µs for a copy of a thousand nodes", watch.seconds() * 1e6 / COPIES as f64)
}

fn crowd() -> String {
    let size = Size { spaces: 100_000, ..swarm::size(10_000, 5) };
    let watch = Watch::start();
    let Run { broken, events, ops, time, .. } = world(1, size).run(size);
    if let Some(broken) = broken {
        return broken.to_string();
    }
    let memory = machine::peak_memory().map_or_else(|| "?".into(), |mib| mib.to_string());
    format!(
        "{:.0} s for {} nodes with {} namespaces, {} s of theirs: {events} events, {ops} requests, {memory} MiB",
        watch.seconds(),
        size.nodes,
        size.spaces,
        time / 1_000
    )
}
