//! Ranks rows by the exact distance of their vectors.

use crate::format::columns::{ColumnPage, Values, Vectors};
use crate::index::positions::Positions;
use crate::index::top::{Distance, Top};
use crate::index::vector::distance::Probe;
use crate::ops::query::collected::{Candidate, Rank};
use crate::ops::query::ranking::{Pages, Unit};
use crate::ops::query::reads::{Of, Place};

/// Offers the selected rows of a unit, which is one page of vectors.
pub(super) fn rank(
    top: &mut Top<Candidate>,
    probe: &Probe,
    unit: &Unit,
    selected: &Positions,
    pages: &Pages<'_>,
) {
    let ids = pages.of(unit.segment, None);
    let vectors = pages.iter().find(|(read, ..)| matches!(read.of, Of::Page(Some(_), _)));
    let Some((_, page, first)) = vectors else { return };
    let Values::Vectors(vectors) = page.values() else { return };
    let rows = selected.0.range(unit.rows.clone()).map(|position| {
        let slot = page.presence().slot((position - first) as usize);
        slot.map(|slot| (position, slot))
    });
    let rows: Vec<(u32, usize)> = rows.flatten().collect();
    for ((position, _), distance) in rows.iter().zip(distances(probe, vectors, &rows, page)) {
        let distance = Distance(distance);
        let near = |bound: &Candidate| Rank::Distance(distance) <= bound.rank;
        if top.admits(near) {
            let place = Some(Place { segment: unit.segment, position: *position });
            top.offer(Candidate { rank: Rank::Distance(distance), id: ids.id(*position), place });
        }
    }
}

/// The distances of the vectors of these rows, in their order.
fn distances(
    probe: &Probe,
    vectors: &Vectors,
    rows: &[(u32, usize)],
    page: &ColumnPage,
) -> Vec<f32> {
    let components = vectors.components();
    // To run through all is faster than to jump, unless few are wanted.
    if rows.len() >= page.presence().present() / 2 {
        let mut all = vec![0.0; vectors.len()];
        probe.distances(components, &mut all);
        return rows.iter().map(|(_, slot)| all[*slot]).collect();
    }
    let mut distances = vec![0.0; rows.len()];
    for ((_, slot), distance) in rows.iter().zip(distances.chunks_mut(1)) {
        let start = slot * probe.dimensions();
        probe.distances(&components[start..start + probe.dimensions()], distance);
    }
    distances
}
