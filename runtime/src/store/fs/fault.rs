//! Why a request to a folder failed, and what may be concluded.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;
use sana_engine::base::time::Timestamp;
use sana_engine::machine::drive::Clock;
use sana_engine::machine::request::{Reply, Request};

use super::format::Damage;
use crate::clock::SystemClock;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The system refused before anything had happened: the disk is full, a permission is missing.
    /// The request did not happen and will not.
    #[error("{doing}: {error}")]
    Before { doing: &'static str, error: io::Error },
    /// The system failed when something may have happened. Nothing is known.
    #[error("{doing}: {error}")]
    After { doing: &'static str, error: io::Error },
    /// The object's file is damaged. The request did not happen and will not.
    #[error(
        "the file {} is damaged: {damage}. Restore it from a copy, or remove it to give up the object",
        path.display()
    )]
    Damaged { path: PathBuf, damage: Damage },
}

impl Fault {
    /// The system refused before anything had happened.
    pub(super) fn before(doing: &'static str, error: impl Into<io::Error>) -> Self {
        Self::Before { doing, error: error.into() }
    }

    /// The system failed when something may have happened.
    pub(super) fn after(doing: &'static str, error: impl Into<io::Error>) -> Self {
        Self::After { doing, error: error.into() }
    }

    /// The system refused to change a directory. Only if the device failed may it have done so.
    pub(super) fn changing(doing: &'static str, error: io::Error) -> Self {
        if error.raw_os_error() == Some(Errno::IO.raw_os_error()) {
            Self::After { doing, error }
        } else {
            Self::Before { doing, error }
        }
    }

    /// The file of this path is damaged.
    pub(super) fn damaged(path: &Path, damage: Damage) -> Self {
        Self::Damaged { path: path.to_owned(), damage }
    }

    /// What the asker is told. Damage is no absence: whoever asks must not go on as if the object
    /// were missing or old. Nor does it pass: a put is refused, for its condition cannot be shown to
    /// hold, and whoever then looks why finds the damage.
    pub(super) const fn reply(&self, request: &Request) -> Reply {
        match (self, request) {
            (Self::Damaged { .. }, Request::Get { .. }) => Reply::Unreadable,
            (Self::Damaged { .. }, Request::Put { .. }) => Reply::Refused,
            (Self::Before { .. } | Self::Damaged { .. }, _) => Reply::Throttled,
            (Self::After { .. }, _) => Reply::Lost,
        }
    }

    /// Tells the operator. Damage always; the others, which come in swarms, once a second.
    pub(super) fn log(&self) {
        static QUIET_UNTIL: AtomicU64 = AtomicU64::new(0);
        if let Self::Damaged { .. } = self {
            tracing::error!("{self}");
            return;
        }
        let Timestamp(now) = SystemClock.now();
        let claim = |until: u64| (until <= now).then_some(now + 1_000);
        if QUIET_UNTIL.fetch_update(Ordering::Relaxed, Ordering::Relaxed, claim).is_ok() {
            tracing::warn!("the folder turned a request away: {self}");
        }
    }
}
