//! Tests, ranks and sums up the documents of the overlay, some at a time: there may be millions, and
//! between the steps a query looks at its deadline.

use core::ops::Bound;

use crate::base::value::Id;
use crate::namespace::request::QueryError;
use crate::ops::query::Stage;
use crate::ops::query::collected::Collected;
use crate::ops::query::plan::Plan;
use crate::ops::query::ranking::Ranking;
use crate::ops::query::scan::Selected;

/// The documents of the overlay on their way.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Overlaid {
    selected: Selected,
    collected: Collected,
    /// The last id that was looked at.
    last: Option<Id>,
}

/// For each word that is looked at in a step, a window has so many bytes: who reads less at a time, for
/// it tests more, looks at fewer words at a time as well.
const BYTES_OF_A_WORD: usize = 4_096;

impl Overlaid {
    /// Begins with what a scan selected.
    pub(super) fn begin(plan: &Plan, selected: Selected) -> Self {
        Self { selected, collected: Collected::new(&plan.want), last: None }
    }

    /// Whether a step was spent on it, and it is not over.
    pub(super) const fn has_more(&self) -> bool {
        self.last.is_some()
    }

    /// Looks at as many words as go into a step.
    pub(super) fn next(mut self, plan: &Plan) -> Result<Stage, QueryError> {
        let most = (plan.source.window_bytes / BYTES_OF_A_WORD).max(1);
        let from = self.last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let words: Vec<_> = plan.source.snapshot.overlay.words_from(from).take(most).collect();
        self.collected.offer(plan, words.iter().filter_map(|(_, document)| *document));
        self.collected.fits()?;
        match words.last() {
            Some((id, _)) if words.len() == most => {
                self.last = Some((*id).clone());
                Ok(Stage::Overlaid(self))
            }
            _ => Ok(Stage::Ranking(Ranking::begin(plan, self.selected, self.collected))),
        }
    }
}
