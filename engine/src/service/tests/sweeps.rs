//! Which sweeps a node owes before it may forget a namespace.

use super::bench::*;

use crate::base::blob::Blob;
use crate::base::id::{CommitId, Nonce, Stamp};
use crate::base::name::{Key, NamespaceName};
use crate::base::time::{Timestamp, WallTime};
use crate::base::value::Raw;
use crate::format::layout;
use crate::machine::Machine;
use crate::machine::request::Request;
use crate::namespace::head::Spilled;
use crate::namespace::request::{Operator, Predicate, WriteError, WriteRequest};
use crate::ops::commit::Committed;
use crate::ops::delete::DeleteError;
use crate::service::namespace::{NamespaceService, Ticket, Word};
use crate::service::settings::Settings;
use crate::service::task::{Output, TaskId};

/// As long as a sweep is owed, in milliseconds.
const OWED: u64 = 631_000;

impl Bench {
    /// A service that has written, indexed and swept, in a namespace where it is the only one.
    pub(super) fn idle_after_its_sweep(&mut self) -> NamespaceService {
        let mut service = written_and_indexed(self);
        self.wait(&mut service, OWED);
        assert!(service.is_idle() && !service.is_absent());
        service
    }
}

/// A write that was indexed, in a namespace where it is the only one.
fn written_and_indexed(bench: &mut Bench) -> NamespaceService {
    let mut service = service();
    bench.write(&mut service, upsert(1, 1));
    bench.wait(&mut service, 2_000);
    assert!(service.is_settled());
    service
}

/// Leaves an object that nobody names, made from a version of this step.
fn leave(bench: &mut Bench, step: Stamp) -> Key {
    let named = bench.objects.keys().find(|key| key.as_str().ends_with(".segment")).cloned();
    let named = named.expect("something was flushed");
    let (folder, _) = named.as_str().rsplit_once('/').expect("a folder");
    let orphan = Key::new(format!("{folder}/{:016x}-{:032x}.segment", step.0, 7));
    bench.objects.insert(orphan.clone(), (0, Blob::default()));
    orphan
}

fn listings(asked: &[Request]) -> usize {
    asked.iter().filter(|request| matches!(request, Request::List { .. })).count()
}

#[test]
fn who_has_written_sweeps_once_before_it_forgets() {
    let mut bench = Bench::default();
    let mut service = written_and_indexed(&mut bench);
    let orphan = leave(&mut bench, Stamp(1));
    bench.look();
    bench.wait(&mut service, OWED - 100_000);
    assert!(!service.is_idle(), "a sweep is owed");
    let wake = service.wake_at(Timestamp(bench.now), WallTime(bench.now)).expect("it will sweep");
    assert!(wake <= Timestamp(bench.now + 100_000), "before an hour is over");
    bench.wait(&mut service, 100_000);
    assert!(service.is_idle());
    assert!(!bench.objects.contains_key(&orphan));
    assert_eq!(listings(&bench.look().1), 1);
    bench.wait(&mut service, OWED);
    assert_eq!(bench.look().1, [], "and then nothing more is asked");
}

#[test]
fn the_data_of_a_deleted_namespace_goes_before_it_is_forgotten() {
    let mut bench = Bench::default();
    let mut service = written_and_indexed(&mut bench);
    bench.wait(&mut service, OWED);
    assert!(service.is_idle() && bench.objects.len() == 2);
    service.delete(Timestamp(bench.now), Ticket(9));
    bench.settle(&mut service);
    assert!(!service.is_idle(), "its data is still there");
    bench.wait(&mut service, OWED);
    assert!(service.is_idle());
    let left: Vec<_> = bench.objects.keys().cloned().collect();
    assert_eq!(left, [layout::head(&NamespaceName::parse("ns").unwrap())]);
}

/// The floor cannot be above the newest version. The first sweep makes a newer one.
#[test]
fn what_one_sweep_must_leave_the_next_one_owes() {
    let mut bench = Bench::default();
    let mut service = written_and_indexed(&mut bench);
    let orphan = leave(&mut bench, service.head().unwrap().step);
    bench.wait(&mut service, OWED);
    assert!(bench.objects.contains_key(&orphan) && !service.is_idle());
    bench.wait(&mut service, OWED);
    assert!(!bench.objects.contains_key(&orphan) && service.is_idle());
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
    let orphan = leave(&mut bench, Stamp(1));
    bench.wait(&mut service, 3_600_000);
    bench.wait(&mut service, 3_600_000);
    assert!(!bench.objects.contains_key(&orphan), "an orphan is deleted");
    assert_eq!(service.head().unwrap().live().unwrap().manifest.live_rows, 1);
}

/// A commit that was given up had staged a batch at the newest version, and nobody wrote any more: no
/// floor is above the newest version, so the batch stayed for ever.
#[test]
fn an_orphan_of_the_newest_version_is_deleted_though_nobody_writes() {
    let mut bench = Bench::default();
    let mut service = written_and_indexed(&mut bench);
    let orphan = leave(&mut bench, service.head().unwrap().step);
    for _ in 0..5 {
        bench.wait(&mut service, 3_600_000);
    }
    assert!(!bench.objects.contains_key(&orphan));
    bench.look();
    bench.wait(&mut service, 3_600_000);
    let (_, asked) = bench.look();
    assert!(asked.iter().all(Request::is_read), "and then nobody writes: {asked:?}");
    assert_eq!(service.head().unwrap().live().unwrap().manifest.live_rows, 1);
}

/// Others went on in the meantime: the first sweep finds nothing below its floor, and something at it.
#[test]
fn what_was_made_at_the_step_of_the_debt_is_swept_though_others_went_on() {
    let mut bench = Bench::default();
    let mut service = written_and_indexed(&mut bench);
    let orphan = leave(&mut bench, service.head().unwrap().step);
    let mut other = self::service();
    bench.write(&mut other, upsert(2, 2));
    for _ in 0..3 {
        bench.wait(&mut service, OWED);
    }
    assert!(!bench.objects.contains_key(&orphan) && service.is_idle());
}

#[test]
fn who_cannot_delete_an_orphan_keeps_trying() {
    let mut bench = Bench::default();
    let mut service = written_and_indexed(&mut bench);
    let orphan = leave(&mut bench, Stamp(1));
    bench.locked.insert(orphan.clone());
    bench.wait(&mut service, OWED);
    assert!(!service.is_idle());
    bench.locked.clear();
    bench.wait(&mut service, OWED);
    assert!(!bench.objects.contains_key(&orphan) && service.is_idle());
}

#[test]
fn who_only_reads_or_does_not_index_owes_nothing() {
    let mut bench = Bench::default();
    written_and_indexed(&mut bench);
    let mut reader = service();
    assert_eq!(bench.lookup(&mut reader, 1), Some(1));
    assert!(reader.is_idle());
    let settings = Settings { indexes: false, ..Settings::default() };
    let name = NamespaceName::parse("ns").unwrap();
    let mut writer = NamespaceService::new(Timestamp(bench.now), name, settings);
    bench.write(&mut writer, upsert(2, 2));
    assert!(writer.is_idle());
}

#[test]
fn a_namespace_under_suspicion_is_swept_once_what_is_under_way_has_had_its_time() {
    let mut bench = Bench::default();
    written_and_indexed(&mut bench);
    let orphan = leave(&mut bench, Stamp(1));
    let mut other = service();
    bench.wait(&mut other, 10_000_000);
    other.suspect(Timestamp(bench.now));
    bench.settle(&mut other);
    bench.wait(&mut other, OWED - 100_000);
    assert!(bench.objects.contains_key(&orphan) && !other.is_idle());
    bench.wait(&mut other, 100_000);
    assert!(!bench.objects.contains_key(&orphan) && other.is_idle());
}

/// What is under suspicion and not there, or cannot be read, must not keep anybody busy.
#[test]
fn suspicion_of_what_is_not_there_ends_and_of_what_cannot_be_read_waits() {
    let (mut bench, mut nobody) = (Bench::default(), service());
    nobody.suspect(Timestamp(0));
    bench.settle(&mut nobody);
    assert!(nobody.is_idle(), "there is no head, so nothing may be deleted");
    written_and_indexed(&mut bench);
    let mut service = service();
    bench.rotten.insert(layout::head(&NamespaceName::parse("ns").unwrap()));
    service.suspect(Timestamp(bench.now));
    bench.settle(&mut service);
    bench.look();
    let (mut wakes, until) = (0, bench.now + 10 * OWED);
    while bench.now < until {
        let wake = service.wake_at(Timestamp(bench.now), WallTime(bench.now));
        bench.now = wake.expect("it will look again").0.max(bench.now + 1);
        bench.settle(&mut service);
        wakes += 1;
    }
    let asked = bench.look().1.len();
    assert!(wakes < 60 && asked < 60, "{wakes} wakes, {asked} requests in two hours");
}

/// The sweep of the hour looks at what was over by then. What has just ended has not had its time.
#[test]
fn a_debt_that_is_younger_than_a_sweep_is_paid_by_the_next() {
    let (mut bench, mut service) = (Bench::default(), service());
    bench.write(&mut service, upsert(1, 1));
    bench.wait(&mut service, 2_000);
    bench.wait(&mut service, 640_000);
    bench.wait(&mut service, 640_000);
    assert!(service.is_idle());
    let hour = service.wake_at(Timestamp(bench.now), WallTime(bench.now)).expect("it sweeps").0;
    bench.now = hour - 10_000;
    bench.write(&mut service, upsert(2, 2));
    bench.wait(&mut service, 2_000);
    bench.look();
    bench.wait(&mut service, 8_000);
    assert_eq!(listings(&bench.look().1), 1, "the sweep of the hour");
    assert!(!service.is_idle(), "another is owed");
    bench.wait(&mut service, 640_000);
    assert_eq!(listings(&bench.look().1), 1);
    assert!(service.is_idle());
}

/// What it had left was of a newer version than it knew, so its sweep passed it by (seed 578652172).
#[test]
fn who_does_not_know_what_became_of_a_write_looks_before_it_says_what_to_sweep() {
    // A look may have been under way when the write was, and seen less than that.
    for looks_before in [false, true] {
        let mut bench = Bench::default();
        let mut service = written_and_indexed(&mut bench);
        bench.wait(&mut service, OWED);
        assert!(service.is_idle());
        let before = looks_before.then(|| {
            service.look();
            let due = service.due(Timestamp(bench.now), WallTime(bench.now), 8);
            let [(id, look)]: [_; 1] = due.try_into().expect("the look");
            (id, run(&mut bench, look))
        });
        unknown_write(&mut bench, &mut service, before);
    }
}

fn unknown_write(
    bench: &mut Bench,
    service: &mut NamespaceService,
    before: Option<(TaskId, Output)>,
) {
    let mut other = self::service();
    bench.write(&mut other, upsert(2, 2));
    bench.write(&mut other, upsert(3, 3));
    bench.wait(&mut other, 2_000);
    service.write(Timestamp(bench.now), Ticket(1), upsert(4, 4), 100);
    let due = service.due(Timestamp(bench.now), WallTime(bench.now), 9);
    let [(id, _)]: [_; 1] = due.try_into().expect("the commit");
    let unknown = Err(WriteError::Unknown { commit: CommitId(Nonce(1)) });
    let (held, landed, spilled) = (None, None, Spilled::default());
    let committed = Committed { outcomes: vec![unknown], held, landed, spilled, has_written: true };
    service.finished(Timestamp(bench.now), id, Output::Commit(Box::new(committed)));
    if let Some((id, look)) = before {
        service.finished(Timestamp(bench.now), id, look);
    }
    let newest = other.head().expect("it has written").step;
    let orphan = leave(bench, Stamp(newest.0 - 1));
    while !service.is_idle() {
        bench.wait(service, OWED / 2);
        assert!(bench.now < 10 * OWED);
    }
    assert!(!bench.objects.contains_key(&orphan));
}

/// It looked again and again, could not load what it saw, and swept no more.
#[test]
fn what_cannot_be_loaded_is_swept_all_the_same() {
    let mut bench = Bench::default();
    let mut service = written_and_indexed(&mut bench);
    let (known, mut other) = (bench.objects.clone(), self::service());
    bench.write(&mut other, text(2, 1_500_000));
    bench.rotten = bench.objects.keys().filter(|key| !known.contains_key(key)).cloned().collect();
    assert_eq!(bench.rotten.len(), 1, "the log object");
    let orphan = leave(&mut bench, Stamp(1));
    service.suspect(Timestamp(bench.now));
    bench.settle(&mut service);
    bench.wait(&mut service, OWED);
    assert!(!bench.objects.contains_key(&orphan));
}

/// An object was stored for a write whose condition did not hold any more when its head was to be put.
#[test]
fn a_write_that_staged_something_and_came_to_nothing_owes_a_sweep() {
    let mut bench = Bench::default();
    let mut service = bench.idle_after_its_sweep();
    let condition = Predicate::Compare {
        attribute: "a".into(),
        operator: Operator::Eq,
        operand: Raw::Integer(1),
    };
    let large = WriteRequest { upsert_condition: Some(condition), ..text(1, 1_500_000) };
    service.write(Timestamp(bench.now), Ticket(1), large, 100);
    let due = service.due(Timestamp(bench.now), WallTime(bench.now), 9);
    let [(id, commit)]: [_; 1] = due.try_into().expect("the commit");
    let (known, (commit, puts)) = (bench.objects.clone(), until_put(&mut bench, commit));
    let replies = puts.into_iter().map(|put| bench.perform(put)).collect();
    let staged: Vec<_> =
        bench.objects.keys().filter(|key| !known.contains_key(key)).cloned().collect();
    assert_eq!(staged.len(), 1, "the log object");
    let mut other = self::service();
    bench.write(&mut other, upsert(1, 2));
    bench.wait(&mut other, 2_000);
    let step = commit.step(Timestamp(bench.now), replies);
    let output = finish(&mut bench, step);
    let words = service.finished(Timestamp(bench.now), id, output);
    let [(_, Word::Written(Ok(outcome)))] = &words[..] else { panic!("{words:?}") };
    assert_eq!(outcome.upserted, Some(0));
    while !service.is_idle() {
        bench.wait(&mut service, OWED / 2);
        assert!(bench.now < 10 * OWED);
    }
    assert!(!bench.objects.contains_key(&staged[0]));
}

/// It had known that there was no such namespace, and so that there was nothing to sweep.
#[test]
fn who_deletes_what_others_have_begun_owes_a_sweep() {
    for is_heard in [true, false] {
        let (mut bench, mut service) = (Bench::default(), service());
        service.look();
        bench.settle(&mut service);
        assert!(service.is_absent() && service.is_idle());
        written_and_indexed(&mut bench);
        service.delete(Timestamp(bench.now), Ticket(1));
        let due = service.due(Timestamp(bench.now), WallTime(bench.now), 9);
        let [(id, deletion)]: [_; 1] = due.try_into().expect("the deletion");
        let mut output = run(&mut bench, deletion);
        if !is_heard {
            output = Output::Delete(Err(DeleteError::Unknown));
        }
        service.finished(Timestamp(bench.now), id, output);
        assert_eq!(service.owes_sweep_since(), Some(Timestamp(bench.now)));
        while !service.is_idle() {
            bench.wait(&mut service, OWED / 2);
            assert!(bench.now < 10 * OWED);
        }
        let data = bench.objects.keys().filter(|key| key.as_str().starts_with("data/")).count();
        assert_eq!(data, 0, "{is_heard}");
    }
}

#[test]
fn a_write_that_is_refused_owes_nothing() {
    let mut bench = Bench::default();
    let mut service = bench.idle_after_its_sweep();
    let disagrees = WriteRequest { patches: patch(1, 1).patches, ..upsert(1, 1) };
    let word = bench.write(&mut service, disagrees);
    assert!(matches!(word, Word::Written(Err(WriteError::Invalid(_)))), "{word:?}");
    assert!(service.is_idle());
}
