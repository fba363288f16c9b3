//! Is there an order? Wing and Gong's search as Lowe and Porcupine do it, for any state machine.
//!
//! A history is a set of operations, each with the moments of its beginning and of its end, and what was
//! told of it. It is *linearizable* if the operations can be put into one order, in which none stands
//! behind another that began after its end, and in which the machine answers each as it was answered.
//! An operation without an end may stand anywhere behind its beginning, or nowhere.
//!
//! The search goes down one order after the other and never twice from the same state with the same
//! operations behind it. So it is a decision and no guess, unless it gives up, and then it says so.

use std::collections::BTreeSet;

use crate::digest::{self, Digest};

/// A state machine.
pub trait Model {
    /// Its state.
    type State: Clone;
    /// An operation, and what was told of it if anything was.
    type Deed;

    /// The state after an operation; `None` if it cannot have been answered so in this state.
    fn apply(&mut self, state: &Self::State, deed: &Self::Deed) -> Option<Self::State>;

    /// What tells one state from another.
    fn digest(state: &Self::State) -> Digest;
}

/// One operation of a history.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Op<D> {
    /// When it began. No two moments of a history are the same.
    pub begin: u64,
    /// When it ended. `None`: nobody knows whether it happened, or will.
    pub end: Option<u64>,
    /// What it did.
    pub deed: D,
}

/// What a search came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// There is an order: this one, by places in the history.
    Order(Vec<usize>),
    /// There is none. The longest that was found ended before one of these.
    None(Vec<usize>),
    /// The search gave up.
    GaveUp,
}

/// One operation of an order, and what was tried behind it.
struct Level<S> {
    state: S,
    /// What may come next.
    next: Vec<usize>,
    /// What was put here, if it is not the first level.
    put: Option<usize>,
}

/// Looks for an order that begins in a state. Visits at most so many states.
pub fn check<M: Model>(
    model: &mut M,
    ops: &[Op<M::Deed>],
    first: M::State,
    most: usize,
) -> Verdict {
    let mut done = vec![false; ops.len()];
    let mut left = ops.iter().filter(|op| op.end.is_some()).count();
    let mut seen = BTreeSet::new();
    let (mut longest, mut stuck) = (0, Vec::new());
    let mut levels = vec![Level { state: first, next: candidates(ops, &done), put: None }];
    loop {
        if left == 0 {
            return Verdict::Order(levels.iter().filter_map(|level| level.put).collect());
        }
        let depth = levels.len();
        let Some(level) = levels.last_mut() else { return Verdict::None(stuck) };
        if depth > longest {
            (longest, stuck) = (depth, level.next.clone());
        }
        let Some(op) = level.next.pop() else {
            let put = levels.pop().and_then(|level| level.put);
            if let Some(op) = put {
                done[op] = false;
                left += usize::from(ops[op].end.is_some());
            }
            continue;
        };
        let Some(state) = model.apply(&level.state, &ops[op].deed) else { continue };
        done[op] = true;
        if !seen.insert(digest::of(&(&done, M::digest(&state)))) {
            done[op] = false;
            continue;
        }
        if seen.len() > most {
            return Verdict::GaveUp;
        }
        left -= usize::from(ops[op].end.is_some());
        let next = candidates(ops, &done);
        levels.push(Level { state, next, put: Some(op) });
    }
}

/// The operations that may come next: those that began before any that is left has ended. The first to
/// end is the last, for it is tried first.
fn candidates<D>(ops: &[Op<D>], done: &[bool]) -> Vec<usize> {
    let left = || ops.iter().enumerate().filter(|(place, _)| !done[*place]);
    let bound = left().filter_map(|(_, op)| op.end).min().unwrap_or(u64::MAX);
    let mut next: Vec<usize> =
        left().filter(|(_, op)| op.begin < bound).map(|(place, _)| place).collect();
    next.sort_by_key(|place| core::cmp::Reverse(ops[*place].end.unwrap_or(u64::MAX)));
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A register that is written and read.
    struct Register;

    #[derive(Debug)]
    enum Deed {
        Write(u32),
        Read(u32),
    }

    impl Model for Register {
        type State = u32;
        type Deed = Deed;

        fn apply(&mut self, state: &u32, deed: &Deed) -> Option<u32> {
            match deed {
                Deed::Write(n) => Some(*n),
                Deed::Read(n) => (n == state).then_some(*state),
            }
        }

        fn digest(state: &u32) -> Digest {
            (*state).into()
        }
    }

    fn verdict(ops: Vec<(u64, Option<u64>, Deed)>) -> Verdict {
        let op = |(begin, end, deed)| Op { begin, end, deed };
        let ops: Vec<Op<Deed>> = ops.into_iter().map(op).collect();
        check(&mut Register, &ops, 0, 10_000)
    }

    #[test]
    fn what_overlaps_may_stand_either_way_and_what_does_not_may_not() {
        use Deed::{Read, Write};
        let overlap = vec![(0, Some(5), Write(1)), (1, Some(3), Read(1)), (2, Some(4), Read(1))];
        assert!(matches!(verdict(overlap), Verdict::Order(_)));
        let back = vec![(0, Some(9), Write(1)), (1, Some(3), Read(1)), (4, Some(5), Read(0))];
        assert!(matches!(verdict(back), Verdict::None(_)));
        let stale = vec![(0, Some(1), Write(1)), (2, Some(3), Read(0))];
        assert!(matches!(verdict(stale), Verdict::None(_)));
    }

    #[test]
    fn what_nobody_knows_of_may_happen_late_or_never_but_once() {
        use Deed::{Read, Write};
        let late = |reads: [u32; 3]| {
            let mut ops = vec![(0, None, Write(7)), (1, Some(2), Write(1))];
            let read = |(n, value): (u64, u32)| (3 + 2 * n, Some(4 + 2 * n), Read(value));
            ops.extend((0..).zip(reads).map(read));
            matches!(verdict(ops), Verdict::Order(_))
        };
        assert!(late([1, 1, 1]) && late([1, 7, 7]) && late([7, 7, 7]));
        assert!(!late([1, 7, 1]) && !late([0, 1, 1]));
    }

    #[test]
    fn a_search_that_gives_up_says_so() {
        let ops: Vec<Op<Deed>> = (0..12)
            .map(|n| Op { begin: n, end: Some(100 + n), deed: Deed::Write(n as u32) })
            .collect();
        let never = Op { begin: 200, end: Some(201), deed: Deed::Read(99) };
        let ops: Vec<Op<Deed>> = ops.into_iter().chain([never]).collect();
        assert_eq!(check(&mut Register, &ops, 0, 100), Verdict::GaveUp);
        assert!(matches!(check(&mut Register, &ops, 0, 100_000), Verdict::None(_)));
    }
}
