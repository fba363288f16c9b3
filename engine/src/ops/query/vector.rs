//! Ranks rows by the exact distance of their vectors, or by the product of sparse ones.

use core::cmp::Reverse;

use crate::format::columns::{ColumnPage, Values};
use crate::index::positions::Positions;
use crate::index::top::Distance;
use crate::index::vector::distance::Probe;
use crate::index::vector::sparse;
use crate::ops::query::collected::{Best, Candidate, Rank};
use crate::ops::query::plan::{Likest, Nearest};
use crate::ops::query::ranking::{Pages, Unit};
use crate::ops::query::reads::Place;

/// Offers the selected rows of a unit, which is one page of vectors.
pub(super) fn rank_nearest(
    best: &mut Best,
    nearest: &Nearest,
    probe: &Probe,
    unit: &Unit,
    selected: &Positions,
    pages: &Pages<'_>,
) {
    let Some((page, first)) = pages.page(Some(nearest.attribute), unit.rows.start) else { return };
    let Values::Vectors(vectors) = page.values() else { return };
    assert_eq!(first, unit.rows.start, "a unit that is ranked by vectors is one page of them");
    let presence = page.presence();
    assert_eq!(presence.present(), vectors.len(), "C1: a vector for each row that has one");
    let mut farthest = best.farthest();
    let mut offer = |position, distance| {
        let rank = Rank::Distance(Distance(distance));
        offer(best, rank, position, unit, pages);
        best.farthest()
    };
    let wanted = selected.0.range_cardinality(unit.rows.clone());
    // To run through all is faster than to jump, unless few are wanted.
    if wanted >= presence.present() as u64 / 2 {
        let mut distances = vec![0.0; vectors.len()];
        probe.distances(vectors.components(), &mut distances);
        for (row, distance) in presence.iter().zip(distances) {
            let position = first + row as u32;
            // Few are near enough, so it is asked last whether the row is wanted at all.
            if distance <= farthest && selected.0.contains(position) {
                farthest = offer(position, distance);
            }
        }
        return;
    }
    for (position, slot) in slots(page, first, unit, selected) {
        let mut distance = [0.0];
        probe.distances(vectors.at(slot), &mut distance);
        if distance[0] <= farthest {
            farthest = offer(position, distance[0]);
        }
    }
}

/// Offers the selected rows of a unit, which is one page of sparse vectors.
pub(super) fn rank_likest(
    best: &mut Best,
    likest: &Likest,
    unit: &Unit,
    selected: &Positions,
    pages: &Pages<'_>,
) {
    let Some((page, first)) = pages.page(Some(likest.attribute), unit.rows.start) else { return };
    let Values::Sparses(sparses) = page.values() else { return };
    let weights = likest.weights();
    for (position, slot) in slots(page, first, unit, selected) {
        if let Some(score) = sparse::score(&weights, sparses.weights(slot)) {
            offer(best, Rank::Score(Reverse(Distance(score))), position, unit, pages);
        }
    }
}

fn offer(best: &mut Best, rank: Rank, position: u32, unit: &Unit, pages: &Pages<'_>) {
    if best.admits(|bound| rank <= bound.rank) {
        let place = Some(Place { segment: unit.segment, position });
        let candidate = Candidate { rank, id: pages.id(position), place };
        best.offer(candidate, || pages.kind(position));
    }
}

/// The selected positions that have a vector, and its place on the page.
fn slots(
    page: &ColumnPage,
    first: u32,
    unit: &Unit,
    selected: &Positions,
) -> impl Iterator<Item = (u32, usize)> {
    assert_eq!(first, unit.rows.start, "a unit that is ranked by vectors is one page of them");
    let slot = move |position| {
        let slot = page.presence().slot((position - first) as usize);
        slot.map(|slot| (position, slot))
    };
    selected.0.range(unit.rows.clone()).filter_map(slot)
}
