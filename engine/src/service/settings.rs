//! How a node treats its namespaces: what an operator can set.

use core::time::Duration;

use crate::base::host::Host;
use crate::base::limits;

/// How a node treats its namespaces.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Settings {
    /// The longest a write may take.
    pub write_time_max: Duration,
    /// The longest a query may take.
    pub query_time_max: Duration,
    /// The least time between two changes of the head, by commits and publications, which take turns. For
    /// stores that allow few changes of one object.
    pub commit_interval_min: Duration,
    /// Unindexed bytes above which writes are turned away.
    pub unindexed_bytes_max: u64,
    /// How long idempotency keys count.
    pub idempotency_retention: Duration,
    /// How long unlinked objects are kept.
    pub trash_retention: Duration,
    /// Whether the node flushes, merges and collects.
    pub indexes: bool,
    /// Whether it merges until nothing is left to merge, not only what is worth it.
    pub compacts: bool,
    /// A log this old is flushed, however small.
    pub flush_after: Duration,
    /// A log this large is flushed, however young.
    pub flush_bytes: u64,
    /// How often orphans are looked for.
    pub sweep_every: Duration,
    /// What the machine can do.
    pub host: Host,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            write_time_max: Duration::from_secs(30),
            query_time_max: limits::QUERY_TIME_MAX,
            commit_interval_min: Duration::ZERO,
            unindexed_bytes_max: limits::UNINDEXED_BYTES_MAX,
            idempotency_retention: limits::IDEMPOTENCY_RETENTION,
            trash_retention: limits::TRASH_RETENTION,
            indexes: true,
            compacts: false,
            flush_after: Duration::from_secs(1),
            flush_bytes: 16 << 20,
            sweep_every: Duration::from_hours(1),
            host: Host::default(),
        }
    }
}
