//! Looks for an order in which all requests on one object can have taken effect.
//!
//! The history is read from its first moment to its last. A *way* is a state that the object may be
//! in, with the requests under way that have taken effect in it. A request has to have taken effect
//! when it ends; then the ways in which it has not are led on, through every order of the other
//! requests under way, until it has. Ways in which it cannot are dropped. If none is left, no order
//! explains the replies. All ways are followed and equal ones once, so this is a decision and not a
//! guess (Wing and Gong's search, led on only where a reply demands it, as Lowe does).
//!
//! # What is left out, and why nothing is lost by it
//!
//! - **Q1** A request that changes nothing takes effect as soon as it fits: it hinders no other.
//! - **Q2** Of equal requests the one that ends first takes effect first: they could be exchanged.
//! - **Q3** Of two ways with equal states, if one has used a lost write that the other may still use,
//!   the other can do all that the first can.

use std::collections::BTreeSet;

use super::register::{Deed, State};

/// One request on one object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Op {
    /// Its place in the history.
    pub(super) entry: usize,
    /// It took effect after this moment.
    pub(super) begin: u64,
    /// And before this one. A lost write has none.
    pub(super) end: Option<u64>,
    /// Whether it did take effect.
    pub(super) must: bool,
    /// What it did and found.
    pub(super) deed: Deed,
}

/// What a search came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Found {
    /// There is an order. So many ways were open at once.
    Order { ways: usize },
    /// There is none: this request cannot have been answered so.
    None { at: usize },
    /// There were more ways than could be followed.
    TooMany,
}

/// A state, and the requests under way that have taken effect, in ascending order.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Way {
    state: State,
    done: Vec<u32>,
}

impl Way {
    fn has(&self, op: u32) -> bool {
        self.done.binary_search(&op).is_ok()
    }

    fn with(mut self, op: u32) -> Self {
        if let Err(place) = self.done.binary_search(&op) {
            self.done.insert(place, op);
        }
        self
    }

    fn without(mut self, op: u32) -> Self {
        self.done.retain(|done| *done != op);
        self
    }
}

/// Looks for an order of these requests that begins in one of these states. `most` is how many ways
/// are followed at once.
pub(super) fn order(ops: &[Op], first: &[State], most: usize) -> Found {
    let ways = first.iter().map(|state| Way { state: *state, done: Vec::new() }).collect();
    let mut search = Search { ops, alike: alike(ops), open: Vec::new(), ways, most };
    let mut widest = search.ways.len();
    for (_, event) in events(ops) {
        match event {
            Event::Begin(op) => search.begin(op),
            Event::End(op) => {
                let Some(ways) = search.end(op) else { return Found::TooMany };
                if ways.is_empty() {
                    return Found::None { at: op as usize };
                }
                search.ways = ways;
                search.drop_wasteful();
            }
        }
        widest = widest.max(search.ways.len());
    }
    Found::Order { ways: widest }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Begin(u32),
    End(u32),
}

/// All beginnings and ends in their order. At equal moments both may have come first.
fn events(ops: &[Op]) -> Vec<(u64, Event)> {
    let mut events = Vec::with_capacity(ops.len() * 2);
    for (index, op) in ops.iter().enumerate() {
        events.push((op.begin, Event::Begin(index as u32)));
        events.extend(op.end.map(|end| (end, Event::End(index as u32))));
    }
    events.sort_unstable();
    events
}

/// For each request, a number that it shares with those that differ from it only in their moments.
fn alike(ops: &[Op]) -> Vec<u32> {
    let kinds: BTreeSet<(&Deed, bool)> = ops.iter().map(|op| (&op.deed, op.must)).collect();
    let kinds: Vec<(&Deed, bool)> = kinds.into_iter().collect();
    let number = |op: &Op| kinds.binary_search(&(&op.deed, op.must)).unwrap_or(usize::MAX) as u32;
    ops.iter().map(number).collect()
}

struct Search<'a> {
    ops: &'a [Op],
    alike: Vec<u32>,
    /// What is under way. Lost writes stay.
    open: Vec<u32>,
    /// Never empty.
    ways: BTreeSet<Way>,
    most: usize,
}

impl Search<'_> {
    fn op(&self, op: u32) -> &Op {
        &self.ops[op as usize]
    }

    fn begin(&mut self, op: u32) {
        self.open.push(op);
        let deed = &self.ops[op as usize].deed;
        if !deed.changes() {
            let ways = std::mem::take(&mut self.ways).into_iter();
            let look = |way: Way| if deed.fits(way.state) { way.with(op) } else { way };
            self.ways = ways.map(look).collect();
        }
    }

    /// The ways in which `op` has taken effect, now that it is over. `None` if there are too many.
    fn end(&mut self, op: u32) -> Option<BTreeSet<Way>> {
        let mut after = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut waiting = Vec::new();
        for way in std::mem::take(&mut self.ways) {
            if way.has(op) {
                after.insert(way.without(op));
            } else {
                if !self.op(op).must {
                    after.insert(way.clone());
                }
                waiting.push(way);
            }
        }
        while let Some(way) = waiting.pop() {
            for next in self.next(&way) {
                if next.has(op) {
                    after.insert(next.without(op));
                } else if seen.insert(next.clone()) {
                    waiting.push(next);
                }
            }
            if seen.len() + after.len() > self.most {
                return None;
            }
        }
        self.open.retain(|open| *open != op);
        Some(after)
    }

    /// The ways that one more change leads to.
    fn next(&self, way: &Way) -> Vec<Way> {
        let mut next = Vec::new();
        for op in self.open.iter().copied().filter(|op| !way.has(*op)) {
            if !self.op(op).deed.changes() || self.is_behind_another(op, way) {
                continue;
            }
            for state in self.op(op).deed.leaves(way.state) {
                let mut led = Way { state, done: way.done.clone() }.with(op);
                for look in &self.open {
                    let deed = &self.op(*look).deed;
                    if !deed.changes() && deed.fits(state) {
                        led = led.with(*look);
                    }
                }
                next.push(led);
            }
        }
        next
    }

    /// Whether an equal request should take effect before this one (Q2).
    fn is_behind_another(&self, op: u32, way: &Way) -> bool {
        let rank = |op: u32| (self.op(op).end.unwrap_or(u64::MAX), op);
        let is_ahead = |other: u32| {
            self.alike[other as usize] == self.alike[op as usize] && rank(other) < rank(op)
        };
        self.open.iter().any(|other| is_ahead(*other) && !way.has(*other))
    }

    /// Drops the ways that have used a lost write for nothing (Q3).
    fn drop_wasteful(&mut self) {
        let is_lost = |op: &u32| self.op(*op).end.is_none();
        if self.ways.len() < 2 || !self.open.iter().any(is_lost) {
            return;
        }
        let ways: Vec<&Way> = self.ways.iter().collect();
        let is_wasteful = |way: &&Way| {
            let saves = |other: &&Way| {
                other.state == way.state
                    && other.done.len() < way.done.len()
                    && other.done.iter().all(|op| way.has(*op))
                    && way.done.iter().all(|op| is_lost(op) || other.has(*op))
            };
            let start = ways.partition_point(|other| other.state < way.state);
            ways[start..].iter().take_while(|other| other.state == way.state).any(saves)
        };
        let wasteful: Vec<Way> = ways.iter().copied().filter(is_wasteful).cloned().collect();
        for way in wasteful {
            self.ways.remove(&way);
        }
    }
}
