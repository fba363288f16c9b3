//! Writes by filter.

use super::bench::*;

use crate::base::name::AttributeName;
use crate::base::time::{Timestamp, WallTime};
use crate::base::value::{Raw, Scalar, ScalarType, Type, Value};
use crate::machine::{Machine, Step};
use crate::namespace::request::{
    AttributeRequest, ByFilter, Consistency, Found, InvalidWrite, Operator, Predicate,
    QueryRequest, WriteError, WriteRequest,
};
use crate::service::namespace::{Ticket, Word};

fn smaller_than(a: i128) -> ByFilter {
    let (attribute, operand) = ("a".to_owned(), Raw::Integer(a));
    let filter = Predicate::Compare { attribute, operator: Operator::Lt, operand };
    ByFilter { filter, allows_partial: false }
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
        let step = task.step(Timestamp(bench.now), replies);
        let output = finish(&mut bench, step);
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
    let step = task.step(Timestamp(bench.now), replies);
    let output = finish(&mut bench, step);
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

/// What was matched is brought up to date by the log, and a dropped attribute leaves no word there on the
/// documents that lose it. Found by a seed of the simulator, and by a reader.
#[test]
fn what_a_filter_matched_is_found_again_if_its_attribute_was_dropped_meanwhile() {
    let (mut bench, mut first, mut second) = (Bench::default(), service(), service());
    bench.write(&mut first, upsert(1, 1));
    bench.write(&mut first, upsert(2, 2));
    let operand = Raw::Integer(1);
    let filter = Predicate::Compare { attribute: "a".into(), operator: Operator::Gte, operand };
    let by_filter = ByFilter { filter, allows_partial: false };
    let request = WriteRequest { delete_by_filter: Some(by_filter), ..WriteRequest::default() };
    first.write(Timestamp(bench.now), Ticket(1), request, 100);
    let starts = first.due(Timestamp(bench.now), WallTime(bench.now), 77);
    let [(id, start)] = <[_; 1]>::try_from(starts).expect("a commit");
    let (task, requests) = until_put(&mut bench, start);
    let name = AttributeName::parse("a").unwrap();
    let declared = AttributeRequest::of(Type::Scalar(ScalarType::Int));
    let again = WriteRequest {
        drops: vec![name.clone()],
        schema: vec![(name, declared)],
        upserts: Some(vec![document(3, 5), document(4, 50)]),
        ..WriteRequest::default()
    };
    bench.write(&mut second, again);
    let replies = requests.into_iter().map(|r| bench.perform(r)).collect();
    let step = task.step(Timestamp(bench.now), replies);
    let output = finish(&mut bench, step);
    let words = first.finished(Timestamp(bench.now), id, output);
    let (_, word) = words.into_iter().next().expect("the write is answered");
    assert_eq!(written(word).deleted, Some(2), "those that have a value");
    for (id, is_there) in [(1, true), (2, true), (3, false), (4, false)] {
        first.query(Timestamp(bench.now), Ticket(2), by_id(id));
        let Some(Word::Answered(Ok(answer))) = bench.settle(&mut first).remove(&Ticket(2)) else {
            panic!("it is answered")
        };
        let Found::Rows(rows) = answer.found else { panic!("rows are wanted") };
        assert_eq!(!rows.is_empty(), is_there, "{id}");
    }
}

#[test]
fn of_documents_that_are_too_large_together_a_part_is_changed_if_that_is_enough() {
    let (mut bench, mut service) = (Bench::default(), service());
    for id in 0..40 {
        bench.write(&mut service, text(id, 7_000_000));
    }
    let name = AttributeName::parse("a").unwrap();
    let request = |allows_partial| {
        let operand = Raw::Null;
        let filter = Predicate::Compare { attribute: "b".into(), operator: Operator::Eq, operand };
        let by_filter = ByFilter { filter, allows_partial };
        let patch_by_filter = Some((by_filter, vec![(name.clone(), Raw::Integer(1))]));
        WriteRequest { patch_by_filter, ..WriteRequest::default() }
    };
    let declared = vec![(
        AttributeName::parse("b").unwrap(),
        AttributeRequest::of(Type::Scalar(ScalarType::Int)),
    )];
    bench.write(&mut service, WriteRequest { schema: declared, ..WriteRequest::default() });
    let refused = bench.write(&mut service, request(false));
    let too_large = matches!(
        refused,
        Word::Written(Err(WriteError::Invalid(InvalidWrite::MatchesTooLarge { .. })))
    );
    assert!(too_large, "{refused:?}");
    let outcome = written(bench.write(&mut service, request(true)));
    assert_eq!((outcome.patched, outcome.remaining), (Some(12), Some(true)));
    // What is too much at the version that is held need not be so at the newest.
    let deletes = Some((0..35).map(Raw::Integer).collect());
    bench.write(&mut self::service(), WriteRequest { deletes, ..WriteRequest::default() });
    let outcome = written(bench.write(&mut service, request(false)));
    assert_eq!((outcome.patched, outcome.remaining), (Some(5), Some(false)));
}
