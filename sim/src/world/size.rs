//! How large a world is, and how much its clients ask.

use core::time::Duration;

use sana_engine::service::settings::Settings;
use serde::{Deserialize, Serialize};

use crate::store::Kind;
use crate::world::profile::Profile;
use crate::world::weather::Climate;

/// A world with more namespaces is large.
const SPACES_FEW: usize = 2_000;
/// How long a client of an idle fleet thinks, in milliseconds, at most: two days.
const IDLE_THINK: u64 = 172_800_000;

/// How much clients ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Pace {
    /// As the seed draws it, and nodes have no patience.
    #[default]
    Drawn,
    /// After thinking for up to so many milliseconds, in every namespace.
    Steady(u32),
    /// A few times a day, and nodes have the settings that they have in production.
    Idle,
    /// As steadily, and nodes have the settings that they have in production.
    Patient(u32),
}

impl Pace {
    /// Whether nodes have the settings that they have in production.
    pub(super) const fn is_of_production(self) -> bool {
        matches!(self, Self::Idle | Self::Patient(_))
    }
}

/// How large a world is, and which store it has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Size {
    /// Nodes.
    pub nodes: usize,
    /// Namespaces.
    pub spaces: usize,
    /// Nodes that have to do with a namespace.
    pub nodes_per_space: usize,
    /// Clients of a namespace.
    pub clients_per_space: usize,
    /// How long clients go on asking, in milliseconds.
    pub busy: u64,
    /// What the store keeps of its promises.
    pub store: Kind,
    /// How much clients ask.
    pub pace: Pace,
}

/// Whether there are so many namespaces that nodes look for orphans once an hour, that those
/// who are cut off for ever are taken away in the end, and that large texts are rare.
pub const fn is_large(spaces: usize) -> bool {
    spaces > SPACES_FEW
}

impl Size {
    /// Makes a drawn profile one of a world of this size and pace.
    pub(super) fn shape(self, profile: &mut Profile) {
        if is_large(self.spaces) {
            profile.mix.spare_memory();
            profile.cache_bytes = 0;
            let often = profile.settings.sweep_every;
            profile.settings.sweep_every = Duration::from_hours(1).max(often);
        }
        if self.pace.is_of_production() {
            profile.settings = Settings::default();
        }
        match self.pace {
            Pace::Drawn => {}
            Pace::Idle => {
                profile.weather = Climate::default();
                profile.think = IDLE_THINK;
            }
            Pace::Steady(think) | Pace::Patient(think) => profile.think = think.into(),
        }
    }
}
