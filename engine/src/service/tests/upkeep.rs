//! What a service does of itself: indexing, merging, collecting.

use super::bench::*;

use crate::base::blob::Blob;
use crate::base::name::{AttributeName, Key};
use crate::base::time::{Timestamp, WallTime};
use crate::machine::request::Request;
use crate::namespace::request::{Found, WriteRequest};
use crate::service::namespace::{NamespaceService, Ticket, Word};
use crate::service::task::Start;

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
            if matches!(start, Start::Merge(_)) {
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

/// A namespace was deleted while a merge of it was built. The merge was still planned and nothing was
/// there to load for it, so the node asked for the head again and again, as fast as the store answers.
#[test]
fn a_namespace_that_ends_while_it_is_merged_is_asked_for_no_more() {
    let (mut bench, mut service) = (Bench::default(), service());
    for id in 0..8 {
        bench.write(&mut service, upsert(id, 1));
        bench.now += 2_000;
        if id < 7 {
            bench.settle(&mut service);
        }
    }
    let mut looks = 0;
    let mut merges = 0;
    loop {
        bench.seeds += 1;
        let starts = service.due(Timestamp(bench.now), WallTime(bench.now), bench.seeds);
        if starts.is_empty() {
            break;
        }
        looks += 1;
        assert!(looks < 20, "{starts:?} is begun again and again");
        for (id, start) in starts {
            if matches!(start, Start::Merge(_)) {
                merges += 1;
                let mut other = self::service();
                other.delete(Ticket(1));
                bench.settle(&mut other);
            }
            let output = run(&mut bench, start);
            service.finished(Timestamp(bench.now), id, output);
        }
    }
    assert_eq!(merges, 1, "eight segments of a tier are merged");
    assert!(service.head().is_some_and(|head| head.live().is_none()), "and it was found deleted");
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
