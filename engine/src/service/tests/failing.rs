//! What fails for good is tried ever more seldom, and goes on where it can once it is mended.

use super::bench::*;

use crate::base::limits;
use crate::base::name::NamespaceName;
use crate::base::time::{Timestamp, WallTime};
use crate::machine::request::Reply;
use crate::machine::{Machine, Step};
use crate::namespace::request::{QueryError, WriteError, WriteRequest};
use crate::ops::delete::DeleteError;
use crate::service::namespace::{NamespaceService, Ticket, Word};
use crate::service::settings::Settings;

impl Bench {
    /// How much is asked in ten minutes, five times a second.
    fn ten_minutes(&mut self, service: &mut NamespaceService) -> usize {
        self.look();
        for _ in 0..3_000 {
            self.wait(service, 200);
        }
        self.look().1.len()
    }

    /// Spoils all segments there are.
    fn spoil_segments(&mut self) {
        let segments = self.objects.keys().filter(|key| key.as_str().ends_with(".segment"));
        self.rotten = segments.cloned().collect();
    }
}

fn is_indexed(service: &NamespaceService) -> bool {
    service.head().unwrap().live().unwrap().log.entries.is_empty()
}

/// It was begun anew five times in a second, and each time it read what it could not use.
#[test]
fn a_flush_that_meets_damage_is_begun_again_ever_more_seldom() {
    let (mut bench, mut service) = (Bench::default(), service());
    bench.write(&mut service, upsert(1, 1));
    bench.wait(&mut service, 2_000);
    bench.spoil_segments();
    bench.write(&mut service, upsert(1, 2));
    let asked = bench.ten_minutes(&mut service);
    assert!((20..100).contains(&asked), "{asked} requests in ten minutes");
    assert!(!is_indexed(&service), "which row the write replaces stands in what is damaged");
    bench.rotten.clear();
    bench.wait(&mut service, 60_000);
    assert!(is_indexed(&service));
    assert_eq!(bench.lookup(&mut service, 1), Some(2));
}

/// It was begun anew every three seconds, for ever, for what a head names was taken to be there again soon.
#[test]
fn a_flush_of_which_something_is_gone_is_begun_again_ever_more_seldom() {
    let (mut bench, mut service) = (Bench::default(), service());
    bench.write(&mut service, upsert(1, 1));
    bench.wait(&mut service, 2_000);
    let whole = bench.objects.clone();
    bench.objects.retain(|key, _| !key.as_str().ends_with(".segment"));
    bench.write(&mut service, upsert(1, 2));
    let asked = bench.ten_minutes(&mut service);
    assert!((20..100).contains(&asked), "{asked} requests in ten minutes");
    assert!(!is_indexed(&service));
    bench.objects.extend(whole.into_iter().filter(|(key, _)| key.as_str().ends_with(".segment")));
    bench.wait(&mut service, 60_000);
    assert!(is_indexed(&service));
}

/// It was begun anew as soon as it had been told that the store does not answer.
#[test]
fn a_look_that_the_store_does_not_answer_is_repeated_after_a_pause() {
    let (mut bench, mut service) = (Bench::default(), service());
    bench.write(&mut service, upsert(1, 1));
    bench.wait(&mut service, 2_000);
    bench.is_silent = true;
    service.look();
    let asked = bench.ten_minutes(&mut service);
    assert!((150..250).contains(&asked), "{asked} requests in ten minutes");
    assert!(!service.is_idle(), "it still has to look");
    bench.is_silent = false;
    bench.wait(&mut service, 4_000);
    assert!(service.is_settled());
}

/// A collection that could not read the head that had overtaken it was begun anew five times in a second.
#[test]
fn a_collection_that_learns_nothing_is_begun_again_ever_more_seldom() {
    let (mut bench, mut service, mut other) = (Bench::default(), service(), service());
    bench.write(&mut service, text(1, 1_500_000));
    bench.wait(&mut service, 2_000);
    bench.write(&mut other, upsert(2, 2));
    let head = bench.objects.keys().find(|key| key.as_str().starts_with("heads/")).cloned();
    bench.rotten = head.into_iter().collect();
    bench.wait(&mut service, 700_000);
    let asked = bench.ten_minutes(&mut service);
    assert!((10..200).contains(&asked), "{asked} requests in ten minutes");
    bench.rotten.clear();
    bench.wait(&mut service, 60_000);
    bench.wait(&mut service, 700_000);
    assert!(is_indexed(&service));
    assert!(service.head().unwrap().live().unwrap().trash.is_empty());
}

/// It asked a hundred times in a second to be woken for a flush that could not begin.
#[test]
fn where_there_is_no_room_for_a_segment_nobody_is_woken_for_a_flush() {
    let (mut bench, mut service) = (Bench::default(), service());
    let segments = |service: &NamespaceService| {
        service.head().unwrap().live().unwrap().manifest.segments.len()
    };
    for id in 0..limits::SEGMENTS_MAX as u64 {
        bench.write(&mut service, upsert(id, 1));
        bench.spoil_segments();
        bench.wait(&mut service, 2_000);
        assert_eq!(segments(&service), id as usize + 1, "merges cannot read them");
    }
    bench.write(&mut service, upsert(1_000, 1));
    bench.wait(&mut service, 2_000);
    assert_eq!((segments(&service), is_indexed(&service)), (limits::SEGMENTS_MAX, false));
    let mut wakes = 0;
    let end = bench.now + 60_000;
    loop {
        let wake = service.wake_at(Timestamp(bench.now), WallTime(bench.now)).expect("it merges");
        bench.now = wake.0.max(bench.now + 10);
        if bench.now > end {
            break;
        }
        wakes += 1;
        bench.settle(&mut service);
    }
    assert!(wakes < 20, "{wakes} times in a minute");
    bench.rotten.clear();
    bench.wait(&mut service, 60_000);
    bench.wait(&mut service, 2_000);
    assert!(segments(&service) < 64 && is_indexed(&service));
}

/// It loaded the log and the directories, as if it were to index what it had written.
#[test]
fn who_does_not_index_reads_nothing_unasked() {
    let (mut bench, mut indexer) = (Bench::default(), service());
    bench.write(&mut indexer, upsert(1, 1));
    bench.wait(&mut indexer, 2_000);
    let settings = Settings { indexes: false, ..Settings::default() };
    let name = NamespaceName::parse("ns").unwrap();
    let mut service = NamespaceService::new(Timestamp(bench.now), name, settings);
    bench.look();
    bench.write(&mut service, upsert(2, 2));
    assert_eq!(bench.look().1.len(), 2, "the head is read and put");
    service.look();
    service.suspect(Timestamp(bench.now));
    bench.wait(&mut service, 60_000);
    assert_eq!(bench.look().1, []);
    assert!(service.is_idle());
}

/// Names of which a client only dreamt stayed in memory, for a sweep was owed.
#[test]
fn a_write_that_is_refused_where_there_is_nothing_owes_nothing() {
    let (mut bench, mut service) = (Bench::default(), service());
    let patches = patch(1, 1).patches;
    let disagrees =
        WriteRequest { patches, upserts: upsert(1, 1).upserts, ..WriteRequest::default() };
    let word = bench.write(&mut service, disagrees);
    assert!(matches!(word, Word::Written(Err(WriteError::Invalid(_)))), "{word:?}");
    assert!(service.head().is_none() && service.is_idle());
}

/// Ten of them waited for a store that did not answer, and the last was told so after five minutes.
#[test]
fn who_has_waited_as_long_as_a_write_may_take_is_turned_away() {
    let (mut bench, mut service) = (Bench::default(), service());
    bench.write(&mut service, upsert(1, 1));
    service.write(Timestamp(bench.now), Ticket(1), upsert(2, 2), 100);
    bench.seeds += 1;
    let starts = service.due(Timestamp(bench.now), WallTime(bench.now), bench.seeds);
    let [(id, start)]: [_; 1] = starts.try_into().expect("one commit");
    let step = start.begin(Timestamp(bench.now));
    bench.now += 1;
    service.write(Timestamp(bench.now), Ticket(2), upsert(3, 3), 100);
    service.delete(Timestamp(bench.now), Ticket(3));
    bench.now += 20_000;
    service.write(Timestamp(bench.now), Ticket(4), upsert(4, 4), 100);
    bench.now += 10_001;
    let output = finish(&mut bench, step);
    let words = service.finished(Timestamp(bench.now), id, output);
    let [first, second, third] = &words[..] else { panic!("{words:?}") };
    assert!(matches!(first, (Ticket(1), Word::Written(Ok(_)))), "{first:?}");
    assert_eq!(*second, (Ticket(2), Word::Written(Err(WriteError::Unavailable))));
    assert_eq!(*third, (Ticket(3), Word::Deleted(Err(DeleteError::Unavailable))));
    let words = bench.settle(&mut service);
    assert!(matches!(words[&Ticket(4)], Word::Written(Ok(_))), "it goes on");
    assert_eq!((bench.lookup(&mut service, 3), bench.lookup(&mut service, 4)), (None, Some(4)));
}

/// They were turned away as one, formed the same group again, and so without end.
#[test]
fn a_group_that_took_too_long_is_committed_one_by_one() {
    // Two rounds of the segments. The first takes nearly all of the time and the second is half answered, or the
    // time is over when the second is to be asked for.
    for times in [&[25_000, 5_000][..], &[30_001]] {
        let (mut bench, mut service) = (Bench::default(), service());
        for id in [1, 2] {
            bench.write(&mut service, upsert(id, 1));
            bench.wait(&mut service, 2_000);
        }
        for id in [1, 2] {
            service.write(Timestamp(bench.now), Ticket(id), patch(id, 5), 100);
        }
        let due = service.due(Timestamp(bench.now), WallTime(bench.now), 5);
        let [(id, start)]: [_; 1] = due.try_into().expect("one commit for both");
        let mut step = start.begin(Timestamp(bench.now));
        for time in times {
            let Step::Wait(commit, round) = step else { panic!("it reads of the segments") };
            assert!(round.requests.iter().all(|r| r.key().as_str().ends_with(".segment")));
            let mut replies: Vec<_> =
                round.requests.into_iter().map(|r| bench.perform(r)).collect();
            bench.now += time;
            if *time == 5_000 {
                *replies.last_mut().expect("it reads") = Reply::Lost;
            }
            step = commit.step(Timestamp(bench.now), replies);
        }
        assert!(matches!(step, Step::Done(_)), "nothing is asked for when the time is over");
        let output = finish(&mut bench, step);
        bench.now += 1;
        assert_eq!(service.finished(Timestamp(bench.now), id, output), []);
        let words = bench.settle(&mut service);
        for ticket in [Ticket(1), Ticket(2)] {
            assert!(matches!(words[&ticket], Word::Written(Ok(_))), "{:?}", words[&ticket]);
        }
        let both = (bench.lookup(&mut service, 1), bench.lookup(&mut service, 2));
        assert_eq!(both, (Some(5), Some(5)));
    }
}

/// A file of the folder that cannot be read may be removed to give up what was in it. Whoever had held it
/// went on with what was no more.
#[test]
#[should_panic(expected = "V3: a head that was there is gone")]
fn who_finds_the_head_removed_starts_over() {
    let (mut bench, mut service) = (Bench::default(), service());
    bench.write(&mut service, upsert(1, 1));
    bench.objects.clear();
    bench.lookup(&mut service, 1);
}

/// It was told that it asks for too much, and never to ask again.
#[test]
fn a_query_whose_time_went_by_before_it_began_may_be_asked_again() {
    let (mut bench, mut service) = (Bench::default(), service());
    bench.write(&mut service, upsert(1, 1));
    service.query(Timestamp(bench.now), Ticket(2), by_id(1));
    let check = service.due(Timestamp(bench.now), WallTime(bench.now), 1).pop().expect("a check");
    let output = run(&mut bench, check.1);
    bench.now += Settings::default().query_time_max.as_millis() as u64;
    assert_eq!(service.finished(Timestamp(bench.now), check.0, output), []);
    let word = bench.settle(&mut service).remove(&Ticket(2)).unwrap();
    assert_eq!(word, Word::Answered(Err(QueryError::Unavailable)));
}

/// It was refused for an object that the newest version does not name any more.
#[test]
fn a_write_is_not_refused_for_damage_that_is_of_the_past() {
    let (mut bench, mut indexer) = (Bench::default(), service());
    let settings = Settings { indexes: false, ..Settings::default() };
    let name = NamespaceName::parse("ns").unwrap();
    let mut writer = NamespaceService::new(Timestamp(0), name, settings);
    for id in 0..8 {
        bench.write(&mut indexer, upsert(id, 1));
        if id == 7 {
            assert_eq!(bench.lookup(&mut writer, 0), Some(1));
            bench.spoil_segments();
            assert_eq!(bench.rotten.len(), 7);
            let spoiled = core::mem::take(&mut bench.rotten);
            bench.wait(&mut indexer, 2_000);
            bench.rotten = spoiled;
            continue;
        }
        bench.wait(&mut indexer, 2_000);
    }
    assert_eq!(indexer.head().unwrap().live().unwrap().manifest.segments.len(), 1, "merged");
    let word = bench.write(&mut writer, patch(0, 9));
    assert!(matches!(word, Word::Written(Ok(_))), "{word:?}");
    assert_eq!(bench.lookup(&mut writer, 0), Some(9));
}

/// Whoever meets damage says where, so that a driver does not believe what it has read of it again.
#[test]
fn what_fails_for_damage_names_the_object() {
    let (mut bench, mut service) = (Bench::default(), service());
    let both = vec![document(1, 1), document(2, 1)];
    bench.write(&mut service, WriteRequest { upserts: Some(both), ..WriteRequest::default() });
    bench.wait(&mut service, 2_000);
    bench.write(&mut service, upsert(1, 2));
    bench.spoil_segments();
    let segment = bench.rotten.first().cloned().expect("a segment");
    let mut reader = self::service();
    service.write(Timestamp(bench.now), Ticket(1), patch(2, 3), 100);
    service.query(Timestamp(bench.now), Ticket(2), by_id(2));
    reader.query(Timestamp(bench.now), Ticket(3), by_id(1));
    bench.now += 2_000;
    let (mut named, mut whole) = (Vec::new(), 0);
    for service in [&mut service, &mut reader] {
        for _ in 0..3 {
            bench.seeds += 1;
            for (id, start) in service.due(Timestamp(bench.now), WallTime(bench.now), bench.seeds) {
                let output = run(&mut bench, start);
                match output.damaged().first() {
                    Some(bad) => {
                        assert_eq!(bad.key, segment);
                        let kind = format!("{output:?}");
                        named.push(kind.split('(').next().unwrap_or_default().to_owned());
                    }
                    None => whole += 1,
                }
                service.finished(Timestamp(bench.now), id, output);
            }
        }
    }
    named.sort_unstable();
    named.dedup();
    assert_eq!(named, ["Commit", "Flush", "Query", "Refresh"]);
    assert!(whole > 0, "a check of the head is not to blame");
}
