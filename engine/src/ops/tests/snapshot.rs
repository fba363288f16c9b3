//! How the log is loaded: in windows, each object once.

use super::*;

use crate::base::blob::Blob;
use crate::base::id::{CommitId, Nonce};
use crate::base::limits::WINDOW_BYTES;
use crate::format::frame::Damage;
use crate::format::head::{Head, State};
use crate::format::layout::{self, Family, ObjectName};
use crate::format::log::{Batch, LogEntry, Payload};
use crate::machine::request::{Reply, Request};
use crate::machine::{Machine, Step};
use crate::ops::snapshot::{Depth, Held, Refresh, RefreshError, WINDOW_REQUESTS};

/// A world whose log lies in so many objects, each of so many batches.
fn logged(objects: usize, batches: usize) -> World {
    let mut world = World::new();
    let place = world.snapshot.place.clone();
    let mut head = (*world.snapshot.head).clone();
    let State::Live(live) = &mut head.state else { panic!("a tombstone") };
    for object in 0..objects {
        let name = ObjectName { stamp: head.step, nonce: Nonce(object as u128) };
        let mut body = Vec::new();
        for batch in 0..batches {
            let id = (object * batches + batch) as u64;
            let batch = Batch { operations: vec![put(id, 1)], records: Vec::new() }.encode();
            let cursor = live.log.committed.next();
            let payload = Payload::Object { name, start: body.len() as u32 };
            let (commit, bytes) = (CommitId(Nonce(cursor.0.into())), batch.len() as u32);
            live.log.entries.push(LogEntry { cursor, commit, operations: 1, bytes, payload });
            live.log.committed = cursor;
            live.recent = vec![(cursor, commit)];
            live.log.bytes_committed += u64::from(bytes);
            body.extend_from_slice(batch.as_slice());
        }
        world.objects.insert(place.object(Family::Log, name), Blob::from(body));
    }
    put_head(&mut world, &head);
    world
}

fn put_head(world: &mut World, head: &Head) {
    world.objects.insert(layout::head(&world.snapshot.place.namespace), head.encode().into());
}

fn refresh(world: &World, held: Option<Held>) -> Step<Refresh> {
    Refresh::start(world.snapshot.place.namespace.clone(), held, Depth::Snapshot, NEVER)
}

fn words(held: &Held) -> usize {
    held.snapshot.as_ref().unwrap().overlay.words().count()
}

#[test]
fn a_long_log_is_loaded_in_windows() {
    let mut world = logged(2 * WINDOW_REQUESTS + 1, 1);
    let first = refresh(&world, None);
    let (held, rounds) = world.run(first, |_, _| None);
    assert_eq!(words(&held.unwrap()), 2 * WINDOW_REQUESTS + 1);
    let reads: Vec<_> = rounds.iter().map(|round| round.reads).collect();
    assert_eq!(reads, [1, WINDOW_REQUESTS, WINDOW_REQUESTS, 1], "the head, then the log");
}

#[test]
fn a_window_holds_no_more_bytes_than_it_may() {
    let mut world = logged(3, 1);
    let place = world.snapshot.place.clone();
    let mut head = Head::decode(
        &layout::head(&place.namespace),
        &world.objects[&layout::head(&place.namespace)],
    )
    .unwrap();
    let State::Live(live) = &mut head.state else { panic!("a tombstone") };
    // A head that says so; nothing reads as far as that.
    for entry in &mut live.log.entries {
        entry.bytes = WINDOW_BYTES as u32 / 2;
    }
    live.log.bytes_committed = 3 * (WINDOW_BYTES as u64 / 2);
    put_head(&mut world, &head);
    let Step::Wait(refresh, round) = refresh(&world, None) else { panic!("the head is asked for") };
    let replies = vec![world.reply(&round.requests[0])];
    let Step::Wait(_, round) = refresh.step(NEVER, replies) else { panic!("the log is read") };
    assert_eq!(round.requests.len(), 2, "two halves");
}

#[test]
fn batches_that_were_spilled_together_are_read_together() {
    let mut world = logged(2, 100);
    let first = refresh(&world, None);
    let (held, rounds) = world.run(first, |_, _| None);
    assert_eq!(words(&held.unwrap()), 200);
    let reads: Vec<_> = rounds.iter().map(|round| round.reads).collect();
    assert_eq!(reads, [1, 2]);
}

/// Of two objects, where one goes on at the place at which the other ends; and of one, with a gap.
#[test]
fn what_does_not_lie_side_by_side_is_read_by_itself() {
    for objects in [1, 2] {
        let mut world = logged(objects, 3 - objects);
        let key = layout::head(&world.snapshot.place.namespace);
        let mut head = Head::decode(&key, &world.objects[&key]).unwrap();
        let State::Live(live) = &mut head.state else { panic!("a tombstone") };
        let second = &mut live.log.entries[1];
        let Payload::Object { name, start } = &mut second.payload else { panic!("inline") };
        let object = world.snapshot.place.object(Family::Log, *name);
        let mut body = world.objects[&object].as_slice().to_vec();
        let gap = if objects == 1 { 3 } else { second.bytes };
        body.splice(*start as usize..*start as usize, vec![0; gap as usize]);
        *start += gap;
        world.objects.insert(object, body.into());
        put_head(&mut world, &head);
        let first = refresh(&world, None);
        let (held, rounds) = world.run(first, |_, _| None);
        assert_eq!(words(&held.unwrap()), 2);
        let reads: Vec<_> = rounds.iter().map(|round| round.reads).collect();
        assert_eq!(reads, [1, 2]);
    }
}

#[test]
fn only_what_is_not_held_is_read() {
    let mut world = logged(2, 3);
    let first = refresh(&world, None);
    let (held, _) = world.run(first, |_, _| None);
    let mut longer = logged(3, 3);
    let first = refresh(&longer, held.ok());
    let (held, rounds) = longer.run(first, |_, _| None);
    assert_eq!(words(&held.unwrap()), 9);
    let reads: Vec<_> = rounds.iter().map(|round| round.reads).collect();
    assert_eq!(reads, [1, 1]);
}

#[test]
fn who_holds_the_head_alone_is_not_told_that_nothing_has_changed() {
    let mut world = logged(1, 1);
    let namespace = world.snapshot.place.namespace.clone();
    let first = Refresh::start(namespace, None, Depth::Head, NEVER);
    let (held, rounds) = world.run(first, |_, _| None);
    assert_eq!(rounds.len(), 1);
    let held = held.unwrap();
    assert!(held.snapshot.is_none() && held.live().is_some());
    let unless = |step: &Step<Refresh>| match step {
        Step::Wait(_, round) => match &round.requests[..] {
            [Request::Get { unless, .. }] => unless.is_some(),
            other => panic!("{other:?}"),
        },
        Step::Done(_) => panic!("the head is asked for"),
    };
    let first = refresh(&world, Some(held));
    assert!(!unless(&first));
    let (held, _) = world.run(first, |_, _| None);
    let first = refresh(&world, held.ok());
    assert!(unless(&first), "who holds all of it asks for what is newer");
}

#[test]
fn a_log_object_that_was_cut_short_is_damaged() {
    let mut world = logged(2, 2);
    let name = ObjectName { stamp: world.snapshot.head.step, nonce: Nonce(1) };
    let key = world.snapshot.place.object(Family::Log, name);
    let whole = world.objects[&key].clone();
    world.objects.insert(key.clone(), whole.slice(0, whole.len() - 1).unwrap());
    let first = refresh(&world, None);
    let (outcome, _) = world.run(first, |_, _| None);
    let expected = whole.len() as u64;
    let bad = Damage::Length { found: expected - 1, expected }.of(&key);
    let version = outcome.as_ref().err().and_then(|error| match error {
        RefreshError::Damaged { version, .. } => version.clone(),
        RefreshError::Unavailable => None,
    });
    let head = layout::head(&world.snapshot.place.namespace);
    let newest = Head::decode(&head, &world.objects[&head]).unwrap();
    assert_eq!(version.as_ref().map(|(_, head)| &**head), Some(&newest));
    assert_eq!(outcome, Err(RefreshError::Damaged { bad, version }));
    world.objects.insert(head, Blob::from(vec![7; 100]));
    let first = refresh(&world, None);
    let (outcome, _) = world.run(first, |_, _| None);
    assert!(matches!(outcome, Err(RefreshError::Damaged { version: None, .. })), "{outcome:?}");
}

#[test]
fn a_window_that_is_not_answered_ends_the_load() {
    let mut world = logged(WINDOW_REQUESTS + 1, 1);
    let first = refresh(&world, None);
    let last = WINDOW_REQUESTS + 2;
    let (outcome, _) = world.run(first, |asked, _| (asked == last).then_some(Reply::Lost));
    assert_eq!(outcome, Err(RefreshError::Unavailable));
}
