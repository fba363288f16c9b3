//! One namespace on a node: its service under a lock, and its keeper.

use core::time::Duration;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sana_engine::base::name::NamespaceName;
use sana_engine::base::time::Timestamp;
use sana_engine::machine::drive::Clock;
use sana_engine::service::cache::Keep;
use sana_engine::service::namespace::{NamespaceService, Ticket, Word};
use sana_engine::service::settings::Settings;
use sana_engine::service::task::{Output, Start, TaskId};
use tokio::sync::{Notify, oneshot, watch};

use super::Node;
use super::crash::caught;
use super::reads::Reads;
use crate::compute::Crashed;
use crate::outliving::Outliving;
use crate::{clock, entropy};

/// A namespace in memory.
#[derive(Debug)]
pub(super) struct Hosted {
    pub(super) name: NamespaceName,
    state: Mutex<State>,
    /// The keeper has to look again when to wake.
    sooner: Notify,
    /// Whether it has crashed. Its operations end then, as those of a process do.
    has_crashed: watch::Sender<bool>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) service: NamespaceService,
    pub(super) waiting: Waiting,
    /// When it was last asked for.
    asked_at: Timestamp,
    /// When the keeper wakes.
    keeper_at: Timestamp,
    /// It crashed or was idle. Whoever finds it so starts anew.
    is_over: bool,
}

/// Who waits for which ticket.
pub(super) type Waiting = BTreeMap<Ticket, oneshot::Sender<(Word, Reads)>>;

/// The operations a service wants begun.
type Starts = Vec<(TaskId, Start)>;

/// A namespace in memory that is over.
struct Over;

/// How long a namespace stays in memory after it was last asked for, if it has nothing to do.
pub(super) const IDLE_TIME: Duration = Duration::from_mins(5);
/// How often it is looked whether one that had something to do has it still.
const IDLE_PAUSE: Duration = Duration::from_secs(10);
/// The least time between two looks of a keeper: what is overdue and cannot begin yet is begun by
/// what ends before it.
const KEEPER_PAUSE: Duration = Duration::from_millis(10);

impl Hosted {
    pub(super) fn new(now: Timestamp, name: NamespaceName, settings: Settings) -> Self {
        let state = State {
            service: NamespaceService::new(now, name.clone(), settings),
            waiting: BTreeMap::new(),
            asked_at: now,
            keeper_at: now,
            is_over: false,
        };
        let (has_crashed, _) = watch::channel(false);
        Self { name, state: Mutex::new(state), sooner: Notify::new(), has_crashed }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Panics under the lock are caught before the lock is let go.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes committed and not indexed, as far as is known.
    pub(super) fn unindexed_bytes(&self) -> u64 {
        let state = self.state();
        let live = state.service.head().and_then(|head| head.live());
        live.map_or(0, |live| live.log.unindexed_bytes())
    }

    /// Whether nothing is left to flush or to merge.
    pub(super) fn is_settled(&self) -> bool {
        self.state().service.is_settled()
    }

    /// Changes the state and says what is to be begun then. A panic is a crash (O1): it is over, and
    /// who waits hears that by losing the other end.
    fn change(
        &self,
        now: Timestamp,
        change: impl FnOnce(&mut State),
    ) -> Result<Result<Starts, Crashed>, Over> {
        let mut state = self.state();
        if state.is_over {
            return Err(Over);
        }
        let changed = catch_unwind(AssertUnwindSafe(|| {
            change(&mut state);
            // What is over has nobody who would hear of what is begun.
            if state.is_over { Starts::new() } else { self.due(&mut state, now) }
        }));
        Ok(changed.map_err(|_| {
            state.end();
            Crashed
        }))
    }

    /// What is to be begun now. Wakes the keeper if it would wake too late for what comes after.
    fn due(&self, state: &mut State, now: Timestamp) -> Starts {
        let wall = clock::wall_time();
        let starts = state.service.due(now, wall, entropy::seed());
        let wake_at = state.service.wake_at(now, wall).map(|at| at.max(now + KEEPER_PAUSE));
        if let Some(at) = wake_at.filter(|at| *at < state.keeper_at) {
            state.keeper_at = at;
            self.sooner.notify_one();
        }
        starts
    }

    /// Ends it, as its keeper does, if it is idle.
    #[cfg(test)]
    pub(super) fn ends_if_idle(&self, now: Timestamp) -> bool {
        let mut state = self.state();
        let is_idle = state.is_idle(now);
        if is_idle {
            state.end();
        }
        is_idle
    }

    /// It has crashed: it is over, and so are its operations.
    fn crash(&self) {
        self.state().end();
        self.has_crashed.send_replace(true);
        self.sooner.notify_one();
    }

    /// Waits until it has crashed.
    async fn crashes(&self) {
        let mut has_crashed = self.has_crashed.subscribe();
        // The sender is here, so it does not go away meanwhile.
        let _ = has_crashed.wait_for(|crashed| *crashed).await;
    }

    /// When the keeper is to wake.
    fn keeper_at(&self, now: Timestamp) -> Timestamp {
        let mut state = self.state();
        let wake_at = state.service.wake_at(now, clock::wall_time());
        let idle_at = state.asked_at + IDLE_TIME;
        let idle_at = if now < idle_at { idle_at } else { now + IDLE_PAUSE };
        state.keeper_at = wake_at.map_or(idle_at, |at| at.min(idle_at)).max(now + KEEPER_PAUSE);
        state.keeper_at
    }
}

impl State {
    fn end(&mut self) {
        self.is_over = true;
        self.waiting.clear();
    }

    /// Whether nobody waits and nothing runs, and the store has nothing under this name either. A name
    /// that was only asked about is not kept for later.
    fn is_nothing(&self) -> bool {
        self.has_nothing_to_do() && self.service.head().is_none()
    }

    fn is_idle(&self, now: Timestamp) -> bool {
        self.asked_at + IDLE_TIME <= now && self.has_nothing_to_do()
    }

    fn has_nothing_to_do(&self) -> bool {
        self.waiting.is_empty() && self.service.is_idle()
    }
}

impl Node {
    /// Hands something to a namespace's service under a fresh ticket and waits for the answer.
    pub(super) async fn ask(
        &self,
        name: &NamespaceName,
        hand: impl FnOnce(&mut NamespaceService, Ticket),
    ) -> Result<(Word, Reads), Crashed> {
        let (say, mut hear) = oneshot::channel();
        let (hosted, starts) = self.hand(name, |state| {
            let ticket = self.shared.ticket();
            hand(&mut state.service, ticket);
            state.waiting.insert(ticket, say);
        })?;
        let heard = match self.begin_others(&hosted, starts) {
            // A client waits for it, probably this one. A task of its own would change threads.
            Some((id, start)) => {
                let mut work = Outliving::new(self.clone().run(hosted, id, start));
                tokio::select! {
                    biased;
                    heard = &mut hear => heard,
                    _ = &mut work => hear.await,
                }
            }
            None => hear.await,
        };
        heard.map_err(|_| Crashed)
    }

    /// Hands something to a namespace's service; what it wants begun.
    pub(super) fn hand(
        &self,
        name: &NamespaceName,
        hand: impl FnOnce(&mut State),
    ) -> Result<(Arc<Hosted>, Starts), Crashed> {
        let mut hand = Some(hand);
        loop {
            let (hosted, now) = (self.hosted(name), self.shared.clock.now());
            let changed = hosted.change(now, |state| {
                state.asked_at = now;
                if let Some(hand) = hand.take() {
                    hand(state);
                }
            });
            match changed {
                Ok(Ok(starts)) => return Ok((hosted, starts)),
                Ok(Err(Crashed)) => {
                    self.crashed(&hosted);
                    return Err(Crashed);
                }
                // It ended between two looks, and the next look makes it anew.
                Err(Over) => self.forget(&hosted),
            }
        }
    }

    /// Drops what is in memory of a namespace: all of it, if it has nothing to do.
    pub(super) fn drop_from_memory(&self, name: &NamespaceName) -> Result<(), Crashed> {
        let hosted = self.shared.namespaces().get(name).cloned();
        let Some(hosted) = hosted else { return Ok(()) };
        let now = self.shared.clock.now();
        let changed = hosted.change(now, |state| {
            state.service.purge();
            if state.has_nothing_to_do() {
                state.end();
            }
        });
        match changed {
            Ok(Ok(starts)) => self.begin(&hosted, starts),
            Ok(Err(Crashed)) => {
                self.crashed(&hosted);
                return Err(Crashed);
            }
            Err(Over) => {}
        }
        // Its keeper sees whether it is over.
        hosted.sooner.notify_one();
        Ok(())
    }

    /// The namespace in memory; brought there if it is not.
    fn hosted(&self, name: &NamespaceName) -> Arc<Hosted> {
        let now = self.shared.clock.now();
        let mut namespaces = self.shared.namespaces();
        if let Some(hosted) = namespaces.get(name) {
            return Arc::clone(hosted);
        }
        let hosted = Arc::new(Hosted::new(now, name.clone(), self.shared.settings));
        namespaces.insert(name.clone(), Arc::clone(&hosted));
        drop(namespaces);
        tokio::spawn(self.clone().keep(Arc::clone(&hosted)));
        hosted
    }

    fn forget(&self, hosted: &Arc<Hosted>) {
        let mut namespaces = self.shared.namespaces();
        if namespaces.get(&hosted.name).is_some_and(|other| Arc::ptr_eq(other, hosted)) {
            namespaces.remove(&hosted.name);
        }
    }

    fn crashed(&self, hosted: &Arc<Hosted>) {
        tracing::error!(namespace = %hosted.name, "an invariant did not hold; starting over");
        self.shared.metrics.crashed();
        hosted.crash();
        self.forget(hosted);
    }

    pub(super) fn begin(&self, hosted: &Arc<Hosted>, starts: Starts) {
        for (id, start) in starts {
            tokio::spawn(self.clone().run(Arc::clone(hosted), id, start));
        }
    }

    /// Begins all but one that clients wait for, which is left to whoever asks.
    fn begin_others(&self, hosted: &Arc<Hosted>, mut starts: Starts) -> Option<(TaskId, Start)> {
        let first = starts.iter().position(|(_, start)| !start.is_upkeep());
        let first = first.map(|place| starts.swap_remove(place));
        self.begin(hosted, starts);
        first
    }

    /// Runs one operation to its end, and what comes next.
    async fn run(self, hosted: Arc<Hosted>, id: TaskId, start: Start) {
        let mut next = Some((id, start));
        while let Some((id, start)) = next.take() {
            let keep = Keep::of(&start);
            let driven = tokio::select! {
                biased;
                driven = caught(self.shared.drive(start, keep)) => driven,
                () = hosted.crashes() => return,
            };
            match driven {
                Ok(Ok((output, reads))) => next = self.finished(&hosted, id, output, reads),
                Ok(Err(Crashed)) | Err(Crashed) => self.crashed(&hosted),
            }
            // Whoever waits for what just ended must not wait for what comes next.
            if next.is_some() {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Says how an operation ended and begins what comes next, but for one thing.
    fn finished(
        &self,
        hosted: &Arc<Hosted>,
        id: TaskId,
        output: Output,
        reads: Reads,
    ) -> Option<(TaskId, Start)> {
        let now = self.shared.clock.now();
        let mut is_nothing = false;
        let changed = hosted.change(now, |state| {
            for (ticket, word) in state.service.finished(now, id, output) {
                if let Some(say) = state.waiting.remove(&ticket) {
                    // Whoever does not listen any more does not want to know (O3).
                    let _ = say.send((word, reads));
                }
            }
            is_nothing = state.is_nothing();
            if is_nothing {
                state.end();
            }
        });
        if is_nothing {
            self.forget(hosted);
            hosted.sooner.notify_one();
        }
        match changed {
            Ok(Ok(starts)) => return self.begin_others(hosted, starts),
            Ok(Err(Crashed)) => self.crashed(hosted),
            // It crashed meanwhile: what this operation did stands in the store.
            Err(Over) => {}
        }
        None
    }

    /// Wakes a namespace's service when it is time, and drops it from memory when it is idle.
    async fn keep(self, hosted: Arc<Hosted>) {
        loop {
            let until = hosted.keeper_at(self.shared.clock.now());
            tokio::select! {
                () = hosted.sooner.notified() => {}
                () = self.shared.clock.sleep(until) => {}
            }
            let now = self.shared.clock.now();
            let changed = hosted.change(now, |state| {
                if state.is_idle(now) {
                    state.end();
                }
            });
            match changed {
                Ok(Ok(starts)) => self.begin(&hosted, starts),
                Ok(Err(Crashed)) => self.crashed(&hosted),
                Err(Over) => {
                    self.forget(&hosted);
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It began what nobody would hear the end of.
    #[test]
    fn what_ends_begins_nothing_more() {
        for ends in [false, true] {
            let docs = NamespaceName::parse("docs").unwrap();
            let hosted = Hosted::new(Timestamp(0), docs, Settings::default());
            let changed = hosted.change(Timestamp(0), |state| {
                state.service.look();
                if ends {
                    state.end();
                }
            });
            let Ok(Ok(starts)) = changed else { panic!("it was not over") };
            assert_eq!(starts.is_empty(), ends, "{starts:?}");
        }
    }
}
