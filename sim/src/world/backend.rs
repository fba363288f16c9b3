//! The stores that there are: what each is like, what can go wrong with it, and how it is used.
//!
//! A fault that a store cannot have is not drawn for it. How the runtime understands what each of them
//! answers is tested where the answers are real (`tests/tests/s3.rs`).

use crate::choices::{Choices, Site};
use crate::store::{Kind, Tags};

/// What a store is like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Backend {
    /// Which one it is.
    pub kind: Kind,
    /// How it makes its tags.
    pub tags: Tags,
    /// How long a request is on its way to it and back, at least and at most, in milliseconds.
    pub latency: ([u64; 3], [u64; 3]),
    /// The least time between two writes of one object, in milliseconds.
    pub write_every: u64,
    /// Whether it refuses a write for a change under way, though the condition holds (409).
    pub conflicts: bool,
    /// Whether there is a network between, where requests get lost, wait and are doubled.
    pub is_remote: bool,
    /// Whether it knows by itself that an object is damaged.
    pub checks: bool,
}

const FAR: ([u64; 3], [u64; 3]) = ([1, 5, 20], [25, 60, 400]);
const NEAR: ([u64; 3], [u64; 3]) = ([1, 1, 5], [25, 25, 60]);
const COUNTED: Tags = Tags::Counted { last: 0 };

/// The sound ones, the calmest first.
const SOUND: [Backend; 6] = [
    Backend {
        kind: Kind::Folder,
        tags: COUNTED,
        latency: NEAR,
        write_every: 0,
        conflicts: false,
        is_remote: false,
        checks: true,
    },
    Backend {
        kind: Kind::S3,
        tags: Tags::Digested,
        latency: FAR,
        write_every: 0,
        conflicts: true,
        is_remote: true,
        checks: false,
    },
    Backend {
        kind: Kind::Azure,
        tags: COUNTED,
        latency: FAR,
        write_every: 0,
        conflicts: true,
        is_remote: true,
        checks: false,
    },
    Backend {
        kind: Kind::Minio,
        tags: Tags::Digested,
        latency: NEAR,
        write_every: 0,
        conflicts: false,
        is_remote: true,
        checks: true,
    },
    Backend {
        kind: Kind::Gcs,
        tags: COUNTED,
        latency: FAR,
        write_every: 1_000,
        conflicts: false,
        is_remote: true,
        checks: false,
    },
    Backend {
        kind: Kind::R2,
        tags: Tags::Digested,
        latency: FAR,
        write_every: 1_000,
        conflicts: false,
        is_remote: true,
        checks: false,
    },
];

impl Backend {
    /// The store of a world: the one asked for, or one of the sound ones. A weak one is like S3.
    ///
    /// # Panics
    ///
    /// Never: every sound kind is among them.
    pub fn draw(choices: &mut Choices, kind: Kind) -> Self {
        // Two of three seeds have a store that does not slow writers down: more happens in them.
        let drawn = [0, 1, 1, 1, 2, 2, 3, 3, 4, 5][choices.choose(Site::Profile, 10)];
        let named = |kind| SOUND.into_iter().find(|backend| backend.kind == kind);
        match kind {
            Kind::Sound => SOUND[drawn],
            kind => named(kind).or_else(|| named(Kind::S3)).expect("S3 is among them"),
        }
    }

    /// The least time between two commits that a user of such a store asks for, in milliseconds.
    pub fn commit_interval(&self, drawn: u64) -> u64 {
        drawn.max(self.write_every)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sound_store_can_be_asked_for_and_drawn() {
        let mut choices = Choices::seeded(1);
        for (name, kind) in Kind::ALL {
            let backend = Backend::draw(&mut choices, kind);
            let expected = if kind.is_weak() { Kind::S3 } else { kind };
            assert!(kind == Kind::Sound || backend.kind == expected, "{name}");
        }
        let drawn = (0..200).map(|_| Backend::draw(&mut choices, Kind::Sound).kind);
        let drawn: std::collections::BTreeSet<Kind> = drawn.collect();
        assert_eq!(drawn.len(), SOUND.len());
    }
}
