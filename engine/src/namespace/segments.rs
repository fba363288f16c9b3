//! Which segments there are: what a flush and a merge change, and what to merge next.
//!
//! A flush or a merge is work of seconds, and the head moves on meanwhile. What it comes to is an
//! *edit*: a fact about segments that is applied to whatever head is there when it is done.
//!
//! # Invariants
//!
//! - **H1** A flush adds rows, so it holds only while the indexed cursor and the next row are those it
//!   started from. A merge keeps rows, so it holds as long as the segments it consumed are named, next
//!   to each other.
//! - **E1** Segments stand in the order of their rows, and their ranges do not overlap.
//! - **E2** `live_rows` is exact: rows added less rows killed. A merge does not change it.

use core::ops::Range;

use crate::base::id::{Cursor, Generation, Incarnation, Row};
use crate::base::limits::{PART_BYTES_MAX, SEGMENT_ROWS_MAX};
use crate::base::planted::{self, Bug};
use crate::format::layout::ObjectName;
use crate::format::manifest::{Manifest, SegmentRef};
use crate::namespace::snapshot::Snapshot;

/// What a flush changes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct FlushEdit {
    /// The life of the namespace whose log it absorbed: in another, cursors and rows begin again.
    pub incarnation: Incarnation,
    /// The indexed cursor it started from.
    pub from: Cursor,
    /// The position of the last commit it absorbed.
    pub to: Cursor,
    /// The next row it started from.
    pub base: Row,
    /// The row number after the last it gave away.
    pub end: Row,
    /// How many rows it killed, all of them live before.
    pub killed: u64,
    /// The segment; none if the commits it absorbed left nothing to remember.
    pub segment: Option<SegmentRef>,
}

/// What a merge changes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct MergeEdit {
    /// The segments it consumed, in order: see [`SegmentRef::name`].
    pub inputs: Vec<ObjectName>,
    /// What takes their place; none if nothing of them was left.
    pub output: Option<SegmentRef>,
}

/// The head moved on in a way that makes an edit void. Its work is lost; start over.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[error("the namespace was indexed further meanwhile; start over from its head")]
pub struct Stale;

impl FlushEdit {
    /// Whether a head with this manifest and indexed cursor already has it, or its like.
    pub fn has_landed(&self, manifest: &Manifest, indexed: Cursor) -> bool {
        match &self.segment {
            Some(segment) => is_named(manifest, segment.name()),
            None => self.to <= indexed,
        }
    }

    /// The manifest with it, of a head with this manifest and indexed cursor.
    ///
    /// # Errors
    ///
    /// [`Stale`] if commits were indexed or rows given away since it started (H1).
    ///
    /// # Panics
    ///
    /// If it kills more rows than live (E2).
    pub fn apply(&self, manifest: &Manifest, indexed: Cursor) -> Result<Manifest, Stale> {
        assert!(self.from <= self.to && self.base <= self.end, "H1: a flush goes forward");
        let moved = self.from != indexed && !planted::is(Bug::FlushLooksAtRowsAlone);
        let moved = moved || self.base != manifest.next_row;
        if moved && !planted::is(Bug::FlushRebases) {
            return Err(Stale);
        }
        let mut next = manifest.clone();
        next.generation = Generation(manifest.generation.0 + 1);
        next.next_row = self.end;
        let added = self.segment.as_ref().map_or(0, |segment| u64::from(segment.rows));
        let live = (manifest.live_rows + added).checked_sub(self.killed);
        next.live_rows = live.expect("E2: a flush kills only rows that live");
        next.segments.extend(self.segment.clone());
        next.logical_bytes = logical_bytes(&next.segments);
        Ok(next)
    }
}

impl MergeEdit {
    /// Whether a head with this manifest already has it, or its like.
    pub fn has_landed(&self, manifest: &Manifest) -> bool {
        match &self.output {
            Some(output) => is_named(manifest, output.name()),
            None => !self.inputs.iter().any(|input| is_named(manifest, *input)),
        }
    }

    /// The manifest with it.
    ///
    /// # Errors
    ///
    /// [`Stale`] if a segment it consumed is not named any more, or not next to the others (H1).
    pub fn apply(&self, manifest: &Manifest) -> Result<Manifest, Stale> {
        let first = *self.inputs.first().ok_or(Stale)?;
        let start = manifest.segments.iter().position(|segment| segment.name() == first);
        let start = start.or(planted::is(Bug::MergeInputsUnchecked).then_some(0)).ok_or(Stale)?;
        let range = start..start + self.inputs.len();
        let inputs = manifest.segments.get(range.clone()).ok_or(Stale)?;
        let same = inputs.iter().map(SegmentRef::name).eq(self.inputs.iter().copied());
        if !same && !planted::is(Bug::MergeInputsUnchecked) {
            return Err(Stale);
        }
        let mut next = manifest.clone();
        next.generation = Generation(manifest.generation.0 + 1);
        next.segments.splice(range, self.output.clone());
        next.logical_bytes = logical_bytes(&next.segments);
        Ok(next)
    }
}

fn is_named(manifest: &Manifest, name: ObjectName) -> bool {
    manifest.segments.iter().any(|segment| segment.name() == name)
}

fn logical_bytes(segments: &[SegmentRef]) -> u64 {
    segments.iter().map(|segment| segment.logical_bytes).sum()
}

/// Segments of one tier that stand side by side before they are merged, and how much larger the next
/// tier is. A document is written about once a tier: 4 times on its way from 1 MiB to 4 GiB.
const FAN_IN: usize = 8;
/// A segment up to this size is of the lowest tier, in bytes.
const SMALLEST_TIER_BYTES: u64 = 1 << 20;
/// Directories of merged segments together, in bytes. That of the output is not larger, so it fits
/// into one part, and one ranged read brings it.
const DIRECTORY_BYTES_MAX: u64 = PART_BYTES_MAX as u64 * 3 / 4;

/// The segments to merge next, if any should be: neighbours of about one size, or one of which most
/// rows are dead.
pub fn next_merge(snapshot: &Snapshot) -> Option<Range<usize>> {
    let manifest = &snapshot.live().manifest;
    tiered(&manifest.segments).or_else(|| mostly_dead(manifest, |at| snapshot.dead(at).len()))
}

/// The segments to merge next until there are as few as can be, without dead rows.
pub fn next_compaction(snapshot: &Snapshot) -> Option<Range<usize>> {
    compaction(&snapshot.live().manifest.segments, |at| snapshot.dead(at).len())
}

/// The first neighbours that may become one segment, or else the first segment with dead rows; `dead`
/// says how many of one are.
fn compaction(segments: &[SegmentRef], dead: impl Fn(usize) -> u64) -> Option<Range<usize>> {
    let several = groups(segments, u32::MAX).into_iter().find(|group| group.len() > 1);
    let with_dead = || (0..segments.len()).find(|place| dead(*place) > 0);
    several.or_else(|| with_dead().map(|place| place..place + 1))
}

/// The first group of neighbours, smallest tier first, in which a tier is full.
fn tiered(segments: &[SegmentRef]) -> Option<Range<usize>> {
    let most = segments.iter().map(tier).max()?;
    (0..=most).find_map(|t| {
        let mut groups = groups(segments, t).into_iter();
        groups.find(|group| {
            let full = segments[group.clone()].iter().filter(|segment| tier(segment) == t);
            full.count() >= FAN_IN
        })
    })
}

/// The longest stretches of neighbours up to tier `most` that may become one segment.
fn groups(segments: &[SegmentRef], most: u32) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    for (place, segment) in segments.iter().enumerate() {
        if tier(segment) > most || is_full(segment) {
            continue;
        }
        match groups.last_mut() {
            Some(group) if group.end == place && fit(&segments[group.start..=place]) => {
                group.end = place + 1;
            }
            _ => groups.push(place..place + 1),
        }
    }
    groups
}

fn tier(segment: &SegmentRef) -> u32 {
    let units = segment.stored_bytes() / SMALLEST_TIER_BYTES;
    units.checked_ilog(FAN_IN as u64).map_or(0, |tier| tier + 1)
}

/// Whether so much is in it already that it is left alone: merging it again and again with small
/// neighbours would write it many times over.
fn is_full(segment: &SegmentRef) -> bool {
    2 * u64::from(segment.directory.bytes) >= DIRECTORY_BYTES_MAX
}

/// Whether these may become one segment.
fn fit(segments: &[SegmentRef]) -> bool {
    let directories = segments.iter().map(|segment| u64::from(segment.directory.bytes));
    let ends = segments.first().zip(segments.last());
    let span = ends.map_or(0, |(first, last)| last.end.0 - first.base.0);
    directories.sum::<u64>() <= DIRECTORY_BYTES_MAX && span <= SEGMENT_ROWS_MAX
}

/// The first segment above the lowest tier of which more than half the rows are dead, if more than a
/// quarter of all are; `dead` says how many of one are.
fn mostly_dead(manifest: &Manifest, dead: impl Fn(usize) -> u64) -> Option<Range<usize>> {
    let rows: u64 = manifest.segments.iter().map(|segment| u64::from(segment.rows)).sum();
    if (rows - manifest.live_rows) * 4 <= rows {
        return None;
    }
    let is_dead = |(place, segment): (usize, &SegmentRef)| {
        tier(segment) > 0 && dead(place) * 2 > u64::from(segment.rows)
    };
    let found = manifest.segments.iter().enumerate().position(is_dead);
    found.map(|place| place..place + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::{Nonce, Stamp};
    use crate::format::manifest::{Extent, Part};

    fn segment(nonce: u128, rows: Range<u64>, bytes: u32) -> SegmentRef {
        let name = ObjectName { stamp: Stamp(1), nonce: Nonce(nonce) };
        SegmentRef {
            parts: vec![Part { name, bytes }],
            directory: Extent { part: 0, start: 0, bytes: 100, crc: 0 },
            base: Row(rows.start),
            end: Row(rows.end),
            rows: (rows.end - rows.start) as u32,
            kills: 0,
            logical_bytes: rows.end - rows.start,
        }
    }

    const SMALL: u32 = 1000;
    const MEDIUM: u32 = 2 << 20;

    fn manifest(segments: Vec<SegmentRef>) -> Manifest {
        let next_row = segments.last().map_or(Row(0), |last| last.end);
        let live_rows = segments.iter().map(|segment| u64::from(segment.rows)).sum();
        let logical_bytes = logical_bytes(&segments);
        Manifest { generation: Generation(4), next_row, segments, live_rows, logical_bytes }
    }

    #[test]
    fn a_flush_holds_only_where_it_started() {
        let before = manifest(vec![segment(1, 0..10, 9)]);
        let added = segment(2, 10..14, 9);
        let (from, to, segment) = (Cursor(3), Cursor(5), Some(added.clone()));
        let incarnation = Incarnation::default();
        let (base, end) = (Row(10), Row(14));
        let edit = FlushEdit { incarnation, from, to, base, end, killed: 2, segment };
        let after = edit.apply(&before, Cursor(3)).unwrap();
        assert_eq!((after.next_row, after.live_rows, after.logical_bytes), (Row(14), 12, 14));
        assert_eq!(after.segments[1], added);
        assert!(edit.has_landed(&after, Cursor(5)) && !edit.has_landed(&before, Cursor(3)));
        assert_eq!(edit.apply(&before, Cursor(4)), Err(Stale));
        assert_eq!(edit.apply(&after, Cursor(3)), Err(Stale));
        assert_eq!(edit.apply(&after, Cursor(5)), Err(Stale), "it does not land twice");
    }

    #[test]
    fn a_flush_of_nothing_has_landed_once_its_commits_are_indexed() {
        let (incarnation, from, to) = (Incarnation::default(), Cursor(3), Cursor(5));
        let (base, end) = (Row(0), Row(0));
        let edit = FlushEdit { incarnation, from, to, base, end, killed: 0, segment: None };
        let after = edit.apply(&Manifest::default(), Cursor(3)).unwrap();
        assert_eq!(after, Manifest { generation: Generation(1), ..Manifest::default() });
        assert!(edit.has_landed(&after, Cursor(5)) && !edit.has_landed(&after, Cursor(4)));
    }

    #[test]
    fn a_merge_rebases_over_a_flush_and_not_over_another_merge_of_its_inputs() {
        let [a, b, c] = [segment(1, 0..10, 9), segment(2, 10..14, 9), segment(3, 14..20, 9)];
        let merged = SegmentRef { rows: 8, ..segment(4, 0..14, 9) };
        let edit = MergeEdit { inputs: vec![a.name(), b.name()], output: Some(merged.clone()) };
        let before = manifest(vec![a.clone(), b.clone(), c.clone()]);
        let after = edit.apply(&before).unwrap();
        assert_eq!(after.segments, [merged, c.clone()]);
        assert_eq!((after.live_rows, after.next_row), (before.live_rows, Row(20)));
        assert!(edit.has_landed(&after) && !edit.has_landed(&before));
        assert_eq!(edit.apply(&after), Err(Stale));
        assert_eq!(edit.apply(&manifest(vec![a.clone(), c.clone()])), Err(Stale));
        assert_eq!(edit.apply(&manifest(vec![a.clone(), c, b.clone()])), Err(Stale));
        let nothing = MergeEdit { output: None, ..edit };
        let after = nothing.apply(&before).unwrap();
        assert_eq!(after.segments.len(), 1);
        assert!(nothing.has_landed(&after) && !nothing.has_landed(&before));
    }

    #[test]
    fn eight_of_a_tier_are_merged_with_the_smaller_ones_between() {
        let sizes = |sizes: &[u32]| {
            let rows = |n: u64| n * 10..n * 10 + 10;
            let named = sizes.iter().zip(0..);
            let all: Vec<_> =
                named.map(|(bytes, n)| segment(u128::from(n), rows(n), *bytes)).collect();
            tiered(&all)
        };
        assert_eq!(sizes(&[]), None);
        assert_eq!(sizes(&[SMALL; 7]), None);
        assert_eq!(sizes(&[SMALL; 8]), Some(0..8));
        assert_eq!(sizes(&[&[MEDIUM][..], &[SMALL; 9]].concat()), Some(1..10));
        assert_eq!(sizes(&[&[MEDIUM; 7][..], &[SMALL; 7]].concat()), None);
        let mixed = [&[MEDIUM; 4][..], &[SMALL], &[MEDIUM; 4], &[SMALL; 2]].concat();
        assert_eq!(sizes(&mixed), Some(0..11));
    }

    #[test]
    fn writing_one_segment_after_another_leaves_few_and_writes_each_row_few_times() {
        let (mut segments, mut written) = (Vec::new(), 0_u64);
        for n in 0..4_000_u64 {
            segments.push(segment(u128::from(n), n * 10..n * 10 + 10, 100 << 10));
            while let Some(range) = tiered(&segments) {
                let rows = segments[range.start].base.0..segments[range.end - 1].end.0;
                let bytes: u64 = segments[range.clone()].iter().map(SegmentRef::stored_bytes).sum();
                written += bytes;
                let merged = segment(u128::from(n) + (1 << 64), rows, bytes as u32);
                segments.splice(range, [merged]);
            }
            assert!(segments.len() <= 36, "{} segments", segments.len());
        }
        let amplification = written as f64 / (4_000.0 * f64::from(100 << 10));
        assert!(amplification < 4.5, "every byte is written {amplification} times again");
    }

    #[test]
    fn nothing_is_merged_into_more_than_one_directory_can_say() {
        let with = |bytes: u64| {
            let directory = Extent { bytes: bytes as u32, ..Extent::default() };
            let one = |n: u64| SegmentRef {
                directory,
                ..segment(u128::from(n), n * 10..n * 10 + 10, 9 << 20)
            };
            tiered(&(0..16).map(one).collect::<Vec<_>>())
        };
        assert_eq!(with(DIRECTORY_BYTES_MAX / 16), Some(0..16));
        assert_eq!(with(DIRECTORY_BYTES_MAX / 8), Some(0..8));
        assert_eq!(with(DIRECTORY_BYTES_MAX / 2), None);
    }

    #[test]
    fn a_merged_directory_fits_into_a_part_and_fills_most_of_it() {
        let part = PART_BYTES_MAX as u64;
        assert!(DIRECTORY_BYTES_MAX < part && part < 2 * DIRECTORY_BYTES_MAX);
        let one = |n: u64, bytes: u64| SegmentRef {
            directory: Extent { bytes: bytes as u32, ..Extent::default() },
            ..segment(u128::from(n), n * 10..n * 10 + 10, SMALL)
        };
        let groups = |bytes| groups(&[one(0, bytes), one(1, bytes)], u32::MAX);
        assert_eq!(groups(DIRECTORY_BYTES_MAX / 2 - 1).as_slice(), std::slice::from_ref(&(0..2)));
        assert!(groups(DIRECTORY_BYTES_MAX / 2).is_empty(), "each is full, though both would fit");
    }

    #[test]
    fn a_merged_segment_spans_no_more_rows_than_positions_can_name() {
        let first = 5 * SEGMENT_ROWS_MAX;
        let groups = |span| {
            let (first, last) = (first..first + 10, first + span - 10..first + span);
            groups(&[segment(1, first, SMALL), segment(2, last, SMALL)], u32::MAX)
        };
        assert_eq!(groups(SEGMENT_ROWS_MAX).as_slice(), std::slice::from_ref(&(0..2)));
        assert_eq!(groups(SEGMENT_ROWS_MAX + 1), [0..1, 1..2]);
    }

    #[test]
    fn of_segments_that_are_mostly_dead_the_first_large_one_is_merged_alone() {
        let large = |nonce, rows| segment(nonce, rows, MEDIUM);
        let segments = vec![segment(1, 0..20, SMALL), large(2, 20..120), large(3, 120..220)];
        let before = manifest(segments);
        let next = |dead: [u64; 3]| {
            let live_rows = before.live_rows - dead.iter().sum::<u64>();
            mostly_dead(&Manifest { live_rows, ..before.clone() }, |at| dead[at])
        };
        assert_eq!(next([0, 0, 55]), None, "a quarter of all");
        assert_eq!(next([0, 0, 56]), Some(2..3));
        assert_eq!(next([20, 50, 50]), None, "half of each, and all of a small one");
        assert_eq!(next([0, 50, 51]), Some(2..3));
        assert_eq!(next([0, 99, 99]), Some(1..2));
    }

    #[test]
    fn a_compaction_merges_neighbours_first_and_then_what_has_dead_rows() {
        let full = |n: u64| SegmentRef {
            directory: Extent { bytes: DIRECTORY_BYTES_MAX as u32, ..Extent::default() },
            ..segment(u128::from(n), n * 10..n * 10 + 10, MEDIUM)
        };
        let small = |n: u64| segment(u128::from(n), n * 10..n * 10 + 10, SMALL);
        let apart = [full(0), small(1), full(2), small(3)];
        assert_eq!(compaction(&apart, |_| 0), None);
        assert_eq!(compaction(&apart, |at| u64::from(at == 2)), Some(2..3));
        assert_eq!(compaction(&[full(0), small(1), small(2)], |_| 1), Some(1..3));
    }
}
