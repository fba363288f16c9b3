//! The command line of the adversary: `sana-sim run`, `replay`, `explore`, `mutants`.

use std::ffi::OsString;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use sana_sim::arena::setup::Reach;
use sana_sim::bench;
use sana_sim::beside;
use sana_sim::finding::{self, Finding, Wanted};
use sana_sim::forks::Harvest;
use sana_sim::guard;
use sana_sim::machine;
use sana_sim::mutants;
use sana_sim::mutants::table::{self, Order};
use sana_sim::oracles::Broken;
use sana_sim::proof;
use sana_sim::proof::measure::{self, Plan};
use sana_sim::report::{self, Look, Others};
use sana_sim::smallest::Effort;
use sana_sim::stopwatch::Stopwatch;
use sana_sim::store::Kind;
use sana_sim::story::{Story, Time};
use sana_sim::swarm::{self, Band};
use sana_sim::trace::Trace;
use sana_sim::twice::{self, Process, Question};
use sana_sim::world::faults;
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
        /// Fail if something that can go wrong never did, or a situation was never come across; and of
        /// 5,000 seeds and more, if a fate of some kind of write never came about.
        #[arg(long)]
        everything: bool,
        /// Print what became of which writes, and what operations cost.
        #[arg(long)]
        ledger: bool,
        /// Draw the first broken seed, made short, into this folder.
        #[arg(long)]
        html_dir: Option<PathBuf>,
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
    /// Run seeds in two processes, which must come to the same.
    Twice {
        /// The seeds, as `first..end`.
        #[arg(long, value_parser = seeds, default_value = "0..100")]
        seeds: Range<u64>,
        #[command(flatten)]
        world: WorldArguments,
        /// The program of the second process, say one that was optimised otherwise: this one, if it
        /// is not said.
        #[arg(long)]
        other: Option<PathBuf>,
        /// Plant a mistake that must be noticed: an address decides.
        #[arg(long)]
        unsteady: bool,
    },
    /// Print the fingerprint of each seed.
    Fingerprints {
        /// The seeds, as `first..end`.
        #[arg(long, value_parser = seeds, default_value = "0..100")]
        seeds: Range<u64>,
        #[command(flatten)]
        world: WorldArguments,
        #[command(flatten)]
        process: ProcessArguments,
    },
    /// List all that can go wrong with a store and its users, and what becomes of each here.
    Faults,
    /// Run a seed or a trace and tell what happens.
    Replay {
        #[command(flatten)]
        what: RunArguments,
        /// Tell also what everybody expects.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        process: ProcessArguments,
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
        /// Draw the way that is told, into this file.
        #[arg(long)]
        html: Option<PathBuf>,
        /// With this known bug planted.
        #[arg(long)]
        planted: Option<String>,
        /// Try also what need not be tried: to see that leaving it out loses nothing.
        #[arg(long)]
        unreduced: bool,
    },
    /// Measure, and write the page of figures: `proof.html` and `proof.md`.
    Report {
        /// The seeds, as `first..end`.
        #[arg(long, value_parser = seeds)]
        seeds: Option<Range<u64>>,
        /// Measure less, to see what the page looks like.
        #[arg(long)]
        quick: bool,
        /// The folder of the documentation: bugs are read from there, and the page goes there.
        #[arg(long, default_value = "docs")]
        docs: PathBuf,
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
        /// Say instead how short the smallest run found is that shows each.
        #[arg(long)]
        shrink: bool,
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

/// What a process has of its own, which must not count.
#[derive(Clone, Copy, Debug, Args)]
struct ProcessArguments {
    /// Its threads.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// By how much its memory is moved.
    #[arg(long, default_value_t = 0)]
    moved: usize,
    /// With a mistake planted that must be noticed: an address decides.
    #[arg(long)]
    unsteady: bool,
}

impl ProcessArguments {
    fn take(self) {
        twice::move_memory(self.moved);
        if self.unsteady {
            twice::plant();
        }
    }
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
    /// Draw what happens, into this file.
    #[arg(long)]
    html: Option<PathBuf>,
    /// Keep the run as a regression test, in this file of `sim/tests/traces`.
    #[arg(long)]
    test: Option<PathBuf>,
}

impl RunArguments {
    fn wanted(&self) -> Wanted {
        let Self { planted, html, test, .. } = self.clone();
        Wanted { planted, html, test }
    }

    /// What the run is called: a trace is its own name, and too long for one.
    fn name(&self) -> String {
        if self.run.parse::<u64>().is_ok() {
            format!("Seed {}", self.run)
        } else {
            "A trace".into()
        }
    }

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

impl From<OtherMishaps> for Others {
    fn from(OtherMishaps { losses, throttles, crashes }: OtherMishaps) -> Self {
        Self { losses, throttles, crashes }
    }
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
    fn store_name(self) -> &'static str {
        let named = Kind::ALL.into_iter().find(|(_, kind)| *kind == self.store);
        named.map_or("sound", |(name, _)| name)
    }

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
        Command::Run { seeds, world, threads, everything, ledger, html_dir } => {
            run(seeds, world, threads, &Demand { everything, ledger, html_dir })
        }
        Command::Fork { seeds, each, world, planted } => said(report::plant(planted.as_deref()))
            .is_some_and(|()| Harvest::of(seeds, world.size(), each).print()),
        Command::Bench { name } => bench::print(&name),
        Command::Faults => {
            faults::TABLE.iter().for_each(|entry| println!("{entry}"));
            true
        }
        Command::Twice { seeds, world, other, unsteady } => {
            said(run_twice(seeds, world, other, unsteady)) == Some(true)
        }
        Command::Fingerprints { seeds, world, process } => {
            process.take();
            for (seed, (digest, events)) in
                twice::fingerprints(seeds, world.size(), process.threads)
            {
                println!("{seed} {digest:032x} {events}");
            }
            true
        }
        Command::Replay { what, all, process } => {
            process.take();
            said(replay(&what, all)) == Some(true)
        }
        Command::Shrink { what, effort } => said(shrink(&what, effort)) == Some(true),
        Command::Explore {
            name,
            small,
            nightly,
            others,
            worlds,
            way,
            html,
            planted,
            unreduced,
        } => {
            let reach = match (small, nightly) {
                (true, _) => Reach::Small,
                (_, true) => Reach::Nightly,
                _ => Reach::Full,
            };
            let (is_unreduced, threads, others) = (unreduced, threads(), others.into());
            let look = Look { reach, others, worlds, threads, planted, is_unreduced, html };
            if way.is_empty() {
                report::explore(&name, &look)
            } else {
                report::tell(&name, &look, &way)
            }
        }
        Command::Mutants { name, shrink: true, threads, .. } => {
            report::shrink_bugs(&name, threads.unwrap_or_else(self::threads))
        }
        Command::Mutants { name, both, json, worlds, seeds, patience, threads, .. } => {
            let threads = threads.unwrap_or_else(self::threads).max(1);
            let effort = mutants::Effort { worlds, seeds, seconds: patience.into(), threads };
            table::hunt(&Order { name, both, json }, effort)
        }
        Command::Report { seeds, quick, docs } => {
            said(write_page(measure::plan(seeds, quick, threads()), &docs)) == Some(true)
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
struct Demand {
    everything: bool,
    ledger: bool,
    html_dir: Option<PathBuf>,
}

fn run(
    seeds: Range<u64>,
    world: WorldArguments,
    threads: Option<usize>,
    Demand { everything, ledger, html_dir }: &Demand,
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
    let is_whole = report::counts(&band, *ledger) || !everything;
    print_band(&band, watch.seconds(), threads);
    if let Some((seed, broken)) = band.broken.first() {
        let html = html_dir.as_ref().map(|folder| folder.join(format!("seed-{seed}.html")));
        let wanted = Wanted { html, ..Wanted::default() };
        let trace = Trace::of(*seed, world.size()).0;
        said(shorten(&format!("Seed {seed}"), &trace, broken, Effort::SOME, wanted));
    }
    band.broken.is_empty() && is_whole
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

/// Asks two processes about seeds. Whether they agree.
fn run_twice(
    seeds: Range<u64>,
    world: WorldArguments,
    other: Option<PathBuf>,
    is_unsteady: bool,
) -> Result<bool, String> {
    let own = std::env::current_exe().map_err(|error| format!("this program: {error}"))?;
    let other = other.unwrap_or_else(|| own.clone());
    let WorldArguments { nodes, seconds, .. } = world;
    let store = world.store_name();
    let said = format!("--nodes {nodes} --seconds {seconds} --store {store}");
    let world = said.split(' ').map(ToOwned::to_owned).collect();
    let (count, watch) = (seeds.end.saturating_sub(seeds.start), Stopwatch::start());
    let first = Process { program: &own, threads: 1, moved: 0 };
    let second = Process { program: &other, threads: threads() + 1, moved: 7_919 };
    let wrong = Question { seeds, world, is_unsteady }.ask([&first, &second])?;
    match &wrong {
        Some(wrong) => println!("{wrong}"),
        None => println!("{count} seeds, the same in two processes, {:.1} s", watch.seconds()),
    }
    Ok(wrong.is_none())
}

/// Tells a run. Whether nothing breaks in it.
fn replay(what: &RunArguments, all: bool) -> Result<bool, String> {
    let finding = Finding::of(what.name(), what.trace()?, what.wanted());
    if all {
        let acts = finding.run.story.iter();
        acts.for_each(|scene| println!("{} {:?}", Time::Milliseconds.show(scene.at), scene.act));
    }
    finding.show()?;
    Ok(finding.run.broken.is_none())
}

/// Shrinks a run and tells it. Whether nothing breaks in it.
fn shrink(what: &RunArguments, runs: u64) -> Result<bool, String> {
    let trace = what.trace()?;
    let Some(broken) = trace.run(Story::silent()).broken else {
        println!("nothing breaks in this run, so there is nothing to shrink");
        return Ok(true);
    };
    shorten(&what.name(), &trace, &broken, Effort { runs, ..Effort::SOME }, what.wanted())?;
    Ok(false)
}

/// Shrinks a run that broke something, and tells it.
fn shorten(
    name: &str,
    trace: &Trace,
    broken: &Broken,
    effort: Effort,
    wanted: Wanted,
) -> Result<(), String> {
    let Some(finding) = Finding::smallest(name, trace, broken, effort, wanted) else {
        let wrong =
            "it breaks otherwise when it is run again: some decision has no place of its own";
        return Err(wrong.into());
    };
    finding.show()?;
    println!("{}", finding.command());
    Ok(())
}

/// Measures, and writes the page. Whether all is well.
fn write_page(plan: Plan, docs: &Path) -> Result<bool, String> {
    let watch = Stopwatch::start();
    let measured = measure::measure(plan, docs, |what| {
        eprintln!("  {:>4.0} s: {what}", watch.seconds());
    });
    let page = proof::page(&measured);
    finding::save(&docs.join("proof.html"), &page.html())?;
    finding::save(&docs.join("proof.md"), &page.markdown())?;
    println!("{}", page.verdict.1);
    page.sections.iter().flat_map(|section| &section.wrong).for_each(|wrong| println!("  {wrong}"));
    Ok(page.verdict.0)
}

/// Prints what is wrong, if anything is.
fn said<T>(result: Result<T, String>) -> Option<T> {
    result.inspect_err(|wrong| println!("{wrong}")).ok()
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
