//! The command line of the adversary: `sana-sim run`, `replay`, `explore`, `mutants`.

use std::ops::Range;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use sana_sim::guard;
use sana_sim::mutants::Effort;
use sana_sim::mutants::table::{self, Order};
use sana_sim::report::{self, Look};
use sana_sim::stopwatch::Stopwatch;
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
        /// Fail if something that can go wrong never did.
        #[arg(long)]
        everything: bool,
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
        worlds: usize,
        /// Tell this one way, as a failure printed it.
        #[arg(long, value_delimiter = ',')]
        way: Vec<u32>,
        /// With this known bug planted.
        #[arg(long)]
        planted: Option<String>,
    },
    /// Plant known bugs, one after the other, and look for each.
    Mutants {
        /// Only bugs whose names contain this, or the one of this number.
        #[arg(default_value = "")]
        name: String,
        /// Let explorations and seeds each look for every bug.
        #[arg(long)]
        both: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// Worlds of each exploration, at most.
        #[arg(long, default_value_t = 400_000)]
        worlds: usize,
        /// Seeds, at most.
        #[arg(long, default_value_t = 10_000)]
        seeds: u64,
        /// Begin nothing more for a bug after this many seconds.
        #[arg(long, default_value_t = 300)]
        patience: u32,
        /// Bugs hunted at once: as many as there are processors, if it is not said.
        #[arg(long)]
        threads: Option<usize>,
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
const REPORT_EVERY: f64 = 10.0;

fn main() -> ExitCode {
    guard::silence_panics();
    let is_fine = match Arguments::parse().command {
        Command::Run { seeds, world, threads, everything } => {
            run(seeds, world, threads, everything)
        }
        Command::Replay { seed, world } => replay(seed, world),
        Command::Explore { name, small, worlds, way, planted } => {
            let look = Look { is_small: small, worlds, threads: threads(), planted };
            if way.is_empty() {
                report::explore(&name, &look)
            } else {
                report::tell(&name, &look, &way)
            }
        }
        Command::Mutants { name, both, json, worlds, seeds, patience, threads } => {
            let threads = threads.unwrap_or_else(self::threads).max(1);
            let effort = Effort { worlds, seeds, seconds: patience.into(), threads };
            table::hunt(&Order { name, both, json }, effort)
        }
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

fn run(seeds: Range<u64>, world: WorldArguments, threads: Option<usize>, everything: bool) -> bool {
    let threads = threads.unwrap_or_else(self::threads).max(1);
    let (watch, count) = (Stopwatch::start(), seeds.end.saturating_sub(seeds.start));
    let (mut shown, mut told) = (0.0, 0);
    let band = swarm::all(seeds, world.size(), threads, |band: &Band| {
        for (seed, broken) in &band.broken[told..] {
            println!("seed {seed}: {broken}");
            println!("{}", again(*seed, world));
        }
        told = band.broken.len();
        let seconds = watch.seconds();
        if seconds >= shown + REPORT_EVERY {
            shown = seconds;
            let left = count - band.seeds;
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
    print_band(&band, watch.seconds(), threads);
    let never = Fault::ALL.into_iter().filter(|fault| band.activations.of(*fault) == 0);
    let never: Vec<_> = never.filter(|_| everything).collect();
    if !never.is_empty() {
        println!("never happened, so nothing is proven about it: {never:?}");
    }
    band.broken.is_empty() && never.is_empty()
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
    let Band { seeds, events, ops, node_ms, histories, broken, .. } = band;
    let hours = *node_ms as f64 / 3_600_000.0;
    println!(
        "{seeds} seeds, {} broken, {events} events, {ops} requests of clients, {histories} histories followed",
        broken.len(),
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

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
