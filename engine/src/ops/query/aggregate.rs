//! Sums up rows.

use crate::index::aggregate::Tally;
use crate::index::positions::Positions;
use crate::ops::query::ranking::{Pages, Unit};
use crate::ops::query::reads::Of;

/// Adds the selected rows of a unit, which is one page of an attribute, to the sums of that attribute.
pub(super) fn add(
    tallies: &mut [(String, Tally)],
    unit: &Unit,
    selected: &Positions,
    pages: &Pages<'_>,
) {
    for (read, page, first) in pages.iter() {
        for (_, tally) in tallies.iter_mut() {
            let attribute = tally.attribute();
            if attribute.is_some() && matches!(read.of, Of::Page(of, _) if of == attribute) {
                assert_eq!(first, unit.rows.start, "a unit that sums up is one page");
                tally.add_page(page, first, selected);
            }
        }
    }
}
