//! When a namespace is flushed, merged, collected and swept by this node.
//!
//! A flush and a merge may be built at the same time, for a merge of much must not hold up what was just
//! written: a flush holds over a merge and a merge over a flush (`namespace::segments`, H1). What was
//! built waits for the turn to be published. Nodes do not agree on who does it: two that do the same
//! work both do it, and one publication gets in.

use core::ops::Range;
use core::time::Duration;
use std::sync::Arc;

use crate::base::id::{Generation, Incarnation, Nonces};
use crate::base::limits;
use crate::base::name::NamespaceName;
use crate::base::planted::{self, Bug};
use crate::base::time::{Timestamp, WallTime};
use crate::format::head::Head;
use crate::format::segment::Directory;
use crate::machine::request::Tag;
use crate::namespace::head::Edit;
use crate::namespace::segments;
use crate::ops::collect::{self, CollectPlan};
use crate::ops::merge::MergePlan;
use crate::ops::publication::{Plan, Publicized};
use crate::ops::read::ReadError;
use crate::ops::snapshot::Held;
use crate::ops::sweep::SweepPlan;
use crate::service::backoff::{Backoff, PAUSE};
use crate::service::settings::Settings;
use crate::service::sweeps::{Sweeps, WORK_TIME_MAX};
use crate::service::task::{Output, Start, TaskId};
use crate::service::view::View;

/// What this node does for a namespace unasked.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Upkeep {
    flush: Build,
    merge: Build,
    /// Since when there is something to flush, as far as this node knows.
    unindexed_since: Option<Timestamp>,
    /// Not before this moment: something failed, or had to start over.
    resume_at: Timestamp,
    /// The merge that is next, as of a generation of one life's manifest.
    next_merge: (Option<(Incarnation, Generation)>, Option<Range<usize>>),
    /// Flushes that could not read what they need.
    flushing: Backoff,
    /// Merges that could not.
    merging: Backoff,
    /// Collections that could not delete all, or could not say so in the head.
    collecting: Backoff,
    /// Looks that met something damaged.
    looking: Backoff,
    /// Publications of which nobody knows, or that met a damaged head.
    publishing: Backoff,
    /// Whether trash is being collected.
    is_collecting: bool,
    /// Whether the last that was published is a flush.
    merge_is_next: bool,
    sweeps: Sweeps,
    /// Somebody asked to have a look: one that begins after this operation.
    asked: Option<TaskId>,
    /// Whether work turned out to be in vain, and the look that is asked for shall say by what.
    is_overtaken: bool,
}

/// Before all operations.
const ANY: TaskId = TaskId(0);

/// Where the building of a segment stands.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Build {
    Idle,
    Building,
    Built(Edit, Option<Arc<Directory>>),
    Publishing(Option<Arc<Directory>>),
}

/// The longest that building a segment may take.
const BUILD_TIME_MAX: Duration = Duration::from_mins(10);
/// The longest that a publication may take.
const PUBLISH_TIME_MAX: Duration = Duration::from_secs(30);

// What waits long for its turn is published later still. Then the floor is above what it names, and it was in
// vain (W2).
const _: () = assert!(
    BUILD_TIME_MAX.as_secs() + PUBLISH_TIME_MAX.as_secs() <= WORK_TIME_MAX.as_secs(),
    "what is begun by this node and does not wait is over when a sweep takes it for dead"
);

impl Upkeep {
    pub(super) const fn new(now: Timestamp) -> Self {
        Self {
            flush: Build::Idle,
            merge: Build::Idle,
            unindexed_since: None,
            resume_at: now,
            next_merge: (None, None),
            flushing: Backoff::new(now),
            merging: Backoff::new(now),
            collecting: Backoff::new(now),
            looking: Backoff::new(now),
            publishing: Backoff::new(now),
            is_collecting: false,
            merge_is_next: false,
            sweeps: Sweeps::new(now),
            asked: None,
            is_overtaken: false,
        }
    }

    /// Somebody asks to have a look at the namespace. One that is under way will do.
    pub(super) fn look(&mut self) {
        self.asked.get_or_insert(ANY);
    }

    /// Something has happened that only a look can tell of that begins after this operation, the last that
    /// has begun.
    pub(super) const fn look_after(&mut self, last: TaskId) {
        self.asked = Some(last);
    }

    /// The newest head was read. A look that was under way when something happened may not have seen it.
    pub(super) fn looked(&mut self, now: Timestamp, by: TaskId) {
        self.saw_head(by);
        self.looking = Backoff::new(now);
    }

    fn saw_head(&mut self, by: TaskId) {
        let later = self.asked.is_none_or(|last| last < by);
        if later || planted::is(Bug::EarlierLookCounts) {
            (self.asked, self.is_overtaken) = (None, false);
        }
    }

    /// The namespace was looked at, and something is damaged that its newest head names. It will hardly be
    /// whole in a moment.
    pub(super) fn met_damage(&mut self, now: Timestamp, by: TaskId) {
        self.saw_head(by);
        self.looking.failed(now);
    }

    /// The namespace was looked at, and its head is damaged. Who was overtaken still does not know by what, and
    /// who owes a sweep and knows an older version not what to sweep.
    pub(super) fn met_damaged_head(&mut self, now: Timestamp, by: TaskId, view: &View) {
        self.looking.failed(now);
        let is_owing = self.sweeps.is_owing() && view.version().is_some();
        if planted::is(Bug::DamagedLookCounts) {
            self.saw_head(by);
        } else if !self.is_overtaken && !is_owing {
            self.asked = None;
        }
    }

    /// The namespace was to be looked at, and the store did not answer.
    pub(super) fn unanswered(&mut self, now: Timestamp) {
        self.looking.failed_urgently(now);
    }

    /// A commit of this node landed.
    pub(super) fn committed(&mut self, now: Timestamp) {
        self.unindexed_since.get_or_insert(now);
    }

    /// Work of this node is over that may have left something behind.
    pub(super) const fn worked(&mut self, now: Timestamp) {
        self.sweeps.owe(now);
    }

    /// Somebody saw what nobody names. `last` is the last operation that has begun.
    pub(super) const fn suspect(&mut self, now: Timestamp, last: TaskId) {
        self.sweeps.owe(now);
        self.look_after(last);
    }

    /// Since when a sweep is owed.
    pub(super) fn owes_sweep_since(&self) -> Option<Timestamp> {
        self.sweeps.owes_since()
    }

    /// Whether a publication runs, so that commits wait (V1).
    pub(super) fn has_turn(&self) -> bool {
        [&self.flush, &self.merge].into_iter().any(|build| matches!(build, Build::Publishing(_)))
    }

    /// Whether something was built and waits to be published.
    pub(super) fn waits_for_turn(&self) -> bool {
        [&self.flush, &self.merge].into_iter().any(|build| matches!(build, Build::Built(..)))
    }

    /// Whether nothing runs or is about to.
    pub(super) fn is_idle(&self) -> bool {
        self.flush == Build::Idle
            && self.merge == Build::Idle
            && !self.is_collecting
            && !self.sweeps.is_owing()
            && self.asked.is_none()
    }

    /// Whether nothing is being built, and there is nothing to merge in the newest version.
    pub(super) fn is_settled(&self, view: &View) -> bool {
        let is_built = self.flush == Build::Idle && self.merge == Build::Idle;
        let newest = view.version().and_then(|(_, head)| Some((head.incarnation, head.live()?)));
        let planned = newest.is_none_or(|(incarnation, live)| {
            self.next_merge == (Some((incarnation, live.manifest.generation)), None)
                && !planted::is(Bug::NeverSettled)
        });
        is_built && planned && self.asked.is_none()
    }

    /// Whether the newest version has to be loaded now for what is to be done.
    pub(super) fn wants_refresh(&self, now: Timestamp, view: &View) -> bool {
        self.looking.is_over(now) && (self.asked.is_some() || self.lacks(view))
    }

    /// Whether the newest version is not loaded, and there is something to be done with it.
    fn lacks(&self, view: &View) -> bool {
        let flushes = self.unindexed_since.is_some() && self.flush == Build::Idle;
        let merges = self.next_merge.1.is_some() && self.merge == Build::Idle;
        // What is dead has nothing to load, whatever was planned while it lived.
        let lives = view.version().is_some_and(|(_, head)| head.live().is_some());
        let lives = lives || planted::is(Bug::PlanOutlivesItsLife);
        lives && (flushes || merges) && !view.is_loaded()
    }

    /// When there is something to do at the latest, if nothing else happens.
    pub(super) fn wake_at(
        &self,
        now: Timestamp,
        wall: WallTime,
        settings: &Settings,
        view: &View,
    ) -> Option<Timestamp> {
        // What is not loaded cannot be built from: the refresh that loads it wakes the driver.
        let flush = self.unindexed_since.map(|since| since + settings.flush_after);
        let flush = flush.map(|at| at.max(self.flushing.until));
        let may = view.is_loaded() || planted::is(Bug::WokenWhileLoading);
        let flush = flush.filter(|_| may && self.flush == Build::Idle && !is_full(view));
        let merge = self.next_merge.1.as_ref().map(|_| self.merging.until.max(now));
        let merge = merge.filter(|_| view.is_loaded() && self.merge == Build::Idle);
        let live = view.version().and_then(|(_, head)| head.live());
        // The oldest need not be the first: each was dated by the calendar of who unlinked it.
        let ages = live.into_iter().flat_map(|live| &live.trash).map(|trash| wall.since(trash.at));
        let trash = ages.max().map(|age| {
            (now + settings.trash_retention.saturating_sub(age)).max(self.collecting.until)
        });
        let trash = trash.filter(|_| !self.is_collecting);
        let sweep = self.sweeps.due_at(settings.sweep_every).filter(|_| self.asked.is_none());
        let has_failed = self.looking.has_failed() && (self.asked.is_some() || self.lacks(view));
        // Once the pause is over the look begins, or is under way, and its end wakes the driver.
        let look = Some(self.looking.until).filter(|at| has_failed && now < *at);
        // Nothing is built before it, and its end wakes the driver.
        let builds = [flush, merge].into_iter().flatten().filter(|_| !self.is_overtaken);
        let next = builds.chain(trash).chain(sweep).min().map(|at| at.max(self.resume_at));
        next.into_iter().chain(look).min()
    }

    /// What to begin now. `is_free` says that a publication may: neither a commit nor a deletion runs or goes
    /// before, and the store takes a change of the head.
    #[expect(clippy::too_many_arguments, reason = "what a decision rests on, each borrowed")]
    pub(super) fn due(
        &mut self,
        now: Timestamp,
        wall: WallTime,
        name: &NamespaceName,
        settings: &Settings,
        view: &View,
        is_free: bool,
        nonces: &mut Nonces,
    ) -> Vec<Start> {
        self.notice(now, view);
        let Some((tag, head)) = view.version().cloned() else {
            if view.is_known {
                self.sweeps.forgive();
            }
            // A write of unknown outcome may land late and begin the namespace.
            if self.sweeps.is_due(now, settings.sweep_every) {
                self.sweeps.looked_for_head(now);
                self.look();
            }
            return Vec::new();
        };
        let publication = self.publish(now, wall, name, (&tag, &head), is_free, nonces);
        let mut starts: Vec<_> = publication.into_iter().collect();
        if now < self.resume_at {
            return starts;
        }
        self.plan_merge(settings, view);
        if !self.is_overtaken {
            starts.extend(self.start_flush(now, settings, view, nonces));
            starts.extend(self.start_merge(now, wall, settings, view, nonces));
        }
        let may_collect = !self.is_collecting && self.collecting.is_over(now);
        if may_collect && !collect::due(&head, wall, settings.trash_retention).is_empty() {
            self.is_collecting = true;
            let plan = CollectPlan {
                namespace: name.clone(),
                wall,
                retention: settings.trash_retention,
                nonces: nonces.fork(),
                deadline: now + PUBLISH_TIME_MAX,
            };
            starts.push(Start::Collect(Box::new(plan), tag.clone(), head.clone()));
        }
        // A dead namespace is swept as well: what lands late in it is named by nobody.
        if self.asked.is_none() && self.sweeps.is_due(now, settings.sweep_every) {
            let plan = SweepPlan {
                namespace: name.clone(),
                floor: self.sweeps.begin(now, head.step, settings.sweep_every),
                wall,
                nonces: nonces.fork(),
                deadline: now + BUILD_TIME_MAX,
            };
            starts.push(Start::Sweep(Box::new(plan)));
        }
        starts
    }

    /// Takes note of what the newest version says about what there is to do.
    fn notice(&mut self, now: Timestamp, view: &View) {
        // What work has left may be of a newer version than is known here, if a look is still to come.
        let known = view.version().filter(|_| self.asked.is_none());
        known.into_iter().for_each(|(_, head)| self.sweeps.notice(head));
        let live = view.version().and_then(|(_, head)| head.live());
        match live {
            Some(live) if !live.log.entries.is_empty() => {
                if !planted::is(Bug::OnlyOwnLogsAreFlushed) {
                    self.unindexed_since.get_or_insert(now);
                }
            }
            Some(_) => self.unindexed_since = None,
            None => {
                self.unindexed_since = None;
                for build in [&mut self.flush, &mut self.merge] {
                    if matches!(build, Build::Built(..)) {
                        *build = Build::Idle;
                    }
                }
            }
        }
    }

    /// The publication of something that was built, if the turn is free.
    fn publish(
        &mut self,
        now: Timestamp,
        wall: WallTime,
        name: &NamespaceName,
        (tag, head): (&Tag, &Arc<Head>),
        is_free: bool,
        nonces: &mut Nonces,
    ) -> Option<Start> {
        if !is_free || self.has_turn() {
            return None;
        }
        // They take turns: where heads may be changed but seldom, one would keep the other from it for ever.
        let mut builds = [&mut self.flush, &mut self.merge];
        if self.merge_is_next {
            builds.reverse();
        }
        let build = builds.into_iter().find(|build| matches!(build, Build::Built(..)))?;
        let Build::Built(edit, directory) = core::mem::replace(build, Build::Idle) else {
            unreachable!("V1: only what was built is published")
        };
        self.merge_is_next = matches!(edit, Edit::Flush(_));
        *build = Build::Publishing(directory);
        let plan = Plan {
            namespace: name.clone(),
            edit,
            wall,
            nonces: nonces.fork(),
            deadline: now + PUBLISH_TIME_MAX,
        };
        Some(Start::Publication(Box::new(plan), tag.clone(), head.clone()))
    }

    /// Finds the next merge, once for a generation.
    fn plan_merge(&mut self, settings: &Settings, view: &View) {
        let Some(snapshot) = view.snapshot().filter(|_| view.is_loaded()) else { return };
        let generation = Some((snapshot.head.incarnation, snapshot.live().manifest.generation));
        if self.next_merge.0 != generation {
            let next = match segments::next_merge(snapshot) {
                None if settings.compacts => segments::next_compaction(snapshot),
                next => next,
            };
            self.next_merge = (generation, next);
        }
    }

    /// The flush that is due.
    fn start_flush(
        &mut self,
        now: Timestamp,
        settings: &Settings,
        view: &View,
        nonces: &mut Nonces,
    ) -> Option<Start> {
        let snapshot = view.snapshot().filter(|_| view.is_loaded())?;
        let log = &snapshot.live().log;
        let old = self.unindexed_since.is_some_and(|since| since + settings.flush_after <= now);
        let old = old && !planted::is(Bug::SmallLogsAreLeft);
        let large = log.unindexed_bytes() >= settings.flush_bytes;
        let may = self.flush == Build::Idle && self.flushing.is_over(now) && !is_full(view);
        if !may || log.entries.is_empty() || !(old || large) {
            return None;
        }
        self.flush = Build::Building;
        let deadline = now + BUILD_TIME_MAX;
        Some(Start::Flush { snapshot: snapshot.clone(), nonces: nonces.fork(), deadline })
    }

    /// The merge that is due.
    fn start_merge(
        &mut self,
        now: Timestamp,
        wall: WallTime,
        settings: &Settings,
        view: &View,
        nonces: &mut Nonces,
    ) -> Option<Start> {
        let snapshot = view.snapshot().filter(|_| view.is_loaded())?;
        let may = self.merge == Build::Idle && self.merging.is_over(now);
        let segments = self.next_merge.1.clone().filter(|_| may)?;
        self.merge = Build::Building;
        let plan = MergePlan {
            snapshot: snapshot.clone(),
            segments,
            nonces: nonces.fork(),
            wall,
            idempotency_retention: settings.idempotency_retention,
            deadline: now + BUILD_TIME_MAX,
        };
        Some(Start::Merge(Box::new(plan)))
    }

    /// An operation that was begun here is over, and `last` is the last that has begun. What it found out about
    /// the namespace.
    pub(super) fn finished(
        &mut self,
        now: Timestamp,
        last: TaskId,
        output: Output,
    ) -> Option<(Held, Option<Arc<Directory>>)> {
        if matches!(output, Output::Flush(_) | Output::Merge(_) | Output::Publication(_)) {
            self.worked(now);
        }
        match output {
            Output::Flush(Ok(flushed)) => {
                self.flushing = Backoff::new(now);
                self.flush = Build::Built(Edit::Flush(flushed.edit), flushed.directory);
                None
            }
            Output::Merge(Ok(merged)) => {
                self.merging = Backoff::new(now);
                self.merge = Build::Built(Edit::Merge(merged.edit), merged.directory);
                None
            }
            Output::Flush(Err(error)) => {
                self.flush = Build::Idle;
                // What is damaged or gone will hardly be there in a moment. A store that does not answer
                // will, and meanwhile the log grows.
                match error {
                    ReadError::Damaged(_) | ReadError::Vanished { .. } => self.flushing.failed(now),
                    ReadError::Late => self.flushing.failed_urgently(now),
                }
                self.failed(now, last, &error);
                None
            }
            Output::Merge(Err(error)) => {
                self.merge = Build::Idle;
                self.merging.failed(now);
                self.failed(now, last, &error);
                None
            }
            Output::NoTurn if planted::is(Bug::NoTurnIsTheLast) => None,
            Output::NoTurn => {
                self.merge = Build::Idle;
                self.merging.until = self.merging.until.max(now + PAUSE);
                None
            }
            Output::Publication(outcome) => self.published(now, last, outcome),
            Output::Collect(collected) => {
                self.is_collecting = planted::is(Bug::CollectorRunsOnce)
                    || (collected.version.is_none() && planted::is(Bug::FailedCollectionIsTheLast));
                // What could not be deleted is not tried again at once, and if it is locked, not often.
                // Who was overtaken would be so again: the newest head is looked at first.
                if collected.version.is_none() {
                    self.look_after(last);
                }
                if collected.kept > 0 || collected.version.is_none() {
                    self.collecting.failed(now);
                } else {
                    self.collecting = Backoff::new(now);
                }
                let version = collected.version?;
                Some((Held { version: Some(version), snapshot: None }, None))
            }
            Output::Sweep(swept) => {
                self.sweeps.ended(now, swept.is_complete);
                swept.held.map(|held| (held, None))
            }
            Output::Refresh(_) | Output::Commit(_) | Output::Delete(_) | Output::Query(_) => {
                unreachable!("upkeep begins nothing of this kind: {output:?}")
            }
        }
    }

    fn published(
        &mut self,
        now: Timestamp,
        last: TaskId,
        outcome: Publicized,
    ) -> Option<(Held, Option<Arc<Directory>>)> {
        let build = [&mut self.flush, &mut self.merge]
            .into_iter()
            .find(|build| matches!(build, Build::Publishing(_)))
            .expect("V1: what was published is being published");
        let Build::Publishing(directory) = core::mem::replace(build, Build::Idle) else {
            unreachable!("V1: it was looked for by its state")
        };
        match outcome {
            Publicized::Landed(tag, head) => {
                self.publishing = Backoff::new(now);
                // What came in while the segment was built is as young as it can be known to be.
                self.unindexed_since = self.unindexed_since.map(|_| now);
                Some((Held { version: Some((tag, head)), snapshot: None }, directory))
            }
            _ if planted::is(Bug::TurnIsNotGivenBack) => {
                *build = Build::Publishing(directory);
                self.start_over(now, last);
                None
            }
            Publicized::Superseded => {
                self.publishing = Backoff::new(now);
                self.start_over(now, last);
                None
            }
            // What was built is built anew, and leaves orphans each time: the longer it goes on, the
            // less often.
            Publicized::Unknown | Publicized::Damaged(_) => {
                self.start_over(now, last);
                self.publishing.failed(now);
                self.resume_at = self.resume_at.max(self.publishing.until);
                None
            }
        }
    }

    /// Nothing was built. If an object is not there any more, then because the head has moved on.
    fn failed(&mut self, now: Timestamp, last: TaskId, error: &ReadError) {
        match error {
            ReadError::Vanished { .. } => self.start_over(now, last),
            ReadError::Late | ReadError::Damaged(_) => self.look(),
        }
    }

    /// What was done was in vain, for the head has moved on, or may have. It is looked at before anything else
    /// is built.
    fn start_over(&mut self, now: Timestamp, last: TaskId) {
        self.resume_at = self.resume_at.max(now + PAUSE);
        if !planted::is(Bug::StaleWorkGoesOn) {
            self.look_after(last);
            self.is_overtaken = true;
        }
    }
}

/// Whether there is no room for a segment. Merges make it; meanwhile the log grows until writers are
/// turned away.
fn is_full(view: &View) -> bool {
    let live = view.snapshot().map(|snapshot| snapshot.live());
    live.is_some_and(|live| live.manifest.segments.len() >= limits::SEGMENTS_MAX)
}
