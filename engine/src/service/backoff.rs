//! What fails is tried again, ever more seldom.

use core::time::Duration;

use crate::base::time::Timestamp;

/// How often something failed, one time after the other, and when to try it again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Backoff {
    failed: u32,
    /// Not before this moment.
    pub(super) until: Timestamp,
}

/// The pause after work that was in vain.
pub(super) const PAUSE: Duration = Duration::from_millis(200);
/// How often the pause doubles after work that fails again and again: up to 51 seconds.
const DOUBLINGS: u32 = 8;
/// The same for what others wait for: up to 3.2 seconds.
const URGENT_DOUBLINGS: u32 = 4;

impl Backoff {
    pub(super) const fn new(now: Timestamp) -> Self {
        Self { failed: 0, until: now }
    }

    /// It failed once more.
    pub(super) fn failed(&mut self, now: Timestamp) {
        self.failed_up_to(now, DOUBLINGS);
    }

    /// It failed once more, and what waits for it grows: the pause ends at three seconds.
    pub(super) fn failed_urgently(&mut self, now: Timestamp) {
        self.failed_up_to(now, URGENT_DOUBLINGS);
    }

    fn failed_up_to(&mut self, now: Timestamp, doublings: u32) {
        self.failed = self.failed.saturating_add(1);
        self.until = now + PAUSE.saturating_mul(1 << self.failed.min(doublings));
    }

    /// Whether it may be tried.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        self.until <= now
    }

    /// Whether it failed, the last time.
    pub(super) const fn has_failed(&self) -> bool {
        self.failed > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_a_minute_and_of_what_is_urgent_to_three_seconds() {
        let mut backoff = Backoff::new(Timestamp(5));
        assert!(backoff.is_over(Timestamp(5)) && !backoff.has_failed());
        let mut pauses = Vec::new();
        for _ in 0..40 {
            backoff.failed(Timestamp(1_000));
            assert!(backoff.has_failed() && !backoff.is_over(Timestamp(backoff.until.0 - 1)));
            assert!(backoff.is_over(backoff.until));
            pauses.push(backoff.until.0 - 1_000);
        }
        assert_eq!(pauses[..4], [400, 800, 1_600, 3_200]);
        assert!(pauses[7..].iter().all(|pause| *pause == 51_200));
        backoff.failed_urgently(Timestamp(1_000));
        assert_eq!(backoff.until.0, 4_200);
    }
}
