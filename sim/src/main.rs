//! The command line of the adversary: `sana-sim run`, `replay`, `explore`, `mutants`.

use std::ops::Range;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, Subcommand};
use sana_engine::base::planted::Bug;
use sana_sim::arena::setup;
use sana_sim::explore::{Exploration, explore};
use sana_sim::guard;
use sana_sim::marks::Mark;
use sana_sim::mutants::{self, Catch, Effort};
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

fn main() -> ExitCode {
    guard::silence_panics();
    let is_fine = match Arguments::parse().command {
        Command::Run { seeds, nodes, seconds } => run(seeds, nodes, seconds),
        Command::Replay { seed, nodes, seconds } => replay(seed, nodes, seconds),
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

fn run(seeds: Range<u64>, nodes: usize, seconds: u64) -> bool {
    let size = swarm::size(nodes, seconds);
    let began = now();
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
            print_band(&band, began.elapsed().as_secs_f64());
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
        match found {
            Some(Catch { by, oracle, tried, steps }) => {
                let steps = steps.map_or(String::new(), |steps| steps.to_string());
                let oracle = oracle.number();
                println!(
                    "| {number:>3} | {bug:?} | {by} | {oracle} | {tried} | {steps} | {seconds:.1} |"
                );
            }
            None => {
                missed += 1;
                println!("| {number:>3} | {bug:?} | **nobody** | | | | {seconds:.1} |");
            }
        }
    }
    missed == 0
}

#[expect(clippy::disallowed_methods, reason = "only to say how long something took")]
fn now() -> Instant {
    Instant::now()
}
