//! A service with a store that never fails: what it asks, and what it tells.

mod bench;
mod driving;
mod failing;
mod matching;
mod sweeps;
mod upkeep;
mod waking;

use core::time::Duration;

use bench::*;

use crate::base::name::NamespaceName;
use crate::base::time::Timestamp;
use crate::base::value::Raw;
use crate::machine::request::{Request, When};
use crate::namespace::request::{Consistency, Idempotency, QueryRequest, WriteError, WriteRequest};
use crate::service::namespace::{NamespaceService, Ticket, Word};
use crate::service::settings::Settings;

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
fn after_a_purge_a_query_reads_all_anew_and_a_write_goes_on_from_the_head() {
    let (mut bench, mut service) = (Bench::default(), service());
    bench.write(&mut service, upsert(1, 10));
    bench.wait(&mut service, 2_000);
    bench.write(&mut service, upsert(2, 20));
    for consistency in [Consistency::Strong, Consistency::Eventual(Duration::from_hours(1))] {
        assert_eq!(bench.lookup(&mut service, 1), Some(10));
        service.purge();
        bench.look();
        let query = QueryRequest { consistency, ..by_id(1) };
        service.query(Timestamp(bench.now), Ticket(2), query);
        assert!(bench.settle(&mut service).contains_key(&Ticket(2)));
        let (_, asked) = bench.look();
        let is_head = |request: &Request| request.key().as_str().starts_with("heads/");
        let reads: Vec<bool> = asked.iter().map(is_head).collect();
        assert!(matches!(&asked[0], Request::Get { unless: None, .. }), "{asked:?}");
        assert_eq!(reads, [true, false, false, false], "head, directory, ids, attributes");
    }
    service.purge();
    bench.write(&mut service, upsert(3, 30));
    let (_, asked) = bench.look();
    // What is read is for what waits to be indexed.
    let puts: Vec<_> = asked.iter().filter(|request| !request.is_read()).collect();
    assert!(matches!(puts[..], [Request::Put { when: When::Matches(_), .. }]), "{asked:?}");
    bench.wait(&mut service, 2_000);
    let live = service.head().unwrap().live().unwrap();
    assert!(live.log.entries.is_empty(), "what was purged is indexed all the same");
    assert_eq!(bench.lookup(&mut service, 3), Some(30));
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
fn a_query_names_the_batch_that_the_store_cannot_read_back() {
    let (mut bench, mut writer) = (Bench::default(), service());
    bench.write(&mut writer, text(1, 1_500_000));
    let staged = bench.objects.keys().find(|key| key.as_str().starts_with("data/")).cloned();
    let staged = staged.expect("a batch of this size is staged");
    bench.rotten.insert(staged.clone());
    let mut reader = service();
    reader.query(Timestamp(bench.now), Ticket(2), by_id(1));
    let word = bench.settle(&mut reader).remove(&Ticket(2));
    let Some(Word::Answered(Err(error))) = word else { panic!("{word:?}") };
    assert!(error.to_string().starts_with(&format!("object {staged} is damaged")), "{error}");
}

#[test]
fn a_batch_is_taken_however_large_where_nothing_waits_to_be_indexed() {
    let mut bench = Bench::default();
    let settings = Settings { unindexed_bytes_max: 10, indexes: false, ..Settings::default() };
    let name = NamespaceName::parse("ns").unwrap();
    let mut writer = NamespaceService::new(Timestamp(0), name, settings);
    for id in 0..2 {
        let word = bench.write(&mut writer, upsert(id, 1));
        let is_taken = matches!(word, Word::Written(Ok(_)));
        assert_eq!(is_taken, id == 0, "one is never too much, and a second is: {word:?}");
    }
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

#[test]
fn who_meets_a_document_that_cannot_be_read_fails_none_of_its_group() {
    let (mut bench, mut writer) = (Bench::default(), service());
    bench.write(&mut writer, upsert(1, 1));
    bench.wait(&mut writer, 2_000);
    let segment = bench.objects.keys().find(|key| key.as_str().starts_with("data/")).cloned();
    bench.objects.remove(&segment.expect("the write was flushed"));
    let group = [upsert(2, 2), patch(1, 5), upsert(3, 3), patch(3, 4)];
    for (ticket, request) in (10..).zip(group) {
        writer.write(Timestamp(bench.now), Ticket(ticket), request, 100);
    }
    let words = bench.settle(&mut writer);
    let patched = |ticket| match &words[&Ticket(ticket)] {
        Word::Written(Ok(outcome)) => outcome.patched,
        other => panic!("{other:?}"),
    };
    assert_eq!((patched(10), patched(12), patched(13)), (None, None, Some(1)), "in their order");
    assert!(matches!(words[&Ticket(11)], Word::Written(Err(WriteError::Unreadable(_)))));
    assert_eq!(words.len(), 4);
}
