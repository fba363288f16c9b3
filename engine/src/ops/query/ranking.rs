//! Ranks, sums up or groups the selected rows of the segments, a window of pages at a time.

use core::ops::Range;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::base::blob::Blob;
use crate::base::id::AttributeId;
use crate::base::value::{Id, Scalar, Value};
use crate::format::columns::{Column, ColumnPage};
use crate::index::positions::Positions;
use crate::namespace::request::QueryError;
use crate::ops::query::collected::{Collected, Kind};
use crate::ops::query::plan::{Likest, Listing, Nearest, Plan, RankBy, Shuffled, Wanted};
use crate::ops::query::reads::{Of, Read, Source};
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
    /// The columns that matter, ascending and distinct; `None` is the one of ids.
    pub(super) columns: Vec<Option<AttributeId>>,
    pub(super) reads: Vec<Read>,
}

/// A cell's page, and the row in it.
type Cell<'a> = (&'a ColumnPage, usize);

/// The units that rank, sum up or group these positions, one set for each segment.
pub(super) fn units(plan: &Plan, selected: &[&Positions]) -> VecDeque<Unit> {
    let mut units = VecDeque::new();
    for (segment, rows) in selected.iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
        let mut from = Units { source: &plan.source, segment, rows, into: &mut units };
        match &plan.want {
            Wanted::Rows(listing) => match &listing.rank {
                RankBy::Keys(_) => from.add(listing.columns(), None),
                // Without a vector there is no distance.
                RankBy::Nearest(Nearest { attribute, .. })
                | RankBy::Likest(Likest { attribute, .. })
                | RankBy::Shuffled(Shuffled { attribute, .. }) => {
                    from.add(listing.columns(), Some(*attribute));
                }
            },
            Wanted::Ids(_) => from.add(vec![None], None),
            Wanted::Figures(tallies) => {
                let attributes = tallies.iter().filter_map(|(_, tally)| tally.attribute());
                let attributes: BTreeSet<_> = attributes.collect();
                // Without a value there is nothing to sum up.
                attributes.into_iter().for_each(|of| from.add(vec![Some(of)], Some(of)));
            }
            Wanted::Groups { groups, .. } => {
                let attributes = groups.attributes().into_iter().map(Some);
                from.add(attributes.chain([None]).collect(), None);
            }
        }
    }
    units
}

/// Where units are made of.
struct Units<'a> {
    source: &'a Source,
    segment: usize,
    rows: &'a Positions,
    into: &'a mut VecDeque<Unit>,
}

impl Units<'_> {
    /// Adds one unit for each page of a column in which there are rows, with the pages of all
    /// `columns` that it takes. The column is the one that rows need a value of, if they need any.
    fn add(&mut self, mut columns: Vec<Option<AttributeId>>, needed: Option<AttributeId>) {
        columns.sort_unstable();
        columns.dedup();
        let source = self.source;
        // Units end where pages do; the column with the most pages has the smallest ones.
        let pages = |of: &Option<AttributeId>| {
            source.column(self.segment, *of).map_or(0, |column| column.pages().len())
        };
        let lead = match needed {
            Some(attribute) => Some(attribute),
            None => columns.iter().copied().max_by_key(pages).expect("ids are a column"),
        };
        for page in source.column(self.segment, lead).into_iter().flat_map(Column::pages) {
            let is_null = needed.is_some() && page.nulls == page.rows;
            if is_null || !self.rows.meets(page.first..page.end()) {
                continue;
            }
            let rows = page.first..page.end();
            let reads = columns.iter().flat_map(|of| self.reads(*of, &rows)).collect();
            let (segment, columns) = (self.segment, columns.clone());
            self.into.push_back(Unit { segment, rows, columns, reads });
        }
    }

    /// The pages of a column that hold values of these rows.
    fn reads(&self, of: Option<AttributeId>, rows: &Range<u32>) -> Vec<Read> {
        let Some(column) = self.source.column(self.segment, of) else { return Vec::new() };
        assert!(rows.start < rows.end, "a unit has rows");
        let first = column.page_of(rows.start).expect("C1: pages cover all positions");
        let pages = column.pages().iter().enumerate().skip(first);
        let pages = pages.take_while(|(_, page)| page.first < rows.end);
        let pages = pages.filter(|(_, page)| page.nulls < page.rows);
        pages.map(|(place, _)| Read { segment: self.segment, of: Of::Page(of, place) }).collect()
    }
}

impl Ranking {
    /// Begins with what was selected. `collected` holds what was found elsewhere.
    pub(super) fn begin(plan: &Plan, selected: Selected, mut collected: Collected) -> Self {
        let Selected { positions: selected, held, .. } = selected;
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
            self.flying = plan.source.window(&mut self.units, |unit| {
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
        let mut opened = BTreeMap::new();
        for unit in core::mem::take(&mut self.flying) {
            open(&plan.source, &unit, &self.held, &mut opened)?;
            let pages = Pages::new(plan, &unit, &opened);
            let rows = &self.selected[unit.segment];
            match (&mut self.collected, &plan.want) {
                (Collected::Ids(ids), _) => {
                    let rows = rows.0.range(unit.rows.clone());
                    rows.for_each(|position| ids.offer(pages.id(position)));
                }
                (Collected::Figures(tallies), _) => aggregate::add(tallies, &unit, rows, &pages),
                (Collected::Groups(groups), _) => aggregate::group(groups, &unit, rows, &pages),
                (Collected::Rows(best), Wanted::Rows(listing)) => match &listing.rank {
                    RankBy::Keys(keys) => order::rank(best, keys, &unit, rows, &pages),
                    RankBy::Nearest(nearest) => {
                        let probe = nearest.probe(plan.host);
                        vector::rank_nearest(best, nearest, &probe, &unit, rows, &pages);
                    }
                    RankBy::Likest(likest) => {
                        vector::rank_likest(best, likest, &unit, rows, &pages);
                    }
                    RankBy::Shuffled(shuffled) => {
                        order::rank_shuffled(best, *shuffled, &unit, rows, &pages);
                    }
                },
                (Collected::Rows(_), _) => panic!("rows are collected where they are wanted"),
            }
            self.collected.fits()?;
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

/// Opens the pages of a unit that are not open yet, and forgets those of others.
fn open(
    source: &Source,
    unit: &Unit,
    held: &BTreeMap<Read, Blob>,
    opened: &mut BTreeMap<Read, ColumnPage>,
) -> Result<(), QueryError> {
    opened.retain(|read, _| unit.reads.contains(read));
    for read in &unit.reads {
        if !opened.contains_key(read) {
            opened.insert(*read, source.open(read, &held[read])?);
        }
    }
    Ok(())
}

/// The open pages of a unit, by columns.
pub(super) struct Pages<'a> {
    columns: BTreeMap<Option<AttributeId>, Cells<'a>>,
    /// By what rows are alike.
    per: &'a [Option<AttributeId>],
}

impl<'a> Pages<'a> {
    fn new(plan: &'a Plan, unit: &Unit, opened: &'a BTreeMap<Read, ColumnPage>) -> Self {
        let columns = unit.columns.iter().map(|of| {
            let read = |place| Read { segment: unit.segment, of: Of::Page(*of, place) };
            let pages = opened.range(read(0)..=read(usize::MAX)).map(|(read, page)| {
                let described = plan.source.page(read).1;
                (described.first..described.end(), page)
            });
            (*of, Cells { pages: pages.collect() })
        });
        let per = match &plan.want {
            Wanted::Rows(Listing { per: Some((keys, _)), .. }) => keys.as_slice(),
            _ => &[],
        };
        Self { columns: columns.collect(), per }
    }

    /// The page of a column that covers a position, with its first position.
    pub(super) fn page(
        &self,
        of: Option<AttributeId>,
        position: u32,
    ) -> Option<(&'a ColumnPage, u32)> {
        let cells = self.cells(of).pages.iter();
        let mut covering = cells.filter(|(cover, _)| cover.contains(&position));
        covering.next().map(|(cover, page)| (*page, cover.start))
    }

    /// The cells of a column.
    pub(super) fn cells(&self, of: Option<AttributeId>) -> &Cells<'a> {
        self.columns.get(&of).expect("a unit names every column it takes")
    }

    /// The id at a position.
    pub(super) fn id(&self, position: u32) -> Id {
        let id = self.cells(None).at(position).and_then(|(page, row)| page.id(row));
        id.expect("a document has an id")
    }

    /// What the row at a position shares with those that are like it.
    pub(super) fn kind(&self, position: u32) -> Kind {
        self.per.iter().map(|of| self.cells(*of).scalar(position)).collect()
    }
}

/// The open pages of one column, and the positions each covers.
pub(super) struct Cells<'a> {
    pages: Vec<(Range<u32>, &'a ColumnPage)>,
}

impl<'a> Cells<'a> {
    /// The page and row of a position; `None` if all rows around it are null.
    fn at(&self, position: u32) -> Option<Cell<'a>> {
        let (cover, page) = self.pages.iter().find(|(cover, _)| cover.contains(&position))?;
        Some((page, (position - cover.start) as usize))
    }

    /// Whether there is a value at a position.
    pub(super) fn is_present(&self, position: u32) -> bool {
        self.at(position).is_some_and(|(page, row)| page.presence().slot(row).is_some())
    }

    /// The scalar at a position.
    pub(super) fn scalar(&self, position: u32) -> Option<Scalar> {
        self.at(position).and_then(|(page, row)| page.scalar(row))
    }

    /// The value at a position.
    pub(super) fn value(&self, position: u32) -> Option<Value> {
        self.at(position).and_then(|(page, row)| page.value(row))
    }
}
