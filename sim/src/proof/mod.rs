//! The page by which somebody decides whether to trust us: what was tried, what was found, and what
//! shows that something would have been found.
//!
//! Each section is a function of what was measured.
//!
//! | module      | what it answers              |
//! |-------------|------------------------------|
//! | [`measure`] | What is told of?             |
//! | [`mod@page`] | What is a page?              |

pub mod measure;
pub mod page;

use std::collections::BTreeMap;

use crate::explore::Exploration;
use crate::ledger::{Cell, Crash, Fate, Site};
use crate::marks::Mark;
use crate::mutants::table::meaning;
use crate::mutants::{Finder, Hunt};
use crate::proof::measure::Measured;
use crate::proof::page::{Figure, Page, Section, Table, count};
use crate::world::faults::{self, Status};
use crate::world::profile::Fault;

/// How many worlds each full exploration has.
const ON_RECORD: &str = include_str!("../arena/worlds.txt");
/// A fault that happened less often than this proves little.
const SELDOM: u64 = 10;

/// The page of what was measured.
pub fn page(measured: &Measured) -> Page {
    let sections = vec![
        seeds(measured),
        explorations(measured),
        faults(measured),
        happened(measured),
        situations(measured),
        ledger(measured),
        bugs(measured),
        properties(measured),
        latencies(measured),
        short(measured),
        found(measured),
    ];
    let is_good = sections.iter().all(|section| section.wrong.is_empty());
    let verdict = if is_good && measured.plan.is_quick {
        "Nothing that must hold was broken. This is a quick look: each planted bug was hunted for two \
         seconds at most, and `sana-sim mutants` hunts them all until they are found."
    } else if is_good {
        "Nothing that must hold was broken, and every mistake that we planted was found."
    } else {
        "Not all is well: see below."
    };
    let Measured { plan, processor, .. } = measured;
    let lead = format!(
        "Sana's production code, in a simulated world where requests are lost, land late or twice, nodes \
         crash and clocks are wrong. Measured by `sana-sim report` on {processor} with {} threads. \
         Whoever runs the same command on the same commit comes to the same counts, but for those that \
         a time limit cuts.",
        plan.hunt.threads
    );
    Page {
        title: "What Sana was put through".into(),
        verdict: (is_good, verdict.into()),
        lead,
        figures: figures(measured),
        sections,
    }
}

fn figures(measured: &Measured) -> Vec<Figure> {
    let Measured { band, hunts, found, shrunk, .. } = measured;
    let figure = |value: String, label: &str| Figure { value, label: label.into() };
    let caught = hunts.iter().filter(|hunt| hunt.catch.is_some()).count();
    let full: u64 = on_record().filter(|(name, ..)| !name.contains("--")).map(|row| row.1).sum();
    vec![
        figure(count(full), "worlds in exhaustive explorations, on record"),
        figure(count(band.seeds), "random worlds, each run twice"),
        figure(count(band.node_ms / 3_600_000), "node-hours in them"),
        figure(count(band.events), "events in them"),
        figure(format!("{caught} of {}", hunts.len()), "planted bugs found"),
        figure(
            median(shrunk.iter().map(|(.., after)| *after as f64)).to_string(),
            "decisions, in the median, that show one",
        ),
        figure(band.broken.len().to_string(), "properties broken, or runs that differ"),
        figure(found.len().to_string(), "real bugs found so far, and mended"),
    ]
}

fn seeds(measured: &Measured) -> Section {
    let Measured { plan, band, band_seconds, .. } = measured;
    let hours = band.node_ms as f64 / 3_600_000.0;
    let orders = band.counts.orders;
    let rate = |n: f64| n / band_seconds / plan.hunt.threads as f64;
    let text = format!(
        "Seeds {} to {}. Each is a world of {} nodes whose clients are busy for {} seconds, with faults as heavy as \
         it draws; then the faults stop, and all must get quiet. Each is run twice, the second time told \
         what the first decided: both must come to the same fingerprint.",
        plan.seeds.start,
        plan.seeds.end.saturating_sub(1),
        plan.nodes,
        plan.seconds
    );
    let rows = [
        ("seeds", count(band.seeds)),
        ("requests of clients", count(band.ops)),
        ("histories held to the model, in the order of the store", count(band.histories as u64)),
        ("of these, in some order that clients alone tell", count(orders.found)),
        ("too long to look for one", count(orders.long)),
        ("of too many orders to try", count(orders.undecided)),
        ("events", count(band.events)),
        (
            "thousand events a second and thread, with both runs",
            format!("{:.0}", rate(2.0 * band.events as f64) / 1_000.0),
        ),
        ("node-hours", format!("{hours:.1}")),
        ("node-hours a second and thread", format!("{:.2}", rate(hours))),
        ("seconds", format!("{band_seconds:.1}")),
        ("broken, or different when run again", band.broken.len().to_string()),
    ];
    let rows = rows.into_iter().map(|(what, n)| vec![what.to_owned(), n]).collect();
    let table = Some(Table::new(vec!["", "measured #"], rows));
    let wrong = band.broken.iter().map(|(seed, broken)| format!("seed {seed}: {broken}")).collect();
    Section { wrong, ..Section::new("Random worlds", text, table) }
}

/// Name, worlds and events of each exploration on record.
fn on_record() -> impl Iterator<Item = (&'static str, u64, u64)> {
    ON_RECORD.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let (name, counts) = line.split_once(": ")?;
        let mut numbers = counts.split(' ').filter_map(|word| word.parse().ok());
        Some((name, numbers.next()?, numbers.next()?))
    })
}

fn explorations(measured: &Measured) -> Section {
    let text = "Small worlds of a few actors, explored to the end: every order of events, every loss, \
                every late landing and every crash within bounds. The full ones run in the gate and have \
                as many worlds as are on record, or it fails; the small ones were run for this page."
        .to_owned();
    let recorded: BTreeMap<&str, (u64, u64)> =
        on_record().map(|(name, worlds, events)| (name, (worlds, events))).collect();
    let mut wrong = Vec::new();
    let row = |(name, exploration, seconds): &(&'static str, Exploration, f64)| {
        let Exploration { states, depth, failure, is_cut, .. } = exploration;
        let (full, events) = recorded.get(name).copied().unwrap_or_default();
        let small = recorded.get(format!("{name} --small").as_str()).map(|row| row.0);
        if let Some(failure) = failure {
            wrong.push(format!("{name}: {}", failure.broken));
        } else if *is_cut || small != Some(*states as u64) {
            wrong.push(format!("{name} --small: {states} worlds are not those on record"));
        }
        vec![
            (*name).to_owned(),
            count(full),
            count(events),
            count(*states as u64),
            depth.to_string(),
            format!("{seconds:.1}"),
        ]
    };
    let rows = measured.explored.iter().map(row).collect();
    let columns = vec![
        "exploration",
        "worlds #",
        "events #",
        "small: worlds #",
        "longest way #",
        "seconds #",
    ];
    let table = Table { bars: Some(1), ..Table::new(columns, rows) };
    Section { wrong, ..Section::new("Exhaustive explorations", text, Some(table)) }
}

fn faults(measured: &Measured) -> Section {
    let text = "All that we know of that goes wrong with object stores and their users, by number, and \
                what becomes of it here: how often it happened in the random worlds, which weak store or \
                test of another part has it, or why it cannot happen to us."
        .to_owned();
    let rows = faults::TABLE.iter().map(|entry| {
        let (how, often) = match entry.status {
            Status::Injected(fault) => ("injected".to_owned(), Some(fault)),
            Status::Reached(fault) => ("comes about".to_owned(), Some(fault)),
            Status::Weak(store) => (format!("store {store}"), None),
            Status::Elsewhere(_, test) => (format!("test {}", test.replace('_', " ")), None),
            Status::LeftOut => ("left out".to_owned(), None),
        };
        let often = often.map(|fault| count(measured.band.activations.of(fault)));
        let (what, reason) = (entry.what.to_owned(), entry.reason.to_owned());
        vec![entry.number.to_string(), what, how, often.unwrap_or_default(), reason]
    });
    let columns = vec!["number #", "what goes wrong", "how", "happened #", ""];
    let table = Table { is_long: true, ..Table::new(columns, rows.collect()) };
    Section::new("What can go wrong", text, Some(table))
}

fn happened(measured: &Measured) -> Section {
    let text =
        "How often each thing that can go wrong, or that is worth reaching, did in the random \
                worlds. What never happened proves nothing."
            .to_owned();
    let activations = &measured.band.activations;
    let mut all: Vec<(Fault, u64)> =
        Fault::ALL.into_iter().map(|fault| (fault, activations.of(fault))).collect();
    all.sort_by_key(|(_, often)| std::cmp::Reverse(*often));
    let wrong = all.iter().filter(|(_, often)| *often == 0);
    let wrong = wrong.map(|(fault, _)| format!("never happened: {}", words(&format!("{fault:?}"))));
    let wrong = wrong.collect();
    let rows = all.iter().map(|(fault, often)| {
        let seldom = if *often < SELDOM { "seldom" } else { "" };
        vec![words(&format!("{fault:?}")), count(*often), seldom.to_owned()]
    });
    let table = Table {
        bars: Some(1),
        is_long: true,
        ..Table::new(vec!["what happened", "how often #", ""], rows.collect())
    };
    Section { wrong, ..Section::new("What happened in them", text, Some(table)) }
}

fn situations(measured: &Measured) -> Section {
    let text = "Situations worth coming across: how often the random worlds did, and which small \
                explorations do. What does not reach what it is about has proven nothing about it."
        .to_owned();
    let tally = &measured.band.counts.marks;
    let by = |mark: Mark| {
        let all = measured.explored.iter().filter(|(_, found, _)| found.marks & mark.bit() != 0);
        all.map(|(name, ..)| *name).collect::<Vec<_>>().join(", ")
    };
    let rows = Mark::ALL.into_iter();
    let rows = rows.map(|mark| vec![words(&format!("{mark:?}")), count(tally.of(mark)), by(mark)]);
    let dark = Mark::ALL.into_iter().filter(|mark| tally.of(*mark) == 0 && by(*mark).is_empty());
    let wrong =
        dark.map(|mark| format!("never reached: {}", words(&format!("{mark:?}")))).collect();
    let columns = vec!["situation", "how often #", "explorations"];
    let table = Table { is_long: true, ..Table::new(columns, rows.collect()) };
    Section { wrong, ..Section::new("What was come across", text, Some(table)) }
}

/// Every write, by what became of it and of its sender.
fn ledger(measured: &Measured) -> Section {
    let ledger = &measured.band.counts.ledger;
    let dark = ledger.dark().len();
    let text = format!(
        "Every kind of write in the random worlds, by what became of it. The number after the plus is \
         of those whose sender crashed meanwhile. {dark} of {} possible cases did not come about in \
         this band.",
        ledger.cells().filter(|cell| cell.reason().is_none()).count()
    );
    let row = |site: Site| {
        let cells: Vec<Cell> = ledger.cells().filter(|cell| cell.site == site).collect();
        let often = |fate: Option<Fate>, crash: Crash| {
            let cell = cells.iter().find(|cell| cell.fate == fate && cell.crash == crash);
            cell.map_or_else(String::new, |cell| match cell.reason() {
                Some(_) => "cannot be".to_owned(),
                None if cell.count == 0 => "none".to_owned(),
                None => count(cell.count),
            })
        };
        let fates = Fate::ALL.into_iter().map(|fate| {
            let (alone, crashed) = (often(Some(fate), Crash::No), often(Some(fate), Crash::After));
            if alone == crashed { alone } else { format!("{alone} + {crashed}") }
        });
        let unsent = often(None, Crash::Before);
        [words(&format!("{site:?}")), unsent].into_iter().chain(fates).collect()
    };
    let rows = Site::ALL.into_iter().map(row).collect();
    let columns = vec![
        "write",
        "crashed before",
        "stored",
        "refused",
        "lost before",
        "lost after",
        "late",
        "turned away",
    ];
    Section::new("Every write and every fate", text, Some(Table::new(columns, rows)))
}

fn bugs(measured: &Measured) -> Section {
    let Measured { plan, hunts, hunt_seconds, .. } = measured;
    let caught = hunts.iter().filter(|hunt| hunt.catch.is_some()).count();
    let text = format!(
        "A check that finds nothing may be one that looks at nothing. So {} known mistakes are built \
         into the code, each behind a switch that production builds do not have, and each must be \
         found. {caught} were, in {hunt_seconds:.0} s.",
        hunts.len()
    );
    let missed = hunts.iter().filter(|hunt| hunt.catch.is_none() && !plan.is_quick);
    let wrong = missed.map(|hunt| format!("not found: {:?}: {}", hunt.bug, meaning(hunt.bug)));
    let wrong = wrong.collect();
    let nobody = if plan.is_quick { "not in so short a time" } else { "nobody" };
    let row = |hunt: &Hunt| {
        let catch = hunt.catch.as_ref();
        vec![
            (hunt.bug as u8).to_string(),
            meaning(hunt.bug).to_owned(),
            catch.map_or(nobody.into(), |catch| catch.by.to_string()),
            catch.map_or(String::new(), |catch| words(&format!("{:?}", catch.oracle))),
            count(hunt.worlds as u64),
            hunt.seeds.to_string(),
            format!("{:.2}", hunt.seconds),
        ]
    };
    let columns =
        vec!["number #", "mistake", "found by", "broken", "worlds #", "seeds #", "seconds #"];
    let rows = hunts.iter().map(row).collect();
    let table = Table { is_long: true, ..Table::new(columns, rows) };
    Section { wrong, ..Section::new("Planted bugs", text, Some(table)) }
}

fn properties(measured: &Measured) -> Section {
    let text =
        "What is watched after every event, and how many of the planted bugs broke it first."
            .to_owned();
    let mut all = BTreeMap::<_, [u64; 2]>::new();
    for catch in measured.hunts.iter().filter_map(|hunt| hunt.catch.as_ref()) {
        let by = usize::from(matches!(catch.by, Finder::Seed(_)));
        all.entry(catch.oracle).or_default()[by] += 1;
    }
    let rows = all.into_iter().map(|(oracle, [explored, seeds])| {
        let name = words(&format!("{oracle:?}"));
        vec![oracle.number().to_owned(), name, explored.to_string(), seeds.to_string()]
    });
    let columns = vec!["", "property", "by explorations #", "by seeds #"];
    Section::new("What is watched", text, Some(Table::new(columns, rows.collect())))
}

fn latencies(measured: &Measured) -> Section {
    let text =
        "From the moment that a bug is planted to the moment that it is found, with one thread \
                for each."
            .to_owned();
    let mut seconds: Vec<f64> = measured
        .hunts
        .iter()
        .filter(|hunt| hunt.catch.is_some())
        .map(|hunt| hunt.seconds)
        .collect();
    seconds.sort_by(f64::total_cmp);
    let at = |hundredths: usize| {
        let place = (seconds.len() * hundredths / 100).min(seconds.len().saturating_sub(1));
        format!("{:.2} s", seconds.get(place).copied().unwrap_or_default())
    };
    let rows = [("half of them within", 50), ("nine of ten within", 90), ("all within", 100)];
    let rows = rows.into_iter().map(|(what, part)| vec![what.to_owned(), at(part)]).collect();
    Section::new("How soon they are found", text, Some(Table::new(vec!["", "#"], rows)))
}

fn short(measured: &Measured) -> Section {
    let Measured { shrunk, shrink_seconds, .. } = measured;
    let after = median(shrunk.iter().map(|(.., after)| *after as f64));
    let before = median(shrunk.iter().map(|(_, before, _)| *before as f64));
    let text = format!(
        "A failing run is made short before anybody reads it: fewer nodes, clients, requests and faults, \
         as long as the same breaks. In the median {before} decisions became {after}, over the {} planted \
         bugs that small random worlds show; it took {shrink_seconds:.0} s for all.",
        shrunk.len()
    );
    let rows = shrunk.iter().map(|(bug, before, after)| {
        vec![(*bug as u8).to_string(), format!("{bug:?}"), count(*before as u64), after.to_string()]
    });
    let columns = vec!["number #", "bug", "decisions before #", "after #"];
    let table = Table { is_long: true, ..Table::new(columns, rows.collect()) };
    Section::new("How short a failure becomes", text, Some(table))
}

fn found(measured: &Measured) -> Section {
    let text =
        "Bugs of ours that the simulator, the explorer and reviews have found, each with its \
                story and its fix in docs/bugs. None is open."
            .to_owned();
    let rows = measured.found.iter().map(|row| row.to_vec()).collect();
    let table = Table { is_long: true, ..Table::new(vec!["", "bug", "found"], rows) };
    Section::new("Real bugs found so far", text, Some(table))
}

/// The middle one; zero if there is none.
pub fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or_default()
}

/// A name of the code, in words.
fn words(name: &str) -> String {
    let mut words = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(c.to_lowercase());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_words() {
        assert_eq!(words("LandedAfterCrash"), "landed after crash");
    }

    #[test]
    fn every_exploration_is_on_record() {
        let full: Vec<u64> =
            on_record().filter(|(name, ..)| !name.contains("--")).map(|row| row.1).collect();
        assert!(full.len() >= 12 && full.iter().all(|worlds| *worlds > 1_000));
    }
}
