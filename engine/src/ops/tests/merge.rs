//! Merges: what they keep, what they ask, and what stops them.

use super::world::*;
use core::time::Duration;

use crate::base::time::{Timestamp, WallTime};
use crate::base::value::{Document, Id, Scalar, Value};
use crate::format::log::Operation;
use crate::machine::request::{Reply, Request};
use crate::machine::{Machine, Step};
use crate::ops::merge::{Merge, MergePlan, Merged};
use crate::ops::read::ReadError;

impl World {
    pub(super) fn merge_with(
        &mut self,
        segments: core::ops::Range<usize>,
        window_bytes: usize,
        fate: impl FnMut(usize, &Request) -> Option<Reply>,
    ) -> (Result<Merged, ReadError>, Vec<Asked>) {
        let plan = self.merge_plan(segments);
        self.run(Merge::with(Timestamp(0), plan, window_bytes), fate)
    }

    fn merge_plan(&mut self, segments: core::ops::Range<usize>) -> MergePlan {
        MergePlan {
            snapshot: self.snapshot.clone(),
            segments,
            nonces: self.nonces(),
            wall: WallTime(1000),
            idempotency_retention: Duration::from_millis(1000 - FORGOTTEN),
            deadline: NEVER,
        }
    }

    pub(super) fn publish_merge(&mut self, merged: &Merged) {
        self.change(|live, _| live.manifest = merged.edit.apply(&live.manifest).unwrap());
        if let Some(made) = &merged.directory {
            let read = self.snapshot.directory_of(made.segment()).unwrap();
            assert_eq!(format!("{made:?}"), format!("{read:?}"), "it is the one in the store");
        }
    }

    pub(super) fn merge(
        &mut self,
        range: core::ops::Range<usize>,
        window_bytes: usize,
    ) -> Vec<Asked> {
        let (edit, rounds) = self.merge_with(range, window_bytes, |_, _| None);
        self.publish_merge(&edit.unwrap());
        rounds
    }
}

#[test]
fn a_merge_keeps_rows_and_leaves_out_the_dead() {
    let mut world = World::new();
    world.commit((0..500).map(|id| put(id, 1)).collect(), vec![record("a", 21), record("b", 21)]);
    world.flush();
    world.commit((250..600).map(|id| put(id, 2)).collect(), vec![record("a", 29)]);
    world.flush();
    world.commit((0..50).map(delete).collect(), vec![]);
    world.flush();
    world.merge(0..2, 1 << 20);
    let segments = &world.snapshot.live().manifest.segments;
    assert_eq!((segments.len(), segments[0].rows, segments[0].kills), (2, 550, 0), "J1, J2");
    world.check();
    // A change of a row that a merge moved finds it under its old number.
    world.commit(vec![put(300, 7), put(100, 7)], vec![]);
    world.flush();
    world.check();
    world.merge(0..3, 1 << 20);
    let manifest = &world.snapshot.live().manifest;
    assert_eq!((manifest.segments.len(), manifest.segments[0].rows), (1, 550));
    assert_eq!(manifest.segments[0].kills, 0);
    let bytes: u64 = world.model.values().map(Document::logical_bytes).sum();
    assert_eq!(manifest.logical_bytes, bytes);
    world.check();
}

#[test]
fn a_merge_that_does_not_hold_the_killed_rows_keeps_the_kills() {
    let mut world = World::new();
    for version in 1..4 {
        world.commit((0..20).map(|id| put(id, version)).collect(), vec![]);
        world.flush();
    }
    world.merge(1..3, 1 << 20);
    let segments = &world.snapshot.live().manifest.segments;
    assert_eq!((segments.len(), segments[1].rows, segments[1].kills), (2, 20, 20), "J2");
    world.check();
    world.merge(0..2, 1 << 20);
    world.check();
}

#[test]
fn a_merge_of_nothing_but_the_dead_leaves_no_segment() {
    let mut world = World::new();
    world.commit((0..20).map(|id| put(id, 1)).collect(), vec![]);
    world.flush();
    world.commit((0..20).map(delete).collect(), vec![]);
    world.flush();
    world.merge(0..2, 1 << 20);
    assert_eq!(world.snapshot.live().manifest.segments, []);
    world.check();
    world.commit(vec![put(3, 2)], vec![]);
    world.flush();
    world.check();
}

#[test]
fn a_merge_lands_over_a_flush_that_came_between() {
    let mut world = World::new();
    for version in 1..3 {
        world.commit((0..40).map(|id| put(id, version)).collect(), vec![]);
        world.flush();
    }
    let (edit, _) = world.merge_with(0..2, WINDOW, |_, _| None);
    world.commit(vec![put(1, 5), delete(2)], vec![]);
    world.flush();
    world.publish_merge(&edit.unwrap());
    world.check();
}

#[test]
fn old_idempotency_records_are_forgotten_by_a_merge() {
    let mut world = World::new();
    let records = vec![record("old", FORGOTTEN - 1), record("new", FORGOTTEN)];
    world.commit(vec![put(1, 1)], records);
    world.flush();
    world.merge(0..1, WINDOW);
    world.keys.remove("old");
    world.check();
}

#[test]
fn a_small_merge_takes_four_rounds() {
    let mut world = World::new();
    for version in 1..9 {
        world.commit((0..30).map(|id| put(id, version)).collect(), vec![record("k", 20 + version)]);
        world.flush();
    }
    let rounds = world.merge(0..8, WINDOW);
    let counts: Vec<_> = rounds.iter().map(|round| (round.reads, round.writes)).collect();
    assert_eq!(counts, [(8, 0), (8, 0), (8, 0), (0, 1)], "pages, ids, records, parts");
    world.check();
}

#[test]
fn a_merge_asks_for_one_window_a_round_and_uploads_beside_it() {
    let mut world = World::new();
    for n in 0..4 {
        let batch = (0..40_000).map(|id| put(n * 30_000 + id, n + 1)).collect();
        world.commit(batch, vec![]);
        world.flush();
    }
    let window = 64 << 10;
    let rounds = world.merge(0..4, window);
    assert!(rounds.len() > 20);
    // One page may be larger than what is left of the window, and bytes between neighbours are read.
    let reads = rounds.iter().filter(|round| round.writes == 0).map(|round| round.bytes);
    let most = reads.max().unwrap();
    assert!(most < 8 * window, "a round read {most} bytes");
    let manifest = &world.snapshot.live().manifest;
    assert_eq!((manifest.segments.len(), manifest.live_rows), (1, 130_000));
    assert_eq!(manifest.segments[0].rows, 130_000);
}

#[test]
fn a_merge_survives_lost_parts_and_reports_lost_reads() {
    let mut world = World::new();
    for version in 1..3 {
        world.commit((0..40).map(|id| put(id, version)).collect(), vec![]);
        world.flush();
    }
    let mut lost = 3;
    let (edit, _) = world.merge_with(0..2, WINDOW, |_, request| {
        let spoil = !request.is_read() && lost > 0;
        lost -= usize::from(spoil);
        spoil.then_some(Reply::Lost)
    });
    world.publish_merge(&edit.unwrap());
    world.check();
    let late = |_: usize, request: &Request| request.is_read().then_some(Reply::Lost);
    assert_eq!(world.merge_with(0..1, WINDOW, late).0, Err(ReadError::Late));
    let gone = |_: usize, request: &Request| request.is_read().then_some(Reply::Missing);
    let vanished = world.merge_with(0..1, WINDOW, gone).0;
    assert!(matches!(vanished, Err(ReadError::Vanished { .. })));
}

#[test]
fn a_part_that_was_not_stored_is_stored_again_after_a_pause() {
    let mut world = World::new();
    world.commit((0..40).map(|id| put(id, 1)).collect(), vec![]);
    world.flush();
    let plan = world.merge_plan(0..1);
    let (mut now, mut pauses, mut step) =
        (Timestamp(5_000), 0, Merge::start(Timestamp(5_000), plan));
    while let Step::Wait(merge, round) = step {
        if round.requests.is_empty() && now < round.until {
            pauses += 1;
            let pause = round.until.0 - now.0;
            assert!((100..=200).contains(&pause), "{pause} ms");
            now = round.until;
        }
        let lose = |request: &Request| !request.is_read() && pauses < 3;
        let answer = |request| {
            if lose(request) { Reply::Throttled } else { world.reply(request) }
        };
        let replies = round.requests.iter().map(answer).collect();
        step = merge.step(now, replies);
    }
    assert!(matches!(step, Step::Done(Ok(_))), "{step:?}");
    assert_eq!(pauses, 3);
}

/// Parts are given away when they are full: else all of a segment would be in memory (J3).
#[test]
fn a_merge_stores_full_parts_while_it_reads_on() {
    let mut world = World::new();
    let mut random = 1_u64;
    // Nothing that could be pressed.
    let mut text = || {
        let mut next = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b' ' + (random >> 40) as u8 % 95)
        };
        (0..500_000).map(|_| next()).collect::<String>()
    };
    for batch in 0..4 {
        let documents = (0..14).map(|n| {
            let value = Value::Scalar(Scalar::String(text().into()));
            Operation::Put(Document {
                id: Id::Uint(batch * 14 + n),
                attributes: vec![(TEXT, value)],
            })
        });
        world.commit(documents.collect(), vec![]);
        world.flush();
    }
    let rounds = world.merge(0..4, WINDOW);
    let parts = world.snapshot.live().manifest.segments[0].parts.len();
    assert!(parts > 1, "or this shows nothing");
    let beside = rounds.iter().filter(|round| round.reads > 0 && round.writes > 0);
    assert_eq!(beside.count(), parts - 1, "all but the last: {rounds:?}");
    world.check();
}

#[test]
fn every_flipped_byte_of_an_input_stops_a_merge_with_the_name_of_the_object() {
    let mut world = World::new();
    for version in 1..3 {
        world.commit((0..6).map(|id| put(id, version)).collect(), vec![record("k", 20 + version)]);
        world.flush();
    }
    let (whole, _) = world.merge_with(0..2, WINDOW, |_, _| None);
    assert!(whole.is_ok());
    let segment = &world.snapshot.live().manifest.segments[0];
    let (directory, key) =
        (segment.directory, segment.key(&world.snapshot.place, &segment.directory));
    let body = world.objects[&key].clone();
    for place in 0..directory.start as usize {
        let mut bytes = body.as_slice().to_vec();
        bytes[place] ^= 0x10;
        world.objects.insert(key.clone(), bytes.into());
        let (edit, _) = world.merge_with(0..2, WINDOW, |_, _| None);
        let named = matches!(&edit, Err(ReadError::Damaged(bad)) if bad.key == key);
        assert!(named, "byte {place}: {edit:?}");
    }
}
