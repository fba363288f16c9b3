//! Why a request to a bucket failed, what may be concluded, and what can be done about it.

use core::error::Error;
use core::time::Duration;
use std::sync::atomic::{AtomicU64, Ordering};

use sana_engine::base::time::Timestamp;
use sana_engine::machine::drive::Clock;
use sana_engine::machine::request::Reply;

use crate::clock::SystemClock;

/// Why a request failed. Messages hold no secret and no signed address.
#[derive(PartialEq, Eq, Debug, thiserror::Error)]
pub enum Fault {
    /// No connection came about, so nothing was sent. It did not happen and will not.
    #[error(
        "the store cannot be reached: {0}. Is AWS_ENDPOINT_URL (or AWS_REGION) right, and is the \
         network up?"
    )]
    Unreachable(String),
    /// The store is busy, and turned the request away. It did not happen and will not.
    #[error("the store is busy: {code}")]
    Busy {
        /// What the store said.
        code: String,
        /// How long it wants to be left alone, if it says so.
        pause: Option<Duration>,
    },
    /// The store refuses us. It did not happen and will not.
    #[error("the store answered {status} {code}: {advice}")]
    Refused {
        /// The status of the answer.
        status: u16,
        /// The store's word for the reason.
        code: String,
        /// What can be done about it.
        advice: String,
    },
    /// The clocks are too far apart for a signature. It did not happen; the next one is signed by
    /// the store's clock.
    #[error(
        "this machine's clock is {} s {} the store's: requests are signed by the store's from now \
         on; set the clock", ahead.abs() / 1_000, if *ahead > 0 { "behind" } else { "ahead of" }
    )]
    Clock {
        /// What the store's calendar shows less what ours does, in milliseconds.
        ahead: i64,
    },
    /// The name cannot be expressed in an address of S3. Nothing was sent.
    #[error("'{0}' cannot be the name of an object in S3")]
    Name(String),
    /// The answer is missing, cut, late, or does not say. Nothing is known.
    #[error("it is not known what became of a request: {0}")]
    Unclear(String),
}

impl Fault {
    /// No connection came about.
    pub(super) fn unreachable(error: &reqwest::Error) -> Self {
        Self::Unreachable(causes(error))
    }

    /// The connection failed when something had been sent.
    pub(super) fn broken(error: &reqwest::Error) -> Self {
        Self::Unclear(causes(error))
    }

    /// Whether it may be over soon without anybody doing anything.
    pub const fn may_pass(&self) -> bool {
        !matches!(self, Self::Refused { .. } | Self::Name(_))
    }

    /// What the asker is told.
    pub(super) const fn reply(&self) -> Reply {
        match self {
            Self::Unreachable(_)
            | Self::Busy { .. }
            | Self::Refused { .. }
            | Self::Clock { .. }
            | Self::Name(_) => Reply::Throttled,
            Self::Unclear(_) => Reply::Lost,
        }
    }

    /// Tells the operator, once a second, for they come in swarms.
    pub(super) fn log(&self) {
        static QUIET_UNTIL: AtomicU64 = AtomicU64::new(0);
        let Timestamp(now) = SystemClock.now();
        let claim = |until: u64| (until <= now).then_some(now + 1_000);
        if QUIET_UNTIL.fetch_update(Ordering::Relaxed, Ordering::Relaxed, claim).is_err() {
            return;
        }
        match self {
            Self::Refused { .. } | Self::Name(_) => tracing::error!("{self}"),
            _ => tracing::warn!("{self}"),
        }
    }
}

/// What an error says, down to its root, without the address.
fn causes(error: &reqwest::Error) -> String {
    // What wraps the others tells the address and nothing else.
    let mut cause = error.source();
    let mut words = Vec::new();
    while let Some(error) = cause {
        let word = error.to_string();
        if words.last() != Some(&word) {
            words.push(word);
        }
        cause = error.source();
    }
    if words.is_empty() { "the connection failed".to_owned() } else { words.join(": ") }
}
