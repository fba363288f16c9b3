//! Selects rows of the segments: reads the pages that decide the filter, and the blocks of ids that say
//! which rows the overlay replaced.
//!
//! # Invariants
//!
//! - **S1** A row counts if no segment killed it and the overlay has no word on its id. Words that an
//!   earlier query looked up are known already.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::base::blob::Blob;
use crate::base::planted::{self, Bug};
use crate::base::value::Id;
use crate::index::filter::select::Selection;
use crate::index::positions::Positions;
use crate::namespace::request::QueryError;
use crate::namespace::snapshot::Replaced;
use crate::ops::query::plan::{Plan, RankBy, Wanted};
use crate::ops::query::ranking::units;
use crate::ops::query::reads::{Of, Read};

/// The selection on its way.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Scan {
    /// One for each segment.
    selections: Vec<Selection>,
    /// Where rows have been replaced, in each segment.
    replaced: Vec<Replaced>,
    pending: VecDeque<(Read, For)>,
    flying: BTreeMap<Read, For>,
    /// What the next stage will probably read, as far as one round can bring it along.
    ahead: Vec<Read>,
    held: BTreeMap<Read, Blob>,
}

/// What something is read for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum For {
    /// To find the replaced rows of these ids.
    Replaced(Vec<Id>),
    /// To decide these tests of the filter.
    Tests(Vec<usize>),
}

/// What was selected.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Selected {
    /// The positions in each segment.
    pub(super) positions: Vec<Positions>,
    /// What was read ahead.
    pub(super) held: BTreeMap<Read, Blob>,
    /// What is known now of the replaced rows of each segment.
    pub(super) replaced: Vec<Replaced>,
}

impl Scan {
    pub(super) fn begin(plan: &Plan) -> Self {
        let source = &plan.source;
        let mut pending = BTreeMap::new();
        let mut selections = Vec::new();
        for (segment, directory) in source.directories().enumerate() {
            let mut alive = Positions::all(directory.rows());
            if !planted::is(Bug::DeadRowsAnswer) {
                alive.0 -= &source.snapshot.dead(segment).0;
            }
            let (selection, deciders) = Selection::begin(&plan.filter, directory, &alive);
            for ((attribute, page), tests) in deciders {
                let read = Read { segment, of: Of::Page(attribute, page) };
                pending.insert(read, For::Tests(tests));
            }
            selections.push(selection);
        }
        // By distance the pages are large, so those that a filter can spare are not read ahead.
        let nearest = matches!(&plan.want, Wanted::Rows(l) if matches!(l.rank, RankBy::Nearest(_)));
        let possible: Vec<&Positions> = selections.iter().map(Selection::possible).collect();
        let ahead =
            if nearest && !pending.is_empty() { VecDeque::new() } else { units(plan, &possible) };
        let ahead = ahead.into_iter().flat_map(|unit| unit.reads).collect();

        let overlay = &source.snapshot.overlay;
        let mut replaced = Vec::new();
        for (segment, selection) in selections.iter().enumerate() {
            let mut known = source.snapshot.replaced(segment).clone();
            let looks = !selection.possible().is_empty();
            if (looks || planted::is(Bug::LearnsWithoutLooking))
                && !planted::is(Bug::OverlaidRowsAnswer)
            {
                let ids = overlay.ids_after(known.until).filter(|_| looks);
                let probes = source.probes(segment, ids).into_iter();
                pending.extend(probes.map(|(read, ids)| (read, For::Replaced(ids))));
                let last = overlay.entries().last();
                known.until = last.map_or(known.until, |last| last.cursor.max(known.until));
            }
            assert!(known.positions.0.max().is_none_or(|last| last < selection.rows()), "Q3");
            replaced.push(known);
        }
        Self {
            replaced,
            selections,
            pending: pending.into_iter().collect(),
            flying: BTreeMap::new(),
            ahead,
            held: BTreeMap::new(),
        }
    }

    /// What to read next; nothing if all is decided.
    pub(super) fn wanted(&mut self, plan: &Plan) -> Vec<Read> {
        let bytes = |read: &Read| plan.source.bytes(read);
        let taken = plan.source.window(&mut self.pending, |(read, _)| bytes(read));
        self.flying = taken.into_iter().collect();
        let mut reads: BTreeSet<Read> = self.flying.keys().copied().collect();
        if self.pending.is_empty() && !reads.is_empty() {
            let mut held: usize = reads.iter().map(bytes).sum();
            for read in core::mem::take(&mut self.ahead) {
                held += bytes(&read);
                if held > plan.source.window_bytes {
                    break;
                }
                reads.insert(read);
            }
        }
        reads.into_iter().collect()
    }

    /// Takes what was read.
    pub(super) fn take(
        &mut self,
        plan: &Plan,
        arrived: BTreeMap<Read, Blob>,
    ) -> Result<(), QueryError> {
        for (read, what) in core::mem::take(&mut self.flying) {
            match what {
                For::Tests(tests) => {
                    let page = plan.source.open(&read, &arrived[&read])?;
                    let first = plan.source.page(&read).1.first;
                    self.selections[read.segment].decide(&plan.filter, &tests, &page, first);
                }
                For::Replaced(ids) => {
                    let block = plan.source.open_block(&read, &arrived[&read])?;
                    for id in ids {
                        let position = plan.source.find(&read, &block, &id)?;
                        self.replaced[read.segment].positions.0.extend(position);
                    }
                }
            }
        }
        // Of the last window also the pages that decided: they may be those to order by.
        if self.pending.is_empty() {
            self.held = arrived;
        }
        Ok(())
    }

    /// What was selected, once nothing is wanted any more.
    pub(super) fn finish(self, plan: &Plan) -> Selected {
        assert!(self.pending.is_empty() && self.flying.is_empty(), "S1: all is decided");
        let rows = self.selections.iter().zip(&self.replaced);
        let rows = rows.map(|(selection, replaced)| {
            let selected = selection.finish(&plan.filter).0;
            if planted::is(Bug::OverlaidRowsAnswer) {
                return Positions(selected);
            }
            Positions(selected - &replaced.positions.0)
        });
        Selected { positions: rows.collect(), held: self.held, replaced: self.replaced }
    }
}
