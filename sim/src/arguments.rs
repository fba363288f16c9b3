//! What the command line takes.

use std::ffi::OsString;
use std::ops::Range;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use sana_sim::finding::Wanted;
use sana_sim::report::{self, Others};
use sana_sim::store::Kind;
use sana_sim::swarm;
use sana_sim::trace::Trace;
use sana_sim::twice;
use sana_sim::world::size::{Pace, Size};

/// Runs Sana's own machines in worlds where everything goes wrong.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
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
pub(crate) struct ProcessArguments {
    /// Its threads.
    #[arg(long, default_value_t = 1)]
    pub(crate) threads: usize,
    /// By how much its memory is moved.
    #[arg(long, default_value_t = 0)]
    pub(crate) moved: usize,
    /// With a mistake planted that must be noticed: an address decides.
    #[arg(long)]
    pub(crate) unsteady: bool,
}

impl ProcessArguments {
    pub(crate) fn take(self) {
        twice::move_memory(self.moved);
        if self.unsteady {
            twice::plant();
        }
    }
}

/// One run.
#[derive(Clone, Debug, Args)]
pub(crate) struct RunArguments {
    /// A seed, or a trace as it was printed. A trace knows what its world is like.
    pub(crate) run: String,
    #[command(flatten)]
    pub(crate) world: WorldArguments,
    /// With this known bug planted.
    #[arg(long)]
    pub(crate) planted: Option<String>,
    /// Draw what happens, into this file.
    #[arg(long)]
    pub(crate) html: Option<PathBuf>,
    /// Keep the run as a regression test, in this file of `sim/tests/traces`.
    #[arg(long)]
    pub(crate) test: Option<PathBuf>,
}

impl RunArguments {
    pub(crate) fn wanted(&self) -> Wanted {
        let Self { planted, html, test, .. } = self.clone();
        Wanted { planted, html, test }
    }

    /// What the run is called: a trace is its own name, and too long for one.
    pub(crate) fn name(&self) -> String {
        if self.run.parse::<u64>().is_ok() {
            format!("Seed {}", self.run)
        } else {
            "A trace".into()
        }
    }

    /// The trace of this run, with its bug planted in this thread.
    pub(crate) fn trace(&self) -> Result<Trace, String> {
        report::plant(self.planted.as_deref())?;
        match self.run.parse() {
            Ok(seed) => Ok(Trace::of(seed, self.world.size()).0),
            Err(_) => self.run.parse(),
        }
    }
}

/// What goes wrong at most in an exploration, if it is not what is on record.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct OtherMishaps {
    /// Writes lost and rounds run out of time.
    #[arg(long)]
    pub(crate) losses: Option<u8>,
    /// Writes turned away.
    #[arg(long)]
    pub(crate) throttles: Option<u8>,
    /// Actors crashed.
    #[arg(long)]
    pub(crate) crashes: Option<u8>,
}

impl From<OtherMishaps> for Others {
    fn from(OtherMishaps { losses, throttles, crashes }: OtherMishaps) -> Self {
        Self { losses, throttles, crashes }
    }
}

/// What the world of a seed is like.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct WorldArguments {
    /// Nodes of the world.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) nodes: u32,
    /// Namespaces of the world: one for every second node, if it is not said.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) namespaces: Option<u32>,
    /// How long clients keep asking, in seconds of the world.
    #[arg(long, default_value_t = 60)]
    pub(crate) seconds: u64,
    /// Clients ask a few times a day, and nodes have the settings that they have in production.
    #[arg(long)]
    pub(crate) idle: bool,
    /// Which store: `s3`, `gcs`, `azure`, `r2`, `minio`, `folder`, or `any` of these, by the seed; or as
    /// a negative control, under which the oracles must go red, a weak one: `weak-conditions`,
    /// `weak-races`, `weak-reads`, `weak-blips`, `weak-lists`, `weak-lifecycle`, `weak-clones`.
    #[arg(long, value_parser = kind, default_value = "any")]
    pub(crate) store: Kind,
}

impl WorldArguments {
    /// What says the same on a command line.
    pub(crate) fn flags(self) -> Vec<String> {
        let Self { nodes, namespaces, seconds, idle, store } = self;
        let mut flags = vec!["--nodes".into(), nodes.to_string()];
        flags.extend(namespaces.into_iter().flat_map(|n| ["--namespaces".into(), n.to_string()]));
        flags.extend(["--seconds".into(), seconds.to_string()]);
        flags.extend(idle.then(|| "--idle".into()));
        if store != Kind::Sound {
            flags.extend(["--store".into(), store.name().into()]);
        }
        flags
    }

    pub(crate) fn size(self) -> Size {
        let size = swarm::size(self.nodes as usize, self.seconds);
        let spaces = self.namespaces.map_or(size.spaces, |spaces| spaces as usize);
        let pace = if self.idle { Pace::Idle } else { size.pace };
        Size { store: self.store, spaces, pace, ..size }
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
