//! Which segments a namespace has: the edits that flushes and merges make to a manifest, and which
//! segments are to be merged next.
//!
//! # Invariants
//!
//! - **H1** An edit that *adds rows* is intact only while the indexed cursor and the next row are those
//!   it started from. An edit that keeps rows is made to any manifest that still names all its inputs,
//!   side by side.
//! - **J1** Rows ascend from segment to segment, and a row number is given out once.
//! - **J2** `live_rows` is exact: rows added by flushes, minus rows they killed.

use core::ops::Range;

use crate::base::id::{Cursor, Generation, Row};
use crate::format::manifest::{Manifest, SegmentRef};

/// What a flush changes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct FlushEdit {
    /// The indexed cursor it started from.
    pub from: Cursor,
    /// The last entry it absorbed.
    pub to: Cursor,
    /// The next row it started from.
    pub base: Row,
    /// The segment it made; `None` if the entries come to nothing.
    pub segment: Option<SegmentRef>,
    /// How many living rows it kills.
    pub killed: u64,
}

/// What a merge changes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct MergeEdit {
    /// The segments it merged, side by side.
    pub inputs: Vec<SegmentRef>,
    /// What it made of them; `None` if no row of them is left, and no kill.
    pub output: Option<SegmentRef>,
}

/// Why an edit cannot be made to a manifest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Stale {
    /// It has been made: the manifest names what it made.
    Landed,
    /// The manifest has moved on from what it started from.
    Moved,
}

impl FlushEdit {
    /// The manifest after the flush.
    ///
    /// # Errors
    ///
    /// [`Stale`] if the manifest, or the cursor up to which it is indexed, is not what the flush
    /// started from (H1).
    pub fn apply(&self, manifest: &Manifest, indexed: Cursor) -> Result<Manifest, Stale> {
        let names = |segment: &SegmentRef| manifest.segments.contains(segment);
        if self.segment.as_ref().is_some_and(names) {
            return Err(Stale::Landed);
        }
        if indexed != self.from || manifest.next_row != self.base {
            return Err(Stale::Moved);
        }
        let mut next = manifest.clone();
        next.generation = Generation(manifest.generation.0 + 1);
        if let Some(segment) = &self.segment {
            assert_eq!(segment.base, self.base, "J1: rows begin where the manifest ends");
            next.next_row = segment.end;
            next.live_rows += u64::from(segment.rows);
            next.logical_bytes += segment.logical_bytes;
            next.segments.push(segment.clone());
        }
        let left = next.live_rows.checked_sub(self.killed);
        next.live_rows = left.expect("J2: no more rows are killed than live");
        Ok(next)
    }
}

impl MergeEdit {
    /// The manifest after the merge.
    ///
    /// # Errors
    ///
    /// [`Stale`] if an input is not named any more.
    pub fn apply(&self, manifest: &Manifest) -> Result<Manifest, Stale> {
        let names = |segment: &SegmentRef| manifest.segments.contains(segment);
        if self.output.as_ref().is_some_and(names) {
            return Err(Stale::Landed);
        }
        let first = self.inputs.first().ok_or(Stale::Moved)?;
        let at = manifest.segments.iter().position(|segment| segment == first);
        let at = at.ok_or(Stale::Moved)?;
        let end = at + self.inputs.len();
        if manifest.segments.get(at..end) != Some(&self.inputs[..]) {
            return Err(Stale::Moved);
        }
        let mut next = manifest.clone();
        next.generation = Generation(manifest.generation.0 + 1);
        let bytes = |segments: &[SegmentRef]| segments.iter().map(|s| s.logical_bytes).sum::<u64>();
        let merged = self.output.as_ref().map_or(0, |output| output.logical_bytes);
        next.logical_bytes = next.logical_bytes - bytes(&self.inputs) + merged;
        next.segments.splice(at..end, self.output.clone());
        Ok(next)
    }
}

/// The segments to merge next, if any are.
pub fn next_merge(manifest: &Manifest) -> Option<Range<usize>> {
    let _ = manifest;
    None
}
