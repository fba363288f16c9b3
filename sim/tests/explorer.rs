//! What the explorer leaves out loses nothing: with and without, the same is found.

use sana_engine::base::planted::{self, Bug};
use sana_sim::arena::setup::{self, Reach};
use sana_sim::arena::{LeavesOut, Setup};
use sana_sim::explore::{Bounds, Exploration, explore};
use sana_sim::guard;

/// Explorations of more worlds than this are not compared: it would take minutes.
const WORLDS: usize = 120_000;

fn small(name: &str) -> Setup {
    setup::named(name, Reach::Small).expect("it is in the list of names")
}

fn explored(setup: Setup, leaves_out: LeavesOut) -> Exploration {
    let bounds = Bounds { worlds: WORLDS, threads: 1 };
    explore(&Setup { leaves_out, ..setup }.begin(), bounds, |_, _| ())
}

#[test]
fn what_is_left_out_loses_no_outcome_and_no_mark() {
    let mut compared = 0;
    for name in setup::NAMES {
        let all = explored(small(name), LeavesOut::NOTHING);
        if all.is_cut {
            continue;
        }
        compared += 1;
        for (orders, images) in [(true, false), (false, true), (true, true)] {
            let some = explored(small(name), LeavesOut { orders, images });
            assert_eq!((&all.failure, all.marks), (&some.failure, some.marks), "{name}");
            assert_eq!(all.outcomes, some.outcomes, "{name}: {orders} {images}");
            assert!(some.states <= all.states, "{name}");
        }
    }
    assert!(compared > 8, "only {compared} are small enough to be compared");
}

#[test]
fn of_worlds_in_which_actors_have_changed_places_one_is_entered() {
    let entered = |images, orders| explored(small("three"), LeavesOut { orders, images }).states;
    for orders in [false, true] {
        let (all, one) = (entered(false, orders), entered(true, orders));
        // Worlds in which the three are as each other are their own images, so it is not quite a sixth.
        assert!(one * 5 < all && all <= one * 6, "{one} of {all}");
    }
}

#[test]
fn planted_bugs_are_found_all_the_same() {
    guard::silence_panics();
    let hunts = [
        ("commit", Bug::LostIsSuccess),
        ("commit", Bug::OwnPutIsAnothers),
        ("race", Bug::RefusedIsSuccess),
        ("three", Bug::UnknownIsFailure),
        ("group", Bug::ThrottledIsSuccess),
        ("flush", Bug::RebaseKeepsItsHead),
        ("delete", Bug::RingOfAnotherLife),
        ("delete", Bug::DeletionGoesIntoNextLife),
        ("merge", Bug::MergeInputsUnchecked),
        ("collect", Bug::OrphansAboveFloor),
        ("spill", Bug::UnstoredIsNamed),
        ("retry", Bug::NotDecidedAgain),
    ];
    for (name, bug) in hunts {
        planted::choose(Some(bug));
        let [all, some] = [LeavesOut::NOTHING, LeavesOut::ALL].map(|leaves_out| {
            explored(small(name), leaves_out).failure.map(|failure| failure.broken.oracle)
        });
        planted::choose(None);
        assert!(all.is_some(), "{name} does not find {bug:?} at all");
        assert_eq!(all, some, "{name}, {bug:?}");
    }
}
