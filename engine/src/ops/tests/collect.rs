//! What a collection asks for, step by step.

use core::time::Duration;
use std::sync::Arc;

use crate::base::id::{Incarnation, Nonce, Nonces, Stamp};
use crate::base::name::NamespaceName;
use crate::base::time::{Timestamp, WallTime};
use crate::format::head::{Head, State, Trash};
use crate::format::layout::{Family, ObjectName};
use crate::machine::request::{Reply, Request, Tag};
use crate::machine::{Machine, Step};
use crate::ops::collect::{BATCH, Collect, CollectPlan};

const RETENTION: Duration = Duration::from_secs(1);
const DEADLINE: Timestamp = Timestamp(1_000);

/// A head with this floor and trash of one object for each of these steps and stamps.
fn head(floor: u64, trash: impl IntoIterator<Item = (u64, u64)>) -> Head {
    let mut head = Head::create(None, Nonce(1), Incarnation(Nonce(9)), WallTime(0));
    let State::Live(live) = &mut head.state else { panic!("it lives") };
    live.trash.extend(trash.into_iter().map(|(retired, stamp)| {
        let name = ObjectName { stamp: Stamp(stamp), nonce: Nonce(retired.into()) };
        let names = vec![(Family::Segment, name)];
        Trash { retired: Stamp(retired), at: WallTime(0), names }
    }));
    (head.floor, head.step) = (Stamp(floor), Stamp(10_000));
    head
}

fn collect(head: Head) -> Step<Collect> {
    let plan = CollectPlan {
        namespace: NamespaceName::parse("ns").unwrap(),
        wall: WallTime(60_000),
        retention: RETENTION,
        nonces: Nonces::new(7),
        deadline: DEADLINE,
    };
    Collect::start(Timestamp(0), plan, Tag::new("1"), &Arc::new(head))
}

fn asked(step: Step<Collect>) -> (Collect, Vec<Request>) {
    match step {
        Step::Wait(collect, round) => (collect, round.requests),
        Step::Done(done) => panic!("it is over: {done:?}"),
    }
}

fn puts(requests: &[Request]) -> bool {
    matches!(requests, [Request::Put { .. }])
}

#[test]
fn an_object_goes_only_below_the_floor() {
    let (_, requests) = asked(collect(head(6, [(8, 5)])));
    assert!(matches!(requests[..], [Request::Delete { .. }]), "{requests:?}");
    let (raising, requests) = asked(collect(head(5, [(8, 5)])));
    assert!(puts(&requests), "X1: the floor is not above it: {requests:?}");
    let stored = vec![Reply::Stored { tag: Tag::new("2") }];
    let (_, requests) = asked(raising.step(Timestamp(1), stored));
    assert!(matches!(requests[..], [Request::Delete { .. }]), "and now it is: {requests:?}");
}

#[test]
fn a_collection_deletes_in_rounds_and_forgets_what_went_and_no_more() {
    let all = 2 * BATCH as u64;
    let (deleting, requests) = asked(collect(head(9_000, (1..=all).map(|n| (n, n)))));
    assert_eq!(requests.len(), BATCH);
    let mut replies = vec![Reply::Deleted; BATCH];
    replies[0] = Reply::Throttled;
    let (deleting, requests) = asked(deleting.step(Timestamp(1), replies));
    assert_eq!(requests.len(), BATCH);
    let (forgetting, requests) = asked(deleting.step(Timestamp(2), vec![Reply::Deleted; BATCH]));
    let [Request::Put { key, body, .. }] = &requests[..] else { panic!("{requests:?}") };
    let next = Head::decode(key, body).unwrap();
    assert_eq!(next.live().unwrap().trash.len(), 1, "what the store did not let go stays");
    let stored = vec![Reply::Stored { tag: Tag::new("2") }];
    let Step::Done(done) = forgetting.step(Timestamp(3), stored) else { panic!("it is over") };
    assert_eq!((done.deleted, done.kept), (all - 1, 1));
    assert!(done.version.is_some());
}

#[test]
fn a_collection_that_runs_out_of_time_says_what_is_left() {
    let all = 2 * BATCH as u64 + 1;
    let (deleting, _) = asked(collect(head(9_000, (1..=all).map(|n| (n, n)))));
    let Step::Done(done) = deleting.step(DEADLINE, vec![Reply::Deleted; BATCH]) else {
        panic!("it goes on when its time is over")
    };
    assert_eq!((done.deleted, done.kept, done.version), (BATCH as u64, all - BATCH as u64, None));
}
