//! What clients ask: writes and queries of every kind, drawn by weight.
//!
//! Each kind of request has a file of its own and a row in [`OPERATIONS`]. A new kind goes to the end of
//! that table: traces name a kind by its place. Values are unique, so what a query finds says which write
//! it saw. Ids are few, so that writes meet.
//!
//! Each seed draws how much there is of what, and which kinds there are not at all: what is rare among
//! everything is frequent among little.

mod alike;
mod by_filter;
mod creations;
mod documents;
mod drops;
mod figures;
mod filters;
mod fused;
mod groups;
mod likest;
mod listing;
mod locks;
mod nearest;
mod ordered;
mod sampled;
mod schemas;
mod several;
pub(crate) mod values;

use core::ops::Range;
use core::time::Duration;
use std::sync::Arc;

use sana_engine::base::value::IdType;
use sana_engine::namespace::request::{
    Consistency, Idempotency, Predicate, QueryRequest, Want, WriteRequest,
};

use crate::choices::{Choices, Site};

/// Something a client asks.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Ask {
    /// To write.
    Write(Arc<WriteRequest>),
    /// To delete the namespace.
    Remove,
    /// To find documents.
    Query(Arc<QueryRequest>),
}

/// How often clients ask what, by weight. Drawn for each seed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mix {
    /// Different ids.
    pub ids: u64,
    /// Of what kind ids are.
    pub id_type: IdType,
    /// Writes.
    pub writes: u32,
    /// Queries.
    pub queries: u32,
    /// Deletions of the namespace.
    pub removals: u32,
    /// Of a thousand writes, those under an idempotency key.
    pub keyed: u32,
    /// Of a thousand writes, those under conditions.
    pub conditional: u32,
    /// Of a thousand writes, those of what a filter matches.
    pub by_filter: u32,
    /// Of a thousand writes, those that drop an attribute.
    pub drops: u32,
    /// Of a thousand writes, those that lock the namespace or unlock it.
    pub locks: u32,
    /// Of a thousand queries, those content with a stale answer.
    pub stale: u32,
    /// Of a thousand documents, those with a long text.
    pub large: u32,
    /// How long a text that is.
    pub large_bytes: usize,
    /// Of a thousand attributes that are seldom there, those that are.
    pub wide: u32,
    /// Kinds of requests that nobody asks, by their places in [`OPERATIONS`].
    pub absent: [bool; OPERATIONS.len()],
}

/// A kind of request.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// How often it is asked.
    pub weight: fn(&Mix) -> u32,
    /// One of its kind. The number was never given before.
    pub draw: fn(&Mix, &mut Choices, u64) -> Drawn,
}

/// What a kind of request draws; the rest is the same for all.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(clippy::large_enum_variant, reason = "it is taken apart at once")]
pub enum Drawn {
    /// A write.
    Write(WriteRequest),
    /// A query, and whether it may have a filter of its own.
    Query(Want, Filtered),
    /// A deletion of the namespace.
    Remove,
}

/// Whether a query may be given a filter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Filtered {
    /// As often as not.
    Often,
    /// Seldom.
    Seldom,
}

/// Every kind of request. Writes share what the seed has of writes, queries what it has of queries.
pub const OPERATIONS: [Operation; 17] = [
    Operation { weight: documents::weight, draw: documents::draw },
    Operation { weight: listing::weight, draw: listing::draw },
    Operation { weight: |mix| mix.removals * 1_000, draw: |_, _, _| Drawn::Remove },
    Operation { weight: by_filter::weight, draw: by_filter::draw },
    Operation { weight: drops::weight, draw: drops::draw },
    Operation { weight: locks::weight, draw: locks::draw },
    Operation { weight: schemas::weight, draw: schemas::draw },
    Operation { weight: creations::weight, draw: creations::draw },
    Operation { weight: ordered::weight, draw: ordered::draw },
    Operation { weight: nearest::weight, draw: nearest::draw },
    Operation { weight: likest::weight, draw: likest::draw },
    Operation { weight: alike::weight, draw: alike::draw },
    Operation { weight: groups::weight, draw: groups::draw },
    Operation { weight: figures::weight, draw: figures::draw },
    Operation { weight: several::weight, draw: several::draw },
    Operation { weight: fused::weight, draw: fused::draw },
    Operation { weight: sampled::weight, draw: sampled::draw },
];

/// Kinds of requests that every seed has: without documents there is nothing to ask for.
const ALWAYS: usize = 2;
/// Kinds of requests that all traces know.
const KNOWN: usize = 16;

/// How many documents of a large world are large, in thousandths, if there are any.
const LARGE_RARELY: u32 = 1;

impl Mix {
    /// Lets large texts be rare: each is held several times, by who asked, the store and the oracles.
    pub fn spare_memory(&mut self) {
        self.large = self.large.min(LARGE_RARELY);
    }

    /// A mix for one seed.
    pub fn draw(choices: &mut Choices) -> Self {
        let mut pick = |from: &[u32]| from[choices.choose(Site::Profile, from.len())];
        let id_types = [IdType::Uint, IdType::String, IdType::Uuid];
        let mut mix = Self {
            ids: u64::from(pick(&[2, 6, 12, 40])),
            id_type: id_types[pick(&[0, 0, 1, 2]) as usize],
            writes: pick(&[20, 60, 100]),
            queries: pick(&[20, 60]),
            removals: pick(&[0, 0, 1, 4]),
            keyed: pick(&[0, 300, 1_000]),
            conditional: pick(&[0, 0, 300]),
            by_filter: pick(&[0, 0, 150]),
            drops: pick(&[0, 0, 30]),
            locks: pick(&[0, 0, 30]),
            stale: pick(&[0, 200, 800]),
            large: pick(&[0, 0, 0, 100]),
            large_bytes: pick(&[70_000, 400_000]) as usize,
            wide: pick(&[0, 0, 200, 700]),
            absent: [false; OPERATIONS.len()],
        };
        mix.leave_out(ALWAYS..KNOWN, choices);
        mix
    }

    /// Draws which of the later kinds of requests nobody asks. This is drawn behind all that older traces
    /// know, so that those mean what they did.
    pub fn draw_later(&mut self, choices: &mut Choices) {
        self.leave_out(KNOWN..OPERATIONS.len(), choices);
    }

    fn leave_out(&mut self, kinds: Range<usize>, choices: &mut Choices) {
        for absent in &mut self.absent[kinds] {
            *absent = choices.choose(Site::Profile, 4) == 3;
        }
    }

    /// What a client asks; in a calm world nothing. `unique` was never given before.
    pub fn ask(&self, choices: &mut Choices, unique: u64) -> Option<Ask> {
        let weights = OPERATIONS
            .iter()
            .zip(self.absent)
            .map(|(operation, absent)| if absent { 0 } else { (operation.weight)(self) });
        let weights: Vec<u32> = core::iter::once(0).chain(weights).collect();
        let way = choices.weigh(Site::Workload, &weights);
        let operation = OPERATIONS.get(way.checked_sub(1)?)?;
        Some(match (operation.draw)(self, choices, unique) {
            Drawn::Write(request) => Ask::Write(Arc::new(self.keyed(choices, unique, request))),
            Drawn::Query(want, filtered) => {
                Ask::Query(Arc::new(self.query(choices, want, filtered)))
            }
            Drawn::Remove => Ask::Remove,
        })
    }

    /// The write, under a key or not, and with what else any write can have.
    fn keyed(&self, choices: &mut Choices, unique: u64, mut request: WriteRequest) -> WriteRequest {
        if choices.chance(Site::Workload, self.keyed) {
            // Now and then a client takes a key that stood for something else.
            let wrong = choices.chance(Site::Workload, 50);
            let key = format!("key {}", if wrong { unique.saturating_sub(3) } else { unique });
            request.idempotency = Some(Idempotency { key, fingerprint: unique.into() });
        }
        request.wants_ids = choices.chance(Site::Workload, 200);
        let insists = choices.chance(Site::Workload, 50);
        request.ignores_backlog = insists && !request.reads_documents();
        request
    }

    fn query(&self, choices: &mut Choices, want: Want, filtered: Filtered) -> QueryRequest {
        let often = if filtered == Filtered::Often { 500 } else { 100 };
        let filter = choices.chance(Site::Workload, often).then(|| self.filter(choices, 2));
        let consistency = if choices.chance(Site::Workload, self.stale) {
            // Some are content with so little that the way of a reply counts.
            let most = [0, 50, 300, 1_000, 5_000, 20_000];
            let most = most[choices.choose(Site::Workload, most.len())];
            Consistency::Eventual(Duration::from_millis(most))
        } else {
            Consistency::Strong
        };
        QueryRequest { filter, want, consistency }
    }

    /// A filter, of so many levels.
    fn filter(&self, choices: &mut Choices, depth: u32) -> Predicate {
        filters::filter(self, choices, depth)
    }
}

/// One of these, each as likely; in a calm world the first.
fn pick<T: Clone>(choices: &mut Choices, from: &[T]) -> T {
    from[choices.choose(Site::Workload, from.len())].clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_request_is_drawn_by_some_seed() {
        let mut drawn = [false; OPERATIONS.len()];
        for seed in 0..200 {
            let mut choices = Choices::seeded(seed);
            let mix = Mix::draw(&mut choices);
            for (operation, drawn) in OPERATIONS.iter().zip(&mut drawn) {
                *drawn |= (operation.weight)(&mix) > 0;
                (operation.draw)(&mix, &mut choices, 7);
            }
            mix.ask(&mut choices, 8);
        }
        assert_eq!(drawn, [true; OPERATIONS.len()]);
    }
}
