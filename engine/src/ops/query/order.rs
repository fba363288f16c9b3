//! Ranks rows by keys.

use crate::base::id::AttributeId;
use crate::base::planted::{self, Bug};
use crate::index::order::{Direction, Order, SortKey};
use crate::index::positions::Positions;
use crate::ops::query::collected::{Best, Candidate, Rank};
use crate::ops::query::ranking::{Cells, Pages, Unit};
use crate::ops::query::reads::Place;

/// Offers the selected rows of a unit.
pub(super) fn rank(
    best: &mut Best,
    order: &Order,
    unit: &Unit,
    selected: &Positions,
    pages: &Pages<'_>,
) {
    let key = |(of, direction): &(Option<AttributeId>, Direction)| (pages.cells(*of), *direction);
    let columns: Vec<(&Cells<'_>, Direction)> = order.keys.iter().map(key).collect();
    let sort_key = |(cells, direction): &(&Cells<'_>, Direction), position| {
        direction.key(cells.scalar(position))
    };
    for position in selected.0.range(unit.rows.clone()) {
        let first = columns.first().map(|column| sort_key(column, position));
        // Most rows of a long scan are behind the bound in the first key already.
        let ties = planted::is(Bug::TiesArePassedOver);
        let passes = |bound: &Candidate| ties && first.as_ref() == bound.first_key();
        if !best.admits(|bound| first.as_ref() <= bound.first_key() && !passes(bound)) {
            continue;
        }
        let rest = columns.iter().skip(1).map(|column| sort_key(column, position));
        let keys: Vec<SortKey> = first.into_iter().chain(rest).collect();
        let place = Some(Place { segment: unit.segment, position });
        let candidate = Candidate { rank: Rank::Keys(keys), id: pages.id(position), place };
        best.offer(candidate, || pages.kind(position));
    }
}

impl Candidate {
    fn first_key(&self) -> Option<&SortKey> {
        match &self.rank {
            Rank::Keys(keys) => keys.first(),
            Rank::Distance(_) | Rank::Score(_) => None,
        }
    }
}
