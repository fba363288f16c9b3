//! The command line of the adversary: `sana-sim run`, `replay`, `explore`, `mutants`.

use std::ffi::OsString;
use std::ops::Range;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use sana_sim::arena::setup::Reach;
use sana_sim::bench;
use sana_sim::beside;
use sana_sim::forks::Harvest;
use sana_sim::guard;
use sana_sim::machine;
use sana_sim::mutants::Effort;
use sana_sim::mutants::table::{self, Order};
use sana_sim::report::{self, Look, Others};
use sana_sim::shrink::{self, Shrunk};
use sana_sim::stopwatch::Stopwatch;
use sana_sim::store::Kind;
use sana_sim::story::{Story, Time};
use sana_sim::swarm::{self, Band};
use sana_sim::trace::Trace;
use sana_sim::world::faults;
use sana_sim::world::profile::Fault;
use sana_sim::world::{Pace, Size};

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
        /// Fail if something that can go wrong never did, or a situation was never come across.
        #[arg(long)]
        everything: bool,
        /// Print what became of which writes, and what operations cost.
        #[arg(long)]
        ledger: bool,
    },
    /// Run seeds, and try many ways to go on from where something rare happened in them.
    Fork {
        /// The seeds, as `first..end`.
        #[arg(long, value_parser = seeds, default_value = "0..100")]
        seeds: Range<u64>,
        /// How many ways to go on are tried at each moment.
        #[arg(long, default_value_t = 4)]
        each: u64,
        #[command(flatten)]
        world: WorldArguments,
        /// With this known bug planted.
        #[arg(long)]
        planted: Option<String>,
    },
    /// Measure how fast worlds go.
    Bench {
        /// Which figure, or `all`.
        #[arg(default_value = "all")]
        name: String,
    },
    /// List all that can go wrong with a store and its users, and what becomes of each here.
    Faults,
    /// Run a seed or a trace and tell what happens.
    Replay {
        #[command(flatten)]
        what: RunArguments,
    },
    /// Make a failing run as short as it gets, and tell what happens in it.
    Shrink {
        #[command(flatten)]
        what: RunArguments,
        /// Candidates to run, at most.
        #[arg(long, default_value_t = 4_000)]
        effort: u64,
    },
    /// Try every order of events and every mishap of a small world.
    Explore {
        /// Which one, or `all`.
        #[arg(default_value = "commit")]
        name: String,
        /// With tighter bounds, for a quick look.
        #[arg(long, conflicts_with = "nightly")]
        small: bool,
        /// With wider bounds: some take hours and many gigabytes.
        #[arg(long)]
        nightly: bool,
        #[command(flatten)]
        others: OtherMishaps,
        /// Give up after this many worlds.
        #[arg(long, default_value_t = 100_000_000)]
        worlds: usize,
        /// Tell this one way, as a failure printed it.
        #[arg(long, value_delimiter = ',')]
        way: Vec<u32>,
        /// With this known bug planted.
        #[arg(long)]
        planted: Option<String>,
        /// Try also what need not be tried: to see that leaving it out loses nothing.
        #[arg(long)]
        unreduced: bool,
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
    /// Look whether a real store does what the model does: `qualify --store PLACE`. With `--help`
    /// it tells all of its options.
    #[command(disable_help_flag = true)]
    Qualify {
        /// What `sana-qualify` is told.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

/// One run.
#[derive(Clone, Debug, Args)]
struct RunArguments {
    /// A seed, or a trace as it was printed. A trace knows what its world is like.
    run: String,
    #[command(flatten)]
    world: WorldArguments,
    /// With this known bug planted.
    #[arg(long)]
    planted: Option<String>,
}

impl RunArguments {
    /// The trace of this run, with its bug planted in this thread.
    fn trace(&self) -> Result<Trace, String> {
        report::plant(self.planted.as_deref())?;
        match self.run.parse() {
            Ok(seed) => Ok(Trace::of(seed, self.world.size()).0),
            Err(_) => self.run.parse(),
        }
    }
}

/// What goes wrong at most in an exploration, if it is not what is on record.
#[derive(Clone, Copy, Debug, Args)]
struct OtherMishaps {
    /// Writes lost and rounds run out of time.
    #[arg(long)]
    losses: Option<u8>,
    /// Writes turned away.
    #[arg(long)]
    throttles: Option<u8>,
    /// Actors crashed.
    #[arg(long)]
    crashes: Option<u8>,
}

/// What the world of a seed is like.
#[derive(Clone, Copy, Debug, Args)]
struct WorldArguments {
    /// Nodes of the world.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    nodes: u32,
    /// Namespaces of the world: one for every second node, if it is not said.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    namespaces: Option<u32>,
    /// How long clients keep asking, in seconds of the world.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Clients ask a few times a day, and nodes have the settings that they have in production.
    #[arg(long)]
    idle: bool,
    /// Which store: `s3`, `gcs`, `azure`, `r2`, `minio`, `folder`, or `any` of these, by the seed; or as
    /// a negative control, under which the oracles must go red, a weak one: `weak-conditions`,
    /// `weak-races`, `weak-reads`, `weak-blips`, `weak-lists`, `weak-lifecycle`, `weak-clones`.
    #[arg(long, value_parser = kind, default_value = "any")]
    store: Kind,
}

impl WorldArguments {
    fn size(self) -> Size {
        let size = swarm::size(self.nodes as usize, self.seconds);
        let spaces = self.namespaces.map_or(size.spaces, |spaces| spaces as usize);
        let pace = if self.idle { Pace::Idle } else { size.pace };
        Size { store: self.store, spaces, pace, ..size }
    }
}

/// Seconds between two lines that say how far a band has come.
const REPORT_EVERY: f64 = 10.0;

fn main() -> ExitCode {
    guard::silence_panics();
    let is_fine = match Arguments::parse().command {
        Command::Run { seeds, world, threads, everything, ledger } => {
            run(seeds, world, threads, Demand { everything, ledger })
        }
        Command::Fork { seeds, each, world, planted } => said(report::plant(planted.as_deref()))
            .is_some_and(|()| Harvest::of(seeds, world.size(), each).print()),
        Command::Bench { name } => bench::print(&name),
        Command::Faults => {
            faults::TABLE.iter().for_each(|entry| println!("{entry}"));
            true
        }
        Command::Replay { what } => said(what.trace()).is_some_and(|trace| replay(&trace)),
        Command::Shrink { what, effort } => {
            said(what.trace()).is_some_and(|trace| shrink(trace, &what, effort))
        }
        Command::Explore { name, small, nightly, others, worlds, way, planted, unreduced } => {
            let reach = match (small, nightly) {
                (true, _) => Reach::Small,
                (_, true) => Reach::Nightly,
                _ => Reach::Full,
            };
            let OtherMishaps { losses, throttles, crashes } = others;
            let others = Others { losses, throttles, crashes };
            let (is_unreduced, threads) = (unreduced, threads());
            let look = Look { reach, others, worlds, threads, planted, is_unreduced };
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
        Command::Qualify { arguments } => return qualify(&arguments),
    };
    if is_fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn qualify(arguments: &[OsString]) -> ExitCode {
    match beside::run("sana-qualify", arguments) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
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

/// What is printed of a band, and demanded.
#[derive(Clone, Copy)]
struct Demand {
    everything: bool,
    ledger: bool,
}

fn run(
    seeds: Range<u64>,
    world: WorldArguments,
    threads: Option<usize>,
    Demand { everything, ledger }: Demand,
) -> bool {
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
    let is_whole = report::counts(&band, ledger) || !everything;
    print_band(&band, watch.seconds(), threads);
    let never = Fault::ALL.into_iter().filter(|fault| band.activations.of(*fault) == 0);
    let never: Vec<_> = never.filter(|_| everything).collect();
    if !never.is_empty() {
        println!("never happened, so nothing is proven about it: {never:?}");
    }
    band.broken.is_empty() && never.is_empty() && is_whole
}

/// The command that replays a seed.
fn again(seed: u64, world: WorldArguments) -> String {
    let WorldArguments { nodes, namespaces, seconds, idle, store } = world;
    let store = match store {
        Kind::Sound => String::new(),
        store => format!(" --store {}", store.name()),
    };
    let spaces = namespaces.map_or(String::new(), |spaces| format!(" --namespaces {spaces}"));
    let idle = if idle { " --idle" } else { "" };
    format!(
        "cargo run --release -p sana-sim -- replay {seed} --nodes {nodes}{spaces} --seconds {seconds}{idle}{store}"
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
    if let Some(mib) = machine::peak_memory() {
        println!("{mib} MiB of memory at most");
    }
}

fn replay(trace: &Trace) -> bool {
    let run = trace.run(Story::told());
    report::print_story(&run.story, Time::Milliseconds);
    println!(
        "{} decisions, {} events, fingerprint {:032x}",
        trace.ways.len(),
        run.events,
        run.digest
    );
    run.broken.is_none()
}

fn shrink(trace: Trace, what: &RunArguments, effort: u64) -> bool {
    let Some(broken) = trace.run(Story::silent()).broken else {
        println!("nothing breaks in this run, so there is nothing to shrink");
        return true;
    };
    let watch = Stopwatch::start();
    let mut shown = 0.0;
    let shrunk = shrink::shrink(trace, broken.oracle, effort, |best, runs| {
        if watch.seconds() > shown + 2.0 {
            shown = watch.seconds();
            eprintln!("  {} decisions after {runs} runs", best.ways.len());
        }
    });
    let Some(Shrunk { trace, before, runs }) = shrunk else {
        println!("it breaks otherwise when it is run again: some decision has no place of its own");
        return false;
    };
    replay(&trace);
    let (after, seconds) = (trace.ways.len(), watch.seconds());
    println!("{before} decisions became {after}, in {runs} runs and {seconds:.1} s");
    let planted = what.planted.as_ref().map_or(String::new(), |bug| format!(" --planted {bug}"));
    println!("cargo run --release -p sana-sim -- replay {trace}{planted}");
    false
}

/// Prints what is wrong, if anything is.
fn said<T>(result: Result<T, String>) -> Option<T> {
    result.inspect_err(|wrong| println!("{wrong}")).ok()
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
