//! The command line of the adversary: `sana-sim run`, `replay`, `explore`, `mutants`.

use std::ops::Range;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Args, Parser, Subcommand};
use sana_engine::base::planted::Bug;
use sana_sim::arena::setup;
use sana_sim::explore::{Exploration, explore};
use sana_sim::guard;
use sana_sim::marks::Mark;
use sana_sim::mutants::{self, Catch, Effort};
use sana_sim::store::Kind;
use sana_sim::swarm::{self, Band};
use sana_sim::world::Size;
use sana_sim::world::profile::Fault;

/// Runs Sana's own machines in worlds where everything goes wrong.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run seeds, each twice.
    Run {
        /// The seeds, as `first..end`.
        #[arg(long, value_parser = seeds, default_value = "0..100")]
        seeds: Range<u64>,
        #[command(flatten)]
        world: WorldArguments,
        /// Threads that run seeds: as many as there are processors, if it is not said.
        #[arg(long)]
        threads: Option<usize>,
    },
    /// Run one seed and tell what happens.
    Replay {
        /// The seed.
        seed: u64,
        #[command(flatten)]
        world: WorldArguments,
    },
    /// Try every order of events and every mishap of a small world.
    Explore {
        /// Which one, or `all`.
        #[arg(default_value = "commit")]
        name: String,
        /// With tighter bounds, for a quick look.
        #[arg(long)]
        small: bool,
        /// Give up after this many worlds.
        #[arg(long, default_value_t = 100_000_000)]
        states: usize,
    },
    /// Plant known bugs, one after the other, and look for each.
    Mutants {
        /// Only bugs whose names contain this.
        #[arg(default_value = "")]
        name: String,
        /// Worlds of each exploration.
        #[arg(long, default_value_t = 300_000)]
        states: usize,
        /// Seeds.
        #[arg(long, default_value_t = 300)]
        seeds: u64,
    },
}

/// What the world of a seed is like.
#[derive(Clone, Copy, Debug, Args)]
struct WorldArguments {
    /// Nodes of the world.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    nodes: u32,
    /// How long clients keep asking, in seconds of the world.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// What the store keeps of its promises: `sound`, or as a negative control, under which the
    /// oracles must go red, `weak-conditions`, `weak-races` or `weak-reads`.
    #[arg(long, value_parser = kind, default_value = "sound")]
    store: Kind,
}

impl WorldArguments {
    const fn size(self) -> Size {
        Size { store: self.store, ..swarm::size(self.nodes as usize, self.seconds) }
    }
}

/// Seconds between two lines that say how far a band has come.
const REPORT_EVERY: u64 = 10;

fn main() -> ExitCode {
    guard::silence_panics();
    let is_fine = match Arguments::parse().command {
        Command::Run { seeds, world, threads } => run(seeds, world, threads),
        Command::Replay { seed, world } => replay(seed, world),
        Command::Explore { name, small, states } => explore_all(&name, small, states),
        Command::Mutants { name, states, seeds } => hunt_all(&name, Effort { states, seeds }),
    };
    if is_fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let parse = |text: &str| text.parse().map_err(|_| format!("'{text}' is no seed"));
    let (first, end) = text.split_once("..").ok_or("seeds are written as first..end")?;
    Ok(parse(first)?..parse(end)?)
}

fn kind(text: &str) -> Result<Kind, String> {
    let found = Kind::ALL.into_iter().find(|(name, _)| *name == text);
    let names = Kind::ALL.map(|(name, _)| name).join(", ");
    found.map(|(_, kind)| kind).ok_or_else(|| format!("stores are {names}"))
}

fn run(seeds: Range<u64>, world: WorldArguments, threads: Option<usize>) -> bool {
    let available = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = threads.unwrap_or(available).max(1);
    let (began, count) = (now(), seeds.end.saturating_sub(seeds.start));
    let (mut shown, mut told) = (began, 0);
    let band = swarm::all(seeds, world.size(), threads, |band: &Band| {
        for (seed, broken) in &band.broken[told..] {
            println!("seed {seed}: {broken}");
            println!("{}", again(*seed, world));
        }
        told = band.broken.len();
        if shown.elapsed().as_secs() >= REPORT_EVERY {
            shown = now();
            let (seconds, left) = (began.elapsed().as_secs_f64(), count - band.seeds);
            let rate = band.seeds as f64 / seconds;
            eprintln!(
                "  {} of {count} seeds, {rate:.1} a second, {:.0} s to go",
                band.seeds,
                left as f64 / rate
            );
        }
    });
    for fault in Fault::ALL {
        println!("{:>12} × {fault:?}", band.activations.of(fault));
    }
    print_band(&band, began.elapsed().as_secs_f64(), threads);
    band.broken.is_empty()
}

/// The command that replays a seed.
fn again(seed: u64, world: WorldArguments) -> String {
    let WorldArguments { nodes, seconds, store } = world;
    let named = Kind::ALL.into_iter().find(|(_, kind)| *kind == store && store != Kind::Sound);
    let store = named.map_or(String::new(), |(name, _)| format!(" --store {name}"));
    format!(
        "cargo run --release -p sana-sim -- replay {seed} --nodes {nodes} --seconds {seconds}{store}"
    )
}

fn print_band(band: &Band, seconds: f64, threads: usize) {
    let Band { seeds, events, ops, node_ms, histories, lost, broken, .. } = band;
    let hours = *node_ms as f64 / 3_600_000.0;
    println!(
        "{seeds} seeds, {} broken, {events} events, {ops} requests of clients, {} of {histories} histories followed",
        broken.len(),
        histories - lost,
    );
    println!(
        "{hours:.1} node-hours in {seconds:.1} s: {:.1} a second, {:.1} a second and thread",
        hours / seconds,
        hours / seconds / threads as f64
    );
}

fn replay(seed: u64, world: WorldArguments) -> bool {
    let run = swarm::tell(seed, world.size());
    for line in &run.story {
        println!("{line}");
    }
    println!("{} events, fingerprint {:032x}", run.events, run.digest);
    run.broken.is_none()
}

fn explore_all(name: &str, small: bool, states: usize) -> bool {
    let names = setup::NAMES.into_iter().filter(|one| name == "all" || name == *one);
    let names: Vec<_> = names.collect();
    if names.is_empty() {
        println!("there is no exploration '{name}'; there are: {}", setup::NAMES.join(", "));
        return false;
    }
    names.into_iter().all(|name| explore_one(name, small, states))
}

fn explore_one(name: &str, small: bool, states: usize) -> bool {
    let setup = setup::named(name, small).expect("it is in the list of names");
    let sometimes = setup.sometimes.clone();
    let began = now();
    let report = |exploration: &Exploration| {
        if exploration.states > 200_000 {
            let Exploration { states, transitions, depth, .. } = exploration;
            let seconds = began.elapsed().as_secs_f64();
            eprintln!("  depth {depth}: {states} worlds, {transitions} events, {seconds:.0} s");
        }
    };
    let exploration = explore(&setup.begin(), states, report);
    let Exploration { states, transitions, depth, ends, marks, is_cut, broken } = exploration;
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{name}: {states} worlds, {transitions} events, {ends} ends, depth {depth}, {seconds:.1} s{}",
        if is_cut { ", NOT exhausted" } else { "" }
    );
    if let Some((broken, story)) = broken {
        println!("{broken}");
        for (n, line) in story.iter().enumerate() {
            println!("{:>4} {line}", n + 1);
        }
        return false;
    }
    println!("  came across: {:?}", Mark::of(marks));
    let missed: Vec<Mark> = sometimes.into_iter().filter(|mark| marks & mark.bit() == 0).collect();
    if !missed.is_empty() {
        println!("  MISSED: {missed:?}: the exploration proves nothing about them");
    }
    missed.is_empty() && !is_cut
}

fn hunt_all(name: &str, effort: Effort) -> bool {
    let mut missed = 0;
    let bugs = Bug::ALL.into_iter().filter(|bug| format!("{bug:?}").contains(name));
    println!("|   # | bug | found by | oracle | worlds or seeds | steps | seconds |");
    println!("|----:|-----|----------|--------|----------------:|------:|--------:|");
    for bug in bugs {
        let began = now();
        let found = mutants::hunt(bug, effort);
        let seconds = began.elapsed().as_secs_f64();
        let number = bug as u8;
        if let Some(Catch { by, oracle, tried, steps }) = found {
            let steps = steps.map_or(String::new(), |steps| steps.to_string());
            let oracle = oracle.number();
            println!(
                "| {number:>3} | {bug:?} | {by} | {oracle} | {tried} | {steps} | {seconds:.1} |"
            );
        } else {
            missed += 1;
            println!("| {number:>3} | {bug:?} | **nobody** | | | | {seconds:.1} |");
        }
    }
    missed == 0
}

#[expect(clippy::disallowed_methods, reason = "only to say how long something took")]
fn now() -> Instant {
    Instant::now()
}
