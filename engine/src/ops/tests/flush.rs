//! Flushes: what they ask, what they leave, and what stops them.

use super::world::*;

use crate::base::id::{Cursor, Row};
use crate::machine::request::Reply;
use crate::ops::flush::{self};
use crate::ops::read::ReadError;

#[test]
fn new_ids_are_flushed_in_one_round_of_uploads() {
    let mut world = World::new();
    world.commit((0..100).map(|id| put(id, 1)).collect(), vec![record("a", 21)]);
    world.commit((50..150).map(|id| put(id, 2)).collect(), vec![]);
    let rounds = world.flush();
    assert_eq!(
        rounds.iter().map(|round| (round.reads, round.writes)).collect::<Vec<_>>(),
        [(0, 1)]
    );
    let manifest = &world.snapshot.live().manifest;
    assert_eq!((manifest.live_rows, manifest.next_row), (150, Row(150)), "L1");
    world.commit((1000..1010).map(|id| put(id, 3)).collect(), vec![]);
    let rounds = world.flush();
    assert_eq!((rounds.len(), rounds[0].reads), (1, 0));
    world.check();
}

#[test]
fn changed_ids_cost_one_round_of_their_blocks() {
    let mut world = World::new();
    world.commit((0..9000).map(|id| put(id, 1)).collect(), vec![]);
    world.flush();
    let blocks = world.snapshot.directories[0].id_blocks().len();
    assert!(blocks > 5);
    world.commit(vec![put(5, 2), delete(6), put(8000, 2), delete(77_777)], vec![]);
    let rounds = world.flush();
    assert_eq!(rounds.iter().map(|r| (r.reads, r.writes)).collect::<Vec<_>>(), [(2, 0), (0, 1)]);
    let manifest = &world.snapshot.live().manifest;
    assert_eq!((manifest.live_rows, manifest.segments[1].kills), (8999, 3));
    world.check();
    // With a window of one byte each block has a round of its own.
    world.commit(vec![put(5, 3), put(8000, 3), put(4000, 3)], vec![]);
    let settings = flush::Settings { window_bytes: 1, ..flush::Settings::default() };
    let (edit, rounds) = world.flush_with(settings, |_, _| None);
    assert!(rounds.len() > 3 && rounds.iter().all(|round| round.reads + round.writes == 1));
    world.publish_flush(&edit.unwrap());
    world.check();
}

#[test]
fn deletes_of_nothing_leave_nothing() {
    let mut world = World::new();
    world.commit(vec![delete(1), put(2, 1), delete(2)], vec![]);
    let (edit, rounds) = world.flush_with(flush::Settings::default(), |_, _| None);
    let edit = edit.unwrap();
    assert_eq!((&edit.edit.segment, edit.edit.to, rounds.len()), (&None, Cursor(1), 0));
    world.publish_flush(&edit);
    world.check();
    // A commit without rows that has a key is remembered.
    world.commit(vec![], vec![record("key", 23)]);
    world.flush();
    world.check();
}

#[test]
fn a_flush_takes_no_more_than_it_may_and_at_least_one_entry() {
    let mut world = World::new();
    for version in 1..5 {
        world.commit((0..50).map(|id| put(id, version)).collect(), vec![]);
    }
    let bytes = u64::from(world.snapshot.live().log.entries[0].bytes);
    let tests = [(0, 1), (bytes, 1), (bytes * 5 / 2, 2), (u64::MAX, 4)];
    for (absorb_bytes_max, to) in tests {
        let settings = flush::Settings { absorb_bytes_max, ..flush::Settings::default() };
        let (edit, _) = world.flush_with(settings, |_, _| None);
        assert_eq!(edit.unwrap().edit.to, Cursor(to));
    }
}

#[test]
fn a_part_whose_reply_was_lost_is_created_under_another_name() {
    let spoiled = [Reply::Lost, Reply::Throttled, Reply::Refused];
    for reply in spoiled {
        let mut world = World::new();
        world.commit(vec![put(1, 1)], vec![]);
        let mut keys = Vec::new();
        let (edit, rounds) = world.flush_with(flush::Settings::default(), |n, request| {
            keys.push(request.key().clone());
            (n == 1).then(|| reply.clone())
        });
        assert_eq!(rounds.len(), 2);
        assert_ne!(keys[0], keys[1], "U1");
        world.publish_flush(&edit.unwrap());
        world.check();
    }
}

#[test]
fn a_flush_that_cannot_read_or_write_says_why() {
    let mut world = World::new();
    world.commit(vec![put(1, 1)], vec![]);
    world.flush();
    world.commit(vec![put(1, 2)], vec![]);
    let settings = flush::Settings::default;
    let key = world.objects.keys().next().unwrap().clone();
    let with = |world: &mut World, reply: Option<Reply>| {
        let (edit, _) =
            world.flush_with(
                settings(),
                |_, request| {
                    if request.is_read() { reply.clone() } else { None }
                },
            );
        edit
    };
    let missing = with(&mut world, Some(Reply::Missing));
    assert_eq!(missing, Err(ReadError::Vanished { key: key.clone() }));
    assert_eq!(with(&mut world, Some(Reply::Lost)), Err(ReadError::Late));
    let whole = world.objects[&key].clone();
    let mut bytes = whole.as_slice().to_vec();
    for byte in &mut bytes {
        *byte ^= 1;
    }
    world.objects.insert(key.clone(), bytes.into());
    let damaged = with(&mut world, None);
    assert!(matches!(damaged, Err(ReadError::Damaged(bad)) if bad.key == key));
    world.objects.insert(key, whole);
    let (late, _) =
        world.flush_with(settings(), |_, request| (!request.is_read()).then_some(Reply::Lost));
    assert_eq!(late, Err(ReadError::Late), "the deadline ends the attempts");
}
