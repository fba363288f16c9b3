//! Takes one operation from its beginning to its output.

use core::time::Duration;

use sana_engine::machine::drive::{Clock, fly};
use sana_engine::machine::{Machine, Step};
use sana_engine::service::cache::Keep;
use sana_engine::service::task::{Output, Start, Task};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout};

use super::Shared;
use super::reads::{Reads, Tally};
use crate::compute::{Compute, Crashed};

/// How long a merge waits for its turn. Its time runs meanwhile, so it gives up early, and comes back with
/// all of its time: else everyone who waited for long would have too little left, and fail.
const TURN_TIME_MAX: Duration = Duration::from_mins(1);

impl Shared {
    /// Runs one operation. Steps that compute for long do so on the threads for it.
    pub(super) async fn drive(&self, start: Start, keep: Keep) -> Result<(Output, Reads), Crashed> {
        let _turn = match start {
            Start::Merge(_) => match turn(&self.merges).await {
                Some(turn) => Some(turn),
                None => return Ok((Output::NoTurn, Reads::default())),
            },
            _ => None,
        };
        let (began, kind) = (Instant::now(), kind(&start));
        let compute = if start.is_upkeep() { &self.background } else { &self.foreground };
        let tally = Tally::new(&self.store, keep);
        let mut step = self.begin(compute, start).await?;
        loop {
            match step {
                Step::Done(output) => {
                    self.metrics.operation(kind, began.elapsed());
                    self.store.heed(&output);
                    return Ok((output, tally.reads()));
                }
                Step::Wait(machine, round) => {
                    let replies = fly(&tally, &self.clock, round).await;
                    let clock = self.clock;
                    step = if machine.is_heavy() {
                        compute.run(move || machine.step(clock.now(), replies)).await?
                    } else {
                        machine.step(clock.now(), replies)
                    };
                }
            }
        }
    }

    async fn begin(&self, compute: &Compute, start: Start) -> Result<Step<Task>, Crashed> {
        let clock = self.clock;
        if start.is_heavy() {
            compute.run(move || start.begin(clock.now())).await
        } else {
            Ok(start.begin(clock.now()))
        }
    }
}

/// Waits for a turn, but not for long.
async fn turn(merges: &Semaphore) -> Option<SemaphorePermit<'_>> {
    timeout(TURN_TIME_MAX, merges.acquire()).await.ok()?.ok()
}

/// The word for an operation in metrics.
const fn kind(start: &Start) -> &'static str {
    match start {
        Start::Refresh { .. } => "refresh",
        Start::Commit(..) => "commit",
        Start::Publication(..) => "publication",
        Start::Delete { .. } => "delete",
        Start::Query { .. } => "query",
        Start::Flush { .. } => "flush",
        Start::Merge(_) => "merge",
        Start::Collect(..) => "collect",
        Start::Sweep { .. } => "sweep",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_has_no_turn_after_a_minute_gives_up_its_place() {
        let merges = Semaphore::new(1);
        let first = turn(&merges).await;
        assert!(first.is_some());
        let began = Instant::now();
        assert!(turn(&merges).await.is_none());
        assert_eq!(began.elapsed(), TURN_TIME_MAX);
        let (second, ()) = tokio::join!(turn(&merges), async {
            tokio::time::sleep(TURN_TIME_MAX / 2).await;
            drop(first);
        });
        assert!(second.is_some());
    }
}
