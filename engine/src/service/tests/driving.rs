//! What a driver is told: what to begin, when to wake, who waits, and when a namespace may be forgotten.

use core::time::Duration;

use super::bench::*;

use crate::base::id::Cursor;
use crate::base::name::NamespaceName;
use crate::base::time::{Timestamp, WallTime};
use crate::namespace::request::{Consistency, QueryError, QueryRequest};
use crate::service::left::left;
use crate::service::namespace::{NamespaceService, Ticket, Word};
use crate::service::settings::Settings;
use crate::service::task::{Output, Start, TaskId};

fn with(settings: Settings) -> NamespaceService {
    NamespaceService::new(Timestamp(0), NamespaceName::parse("ns").unwrap(), settings)
}

impl Bench {
    fn due(&mut self, service: &mut NamespaceService) -> Vec<(TaskId, Start)> {
        self.seeds += 1;
        service.due(Timestamp(self.now), WallTime(self.now), self.seeds)
    }

    fn wakes(&self, service: &NamespaceService) -> Option<u64> {
        service.wake_at(Timestamp(self.now), WallTime(self.now)).map(|at| at.0)
    }

    /// Begins the only thing that is due and takes it to its output.
    fn only(&mut self, service: &mut NamespaceService) -> (TaskId, Output) {
        let [(id, start)]: [_; 1] = self.due(service).try_into().expect("one thing is due");
        (id, run(self, start))
    }

    fn end(&self, service: &mut NamespaceService, ended: (TaskId, Output)) -> Vec<(Ticket, Word)> {
        service.finished(Timestamp(self.now), ended.0, ended.1)
    }
}

#[test]
fn who_waits_and_what_runs_for_whom_is_told() {
    let (mut bench, mut service) = (Bench::default(), service());
    let now = Timestamp(0);
    assert!(service.is_idle() && service.is_settled());
    service.write(now, Ticket(1), upsert(1, 1), 100);
    service.write(now, Ticket(2), upsert(2, 2), 100);
    assert_eq!((service.waiting(), service.is_idle()), (2, false));
    let commit = bench.only(&mut service);
    assert_eq!((service.waiting(), service.is_idle()), (0, false), "it runs");
    assert_eq!(service.tickets(commit.0), [Ticket(1), Ticket(2)]);
    service.write(now, Ticket(3), upsert(3, 3), 100);
    service.delete(now, Ticket(4));
    service.query(now, Ticket(5), by_id(1));
    service.describe(now, Ticket(6));
    assert_eq!(service.waiting(), 4);
    let check = bench.only(&mut service);
    assert_eq!(
        service.tickets(check.0),
        [Ticket(5), Ticket(6)],
        "all else waits for the turn (V1)"
    );
    assert_eq!(service.waiting(), 2);
    let words = bench.end(&mut service, check);
    assert!(matches!(words[..], [(Ticket(6), Word::Described(Ok(_)))]), "{words:?}");
    assert_eq!(service.waiting(), 3, "the query has its version and waits to begin");
    let words = bench.end(&mut service, commit);
    assert_eq!(words.len(), 2);
    let starts = bench.due(&mut service);
    let [(query, Start::Query { .. }), (delete, Start::Delete { .. })] = &starts[..] else {
        panic!("{starts:?}")
    };
    assert_eq!(service.tickets(*query), [Ticket(5)]);
    assert_eq!(service.tickets(*delete), [Ticket(4)]);
    assert_eq!((service.tickets(TaskId(99)), service.waiting()), (vec![], 1));
}

#[test]
fn a_namespace_is_forgotten_only_when_its_log_is_indexed_and_its_trash_is_gone() {
    let (mut bench, mut service) = (Bench::default(), service());
    bench.write(&mut service, text(1, 1_500_000));
    bench.now += 700_000;
    bench.write(&mut service, upsert(2, 2));
    assert!(!service.is_settled() && !service.is_idle(), "there is a log");
    bench.wait(&mut service, 2_000);
    let live = service.head().unwrap().live().unwrap();
    assert!(live.log.entries.is_empty() && !live.trash.is_empty());
    assert!(service.is_settled());
    bench.wait(&mut service, 640_000 - 42_000);
    assert!(!service.is_idle(), "there is trash");
    for _ in 0..4 {
        bench.wait(&mut service, 700_000);
    }
    assert!(service.is_idle() && service.is_settled());
}

#[test]
fn what_is_held_is_what_is_not_indexed() {
    let (mut bench, mut indexer) = (Bench::default(), service());
    let mut service = with(Settings { indexes: false, ..Settings::default() });
    bench.write(&mut service, upsert(1, 1));
    assert_eq!(service.held_bytes(), 0, "a write needs the head alone");
    bench.lookup(&mut service, 1);
    let live = service.head().unwrap().live().unwrap();
    assert_eq!(service.held_bytes(), live.log.unindexed_bytes());
    assert!(service.held_bytes() > 10);
    indexer.look();
    bench.settle(&mut indexer);
    bench.wait(&mut indexer, 2_000);
    bench.lookup(&mut service, 1);
    assert_eq!(service.held_bytes(), 0);
}

#[test]
fn who_is_asked_to_look_looks_at_once() {
    let (mut bench, mut writer, mut other) = (Bench::default(), service(), service());
    bench.write(&mut writer, upsert(1, 1));
    assert!(bench.due(&mut other).is_empty());
    other.look();
    assert!(!other.is_idle() && !other.is_settled());
    let look = bench.only(&mut other);
    bench.end(&mut other, look);
    assert!(other.head().is_some());
}

#[test]
fn a_commit_waits_until_the_last_is_long_enough_ago_and_wakes_its_driver_then() {
    let mut bench = Bench::default();
    let commit_interval_min = Duration::from_secs(3);
    let mut service = with(Settings { commit_interval_min, indexes: false, ..Settings::default() });
    bench.write(&mut service, upsert(1, 1));
    assert_eq!(bench.wakes(&service), None, "nobody waits");
    bench.now += 1_000;
    service.write(Timestamp(bench.now), Ticket(1), upsert(2, 2), 100);
    assert!(bench.due(&mut service).is_empty());
    assert_eq!(bench.wakes(&service), Some(3_000));
    bench.now = 2_999;
    assert!(bench.due(&mut service).is_empty());
    bench.now = 3_000;
    let commit = bench.only(&mut service);
    service.write(Timestamp(bench.now), Ticket(2), upsert(3, 3), 100);
    assert_eq!(bench.wakes(&service), None, "the end of what has the turn wakes it");
    bench.end(&mut service, commit);
    assert_eq!(bench.wakes(&service), Some(6_000));
}

#[test]
fn while_a_segment_is_published_no_commit_and_no_deletion_begins() {
    let (mut bench, mut service) = (Bench::default(), service());
    bench.write(&mut service, upsert(1, 1));
    bench.now += 2_000;
    let flush = bench.only(&mut service);
    bench.end(&mut service, flush);
    let publication = bench.only(&mut service);
    assert!(matches!(publication.1, Output::Publication(_)), "{publication:?}");
    service.write(Timestamp(bench.now), Ticket(1), upsert(2, 2), 100);
    service.delete(Timestamp(bench.now), Ticket(2));
    assert!(bench.due(&mut service).is_empty(), "V1");
    bench.end(&mut service, publication);
    let deletion = bench.only(&mut service);
    assert!(matches!(deletion.1, Output::Delete(_)), "{deletion:?}");
}

#[test]
fn an_eventual_query_is_content_with_what_was_checked_a_while_ago() {
    let mut bench = Bench::default();
    let mut service = with(Settings { indexes: false, ..Settings::default() });
    bench.write(&mut service, upsert(1, 1));
    bench.lookup(&mut service, 1);
    let mut asks = |service: &mut NamespaceService, at: u64| {
        bench.now = at;
        let consistency = Consistency::Eventual(Duration::from_mins(1));
        let query = QueryRequest { consistency, ..by_id(1) };
        bench.look();
        service.query(Timestamp(at), Ticket(2), query);
        assert!(matches!(bench.settle(service)[&Ticket(2)], Word::Answered(Ok(_))));
        bench.look().1.len()
    };
    assert_eq!(asks(&mut service, 60_000), 0);
    assert_eq!(asks(&mut service, 60_001), 1, "it was checked a moment too long ago");
    assert_eq!(asks(&mut service, 120_001), 0);
}

#[test]
fn a_head_says_what_is_left_to_be_done() {
    let (mut bench, mut service) = (Bench::default(), service());
    let settings = Settings::default();
    let left = |service: &NamespaceService, wall: u64| {
        left(service.head().unwrap(), WallTime(wall), &settings)
    };
    bench.write(&mut service, text(1, 1_500_000));
    let log = left(&service, bench.now).expect("a log");
    assert_eq!((log.indexed, log.trash), (Cursor(0), 0));
    bench.wait(&mut service, 2_000);
    assert_eq!(left(&service, bench.now), None, "its trash is not due");
    let at = service.head().unwrap().live().unwrap().trash[0].at.0;
    let retention = settings.trash_retention.as_millis() as u64;
    assert_eq!(left(&service, at + retention - 1), None);
    let trash = left(&service, at + retention).expect("trash that is due");
    assert_eq!((trash.indexed, trash.trash), (Cursor(1), 1));
    assert!(log.generation < trash.generation && log.incarnation == trash.incarnation);
    service.delete(Timestamp(bench.now), Ticket(1));
    bench.settle(&mut service);
    assert_eq!(left(&service, at + retention), None, "the dead have nothing left to do");
}

#[test]
fn who_has_written_owes_a_sweep_though_others_have_indexed_it() {
    let (mut bench, mut writer, mut indexer) = (Bench::default(), service(), service());
    let slow = Settings { flush_after: Duration::from_hours(1), ..Settings::default() };
    let mut other = with(slow);
    bench.write(&mut other, upsert(1, 1));
    bench.write(&mut writer, upsert(2, 2));
    indexer.look();
    bench.settle(&mut indexer);
    bench.wait(&mut indexer, 2_000);
    other.look();
    bench.settle(&mut other);
    assert!(other.head().unwrap().live().unwrap().log.entries.is_empty());
    assert!(!other.is_idle(), "it owes a sweep");
    bench.wait(&mut other, 640_000);
    assert!(other.is_idle());
}

#[test]
fn what_was_spilled_is_known_until_it_is_named() {
    let (mut bench, mut service) = (Bench::default(), service());
    let spilled = |bench: &mut Bench, service: &mut NamespaceService| {
        service.write(Timestamp(bench.now), Ticket(1), upsert(7, 7), 100);
        let starts = bench.due(service).into_iter();
        let mut found = None;
        for (id, start) in starts {
            if let Start::Commit(plan, _) = &start {
                found = Some(plan.spilled.len());
            }
            let output = run(bench, start);
            service.finished(Timestamp(bench.now), id, output);
        }
        found.expect("a commit")
    };
    bench.write(&mut service, upsert(1, 1));
    bench.write(&mut service, text(2, 900_000));
    assert_eq!(spilled(&mut bench, &mut service), 2, "both that ride in the head");
    assert_eq!(spilled(&mut bench, &mut service), 0, "the commit before has named them");
}

#[test]
fn a_query_begins_anew_three_times_and_then_says_what_is_not_there() {
    let (mut bench, mut service) = (Bench::default(), service());
    bench.write(&mut service, upsert(1, 1));
    bench.wait(&mut service, 2_000);
    bench.objects.retain(|key, _| key.as_str().starts_with("heads/"));
    service.query(Timestamp(bench.now), Ticket(2), by_id(1));
    let mut queries = 0;
    let word = loop {
        let (mut words, starts) = (Vec::new(), bench.due(&mut service));
        for (id, start) in starts {
            queries += usize::from(matches!(start, Start::Query { .. }));
            let output = run(&mut bench, start);
            words.extend(service.finished(Timestamp(bench.now), id, output));
        }
        if let Some((_, word)) = words.pop() {
            break word;
        }
        assert!(queries < 10, "it is never answered");
    };
    assert!(matches!(word, Word::Answered(Err(QueryError::Vanished(_)))), "{word:?}");
    assert_eq!(queries, 4);
}
