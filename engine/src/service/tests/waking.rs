//! When a driver has to wake a service that does something unasked: at the moment at which there is
//! something to begin, and not before.

use std::sync::Arc;

use super::bench::*;

use crate::base::name::NamespaceName;
use crate::base::time::{Timestamp, WallTime};
use crate::base::value::Raw;
use crate::namespace::request::{Operator, Predicate, QueryRequest, WriteRequest};
use crate::service::cache::Keep;
use crate::service::namespace::{NamespaceService, Ticket};
use crate::service::settings::Settings;
use crate::service::task::{Output, Start, TaskId};

/// A service whose driver wakes it exactly when it asks for it.
struct Driven {
    bench: Bench,
    service: NamespaceService,
}

impl Driven {
    fn new() -> Self {
        Self::with(Settings::default())
    }

    fn with(settings: Settings) -> Self {
        let name = NamespaceName::parse("ns").unwrap();
        let service = NamespaceService::new(Timestamp(0), name, settings);
        Self { bench: Bench::default(), service }
    }

    /// As many segments as are merged.
    fn eight_segments() -> Self {
        let mut driven = Self::new();
        driven.first_write();
        driven.flush();
        for id in 1..8 {
            driven.write(id);
            driven.flush();
        }
        driven
    }

    /// A head may change every three seconds, and the first log was published after the commit, in that time.
    fn published_at_three_seconds() -> Self {
        let commit_interval_min = core::time::Duration::from_secs(3);
        let mut driven = Self::with(Settings { commit_interval_min, ..Settings::default() });
        driven.first_write();
        let flush = driven.sleeps_until(1_000);
        driven.end(flush, 0);
        let publication = driven.sleeps_until(3_000);
        assert!(matches!(publication.1, Start::Publication(..)), "{publication:?}");
        driven.end(publication, 0);
        driven
    }

    /// The head cannot be read back.
    fn spoil_head(&mut self) {
        let head = self.bench.objects.keys().find(|key| key.as_str().starts_with("heads/"));
        self.bench.rotten = head.cloned().into_iter().collect();
    }

    /// Writes, and loads what there is to index.
    fn first_write(&mut self) {
        self.write(0);
        let look = self.only();
        self.end(look, 0);
    }

    fn wakes(&self) -> Option<u64> {
        let now = self.bench.now;
        self.service.wake_at(Timestamp(now), WallTime(now)).map(|at| at.0)
    }

    fn due(&mut self) -> Vec<(TaskId, Start)> {
        self.bench.seeds += 1;
        let now = self.bench.now;
        self.service.due(Timestamp(now), WallTime(now), self.bench.seeds)
    }

    /// Sleeps until it is to be woken, which must be then and for one thing.
    fn sleeps_until(&mut self, at: u64) -> (TaskId, Start) {
        assert!(self.due().is_empty(), "something is left to begin");
        assert_eq!(self.wakes(), Some(at));
        self.bench.now = at - 1;
        assert!(self.due().is_empty(), "a moment before it there is nothing to do");
        self.bench.now = at;
        self.only()
    }

    /// The only thing to begin now.
    fn only(&mut self) -> (TaskId, Start) {
        let [only]: [_; 1] = self.due().try_into().expect("one thing is due");
        only
    }

    /// Takes something to its end, which takes so long.
    fn end(&mut self, (id, start): (TaskId, Start), time: u64) {
        let output = run(&mut self.bench, start);
        self.bench.now += time;
        self.service.finished(Timestamp(self.bench.now), id, output);
    }

    fn write(&mut self, id: u64) {
        let now = Timestamp(self.bench.now);
        self.service.write(now, Ticket(1), upsert(id, 1), 100);
        let commit = self.only();
        self.end(commit, 0);
    }

    /// Takes the log to a segment, until it is published.
    fn flush(&mut self) {
        let flush = self.sleeps_until(self.bench.now + 1_000);
        assert!(matches!(flush.1, Start::Flush { .. }), "{flush:?}");
        self.end(flush, 0);
        let publication = self.only();
        self.end(publication, 0);
    }
}

#[test]
fn a_log_its_trash_and_the_sweep_that_is_owed_have_their_moments() {
    let mut driven = Driven::new();
    driven.bench.write(&mut driven.service, text(1, 1_500_000));
    let flush = driven.sleeps_until(1_000);
    assert!(matches!(flush.1, Start::Flush { .. }), "{flush:?}");
    assert_eq!(driven.wakes(), Some(630_000), "while it is built, for the sweep alone");
    driven.end(flush, 500);
    let publication = driven.only();
    assert!(matches!(publication.1, Start::Publication(..)), "{publication:?}");
    assert_eq!(driven.wakes(), Some(631_500), "work was over at 1,500");
    driven.end(publication, 100);
    let collection = driven.sleeps_until(601_500);
    assert!(matches!(collection.1, Start::Collect(..)), "{collection:?}");
    assert_eq!(driven.wakes(), Some(631_600));
    driven.end(collection, 0);
    let sweep = driven.sleeps_until(631_600);
    assert!(matches!(sweep.1, Start::Sweep(_)), "{sweep:?}");
    assert_eq!(driven.wakes(), None, "its end wakes");
    driven.end(sweep, 0);
    assert!(driven.due().is_empty() && driven.service.is_idle());
    let sweep = driven.sleeps_until(631_600 + 3_600_000);
    assert!(matches!(sweep.1, Start::Sweep(_)), "{sweep:?}");
}

#[test]
fn a_merge_begins_at_once_and_after_a_failure_when_its_pause_is_over() {
    let mut driven = Driven::new();
    driven.write(0);
    // Who has only written has not loaded what it is to index.
    let look = driven.only();
    assert!(matches!(look.1, Start::Refresh { .. }), "{look:?}");
    assert_eq!(driven.wakes(), Some(630_000), "its end wakes");
    driven.end(look, 0);
    driven.flush();
    for id in 1..8 {
        driven.write(id);
        driven.flush();
    }
    let merge = driven.only();
    assert!(matches!(merge.1, Start::Merge(_)), "{merge:?}");
    let owed = driven.bench.now + 630_000;
    assert_eq!(driven.wakes(), Some(owed), "while it is built, for the sweep alone");
    let segments = driven.bench.objects.keys().filter(|key| key.as_str().ends_with(".segment"));
    driven.bench.rotten = segments.cloned().collect();
    driven.end(merge, 100);
    let failed = driven.bench.now;
    let look = driven.only();
    assert!(matches!(look.1, Start::Refresh { .. }), "{look:?}");
    assert_eq!(driven.wakes(), Some(failed + 400), "what is damaged may be whole again");
    driven.end(look, 0);
    let merge = driven.sleeps_until(failed + 400);
    assert!(matches!(merge.1, Start::Merge(_)), "{merge:?}");
    driven.bench.rotten.clear();
    driven.end(merge, 0);
    let publication = driven.only();
    driven.end(publication, 0);
    let merged = driven.bench.now;
    assert!(driven.due().is_empty());
    assert_eq!(driven.wakes(), Some(merged + 600_000), "its trash");
}

#[test]
fn a_look_that_met_damage_is_repeated_when_its_pause_is_over() {
    let mut driven = Driven::new();
    let mut other = service();
    driven.bench.write(&mut other, text(1, 1_500_000));
    let staged = driven.bench.objects.keys().find(|key| key.as_str().starts_with("data/")).cloned();
    driven.bench.rotten = staged.into_iter().collect();
    driven.service.look();
    let first = driven.only();
    driven.end(first, 0);
    assert!(driven.service.head().is_some(), "it could not load it, and knows that it is there");
    for pause in [400, 800, 1_600] {
        driven.service.look();
        assert!(driven.due().is_empty());
        let look = driven.sleeps_until(driven.bench.now + pause);
        assert!(matches!(look.1, Start::Refresh { .. }), "{look:?}");
        assert_eq!(driven.wakes(), None, "its end wakes");
        driven.end(look, 0);
    }
    driven.bench.rotten.clear();
    driven.service.look();
    let look = driven.sleeps_until(driven.bench.now + 3_200);
    let output = run(&mut driven.bench, look.1);
    assert!(matches!(output, Output::Refresh(Ok(_))), "{output:?}");
    driven.service.finished(Timestamp(driven.bench.now), look.0, output);
    assert!(driven.service.head().is_some());
}

#[test]
fn a_look_that_was_not_answered_has_its_moment_though_nothing_is_to_be_built() {
    let mut driven = Driven::new();
    driven.first_write();
    driven.flush();
    driven.bench.is_silent = true;
    driven.service.look();
    let look = driven.only();
    driven.end(look, 0);
    let look = driven.sleeps_until(driven.bench.now + 400);
    assert!(matches!(look.1, Start::Refresh { .. }), "{look:?}");
}

/// Who owes nothing and builds nothing has nothing to learn from a head that is damaged.
#[test]
fn a_look_at_a_damaged_head_is_not_repeated_where_nothing_rests_on_it() {
    let mut driven = Driven::new();
    driven.service = driven.bench.idle_after_its_sweep();
    let sweep = driven.wakes();
    driven.spoil_head();
    driven.service.look();
    let look = driven.only();
    driven.end(look, 0);
    assert!(driven.due().is_empty());
    assert_eq!(driven.wakes(), sweep, "as before");
}

/// Upkeep reads everything once. Were that kept, it would push out what queries read often.
#[test]
fn what_upkeep_reads_is_not_kept_and_what_clients_wait_for_is() {
    let mut driven = Driven::eight_segments();
    let keeps = |driven: &mut Driven, (id, start): (TaskId, Start)| {
        let kind = format!("{start:?}").split([' ', '(']).next().unwrap_or_default().to_owned();
        let keep = Keep::of(&start);
        driven.end((id, start), 0);
        (kind, keep)
    };
    let mut seen = Vec::new();
    driven.service.query(Timestamp(driven.bench.now), Ticket(2), by_id(1));
    driven.service.write(Timestamp(driven.bench.now), Ticket(3), upsert(9, 1), 100);
    while driven.bench.now < 4_000_000 {
        for due in driven.due() {
            seen.push(keeps(&mut driven, due));
        }
        driven.bench.now = driven.wakes().unwrap_or(u64::MAX).max(driven.bench.now + 1);
    }
    seen.sort_unstable();
    seen.dedup();
    let expected = [
        ("Collect", Keep::No),
        ("Commit", Keep::Yes),
        ("Flush", Keep::No),
        ("Merge", Keep::No),
        ("Publication", Keep::No),
        ("Query", Keep::Yes),
        ("Refresh", Keep::Yes),
        ("Sweep", Keep::No),
    ];
    assert_eq!(seen, expected.map(|(kind, keep)| (kind.to_owned(), keep)));
}

/// A check of the head brought back what was dropped while it was under way.
#[test]
fn what_is_dropped_does_not_come_back_with_what_was_under_way() {
    let condition = Predicate::Compare {
        attribute: "a".into(),
        operator: Operator::Eq,
        operand: Raw::Integer(99),
    };
    // A commit that looks at the newest version and changes nothing has read that, as a check has.
    let changes_nothing = WriteRequest { upsert_condition: Some(condition), ..upsert(0, 2) };
    for is_check in [true, false] {
        let mut driven = Driven::new();
        driven.first_write();
        driven.flush();
        let now = Timestamp(driven.bench.now);
        if is_check {
            driven.service.query(now, Ticket(2), by_id(1));
        } else {
            driven.service.write(now, Ticket(2), changes_nothing.clone(), 100);
        }
        let under_way = driven.only();
        assert!(driven.service.loaded().is_some());
        driven.service.purge();
        driven.end(under_way, 0);
        assert!(driven.service.loaded().is_none(), "{is_check}");
        for due in driven.due() {
            driven.end(due, 0);
        }
        driven.service.query(Timestamp(driven.bench.now), Ticket(3), by_id(1));
        let check = driven.only();
        driven.end(check, 0);
        assert!(driven.service.loaded().is_some());
    }
}

#[test]
fn of_what_was_dropped_nothing_stays_where_nobody_indexes() {
    let mut driven = Driven::with(Settings { indexes: false, ..Settings::default() });
    driven.write(0);
    let asks = |driven: &mut Driven| {
        driven.service.query(Timestamp(driven.bench.now), Ticket(2), by_id(0));
        driven.only()
    };
    let check = asks(&mut driven);
    driven.end(check, 0);
    let query = driven.only();
    driven.end(query, 0);
    let held = Arc::downgrade(driven.service.loaded().expect("it was loaded for a query"));
    let check = asks(&mut driven);
    driven.service.purge();
    driven.end(check, 0);
    let query = driven.only();
    driven.end(query, 0);
    assert!(held.upgrade().is_none());
}

#[test]
fn a_query_tells_nothing_of_what_was_dropped_meanwhile() {
    for is_dropped in [false, true] {
        let mut driven = Driven::new();
        driven.first_write();
        driven.flush();
        driven.write(0);
        let checks = |driven: &mut Driven| {
            let all = QueryRequest { filter: None, ..by_id(0) };
            driven.service.query(Timestamp(driven.bench.now), Ticket(2), all);
            let check = driven.only();
            driven.end(check, 0);
            driven.only()
        };
        let (id, query) = checks(&mut driven);
        if is_dropped {
            driven.service.purge();
        }
        checks(&mut driven);
        let before = driven.service.loaded().cloned().expect("it was loaded for a query");
        let output = run(&mut driven.bench, query);
        assert!(matches!(&output, Output::Query(Ok(answer)) if answer.learned.is_some()));
        driven.service.finished(Timestamp(driven.bench.now), id, output);
        let after = driven.service.loaded().expect("it stays");
        assert_eq!(Arc::ptr_eq(&before, after), is_dropped);
    }
}

/// Whatever was loaded was dropped before it could be built from.
#[test]
fn where_everything_is_dropped_again_and_again_the_log_is_flushed_all_the_same() {
    let mut driven = Driven::new();
    driven.write(0);
    let mut is_flushed = false;
    while !is_flushed {
        let due = driven.due();
        driven.service.purge();
        assert!(driven.service.loaded().is_none());
        for due in due {
            is_flushed |= matches!(due.1, Start::Flush { .. });
            driven.end(due, 200);
        }
        assert!(driven.bench.now < 2_000, "nothing is built");
    }
    let publication = driven.only();
    driven.end(publication, 0);
    assert!(driven.service.head().unwrap().live().unwrap().log.entries.is_empty());
}

#[test]
fn who_was_overtaken_looks_and_waits_a_moment_before_it_builds_anew() {
    let mut driven = Driven::with(Settings { flush_bytes: 1, ..Settings::default() });
    driven.write(1);
    let look = driven.only();
    driven.end(look, 0);
    let flush = driven.only();
    driven.end(flush, 0);
    let mut other = service();
    other.look();
    driven.bench.settle(&mut other);
    driven.bench.wait(&mut other, 2_000);
    driven.bench.write(&mut other, upsert(2, 2));
    let publication = driven.only();
    driven.end(publication, 0);
    let overtaken = driven.bench.now;
    let look = driven.only();
    assert!(matches!(look.1, Start::Refresh { .. }), "{look:?}");
    driven.bench.now = overtaken + 190;
    assert!(driven.due().is_empty());
    driven.end(look, 9);
    assert!(driven.due().is_empty(), "there is a log, and it is large enough");
    driven.bench.now = overtaken + 200;
    let flush = driven.only();
    assert!(matches!(flush.1, Start::Flush { .. }), "{flush:?}");
    // Again, and this time the look takes long.
    driven.bench.wait(&mut other, 2_000);
    driven.bench.write(&mut other, upsert(3, 3));
    driven.end(flush, 0);
    let publication = driven.only();
    driven.end(publication, 0);
    let look = driven.only();
    driven.bench.now += 5_000;
    assert!(driven.due().is_empty());
    assert_eq!(driven.wakes(), None, "its end wakes");
    driven.end(look, 0);
    assert!(matches!(driven.only().1, Start::Flush { .. }));
}

#[test]
fn a_segment_is_published_when_no_commit_runs() {
    let mut driven = Driven::new();
    driven.write(1);
    let look = driven.only();
    driven.end(look, 0);
    let flush = driven.sleeps_until(1_000);
    driven.service.write(Timestamp(driven.bench.now), Ticket(2), upsert(2, 2), 100);
    let commit = driven.only();
    driven.end(flush, 0);
    assert!(driven.due().is_empty(), "V1");
    driven.end(commit, 0);
    assert!(matches!(driven.only().1, Start::Publication(..)));
}

#[test]
fn who_compacts_merges_two_segments_and_nobody_else() {
    for compacts in [false, true] {
        let mut driven = Driven::with(Settings { compacts, ..Settings::default() });
        driven.write(1);
        let look = driven.only();
        driven.end(look, 0);
        driven.flush();
        driven.write(2);
        driven.flush();
        let next = driven.due();
        let merges = next.iter().filter(|(_, start)| matches!(start, Start::Merge(_))).count();
        assert_eq!((next.len(), merges), (usize::from(compacts), usize::from(compacts)));
    }
}

#[test]
fn trash_has_its_moment_though_other_trash_has_just_been_collected() {
    let mut driven = Driven::with(Settings { flush_bytes: 1, ..Settings::default() });
    for (id, at) in [(1, 0), (2, 100)] {
        driven.bench.now = at;
        driven.bench.write(&mut driven.service, text(id, 1_500_000));
    }
    for at in [600_000, 600_100] {
        let collection = driven.sleeps_until(at);
        assert!(matches!(collection.1, Start::Collect(..)), "{collection:?}");
        driven.end(collection, 0);
    }
    assert!(driven.service.head().unwrap().live().unwrap().trash.is_empty());
}

#[test]
fn a_collection_that_was_overtaken_looks_before_it_is_begun_anew() {
    let mut driven = Driven::with(Settings { flush_bytes: 1, ..Settings::default() });
    driven.bench.write(&mut driven.service, text(1, 1_500_000));
    let collection = driven.sleeps_until(600_000);
    let mut other = service();
    driven.bench.write(&mut other, upsert(2, 2));
    driven.end(collection, 0);
    let look = driven.only();
    assert!(matches!(look.1, Start::Refresh { .. }), "{look:?}");
}

#[test]
fn a_collection_that_learns_nothing_has_a_look_at_once() {
    let mut driven = Driven::new();
    driven.bench.write(&mut driven.service, text(1, 1_500_000));
    let flush = driven.sleeps_until(1_000);
    driven.end(flush, 0);
    let publication = driven.only();
    driven.end(publication, 0);
    let collection = driven.sleeps_until(601_000);
    assert!(matches!(collection.1, Start::Collect(..)), "{collection:?}");
    driven.bench.write(&mut service(), upsert(2, 2));
    driven.spoil_head();
    driven.end(collection, 0);
    let look = driven.only();
    assert!(matches!(look.1, Start::Refresh { .. }), "{look:?}");
}

#[test]
fn a_publication_and_a_commit_are_as_far_apart_as_two_commits() {
    let mut driven = Driven::published_at_three_seconds();
    driven.service.write(Timestamp(driven.bench.now), Ticket(2), upsert(2, 2), 100);
    let commit = driven.sleeps_until(6_000);
    assert!(matches!(commit.1, Start::Commit(..)), "{commit:?}");
}

#[test]
fn a_merge_that_had_no_turn_asks_for_one_again_and_owes_nothing() {
    let mut driven = Driven::eight_segments();
    let (id, merge) = driven.only();
    assert!(matches!(merge, Start::Merge(_)), "{merge:?}");
    let sweep = driven.wakes();
    driven.bench.now += 60_000;
    assert_eq!(driven.wakes(), sweep);
    let now = driven.bench.now;
    assert_eq!(driven.service.finished(Timestamp(now), id, Output::NoTurn), []);
    let merge = driven.sleeps_until(now + 200);
    assert!(matches!(merge.1, Start::Merge(_)), "{merge:?}");
    assert_eq!(driven.wakes(), sweep, "nothing was done that leaves anything");
}

/// It forgot how often it had failed, and began again with the shortest pause.
#[test]
fn a_merge_that_failed_and_then_had_no_turn_has_failed_all_the_same() {
    let mut driven = Driven::eight_segments();
    let segments = driven.bench.objects.keys().filter(|key| key.as_str().ends_with(".segment"));
    driven.bench.rotten = segments.cloned().collect();
    let merge = driven.only();
    driven.end(merge, 0);
    let look = driven.only();
    driven.end(look, 0);
    let (id, _) = driven.sleeps_until(driven.bench.now + 400);
    let now = driven.bench.now;
    assert_eq!(driven.service.finished(Timestamp(now), id, Output::NoTurn), []);
    let merge = driven.sleeps_until(now + 200);
    driven.end(merge, 0);
    let look = driven.only();
    driven.end(look, 0);
    let merge = driven.sleeps_until(now + 200 + 800);
    assert!(matches!(merge.1, Start::Merge(_)), "{merge:?}");
}

/// It had asked before the head changed, and was taken for one who had looked after it.
#[test]
fn who_was_overtaken_looks_anew_though_a_look_was_under_way() {
    for begins_last in [false, true] {
        let mut driven = Driven::new();
        driven.write(1);
        let look = driven.only();
        driven.end(look, 0);
        let flush = driven.sleeps_until(1_000);
        let ask = |driven: &mut Driven| {
            driven.service.query(Timestamp(driven.bench.now), Ticket(2), by_id(1));
            let (id, early) = driven.only();
            assert!(matches!(early, Start::Refresh { .. }), "{early:?}");
            (id, run(&mut driven.bench, early))
        };
        let before = (!begins_last).then(|| ask(&mut driven));
        driven.end(flush, 0);
        let publication = driven.only();
        assert!(matches!(publication.1, Start::Publication(..)), "{publication:?}");
        let (id, output) = before.unwrap_or_else(|| ask(&mut driven));
        let mut other = service();
        driven.bench.write(&mut other, upsert(2, 2));
        driven.bench.wait(&mut other, 2_000);
        driven.end(publication, 1);
        driven.service.finished(Timestamp(driven.bench.now), id, output);
        let next = driven.due();
        let looks = next.iter().filter(|(_, start)| matches!(start, Start::Refresh { .. })).count();
        let builds = next.iter().any(|(_, start)| matches!(start, Start::Flush { .. }));
        assert!(looks == 1 && !builds, "{next:?}");
    }
}

/// Where the head may change every three seconds, a flush a second took every turn.
#[test]
fn a_commit_that_waits_comes_after_a_publication_and_a_merge_after_a_flush() {
    let mut driven = Driven::published_at_three_seconds();
    // Others write, so there is more to index; and somebody waits to write here.
    let indexes = Settings { indexes: false, ..Settings::default() };
    let name = NamespaceName::parse("ns").unwrap();
    let mut writer = NamespaceService::new(Timestamp(0), name, indexes);
    driven.bench.write(&mut writer, upsert(2, 2));
    driven.service.look();
    let look = driven.only();
    driven.end(look, 0);
    driven.service.write(Timestamp(driven.bench.now), Ticket(2), upsert(3, 3), 100);
    let flush = driven.sleeps_until(4_000);
    driven.end(flush, 0);
    let commit = driven.sleeps_until(6_000);
    assert!(matches!(commit.1, Start::Commit(..)), "{commit:?}");
    driven.end(commit, 0);
    driven.service.write(Timestamp(driven.bench.now), Ticket(3), upsert(4, 4), 100);
    let publication = driven.sleeps_until(9_000);
    assert!(matches!(publication.1, Start::Publication(..)), "{publication:?}");
}
