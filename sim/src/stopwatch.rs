//! How long something took, for people to read. Nothing is decided by it.

use std::time::Instant;

/// The seconds since something began.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Begins to measure.
    #[expect(clippy::disallowed_methods, reason = "only to say how long something took")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The seconds since.
    pub fn seconds(&self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}
