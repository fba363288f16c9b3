//! Answers one query, at one snapshot.
//!
//! # Story
//!
//! What names its documents by id looks them up:
//!
//! 1. **Looking up**: the blocks of the id indexes that may hold the ids, then the pages of the
//!    attributes that matter. The filter, the order and the sums work on the documents. Two rounds.
//!
//! What does not, scans:
//!
//! 1. **Scanning**: the pages that decide the filter, and the blocks that tell which rows the overlay
//!    replaced; with them the pages to order by or to sum up, as far as a window holds them.
//! 2. **Ranking**: what else there is to order by or to sum up; by distance, the vectors of the rows
//!    that the filter left.
//! 3. **Fetching**: the attributes of the rows in the answer.
//!
//! One round for a figure, two for rows in an order, two by distance and three with a filter, as long
//! as each stage reads no more than a window; else a round for each window. After the two rounds
//! that a cold snapshot costs, that is the table of the design: 4 for a lookup, a filter or an
//! order, 5 by distance under a filter. A cache answers pages without a round to the store.
//!
//! The documents of the overlay are tested, ranked and summed up in memory, by the same rules.
//!
//! # Invariants
//!
//! - **Q2** An answer is that of one moment: it is made of one snapshot, whatever happens meanwhile.

mod aggregate;
mod collected;
mod lookup;
mod order;
mod plan;
mod ranking;
mod reads;
mod rows;
mod scan;
mod vector;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::base::blob::Blob;
use crate::base::host::Host;
use crate::base::time::Timestamp;
use crate::base::value::{Document, Id, Value};
use crate::machine::request::Reply;
use crate::machine::{Machine, Round, Step};
use crate::namespace::request::{Answer, AnswerRow, Found, QueryError, QueryRequest, Statistics};
use crate::namespace::snapshot::Snapshot;
use collected::{Candidate, Collected, Rank};
use lookup::Lookup;
use plan::{Plan, Wanted};
use ranking::Ranking;
use reads::{Read, Source};
use rows::Rows;
use scan::Scan;

/// A query on its way. See the [module](self) for its story.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Query {
    plan: Arc<Plan>,
    stage: Stage,
    /// What is being read.
    flying: Vec<Read>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Stage {
    /// There is much to think about before the first read.
    Planning,
    LookingUp(Lookup),
    Scanning(Scan),
    Ranking(Ranking),
    Fetching(Fetching),
}

/// The rows of the answer, and what is to be said of them.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Fetching {
    candidates: Vec<Candidate>,
    /// Documents that were looked up.
    held: BTreeMap<Id, Document>,
    rows: Rows,
}

/// Words of an overlay above which planning is left to a step of its own.
const WORDS_MAX: usize = 1_024;
/// Bytes above which taking what was read is heavy.
const LIGHT_BYTES_MAX: usize = 256 << 10;

type Outcome = Result<Answer, QueryError>;

impl Query {
    /// Begins to answer a request at a snapshot.
    pub fn start(
        now: Timestamp,
        snapshot: Arc<Snapshot>,
        request: &QueryRequest,
        host: Host,
        deadline: Timestamp,
    ) -> Step<Self> {
        let words = snapshot.overlay.len();
        let plan = match Plan::resolve(Source { snapshot, deadline }, request, host) {
            Ok(plan) => Arc::new(plan),
            Err(invalid) => return Step::Done(Err(invalid.into())),
        };
        let query = Self { plan, stage: Stage::Planning, flying: Vec::new() };
        if words > WORDS_MAX {
            // To sleep until now is to yield: the next step may run where heavy ones do.
            return Step::Wait(query, Round::sleep(now));
        }
        query.advance(now)
    }

    /// Goes on to the next round, or to the end.
    fn advance(self, now: Timestamp) -> Step<Self> {
        let Self { plan, mut stage, .. } = self;
        loop {
            let wanted = match stage.wanted(&plan) {
                Ok(wanted) => wanted,
                Err(error) => return Step::Done(Err(error)),
            };
            if !wanted.is_empty() {
                if now >= plan.source.deadline {
                    return Step::Done(Err(QueryError::TooLong));
                }
                let round = plan.source.round(&wanted);
                return Step::Wait(Self { plan, stage, flying: wanted }, round);
            }
            stage = match stage.next(&plan) {
                Ok(next) => next,
                Err(answer) => return Step::Done(Ok(*answer)),
            };
        }
    }
}

impl Machine for Query {
    type Output = Outcome;

    fn step(mut self, now: Timestamp, replies: Vec<Reply>) -> Step<Self> {
        let flying = core::mem::take(&mut self.flying);
        let arrived = self.plan.source.arrived(flying, replies);
        let taken = arrived.and_then(|arrived| self.stage.take(&self.plan, arrived));
        match taken {
            Ok(()) => self.advance(now),
            Err(error) => Step::Done(Err(error)),
        }
    }

    fn is_heavy(&self) -> bool {
        let bytes: usize = self.flying.iter().map(|read| self.plan.source.bytes(read)).sum();
        matches!(self.stage, Stage::Planning) || bytes > LIGHT_BYTES_MAX
    }
}

impl Stage {
    /// What to read next; nothing if the stage is over.
    fn wanted(&mut self, plan: &Plan) -> Result<Vec<Read>, QueryError> {
        match self {
            Self::Planning => Ok(Vec::new()),
            Self::LookingUp(lookup) => Ok(lookup.wanted(&plan.source)),
            Self::Scanning(scan) => Ok(scan.wanted(plan)),
            Self::Ranking(ranking) => ranking.wanted(plan),
            Self::Fetching(fetching) => Ok(fetching.rows.wanted(&plan.source)),
        }
    }

    /// Takes what was read.
    fn take(&mut self, plan: &Plan, arrived: BTreeMap<Read, Blob>) -> Result<(), QueryError> {
        match self {
            Self::Planning => Ok(()),
            Self::LookingUp(lookup) => lookup.take(&plan.source, &arrived),
            Self::Scanning(scan) => scan.take(plan, arrived),
            Self::Ranking(ranking) => ranking.take(plan, arrived),
            Self::Fetching(fetching) => fetching.rows.take(&plan.source, &arrived),
        }
    }

    /// The stage after this one, or the answer.
    fn next(self, plan: &Plan) -> Result<Self, Box<Answer>> {
        match self {
            Self::Planning => Ok(match plan.filter.ids() {
                Some(ids) => Self::LookingUp(Lookup::begin(&plan.source, &ids, plan.attributes())),
                None => Self::Scanning(Scan::begin(plan)),
            }),
            Self::LookingUp(lookup) => {
                let documents = lookup.into_documents();
                let mut collected = Collected::new(&plan.want);
                collected.offer(plan, documents.iter());
                let held = documents.into_iter().map(|document| (document.id.clone(), document));
                Fetching::begin(plan, collected, held.collect())
            }
            Self::Scanning(scan) => {
                let mut collected = Collected::new(&plan.want);
                let words = plan.source.snapshot.overlay.words();
                collected.offer(plan, words.filter_map(|(_, document)| document));
                Ok(Self::Ranking(Ranking::begin(plan, scan.finish(plan), collected)))
            }
            Self::Ranking(ranking) => Fetching::begin(plan, ranking.finish(), BTreeMap::new()),
            Self::Fetching(fetching) => Err(Box::new(fetching.answer(plan))),
        }
    }
}

impl Fetching {
    /// Begins to fetch what the answer says of its rows. Figures are an answer already.
    fn begin(
        plan: &Plan,
        collected: Collected,
        held: BTreeMap<Id, Document>,
    ) -> Result<Stage, Box<Answer>> {
        let top = match collected {
            Collected::Rows(top) => top,
            Collected::Figures(tallies) => {
                let figures = tallies.into_iter().map(|(label, tally)| (label, tally.figure()));
                let found = Found::Aggregates(figures.collect());
                return Err(Box::new(Answer { found, statistics: statistics(plan) }));
            }
        };
        let Wanted::Rows { include, .. } = &plan.want else { panic!("rows are wanted") };
        let include: BTreeSet<_> = include.iter().map(|(_, attribute)| *attribute).collect();
        let candidates = top.into_sorted();
        let ascending = candidates.is_sorted_by(|a, b| (&a.rank, &a.id) < (&b.rank, &b.id));
        assert!(ascending, "Q2: a document stands once in an answer, in order");
        let places = candidates.iter().map(|candidate| candidate.place);
        let rows = Rows::begin(&plan.source, places, &include);
        Ok(Stage::Fetching(Self { candidates, held, rows }))
    }

    fn answer(self, plan: &Plan) -> Answer {
        let Wanted::Rows { include, limit, .. } = &plan.want else { panic!("rows are wanted") };
        assert!(self.candidates.len() <= *limit, "no more rows than asked for");
        let overlay = &plan.source.snapshot.overlay;
        let mut answer = Vec::with_capacity(self.candidates.len());
        for (candidate, values) in self.candidates.into_iter().zip(self.rows.into_values()) {
            let fetched = Document { id: candidate.id, attributes: values };
            let document = match candidate.place {
                Some(_) => &fetched,
                None => self
                    .held
                    .get(&fetched.id)
                    .or_else(|| overlay.get(&fetched.id).flatten())
                    .expect("what has no place in a segment is in memory"),
            };
            let attributes = include.iter().filter_map(|(name, attribute)| {
                document.value(*attribute).map(|value: &Value| (name.clone(), value.clone()))
            });
            let distance = match candidate.rank {
                Rank::Distance(distance) => Some(distance),
                Rank::Keys(_) => None,
            };
            let attributes = attributes.collect();
            answer.push(AnswerRow { id: document.id.clone(), distance, attributes });
        }
        Answer { found: Found::Rows(answer), statistics: statistics(plan) }
    }
}

fn statistics(plan: &Plan) -> Statistics {
    let snapshot = &plan.source.snapshot;
    let words = snapshot.overlay.words();
    let unindexed_rows = words.filter(|(_, document)| document.is_some()).count() as u64;
    let indexed_rows = snapshot.live().manifest.live_rows;
    Statistics { unindexed_rows, namespace_rows: indexed_rows + unindexed_rows }
}

#[cfg(test)]
mod tests;
