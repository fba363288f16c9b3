//! One run as a value: what its world is like, and every decision that was not the calm one.
//!
//! A trace is all it takes to run the same again, so a failure can be sent by mail. As text it is the
//! postcard encoding in base64; shrunk ones have a line or two.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::choices::{Choices, Place, Scope, Ways};
use crate::story::Story;
use crate::swarm;
use crate::world::size::Size;
use crate::world::{Run, World};

/// A run that can be run again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Trace {
    /// How large its world is.
    pub size: Size,
    /// The seed that its nonces are made of.
    pub seed: u64,
    /// What was decided.
    pub ways: Ways,
}

/// What the text of a trace begins with: which form it has.
const FORM: &str = "t2.";

impl Trace {
    /// The trace of a seed, and what it came to.
    pub fn of(seed: u64, size: Size) -> (Self, Run) {
        let run = swarm::record(seed, size);
        (Self { size, seed, ways: run.ways.clone() }, run)
    }

    /// Runs it again. What is decided is recorded, for what was told in vain is not.
    pub fn run(&self, story: Story) -> Run {
        let choices = Choices::told(self.ways.clone(), self.seed).recording();
        World::new(choices, self.size, story).run(self.size)
    }
}

/// Decisions that were not the calm ones, by what they belong to, for people.
pub fn decisions(ways: &Ways) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    for (Place { scope, site, nth }, way) in ways {
        let (scope, one) = (name(*scope), format!("{site:?} {nth} → {way}"));
        match all.last_mut().filter(|(last, _)| *last == scope) {
            Some((_, ways)) => ways.extend([", ", &one]),
            None => all.push((scope, one)),
        }
    }
    all
}

fn name(scope: Scope) -> String {
    match scope {
        Scope::World => "the world".into(),
        Scope::Aim => "what faults fall on".into(),
        Scope::Weather(n) => format!("weather {n}"),
        Scope::Space(n) => format!("ns{n}"),
        Scope::Node(n) => format!("node {n}"),
        Scope::Turn(client, n) => format!("client {client}, turn {n}"),
        Scope::Thought(client, n) => format!("client {client} thinks after turn {n}"),
        Scope::Write(node, space, n) => format!("node {node}, write {n} about ns{space}"),
        Scope::Read(node, space, n) => format!("node {node}, read {n} about ns{space}"),
        Scope::Fleet => "the fleet".into(),
        Scope::Member(node) => format!("node {node} in the fleet"),
        Scope::Rolled(node) => format!("node {node} is restarted in its turn"),
        Scope::Survivor(node) => format!("node {node} once the faults stop"),
        Scope::Reply(node, space, n) => format!("node {node}, reply {n} about ns{space}"),
        Scope::Watch(node, space, n) => format!("node {node}, look {n} at ns{space}"),
        Scope::Begin(node, space, n) => format!("node {node}, operation {n} of ns{space}"),
        Scope::Compute(node, space, n) => format!("node {node}, computation {n} for ns{space}"),
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = postcard::to_allocvec(self).map_err(|_| fmt::Error)?;
        write!(f, "{FORM}{}", URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for Trace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("'{text}' is no trace: they begin with {FORM}");
        let bytes = text.strip_prefix(FORM).ok_or_else(bad)?;
        let bytes = URL_SAFE_NO_PAD.decode(bytes).map_err(|_| bad())?;
        let trace: Self = postcard::from_bytes(&bytes).map_err(|_| bad())?;
        let Size { nodes, spaces, .. } = trace.size;
        if nodes == 0 || spaces == 0 { Err(format!("'{text}' has no nodes")) } else { Ok(trace) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_runs_as_its_seed_did() {
        let (trace, run) = Trace::of(7, swarm::size(3, 10));
        let again = trace.run(Story::silent());
        assert_eq!((again.digest, again.events), (run.digest, run.events));
        assert_eq!(again.ways, trace.ways);
    }

    #[test]
    fn the_text_of_a_trace_is_the_trace() {
        let (trace, _) = Trace::of(7, swarm::size(3, 1));
        assert_eq!(trace.to_string().parse(), Ok(trace.clone()));
        for bad in ["", "t2.", "t1.AAAA", "t2.AAAA", &trace.to_string()[..40]] {
            assert!(bad.parse::<Trace>().is_err(), "{bad}");
        }
    }

    #[test]
    fn nothing_happens_in_a_calm_world() {
        let trace = Trace { size: swarm::size(3, 10), seed: 0, ways: Ways::new() };
        let run = trace.run(Story::silent());
        assert_eq!((run.broken, run.ops), (None, 1), "only the last question is asked");
    }
}
