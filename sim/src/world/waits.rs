//! Who waits for what, in words: what is said of a world that does not get quiet.

use std::fmt::Debug;

use crate::words;
use crate::world::World;
use crate::world::clients::Waiting;
use crate::world::node::{Hosted, Node};
use crate::world::quiet::Restless;

/// So much that is not quiet is told, at most.
const TOLD_MAX: usize = 4;

impl World {
    /// All that is not quiet: clients without an answer, namespaces that lack something, and what each of
    /// their nodes does about it.
    pub(super) fn who_waits(&self) -> String {
        let mut lines = Vec::new();
        let (mut at, mut told) = (0, Vec::new());
        while let Some(restless) = self.next_restless(&mut at) {
            if told.len() == TOLD_MAX || told.contains(&restless) {
                break;
            }
            told.push(restless);
            let space = match restless {
                Restless::Client(c) => {
                    let client = &self.clients[c];
                    let asked = client.waiting.as_ref();
                    let asked = asked.map_or_else(String::new, Waiting::in_words);
                    lines.push(format!("client {c} of ns{} waits for {asked}", client.space));
                    client.space
                }
                Restless::Space(s) => {
                    lines.extend(self.lacks(s));
                    s
                }
            };
            let nodes = &self.spaces[space].nodes;
            lines.extend(nodes.iter().map(|n| self.node_waits(*n, space)));
            at += 1;
        }
        lines.join("\n")
    }

    /// What a node does about a namespace.
    pub(super) fn node_waits(&self, n: usize, space: usize) -> String {
        let node = &self.nodes[n];
        let Node { role, life, is_gone, is_cut, is_up, .. } = node;
        let state = match (is_gone, is_cut, is_up) {
            (true, _, _) => "dead for ever",
            (_, true, _) => "cut off for ever",
            (_, _, false) => "down",
            _ if self.now < node.paused_until => "standing still",
            _ => "up",
        };
        let about = match node.hosted.get(&space) {
            Some(hosted) => self.service_waits(node, hosted),
            None => "has nothing of it".into(),
        };
        format!("  node {n} ({role:?}, life {life}, {state}) {about}")
    }

    fn service_waits(&self, node: &Node, hosted: &Hosted) -> String {
        let (local, wall) = (node.clock.at(self.now), node.clock.wall(self.now));
        let knows = match hosted.service.head() {
            Some(head) => format!("knows step {}", head.step.0),
            None => "knows of no head".into(),
        };
        let wakes = match hosted.service.wake_at(local, wall) {
            Some(at) => format!("is to be woken in {} ms", at.0.saturating_sub(local.0)),
            None => "is not to be woken".into(),
        };
        let tasks = hosted.tasks.iter().map(|(id, running)| {
            let (state, round) = (state_of(&running.task), running.past.round);
            if let Some(until) = running.queued_until {
                let left = until.saturating_sub(self.now);
                return format!(
                    "\n    task {}, {state}, round {round} is over, waits {left} ms more for a processor",
                    id.0
                );
            }
            let asks: Vec<String> = running.flight.unanswered().map(words::request).collect();
            let left = running.flight.until().0.saturating_sub(local.0);
            let asks = if asks.is_empty() { "nothing".into() } else { asks.join(", ") };
            format!("\n    task {}, {state}, round {round}, waits {left} ms more for {asks}", id.0)
        });
        let queued = hosted.queued.iter().map(|(id, queued)| {
            let left = queued.until.saturating_sub(self.now);
            format!("\n    task {}, has not begun, waits {left} ms more for a processor", id.0)
        });
        let computing = hosted.computing.iter().map(|(id, computing)| {
            let left = computing.until.saturating_sub(self.now);
            format!("\n    task {}, computes {left} ms more", id.0)
        });
        let tasks: String = tasks.chain(queued).chain(computing).collect();
        format!("{knows}, {wakes}{}{tasks}", if tasks.is_empty() { ", runs nothing" } else { "" })
    }
}

/// The name of a machine and of the state it is in.
fn state_of(task: &impl Debug) -> String {
    let text = format!("{task:?}");
    let name =
        |text: &str| -> String { text.chars().take_while(|c| c.is_alphanumeric()).collect() };
    let state = ["state: ", "stage: "].into_iter().find_map(|field| text.split_once(field));
    let state = state.map_or_else(String::new, |(_, state)| format!(" {}", name(state)));
    format!("{}{state}", name(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    #[expect(dead_code, reason = "only its words are looked at")]
    enum Task {
        Sweep(Sweep),
    }

    #[derive(Debug)]
    #[expect(dead_code, reason = "only its words are looked at")]
    struct Sweep {
        plan: u32,
        state: State,
    }

    #[derive(Debug)]
    #[expect(dead_code, reason = "only its words are looked at")]
    enum State {
        Listing(u32),
    }

    #[test]
    fn a_machine_is_named_with_its_state() {
        let task = Task::Sweep(Sweep { plan: 1, state: State::Listing(2) });
        assert_eq!(state_of(&task), "Sweep Listing");
    }
}
