//! What explorations print, and whether they went well.
//!
//! How many worlds an exploration has is on record in `arena/worlds.txt`. If it has another number, it
//! explores something else than it did: that fails, until somebody has said why and put the new
//! number on record.

use std::path::PathBuf;

use sana_engine::base::planted::{self, Bug};

use crate::arena::setup::{self, Reach};
use crate::arena::{LeavesOut, Mishaps, Setup};
use crate::diagram::{self, Picture};
use crate::explore::{self, Bounds, Exploration, Failure};
use crate::finding;
use crate::ledger::{Cell, Ledger};
use crate::marks::Mark;
use crate::oracles::Broken;
use crate::oracles::cost::{Costs, Work};
use crate::oracles::history::Orders;
use crate::proof::{self, measure};
use crate::smallest;
use crate::stopwatch::Stopwatch;
use crate::story::{self, Scene, Time};
use crate::swarm::Band;
use crate::world::profile::Fault;
use crate::world::watch::Counts;

/// How an exploration is looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Look {
    /// How far.
    pub reach: Reach,
    /// What goes wrong at most, where it is not what belongs to that.
    pub others: Others,
    /// Up to this many worlds.
    pub worlds: usize,
    /// On so many threads.
    pub threads: usize,
    /// With this bug planted.
    pub planted: Option<String>,
    /// With all that need not be tried.
    pub is_unreduced: bool,
    /// The way that is told is drawn into this file.
    pub html: Option<PathBuf>,
}

/// Mishaps of an exploration other than those on record.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Others {
    /// Writes lost and rounds run out of time.
    pub losses: Option<u8>,
    /// Writes turned away.
    pub throttles: Option<u8>,
    /// Actors crashed.
    pub crashes: Option<u8>,
}

impl Look {
    /// The exploration of this name, as it is to be looked at.
    fn setup(&self, name: &str) -> Option<Setup> {
        let setup = setup::named(name, self.reach)?;
        let Mishaps { losses, throttles, crashes } = setup.mishaps;
        let mishaps = Mishaps {
            losses: self.others.losses.unwrap_or(losses),
            throttles: self.others.throttles.unwrap_or(throttles),
            crashes: self.others.crashes.unwrap_or(crashes),
        };
        let leaves_out = if self.is_unreduced { LeavesOut::NOTHING } else { setup.leaves_out };
        Some(Setup { leaves_out, mishaps, ..setup })
    }

    /// What stands behind the name of the exploration on the command line.
    fn flags(&self) -> String {
        let Others { losses, throttles, crashes } = self.others;
        let others = [("losses", losses), ("throttles", throttles), ("crashes", crashes)];
        let others = others.into_iter().filter_map(|(name, n)| Some(format!(" --{name} {}", n?)));
        let all = if self.is_unreduced { " --unreduced" } else { "" };
        format!("{}{}{all}", self.reach.flag(), others.collect::<String>())
    }
}

/// The worlds of each exploration.
const ON_RECORD: &str = include_str!("arena/worlds.txt");
/// A band of so many seeds must light every cell of the ledger.
const BIG_BAND: u64 = 5_000;
/// What a big band comes across less often than this, the next one may not come across at all.
const SELDOM: u64 = 20;
/// Of an exploration that is longer than this, in seconds, one hears in between.
const PATIENCE: f64 = 5.0;

/// Explores the worlds of this name, or `all`. Whether nothing was wrong.
pub fn explore(name: &str, look: &Look) -> bool {
    let names = setup::NAMES.into_iter().filter(|one| name == "all" || name == *one);
    let names: Vec<_> = names.collect();
    if names.is_empty() {
        println!("there is no exploration '{name}'; there are: {}", setup::NAMES.join(", "));
        return false;
    }
    if !has_planted(look) {
        return false;
    }
    let good: Vec<bool> = names.into_iter().map(|name| explore_one(name, look)).collect();
    good.into_iter().all(|good| good)
}

/// Tells one way of an exploration. Whether nothing was wrong on it.
pub fn tell(name: &str, look: &Look, way: &[u32]) -> bool {
    let Some(setup) = look.setup(name) else {
        println!("there is no exploration '{name}'; there are: {}", setup::NAMES.join(", "));
        return false;
    };
    if !has_planted(look) {
        return false;
    }
    let (story, broken) = explore::replay(&setup.clone().begin(), way);
    print_story(&story, Time::Events);
    let again = again(name, look, way);
    println!("{again}");
    if let Some(file) = &look.html {
        let picture = picture(&setup, &story, broken.as_ref(), way, again);
        if let Err(wrong) = finding::save(file, &diagram::html(&picture)) {
            println!("{wrong}");
            return false;
        }
    }
    broken.is_none()
}

/// The command that tells a way.
fn again(name: &str, look: &Look, way: &[u32]) -> String {
    let flags = look.flags();
    let bug = look.planted.as_ref().map_or(String::new(), |bug| format!(" --planted {bug}"));
    let way = way.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    format!("cargo run --release -p sana-sim -- explore {name}{flags}{bug} --way {way}")
}

/// What a way looks like.
fn picture<'a>(
    setup: &Setup,
    scenes: &'a [Scene],
    broken: Option<&Broken>,
    way: &[u32],
    command: String,
) -> Picture<'a> {
    let actors = setup.scripts.len();
    Picture {
        title: format!("Exploration {}", setup.name),
        facts: vec![format!("{actors} actors"), format!("{} events", way.len())],
        scenes,
        time: Time::Events,
        broken: broken.map(ToString::to_string),
        decisions: Vec::new(),
        command,
    }
}

/// Prints what happened, a line for each scene that is worth one.
pub fn print_story(scenes: &[Scene], time: Time) {
    for (scene, line) in scenes.iter().zip(story::lines(scenes)) {
        if let Some(line) = line {
            println!("{} {line}", time.show(scene.at));
        }
    }
}

/// So many decisions, in the median, may be left of a failing run.
const DECISIONS_MOST: f64 = 25.0;

/// Prints how short the smallest runs found are that show planted bugs whose names contain this.
/// Whether they are short enough, in the median.
pub fn shrink_bugs(name: &str, threads: usize) -> bool {
    let watch = Stopwatch::start();
    let bugs: Vec<Bug> =
        Bug::ALL.into_iter().filter(|bug| format!("{bug:?}").contains(name)).collect();
    let shrunk = measure::shrink_all(&bugs, smallest::Effort::SOME, threads);
    println!("|   # | bug | decisions before | after |");
    println!("|----:|-----|-----------------:|------:|");
    for (bug, before, after) in &shrunk {
        println!("| {:>3} | {bug:?} | {before} | {after} |", *bug as u8);
    }
    let median = proof::median(shrunk.iter().map(|(.., after)| *after as f64));
    println!(
        "{} of {} bugs show in small worlds of seeds; {median} decisions are left in the median, {:.0} s",
        shrunk.len(),
        bugs.len(),
        watch.seconds()
    );
    !shrunk.is_empty() && median <= DECISIONS_MOST
}

/// Plants the bug of this name in this thread, if there is to be one.
///
/// # Errors
///
/// If there is none of that name, in words.
pub fn plant(name: Option<&str>) -> Result<(), String> {
    let Some(name) = name else { return Ok(()) };
    let bug = Bug::ALL.into_iter().find(|bug| format!("{bug:?}") == *name);
    planted::choose(bug);
    bug.map(|_| ()).ok_or_else(|| {
        format!("there is no planted bug '{name}': `sana-sim mutants` names them all")
    })
}

/// Plants the bug that is to be planted. False if there is none of that name.
fn has_planted(look: &Look) -> bool {
    let planted = plant(look.planted.as_deref());
    planted.inspect_err(|wrong| println!("{wrong}")).is_ok()
}

fn explore_one(name: &str, look: &Look) -> bool {
    let setup = look.setup(name).expect("it is in the list of names");
    // A bug is planted in one thread only.
    let threads = if look.planted.is_some() { 1 } else { look.threads };
    let bounds = Bounds { worlds: look.worlds, threads };
    let watch = Stopwatch::start();
    let mut told = 0.0;
    let exploration = explore::explore(&setup.clone().begin(), bounds, |so_far, front| {
        let seconds = watch.seconds();
        if seconds > told + PATIENCE {
            told = seconds;
            let Exploration { states, depth, .. } = so_far;
            let speed = *states as f64 / seconds;
            eprintln!(
                "  depth {depth}: {states} worlds, {front} at the front, {speed:.0} worlds/s, {seconds:.0} s"
            );
        }
    });
    let flags = look.flags();
    let Exploration { states, transitions, depth, ends, .. } = exploration;
    let record =
        format!("{name}{flags}: {states} worlds, {transitions} events, {ends} ends, depth {depth}");
    println!("{record}, {:.1} s", watch.seconds());
    if let Some(Failure { way, .. }) = &exploration.failure {
        tell(name, look, way);
        return false;
    }
    has_seen_enough(&setup, &exploration) && is_on_record(&record, look)
}

/// Whether it came to an end, and came across what it is about.
fn has_seen_enough(setup: &Setup, exploration: &Exploration) -> bool {
    let Exploration { marks, is_cut, .. } = *exploration;
    let outcomes = exploration.outcomes.len();
    println!("  {outcomes} last heads; came across: {:?}", Mark::of(marks));
    let missed = setup.sometimes.iter().filter(|mark| marks & mark.bit() == 0);
    let missed: Vec<&Mark> = missed.collect();
    if !missed.is_empty() {
        println!("  MISSED: {missed:?}: it proves nothing about them");
    }
    if is_cut {
        println!("  NOT exhausted");
    }
    missed.is_empty() && !is_cut
}

/// Whether there are as many worlds as there were.
fn is_on_record(record: &str, look: &Look) -> bool {
    let is_special = look.is_unreduced || look.others != Others::default();
    if look.planted.is_some() || is_special || ON_RECORD.lines().any(|line| line == record) {
        return true;
    }
    let name = record.split(':').next().unwrap_or_default();
    let before = ON_RECORD.lines().find(|line| line.split(':').next() == Some(name));
    println!("  NOT ON RECORD: {record}");
    println!("    the record is: {}", before.unwrap_or("none"));
    println!("    if you know why it changed, say so and put the new line into arena/worlds.txt");
    false
}

/// Prints what a band came across, and if it is wanted what became of which writes and what operations
/// cost. Whether it came across everything that a band of its size must.
pub fn counts(band: &Band, with_ledger: bool) -> bool {
    let Counts { marks, ledger, costs, orders } = &band.counts;
    let Orders { found, long, undecided } = orders;
    for fault in Fault::ALL {
        println!("{:>12} × {fault:?}", band.activations.of(fault));
    }
    for mark in Mark::ALL {
        println!("{:>12} × {mark:?}", marks.of(mark));
    }
    println!(
        "{found} histories have an order that clients alone tell, {long} are too long to look, {undecided} were given up"
    );
    if with_ledger {
        print_ledger(ledger);
        print_costs(costs);
    }
    let dark = ledger.dark();
    if !dark.is_empty() {
        println!("{} cells of the ledger are dark without a reason", dark.len());
    }
    let mut never = below(band, 1);
    // A cell is rare and needs many seeds: a small band says how many are dark, and a big one fails.
    if band.seeds >= BIG_BAND {
        let seldom = below(band, SELDOM).into_iter().chain(cells_below(ledger, SELDOM));
        let seldom: Vec<String> = seldom.collect();
        if !seldom.is_empty() {
            println!("less often than {SELDOM} times, so the next band may miss it:");
            seldom.iter().for_each(|what| println!("  {what}"));
        }
        never.extend(cells_below(ledger, 1));
        if !orders.are_enough() {
            never.push("an order of most histories".into());
        }
    }
    if !never.is_empty() {
        println!("never happened, so nothing is proven about it: {}", never.join("; "));
    }
    never.is_empty()
}

/// The faults and situations that a band came across less often than this, and how often.
fn below(band: &Band, least: u64) -> Vec<String> {
    let faults = Fault::ALL.into_iter().map(|fault| (fault, band.activations.of(fault)));
    let faults = faults.filter(|(_, count)| *count < least);
    let faults = faults.map(|(fault, count)| format!("{count} × {fault:?}"));
    let marks = band.counts.marks.below(least).into_iter();
    faults.chain(marks.map(|(mark, count)| format!("{count} × {mark:?}"))).collect()
}

/// The cells in which less happened than this though it could, and how much.
fn cells_below(ledger: &Ledger, least: u64) -> impl Iterator<Item = String> {
    let rare = ledger.below(least).into_iter();
    rare.map(|Cell { site, fate, crash, count }| {
        let fate = fate.map_or("never sent".into(), |fate| format!("{fate:?}"));
        let crash = crash.in_words();
        let comma = if crash.is_empty() { "" } else { ", " };
        format!("{count} × {site:?}, {fate}{comma}{crash}")
    })
}

fn print_ledger(ledger: &Ledger) {
    println!("| write | fate | sender | times |");
    println!("|-------|------|--------|------:|");
    for cell in ledger.cells() {
        let Cell { site, fate, crash, count } = cell;
        let fate = fate.map_or("never sent".into(), |fate| format!("{fate:?}"));
        let crash = crash.in_words();
        let dark = match cell.reason() {
            Some(reason) => format!(" ({reason})"),
            None if count == 0 => " **dark**".into(),
            None => String::new(),
        };
        println!("| {site:?} | {fate} | {crash} | {count}{dark} |");
    }
}

fn print_costs(costs: &Costs) {
    println!("| operation | rounds, if nothing happened to it: times | requests, at most |");
    println!("|-----------|------------------------------------------|------------------:|");
    for work in Work::ALL {
        let rounds = costs.rounds(work).into_iter();
        let rounds: Vec<_> = rounds.map(|(rounds, times)| format!("{rounds}: {times}")).collect();
        println!("| {work:?} | {} | {} |", rounds.join(", "), costs.requests_most(work));
    }
}
