//! A query with its names resolved and its values typed.

use std::collections::BTreeSet;

use crate::base::cast::cast_vector;
use crate::base::host::Host;
use crate::base::id::AttributeId;
use crate::base::name::AttributeName;
use crate::base::value::{Type, Vector};
use crate::format::schema::{Metric, Schema};
use crate::index::aggregate::Tally;
use crate::index::filter::Filter;
use crate::index::order::Order;
use crate::index::vector::distance::Probe;
use crate::namespace::request::{Include, InvalidQuery, QueryRequest, Rank, Want};
use crate::ops::query::reads::Source;

/// What a query is about to do. Does not change while it runs.
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
    Rows {
        rank: RankBy,
        limit: usize,
        /// What to say of each, by name.
        include: Vec<(AttributeName, AttributeId)>,
    },
    /// Figures over all, each with its label, as they begin.
    Figures(Vec<(String, Tally)>),
}

/// What rows are ordered by.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum RankBy {
    Keys(Order),
    Nearest(Nearest),
}

/// An order by distance.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Nearest {
    pub(super) attribute: AttributeId,
    to: Vector,
    metric: Metric,
}

impl Nearest {
    /// The vector, ready to be compared to.
    pub(super) fn probe(&self, host: Host) -> Probe {
        Probe::new(self.metric, self.to.components(), host.simd)
    }
}

impl Plan {
    pub(super) fn resolve(
        source: Source,
        request: &QueryRequest,
        host: Host,
    ) -> Result<Self, InvalidQuery> {
        let schema = &source.snapshot.live().schema;
        let filter = match &request.filter {
            Some(predicate) => Filter::resolve(predicate, schema)?,
            None => Filter::everything(),
        };
        let want = match &request.want {
            Want::Rows { rank, limit, include } => Wanted::Rows {
                rank: RankBy::resolve(rank, schema)?,
                limit: *limit,
                include: included(include, schema)?,
            },
            Want::Aggregates(all) => {
                let tally = |(label, aggregate): &(String, _)| {
                    Ok((label.clone(), Tally::resolve(aggregate, schema)?))
                };
                Wanted::Figures(all.iter().map(tally).collect::<Result<_, InvalidQuery>>()?)
            }
        };
        Ok(Self { source, host, filter, want })
    }

    /// The attributes that must be known of a document to say whether it is selected, where it stands
    /// in the order, and what the answer says of it.
    pub(super) fn attributes(&self) -> BTreeSet<AttributeId> {
        let mut attributes = self.filter.attributes();
        match &self.want {
            Wanted::Rows { rank, include, .. } => {
                attributes.extend(include.iter().map(|(_, attribute)| attribute));
                match rank {
                    RankBy::Keys(order) => {
                        attributes.extend(order.keys.iter().filter_map(|(key, _)| *key));
                    }
                    RankBy::Nearest(nearest) => attributes.extend([nearest.attribute]),
                }
            }
            Wanted::Figures(tallies) => {
                attributes.extend(tallies.iter().filter_map(|(_, tally)| tally.attribute()));
            }
        }
        attributes
    }
}

impl RankBy {
    fn resolve(rank: &Rank, schema: &Schema) -> Result<Self, InvalidQuery> {
        let (name, to) = match rank {
            Rank::By(keys) => return Ok(Self::Keys(Order::resolve(keys, schema)?)),
            Rank::Nearest { attribute, to } => (attribute, to),
        };
        let wrong = |problem| InvalidQuery::Attribute { name: name.to_string(), problem };
        let attribute = schema.attributes.get(name);
        let attribute = attribute.ok_or_else(|| wrong("not found in schema"))?;
        let Type::Vector(dimensions) = attribute.value_type else {
            return Err(wrong("is not a vector, so nothing is near in it"));
        };
        let to = cast_vector(to, dimensions).map_err(|problem| InvalidQuery::QueryVector {
            attribute: name.clone(),
            problem: problem.to_string(),
        })?;
        // A namespace without a metric has no vectors yet, so any will do.
        let metric = schema.metric.unwrap_or(Metric::Cosine);
        Ok(Self::Nearest(Nearest { attribute: attribute.id, to, metric }))
    }
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
