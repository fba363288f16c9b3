//! What waits until a processor is free, and how long it computes then.
//!
//! In production what computes for long waits for a thread (`runtime/src/compute.rs`) and merges for a turn
//! (`runtime/src/node/drive.rs`). Their time runs meanwhile, and so does everything else of the node. What a
//! machine has come to at one moment its service hears at a later one.

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

/// How often, of a thousand, something is delayed for a short and for a long time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Often {
    short: u32,
    long: u32,
}

/// For how long something is delayed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Delay {
    millis: u64,
    is_long: bool,
}

impl World {
    /// What is to begin now: not what waits until a processor is free.
    pub(super) fn queue(
        &mut self,
        n: usize,
        space: usize,
        id: TaskId,
        start: Start,
    ) -> Option<Start> {
        if !start.is_heavy() || !self.is_faulty {
            return Some(start);
        }
        let is_merge = matches!(start, Start::Merge(_));
        let short = self.profile.faults.queued;
        // Merges are rare, and wait for one another beside.
        let often = Often { short, long: if is_merge { short } else { short / 4 } };
        let scope = Scope::Begin(n as u32, space as u32, self.nodes[n].began(space));
        let Some(Delay { mut millis, is_long }) = self.delay(scope, often) else {
            return Some(start);
        };
        let has_no_turn = is_merge && is_long;
        if has_no_turn {
            millis = TURN_TIME_MAX;
        }
        let does = if has_no_turn { "has no turn" } else { "waits for a processor" };
        self.tell_delay(n, space, id, does, millis);
        self.activations.count(Fault::Queued);
        let (start, until) = ((!has_no_turn).then_some(start), self.now + millis);
        let hosted = self.nodes[n].hosted.get_mut(&space)?;
        hosted.queued.insert(id, Queued { start, until });
        None
    }

    /// Begins what has waited until a processor was free, and ends what has computed. Whether there was any.
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
            hosted.purged.remove(&id);
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
        let Some(hosted) = self.nodes[n].hosted.get_mut(&space) else { return false };
        let Some(running) = hosted.tasks.get_mut(&id) else { return false };
        if running.queued_until.take().is_some() || !running.task.is_heavy() {
            return false;
        }
        let Some(delay) = self.delay_step(n, space) else { return false };
        self.tell_delay(n, space, id, "waits for a processor", delay);
        self.activations.count(Fault::Queued);
        let until = self.now + delay;
        let hosted = self.nodes[n].hosted.get_mut(&space);
        if let Some(running) = hosted.and_then(|hosted| hosted.tasks.get_mut(&id)) {
            running.queued_until = Some(until);
        }
        true
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
        let delay = if is_heavy { self.delay_step(n, space) } else { None };
        let Some(delay) = delay else { return self.stepped(n, space, id, (step, past, first)) };
        self.tell_delay(n, space, id, "computes", delay);
        self.activations.count(Fault::Computed);
        let until = self.now + delay;
        if let Some(hosted) = self.nodes[n].hosted.get_mut(&space) {
            hosted.computing.insert(id, Computing { step, until, past, first });
        }
        Ok(())
    }

    /// For how many milliseconds a step that computes for long is delayed, before it or by it.
    fn delay_step(&mut self, n: usize, space: usize) -> Option<u64> {
        if !self.is_faulty {
            return None;
        }
        let queued = self.profile.faults.queued;
        let often = Often { short: queued / 2, long: queued / 16 };
        let scope = Scope::Compute(n as u32, space as u32, self.nodes[n].computed(space));
        self.delay(scope, often).map(|delay| delay.millis)
    }

    fn delay(&mut self, scope: Scope, Often { short, long }: Often) -> Option<Delay> {
        if short == 0 {
            return None;
        }
        self.choices.enter(scope);
        let way = self.choices.weigh(Site::Node, &[1_000 - short - long, short, long]);
        let most = [None, Some(SHORT_MOST), Some(TURN_TIME_MAX)][way]?;
        let millis = self.choices.between(Site::Node, 1, most);
        Some(Delay { millis, is_long: most == TURN_TIME_MAX })
    }

    fn tell_delay(&mut self, n: usize, space: usize, id: TaskId, does: &str, millis: u64) {
        self.tell(|| {
            Act::Does(Lane::Node(n), format!("task {} of ns{space} {does}, {millis} ms", id.0))
        });
    }
}
