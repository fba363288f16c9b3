//! What a query has found so far.

use crate::base::value::{Document, Id, Value};
use crate::index::aggregate::Tally;
use crate::index::order::SortKey;
use crate::index::top::{Distance, Top};
use crate::ops::query::plan::{Plan, RankBy, Wanted};
use crate::ops::query::reads::Place;

/// What was found so far.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Collected {
    /// The first rows in the order.
    Rows(Top<Candidate>),
    /// Figures, each under its label.
    Figures(Vec<(String, Tally)>),
}

/// A row that may be among the first. Ordered by rank, then by id.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Candidate {
    pub(super) rank: Rank,
    pub(super) id: Id,
    /// Where its values are; `None` if its document is in memory.
    pub(super) place: Option<Place>,
}

/// What a row is ordered by. All rows of one query are ranked in one way.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Rank {
    Keys(Vec<SortKey>),
    Distance(Distance),
}

impl Collected {
    pub(super) fn new(want: &Wanted) -> Self {
        match want {
            Wanted::Rows { limit, .. } => Self::Rows(Top::new(*limit)),
            Wanted::Figures(tallies) => Self::Figures(tallies.clone()),
        }
    }

    /// Takes those of some documents in memory into account that the filter selects.
    pub(super) fn offer<'a>(&mut self, plan: &Plan, documents: impl Iterator<Item = &'a Document>) {
        let selected = documents.filter(|document| plan.filter.matches(document));
        match (self, &plan.want) {
            (Self::Figures(tallies), _) => {
                for document in selected {
                    for (_, tally) in tallies.iter_mut() {
                        tally.add(document);
                    }
                }
            }
            (Self::Rows(top), Wanted::Rows { rank: RankBy::Keys(order), .. }) => {
                for document in selected {
                    let rank = Rank::Keys(order.keys_of(document));
                    top.offer(Candidate { rank, id: document.id.clone(), place: None });
                }
            }
            (Self::Rows(top), Wanted::Rows { rank: RankBy::Nearest(nearest), .. }) => {
                let probe = nearest.probe(plan.host);
                for document in selected {
                    let Some(Value::Vector(vector)) = document.value(nearest.attribute) else {
                        continue;
                    };
                    let rank = Rank::Distance(Distance(probe.distance(vector.components())));
                    top.offer(Candidate { rank, id: document.id.clone(), place: None });
                }
            }
            (Self::Rows(_), Wanted::Figures(_)) => panic!("rows are not collected for figures"),
        }
    }
}
