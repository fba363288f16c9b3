//! Which faults a seed's world has, and how heavy they are.

use core::time::Duration;

use sana_engine::base::host::Host;
use sana_engine::service::settings::Settings;

use crate::choices::{Choices, Site};
use crate::ledger;
use crate::store::Kind;
use crate::workload::Mix;
use crate::world::aim::Aim;
use crate::world::backend::Backend;
use crate::world::weather::Climate;

/// What a seed's world is like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Profile {
    /// Which store it has.
    pub backend: Backend,
    /// Keys of one page of a listing.
    pub page: u32,
    /// How long a request is on its way to the store and back, in milliseconds, at least and at most.
    pub latency: (u64, u64),
    /// What happens to requests and nodes.
    pub faults: Faults,
    /// What they fall on.
    pub aim: Aim,
    /// What happens for a while.
    pub weather: Climate,
    /// What clients ask.
    pub mix: Mix,
    /// How long a client thinks between two requests, in milliseconds, at most.
    pub think: u64,
    /// How long a client waits for an answer that it gives up, in milliseconds, at most. None gives up if
    /// it is 0.
    pub patience: u64,
    /// Bytes that a node keeps of what it reads, at most. None keeps anything if it is 0.
    pub cache_bytes: usize,
    /// How nodes treat their namespaces.
    pub settings: Settings,
}

/// Room for a few small objects.
const CACHE_BYTES_LEAST: u32 = 10_000;

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
    /// A write is performed twice: somebody between the sender and the store repeats it, and the
    /// sender hears what became of it the second time.
    pub twice: u32,
    /// A reply takes far longer than others.
    pub slow: u32,
    /// Of lost requests and replies, those whose loss is noticed at once.
    pub noticed: u32,
    /// A byte of what was read is another than was written.
    pub flipped: u32,
    /// What was read ends too early.
    pub cut: u32,
    /// The store finds that it cannot read an object back.
    pub unreadable: u32,
    /// An object that is written once is not found though it is there.
    pub blip: u32,
    /// Of requests, those at which the node crashes, before or after sending it.
    pub crash: u32,
    /// A node stands still for a while, per request.
    pub pause: u32,
    /// The calendar of a node is set, per request.
    pub calendar: u32,
    /// One namespace of a node crashes over a reply, before or after.
    pub panic: u32,
    /// Of operations that compute for long as they begin, those that wait until a processor is free. Steps that
    /// do wait half as often, and as often, drawn apart, what they come to is known only later.
    pub queued: u32,
    /// A node is to drop what it has read of a namespace, per request.
    pub purge: u32,
}

impl Faults {
    /// What becomes of a node that sends a request, by weight: nothing, it crashes before or after, it
    /// stands still, its calendar is set, it is to drop what it has read.
    pub const fn haps(&self) -> [u32; 6] {
        let (before, after) = (self.crash / 2, self.crash - self.crash / 2);
        let all = self.crash + self.pause + self.calendar + self.purge;
        [1_000 - all, before, after, self.pause, self.calendar, self.purge]
    }

    /// What becomes of a node that hears a reply, by weight: nothing, it crashes before it takes note of it
    /// or after, its namespace does.
    pub const fn haps_over_reply(&self) -> [u32; 5] {
        let (crash, panic) = (self.crash / 2, self.panic);
        [1_000 - 2 * crash - 2 * panic, crash, crash, panic, panic]
    }

    /// What becomes of a read, by weight: it is answered, it is turned away, it never arrives, its
    /// reply is lost, a byte is wrong, it ends too early, it cannot be read, it is not found, its reply
    /// is slow.
    pub const fn fates_of_read(&self) -> [u32; 9] {
        let slow = self.slow;
        let lost = self.throttled + self.dropped + self.reply_lost + slow;
        let wrong = self.flipped + self.cut + self.unreadable + self.blip;
        let (flipped, cut, unreadable, blip) = (self.flipped, self.cut, self.unreadable, self.blip);
        let calm = 1_000 - lost - wrong;
        [calm, self.throttled, self.dropped, self.reply_lost, flipped, cut, unreadable, blip, slow]
    }

    /// What becomes of a write, by weight: it is answered, it is turned away, it never arrives, its
    /// reply is lost, it is refused, it arrives late, it arrives twice, its reply is slow.
    pub const fn fates_of_write(&self, is_put: bool) -> [u32; 8] {
        let conflict = if is_put { self.conflict } else { 0 };
        let (late, twice, slow) = (self.late, self.twice, self.slow);
        let all = self.throttled + self.dropped + self.reply_lost + conflict + late + twice + slow;
        let calm = 1_000 - all;
        [calm, self.throttled, self.dropped, self.reply_lost, conflict, late, twice, slow]
    }

    /// Which faults a seed's world has, and how heavy they are. What its store cannot do is not drawn.
    fn draw(choices: &mut Choices, backend: &Backend) -> Self {
        let pick = |choices: &mut Choices, can: bool, from: &[u32]| {
            let drawn = from[choices.choose(Site::Profile, from.len())];
            if can { drawn } else { 0 }
        };
        // Some worlds have no faults at all: what breaks there breaks everywhere.
        let any = pick(choices, true, &[0, 1, 1, 1, 1, 1, 1, 1, 1, 1]) == 1;
        let far = any && backend.is_remote;
        Self {
            dropped: pick(choices, any, &[0, 0, 10, 60]),
            reply_lost: pick(choices, any, &[0, 0, 10, 60]),
            late: pick(choices, far, &[0, 0, 10, 60]),
            throttled: pick(choices, any, &[0, 0, 30, 150]),
            conflict: pick(choices, any && backend.conflicts, &[0, 0, 20]),
            noticed: pick(choices, any, &[0, 500, 1_000]),
            crash: pick(choices, any, &[0, 0, 2, 15]),
            pause: pick(choices, any, &[0, 0, 3]),
            calendar: pick(choices, any, &[0, 0, 3]),
            twice: pick(choices, far, &[0, 0, 10, 60]),
            flipped: pick(choices, any, &[0, 0, 0, 3, 30]),
            cut: pick(choices, any, &[0, 0, 0, 3, 30]),
            unreadable: pick(choices, any && backend.checks, &[0, 0, 3, 30]),
            blip: pick(choices, far, &[0, 0, 0, 3, 30]),
            ..Self::default()
        }
    }
}

impl Profile {
    /// A profile for one seed, with this store.
    pub fn draw(choices: &mut Choices, store: Kind) -> Self {
        let backend = Backend::draw(choices, store);
        let mut faults = Faults::draw(choices, &backend);
        let weather = Climate::draw(choices, &backend);
        let mut pick = |from: &[u64]| from[choices.choose(Site::Profile, from.len())];
        let page = pick(&[1_000, 3]) as u32;
        let latency = (pick(&backend.latency.0), pick(&backend.latency.1));
        let mut think = pick(&[50, 500, 3_000]);
        let interval = backend.commit_interval(pick(&[0, 0, 200]));
        let mut settings = Settings {
            write_time_max: Duration::from_millis(pick(&[1_000, 5_000, 30_000])),
            query_time_max: Duration::from_secs(pick(&[2, 20])),
            commit_interval_min: Duration::from_millis(interval),
            trash_retention: Duration::from_secs(pick(&[1, 10])),
            indexes: true,
            unindexed_bytes_max: pick(&[2 << 30, 2 << 30, 1_000]),
            flush_after: Duration::from_millis(pick(&[100, 1_000, 5_000])),
            flush_bytes: pick(&[200, 2_000, 1 << 20]),
            sweep_every: Duration::from_secs(pick(&[5, 30, 300])),
            host: Host::default(),
            ..Settings::default()
        };
        let mut mix = Mix::draw(choices);
        let aim = Aim::draw(choices, &faults);
        aim.prepare(&mut settings, &mut mix, &mut think);
        // These are drawn behind all that older traces know, so that those mean what they did.
        let any = faults != Faults::default();
        let mut pick = |can: bool, from: [u32; 4]| {
            let drawn = from[choices.choose(Site::Profile, from.len())];
            if can { drawn } else { 0 }
        };
        faults.slow = pick(any && backend.is_remote, [0, 0, 10, 60]);
        faults.panic = pick(any, [0, 0, 1, 8]);
        faults.queued = pick(any, [0, 0, 20, 200]);
        let patience = pick(any, [0, 0, 300, 3_000]).into();
        faults.purge = pick(any, [0, 0, 3, 30]);
        let cache_bytes = pick(true, [0, 0, CACHE_BYTES_LEAST, 64 << 20]) as usize;
        mix.draw_later(choices);
        Self {
            backend,
            page,
            latency,
            faults,
            aim,
            weather,
            mix,
            think,
            patience,
            cache_bytes,
            settings,
        }
    }

    /// Whether nothing goes wrong at all.
    pub fn is_calm(&self) -> bool {
        self.faults == Faults::default() && self.weather.is_calm()
    }

    /// What goes wrong with a request that writes this, if it writes.
    pub fn faults_of(&self, site: Option<ledger::Site>) -> Faults {
        if self.aim.is_at(site) { Aim::faults(&self.faults, &self.backend) } else { self.faults }
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
    /// A write happened after its sender had crashed and started again.
    LandedAfterRestart,
    /// A connection broke before a write was performed.
    BrokenBefore,
    /// A write was performed, and an error said that something had gone wrong.
    BrokenAfter,
    /// A write was performed twice, and its sender heard of the second time.
    Twice,
    /// A write reached the store after one that its sender had sent later.
    Overtook,
    /// Of two who began a namespace one came too late.
    CreateRaced,
    /// A write was refused while another of the same object was under way.
    ConflictInRace,
    /// An object was created that its creator had given up.
    LateOrphan,
    /// A byte of what was read was wrong.
    Flipped,
    /// What was read ended too early.
    Cut,
    /// The store could not read an object back.
    Unreadable,
    /// An object was not found though it was there.
    Blip,
    /// A client was told that something is damaged.
    DamageTold,
    /// Objects came or went between two pages of a listing.
    ListChanged,
    /// An object of somebody else lay among those of a namespace.
    Foreign,
    /// An object was written sooner again than its store allows.
    KeyBudget,
    /// Nobody could reach the store.
    Outage,
    /// A node could not reach the store.
    Partition,
    /// The credentials of a node had expired.
    Expired,
    /// A node asked more than it may.
    NodeBudget,
    /// All objects of a namespace were too busy.
    PrefixThrottled,
    /// An object could not be deleted.
    DeleteRefused,
    /// Objects of a namespace could not be read back for a while.
    Rotten,
    /// A node stood still for longer than every timeout and retention.
    PausedLong,
    /// The clock for waiting stood still with its node.
    Suspended,
    /// A clock ran at another rate.
    Drifted,
    /// A node crashed over a reply.
    CrashOverReply,
    /// A node was restarted in its turn.
    Rolled,
    /// A node found work that nobody had asked it for.
    Watched,
    /// A node forgot a namespace.
    Forgotten,
    /// A node saw objects that nobody names in a listing of everything.
    Surveyed,
    /// A node stayed dead when the faults had stopped.
    StayedDead,
    /// A node never reached the store again when the faults had stopped.
    CutOff,
    /// A reply took far longer than others.
    Slow,
    /// One namespace of a node crashed.
    SpaceCrashed,
    /// An operation waited until a processor was free, as it began or between two rounds.
    Queued,
    /// A merge got no turn.
    NoTurn,
    /// A client gave up waiting for what a node was still at.
    GaveUp,
    /// What a step came to was known only later.
    Computed,
    /// A node had in memory what was to be read.
    ReadKept,
    /// A node waited for a read that was under way.
    ReadJoined,
    /// A node was to drop what it had read of a namespace.
    Purged,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 71] = [
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
        Self::LandedAfterRestart,
        Self::BrokenBefore,
        Self::BrokenAfter,
        Self::Twice,
        Self::Overtook,
        Self::CreateRaced,
        Self::ConflictInRace,
        Self::LateOrphan,
        Self::Flipped,
        Self::Cut,
        Self::Unreadable,
        Self::Blip,
        Self::DamageTold,
        Self::ListChanged,
        Self::Foreign,
        Self::KeyBudget,
        Self::Outage,
        Self::Partition,
        Self::Expired,
        Self::NodeBudget,
        Self::PrefixThrottled,
        Self::DeleteRefused,
        Self::Rotten,
        Self::PausedLong,
        Self::Suspended,
        Self::Drifted,
        Self::CrashOverReply,
        Self::Rolled,
        Self::Watched,
        Self::Forgotten,
        Self::Surveyed,
        Self::StayedDead,
        Self::CutOff,
        Self::Slow,
        Self::SpaceCrashed,
        Self::Queued,
        Self::NoTurn,
        Self::GaveUp,
        Self::Computed,
        Self::ReadKept,
        Self::ReadJoined,
        Self::Purged,
    ];
}

/// How often each fault happened.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Activations([u64; Fault::ALL.len()]);

impl Default for Activations {
    fn default() -> Self {
        Self([0; Fault::ALL.len()])
    }
}

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
