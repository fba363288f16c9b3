//! What hunts for planted bugs print: a table for people, or JSON for whoever makes a page of it.

use std::collections::BTreeMap;
use std::fmt::Write;

use sana_engine::base::planted::Bug;

use crate::mutants::{self, Catch, Effort, Finder, Hunt, Hunters, SECONDS_MAX, SEEDS_MAX};
use crate::stopwatch::Stopwatch;

/// Which bugs are hunted, and how it is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Order {
    /// Only bugs whose names contain this, or of this number.
    pub name: String,
    /// Explorations and seeds each look for every bug, for they find different ones soon.
    pub both: bool,
    /// An array of JSON, one object for each hunt, in the place of a table.
    pub json: bool,
}

/// The list of bugs, which says what each is.
const BUGS: &str = include_str!("../../../engine/src/base/planted.rs");

/// Hunts planted bugs and prints what came of it. Whether each was found, and soon.
pub fn hunt(order: &Order, effort: Effort) -> bool {
    let watch = Stopwatch::start();
    let asked = |bug: &Bug| {
        let number = (*bug as u8).to_string();
        format!("{bug:?}").contains(&order.name) || number == order.name
    };
    let bugs: Vec<Bug> = Bug::ALL.into_iter().filter(asked).collect();
    let hunters: &[Hunters] =
        if order.both { &[Hunters::Explorations, Hunters::Seeds] } else { &[Hunters::All] };
    let all = bugs.iter().flat_map(|bug| hunters.iter().map(|hunters| (*bug, *hunters)));
    let all: Vec<(Bug, Hunters)> = all.collect();
    let mut hunts: Vec<Hunt> = Vec::new();
    if order.json {
        mutants::hunt_all(&all, effort, |hunt| hunts.push(hunt.clone()));
        let objects: Vec<String> = hunts.iter().map(json).collect();
        println!("[\n{}\n]", objects.join(",\n"));
    } else {
        println!("{}", header(order.both));
        mutants::hunt_all(&all, effort, |hunt| {
            hunts.push(hunt.clone());
            if hunts.len().is_multiple_of(hunters.len()) {
                println!("{}", row(&hunts[hunts.len() - hunters.len()..]));
            }
        });
        println!("\n{}in {:.0} s, {} at once", summary(&hunts), watch.seconds(), effort.threads);
    }
    // With both it is enough that one of them finds it.
    let is_found = |bug: &Bug| hunts.iter().any(|hunt| hunt.bug == *bug && hunt.is_soon());
    !bugs.is_empty() && bugs.iter().all(is_found)
}

/// What a bug is, in a sentence.
pub fn meaning(bug: Bug) -> &'static str {
    let variant = format!("{bug:?} = {},", bug as u8);
    let mut before = "";
    for line in BUGS.lines().map(str::trim) {
        if line == variant {
            return before.trim_start_matches("///").trim();
        }
        before = line;
    }
    ""
}

const fn header(both: bool) -> &'static str {
    if both {
        "|   # | bug | explored: by | oracle | events | worlds | seconds | seeds: by | oracle | seeds | seconds |\n\
         |----:|-----|--------------|--------|-------:|-------:|--------:|-----------|--------|------:|--------:|"
    } else {
        "|   # | bug | oracle | found by | events | worlds | seeds | seconds |\n\
         |----:|-----|--------|----------|-------:|-------:|------:|--------:|"
    }
}

/// The row of one bug, which was hunted by all together, or by explorations and by seeds.
fn row(hunts: &[Hunt]) -> String {
    let Some(Hunt { bug, worlds, seeds, seconds, .. }) = hunts.first() else {
        return String::new();
    };
    let begin = format!("| {:>3} | {bug:?} |", *bug as u8);
    let (by, oracle, events) = found(&hunts[0]);
    match hunts {
        [_, by_seeds] => {
            let (seed, other, _) = found(by_seeds);
            let Hunt { seeds, seconds: longer, .. } = by_seeds;
            format!(
                "{begin} {by} | {oracle} | {events} | {worlds} | {seconds:.1} | {seed} | {other} | {seeds} | {longer:.1} |"
            )
        }
        _ => format!("{begin} {oracle} | {by} | {events} | {worlds} | {seeds} | {seconds:.1} |"),
    }
}

/// Who found it, what it broke, and by how many events.
fn found(hunt: &Hunt) -> (String, String, String) {
    match &hunt.catch {
        Some(Catch { by, oracle, events, .. }) => {
            let events = events.map_or(String::new(), |events| events.to_string());
            (by.to_string(), format!("{} {oracle:?}", oracle.number()), events)
        }
        None => ("**nobody**".into(), String::new(), String::new()),
    }
}

/// How many were found, how soon, by whom, and which were not.
fn summary(hunts: &[Hunt]) -> String {
    let mut text = String::new();
    for hunters in [Hunters::All, Hunters::Explorations, Hunters::Seeds] {
        let of: Vec<&Hunt> = hunts.iter().filter(|hunt| hunt.hunters == hunters).collect();
        if of.is_empty() {
            continue;
        }
        let mut seconds: Vec<f64> =
            of.iter().filter(|hunt| hunt.catch.is_some()).map(|hunt| hunt.seconds).collect();
        seconds.sort_by(f64::total_cmp);
        let median = seconds.get(seconds.len() / 2).copied().unwrap_or_default();
        let longest = seconds.last().copied().unwrap_or_default();
        let who = match hunters {
            Hunters::All => "",
            Hunters::Explorations => "explorations: ",
            Hunters::Seeds => "seeds: ",
        };
        let (caught, all) = (seconds.len(), of.len());
        let _ = writeln!(
            text,
            "{who}{caught} of {all} found; median {median:.2} s, longest {longest:.1} s"
        );
        let mut finders = BTreeMap::<String, usize>::new();
        for catch in of.iter().filter_map(|hunt| hunt.catch.as_ref()) {
            let name = match catch.by {
                Finder::Exploration(_) => catch.by.to_string(),
                Finder::Seed(_) => "seeds".into(),
            };
            *finders.entry(name).or_default() += 1;
        }
        let finders: Vec<String> =
            finders.iter().map(|(name, count)| format!("{name} {count}")).collect();
        let _ = writeln!(text, "  by {}", finders.join(", "));
        let missed: Vec<Bug> =
            of.iter().filter(|hunt| hunt.catch.is_none()).map(|hunt| hunt.bug).collect();
        if !missed.is_empty() {
            let _ = writeln!(text, "  not found: {missed:?}");
        }
        let late = of.iter().filter(|hunt| hunt.catch.is_some() && !hunt.is_soon());
        let late: Vec<Bug> = late.map(|hunt| hunt.bug).collect();
        if !late.is_empty() {
            let most = format!("{SEEDS_MAX} seeds and {SECONDS_MAX} s");
            let _ = writeln!(text, "  found only after {most}: {late:?}");
        }
    }
    text
}

/// A hunt as an object of JSON.
fn json(hunt: &Hunt) -> String {
    let Hunt { bug, hunters, catch, worlds, seeds, seconds } = hunt;
    let catch = catch.as_ref().map_or("null".into(), |catch| {
        let Catch { by, oracle, what, events } = catch;
        let events = events.map_or("null".into(), |events| events.to_string());
        format!(
            r#"{{"by": {}, "oracle": "{}", "property": "{oracle:?}", "what": {}, "events": {events}}}"#,
            text(&by.to_string()),
            oracle.number(),
            text(what)
        )
    });
    format!(
        r#"{{"number": {}, "bug": "{bug:?}", "meaning": {}, "hunters": "{hunters:?}", "catch": {catch}, "worlds": {worlds}, "seeds": {seeds}, "seconds": {seconds:.3}}}"#,
        *bug as u8,
        text(meaning(*bug))
    )
}

/// A text as JSON has it.
fn text(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", c as u32);
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracles::Oracle;

    #[test]
    fn every_bug_has_a_sentence() {
        for bug in Bug::ALL {
            assert!(meaning(bug).ends_with('.'), "{bug:?}: {}", meaning(bug));
        }
    }

    #[test]
    fn a_hunt_is_told_in_json() {
        let by = Finder::Seed(7);
        let what = "a \"b\"\n".into();
        let catch = Some(Catch { by, oracle: Oracle::Live, what, events: Some(3) });
        let (bug, hunters) = (Bug::LostIsSuccess, Hunters::Seeds);
        let hunt = Hunt { bug, hunters, catch, worlds: 0, seeds: 8, seconds: 0.5 };
        let told = json(&hunt);
        assert!(told.starts_with(r#"{"number": 1, "bug": "LostIsSuccess", "meaning": "A lost"#));
        assert!(told.contains(r#""by": "seed 7", "oracle": "L", "property": "Live""#));
        assert!(told.contains(r#""what": "a \"b\"\u000a", "events": 3}"#));
        assert!(told.ends_with(r#""worlds": 0, "seeds": 8, "seconds": 0.500}"#));
    }
}
