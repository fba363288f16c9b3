//! The most of everything, and how the bounds relate.
//!
//! Wire limits are turbopuffer's as its documentation stated them in September 2026; the others are
//! ours, with the reason beside each.

use core::time::Duration;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Length of a namespace's name, in bytes.
pub const NAMESPACE_NAME_BYTES_MAX: usize = 128;
/// Length of an attribute's name, in bytes.
pub const ATTRIBUTE_NAME_BYTES_MAX: usize = 128;
/// Attributes of one namespace.
pub const ATTRIBUTES_MAX: usize = 1024;
/// Vector attributes of one namespace.
pub const VECTOR_ATTRIBUTES_MAX: usize = 8;
/// Dimensions of a dense vector.
pub const DIMENSIONS_MAX: u32 = 10_752;
/// Dimensions that one sparse vector names.
pub const SPARSE_DIMENSIONS_MAX: usize = 1_024;
/// Length of a document's id, in bytes.
pub const ID_BYTES_MAX: usize = 64;
/// Size of one attribute value, in bytes.
pub const VALUE_BYTES_MAX: usize = 8 * MIB;
/// Size of one value that filters may look at, in bytes. Of an array: of each element.
pub const FILTERABLE_VALUE_BYTES_MAX: usize = 4 * KIB;
/// Size of one document, in bytes.
pub const DOCUMENT_BYTES_MAX: usize = 64 * MIB;
/// Length of an idempotency key, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 256;
/// Rows a query may return, offset included.
pub const QUERY_ROWS_MAX: usize = 10_000;
/// Keys of an order, attributes of a `limit.per`, and keys of a group.
pub const ORDER_KEYS_MAX: usize = 8;
/// Groups an aggregation may return.
pub const GROUPS_MAX: usize = 10_000;
/// Figures of an aggregation. Ours: each group has all of them.
pub const AGGREGATES_MAX: usize = 64;
/// Computed attributes of a query.
pub const COMPUTED_MAX: usize = 256;
/// Searches of one request.
pub const SEARCHES_MAX: usize = 16;
/// Ids that a query looks up one by one. Ours: with more it scans.
pub const LOOKUP_IDS_MAX: usize = 10_000;
/// Conditions in one query, or in one filter of a write. Ours, for each is tested on every page that it
/// may hold in. A list of values is one condition.
pub const CONDITIONS_MAX: usize = 1_024;
/// Patterns in one query, or in one filter of a write. Ours, for each is compiled.
pub const PATTERNS_MAX: usize = 64;
/// Size of one compiled pattern, in bytes. Ours: what repeats counted repeats can be tiny to write.
pub const PATTERN_BYTES_MAX: usize = MIB;
/// Memory that what a query found so far may take, and its answer, in bytes. Ours.
pub const FOUND_BYTES_MAX: usize = 256 * MIB;
/// Depth of a filter. Keeps recursion off the end of the stack.
pub const FILTER_DEPTH_MAX: usize = 64;

/// A batch up to this size rides in the head itself; a larger one is staged as an object first.
/// One put of a head of this size still costs about one latency of the store.
pub const INLINE_BATCH_BYTES_MAX: usize = MIB;
/// When the inline batches of a head come to more than this together, they are also written as an
/// object, in the round of the commit, for the next commit to name: so heads stay small.
pub const SPILL_BYTES_MIN: usize = 64 * KIB;
/// Inline batches of a head together, the newest not counted. Above it they are spilled before the next
/// commit, for spilling them beside one has failed.
pub const INLINE_LOG_BYTES_MAX: usize = 128 * KIB;
/// Size of a head that is no namespace any more, in bytes. A live one is longer: padded if need be.
pub const TOMBSTONE_BYTES_MAX: usize = 256;
/// Size of a head that a commit puts, in bytes. The schema, the manifest and the log take their bounded
/// shares of it; if trash waits for long, or there is very much of a namespace, writers are turned away.
/// What indexes and deletes is not: it makes room.
pub const HEAD_BYTES_MAX: usize = 4 * MIB;
/// Commits remembered by id. Eight writers that commit back to back take this long to push a commit
/// out of the ring, far longer than a reply stays lost without being looked for.
pub const RECENT_COMMITS_MAX: usize = 256;
/// Log entries of a head. Above it writers wait for the indexer, as they do for bytes.
pub const LOG_ENTRIES_MAX: usize = 4_096;
/// Segments of a manifest. The merge policy stays far below it; if merges cannot keep up, nothing is
/// flushed any more, and writers are turned away once too much is unindexed.
pub const SEGMENTS_MAX: usize = 512;
/// Documents that one request may remove by a filter.
pub const DELETE_BY_FILTER_MAX: usize = 5_000_000;
/// Documents that one request may change by a filter.
pub const PATCH_BY_FILTER_MAX: usize = 50_000;
/// Unindexed bytes of a namespace above which writes are turned away, unless configured otherwise.
pub const UNINDEXED_BYTES_MAX: u64 = 2 << 30;
/// Requests that one group commit takes together, by their estimated size in bytes.
pub const GROUP_BYTES_MAX: usize = 8 * MIB;
/// Log bytes that one flush absorbs, unless a single entry is larger. Bounds its memory.
pub const FLUSH_BYTES_MAX: u64 = 48 << 20;

/// Size of one object of a segment, in bytes. A segment that is larger has several: nobody has to
/// hold more than this of it in memory, and no store has to take a larger body in one put.
pub const PART_BYTES_MAX: usize = 16 * MIB;
/// Size of a column page before compression, in bytes, unless one value is larger.
pub const PAGE_BYTES: usize = 64 * KIB;
/// Size of a page of vectors, in bytes. Larger, for they are scanned whole or not at all.
pub const VECTOR_PAGE_BYTES: usize = 256 * KIB;
/// Rows of a page.
pub const PAGE_ROWS_MAX: usize = 8_192;
/// Rows across which one segment may reach: positions in it are 32-bit.
pub const SEGMENT_ROWS_MAX: u64 = 1 << 32;

/// Bytes one window of a stream may ask for: a query's scan, a merge's input.
pub const WINDOW_BYTES: usize = 32 * MIB;

/// The longest a query may take, unless configured otherwise.
pub const QUERY_TIME_MAX: Duration = Duration::from_mins(1);
/// How long an unlinked object stays, unless configured otherwise: ten times the longest query.
pub const TRASH_RETENTION: Duration = Duration::from_mins(10);
/// How long idempotency keys are remembered, unless configured otherwise.
pub const IDEMPOTENCY_RETENTION: Duration = Duration::from_hours(720);

const _: () = {
    assert!(SPILL_BYTES_MIN <= INLINE_LOG_BYTES_MAX);
    assert!(INLINE_LOG_BYTES_MAX + INLINE_BATCH_BYTES_MAX < HEAD_BYTES_MAX);
    assert!(VECTOR_PAGE_BYTES * 8 <= PART_BYTES_MAX);
    assert!(PAGE_BYTES <= VECTOR_PAGE_BYTES);
    assert!(FILTERABLE_VALUE_BYTES_MAX <= VALUE_BYTES_MAX);
};
