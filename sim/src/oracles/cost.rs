//! O13: what an operation costs: rounds, each of which takes the time of one request, and requests.
//!
//! The budgets are those of the design, and each machine's first page has them. An operation to which
//! nothing happened keeps to them to the letter. To one that was refused, turned away or not answered
//! it happened in a round, and it may begin again once for each such round, and no more often.

use std::collections::BTreeMap;
use std::fmt;

use sana_engine::base::id::Stamp;
use sana_engine::format::head::Head;
use sana_engine::format::layout;
use sana_engine::format::manifest::SegmentRef;
use sana_engine::format::schema::Schema;
use sana_engine::index::filter::Filter;
use sana_engine::index::predicate::Predicate;
use sana_engine::machine::Round;
use sana_engine::machine::request::{Reply, Request, When};
use sana_engine::namespace::head::Edit;
use sana_engine::namespace::request::{Aggregate, Search, Want, WriteRequest};
use sana_engine::ops::collect;
use sana_engine::ops::snapshot::WINDOW_REQUESTS;
use sana_engine::service::task::{Output, Start};

use crate::oracles::{Broken, Oracle};

/// What an operation does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Work {
    /// Looks what is new, and holds a snapshot.
    Refresh,
    /// Writes, and need not look at documents.
    Commit,
    /// Writes, and looks at documents or records.
    CommitLooking,
    /// Writes what filters match.
    CommitMatching,
    /// Publishes a flush.
    PublishFlush,
    /// Publishes a merge.
    PublishMerge,
    /// Publishes anything else.
    PublishOther,
    /// Deletes a namespace.
    Delete,
    /// Finds figures or groups.
    Figures,
    /// Finds rows.
    Rows,
    /// Finds several things.
    Several,
    /// Makes a segment of log entries.
    Flush,
    /// Makes one segment of several.
    Merge,
    /// Deletes trash.
    Collect,
    /// Deletes orphans.
    Sweep,
}

/// What an operation may cost and what it has cost.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Bill {
    /// What it does.
    pub work: Work,
    /// Rounds that ask for something.
    pub rounds: u32,
    /// Requests, each counted once however often it was repeated.
    pub requests: u32,
    /// Rounds in which something was refused, turned away or not answered, or an object was missing.
    pub troubles: u32,
    /// Rounds that create an object.
    pub created: u32,
    /// Those of them that do so before a head can name it.
    pub staged: u32,
    /// Rounds that put a head, and those in which it is empty: a birth without a batch.
    puts: u32,
    births: u32,
    /// Rounds that list.
    lists: u32,
    /// Objects that were found and sent.
    found: u32,
    /// Rounds of deletions.
    deletions: u32,
    /// Whether the round under way looks for a head, which need not be there.
    looks_for_head: bool,
    /// Rounds it may take if nothing happens to it; those counted above come on top.
    most: u32,
    /// The step that was held.
    held: Option<Stamp>,
}

/// A window of a merge, in bytes: a fourth of that of a query.
const WINDOW_BYTES: u64 = 8 << 20;

impl Work {
    /// Every kind of work.
    pub const ALL: [Self; 15] = [
        Self::Refresh,
        Self::Commit,
        Self::CommitLooking,
        Self::CommitMatching,
        Self::PublishFlush,
        Self::PublishMerge,
        Self::PublishOther,
        Self::Delete,
        Self::Figures,
        Self::Rows,
        Self::Several,
        Self::Flush,
        Self::Merge,
        Self::Collect,
        Self::Sweep,
    ];

    /// What is begun.
    pub fn of(start: &Start) -> Self {
        match start {
            Start::Refresh { .. } => Self::Refresh,
            Start::Commit(plan, _) => {
                let looks = plan
                    .requests
                    .iter()
                    .any(|request| request.reads_documents() || request.idempotency.is_some());
                let matches = plan.requests.iter().any(WriteRequest::is_by_filter);
                if matches {
                    Self::CommitMatching
                } else if looks {
                    Self::CommitLooking
                } else {
                    Self::Commit
                }
            }
            Start::Publication(plan, ..) => match plan.edit {
                Edit::Flush(_) => Self::PublishFlush,
                Edit::Merge(_) => Self::PublishMerge,
                Edit::RaiseFloor(_) | Edit::Forget(_) => Self::PublishOther,
            },
            Start::Delete { .. } => Self::Delete,
            Start::Query { request, .. } => match request.want {
                Want::Rows { .. } | Want::Ids { .. } => Self::Rows,
                Want::Aggregates(_) | Want::Groups { .. } => Self::Figures,
                Want::Several { .. } => Self::Several,
            },
            Start::Flush { .. } => Self::Flush,
            Start::Merge(_) => Self::Merge,
            Start::Collect(..) => Self::Collect,
            Start::Sweep(_) => Self::Sweep,
        }
    }
}

impl Bill {
    /// What an operation may cost that is begun.
    pub fn begin(start: &Start) -> Self {
        let (most, held) = budget(start);
        Self {
            work: Work::of(start),
            rounds: 0,
            requests: 0,
            troubles: 0,
            created: 0,
            staged: 0,
            puts: 0,
            births: 0,
            lists: 0,
            found: 0,
            deletions: 0,
            looks_for_head: false,
            most,
            held,
        }
    }

    /// It waits for a round.
    pub fn ask(&mut self, round: &Round) {
        let requests = &round.requests;
        let any = |is: fn(&Request) -> bool| u32::from(requests.iter().any(is));
        let creates = any(|request| matches!(request, Request::Put { when: When::Fresh, .. }));
        self.rounds += u32::from(!requests.is_empty());
        self.requests += requests.len() as u32;
        self.created += creates;
        self.staged += creates & !any(Request::is_visible);
        self.puts += any(Request::is_visible);
        self.births += any(is_birth);
        self.lists += any(|request| matches!(request, Request::List { .. }));
        self.deletions += any(|request| matches!(request, Request::Delete { .. }));
        let is_of_head = |request: &Request| !layout::is_immutable(request.key());
        self.looks_for_head = requests.iter().any(|one| one.is_read() && is_of_head(one));
    }

    /// Its round was answered so.
    pub fn answered(&mut self, replies: &[Reply]) {
        let is_trouble = |reply: &Reply| match reply {
            Reply::Lost | Reply::Refused | Reply::Throttled => true,
            Reply::Missing => !self.looks_for_head,
            _ => false,
        };
        self.troubles += u32::from(replies.iter().any(is_trouble));
        let found = replies.iter().filter(|reply| matches!(reply, Reply::Found { .. }));
        self.found += found.count() as u32;
    }

    /// It is over.
    ///
    /// # Errors
    ///
    /// [`Broken`] if it has cost more than it may.
    pub fn end(&self, output: &Output) -> Result<(), Broken> {
        if let (Output::Refresh(Ok(held)), Some(step)) = (output, self.held)
            && held.version.as_ref().is_some_and(|(_, head)| head.step == step)
            && self.troubles == 0
        {
            let costs = (self.rounds, self.requests, self.found);
            self.demand(costs == (1, 1, 0), "a look at what is unchanged is one empty reply")?;
        }
        // What is staged for a namespace that is not there, or dead, needs a head that can name it.
        let is_commit = matches!(output, Output::Commit(_)) && self.troubles == 0;
        let most = 1 + self.births.min(self.staged).min(1);
        self.demand(!is_commit || self.puts <= most, "a commit is one put of a head")?;
        let extra = match self.work {
            Work::Commit | Work::CommitLooking | Work::CommitMatching => {
                // A batch that does not ride in a first head needs one to be born in.
                self.staged + self.births.min(self.staged)
            }
            Work::Sweep => self.lists + self.deletions,
            Work::Collect => self.deletions,
            _ => 0,
        };
        let once = self.most + 1;
        // A long log is loaded a window a round.
        let loads = match self.work {
            Work::Refresh | Work::Commit | Work::CommitLooking | Work::CommitMatching => true,
            _ => self.work == Work::Delete,
        };
        let windows = if loads { self.requests / WINDOW_REQUESTS as u32 } else { 0 };
        let most = self.most + extra + windows + once * self.troubles;
        self.demand(self.rounds <= most, &format!("it may take {most} rounds"))?;
        let puts = matches!(self.work, Work::Commit if self.held.is_some());
        let most = 2 * (self.rounds + self.troubles);
        self.demand(!puts || self.requests <= most, "a round of a write has two requests")
    }

    fn demand(&self, holds: bool, what: &str) -> Result<(), Broken> {
        Oracle::Cost.demand(holds, || format!("{what}: {self}"))
    }
}

/// Whether a request puts the head of a namespace that lives and has no log.
fn is_birth(request: &Request) -> bool {
    let Request::Put { key, body, when: When::Absent | When::Matches(_) } = request else {
        return false;
    };
    let head = Head::decode(key, body).ok();
    head.is_some_and(|head| head.live().is_some_and(|live| live.log.entries.is_empty()))
}

/// How many rounds an operation may take if nothing happens to it, and the step it holds.
fn budget(start: &Start) -> (u32, Option<Stamp>) {
    match start {
        Start::Refresh { held, .. } => {
            let version = held.as_ref().and_then(|held| held.version.as_ref());
            let whole = held.as_ref().is_some_and(|held| held.snapshot.is_some());
            (2, version.filter(|_| whole).map(|(_, head)| head.step))
        }
        Start::Commit(plan, held) => {
            let held = held.as_ref();
            let version = held.and_then(|held| held.version.as_ref());
            let any = |is: fn(&WriteRequest) -> bool| u32::from(plan.requests.iter().any(is));
            let reads = any(|request| request.reads_documents() || request.idempotency.is_some());
            let looks = 2 * any(WriteRequest::reads_documents)
                + 2 * any(|request| request.idempotency.is_some())
                + 6 * any(WriteRequest::is_by_filter);
            let is_whole =
                held.is_some_and(|held| held.snapshot.is_some() || held.live().is_none());
            let refresh = if held.is_none() { 1 + reads } else { 2 * reads * u32::from(!is_whole) };
            // What a held head refuses is looked at once more, at the newest.
            let again = if held.is_none() { 0 } else { 1 + reads + looks };
            (refresh + looks + again + 1, version.map(|(_, head)| head.step))
        }
        Start::Publication(..) => (1, None),
        Start::Delete { .. } | Start::Flush { .. } => (2, None),
        Start::Query { request, snapshot, .. } => {
            let schema = &snapshot.live().schema;
            (rounds_of(request.filter.as_ref(), &request.want, schema), None)
        }
        Start::Merge(plan) => {
            let live = plan.snapshot.live();
            let inputs = &live.manifest.segments[plan.segments.clone()];
            let bytes: u64 = inputs.iter().map(SegmentRef::stored_bytes).sum();
            (5 + 2 * (bytes / WINDOW_BYTES) as u32, None)
        }
        // The floor, and the names; what is deleted comes on top.
        Start::Collect(_, _, head) => {
            let names =
                head.live().map_or(0, |live| live.trash.iter().map(|t| t.names.len()).sum());
            (2 + names.div_ceil(collect::BATCH) as u32, None)
        }
        Start::Sweep(_) => (2, None),
    }
}

/// Rounds of a query after its snapshot, as `ops::query` has them. Whatever the workload keeps fits into
/// one window.
fn rounds_of(filter: Option<&Predicate>, want: &Want, schema: &Schema) -> u32 {
    let resolved = filter.and_then(|filter| Filter::resolve(filter, schema).ok());
    let looks_up = resolved.is_some_and(|filter| filter.ids().is_some());
    match want {
        // Where the ids are, and what stands there.
        Want::Rows { .. } | Want::Ids { .. } | Want::Aggregates(_) | Want::Groups { .. }
            if looks_up =>
        {
            2
        }
        Want::Aggregates(all) => {
            let sums = all.iter().any(|(_, figure)| matches!(figure, Aggregate::Sum(_)));
            1 + u32::from(sums)
        }
        Want::Ids { .. } | Want::Groups { .. } => 2,
        Want::Rows { .. } => 3,
        Want::Several { searches, .. } => {
            let each = |search: &Search| {
                // What all have to pass and what one has to are one filter, by which ids may be found.
                let both = match (filter, &search.filter) {
                    (Some(all), Some(own)) => Some(all.clone().and(own.clone())),
                    (all, own) => own.as_ref().or(all).cloned(),
                };
                rounds_of(both.as_ref(), &search.want, schema)
            };
            searches.iter().map(each).max().unwrap_or_default()
        }
    }
}

impl fmt::Display for Bill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { work, rounds, requests, troubles, staged, most, .. } = self;
        write!(
            f,
            "{work:?} took {rounds} rounds and {requests} requests, {troubles} rounds went wrong, {staged} staged; its budget is {most}"
        )
    }
}

/// What operations cost to which nothing happened.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Costs(BTreeMap<(Work, u32, u32), u64>);

impl Costs {
    /// An operation is over.
    pub fn count(&mut self, bill: &Bill) {
        if bill.troubles == 0 {
            *self.0.entry((bill.work, bill.rounds, bill.requests)).or_default() += 1;
        }
    }

    /// Adds those of another world.
    pub fn add(&mut self, other: &Self) {
        for (key, count) in &other.0 {
            *self.0.entry(*key).or_default() += count;
        }
    }

    /// What was counted beyond `before`: work, rounds, requests, and how often if more than once.
    pub fn since(&self, before: &Self) -> Vec<String> {
        let new = |(key, count): (&(Work, u32, u32), &u64)| {
            let times = count - before.0.get(key).copied().unwrap_or_default();
            let (work, rounds, requests) = key;
            match times {
                0 => None,
                1 => Some(format!("{work:?} {rounds} of {requests}")),
                times => Some(format!("{times} × {work:?} {rounds} of {requests}")),
            }
        };
        self.0.iter().filter_map(new).collect()
    }

    /// How many there were of each kind, and by their rounds.
    pub fn rounds(&self, work: Work) -> BTreeMap<u32, u64> {
        let mut rounds = BTreeMap::new();
        for ((_, count, _), times) in self.0.iter().filter(|((one, ..), _)| *one == work) {
            *rounds.entry(*count).or_default() += times;
        }
        rounds
    }

    /// The most requests of one kind of work.
    pub fn requests_most(&self, work: Work) -> u32 {
        self.0.keys().filter(|(one, ..)| *one == work).map(|key| key.2).max().unwrap_or_default()
    }
}
