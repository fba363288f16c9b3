//! Which faults a seed's world has, and how heavy they are.

use core::time::Duration;

use sana_engine::base::host::Host;
use sana_engine::service::namespace::Settings;

use crate::choices::{Choices, Site};
use crate::store::Tags;
use crate::workload::Mix;

/// What a seed's world is like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Profile {
    /// How the store makes its tags.
    pub tags: Tags,
    /// Keys of one page of a listing.
    pub page: u32,
    /// How long a request is on its way to the store and back, in milliseconds, at least and at most.
    pub latency: (u64, u64),
    /// What happens to requests and nodes.
    pub faults: Faults,
    /// What clients ask.
    pub mix: Mix,
    /// How long a client thinks between two requests, in milliseconds, at most.
    pub think: u64,
    /// How nodes treat their namespaces.
    pub settings: Settings,
}

/// How often what goes wrong, of a thousand.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Faults {
    /// A request never reaches the store.
    pub dropped: u32,
    /// A reply never comes back.
    pub reply_lost: u32,
    /// A write reaches the store long after its sender has given up.
    pub late: u32,
    /// A request is turned away.
    pub throttled: u32,
    /// A write under a condition is refused though the condition holds.
    pub conflict: u32,
    /// Of lost requests and replies, those whose loss is noticed at once.
    pub noticed: u32,
    /// Of requests, those at which the node crashes, before or after sending it.
    pub crash: u32,
    /// A node stands still for a while, per request.
    pub pause: u32,
    /// The calendar of a node is set, per request.
    pub calendar: u32,
}

impl Faults {
    /// What becomes of a node that sends a request, by weight: nothing, it crashes before or after, it
    /// stands still, its calendar is set.
    pub const fn haps(&self) -> [u32; 5] {
        let (before, after) = (self.crash / 2, self.crash - self.crash / 2);
        let all = self.crash + self.pause + self.calendar;
        [1_000 - all, before, after, self.pause, self.calendar]
    }

    /// What becomes of a request, by weight: it is answered, it is turned away, it never arrives, its
    /// reply is lost, it is refused, it arrives late.
    pub const fn fates(&self, is_read: bool, is_put: bool) -> [u32; 6] {
        let conflict = if is_put { self.conflict } else { 0 };
        let late = if is_read { 0 } else { self.late };
        let all = self.throttled + self.dropped + self.reply_lost + conflict + late;
        [1_000 - all, self.throttled, self.dropped, self.reply_lost, conflict, late]
    }
}

impl Profile {
    /// A profile for one seed.
    pub fn draw(choices: &mut Choices) -> Self {
        let mut pick = |from: &[u64]| from[choices.choose(Site::Profile, from.len())];
        let tags = if pick(&[0, 1]) == 0 { Tags::Counted { last: 0 } } else { Tags::Digested };
        let page = pick(&[1_000, 3]) as u32;
        let latency = (pick(&[1, 5, 20]), pick(&[25, 60, 400]));
        let think = pick(&[50, 500, 3_000]);
        let faults = Faults {
            dropped: pick(&[0, 0, 10, 60]) as u32,
            reply_lost: pick(&[0, 0, 10, 60]) as u32,
            late: pick(&[0, 0, 10, 60]) as u32,
            throttled: pick(&[0, 0, 30, 150]) as u32,
            conflict: pick(&[0, 0, 20]) as u32,
            noticed: pick(&[0, 500, 1_000]) as u32,
            crash: pick(&[0, 0, 2, 15]) as u32,
            pause: pick(&[0, 0, 3]) as u32,
            calendar: pick(&[0, 0, 3]) as u32,
        };
        let settings = Settings {
            write_time_max: Duration::from_millis(pick(&[1_000, 5_000, 30_000])),
            query_time_max: Duration::from_secs(pick(&[2, 20])),
            commit_interval_min: Duration::from_millis(pick(&[0, 0, 200])),
            trash_retention: Duration::from_secs(pick(&[1, 10])),
            indexes: true,
            unindexed_bytes_max: pick(&[2 << 30, 2 << 30, 1_000]),
            flush_after: Duration::from_millis(pick(&[100, 1_000, 5_000])),
            flush_bytes: pick(&[200, 2_000, 1 << 20]),
            sweep_every: Duration::from_secs(pick(&[5, 30, 300])),
            host: Host::default(),
            ..Settings::default()
        };
        let mix = Mix::draw(choices);
        Self { tags, page, latency, faults, mix, think, settings }
    }
}

/// How often each fault was tried on the world: a fault that never happens proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Fault {
    /// A read never reached the store, or its reply never came back.
    ReadLost,
    /// A write never reached the store.
    WriteDropped,
    /// A write happened and its reply was lost.
    ReplyLost,
    /// A write happened after its sender had given up on it.
    LandedLate,
    /// And after its sender had crashed.
    LandedAfterCrash,
    /// A request was turned away.
    Throttled,
    /// A condition did not hold.
    Refused,
    /// A write was refused though its condition held.
    Conflict,
    /// A condition did not hold because of the sender's own earlier put.
    RefusedItself,
    /// A node crashed before sending a request.
    CrashBefore,
    /// A node crashed after sending a request.
    CrashAfter,
    /// A node crashed while it recovered from a crash.
    CrashAgain,
    /// A node stood still.
    Paused,
    /// A node's calendar was set.
    CalendarSet,
    /// A client was told that nobody knows.
    Unknown,
    /// A client repeated a request under its key.
    Repeated,
    /// A namespace was deleted.
    Removed,
    /// A namespace was created again.
    Reborn,
    /// A batch lay in an object.
    Spilled,
    /// Log entries became a segment.
    Flushed,
    /// Segments became one.
    Merged,
    /// Trash was deleted.
    Collected,
    /// Orphans were deleted.
    Swept,
    /// A query started over because an object had vanished.
    Vanished,
    /// A query was answered from a held snapshot.
    Stale,
    /// An attribute was dropped.
    Dropped,
    /// A client asked for an attribute that was dropped.
    NoAttribute,
    /// A namespace was locked or unlocked.
    Locked,
    /// A write met a locked namespace.
    ReadOnly,
    /// A node crashed over a reply.
    CrashOverReply,
    /// A node was restarted in its turn.
    Rolled,
    /// A node found work that nobody had asked it for.
    Watched,
    /// A node stayed dead when the faults had stopped.
    StayedDead,
    /// A node never reached the store again when the faults had stopped.
    CutOff,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 34] = [
        Self::ReadLost,
        Self::WriteDropped,
        Self::ReplyLost,
        Self::LandedLate,
        Self::LandedAfterCrash,
        Self::Throttled,
        Self::Refused,
        Self::Conflict,
        Self::RefusedItself,
        Self::CrashBefore,
        Self::CrashAfter,
        Self::CrashAgain,
        Self::Paused,
        Self::CalendarSet,
        Self::Unknown,
        Self::Repeated,
        Self::Removed,
        Self::Reborn,
        Self::Spilled,
        Self::Flushed,
        Self::Merged,
        Self::Collected,
        Self::Swept,
        Self::Vanished,
        Self::Stale,
        Self::Dropped,
        Self::NoAttribute,
        Self::Locked,
        Self::ReadOnly,
        Self::CrashOverReply,
        Self::Rolled,
        Self::Watched,
        Self::StayedDead,
        Self::CutOff,
    ];
}

/// How often each fault happened.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Activations([u64; Fault::ALL.len()]);

impl Activations {
    /// It happened once more.
    pub const fn count(&mut self, fault: Fault) {
        self.0[fault as usize] += 1;
    }

    /// How often it happened.
    pub const fn of(&self, fault: Fault) -> u64 {
        self.0[fault as usize]
    }

    /// Adds those of another world.
    pub fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(all, more)| *all += more);
    }
}
