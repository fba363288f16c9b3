//! What is shown of one run: its story, its picture, the command that tells it again, and the file
//! that keeps it as a regression test.

use std::fs;
use std::path::{Path, PathBuf};

use crate::diagram::{self, Picture};
use crate::oracles::Broken;
use crate::report;
use crate::shrink::Shrunk;
use crate::smallest::{self, Effort};
use crate::stopwatch::Stopwatch;
use crate::story::{self, Story, Time};
use crate::trace::{self, Trace};
use crate::world::Run;
use crate::world::size::Size;

/// What is wanted of a run beside its story.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Wanted {
    /// The bug that is planted, if one is.
    pub planted: Option<String>,
    /// The picture goes into this file.
    pub html: Option<PathBuf>,
    /// The regression test goes into this file.
    pub test: Option<PathBuf>,
}

/// Seconds between two lines that say how short a run has become.
const REPORT_EVERY: f64 = 2.0;

/// A run, and how it came about.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What it is called.
    pub name: String,
    /// It can be run again by this.
    pub trace: Trace,
    /// What it came to, with its story.
    pub run: Run,
    /// What is wanted of it.
    pub wanted: Wanted,
}

impl Finding {
    /// Runs a trace, to tell it.
    pub fn of(name: String, trace: Trace, wanted: Wanted) -> Self {
        let run = trace.run(Story::told());
        Self { name, trace, run, wanted }
    }

    /// The smallest run found that fails like one that did. `None` if that does not fail when it is
    /// run again, or fails otherwise.
    pub fn smallest(
        name: &str,
        trace: &Trace,
        broken: &Broken,
        effort: Effort,
        wanted: Wanted,
    ) -> Option<Self> {
        let watch = Stopwatch::start();
        let mut shown = 0.0;
        let shrunk = smallest::like(trace.clone(), broken.oracle, effort, |best, runs| {
            if watch.seconds() > shown + REPORT_EVERY {
                shown = watch.seconds();
                eprintln!("  {} decisions after {runs} runs", best.ways.len());
            }
        });
        let Shrunk { trace, before, runs } = shrunk?;
        let (after, seconds) = (trace.ways.len(), watch.seconds());
        println!("{before} decisions became {after}, in {runs} runs and {seconds:.1} s:");
        Some(Self::of(format!("{name}, made short"), trace, wanted))
    }

    /// The command that tells it again.
    pub fn command(&self) -> String {
        let planted = self.wanted.planted.as_ref();
        let planted = planted.map_or(String::new(), |bug| format!(" --planted {bug}"));
        format!("cargo run --release -p sana-sim -- replay {}{planted}", self.trace)
    }

    /// Prints what happened, and writes the files that are wanted of it.
    ///
    /// # Errors
    ///
    /// If a file cannot be written, in words.
    pub fn show(&self) -> Result<(), String> {
        self.print();
        if let Some(file) = &self.wanted.html {
            save(file, &self.picture())?;
        }
        self.wanted.test.as_ref().map_or(Ok(()), |file| save(file, &self.test()))
    }

    fn print(&self) {
        report::print_story(&self.run.story, Time::Milliseconds);
        let (decisions, Run { events, digest, .. }) = (self.trace.ways.len(), &self.run);
        println!("{decisions} decisions, {events} events, fingerprint {digest:032x}");
    }

    /// What happened, as a picture.
    pub fn picture(&self) -> String {
        let Size { nodes, spaces, clients_per_space, .. } = self.trace.size;
        let plural = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        let mut facts = vec![
            plural(nodes, "node"),
            plural(spaces, "namespace"),
            plural(spaces * clients_per_space, "client"),
            plural(self.trace.ways.len(), "decision"),
            plural(self.run.events as usize, "event"),
            format!("{:.1} s of the world's time", self.run.time as f64 / 1_000.0),
        ];
        facts.extend(self.wanted.planted.iter().map(|bug| format!("planted: {bug}")));
        diagram::html(&Picture {
            title: self.name.clone(),
            facts,
            scenes: &self.run.story,
            time: Time::Milliseconds,
            broken: self.run.broken.as_ref().map(ToString::to_string),
            decisions: trace::decisions(&self.trace.ways),
            command: self.command(),
        })
    }

    /// The file that keeps the run as a regression test: its story as a comment, and its trace.
    pub fn test(&self) -> String {
        let mut file = format!("# {}\n", self.name);
        for (scene, line) in self.run.story.iter().zip(story::lines(&self.run.story)) {
            if let Some(line) = line {
                let line = line.replace('\n', "\n# ");
                file.extend(["# ", &Time::Milliseconds.show(scene.at), " ", &line, "\n"]);
            }
        }
        file + &format!("{}\n", self.trace)
    }
}

/// Writes a file.
///
/// # Errors
///
/// If it cannot be written, in words.
pub fn save(file: &Path, text: &str) -> Result<(), String> {
    fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))?;
    println!("written: {}", file.display());
    Ok(())
}
