//! The clocks of this process: the only caller of the system's clocks.
//!
//! # Invariants
//!
//! - **C1** All [`SystemClock`]s of a process show the same time, which never goes back. It counts
//!   from the first look at any of them and means nothing to another process.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sana_engine::base::time::{Timestamp, WallTime};
use sana_engine::machine::drive::Clock;
use tokio::time::Instant;

/// The moment from which all clocks of this process count.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The monotonic clock of this process. Sleeping on it needs a Tokio runtime with timers.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let elapsed = Instant::now().saturating_duration_since(*START);
        Timestamp(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
    }

    async fn sleep(&self, until: Timestamp) {
        match START.checked_add(Duration::from_millis(until.0)) {
            Some(moment) => tokio::time::sleep_until(moment).await,
            // A moment that the system cannot express does not come.
            None => core::future::pending().await,
        }
    }
}

/// What the calendar says. A calendar set before 1970 says 1970.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the calendar")]
pub fn wall_time() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sleeper_wakes_when_the_clock_shows_the_moment_or_later() {
        let clock = SystemClock;
        let until = clock.now() + Duration::from_millis(5);
        clock.sleep(until).await;
        assert!(clock.now() >= until);
        clock.sleep(Timestamp(0)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_moment_beyond_all_time_does_not_come() {
        let year = Duration::from_hours(365 * 24);
        let waited = tokio::time::timeout(year, SystemClock.sleep(Timestamp(u64::MAX))).await;
        assert!(waited.is_err());
    }

    #[test]
    fn the_calendar_is_past_the_day_this_was_written() {
        assert!(wall_time() > WallTime(1_767_225_600_000), "2026 began");
    }
}
