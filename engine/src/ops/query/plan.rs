//! A search with its names resolved and its values typed.

use std::collections::BTreeSet;

use crate::base::cast::{cast_vector, cast_weights};
use crate::base::host::Host;
use crate::base::id::AttributeId;
use crate::base::limits;
use crate::base::name::AttributeName;
use crate::base::value::{Id, Raw, Scalar, Type, Vector};
use crate::format::schema::{Attribute, Metric, Schema};
use crate::index::aggregate::Tally;
use crate::index::filter::Filter;
use crate::index::group::Groups;
use crate::index::order::{Direction, Order, SortKey};
use crate::index::shuffle;
use crate::index::vector::distance::Probe;
use crate::namespace::request::{Aggregate, Include, InvalidQuery, Per, Rank, Search, Want};
use crate::ops::query::compute::Computation;
use crate::ops::query::reads::Source;

/// What a search is about to do. Does not change while it runs.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Plan {
    pub(super) source: Source,
    pub(super) host: Host,
    pub(super) filter: Filter,
    pub(super) want: Wanted,
}

/// What is wanted of the documents that the filter selects.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Wanted {
    /// The first in some order.
    Rows(Listing),
    /// The first ids, so many.
    Ids(usize),
    /// Figures over all, each with its label, as they begin.
    Figures(Vec<(String, Tally)>),
    /// Figures over groups, as they begin, and the labels of keys and figures.
    Groups { groups: Groups, keys: Vec<String>, figures: Vec<String> },
}

impl Wanted {
    /// The rows that are wanted, if rows are.
    const fn listing(&self) -> Option<&Listing> {
        if let Self::Rows(listing) = self { Some(listing) } else { None }
    }
}

/// Rows in some order, and what is to be said of each.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Listing {
    pub(super) rank: RankBy,
    pub(super) limit: usize,
    /// By what rows are alike, and how many of those.
    pub(super) per: Option<(Vec<Option<AttributeId>>, usize)>,
    /// What to show of each, by name.
    pub(super) include: Vec<(AttributeName, AttributeId)>,
    /// What to find out about each.
    pub(super) compute: Vec<Computation>,
}

/// What rows are ordered by.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum RankBy {
    Keys(Order),
    Nearest(Nearest),
    Likest(Likest),
    Shuffled(Shuffled),
}

/// An order by distance.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Nearest {
    pub(super) attribute: AttributeId,
    to: Vector,
    metric: Metric,
}

/// An order that has nothing to do with what rows hold.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Shuffled {
    pub(super) attribute: AttributeId,
    seed: u64,
}

/// An order by the dot product of sparse vectors.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Likest {
    pub(super) attribute: AttributeId,
    /// The weights by ascending dimensions, each as its bits.
    weights: Vec<(u32, u32)>,
}

impl Plan {
    pub(super) fn resolve(
        source: Source,
        search: &Search,
        host: Host,
    ) -> Result<Self, InvalidQuery> {
        let schema = &source.snapshot.live().schema;
        let filter = match &search.filter {
            Some(predicate) => Filter::resolve(predicate, schema)?,
            None => Filter::everything(),
        };
        let want = Wanted::resolve(&search.want, schema)?;
        Ok(Self { source, host, filter, want })
    }

    /// The attributes that must be known of a document to say whether it is selected, where it stands
    /// in the order, and what the answer says of it.
    pub(super) fn attributes(&self) -> BTreeSet<AttributeId> {
        let mut attributes = self.filter.attributes();
        match &self.want {
            Wanted::Rows(listing) => {
                attributes.extend(listing.columns().into_iter().flatten());
                attributes.extend(listing.shown());
            }
            Wanted::Figures(tallies) => {
                attributes.extend(tallies.iter().filter_map(|(_, tally)| tally.attribute()));
            }
            Wanted::Groups { groups, .. } => attributes.extend(groups.attributes()),
            Wanted::Ids(_) => {}
        }
        attributes
    }
}

impl Wanted {
    fn resolve(want: &Want, schema: &Schema) -> Result<Self, InvalidQuery> {
        match want {
            Want::Rows { rank, limit, per, include, compute } => {
                let include = included(include, schema)?;
                let compute = Computation::resolve(compute, &include, schema)?;
                let rank = RankBy::resolve(rank, schema)?;
                let per = per.as_ref().map(|per| alike(per, schema)).transpose()?;
                Ok(Self::Rows(Listing { rank, limit: *limit, per, include, compute }))
            }
            Want::Ids { limit } => Ok(Self::Ids(*limit)),
            Want::Aggregates(all) => Ok(Self::Figures(tallies(all, schema)?)),
            Want::Groups { keys, aggregates, limit } => {
                let (labels, tallies): (Vec<_>, Vec<_>) =
                    tallies(aggregates, schema)?.into_iter().unzip();
                let keyed: Vec<String> = keys.iter().map(|key| key.label.clone()).collect();
                distinct(keyed.iter().chain(&labels))?;
                let groups = Groups::resolve(keys, tallies, *limit, schema)?;
                Ok(Self::Groups { groups, keys: keyed, figures: labels })
            }
            Want::Several { .. } => Err(InvalidQuery::NotFused),
        }
    }
}

impl Listing {
    /// The columns that say where a row stands in the order; `None` is the one of ids.
    pub(super) fn columns(&self) -> Vec<Option<AttributeId>> {
        let mut columns = match &self.rank {
            RankBy::Keys(order) => order.keys.iter().map(|(key, _)| *key).collect(),
            RankBy::Nearest(Nearest { attribute, .. })
            | RankBy::Likest(Likest { attribute, .. })
            | RankBy::Shuffled(Shuffled { attribute, .. }) => vec![Some(*attribute)],
        };
        columns.extend(self.per.iter().flat_map(|(keys, _)| keys));
        columns.push(None);
        let most = 2 * limits::ORDER_KEYS_MAX + 1;
        assert!(columns.len() <= most, "keys and kinds are bounded where they are resolved");
        columns
    }

    /// The attributes that an answer is made of.
    pub(super) fn shown(&self) -> BTreeSet<AttributeId> {
        let mut shown: BTreeSet<_> = self.include.iter().map(|(_, attribute)| *attribute).collect();
        self.compute.iter().for_each(|computation| shown.extend(computation.attributes()));
        shown
    }
}

impl RankBy {
    fn resolve(rank: &Rank, schema: &Schema) -> Result<Self, InvalidQuery> {
        match rank {
            Rank::By(keys) => Ok(Self::Keys(Order::resolve(keys, schema)?)),
            // There is no index of vectors yet, so an answer is exact whether it has to be or not.
            Rank::Nearest { attribute, to, metric, is_exact: _ } => {
                let nearest = Nearest::resolve(attribute, to, schema)?;
                let expected = nearest.metric;
                match metric {
                    Some(sent) if *sent != expected => {
                        Err(InvalidQuery::Metric { expected, sent: *sent })
                    }
                    _ => Ok(Self::Nearest(nearest)),
                }
            }
            Rank::Likest { attribute, to } => {
                Likest::resolve(attribute, to, schema).map(Self::Likest)
            }
            Rank::Shuffled { attribute, seed } => {
                let attribute = described(attribute, schema)?.id;
                Ok(Self::Shuffled(Shuffled { attribute, seed: *seed }))
            }
        }
    }
}

impl Nearest {
    pub(super) fn resolve(
        name: &AttributeName,
        to: &Raw,
        schema: &Schema,
    ) -> Result<Self, InvalidQuery> {
        let attribute = described(name, schema)?;
        let Type::Vector(vector) = attribute.value_type else {
            return Err(wrong(name, "is not a vector, so nothing is near in it"));
        };
        let to =
            cast_vector(to, vector.dimensions).map_err(|problem| query_vector(name, &problem))?;
        let metric = attribute.metric.expect("S3: an attribute of vectors has a metric");
        Ok(Self { attribute: attribute.id, to, metric })
    }

    /// The vector, ready to be compared to.
    pub(super) fn probe(&self, host: Host) -> Probe {
        Probe::new(self.metric, self.to.components(), host.simd)
    }
}

impl Likest {
    pub(super) fn resolve(
        name: &AttributeName,
        to: &Raw,
        schema: &Schema,
    ) -> Result<Self, InvalidQuery> {
        let attribute = described(name, schema)?;
        if attribute.value_type != Type::Sparse {
            return Err(wrong(name, "is not a sparse vector, so SparseKNN does not apply"));
        }
        let weights = cast_weights(to).map_err(|problem| query_vector(name, &problem))?;
        let weights = weights.into_iter().map(|(dimension, weight)| (dimension, weight.to_bits()));
        Ok(Self { attribute: attribute.id, weights: weights.collect() })
    }

    /// The weights by ascending dimensions.
    pub(super) fn weights(&self) -> Vec<(u32, f32)> {
        self.weights.iter().map(|(dimension, bits)| (*dimension, f32::from_bits(*bits))).collect()
    }
}

impl Shuffled {
    /// What a document is compared by.
    pub(super) fn key_of(self, id: &Id) -> SortKey {
        Direction::Ascending.key(Some(Scalar::Uint(shuffle::place(id, self.seed))))
    }
}

/// That no label of one list of rows is the name of an attribute in another: they become one list.
///
/// # Errors
///
/// [`InvalidQuery::Label`] if one is.
pub(super) fn fit_together<'a>(plans: impl Iterator<Item = &'a Plan>) -> Result<(), InvalidQuery> {
    let listings: Vec<&Listing> = plans.filter_map(|plan| plan.want.listing()).collect();
    let shown = listings.iter().flat_map(|listing| &listing.include);
    let shown: BTreeSet<&str> = shown.map(|(name, _)| name.as_str()).collect();
    let mut labels = listings.iter().flat_map(|listing| &listing.compute).map(Computation::label);
    match labels.find(|label| shown.contains(label)) {
        Some(label) => Err(InvalidQuery::Label(label.to_owned())),
        None => Ok(()),
    }
}

fn described(name: &AttributeName, schema: &Schema) -> Result<Attribute, InvalidQuery> {
    schema.attributes.get(name).copied().ok_or_else(|| wrong(name, "not found in schema"))
}

fn wrong(name: &AttributeName, problem: &'static str) -> InvalidQuery {
    InvalidQuery::Attribute { name: name.to_string(), problem }
}

fn query_vector(name: &AttributeName, problem: &impl ToString) -> InvalidQuery {
    InvalidQuery::QueryVector { attribute: name.clone(), problem: problem.to_string() }
}

fn alike(per: &Per, schema: &Schema) -> Result<(Vec<Option<AttributeId>>, usize), InvalidQuery> {
    let most = limits::ORDER_KEYS_MAX;
    if per.keys.len() > most {
        return Err(InvalidQuery::TooMany { what: "attributes in limit.per", most });
    }
    let keys = per.keys.iter().map(|key| key.resolve(schema)).collect::<Result<_, _>>()?;
    Ok((keys, per.limit))
}

fn tallies(
    all: &[(String, Aggregate)],
    schema: &Schema,
) -> Result<Vec<(String, Tally)>, InvalidQuery> {
    let most = limits::AGGREGATES_MAX;
    if all.len() > most {
        return Err(InvalidQuery::TooMany { what: "aggregates", most });
    }
    let tally = |(label, aggregate): &(String, Aggregate)| {
        Ok((label.clone(), Tally::resolve(aggregate, schema)?))
    };
    all.iter().map(tally).collect()
}

/// That no label stands for two things.
fn distinct<'a>(labels: impl Iterator<Item = &'a String>) -> Result<(), InvalidQuery> {
    let mut seen = BTreeSet::new();
    for label in labels {
        if !seen.insert(label) {
            return Err(InvalidQuery::Label(label.clone()));
        }
    }
    Ok(())
}

fn included(
    include: &Include,
    schema: &Schema,
) -> Result<Vec<(AttributeName, AttributeId)>, InvalidQuery> {
    let all = schema.attributes.iter().map(|(name, attribute)| (name.clone(), attribute.id));
    match include {
        Include::Nothing => Ok(Vec::new()),
        Include::All => Ok(all.collect()),
        Include::AllBut(names) => Ok(all.filter(|(name, _)| !names.contains(name)).collect()),
        Include::These(names) => {
            let unknown = names.iter().find(|name| !schema.attributes.contains_key(*name));
            match unknown {
                Some(name) => Err(InvalidQuery::UnknownInclude(name.clone())),
                None => Ok(all.filter(|(name, _)| names.contains(name)).collect()),
            }
        }
    }
}
