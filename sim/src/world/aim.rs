//! In two of three worlds with faults they fall on one kind of write.
//!
//! Some kinds are rare: a namespace begins once, ends seldom, and has few orphans. That just such a
//! write is late, and its sender crashes over it, hardly ever comes about where all requests fare
//! alike. So a world may have a kind of write that there is much of, and most of which go wrong. What is
//! rare among all worlds is frequent among these.

use core::time::Duration;

use sana_engine::service::settings::Settings;

use crate::choices::{self, Choices, Scope};
use crate::ledger::Site;
use crate::workload::Mix;
use crate::world::backend::Backend;
use crate::world::profile::Faults;

/// The kind of write that the faults of a world fall on, if there is one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Aim(Option<Site>);

/// What is aimed at, each as often. What is seldom written all the same stands here more than once.
const DRAWN: [Site; 23] = [
    Site::CommitHead,
    Site::CommitHead,
    Site::FirstHead,
    Site::LogObject,
    Site::LogObject,
    Site::Tombstone,
    Site::Tombstone,
    Site::FlushedPart,
    Site::FlushHead,
    Site::MergedPart,
    Site::MergedPart,
    Site::MergedPart,
    Site::MergedPart,
    Site::MergeHead,
    Site::MergeHead,
    Site::MergeHead,
    Site::MergeHead,
    Site::CollectHead,
    Site::CollectHead,
    Site::TrashDeletion,
    Site::SweepHead,
    Site::SweepHead,
    Site::OrphanDeletion,
];

/// How long clients think at most where something is aimed at that comes of much that is asked, in
/// milliseconds.
const THINK_MOST: u64 = 500;
/// The same where it takes many writes: several flushes make one merge.
const BUSY_MOST: u64 = 50;

impl Aim {
    /// What the faults of a seed's world fall on. A world without faults has nothing to aim with.
    pub fn draw(choices: &mut Choices, faults: &Faults) -> Self {
        choices.enter(Scope::Aim);
        let any = choices.choose(choices::Site::Profile, 3) > 0;
        let site = DRAWN[choices.choose(choices::Site::Profile, DRAWN.len())];
        Self((any && *faults != Faults::default()).then_some(site))
    }

    /// Whether there is anything.
    pub const fn is_set(self) -> bool {
        self.0.is_some()
    }

    /// Whether it is this.
    pub fn is_at(self, site: Option<Site>) -> bool {
        site.is_some() && self.0 == site
    }

    /// Sees to it that there is much of it.
    pub fn prepare(self, settings: &mut Settings, mix: &mut Mix, think: &mut u64) {
        let Some(site) = self.0 else { return };
        *think = THINK_MOST.min(*think);
        let soon = Duration::from_millis(100);
        match site {
            Site::FirstHead => mix.removals = 4,
            // Something is to be merged whenever a namespace ends.
            Site::Tombstone => {
                mix.removals = 4;
                settings.flush_after = soon;
                settings.flush_bytes = 200;
            }
            Site::LogObject => mix.large = 100,
            // Whoever is content with an old answer may get one that is older than he allows, if a
            // commit took long to be answered.
            Site::CommitHead => mix.stale = 800,
            Site::FlushedPart | Site::FlushHead => {}
            Site::MergedPart | Site::MergeHead => {
                *think = BUSY_MOST;
                settings.compacts = true;
                settings.flush_after = soon;
                settings.flush_bytes = 200;
            }
            Site::CollectHead | Site::TrashDeletion => {
                settings.flush_after = soon;
                settings.trash_retention = Duration::from_secs(1);
            }
            Site::SweepHead | Site::OrphanDeletion => {
                settings.sweep_every = Duration::from_secs(5);
            }
        }
    }

    /// What goes wrong with a write that is aimed at. Whether a loss is noticed is as in the whole
    /// world.
    pub fn faults(faults: &Faults, backend: &Backend) -> Faults {
        let far = |weight| if backend.is_remote { weight } else { 0 };
        Faults {
            dropped: 120,
            reply_lost: 120,
            late: far(120),
            throttled: 120,
            conflict: if backend.conflicts { 60 } else { 0 },
            twice: far(60),
            slow: far(100),
            crash: 300,
            pause: 40,
            ..*faults
        }
    }
}
