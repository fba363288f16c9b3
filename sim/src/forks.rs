//! Seeds that are tried in many ways from where something rare happened.
//!
//! Each seed runs once. Wherever something rare happens in it for the first time, its world is forked,
//! and other seeds decide how it goes on. What was paid for to get there is paid once.

use std::ops::Range;

use crate::choices::Choices;
use crate::digest;
use crate::oracles::Broken;
use crate::stopwatch::Stopwatch;
use crate::story::Story;
use crate::trace::Trace;
use crate::world::fork::Moment;
use crate::world::profile::Fault;
use crate::world::size::Size;
use crate::world::{Run, World};

/// What few seeds come to, and what may have gone wrong only after it.
pub const RARE: [Fault; 6] = [
    Fault::LandedAfterCrash,
    Fault::RefusedItself,
    Fault::CrashAgain,
    Fault::Vanished,
    Fault::Spilled,
    Fault::Reborn,
];

/// What seeds and their forks came to.
#[derive(Clone, Debug, Default)]
pub struct Harvest {
    /// Seeds, and how long they took, in seconds.
    pub seeds: (u64, f64),
    /// Forks, and how long they took.
    pub forks: (u64, f64),
    /// In how many seeds, and in how many forks, each of [`RARE`] happened.
    pub reached: [(u64, u64); RARE.len()],
    /// Runs that broke something.
    pub broken: Vec<(Trace, Broken)>,
}

impl Harvest {
    /// Runs seeds until one of their runs breaks something, with so many forks at each rare moment.
    pub fn of(seeds: Range<u64>, size: Size, each: u64) -> Self {
        let mut harvest = Self::default();
        for seed in seeds {
            harvest.add(seed, size, each);
            if !harvest.broken.is_empty() {
                break;
            }
        }
        harvest
    }

    fn add(&mut self, seed: u64, size: Size, each: u64) {
        let watch = Stopwatch::start();
        let choices = Choices::seeded(seed).recording();
        let rare: &[Fault] = if each > 0 { &RARE } else { &[] };
        let (run, moments) = World::new(choices, size, Story::silent()).run_and_keep(size, rare);
        self.seeds.0 += 1;
        self.seeds.1 += watch.seconds();
        for (fault, reached) in RARE.iter().zip(&mut self.reached) {
            reached.0 += u64::from(run.activations.of(*fault) > 0);
        }
        self.take(seed, size, run);
        let watch = Stopwatch::start();
        for (n, Moment { world, .. }) in moments.into_iter().enumerate() {
            for fork in 0..each {
                let drawn = digest::of(&(seed, n, fork)) as u64;
                let run = world.fork(drawn).run(size);
                self.forks.0 += 1;
                for (fault, reached) in RARE.iter().zip(&mut self.reached) {
                    reached.1 += u64::from(run.activations.of(*fault) > 0);
                }
                self.take(seed, size, run);
            }
        }
        self.forks.1 += watch.seconds();
    }

    fn take(&mut self, seed: u64, size: Size, run: Run) {
        if let Some(broken) = run.broken {
            self.broken.push((Trace { size, seed, ways: run.ways }, broken));
        }
    }

    /// Prints what it came to. Whether nothing was broken.
    pub fn print(&self) -> bool {
        let ((seeds, took), (forks, forks_took)) = (self.seeds, self.forks);
        println!("{seeds} seeds in {took:.1} s, {forks} forks in {forks_took:.1} s");
        for (fault, (in_seeds, in_forks)) in RARE.iter().zip(&self.reached) {
            println!("{in_seeds:>6} seeds, {in_forks:>6} forks × {fault:?}");
        }
        if let Some((trace, broken)) = self.broken.first() {
            println!("{broken}");
            println!("cargo run --release -p sana-sim -- replay {trace}");
        }
        self.broken.is_empty()
    }
}
