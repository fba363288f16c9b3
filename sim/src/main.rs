//! The command line of the adversary: `sana-sim run`, `replay`, `explore`, `mutants`.

mod arguments;

use std::ffi::OsString;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use arguments::{Arguments, Command, RunArguments, WorldArguments};
use clap::Parser;
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
use sana_sim::report::{self, Look};
use sana_sim::smallest::Effort;
use sana_sim::stopwatch::Stopwatch;
use sana_sim::story::{Story, Time};
use sana_sim::swarm::{self, Band};
use sana_sim::trace::Trace;
use sana_sim::twice::{self, Process, Question};
use sana_sim::world::faults;

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
    let world = world.flags().join(" ");
    format!("cargo run --release -p sana-sim -- replay {seed} {world}")
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
    let world = world.flags();
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

/// Shrinks a run and tells it. Nothing is well about it: something breaks, or there is nothing to shrink.
fn shrink(what: &RunArguments, runs: u64) -> Result<bool, String> {
    let trace = what.trace()?;
    let broken = trace.run(Story::silent()).broken;
    let broken = broken.ok_or("nothing breaks in this run, so there is nothing to shrink; `run` finds seeds in which something does")?;
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
