//! What a search has found so far.

use core::cmp::Reverse;

use crate::base::limits::FOUND_BYTES_MAX;
use crate::base::planted::{self, Bug};
use crate::base::value::{Document, Id, Scalar, Value};
use crate::index::aggregate::Tally;
use crate::index::group::Groups;
use crate::index::order::{SortKey, scalar_bytes, scalar_of};
use crate::index::spread::Spread;
use crate::index::top::{Distance, Top};
use crate::index::vector::sparse;
use crate::namespace::request::QueryError;
use crate::ops::query::plan::{Listing, Plan, RankBy, Wanted};
use crate::ops::query::reads::Place;

/// What was found so far.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Collected {
    /// The first rows in the order.
    Rows(Best),
    /// The first ids.
    Ids(Top<Id>),
    /// Figures, each under its label.
    Figures(Vec<(String, Tally)>),
    /// Figures over groups.
    Groups(Groups),
}

/// The first rows in an order, all of them or some of each kind.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Best {
    All(Top<Candidate>),
    OfEach(Spread<Candidate, Kind>),
}

/// What is the same of rows that are alike.
pub(super) type Kind = Vec<Option<Scalar>>;

/// A row that may be among the first. Ordered by rank, then by id.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Candidate {
    pub(super) rank: Rank,
    pub(super) id: Id,
    /// Where its values are; `None` if its document is in memory.
    pub(super) place: Option<Place>,
}

/// Says where a document stands.
type RankOf<'a> = Box<dyn Fn(&Document) -> Option<Rank> + 'a>;

/// What a row is ordered by. All rows of one search are ranked in one way.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Rank {
    Keys(Vec<SortKey>),
    Distance(Distance),
    Score(Reverse<Distance>),
}

impl Best {
    fn new(listing: &Listing) -> Self {
        match &listing.per {
            None => Self::All(Top::new(listing.limit)),
            Some((_, of_each)) => Self::OfEach(Spread::new(listing.limit, *of_each)),
        }
    }

    /// Whether a row that compares like this to others could still be among the first.
    pub(super) fn admits(&self, is_less_than: impl FnOnce(&Candidate) -> bool) -> bool {
        match self {
            Self::All(top) => top.admits(is_less_than),
            Self::OfEach(spread) => spread.admits(is_less_than),
        }
    }

    /// The distance beyond which no row is among the first any more.
    pub(super) fn farthest(&self) -> f32 {
        let bound = match self {
            Self::All(top) => top.bound(),
            Self::OfEach(spread) => spread.bound(),
        };
        match bound.map(|bound| &bound.rank) {
            Some(Rank::Distance(distance)) => distance.0,
            _ => f32::INFINITY,
        }
    }

    /// Takes a row into account. `kind` is asked only if it matters.
    pub(super) fn offer(&mut self, candidate: Candidate, kind: impl FnOnce() -> Kind) {
        match self {
            Self::All(top) => top.offer(candidate),
            Self::OfEach(spread) => spread.offer(candidate, kind()),
        }
    }

    pub(super) fn into_sorted(self) -> Vec<Candidate> {
        match self {
            Self::All(top) => top.into_sorted(),
            Self::OfEach(spread) => spread.into_sorted(),
        }
    }

    /// About how much memory it takes, in bytes.
    fn bytes(&self) -> usize {
        match self {
            Self::All(top) => top.iter().map_while(Candidate::keys_bytes).sum(),
            // Each stands there twice, with its kind.
            Self::OfEach(spread) => {
                let both = |(candidate, kind): (&Candidate, &Kind)| {
                    let kind = kind.iter().map(|scalar| scalar_bytes(scalar.as_ref()));
                    2 * (candidate.keys_bytes().unwrap_or(0) + kind.sum::<usize>())
                };
                spread.iter().map(both).sum()
            }
        }
    }
}

impl Candidate {
    /// About how much memory its keys take, if it is ranked by any: without, it is small, and the
    /// limit of rows bounds the memory of all.
    fn keys_bytes(&self) -> Option<usize> {
        match &self.rank {
            Rank::Keys(keys) => Some(keys.iter().map(SortKey::bytes).sum()),
            Rank::Distance(_) | Rank::Score(_) => None,
        }
    }
}

impl Collected {
    pub(super) fn new(want: &Wanted) -> Self {
        match want {
            Wanted::Rows(listing) => Self::Rows(Best::new(listing)),
            Wanted::Ids(limit) => Self::Ids(Top::new(*limit)),
            Wanted::Figures(tallies) => Self::Figures(tallies.clone()),
            Wanted::Groups { groups, .. } => Self::Groups(groups.clone()),
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
            (Self::Groups(_), _) if planted::is(Bug::OverlayIsNotGrouped) => {}
            (Self::Groups(groups), _) => selected.for_each(|document| groups.add(document)),
            (Self::Ids(ids), _) => selected.for_each(|document| ids.offer(document.id.clone())),
            (Self::Rows(best), Wanted::Rows(listing)) => {
                let rank_of = listing.rank.ready(plan);
                let is_near = matches!(listing.rank, RankBy::Nearest(_));
                let ranks = !(is_near && planted::is(Bug::OverlayIsNotRanked));
                for document in selected.filter(|_| ranks) {
                    let Some(rank) = rank_of(document) else { continue };
                    let candidate = Candidate { rank, id: document.id.clone(), place: None };
                    best.offer(candidate, || listing.kind_of(document));
                }
            }
            (Self::Rows(_), _) => panic!("rows are collected where they are wanted"),
        }
    }

    /// That what was found fits into memory.
    ///
    /// # Errors
    ///
    /// [`QueryError::TooLarge`] if it does not.
    pub(super) fn fits(&self) -> Result<(), QueryError> {
        let bytes = match self {
            Self::Rows(best) => best.bytes(),
            // An id is small, so the limit of ids bounds the memory of all.
            Self::Ids(_) | Self::Figures(_) => 0,
            Self::Groups(groups) => groups.bytes(),
        };
        within(bytes)
    }
}

/// That so many bytes may be held.
pub(super) fn within(bytes: usize) -> Result<(), QueryError> {
    let most = FOUND_BYTES_MAX;
    if bytes <= most { Ok(()) } else { Err(QueryError::TooLarge { most }) }
}

impl Listing {
    fn kind_of(&self, document: &Document) -> Kind {
        let keys = self.per.iter().flat_map(|(keys, _)| keys);
        keys.map(|key| scalar_of(document, *key)).collect()
    }
}

impl RankBy {
    /// Says where a document stands; `None` if it has no place in this order.
    fn ready<'a>(&'a self, plan: &Plan) -> RankOf<'a> {
        match self {
            Self::Keys(order) => Box::new(|document| Some(Rank::Keys(order.keys_of(document)))),
            Self::Nearest(nearest) => {
                let probe = nearest.probe(plan.host);
                Box::new(move |document| match document.value(nearest.attribute)? {
                    Value::Vector(vector) => {
                        Some(Rank::Distance(Distance(probe.distance(vector.components()))))
                    }
                    _ => None,
                })
            }
            Self::Shuffled(shuffled) => Box::new(|document| {
                document.value(shuffled.attribute)?;
                Some(Rank::Keys(vec![shuffled.key_of(&document.id)]))
            }),
            Self::Likest(likest) => {
                let weights = likest.weights();
                Box::new(move |document| match document.value(likest.attribute)? {
                    Value::Sparse(vector) => {
                        let score = sparse::score(&weights, vector.weights())?;
                        Some(Rank::Score(Reverse(Distance(score))))
                    }
                    _ => None,
                })
            }
        }
    }
}
