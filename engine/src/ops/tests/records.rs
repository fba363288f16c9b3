//! Which record of an idempotency key counts.

use super::*;

use std::collections::BTreeSet;

use crate::machine::request::Reply;
use crate::machine::{Machine, Step};
use crate::namespace::request::QueryError;
use crate::ops::records::Records;
use crate::ops::snapshot::WINDOW_REQUESTS;

#[test]
fn records_are_read_a_window_a_round_and_each_block_once() {
    let mut world = World::new();
    // As many as take three parts of a segment, in which blocks begin at the same places.
    let keys: Vec<String> = (0..70_000).map(|n| format!("{n:0>250}")).collect();
    let records = keys.iter().map(|key| record(key, 7)).collect();
    world.commit(vec![put(1, 1)], records);
    world.flush();
    let blocks = world.snapshot.directories[0].record_blocks();
    let parts: BTreeSet<_> = blocks.iter().map(|block| block.extent.part).collect();
    let places: BTreeSet<_> = blocks.iter().map(|block| block.extent.start).collect();
    assert!(parts.len() >= 3 && places.len() < blocks.len(), "{parts:?}");
    let blocks = blocks.len();
    let first = Records::start(world.snapshot.clone(), keys.clone(), NEVER);
    let (found, rounds) = world.run(first, |_, _| None);
    assert!(found.unwrap().keys().eq(&keys));
    let (last, full) = rounds.split_last().unwrap();
    assert!(full.iter().all(|round| round.reads == WINDOW_REQUESTS));
    assert_eq!(full.len() * WINDOW_REQUESTS + last.reads, blocks);
    assert!((1..=WINDOW_REQUESTS).contains(&last.reads));
    // Whose time is over between two rounds does not ask for the second.
    let Step::Wait(reading, round) = Records::start(world.snapshot.clone(), keys, NEVER) else {
        panic!("it reads")
    };
    let replies = round.requests.iter().map(|request| world.reply(request)).collect();
    assert_eq!(reading.step(NEVER, replies), Step::Done(Err(QueryError::TooLong)));
}

#[test]
fn the_newest_record_counts_wherever_it_lies() {
    let mut world = World::new();
    for (key, at) in [("a", 21), ("b", 22), ("a", 23), ("b", 19), ("c", 24)] {
        world.commit(vec![put(at, 1)], vec![record(key, at)]);
        world.flush();
    }
    world.commit(vec![], vec![record("c", 25)]);
    let keys = || ["a", "b", "c", "d"].map(str::to_owned).to_vec();
    let first = Records::start(world.snapshot.clone(), keys(), NEVER);
    let (found, rounds) = world.run(first, |_, _| None);
    let found = found.unwrap();
    let at: Vec<_> = found.iter().map(|(key, record)| (key.as_str(), record.at.0)).collect();
    assert_eq!(at, [("a", 23), ("b", 22), ("c", 25)]);
    assert_eq!(found["a"], record("a", 23));
    // Of `c` the log knows, of `d` the filters: the blocks of the others are read.
    assert_eq!(rounds.iter().map(|round| round.reads).collect::<Vec<_>>(), [4]);
    let first = Records::start(world.snapshot.clone(), vec!["c".into()], NEVER);
    assert_eq!(world.run(first, |_, _| None).1, [], "no round if the overlay knows");
    let first = Records::start(world.snapshot.clone(), keys(), NEVER);
    let (lost, _) = world.run(first, |at, _| (at == 2).then_some(Reply::Lost));
    assert_eq!(lost, Err(QueryError::Unavailable));
}
