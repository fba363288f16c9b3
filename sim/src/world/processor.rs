//! What waits until a processor is free, and how long it computes then.
//!
//! In production steps that compute for long wait for a thread (`runtime/src/compute.rs`) and merges for a
//! turn (`runtime/src/node/drive.rs`). Their time runs meanwhile, and so does everything else of the node.
//! What a machine has come to at one moment its service hears at a later one.

use sana_engine::machine::Machine;
use sana_engine::service::task::{Output, Start, TaskId};

use crate::choices::{Scope, Site};
use crate::guard::guarded;
use crate::oracles::Broken;
use crate::story::{Act, Lane};
use crate::world::World;
use crate::world::drive::Stepped;
use crate::world::node::{Computing, Queued};
use crate::world::profile::Fault;

/// How long something waits for a processor or computes at most, in milliseconds, if it is not for long.
const SHORT_MOST: u64 = 2_000;
/// How long a merge waits for its turn, in milliseconds (`runtime/src/node/drive.rs`), and what else computes
/// for long at most.
const TURN_TIME_MAX: u64 = 60_000;

impl World {
    /// What is to begin now: not what waits until a processor is free.
    pub(super) fn queue(
        &mut self,
        n: usize,
        space: usize,
        id: TaskId,
        start: Start,
    ) -> Option<Start> {
        let queued = self.profile.faults.queued;
        if !self.is_faulty || queued == 0 || !start.is_heavy() {
            return Some(start);
        }
        let began = self.nodes[n].began(space);
        self.choices.enter(Scope::Begin(n as u32, space as u32, began));
        // Merges are rare, and wait for one another beside.
        let long = if matches!(start, Start::Merge(_)) { queued } else { queued / 4 };
        let short = queued;
        let (most, is_long) =
            match self.choices.weigh(Site::Node, &[1_000 - short - long, short, long]) {
                1 => (SHORT_MOST, false),
                2 => (TURN_TIME_MAX, true),
                _ => return Some(start),
            };
        let has_no_turn = is_long && matches!(start, Start::Merge(_));
        let wait = if has_no_turn { most } else { self.choices.between(Site::Node, 1, most) };
        self.activations.count(Fault::Queued);
        let kind = if has_no_turn { "has no turn" } else { "waits for a processor" };
        self.tell(|| {
            Act::Does(Lane::Node(n), format!("task {} of ns{space} {kind}, {wait} ms", id.0))
        });
        let start = if has_no_turn { None } else { Some(start) };
        let hosted = self.nodes[n].hosted.get_mut(&space)?;
        hosted.queued.insert(id, Queued { start, until: self.now + wait });
        None
    }

    /// Begins what has waited until a processor was free. Whether there was any.
    pub(super) fn take_turns(&mut self, n: usize, space: usize) -> Result<bool, Broken> {
        let (now, mut did) = (self.now, false);
        let local = self.nodes[n].clock.at(now);
        while let Some(hosted) = self.nodes[n].hosted.get_mut(&space)
            && let Some((id, start)) = hosted.next_queued(now)
        {
            did = true;
            if let Some(start) = start {
                self.begin(n, space, id, start)?;
                continue;
            }
            self.activations.count(Fault::NoTurn);
            let Some(hosted) = self.nodes[n].hosted.get_mut(&space) else { return Ok(true) };
            let words = guarded(|| hosted.service.finished(local, id, Output::NoTurn))?;
            self.deliver_all(n, space, words)?;
        }
        while let Some(hosted) = self.nodes[n].hosted.get_mut(&space)
            && let Some((id, computing)) = hosted.next_computed(now)
        {
            did = true;
            let Computing { step, past, first, .. } = computing;
            self.stepped(n, space, id, (step, past, first))?;
        }
        Ok(did)
    }

    /// Whether a machine whose round is over has to wait until a processor is free.
    pub(super) fn queues(&mut self, n: usize, space: usize, id: TaskId) -> bool {
        let now = self.now;
        let Some(hosted) = self.nodes[n].hosted.get_mut(&space) else { return false };
        let Some(running) = hosted.tasks.get_mut(&id) else { return false };
        if running.queued_until.take().is_some() || !running.task.is_heavy() {
            return false;
        }
        let wait = self.busy_for(n, space, id, "waits for a processor");
        let Some(hosted) = self.nodes[n].hosted.get_mut(&space) else { return false };
        if let (Some(wait), Some(running)) = (wait, hosted.tasks.get_mut(&id)) {
            running.queued_until = Some(now + wait);
        }
        wait.is_some()
    }

    /// A machine computes what it comes to, which takes a while if it is heavy.
    pub(super) fn compute(
        &mut self,
        n: usize,
        space: usize,
        id: TaskId,
        is_heavy: bool,
        (step, past, first): Stepped,
    ) -> Result<(), Broken> {
        let wait = if is_heavy { self.busy_for(n, space, id, "computes") } else { None };
        let Some(wait) = wait else { return self.stepped(n, space, id, (step, past, first)) };
        let until = self.now + wait;
        if let Some(hosted) = self.nodes[n].hosted.get_mut(&space) {
            hosted.computing.insert(id, Computing { step, until, past, first });
        }
        Ok(())
    }

    /// For how many milliseconds a processor is busy with a step, or before it, if it is so for long.
    fn busy_for(&mut self, n: usize, space: usize, id: TaskId, does: &str) -> Option<u64> {
        let queued = self.profile.faults.queued;
        if !self.is_faulty || queued == 0 {
            return None;
        }
        let computed = self.nodes[n].computed(space);
        self.choices.enter(Scope::Compute(n as u32, space as u32, computed));
        let (short, long) = (queued / 2, queued / 16);
        let weights = [1_000 - short - long, short, long];
        let most = match self.choices.weigh(Site::Node, &weights) {
            1 => SHORT_MOST,
            2 => TURN_TIME_MAX,
            _ => return None,
        };
        let wait = self.choices.between(Site::Node, 1, most);
        self.activations.count(Fault::Computed);
        self.tell(|| {
            Act::Does(Lane::Node(n), format!("task {} of ns{space} {does}, {wait} ms", id.0))
        });
        Some(wait)
    }
}
