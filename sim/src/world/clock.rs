//! What the clocks of one node show.

use sana_engine::base::time::{Timestamp, WallTime};

/// A node's clocks: set to anything, and running at a rate of their own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Clock {
    /// What the clock for waiting showed when the world began, in milliseconds.
    pub ahead: u64,
    /// How fast it runs, in millionths.
    pub rate: u64,
    /// How far the calendar is off, in milliseconds.
    pub calendar_off: i64,
    /// How much too fast the calendar runs, in millionths.
    pub calendar_drift: i64,
    /// How long the clock for waiting stood still while its machine was suspended, in milliseconds.
    pub slept: u64,
}

/// How far the calendars of a world were ever apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Skew {
    /// How far any was behind, in milliseconds.
    behind: u64,
    /// How far any was ahead, in milliseconds.
    ahead: u64,
}

impl Skew {
    /// A calendar is set.
    pub fn set(&mut self, off: i64) {
        let by = off.unsigned_abs();
        let most = if off < 0 { &mut self.behind } else { &mut self.ahead };
        *most = by.max(*most);
    }

    /// The longest that what one node dated is too young for another, in milliseconds.
    pub const fn most(self) -> u64 {
        self.behind + self.ahead
    }

    /// The same, if what drifted until this time of the world is counted as well.
    pub const fn most_at(self, time: u64) -> u64 {
        self.most() + 2 * time * DRIFT_MOST.unsigned_abs() / 1_000_000
    }
}

/// The most that a calendar runs too fast or too slow, in millionths.
pub const DRIFT_MOST: i64 = 500;

/// When the world began, by the calendar.
const EPOCH: u64 = 1_800_000_000_000;

impl Clock {
    /// A clock that shows the time.
    pub const TRUE: Self =
        Self { ahead: 0, rate: 1_000_000, calendar_off: 0, calendar_drift: 0, slept: 0 };

    /// What the clock for waiting shows at this time of the world.
    pub const fn at(&self, time: u64) -> Timestamp {
        Timestamp(self.ahead + time.saturating_sub(self.slept) * self.rate / 1_000_000)
    }

    /// The first time of the world at which the clock for waiting shows this.
    pub const fn time_of(&self, shown: Timestamp) -> u64 {
        self.slept + (shown.0.saturating_sub(self.ahead) * 1_000_000).div_ceil(self.rate)
    }

    /// The longest time of the world, in milliseconds, that the clock for waiting calls no longer than
    /// this while nothing suspends it. It shows whole milliseconds, so it may lag by one.
    pub const fn longest(&self, shown: u64) -> u64 {
        ((shown + 1) * 1_000_000).div_ceil(self.rate)
    }

    /// What the calendar shows at this time of the world.
    pub const fn wall(&self, time: u64) -> WallTime {
        let drifted = time.cast_signed() * self.calendar_drift / 1_000_000;
        WallTime((EPOCH + time).saturating_add_signed(self.calendar_off + drifted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sleeps_until_a_moment_sees_it_when_woken() {
        for rate in [900_000, 1_000_000, 1_000_077, 1_100_000] {
            let clock = Clock { ahead: 86_400_000, rate, ..Clock::TRUE };
            for shown in 86_400_000..86_400_500 {
                let time = clock.time_of(Timestamp(shown));
                assert!(Timestamp(shown) <= clock.at(time), "at rate {rate}");
                assert!(time == 0 || clock.at(time - 1) < Timestamp(shown));
            }
        }
    }

    #[test]
    fn what_is_shown_as_so_long_was_no_longer() {
        for rate in [900_000, 1_000_000, 1_000_077, 1_100_000] {
            let clock = Clock { rate, ..Clock::TRUE };
            for (from, shown) in [0, 7, 123].into_iter().flat_map(|from| [(from, 0), (from, 50)]) {
                let until = (from..).take_while(|at| clock.at(*at).0 <= clock.at(from).0 + shown);
                let long = until.last().unwrap_or(from) - from;
                assert!(long <= clock.longest(shown), "{long} of {shown} at rate {rate}");
                assert!(clock.longest(shown) <= long + 2, "{long} of {shown} at rate {rate}");
            }
        }
    }

    #[test]
    fn a_clock_that_stood_still_shows_what_it_showed_before() {
        let clock = Clock { ahead: 7, rate: 900_000, ..Clock::TRUE };
        let slept = Clock { slept: 5_000, ..clock };
        assert_eq!(slept.at(15_000), clock.at(10_000));
        assert_eq!(slept.time_of(slept.at(15_000)), 15_000);
        assert_eq!(slept.wall(15_000), clock.wall(15_000));
    }
}
