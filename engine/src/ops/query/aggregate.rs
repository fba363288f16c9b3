//! Sums up rows.

use crate::base::value::Document;
use crate::index::aggregate::Tally;
use crate::index::group::Groups;
use crate::index::positions::Positions;
use crate::ops::query::ranking::{Pages, Unit};

/// Adds the selected rows of a unit, which is one page of an attribute, to the sums of that attribute.
pub(super) fn add(
    tallies: &mut [(String, Tally)],
    unit: &Unit,
    selected: &Positions,
    pages: &Pages<'_>,
) {
    for (_, tally) in tallies.iter_mut() {
        let attribute = tally.attribute().filter(|attribute| unit.columns == [Some(*attribute)]);
        if let Some((page, first)) = attribute.and_then(|of| pages.page(Some(of), unit.rows.start))
        {
            assert_eq!(first, unit.rows.start, "a unit that sums up is one page");
            tally.add_page(page, first, selected);
        }
    }
}

/// Adds the selected rows of a unit to their groups.
pub(super) fn group(groups: &mut Groups, unit: &Unit, selected: &Positions, pages: &Pages<'_>) {
    let attributes = groups.attributes();
    for position in selected.0.range(unit.rows.clone()) {
        let values = attributes.iter().filter_map(|attribute| {
            let value = pages.cells(Some(*attribute)).value(position)?;
            Some((*attribute, value))
        });
        groups.add(&Document { id: pages.id(position), attributes: values.collect() });
    }
}
