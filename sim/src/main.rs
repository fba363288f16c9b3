//! The command line of the adversary: `sana-sim run`, `replay`, `explore`, `mutants`.

use std::ops::Range;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use sana_sim::guard;
use sana_sim::mutants::Effort;
use sana_sim::report::{self, Look};
use sana_sim::stopwatch::Stopwatch;
use sana_sim::swarm::{self, Band};
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
    /// Run seeds, each twice, until one fails.
    Run {
        /// The seeds, as `first..end`.
        #[arg(long, value_parser = seeds, default_value = "0..100")]
        seeds: Range<u64>,
        /// Nodes of each world.
        #[arg(long, default_value_t = 3)]
        nodes: usize,
        /// How long clients keep asking, in seconds of the world.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Run one seed and tell what happens.
    Replay {
        /// The seed.
        seed: u64,
        /// Nodes of the world.
        #[arg(long, default_value_t = 3)]
        nodes: usize,
        /// How long clients keep asking, in seconds of the world.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
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
        /// Only bugs whose names contain this.
        #[arg(default_value = "")]
        name: String,
        /// Worlds of each exploration, at most.
        #[arg(long, default_value_t = 400_000)]
        worlds: usize,
        /// Seeds, at most.
        #[arg(long, default_value_t = 300)]
        seeds: u64,
    },
}

fn main() -> ExitCode {
    guard::silence_panics();
    let is_fine = match Arguments::parse().command {
        Command::Run { seeds, nodes, seconds } => run(seeds, nodes, seconds),
        Command::Replay { seed, nodes, seconds } => replay(seed, nodes, seconds),
        Command::Explore { name, small, worlds, way, planted } => {
            let look = Look { is_small: small, worlds, threads: threads(), planted };
            if way.is_empty() {
                report::explore(&name, &look)
            } else {
                report::tell(&name, &look, &way)
            }
        }
        Command::Mutants { name, worlds, seeds } => {
            report::hunt(&name, Effort { worlds, seeds, threads: threads() })
        }
    };
    if is_fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let parse = |text: &str| text.parse().map_err(|_| format!("'{text}' is no seed"));
    let (first, end) = text.split_once("..").ok_or("seeds are written as first..end")?;
    Ok(parse(first)?..parse(end)?)
}

fn run(seeds: Range<u64>, nodes: usize, seconds: u64) -> bool {
    let size = swarm::size(nodes, seconds);
    let watch = Stopwatch::start();
    let mut band = Band::default();
    for seed in seeds.clone() {
        if let Err(broken) = band.add(seed, size) {
            println!("seed {seed}: {broken}");
            println!(
                "cargo run --release -p sana-sim -- replay {seed} --nodes {nodes} --seconds {seconds}"
            );
            return false;
        }
        if band.seeds.is_multiple_of(50) || seed + 1 == seeds.end {
            print_band(&band, watch.seconds());
        }
    }
    for fault in Fault::ALL {
        println!("{:>12} × {fault:?}", band.activations.of(fault));
    }
    true
}

fn print_band(band: &Band, seconds: f64) {
    let hours = band.node_ms as f64 / 3_600_000.0;
    println!(
        "{} seeds, {} events, {} requests, {hours:.1} node-hours, {:.1} node-hours/s, {seconds:.1} s, {} histories not followed",
        band.seeds,
        band.events,
        band.ops,
        hours / seconds,
        band.lost,
    );
}

fn replay(seed: u64, nodes: usize, seconds: u64) -> bool {
    let run = swarm::tell(seed, swarm::size(nodes, seconds));
    for line in &run.story {
        println!("{line}");
    }
    println!("{} events, fingerprint {:032x}", run.events, run.digest);
    run.broken.is_none()
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
