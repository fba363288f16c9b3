//! From pages to the positions of a segment that a filter selects.
//!
//! First the directory says where the filter may hold at all; then the pages that decide are read, in
//! any order; then what each test found is combined.

use std::collections::BTreeMap;

use roaring::RoaringBitmap;

use crate::base::id::AttributeId;
use crate::base::planted::{self, Bug};
use crate::format::columns::{Column, ColumnPage, Page};
use crate::format::segment::Directory;
use crate::index::filter::page::Foresight;
use crate::index::filter::{Filter, Test};
use crate::index::positions::Positions;

/// A filter being evaluated on one segment.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Selection {
    rows: u32,
    /// Where the filter may hold. Tests are answered here, and elsewhere perhaps not.
    possible: Positions,
    /// Where each test of the filter passes, in the order of the filter.
    passed: Vec<Positions>,
}

/// The pages that decide about tests, by attribute (`None`: the ids) and place in the column, each
/// with the tests it decides by their order in the filter.
pub type Deciders = BTreeMap<(Option<AttributeId>, usize), Vec<usize>>;

/// The column of an attribute, or the one of the ids.
pub fn column(directory: &Directory, attribute: Option<AttributeId>) -> Option<&Column> {
    attribute.map_or(Some(directory.ids()), |attribute| directory.column(attribute))
}

impl Selection {
    /// Begins, among the positions in `among`, and says which pages decide.
    pub fn begin(filter: &Filter, directory: &Directory, among: &Positions) -> (Self, Deciders) {
        let rows = directory.rows();
        let mut tests = Vec::new();
        filter.for_each_test(&mut |attribute, test| {
            tests.push(Foreseen::new(test, column(directory, attribute), rows, attribute));
        });
        let upper = tests.iter().map(|test| &test.may_pass);
        let possible = combine(filter, rows, &mut upper.into_iter(), Bound::Upper) & &among.0;
        let possible = Positions(possible);
        let mut deciders = Deciders::new();
        for (number, test) in tests.iter().enumerate() {
            for (place, page) in &test.undecided {
                if possible.meets(page.first..page.end()) {
                    deciders.entry((test.attribute, *place)).or_default().push(number);
                }
            }
        }
        let passed = tests.into_iter().map(|test| Positions(test.passes)).collect();
        (Self { rows, possible, passed }, deciders)
    }

    /// How many rows the segment has.
    pub const fn rows(&self) -> u32 {
        self.rows
    }

    /// Where the filter may hold.
    pub const fn possible(&self) -> &Positions {
        &self.possible
    }

    /// Takes the answers of a page that decides `tests`, the tests of `filter` by their order.
    pub fn decide(&mut self, filter: &Filter, tests: &[usize], page: &ColumnPage, first: u32) {
        let mut number = 0;
        filter.for_each_test(&mut |_, test| {
            if tests.contains(&number) {
                self.passed[number].0 |= test.rows(page, first);
            }
            number += 1;
        });
    }

    /// The positions that the filter selects, once all pages have decided.
    pub fn finish(&self, filter: &Filter) -> Positions {
        let mut passed = self.passed.iter().map(|positions| &positions.0);
        Positions(combine(filter, self.rows, &mut passed, Bound::Exact) & &self.possible.0)
    }
}

/// What the directory says of one test.
struct Foreseen<'a> {
    attribute: Option<AttributeId>,
    passes: RoaringBitmap,
    may_pass: RoaringBitmap,
    undecided: Vec<(usize, &'a Page)>,
}

impl<'a> Foreseen<'a> {
    fn new(
        test: &Test,
        column: Option<&'a Column>,
        rows: u32,
        attribute: Option<AttributeId>,
    ) -> Self {
        let (mut passes, mut may_pass) = (RoaringBitmap::new(), RoaringBitmap::new());
        let mut undecided = Vec::new();
        for (place, page) in column.into_iter().flat_map(Column::pages).enumerate() {
            match test.foresee(page) {
                Foresight::None => {}
                Foresight::All => {
                    passes.insert_range(page.first..page.end());
                    may_pass.insert_range(page.first..page.end());
                }
                Foresight::Unknown => {
                    may_pass.insert_range(page.first..page.end());
                    undecided.push((place, page));
                }
            }
        }
        // Without a column every row is null.
        if column.is_none() && *test == Test::Null {
            passes.insert_range(0..rows);
            may_pass.insert_range(0..rows);
        }
        Self { attribute, passes, may_pass, undecided }
    }
}

/// What to make of what is known of the tests.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bound {
    /// Exactly where the tests pass is known.
    Exact,
    /// Only where they may pass: a complement may be anywhere.
    Upper,
}

fn combine<'a>(
    filter: &Filter,
    rows: u32,
    tests: &mut impl Iterator<Item = &'a RoaringBitmap>,
    bound: Bound,
) -> RoaringBitmap {
    let all = || Positions::all(rows).0;
    match filter {
        Filter::All(parts) => {
            parts.iter().fold(all(), |held, part| held & combine(part, rows, tests, bound))
        }
        Filter::Any(parts) => parts
            .iter()
            .fold(RoaringBitmap::new(), |held, part| held | combine(part, rows, tests, bound)),
        Filter::Not(part) => match (combine(part, rows, tests, bound), bound) {
            (held, Bound::Upper) if planted::is(Bug::NotOfWhatMayPass) => all() - held,
            (held, Bound::Exact) => all() - held,
            (_, Bound::Upper) => all(),
        },
        Filter::Id(_) | Filter::Attribute(..) => {
            tests.next().expect("one answer for each test").clone()
        }
    }
}
