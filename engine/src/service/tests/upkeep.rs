//! What a service does of itself: indexing, merging, collecting.

use super::bench::*;

use crate::base::blob::Blob;
use crate::base::id::{Nonce, Stamp};
use crate::base::limits;
use crate::base::name::{AttributeName, Key, NamespaceName};
use crate::base::time::{Timestamp, WallTime};
use crate::format::head::{State, Trash};
use crate::format::layout::{Family, ObjectName};
use crate::machine::request::Request;
use crate::namespace::request::{Found, WriteError, WriteRequest};
use crate::service::namespace::{NamespaceService, Ticket, Word};
use crate::service::settings::Settings;
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

/// It had written something, so it took it that there was something to index, and nothing ever told it
/// otherwise. A tombstone cannot be loaded: it asked for it again and again, as fast as it was answered.
#[test]
fn who_does_not_index_leaves_a_namespace_alone_that_is_gone() {
    let mut bench = Bench::default();
    let settings = Settings { indexes: false, ..Settings::default() };
    let name = NamespaceName::parse("ns").unwrap();
    let mut service = NamespaceService::new(Timestamp(0), name, settings);
    bench.write(&mut service, upsert(1, 10));
    service.delete(Timestamp(bench.now), Ticket(9));
    let mut rounds = 0;
    loop {
        bench.seeds += 1;
        let now = Timestamp(bench.now);
        let starts = service.due(now, WallTime(bench.now), bench.seeds);
        if starts.is_empty() {
            break;
        }
        for (id, start) in starts {
            let output = run(&mut bench, start);
            service.finished(now, id, output);
        }
        rounds += 1;
        assert!(rounds < 5, "it does not come to rest");
    }
    assert!(service.head().is_some_and(|head| head.live().is_none()));
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
                other.delete(Timestamp(bench.now), Ticket(1));
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

/// An object lock, or a right that is missing: the sweeper gave up at the first batch with such an
/// object, and met the same batch first the next time.
#[test]
fn an_object_that_cannot_be_deleted_keeps_no_other() {
    let (mut bench, mut service) = (Bench::default(), service());
    bench.write(&mut service, text(1, 1_500_000));
    bench.wait(&mut service, 2_000);
    bench.wait(&mut service, 3_600_000);
    let named = bench.objects.keys().find(|key| key.as_str().ends_with(".segment")).cloned();
    let named = named.expect("the write was flushed");
    let (stamp, _) = named.as_str().rsplit_once('-').expect("a stamp and a nonce");
    let orphan = |n| Key::new(format!("{stamp}-{n:032x}.segment"));
    for n in 1..=450 {
        bench.objects.insert(orphan(n), (0, Blob::default()));
    }
    bench.locked = [orphan(7), orphan(449)].into();
    bench.wait(&mut service, 3_600_000);
    bench.wait(&mut service, 3_600_000);
    let left: Vec<u64> = (1..=450).filter(|n| bench.objects.contains_key(&orphan(*n))).collect();
    assert_eq!(left, [7, 449]);
    bench.locked.clear();
    bench.wait(&mut service, 3_600_000);
    assert!((1..=450).all(|n| !bench.objects.contains_key(&orphan(n))));
}

/// It was tried again five times in a second, for as long as a lock lasts.
#[test]
fn trash_that_cannot_be_deleted_is_tried_again_ever_more_seldom() {
    let (mut bench, mut service) = (Bench::default(), service());
    bench.write(&mut service, text(1, 1_500_000));
    let staged = bench.objects.keys().find(|key| key.as_str().starts_with("data/")).cloned();
    let staged = staged.expect("a batch of this size is staged");
    bench.wait(&mut service, 2_000);
    bench.locked = [staged.clone()].into();
    bench.wait(&mut service, 700_000);
    bench.look();
    for _ in 0..3_000 {
        bench.wait(&mut service, 200);
    }
    let deletes = |asked: &[Request]| {
        asked.iter().filter(|request| matches!(request, Request::Delete { .. })).count()
    };
    let tried = deletes(&bench.look().1);
    assert!((10..30).contains(&tried), "{tried} times in ten minutes");
    bench.locked.clear();
    bench.wait(&mut service, 60_000);
    bench.wait(&mut service, 60_000);
    assert!(!bench.objects.contains_key(&staged));
    assert!(service.head().unwrap().live().unwrap().trash.is_empty());
}

/// A service that knew of a version and could not load it looked again at once, for ever.
#[test]
fn a_damaged_object_is_looked_at_ever_more_seldom() {
    let (mut bench, mut first, mut second) = (Bench::default(), service(), service());
    bench.write(&mut first, upsert(1, 1));
    bench.write(&mut second, upsert(2, 2));
    bench.write(&mut first, text(3, 6_000_000));
    let staged = bench.objects.keys().find(|key| key.as_str().starts_with("data/")).cloned();
    let staged = staged.expect("a batch of this size is staged");
    bench.rotten = [staged].into();
    bench.look();
    // It learns of the version by losing a race, and not what is in it.
    bench.write(&mut second, upsert(4, 4));
    for _ in 0..3_000 {
        bench.wait(&mut second, 200);
    }
    let asked = bench.look().1.len();
    assert!(asked < 100, "{asked} requests in ten minutes");
    bench.rotten.clear();
    bench.wait(&mut second, 60_000);
    bench.wait(&mut second, 2_000);
    let live = second.head().unwrap().live().unwrap();
    assert!(live.log.entries.is_empty(), "it is indexed once it can be read");
    assert_eq!(bench.lookup(&mut second, 4), Some(4));
}

/// A segment was built and stored again five times in a second, where the head that had overtaken it could not
/// be read.
#[test]
fn what_was_overtaken_is_not_built_again_before_the_head_can_be_read() {
    let (mut bench, mut first, mut second) = (Bench::default(), service(), service());
    bench.write(&mut first, upsert(1, 1));
    bench.write(&mut second, upsert(2, 2));
    let head = bench.objects.keys().find(|key| key.as_str().starts_with("heads/")).cloned();
    bench.rotten = head.into_iter().collect();
    for _ in 0..3_000 {
        bench.wait(&mut first, 200);
    }
    let segments = bench.objects.keys().filter(|key| key.as_str().ends_with(".segment")).count();
    assert_eq!(segments, 1, "the one that was in vain");
    bench.rotten.clear();
    bench.wait(&mut first, 60_000);
    bench.wait(&mut first, 2_000);
    assert_eq!(bench.lookup(&mut first, 2), Some(2));
    assert!(first.head().unwrap().live().unwrap().log.entries.is_empty());
}

#[test]
fn a_head_without_room_turns_writers_away_until_its_trash_is_deleted() {
    let (mut bench, mut first) = (Bench::default(), service());
    bench.write(&mut first, upsert(1, 1));
    bench.wait(&mut first, 2_000);
    let mut head = first.head().unwrap().as_ref().clone();
    let State::Live(live) = &mut head.state else { panic!("it was written to") };
    let name = |n: u64| ObjectName { stamp: Stamp(0), nonce: Nonce(u128::MAX - u128::from(n)) };
    let names = (0..200_000).map(|n| (Family::Segment, name(n))).collect();
    live.trash.push(Trash { retired: head.step, at: WallTime(bench.now), names });
    let body = Blob::from(head.encode());
    assert!(body.len() > limits::HEAD_BYTES_MAX);
    let key = bench.objects.keys().find(|key| key.as_str().starts_with("heads/")).cloned();
    bench.objects.insert(key.unwrap(), (1_000, body));
    bench.versions = 1_000;
    let mut second = service();
    let refused = bench.write(&mut second, upsert(2, 2));
    assert!(matches!(refused, Word::Written(Err(WriteError::Full { .. }))), "{refused:?}");
    assert_eq!(bench.lookup(&mut second, 2), None);
    bench.wait(&mut second, 700_000);
    bench.wait(&mut second, 2_000);
    written(bench.write(&mut second, upsert(2, 2)));
}

/// What there was no more was to be loaded for the merge, again and again (seed 626 of three nodes).
#[test]
fn a_deleted_namespace_is_left_alone_though_a_merge_was_planned() {
    let (mut bench, mut service) = (Bench::default(), service());
    for id in 0..8 {
        bench.write(&mut service, upsert(id, 1));
        let segments = bench.objects.keys().filter(|key| key.as_str().ends_with(".segment"));
        bench.rotten = segments.cloned().collect();
        bench.wait(&mut service, 2_000);
    }
    let live = service.head().unwrap().live().unwrap();
    assert_eq!(live.manifest.segments.len(), 8, "the merge could not read them");
    service.delete(Timestamp(bench.now), Ticket(7));
    let words = bench.settle(&mut service);
    assert_eq!(words[&Ticket(7)], Word::Deleted(Ok(true)));
    bench.look();
    bench.wait(&mut service, 60_000);
    let asked = bench.look().1;
    assert!(asked.is_empty(), "{asked:?}");
}

/// A node that does not index forgot to forget that there was something to index.
#[test]
fn a_deleted_namespace_is_left_alone_by_a_node_that_does_not_index() {
    let mut bench = Bench::default();
    let settings = Settings { indexes: false, ..Settings::default() };
    let name = NamespaceName::parse("ns").unwrap();
    let mut service = NamespaceService::new(Timestamp(0), name, settings);
    bench.write(&mut service, upsert(1, 1));
    service.delete(Timestamp(bench.now), Ticket(7));
    assert_eq!(bench.settle(&mut service)[&Ticket(7)], Word::Deleted(Ok(true)));
    bench.look();
    bench.wait(&mut service, 60_000);
    let asked = bench.look().1;
    assert!(asked.is_empty(), "{asked:?}");
}
