//! Answers one query, at one snapshot.
//!
//! A query is one search or several. Each goes through the story by itself; what they read in one round
//! is asked for together, and once. So several cost the rounds of the longest.
//!
//! # Story
//!
//! A search that names its documents by id, and not too many, looks them up:
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
//! What was found so far is bounded, and so is what the answer says of it: more is an error.
//!
//! The documents of the overlay are tested, ranked and summed up in memory, by the same rules. Where
//! there are many, a step is spent on some of them at a time, for the deadline counts there as well.
//!
//! # Invariants
//!
//! - **Q2** An answer is that of one moment: it is made of one snapshot, whatever happens meanwhile.

mod aggregate;
mod collected;
mod compute;
mod fetching;
pub(super) mod lookup;
mod order;
mod overlaid;
mod plan;
mod ranking;
pub(super) mod reads;
mod rows;
mod scan;
mod vector;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::base::blob::Blob;
use crate::base::host::Host;
use crate::base::limits::{LOOKUP_IDS_MAX, SEARCHES_MAX, WINDOW_BYTES};
use crate::base::planted::{self, Bug};
use crate::base::time::Timestamp;
use crate::index::filter;
use crate::index::predicate::Predicate;
use crate::machine::request::Reply;
use crate::machine::{Machine, Round, Step};
use crate::namespace::request::{
    Answer, Found, Fuse, InvalidQuery, QueryError, QueryRequest, Search, Statistics, Want,
};
use crate::namespace::snapshot::{Replaced, Snapshot};
use collected::Collected;
use fetching::Fetching;
use lookup::Lookup;
use overlaid::Overlaid;
use plan::{Plan, Wanted};
use ranking::Ranking;
use reads::{Read, Source};
use scan::Scan;

/// A query on its way. See the [module](self) for its story.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Query {
    source: Source,
    searches: Vec<Searching>,
    /// Whether the answer is a list of what each search found.
    several: bool,
    /// How several lists become one.
    fuse: Option<Fuse>,
    /// What is being read, and since when.
    flying: (Timestamp, Vec<Read>),
}

/// One search on its way.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Searching {
    plan: Arc<Plan>,
    stage: Stage,
    /// What of that which is being read is for this search.
    flying: BTreeSet<Read>,
    /// What it found out about replaced rows, if it looked.
    replaced: Vec<Replaced>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Stage {
    /// There is much to think about before the first read.
    Planning,
    LookingUp(Lookup),
    Scanning(Scan),
    Overlaid(Overlaid),
    Ranking(Ranking),
    Fetching(Fetching),
    Answered(Found),
}

/// Words of an overlay above which planning is left to a step of its own.
const WORDS_MAX: usize = 1_024;
/// Rows of segments, and values that are compared with, above which beginning is heavy.
const LIGHT_ROWS_MAX: u64 = 1 << 18;
const LIGHT_OPERANDS_MAX: usize = 64;
/// Tests that go with a whole window.
const TESTS_OF_A_WINDOW: usize = 64;

type Outcome = Result<Answer, QueryError>;

/// Everything that has to be tested to answer a request.
fn conditions(request: &QueryRequest) -> impl Iterator<Item = &Predicate> {
    let searches = match &request.want {
        Want::Several { searches, .. } => searches.as_slice(),
        _ => &[],
    };
    let wants = searches.iter().map(|search| &search.want).chain([&request.want]);
    let filters = searches.iter().map(|search| &search.filter).chain([&request.filter]);
    filters.flatten().chain(wants.flat_map(Want::conditions))
}

impl Query {
    /// Whether to begin to answer a request at a snapshot may compute for more than a few milliseconds.
    pub fn begins_heavily(snapshot: &Snapshot, request: &QueryRequest) -> bool {
        let rows = snapshot.directories.iter().map(|directory| u64::from(directory.rows()));
        let is_small = snapshot.overlay.len() <= WORDS_MAX && rows.sum::<u64>() <= LIGHT_ROWS_MAX;
        // What is refused is refused at once.
        let load = filter::bound(conditions(request)).unwrap_or_default();
        !is_small || load.operands > LIGHT_OPERANDS_MAX || load.patterns > 0
    }

    /// Begins to answer a request at a snapshot.
    pub fn start(
        now: Timestamp,
        snapshot: Arc<Snapshot>,
        request: &QueryRequest,
        host: Host,
        deadline: Timestamp,
    ) -> Step<Self> {
        let words = snapshot.overlay.len();
        let query = match Self::plan(snapshot, request, host, deadline) {
            Ok(query) => query,
            Err(invalid) => return Step::Done(Err(invalid.into())),
        };
        if words > WORDS_MAX {
            // To sleep until now is to yield: the next step may run where heavy ones do.
            return Step::Wait(query, Round::sleep(now));
        }
        query.advance(now)
    }

    fn plan(
        snapshot: Arc<Snapshot>,
        request: &QueryRequest,
        host: Host,
        deadline: Timestamp,
    ) -> Result<Self, InvalidQuery> {
        let one;
        let (searches, several, fuse) = match &request.want {
            Want::Several { searches, fuse } => (searches.as_slice(), true, fuse.clone()),
            want => {
                one = [Search { filter: request.filter.clone(), want: want.clone() }];
                (one.as_slice(), false, None)
            }
        };
        let most = SEARCHES_MAX;
        if searches.len() > most {
            return Err(InvalidQuery::TooMany { what: "sub-queries", most });
        }
        let load = filter::bound(conditions(request))?;
        fuse.as_ref().map_or(Ok(()), |fuse| fuse.check(searches.len()))?;
        // Together they read and hold no more than one would, and who tests more looks at less at a time.
        let window_bytes =
            WINDOW_BYTES / searches.len().max(1) / (1 + load.tests / TESTS_OF_A_WINDOW);
        let source = Source { snapshot, deadline, window_bytes };
        let plan = |(place, search): (usize, &Search)| {
            let mut source = source.clone();
            if place > 0 && planted::is(Bug::PartsOfTwoMoments) {
                let mut older = Snapshot::clone(&source.snapshot);
                older.overlay = Arc::default();
                source.snapshot = Arc::new(older);
            }
            let both = match (&request.filter, &search.filter) {
                (Some(all), Some(own)) if several => Some(all.clone().and(own.clone())),
                (all, own) => own.clone().or_else(|| all.clone()),
            };
            let search = Search { filter: both, want: search.want.clone() };
            let plan = Arc::new(Plan::resolve(source, &search, host)?);
            if fuse.is_some() && !matches!(plan.want, Wanted::Rows(_)) {
                return Err(InvalidQuery::NotFused);
            }
            let (flying, replaced) = (BTreeSet::new(), Vec::new());
            Ok(Searching { plan, stage: Stage::Planning, flying, replaced })
        };
        let searches: Vec<Searching> =
            searches.iter().enumerate().map(plan).collect::<Result<_, _>>()?;
        if fuse.is_some() {
            plan::fit_together(searches.iter().map(|search| &*search.plan))?;
        }
        assert!(searches.len() <= most, "searches are counted before they are planned");
        let flying = (deadline, Vec::new());
        Ok(Self { source, searches, several, fuse, flying })
    }

    /// Goes on to the next round, or to the end.
    fn advance(mut self, now: Timestamp) -> Step<Self> {
        let mut wanted = BTreeSet::new();
        for search in &mut self.searches {
            if let Err(error) = search.advance() {
                return Step::Done(Err(error));
            }
            wanted.extend(&search.flying);
        }
        if self.searches.iter().all(Searching::is_over) {
            return Step::Done(Ok(self.answer()));
        }
        if now >= self.source.deadline {
            return Step::Done(Err(QueryError::TooLong));
        }
        if wanted.is_empty() {
            return Step::Wait(self, Round::sleep(now));
        }
        self.flying = (now, wanted.into_iter().collect());
        let round = self.source.round(&self.flying.1);
        Step::Wait(self, round)
    }

    /// What all searches found.
    fn answer(self) -> Answer {
        let snapshot = &self.source.snapshot;
        let statistics = statistics(snapshot);
        // The first that looked knows as much as any: all began with the same snapshot.
        let replaced = self.searches.iter().map(|search| &search.replaced);
        let replaced = replaced.clone().max_by_key(|all| all.iter().map(|r| r.until).max());
        let replaced = replaced.filter(|replaced| !replaced.is_empty());
        let learned = replaced.and_then(|replaced| snapshot.learned(replaced.clone()));
        let learned = learned.map(Arc::new);
        let mut found: Vec<Found> = self.searches.into_iter().map(Searching::found).collect();
        let found = match self.fuse {
            Some(fuse) => Found::Several(vec![fetching::fused(&fuse, found)]),
            None if self.several => Found::Several(found),
            None => found.pop().expect("a query is at least one search"),
        };
        Answer { found, statistics, learned }
    }
}

impl Machine for Query {
    type Output = Outcome;

    fn step(mut self, now: Timestamp, replies: Vec<Reply>) -> Step<Self> {
        let (asked_at, flying) = (self.flying.0, core::mem::take(&mut self.flying.1));
        let mut shares = self.searches.iter().flat_map(|search| &search.flying);
        assert!(shares.all(|read| flying.binary_search(read).is_ok()), "Q2: a share of no round");
        let arrived = match self.source.arrived(asked_at, flying, replies) {
            Ok(arrived) => arrived,
            Err(error) => return Step::Done(Err(error)),
        };
        for search in &mut self.searches {
            if let Err(error) = search.take(&arrived) {
                return Step::Done(Err(error));
            }
        }
        self.advance(now)
    }

    fn is_heavy(&self) -> bool {
        let computes =
            |search: &Searching| matches!(search.stage, Stage::Planning | Stage::Overlaid(_));
        self.searches.iter().any(computes) || self.source.is_heavy(&self.flying.1)
    }
}

impl Searching {
    const fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Answered(_))
    }

    /// Goes on until there is something to read, a step is full, or the end.
    fn advance(&mut self) -> Result<(), QueryError> {
        while !self.is_over() {
            self.flying = self.stage.wanted(&self.plan)?.into_iter().collect();
            if !self.flying.is_empty() {
                break;
            }
            let stage = core::mem::replace(&mut self.stage, Stage::Planning);
            self.stage = match stage {
                Stage::Scanning(scan) => {
                    let selected = scan.finish(&self.plan);
                    self.replaced.clone_from(&selected.replaced);
                    Stage::Overlaid(Overlaid::begin(&self.plan, selected))
                }
                stage => stage.next(&self.plan)?,
            };
            if matches!(&self.stage, Stage::Overlaid(overlaid) if overlaid.has_more()) {
                break;
            }
        }
        Ok(())
    }

    /// Takes its share of what was read.
    fn take(&mut self, arrived: &BTreeMap<Read, Blob>) -> Result<(), QueryError> {
        let flying = core::mem::take(&mut self.flying);
        if flying.is_empty() {
            return Ok(());
        }
        let share = flying.into_iter().map(|read| (read, arrived[&read].clone()));
        self.stage.take(&self.plan, share.collect())
    }

    fn found(self) -> Found {
        let Stage::Answered(found) = self.stage else { panic!("Q2: every search is over") };
        found
    }
}

impl Stage {
    /// What to read next; nothing if the stage is over.
    fn wanted(&mut self, plan: &Plan) -> Result<Vec<Read>, QueryError> {
        match self {
            Self::Planning | Self::Overlaid(_) | Self::Answered(_) => Ok(Vec::new()),
            Self::LookingUp(lookup) => Ok(lookup.wanted(&plan.source)),
            Self::Scanning(scan) => Ok(scan.wanted(plan)),
            Self::Ranking(ranking) => ranking.wanted(plan),
            Self::Fetching(fetching) => Ok(fetching.wanted(plan)),
        }
    }

    /// Takes what was read.
    fn take(&mut self, plan: &Plan, arrived: BTreeMap<Read, Blob>) -> Result<(), QueryError> {
        match self {
            Self::Planning | Self::Overlaid(_) | Self::Answered(_) => Ok(()),
            Self::LookingUp(lookup) => lookup.take(&plan.source, &arrived),
            Self::Scanning(scan) => scan.take(plan, arrived),
            Self::Ranking(ranking) => ranking.take(plan, arrived),
            Self::Fetching(fetching) => fetching.take(plan, &arrived),
        }
    }

    /// The stage after this one.
    fn next(self, plan: &Plan) -> Result<Self, QueryError> {
        match self {
            Self::Planning => Ok(match plan.filter.ids() {
                Some(ids) if ids.len() <= LOOKUP_IDS_MAX => {
                    Self::LookingUp(Lookup::begin(&plan.source, &ids, plan.attributes(), true))
                }
                _ => Self::Scanning(Scan::begin(plan)),
            }),
            Self::LookingUp(lookup) => {
                let documents = lookup.into_documents();
                let mut collected = Collected::new(&plan.want);
                collected.offer(plan, documents.iter());
                collected.fits()?;
                let held = documents.into_iter().map(|document| (document.id.clone(), document));
                Ok(Self::fetch(plan, collected, held.collect()))
            }
            Self::Scanning(scan) => Ok(Self::Overlaid(Overlaid::begin(plan, scan.finish(plan)))),
            Self::Overlaid(overlaid) => overlaid.next(plan),
            Self::Ranking(ranking) => Ok(Self::fetch(plan, ranking.finish(), BTreeMap::new())),
            Self::Fetching(fetching) => Ok(Self::Answered(fetching.answer(plan)?)),
            Self::Answered(_) => Ok(self),
        }
    }
}

fn statistics(snapshot: &Snapshot) -> Statistics {
    let words = snapshot.overlay.words();
    let unindexed_rows = words.filter(|(_, document)| document.is_some()).count() as u64;
    let indexed_rows = snapshot.live().manifest.live_rows;
    Statistics { unindexed_rows, namespace_rows: indexed_rows + unindexed_rows }
}

#[cfg(test)]
mod tests;
