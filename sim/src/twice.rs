//! The same seeds in two processes, which must come to the same: nothing of a process may count.
//!
//! The processes differ in whatever a process has of its own: where its memory lies, what its hashers
//! begin with, how many threads it has, and, if another program is named, how the compiler optimised
//! it. If a seed comes to another fingerprint, both are asked to tell it, and the first line in which
//! they differ is where it began.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::digest::Digest;
use crate::swarm;
use crate::world::size::Size;

/// Lines that are told before the one in which two runs differ.
const CONTEXT: usize = 6;
/// Blocks of memory that are taken to move all others.
const BLOCKS: usize = 977;

/// The fingerprint of each seed, and its events.
pub fn fingerprints(seeds: Range<u64>, size: Size, threads: usize) -> BTreeMap<u64, (Digest, u64)> {
    let next = AtomicU64::new(seeds.start);
    let all = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let run = swarm::run(seed, size);
                    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
                    all.insert(seed, (run.digest, run.events));
                }
            });
        }
    });
    all.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Takes memory for good, so that what is taken later lies elsewhere than in another process.
pub fn move_memory(by: usize) {
    let blocks: Vec<Vec<u8>> = (0..BLOCKS).map(|n| vec![1; (n * 31 + 1) * by % 8_191]).collect();
    blocks.leak();
}

/// Whether a mistake of the simulator is planted: an address decides.
static IS_UNSTEADY: AtomicBool = AtomicBool::new(false);

/// Plants a mistake in this process: from some number on, nonces depend on where memory lies.
pub fn plant() {
    IS_UNSTEADY.store(true, Ordering::Relaxed);
}

/// What no choice decides, and must not count; zero unless the mistake is planted.
pub fn unsteady() -> u64 {
    if IS_UNSTEADY.load(Ordering::Relaxed) {
        let somewhere = Box::new(0_u8);
        std::ptr::from_ref(&*somewhere).addr() as u64
    } else {
        0
    }
}

/// One of two processes.
#[derive(Clone, Debug)]
pub struct Process<'a> {
    /// The program.
    pub program: &'a Path,
    /// Its threads.
    pub threads: usize,
    /// How its memory is moved.
    pub moved: usize,
}

/// What two processes are asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// The seeds.
    pub seeds: Range<u64>,
    /// What their worlds are like, as arguments.
    pub world: Vec<String>,
    /// Whether the mistake is planted in both.
    pub is_unsteady: bool,
}

impl Question {
    /// Asks two processes. `None` if they agree about every seed, and what is wrong if they do not.
    ///
    /// # Errors
    ///
    /// If a process cannot be run, in words.
    pub fn ask(&self, processes: [&Process<'_>; 2]) -> Result<Option<String>, String> {
        let seeds = format!("{}..{}", self.seeds.start, self.seeds.end);
        let [first, second] = self.both(processes, &["fingerprints", "--seeds", &seeds])?;
        let count = self.seeds.end.saturating_sub(self.seeds.start) as usize;
        if first.len() != count || second.len() != count {
            return Err(format!("of {count} seeds {} and {} were run", first.len(), second.len()));
        }
        let differ = first.iter().zip(&second).find(|(first, second)| first != second);
        let Some((one, other)) = differ else { return Ok(None) };
        let seed = one.split(' ').next().unwrap_or_default();
        let stories = self.both(processes, &["replay", seed, "--all"])?;
        Ok(Some(format!("seed {seed} differs: {one} and {other}\n{}", first_difference(&stories))))
    }

    /// The lines that both print.
    fn both(
        &self,
        processes: [&Process<'_>; 2],
        arguments: &[&str],
    ) -> Result<[Vec<String>; 2], String> {
        let begun = processes.map(|process| {
            let mut command = Command::new(process.program);
            command.args(arguments).args(&self.world);
            command.args(["--threads", &process.threads.to_string()]);
            command.args(["--moved", &process.moved.to_string()]);
            command.args(self.is_unsteady.then_some("--unsteady"));
            command.stdout(Stdio::piped()).spawn()
        });
        let [first, second] = begun.map(|child| {
            let output = child.and_then(std::process::Child::wait_with_output);
            let output = output.map_err(|error| format!("a process: {error}"))?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            Ok::<_, String>(text.lines().map(ToOwned::to_owned).collect::<Vec<_>>())
        });
        Ok([first?, second?])
    }
}

/// The first line in which two stories differ, with those before it.
fn first_difference([first, second]: &[Vec<String>; 2]) -> String {
    let same = first.iter().zip(second).take_while(|(a, b)| a == b).count();
    let mut told: Vec<String> =
        first[same.saturating_sub(CONTEXT)..same].iter().map(|line| format!("  {line}")).collect();
    let nothing = "(nothing)".to_owned();
    told.push(format!("1 {}", first.get(same).unwrap_or(&nothing)));
    told.push(format!("2 {}", second.get(same).unwrap_or(&nothing)));
    format!("they part after line {same}:\n{}", told.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_told_with_what_came_before() {
        let story = |last: &str| {
            let lines = (0..20).map(|n| format!("line {n}")).chain([last.to_owned()]);
            lines.collect::<Vec<_>>()
        };
        let told = first_difference(&[story("a"), story("b")]);
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!((lines[0], lines.len()), ("they part after line 20:", CONTEXT + 3));
        assert_eq!(lines[CONTEXT..], ["  line 19", "1 a", "2 b"]);
    }
}
