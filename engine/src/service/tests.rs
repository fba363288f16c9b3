//! A service with a store that never fails: what it asks, and what it tells.

use std::collections::BTreeMap;

use super::namespace::{NamespaceService, Settings, Ticket, Word};
use super::task::Task;
use crate::base::blob::Blob;
use crate::base::name::{AttributeName, Key, NamespaceName};
use crate::base::time::{Timestamp, WallTime};
use crate::base::value::{Raw, Scalar, Value};
use crate::machine::request::{Listed, Reply, Request, Tag, When};
use crate::machine::{Machine, Step};
use crate::namespace::request::{
    ByFilter, Consistency, Found, Idempotency, Include, Operator, Predicate, QueryRequest, Rank,
    RawDocument, Want, WriteError, WriteOutcome, WriteRequest,
};

/// A bucket and the time.
#[derive(Default)]
struct Bench {
    objects: BTreeMap<Key, (u64, Blob)>,
    versions: u64,
    now: u64,
    seeds: u128,
    /// What was asked since somebody looked.
    asked: Vec<Request>,
    rounds: usize,
}

impl Bench {
    fn perform(&mut self, request: Request) -> Reply {
        self.asked.push(request.clone());
        let tag = |version: u64| Tag::new(version.to_string());
        match request {
            Request::Get { key, range, unless } => match self.objects.get(&key) {
                None => Reply::Missing,
                Some((version, _)) if unless == Some(tag(*version)) => Reply::NotModified,
                Some((version, body)) => {
                    let end = body.len();
                    let range =
                        range.map_or(0..end, |r| r.start as usize..(r.end as usize).min(end));
                    let body = body.slice(range.start.min(range.end), range.end).unwrap();
                    Reply::Found { tag: tag(*version), body }
                }
            },
            Request::Put { key, body, when } => {
                let found = self.objects.get(&key).map(|(version, _)| tag(*version));
                let wanted = match when {
                    When::Absent | When::Fresh => None,
                    When::Matches(tag) => Some(tag),
                };
                if found != wanted {
                    return Reply::Refused;
                }
                self.versions += 1;
                self.objects.insert(key, (self.versions, body));
                Reply::Stored { tag: tag(self.versions) }
            }
            Request::Delete { key } => {
                self.objects.remove(&key);
                Reply::Deleted
            }
            Request::List { prefix, after, .. } => {
                let named = self.objects.iter().filter(|(key, _)| {
                    key.as_str().starts_with(prefix.as_str()) && after.as_ref() < Some(key)
                });
                let listed = |(key, (_, body)): (&Key, &(u64, Blob))| Listed {
                    key: key.clone(),
                    bytes: body.len() as u64,
                };
                Reply::Listed { objects: named.map(listed).collect(), more: false }
            }
        }
    }

    /// Runs everything that is due, one operation after the other, until nothing is.
    fn settle(&mut self, service: &mut NamespaceService) -> BTreeMap<Ticket, Word> {
        let mut words = BTreeMap::new();
        loop {
            self.seeds += 1;
            let wall = WallTime(self.now);
            let starts = service.due(Timestamp(self.now), wall, self.seeds);
            if starts.is_empty() {
                return words;
            }
            for (id, start) in starts {
                let mut step: Step<Task> = start.begin(Timestamp(self.now));
                let output = loop {
                    match step {
                        Step::Done(output) => break output,
                        Step::Wait(task, round) => {
                            if round.requests.is_empty() {
                                self.now = self.now.max(round.until.0);
                            }
                            self.rounds += 1;
                            let replies = round.requests.into_iter();
                            let replies = replies.map(|r| self.perform(r)).collect();
                            step = task.step(Timestamp(self.now), replies);
                        }
                    }
                };
                words.extend(service.finished(Timestamp(self.now), id, output));
            }
        }
    }

    /// How many rounds there were, and what was asked, since the last look.
    fn look(&mut self) -> (usize, Vec<Request>) {
        (core::mem::take(&mut self.rounds), core::mem::take(&mut self.asked))
    }

    fn write(&mut self, service: &mut NamespaceService, request: WriteRequest) -> Word {
        service.write(Timestamp(self.now), Ticket(1), request, 100);
        self.settle(service).remove(&Ticket(1)).unwrap()
    }

    fn lookup(&mut self, service: &mut NamespaceService, id: u64) -> Option<i64> {
        service.query(Timestamp(self.now), Ticket(2), by_id(id));
        match self.settle(service).remove(&Ticket(2)) {
            Some(Word::Answered(Ok(answer))) => match answer.found {
                Found::Rows(rows) => rows.first().map(|row| match &row.attributes[0].1 {
                    Value::Scalar(Scalar::Int(n)) => *n,
                    other => panic!("{other:?}"),
                }),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    fn wait(&mut self, service: &mut NamespaceService, milliseconds: u64) {
        self.now += milliseconds;
        self.settle(service);
    }
}

fn by_id(id: u64) -> QueryRequest {
    QueryRequest {
        filter: Some(Predicate::Compare {
            attribute: "id".into(),
            operator: Operator::Eq,
            operand: Raw::Integer(id.into()),
        }),
        want: Want::rows(Rank::By(vec![]), 1, Include::All),
        consistency: Consistency::Strong,
    }
}

fn service() -> NamespaceService {
    let name = NamespaceName::parse("ns").unwrap();
    NamespaceService::new(Timestamp(0), name, Settings::default())
}

fn document(id: u64, a: i128) -> RawDocument {
    let name = AttributeName::parse("a").unwrap();
    RawDocument { id: Raw::Integer(id.into()), attributes: vec![(name, Raw::Integer(a))] }
}

fn upsert(id: u64, a: i128) -> WriteRequest {
    WriteRequest { upserts: Some(vec![document(id, a)]), ..WriteRequest::default() }
}

fn patch(id: u64, a: i128) -> WriteRequest {
    WriteRequest { patches: Some(vec![document(id, a)]), ..WriteRequest::default() }
}

fn text(id: u64, bytes: usize) -> WriteRequest {
    let name = AttributeName::parse("text").unwrap();
    // 4 KiB is the most a filterable value may have.
    let chunk = Raw::Text("x".repeat(4_000).into());
    let attributes = vec![(name, Raw::List(vec![chunk; bytes / 4_000]))];
    let upserts = Some(vec![RawDocument { id: Raw::Integer(id.into()), attributes }]);
    WriteRequest { upserts, ..WriteRequest::default() }
}

#[test]
fn a_write_on_an_idle_namespace_is_one_put_and_nothing_else() {
    let (mut bench, mut service) = (Bench::default(), service());
    assert!(matches!(bench.write(&mut service, upsert(1, 1)), Word::Written(Ok(_))));
    bench.look();
    assert!(matches!(bench.write(&mut service, upsert(2, 2)), Word::Written(Ok(_))));
    let (rounds, asked) = bench.look();
    assert_eq!(rounds, 1);
    assert!(matches!(asked[..], [Request::Put { when: When::Matches(_), .. }]), "{asked:?}");
}

#[test]
fn a_batch_of_six_megabytes_is_staged_and_then_named() {
    let (mut bench, mut service) = (Bench::default(), service());
    bench.write(&mut service, upsert(1, 1));
    bench.look();
    assert!(matches!(bench.write(&mut service, text(2, 6_000_000)), Word::Written(Ok(_))));
    let (rounds, asked) = bench.look();
    assert_eq!((rounds, asked.len()), (2, 2));
    assert!(matches!(&asked[0], Request::Put { when: When::Fresh, .. }));
    assert!(matches!(&asked[1], Request::Put { when: When::Matches(_), .. }));
}

#[test]
fn a_large_inline_batch_is_spilled_beside_its_commit_and_named_by_the_next() {
    let (mut bench, mut service) = (Bench::default(), service());
    bench.write(&mut service, upsert(1, 1));
    bench.look();
    bench.write(&mut service, text(2, 500_000));
    let (rounds, asked) = bench.look();
    assert_eq!((rounds, asked.len()), (1, 2), "the object goes out in the round of the head");
    bench.write(&mut service, upsert(3, 3));
    let (rounds, asked) = bench.look();
    assert_eq!((rounds, asked.len()), (1, 1));
    let Request::Put { body, .. } = &asked[0] else { panic!("{asked:?}") };
    assert!(body.len() < 10_000, "the head has shrunk again, to {} bytes", body.len());
}

#[test]
fn a_strong_read_of_an_unchanged_namespace_asks_once() {
    let (mut bench, mut service) = (Bench::default(), service());
    bench.write(&mut service, upsert(1, 10));
    assert_eq!(bench.lookup(&mut service, 1), Some(10));
    bench.look();
    assert_eq!(bench.lookup(&mut service, 1), Some(10));
    let (rounds, asked) = bench.look();
    assert_eq!(rounds, 1);
    assert!(matches!(&asked[..], [Request::Get { unless: Some(_), .. }]), "{asked:?}");
}

#[test]
fn documents_survive_flush_patch_delete_and_a_node_that_knows_nothing() {
    let (mut bench, mut first) = (Bench::default(), service());
    for (id, a) in [(1, 10), (2, 20), (3, 30)] {
        bench.write(&mut first, upsert(id, a));
    }
    bench.wait(&mut first, 2_000);
    let live = |service: &NamespaceService| service.head().unwrap().live().unwrap().clone();
    assert!(live(&first).log.entries.is_empty(), "the log was flushed");
    assert_eq!(live(&first).manifest.live_rows, 3);
    let patched = bench.write(&mut first, patch(2, 21));
    assert!(matches!(patched, Word::Written(Ok(outcome)) if outcome.patched == Some(1)));
    let missed = bench.write(&mut first, patch(9, 1));
    assert!(matches!(missed, Word::Written(Ok(outcome)) if outcome.patched == Some(0)));
    let delete = WriteRequest { deletes: Some(vec![Raw::Integer(3)]), ..WriteRequest::default() };
    bench.write(&mut first, delete);
    for wait in [0, 2_000] {
        bench.wait(&mut first, wait);
        let mut second = service();
        let found: Vec<_> = (1..=3).map(|id| bench.lookup(&mut second, id)).collect();
        assert_eq!(found, [Some(10), Some(21), None]);
    }
    assert_eq!(live(&first).manifest.live_rows, 2);
}

#[test]
fn a_cold_lookup_takes_at_most_four_rounds() {
    let (mut bench, mut writer) = (Bench::default(), service());
    for id in 0..20 {
        bench.write(&mut writer, upsert(id, 1));
        bench.wait(&mut writer, 2_000);
    }
    bench.write(&mut writer, text(99, 2_000_000));
    bench.look();
    let settings = Settings { indexes: false, ..Settings::default() };
    let name = NamespaceName::parse("ns").unwrap();
    let mut cold = NamespaceService::new(Timestamp(bench.now), name, settings);
    assert_eq!(bench.lookup(&mut cold, 7), Some(1));
    let (rounds, _) = bench.look();
    assert!(rounds <= 4, "{rounds} rounds");
}

#[test]
fn an_idempotent_write_is_applied_once_though_a_flush_came_between() {
    let (mut bench, mut service) = (Bench::default(), service());
    let keyed = |a, fingerprint| WriteRequest {
        idempotency: Some(Idempotency { key: "k".into(), fingerprint }),
        ..upsert(1, a)
    };
    let first = bench.write(&mut service, keyed(1, 7));
    bench.write(&mut service, upsert(1, 2));
    bench.wait(&mut service, 2_000);
    assert_eq!(bench.write(&mut service, keyed(1, 7)), first);
    assert_eq!(bench.lookup(&mut service, 1), Some(2));
    let reused = bench.write(&mut service, keyed(3, 8));
    assert_eq!(reused, Word::Written(Err(WriteError::KeyReused)));
}

#[test]
fn what_is_unlinked_is_deleted_after_its_retention_and_nothing_else() {
    let (mut bench, mut service) = (Bench::default(), service());
    bench.write(&mut service, upsert(0, 0));
    for id in 1..40 {
        bench.write(&mut service, text(id, 1_500_000));
        bench.wait(&mut service, 2_000);
    }
    bench.wait(&mut service, 700_000);
    bench.wait(&mut service, 2_000);
    let head = service.head().unwrap();
    assert!(head.live().unwrap().trash.is_empty());
    let named = head.names().len();
    assert_eq!(bench.objects.len(), named + 1, "every object is the head or named by it");
    assert_eq!(bench.lookup(&mut service, 0), Some(0));
}

/// A put that created the namespace was lost, its writer was told that nobody knows, and it landed a
/// minute later. No node looked again, so the write stayed in the log until somebody asked.
#[test]
fn a_namespace_that_began_unseen_is_found_and_indexed() {
    let mut bench = Bench::default();
    let (mut writer, mut other) = (service(), service());
    other.look();
    bench.settle(&mut other);
    assert!(other.head().is_none());
    bench.write(&mut writer, upsert(1, 10));
    let wake = other.wake_at(Timestamp(bench.now), WallTime(bench.now)).expect("it looks again");
    bench.wait(&mut other, wake.0 - bench.now);
    assert!(other.head().is_some());
    bench.wait(&mut other, 60_000);
    let live = other.head().and_then(|head| head.live()).expect("it is there");
    assert!(live.log.entries.is_empty(), "indexed");
}

#[test]
fn a_deleted_namespace_is_gone_and_can_be_made_again() {
    let (mut bench, mut service) = (Bench::default(), service());
    bench.write(&mut service, upsert(1, 1));
    let first = service.head().unwrap().incarnation;
    service.delete(Timestamp(bench.now), Ticket(7));
    let words = bench.settle(&mut service);
    assert_eq!(words[&Ticket(7)], Word::Deleted(Ok(true)));
    assert!(bench.objects.values().all(|(_, body)| body.len() <= 256), "a tombstone is small");
    let delete = WriteRequest { deletes: Some(vec![Raw::Integer(3)]), ..WriteRequest::default() };
    let refused = bench.write(&mut service, delete);
    assert_eq!(refused, Word::Written(Err(WriteError::NoNamespace)));
    bench.write(&mut service, upsert(2, 2));
    assert_ne!(service.head().unwrap().incarnation, first);
    assert_eq!(bench.lookup(&mut service, 1), None);
    assert_eq!(bench.lookup(&mut service, 2), Some(2));
}

#[test]
fn an_object_that_the_newest_head_names_and_the_store_lost_is_named_by_an_error() {
    let (mut bench, mut writer) = (Bench::default(), service());
    bench.write(&mut writer, text(1, 1_500_000));
    let staged = bench.objects.keys().find(|key| key.as_str().starts_with("data/")).cloned();
    let staged = staged.expect("a batch of this size is staged");
    bench.objects.remove(&staged);
    let mut reader = service();
    bench.look();
    reader.query(Timestamp(bench.now), Ticket(2), by_id(1));
    let word = bench.settle(&mut reader).remove(&Ticket(2));
    let Some(Word::Answered(Err(error))) = word else { panic!("{word:?}") };
    assert!(error.to_string().starts_with(&format!("object {staged} is damaged: it is not there")));
    assert_eq!(bench.look().0, 4, "the head and the object, twice");
}

#[test]
fn a_patch_of_a_document_whose_object_the_store_lost_names_the_object() {
    let (mut bench, mut writer) = (Bench::default(), service());
    bench.write(&mut writer, upsert(1, 1));
    bench.wait(&mut writer, 2_000);
    let segment = bench.objects.keys().find(|key| key.as_str().starts_with("data/")).cloned();
    let segment = segment.expect("the write was flushed");
    bench.objects.remove(&segment);
    let word = bench.write(&mut writer, patch(1, 2));
    let Word::Written(Err(error)) = word else { panic!("{word:?}") };
    let expected = format!("object {segment} is damaged: it is not there");
    assert!(error.to_string().starts_with(&expected), "{error}");
}

/// Runs a task to its end, on a bucket where nothing else happens.
fn run(bench: &mut Bench, start: super::task::Start) -> super::task::Output {
    let mut step = start.begin(Timestamp(bench.now));
    loop {
        match step {
            Step::Done(output) => return output,
            Step::Wait(task, round) => {
                let replies = round.requests.into_iter().map(|r| bench.perform(r)).collect();
                step = task.step(Timestamp(bench.now), replies);
            }
        }
    }
}

#[test]
fn what_is_written_during_a_merge_is_flushed_before_the_merge_ends() {
    let (mut bench, mut service) = (Bench::default(), service());
    for id in 0..7 {
        bench.write(&mut service, upsert(id, 1));
        bench.wait(&mut service, 2_000);
    }
    bench.write(&mut service, upsert(7, 1));
    bench.now += 2_000;
    let live = |service: &NamespaceService| service.head().unwrap().live().unwrap().clone();
    let mut merge = None;
    while merge.is_none() {
        bench.seeds += 1;
        for (id, start) in service.due(Timestamp(bench.now), WallTime(bench.now), bench.seeds) {
            if matches!(start, super::task::Start::Merge(_)) {
                merge = Some((id, start));
            } else {
                let output = run(&mut bench, start);
                service.finished(Timestamp(bench.now), id, output);
            }
        }
    }
    let (id, start) = merge.expect("eight segments of a tier are merged");
    bench.write(&mut service, upsert(0, 2));
    bench.wait(&mut service, 2_000);
    assert_eq!(live(&service).manifest.segments.len(), 9, "the flush did not wait for the merge");
    let output = run(&mut bench, start);
    service.finished(Timestamp(bench.now), id, output);
    bench.settle(&mut service);
    assert_eq!(live(&service).manifest.segments.len(), 2, "the merge holds over the flush");
    assert_eq!(live(&service).manifest.live_rows, 8);
    assert_eq!(bench.lookup(&mut service, 0), Some(2));
}

#[test]
fn a_sweep_writes_only_where_there_is_something_to_delete() {
    let (mut bench, mut service) = (Bench::default(), service());
    bench.write(&mut service, text(1, 1_500_000));
    bench.wait(&mut service, 2_000);
    bench.wait(&mut service, 700_000);
    bench.wait(&mut service, 3_600_000);
    bench.look();
    bench.wait(&mut service, 3_600_000);
    let (_, asked) = bench.look();
    assert!(asked.iter().any(|request| matches!(request, Request::List { .. })), "{asked:?}");
    assert!(asked.iter().all(Request::is_read), "{asked:?}");
    let named = bench.objects.keys().find(|key| key.as_str().ends_with(".segment")).cloned();
    let named = named.expect("the write was flushed");
    let (stamp, _) = named.as_str().rsplit_once('-').expect("a stamp and a nonce");
    let orphan = Key::new(format!("{stamp}-{:032x}.segment", 7));
    bench.objects.insert(orphan.clone(), (0, Blob::default()));
    bench.wait(&mut service, 3_600_000);
    bench.wait(&mut service, 3_600_000);
    assert!(!bench.objects.contains_key(&orphan), "an orphan is deleted");
    assert_eq!(service.head().unwrap().live().unwrap().manifest.live_rows, 1);
}

fn smaller_than(a: i128) -> ByFilter {
    let (attribute, operand) = ("a".to_owned(), Raw::Integer(a));
    let filter = Predicate::Compare { attribute, operator: Operator::Lt, operand };
    ByFilter { filter, allows_partial: false }
}

fn written(word: Word) -> WriteOutcome {
    match word {
        Word::Written(Ok(outcome)) => outcome,
        other => panic!("{other:?}"),
    }
}

#[test]
fn filters_of_a_write_see_what_is_indexed_and_what_is_not() {
    let (mut bench, mut service) = (Bench::default(), service());
    for id in 0..4 {
        bench.write(&mut service, upsert(id, id.into()));
        bench.wait(&mut service, 2_000);
    }
    bench.write(&mut service, upsert(4, 4));
    bench.write(&mut service, upsert(3, 0));
    let changes = vec![(AttributeName::parse("a").unwrap(), Raw::Integer(100))];
    let request = WriteRequest {
        delete_by_filter: Some(smaller_than(1)),
        patch_by_filter: Some((smaller_than(3), changes)),
        upserts: Some(vec![document(0, 7)]),
        patches: Some(vec![document(3, 8), document(4, 9)]),
        ..WriteRequest::default()
    };
    let outcome = written(bench.write(&mut service, request));
    // 0 and 3 are removed, 1 and 2 changed, 0 is put again, 3 is not there to be patched, 4 is.
    assert_eq!((outcome.deleted, outcome.patched, outcome.upserted), (Some(2), Some(3), Some(1)));
    for wait in [0, 2_000] {
        bench.wait(&mut service, wait);
        let found: Vec<_> = (0..5).map(|id| bench.lookup(&mut service, id)).collect();
        assert_eq!(found, [Some(7), Some(100), Some(100), None, Some(9)]);
    }
}

/// Steps a task until it asks for a put, and returns it with that round.
fn until_put(bench: &mut Bench, start: super::task::Start) -> (Task, Vec<Request>) {
    let mut step = start.begin(Timestamp(bench.now));
    loop {
        let Step::Wait(task, round) = step else { panic!("it ends without a put") };
        if round.requests.iter().any(|request| !request.is_read()) {
            return (task, round.requests);
        }
        let replies = round.requests.into_iter().map(|r| bench.perform(r)).collect();
        step = task.step(Timestamp(bench.now), replies);
    }
}

#[test]
fn a_write_by_filter_that_is_overtaken_matches_what_is_there_then() {
    for flushes in [false, true] {
        let (mut bench, mut first, mut second) = (Bench::default(), service(), service());
        for (id, a) in [(1, 1), (2, 2), (3, 30)] {
            bench.write(&mut first, upsert(id, a));
        }
        bench.wait(&mut first, 2_000);
        let request =
            WriteRequest { delete_by_filter: Some(smaller_than(10)), ..WriteRequest::default() };
        first.write(Timestamp(bench.now), Ticket(1), request, 100);
        let starts = first.due(Timestamp(bench.now), WallTime(bench.now), 77);
        let [(id, start)] = <[_; 1]>::try_from(starts).expect("a commit");
        let (task, requests) = until_put(&mut bench, start);
        // Another node moves 1 out of the filter and 3 into it.
        bench.write(&mut second, upsert(1, 11));
        bench.write(&mut second, upsert(3, 3));
        if flushes {
            bench.wait(&mut second, 2_000);
        }
        bench.look();
        let replies = requests.into_iter().map(|r| bench.perform(r)).collect();
        let mut step = task.step(Timestamp(bench.now), replies);
        let output = loop {
            match step {
                Step::Done(output) => break output,
                Step::Wait(task, round) => {
                    let replies = round.requests.into_iter().map(|r| bench.perform(r)).collect();
                    step = task.step(Timestamp(bench.now), replies);
                }
            }
        };
        let words = first.finished(Timestamp(bench.now), id, output);
        let (_, word) = words.into_iter().next().expect("the write is answered");
        assert_eq!(written(word).deleted, Some(2));
        let (_, asked) = bench.look();
        let data = asked.iter().filter(|r| r.key().as_str().starts_with("data/") && r.is_read());
        assert_eq!(data.count() > 0, flushes, "what is in the log is not scanned for");
        let found: Vec<_> = (1..4).map(|id| bench.lookup(&mut first, id)).collect();
        assert_eq!(found, [Some(11), None, None]);
    }
}

#[test]
fn an_attribute_that_is_dropped_is_left_out_of_new_segments() {
    let (mut bench, mut service) = (Bench::default(), service());
    bench.write(&mut service, upsert(1, 1));
    bench.wait(&mut service, 2_000);
    bench.write(&mut service, upsert(2, 2));
    let drops = vec![AttributeName::parse("a").unwrap()];
    bench.write(&mut service, WriteRequest { drops, ..WriteRequest::default() });
    for id in 3..10 {
        bench.write(&mut service, text(id, 8_000));
        bench.wait(&mut service, 2_000);
    }
    bench.wait(&mut service, 2_000);
    let live = service.head().unwrap().live().unwrap();
    assert_eq!((live.manifest.segments.len(), live.manifest.live_rows), (1, 9), "merged");
    bench.write(&mut service, upsert(20, 9));
    assert_eq!(bench.lookup(&mut service, 20), Some(9), "the name can be used again");
    service.query(Timestamp(bench.now), Ticket(2), by_id(1));
    let Some(Word::Answered(Ok(answer))) = bench.settle(&mut service).remove(&Ticket(2)) else {
        panic!("it is answered")
    };
    let Found::Rows(rows) = answer.found else { panic!("rows are wanted") };
    assert!(rows[0].attributes.is_empty(), "{rows:?}");
}

#[test]
fn a_write_that_fails_at_an_old_head_does_not_make_it_count_as_looked_at() {
    let (mut bench, mut first, mut second) = (Bench::default(), service(), service());
    bench.write(&mut first, upsert(1, 1));
    bench.wait(&mut first, 2_000);
    assert_eq!(bench.lookup(&mut first, 1), Some(1));
    bench.now += 100_000;
    bench.write(&mut second, upsert(1, 5));
    // What it changes it reads in a second round, which comes too late.
    let changes = vec![(AttributeName::parse("a").unwrap(), Raw::Integer(2))];
    let patch_by_filter = Some((smaller_than(10), changes));
    let request = WriteRequest { patch_by_filter, ..WriteRequest::default() };
    first.write(Timestamp(bench.now), Ticket(1), request, 100);
    let starts = first.due(Timestamp(bench.now), WallTime(bench.now), 77);
    let (id, start) = starts.into_iter().next().expect("a commit");
    let Step::Wait(task, round) = start.begin(Timestamp(bench.now)) else { panic!("it reads") };
    let replies = round.requests.into_iter().map(|r| bench.perform(r)).collect();
    bench.now += 31_000;
    let mut step = task.step(Timestamp(bench.now), replies);
    let output = loop {
        match step {
            Step::Done(output) => break output,
            Step::Wait(task, round) => {
                let replies = round.requests.into_iter().map(|r| bench.perform(r)).collect();
                step = task.step(Timestamp(bench.now), replies);
            }
        }
    };
    let words = first.finished(Timestamp(bench.now), id, output);
    assert_eq!(words, [(Ticket(1), Word::Written(Err(WriteError::TooMuch)))]);
    let consistency = Consistency::Eventual(core::time::Duration::from_secs(40));
    first.query(Timestamp(bench.now), Ticket(2), QueryRequest { consistency, ..by_id(1) });
    let Some(Word::Answered(Ok(answer))) = bench.settle(&mut first).remove(&Ticket(2)) else {
        panic!("it is answered")
    };
    let Found::Rows(rows) = answer.found else { panic!("rows are wanted") };
    assert_eq!(rows[0].attributes[0].1, Value::Scalar(Scalar::Int(5)));
}
