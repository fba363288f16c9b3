//! O14: nothing grows without end. Each bound is a number stated here or in the engine's limits.

use sana_engine::base::limits;
use sana_engine::format::head::{Head, Live};
use sana_engine::format::log::Payload;

use crate::oracles::{Broken, Oracle};

/// Bytes of a head, the newest batch in it not counted.
pub const HEAD_BYTES_MAX: usize = 512 << 10;
/// Requests that one service has in flight.
pub const FLYING_MAX: usize = 1_024;
/// Machines that one service runs at once, beside one for each client that waits: a check of the head,
/// a write, a deletion, and upkeep.
pub const MACHINES_MAX: usize = 6;

/// What one service of a node takes of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Load {
    /// Requests in flight.
    pub flying: usize,
    /// Machines.
    pub machines: usize,
    /// Clients that wait.
    pub tickets: usize,
    /// Clients whose requests wait for a machine.
    pub waiting: usize,
    /// Bytes of unindexed batches held.
    pub held_bytes: u64,
    /// Bytes that the node keeps of what it reads.
    pub cached_bytes: u64,
    /// Bytes that it may keep of it.
    pub cached_bytes_max: u64,
    /// Bytes that may be unindexed.
    pub unindexed_bytes_max: u64,
}

/// Checks a head that was put as so many bytes.
///
/// # Errors
///
/// [`Broken`] if something in it is more than it may be.
pub fn check_head(head: &Head, bytes: usize) -> Result<(), Broken> {
    most("bytes of a head", bytes, limits::HEAD_BYTES_MAX)?;
    let Some(live) = head.live() else {
        return most("bytes of a tombstone", bytes, limits::TOMBSTONE_BYTES_MAX);
    };
    let (newest, older) = riding(live);
    most("bytes of a head without its newest batch", bytes - newest, HEAD_BYTES_MAX)?;
    most("bytes of the newest batch in a head", newest, limits::INLINE_BATCH_BYTES_MAX)?;
    most("bytes of older batches in a head", older, limits::INLINE_LOG_BYTES_MAX)?;
    most("log entries", live.log.entries.len(), limits::LOG_ENTRIES_MAX)?;
    most("segments", live.manifest.segments.len(), limits::SEGMENTS_MAX)?;
    most("commits in the ring", live.recent.len(), limits::RECENT_COMMITS_MAX)?;
    most("attributes", live.schema.attributes.len(), limits::ATTRIBUTES_MAX)
}

/// Bytes of the batches that ride in a head: of the newest, and of all others.
fn riding(live: &Live) -> (usize, usize) {
    let mut sizes = live.log.entries.iter().map(|entry| match &entry.payload {
        Payload::Inline(batch) => batch.len(),
        Payload::Object { .. } => 0,
    });
    let newest = sizes.next_back().unwrap_or_default();
    (newest, sizes.sum())
}

/// Checks what a service takes of its node.
///
/// # Errors
///
/// [`Broken`] if it is more than it may be.
pub fn check_load(load: Load) -> Result<(), Broken> {
    most("requests in flight of one service", load.flying, FLYING_MAX)?;
    most("machines of one service", load.machines, MACHINES_MAX + load.tickets)?;
    most("waiting requests", load.waiting, load.tickets)?;
    Oracle::Bounded.demand(load.cached_bytes <= load.cached_bytes_max, || {
        format!("{} bytes are cached, and {} may be", load.cached_bytes, load.cached_bytes_max)
    })?;
    // A log over the limit is one that a lone batch made so.
    let held = load.unindexed_bytes_max.saturating_add(limits::GROUP_BYTES_MAX as u64 * 2);
    Oracle::Bounded.demand(load.held_bytes <= held, || {
        format!("{} bytes of batches are held, and {held} may be", load.held_bytes)
    })
}

fn most(what: &str, count: usize, most: usize) -> Result<(), Broken> {
    Oracle::Bounded.demand(count <= most, || format!("{count} {what}, and {most} may be"))
}
