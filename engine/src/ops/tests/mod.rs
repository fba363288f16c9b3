//! Flushes and merges on a store in memory, against a map that says what should be there.

mod collect;
mod flush;
mod matching;
mod merge;
mod records;
mod snapshot;
mod world;
mod wrong;

use world::*;

use proptest::prelude::*;

use crate::format::log::Operation;
use crate::ops::flush as flushing;

/// What happens to a namespace.
#[derive(Clone, Debug)]
enum Event {
    Commit(Vec<(u64, u64)>, bool),
    Flush(u64),
    Merge(prop::sample::Index, prop::sample::Index, usize),
    /// A merge that a commit and a flush overtake.
    Overtaken(prop::sample::Index, Vec<(u64, u64)>),
}

fn event() -> impl Strategy<Value = Event> {
    let operations = || prop::collection::vec((0..24_u64, 0..6_u64), 0..12);
    let index = any::<prop::sample::Index>;
    prop_oneof![
        4 => (operations(), any::<bool>()).prop_map(|(all, key)| Event::Commit(all, key)),
        3 => prop_oneof![Just(1), Just(u64::MAX)].prop_map(Event::Flush),
        2 => (index(), index(), prop_oneof![Just(1), Just(1 << 20)])
            .prop_map(|(from, to, window)| Event::Merge(from, to, window)),
        1 => (index(), operations()).prop_map(|(at, all)| Event::Overtaken(at, all)),
    ]
}

/// Version 0 deletes.
fn operations(all: &[(u64, u64)]) -> Vec<Operation> {
    let operation = |(id, version): &(u64, u64)| match version {
        0 => delete(*id),
        version => put(*id, *version),
    };
    all.iter().map(operation).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn segments_and_overlay_hold_what_was_written(
        events in prop::collection::vec(event(), 1..25),
    ) {
        let mut world = World::new();
        for (number, event) in events.into_iter().enumerate() {
            let segments = world.snapshot.directories.len();
            match event {
                Event::Commit(all, key) => {
                    let key = key.then(|| record(&format!("key {}", number % 5), 20 + number as u64));
                    world.commit(operations(&all), key.into_iter().collect());
                }
                Event::Flush(absorb_bytes_max) if !world.snapshot.overlay.entries().is_empty() => {
                    let settings =
                        flushing::Settings { absorb_bytes_max, ..flushing::Settings::default() };
                    let (edit, _) = world.flush_with(settings, |_, _| None);
                    world.publish_flush(&edit.unwrap());
                }
                Event::Merge(from, to, window) if segments > 0 => {
                    let (from, to) = (from.index(segments), to.index(segments));
                    world.merge(from.min(to)..from.max(to) + 1, window);
                }
                Event::Overtaken(at, all) if segments > 0 => {
                    let range = at.index(segments)..segments;
                    let (edit, _) = world.merge_with(range, WINDOW, |_, _| None);
                    world.commit(operations(&all), Vec::new());
                    world.flush();
                    world.publish_merge(&edit.unwrap());
                }
                Event::Flush(_) | Event::Merge(..) | Event::Overtaken(..) => {}
            }
            world.check();
        }
    }
}
