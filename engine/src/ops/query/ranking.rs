//! Ranks or sums up the selected rows of the segments, a window of pages at a time.

use core::ops::Range;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::base::blob::Blob;
use crate::base::id::AttributeId;
use crate::base::value::{Id, Scalar};
use crate::format::columns::{Column, ColumnPage};
use crate::index::positions::Positions;
use crate::namespace::request::QueryError;
use crate::ops::query::collected::Collected;
use crate::ops::query::plan::{Plan, RankBy, Wanted};
use crate::ops::query::reads::{Of, Read, Source, window};
use crate::ops::query::scan::Selected;
use crate::ops::query::{aggregate, order, vector};

/// The ranking on its way.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Ranking {
    collected: Collected,
    selected: Vec<Positions>,
    units: VecDeque<Unit>,
    flying: Vec<Unit>,
    /// What was read and is still needed.
    held: BTreeMap<Read, Blob>,
}

/// Rows of one segment that are ranked together, and all pages that takes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Unit {
    pub(super) segment: usize,
    pub(super) rows: Range<u32>,
    pub(super) reads: Vec<Read>,
}

/// The pages of a unit, opened.
pub(super) struct Pages<'a> {
    source: &'a Source,
    opened: BTreeMap<Read, ColumnPage>,
}

/// A cell's page, and the row in it.
pub(super) type Cell<'a> = (&'a ColumnPage, usize);

/// The units that rank or sum up these positions, one set for each segment.
pub(super) fn units(plan: &Plan, selected: &[&Positions]) -> VecDeque<Unit> {
    let source = &plan.source;
    let mut units = VecDeque::new();
    for (segment, rows) in selected.iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
        match &plan.want {
            Wanted::Rows { rank: RankBy::Nearest(nearest), .. } => {
                let vectors = Some(nearest.attribute);
                add_units(source, segment, rows, vectors, &[vectors, None], &mut units);
            }
            Wanted::Rows { rank: RankBy::Keys(order), .. } => {
                let mut columns: Vec<_> = order.keys.iter().map(|(key, _)| *key).collect();
                columns.push(None);
                // Units end where pages do; the column with the most pages has the smallest ones.
                let pages = |of: &Option<AttributeId>| {
                    source.column(segment, *of).map_or(0, |column| column.pages().len())
                };
                let lead = columns.iter().copied().max_by_key(pages).expect("ids are a column");
                add_units(source, segment, rows, lead, &columns, &mut units);
            }
            Wanted::Figures(tallies) => {
                let attributes = tallies.iter().filter_map(|(_, tally)| tally.attribute());
                let attributes: BTreeSet<_> = attributes.collect();
                for of in attributes.into_iter().map(Some) {
                    add_units(source, segment, rows, of, &[of], &mut units);
                }
            }
        }
    }
    units
}

/// Adds one unit for each page of the column `lead` in which there are `rows`, with the pages of all
/// `columns` that it takes.
fn add_units(
    source: &Source,
    segment: usize,
    rows: &Positions,
    lead: Option<AttributeId>,
    columns: &[Option<AttributeId>],
    units: &mut VecDeque<Unit>,
) {
    for page in source.column(segment, lead).into_iter().flat_map(Column::pages) {
        // Without a value there is no distance and nothing to sum up; orders have a place for nulls.
        let nothing = page.nulls == page.rows && !columns.contains(&None);
        if nothing || !rows.meets(page.first..page.end()) {
            continue;
        }
        let mut reads: Vec<Read> = Vec::new();
        for of in columns {
            let Some(column) = source.column(segment, *of) else { continue };
            let first = column.page_of(page.first).expect("C1: pages cover all positions");
            let pages = column.pages().iter().enumerate().skip(first);
            let pages = pages.take_while(|(_, other)| other.first < page.end());
            for (place, _) in pages.filter(|(_, other)| other.nulls < other.rows) {
                let read = Read { segment, of: Of::Page(*of, place) };
                if !reads.contains(&read) {
                    reads.push(read);
                }
            }
        }
        units.push_back(Unit { segment, rows: page.first..page.end(), reads });
    }
}

impl Ranking {
    /// Begins with what was selected. `collected` holds what was found elsewhere.
    pub(super) fn begin(plan: &Plan, selected: Selected, mut collected: Collected) -> Self {
        let Selected { positions: selected, held } = selected;
        let segments = plan.source.directories().count();
        assert_eq!(selected.len(), segments, "a selection for each segment");
        if let Collected::Figures(tallies) = &mut collected {
            let rows = selected.iter().map(Positions::len).sum();
            for (_, tally) in tallies {
                tally.add_count(rows);
            }
        }
        let units = units(plan, &selected.iter().collect::<Vec<_>>());
        Self { collected, selected, units, flying: Vec::new(), held }
    }

    /// What to read next; nothing if all is ranked.
    pub(super) fn wanted(&mut self, plan: &Plan) -> Result<Vec<Read>, QueryError> {
        while !self.units.is_empty() {
            let mut missing = BTreeSet::new();
            let held = &self.held;
            self.flying = window(&mut self.units, |unit| {
                let reads = unit.reads.iter().filter(|read| !held.contains_key(read));
                let added = reads.filter(|read| missing.insert(**read));
                added.map(|read| plan.source.bytes(read)).sum()
            });
            let reads = self.flying.iter().flat_map(|unit| &unit.reads);
            let missing: BTreeSet<Read> =
                reads.filter(|r| !held.contains_key(r)).copied().collect();
            if !missing.is_empty() {
                return Ok(missing.into_iter().collect());
            }
            self.take(plan, BTreeMap::new())?;
        }
        Ok(Vec::new())
    }

    /// Takes what was read.
    pub(super) fn take(
        &mut self,
        plan: &Plan,
        arrived: BTreeMap<Read, Blob>,
    ) -> Result<(), QueryError> {
        self.held.extend(arrived);
        let mut pages = Pages { source: &plan.source, opened: BTreeMap::new() };
        for unit in core::mem::take(&mut self.flying) {
            pages.turn_to(&unit, &self.held)?;
            let rows = &self.selected[unit.segment];
            match (&mut self.collected, &plan.want) {
                (Collected::Figures(tallies), _) => aggregate::add(tallies, &unit, rows, &pages),
                (Collected::Rows(top), Wanted::Rows { rank: RankBy::Keys(keys), .. }) => {
                    order::rank(top, keys, &unit, rows, &pages);
                }
                (Collected::Rows(top), Wanted::Rows { rank: RankBy::Nearest(nearest), .. }) => {
                    let probe = nearest.probe(plan.host);
                    vector::rank(top, &probe, &unit, rows, &pages);
                }
                (Collected::Rows(_), Wanted::Figures(_)) => {
                    panic!("rows are not collected for figures")
                }
            }
        }
        // Pages reach over the end of a unit into the next one only.
        let next = self.units.front();
        self.held.retain(|read, _| next.is_some_and(|unit| unit.reads.contains(read)));
        Ok(())
    }

    /// What was found in all.
    pub(super) fn finish(self) -> Collected {
        assert!(self.units.is_empty() && self.flying.is_empty(), "all units are ranked");
        self.collected
    }
}

impl Pages<'_> {
    /// Opens the pages of a unit that are not open yet, and forgets those of others.
    fn turn_to(&mut self, unit: &Unit, held: &BTreeMap<Read, Blob>) -> Result<(), QueryError> {
        self.opened.retain(|read, _| unit.reads.contains(read));
        for read in &unit.reads {
            if !self.opened.contains_key(read) {
                self.opened.insert(*read, self.source.open(read, &held[read])?);
            }
        }
        Ok(())
    }

    /// The open pages, each with its first position.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Read, &ColumnPage, u32)> {
        self.opened.iter().map(|(read, page)| (read, page, self.source.page(read).1.first))
    }

    /// The open pages of a column, with the positions they cover.
    pub(super) fn of(&self, segment: usize, of: Option<AttributeId>) -> Cells<'_> {
        let all = self.opened.range(
            Read { segment, of: Of::Page(of, 0) }..=Read { segment, of: Of::Page(of, usize::MAX) },
        );
        let cover = |read| {
            let page = self.source.page(read).1;
            page.first..page.end()
        };
        Cells { pages: all.map(|(read, page)| (cover(read), page)).collect() }
    }
}

/// The open pages of one column.
pub(super) struct Cells<'a> {
    pages: Vec<(Range<u32>, &'a ColumnPage)>,
}

impl<'a> Cells<'a> {
    /// The page and row of a position; `None` if all rows around it are null.
    fn at(&self, position: u32) -> Option<Cell<'a>> {
        let (cover, page) = self.pages.iter().find(|(cover, _)| cover.contains(&position))?;
        Some((page, (position - cover.start) as usize))
    }

    /// The scalar at a position.
    pub(super) fn scalar(&self, position: u32) -> Option<Scalar> {
        self.at(position).and_then(|(page, row)| page.scalar(row))
    }

    /// The id at a position.
    pub(super) fn id(&self, position: u32) -> Id {
        let id = self.at(position).and_then(|(page, row)| page.id(row));
        id.expect("a document has an id")
    }
}
