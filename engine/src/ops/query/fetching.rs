//! Makes the answer of what was collected: fetches what it says of its rows, and fuses lists.

use std::collections::BTreeMap;

use crate::base::blob::Blob;
use crate::base::value::{Document, Id, Value};
use crate::index::group::Group;
use crate::index::top::Distance;
use crate::namespace::request::{AnswerRow, Computed, Found, Fuse, QueryError};
use crate::ops::query::Stage;
use crate::ops::query::collected::{Candidate, Collected, Rank, within};
use crate::ops::query::plan::{Listing, Plan, Wanted};
use crate::ops::query::reads::Read;
use crate::ops::query::rows::Rows;

/// The rows of the answer, and what is to be said of them.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Fetching {
    candidates: Vec<Candidate>,
    /// Documents that were looked up.
    held: BTreeMap<Id, Document>,
    rows: Rows,
}

impl Stage {
    /// Begins to fetch what the answer says of its rows. Figures are an answer already.
    pub(super) fn fetch(plan: &Plan, collected: Collected, held: BTreeMap<Id, Document>) -> Self {
        let found = match (collected, &plan.want) {
            (Collected::Rows(best), Wanted::Rows(listing)) => {
                let candidates = best.into_sorted();
                let ascending = candidates.is_sorted_by(|a, b| (&a.rank, &a.id) < (&b.rank, &b.id));
                assert!(ascending, "Q2: a document stands once in an answer, in order");
                let places = candidates.iter().map(|candidate| candidate.place);
                let rows = Rows::begin(&plan.source, places, &listing.shown());
                return Self::Fetching(Fetching { candidates, held, rows });
            }
            (Collected::Ids(ids), _) => Found::Ids(ids.into_sorted()),
            (Collected::Figures(tallies), _) => {
                let figures = tallies.into_iter().map(|(label, tally)| (label, tally.figure()));
                Found::Aggregates(figures.collect())
            }
            (Collected::Groups(groups), Wanted::Groups { keys, figures, .. }) => {
                let groups: Vec<Group> = groups.into_groups();
                let whole = |group: &Group| group.keys.len() == keys.len();
                assert!(groups.iter().all(whole), "Q2: a group has every key");
                Found::Groups { keys: keys.clone(), figures: figures.clone(), groups }
            }
            (Collected::Rows(_) | Collected::Groups(_), _) => {
                panic!("what is collected is what is wanted")
            }
        };
        Self::Answered(found)
    }
}

impl Fetching {
    /// What to read next; nothing if all is there.
    pub(super) fn wanted(&mut self, plan: &Plan) -> Vec<Read> {
        self.rows.wanted(&plan.source)
    }

    /// Takes what was read.
    pub(super) fn take(
        &mut self,
        plan: &Plan,
        arrived: &BTreeMap<Read, Blob>,
    ) -> Result<(), QueryError> {
        self.rows.take(&plan.source, arrived)
    }

    /// The rows, once all is there.
    pub(super) fn answer(self, plan: &Plan) -> Result<Found, QueryError> {
        let Wanted::Rows(Listing { include, compute, limit, .. }) = &plan.want else {
            panic!("rows are wanted")
        };
        assert!(self.candidates.len() <= *limit, "no more rows than asked for");
        let overlay = &plan.source.snapshot.overlay;
        let computations: Vec<_> = compute.iter().map(|one| one.ready(plan.host)).collect();
        let mut answer = Vec::with_capacity(self.candidates.len());
        let mut bytes = 0;
        for (candidate, values) in self.candidates.into_iter().zip(self.rows.into_values()) {
            let fetched = Document { id: candidate.id, attributes: values };
            let document = match candidate.place {
                Some(_) => &fetched,
                None => self
                    .held
                    .get(&fetched.id)
                    .or_else(|| overlay.get(&fetched.id).flatten())
                    .expect("what has no place in a segment is in memory"),
            };
            let attributes = include.iter().filter_map(|(name, attribute)| {
                document.value(*attribute).map(|value: &Value| (name.clone(), value.clone()))
            });
            let attributes: Vec<_> = attributes.collect();
            bytes += attributes.iter().map(|(_, v)| v.logical_bytes() as usize).sum::<usize>();
            let computed: Vec<_> = computations.iter().filter_map(|one| one.of(document)).collect();
            bytes += computed
                .iter()
                .map(|(label, _)| label.len() + size_of::<(String, Computed)>())
                .sum::<usize>();
            within(bytes)?;
            let distance = match candidate.rank {
                Rank::Distance(distance) => Some(distance),
                Rank::Score(score) => Some(score.0),
                Rank::Keys(_) => None,
            };
            let id = document.id.clone();
            answer.push(AnswerRow { id, distance, attributes, computed });
        }
        Ok(Found::Rows(answer))
    }
}

/// One list of several. What is said of a row is what the lists say of it, the first first.
pub(super) fn fused(fuse: &Fuse, found: Vec<Found>) -> Found {
    let lists: Vec<Vec<AnswerRow>> = found
        .into_iter()
        .map(|found| match found {
            Found::Rows(rows) => rows,
            other => panic!("only rows are fused, not {other:?}"),
        })
        .collect();
    let ids = lists.iter().map(|rows| rows.iter().map(|row| &row.id).collect());
    let fused = fuse.fuse(ids).into_iter().map(|(id, score)| AnswerRow {
        id: id.clone(),
        distance: Some(Distance(score)),
        attributes: Vec::new(),
        computed: Vec::new(),
    });
    let mut fused: Vec<AnswerRow> = fused.collect();
    assert!(fused.len() <= fuse.limit, "no more rows than asked for");
    let places = fused.iter().enumerate().map(|(place, row)| (row.id.clone(), place));
    let places: BTreeMap<Id, usize> = places.collect();
    for row in lists.into_iter().flatten() {
        let Some(into) = places.get(&row.id).map(|place| &mut fused[*place]) else { continue };
        for (name, value) in row.attributes {
            if !into.attributes.iter().any(|(other, _)| *other == name) {
                into.attributes.push((name, value));
            }
        }
        for (label, computed) in row.computed {
            if !into.computed.iter().any(|(other, _)| *other == label) {
                into.computed.push((label, computed));
            }
        }
    }
    Found::Rows(fused)
}
