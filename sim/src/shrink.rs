//! Makes a failing run short: fewer nodes, namespaces, clients and faults, weaker ones, less time.
//!
//! A candidate is a [`Trace`] with something less in it; it counts if the *same* oracle breaks. What it
//! decided in vain is dropped, and it is the trace from then on. This is delta debugging (Zeller and
//! Hildebrandt, 2002) over decisions by their places: leaving one out leaves the others where they are.
//!
//! # Story
//!
//! 1. *World*: one namespace, fewer nodes and clients, and no more time than it takes.
//! 2. *Whole kinds*: all decisions of a client, of a node, of a site; then chunks, halves first, single
//!    ones last.
//! 3. *Closer*: turns in which a client says nothing are taken out, and what becomes of a node's nth
//!    request becomes of an earlier one. A turn less means fewer requests, so that both often go
//!    together: without it a fate would hit another request than it did.
//! 4. *Weaker*: each decision goes a way nearer to the calm one.
//! 5. *Pairs*: once there are few, any two are left out together.
//!
//! Again from the beginning until a whole pass finds nothing, or the effort is spent.

use std::collections::BTreeSet;

use crate::choices::{Place, Scope, Ways};
use crate::oracles::Oracle;
use crate::story::Story;
use crate::trace::Trace;
use crate::world::Run;
use crate::world::size::Size;

/// A trace that was made shorter.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The shortest that was found.
    pub trace: Trace,
    /// Decisions before.
    pub before: usize,
    /// Runs it took.
    pub runs: u64,
}

/// Shrinks a failing trace in at most so many runs. `report` hears of each success. `None` if it does
/// not fail, or fails otherwise than said.
pub fn shrink(
    trace: Trace,
    oracle: Oracle,
    effort: u64,
    report: impl FnMut(&Trace, u64),
) -> Option<Shrunk> {
    let before = trace.ways.len();
    let mut shrinker = Shrinker { oracle, left: effort, runs: 0, best: trace.clone(), report };
    if !shrinker.keeps(trace) {
        return None;
    }
    while shrinker.pass() {}
    Some(Shrunk { trace: shrinker.best, before, runs: shrinker.runs })
}

struct Shrinker<R> {
    oracle: Oracle,
    left: u64,
    runs: u64,
    best: Trace,
    report: R,
}

impl<R: FnMut(&Trace, u64)> Shrinker<R> {
    /// Tries everything once. Whether anything helped.
    fn pass(&mut self) -> bool {
        let before = (weight(&self.best), self.best.size);
        self.smaller_world();
        self.whole_kinds();
        self.chunks();
        self.fewer_turns();
        self.earlier();
        self.weaker();
        self.pairs();
        (weight(&self.best), self.best.size) != before && self.left > 0
    }

    /// Takes a candidate over if it still fails.
    fn keeps(&mut self, mut candidate: Trace) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        self.runs += 1;
        let Run { broken, ways, .. } = candidate.run(Story::silent());
        if broken.is_none_or(|broken| broken.oracle != self.oracle) {
            return false;
        }
        candidate.ways = ways;
        self.best = candidate;
        (self.report)(&self.best, self.runs);
        true
    }

    fn keeps_size(&mut self, size: Size) -> bool {
        size != self.best.size && self.keeps(Trace { size, ..self.best.clone() })
    }

    fn keeps_without(&mut self, gone: impl Fn(&Place) -> bool) -> bool {
        let mut ways = self.best.ways.clone();
        ways.retain(|place, _| !gone(place));
        ways.len() < self.best.ways.len() && self.keeps(Trace { ways, ..self.best.clone() })
    }

    fn smaller_world(&mut self) {
        let fewer = |n: usize| [1, n / 2, n - 1].into_iter().filter(move |m| (1..n).contains(m));
        for spaces in fewer(self.best.size.spaces) {
            if self.keeps_size(Size { spaces, ..self.best.size }) {
                break;
            }
        }
        for nodes in fewer(self.best.size.nodes) {
            let Size { nodes_per_space, .. } = self.best.size;
            let nodes_per_space = nodes_per_space.min(nodes);
            if self.keeps_size(Size { nodes, nodes_per_space, ..self.best.size }) {
                break;
            }
        }
        for clients_per_space in fewer(self.best.size.clients_per_space) {
            if self.keeps_size(Size { clients_per_space, ..self.best.size }) {
                break;
            }
        }
        for part in [8, 4, 2] {
            while self.keeps_size(Size { busy: self.best.size.busy / part, ..self.best.size }) {}
        }
    }

    fn whole_kinds(&mut self) {
        let sites: BTreeSet<_> = self.best.ways.keys().map(|place| place.site).collect();
        for site in sites {
            self.keeps_without(|place| place.site == site);
        }
        let owners: BTreeSet<_> = self.best.ways.keys().map(|place| owner(place.scope)).collect();
        for owner in owners {
            self.keeps_without(|place| self::owner(place.scope) == owner);
        }
        let scopes: BTreeSet<_> = self.best.ways.keys().map(|place| place.scope).collect();
        if scopes.len() <= SCOPES_MAX {
            for scope in scopes {
                self.keeps_without(|place| place.scope == scope);
            }
        }
    }

    /// Leaves out one chunk after the other, and then chunks of half the size.
    fn chunks(&mut self) {
        let mut size = self.best.ways.len().div_ceil(2);
        while size > 0 && self.left > 0 {
            let mut end = self.best.ways.len();
            while end > 0 {
                let first = end.saturating_sub(size);
                let gone: BTreeSet<Place> =
                    self.best.ways.keys().take(end).skip(first).copied().collect();
                self.keeps_without(|place| gone.contains(place));
                end = first.min(self.best.ways.len());
            }
            size = if size == 1 { 0 } else { size.div_ceil(2) };
        }
    }

    /// Takes turns of clients out, so that later ones come sooner. What nodes send becomes less with
    /// them, so each is tried with the fates of requests moved as well.
    fn fewer_turns(&mut self) {
        let turns: BTreeSet<(u32, u32)> =
            self.best.ways.keys().filter_map(|place| turn(place.scope)).collect();
        let clients: BTreeSet<u32> = turns.iter().map(|(client, _)| *client).collect();
        for client in clients {
            self.keeps_moved(|scope| Some(compacted(scope, client, &turns)));
        }
        let mut turns: Vec<(u32, u32)> =
            self.best.ways.keys().filter_map(|place| turn(place.scope)).collect();
        turns.dedup();
        for (client, gone) in turns.into_iter().rev() {
            for shift in 0..=SHIFT_MOST {
                let moved = |scope| without_turn(scope, client, gone).map(|s| earlier(s, shift));
                if self.keeps_moved(moved) {
                    break;
                }
            }
        }
    }

    /// What becomes of a node's nth request becomes of an earlier one.
    fn earlier(&mut self) {
        let scopes: BTreeSet<Scope> = self.best.ways.keys().map(|place| place.scope).collect();
        for scope in scopes.into_iter().filter(|scope| earlier(*scope, 1) != *scope) {
            for shift in [1_000_000, 8, 4, 2, 1] {
                let to = earlier(scope, shift);
                if self.keeps_moved(|one| Some(if one == scope { to } else { one })) {
                    break;
                }
            }
        }
    }

    fn keeps_moved(&mut self, to: impl Fn(Scope) -> Option<Scope>) -> bool {
        let moved = |(place, way): (&Place, &u32)| {
            Some((Place { scope: to(place.scope)?, ..*place }, *way))
        };
        let ways: Ways = self.best.ways.iter().filter_map(moved).collect();
        ways != self.best.ways && self.keeps(Trace { ways, ..self.best.clone() })
    }

    /// Leaves out any two.
    fn pairs(&mut self) {
        let mut first = 0;
        while first < self.best.ways.len() && self.best.ways.len() <= PAIRS_MOST {
            let mut second = first + 1;
            while second < self.best.ways.len() {
                let gone = [first, second].map(|n| self.best.ways.keys().nth(n).copied());
                if !self.keeps_without(|place| gone.contains(&Some(*place))) {
                    second += 1;
                }
            }
            first += 1;
        }
    }

    fn weaker(&mut self) {
        let places: Vec<Place> = self.best.ways.keys().copied().collect();
        for place in places {
            while let Some(way) = self.best.ways.get(&place).copied() {
                let nearer = [1, way / 2, way - 1].into_iter().filter(|w| (1..way).contains(w));
                let with = |nearer: u32| {
                    let ways = Ways::from([(place, nearer)]);
                    let ways = self.best.ways.clone().into_iter().chain(ways).collect();
                    Trace { ways, ..self.best.clone() }
                };
                let candidates: Vec<Trace> = nearer.map(with).collect();
                if !candidates.into_iter().any(|candidate| self.keeps(candidate)) {
                    break;
                }
            }
        }
    }
}

/// Where there are more scopes than this, chunks come first.
const SCOPES_MAX: usize = 300;

/// Of more decisions than this, no pairs are tried.
const PAIRS_MOST: usize = 60;
/// So many requests less a turn less may mean.
const SHIFT_MOST: u32 = 3;

/// How heavy a trace is: its decisions, how far they are from calm, and how late they are.
pub fn weight(trace: &Trace) -> (usize, u64, u64) {
    let ways = trace.ways.values().map(|way| u64::from(*way)).sum();
    let late = trace.ways.keys().map(|place| u64::from(number(place.scope))).sum();
    (trace.ways.len(), ways, late)
}

/// Which of its kind a scope is.
const fn number(scope: Scope) -> u32 {
    match scope {
        Scope::Turn(_, n) | Scope::Thought(_, n) => n,
        Scope::Write(.., n) | Scope::Read(.., n) => n,
        _ => 0,
    }
}

/// The client's turn that a scope is.
const fn turn(scope: Scope) -> Option<(u32, u32)> {
    match scope {
        Scope::Turn(client, n) => Some((client, n)),
        _ => None,
    }
}

/// The scope, once this client has no turns but these.
fn compacted(scope: Scope, client: u32, turns: &BTreeSet<(u32, u32)>) -> Scope {
    let before = |n: u32| turns.range((client, 0)..(client, n)).count() as u32;
    match scope {
        Scope::Turn(one, n) if one == client => Scope::Turn(one, before(n) + 1),
        Scope::Thought(one, n) if one == client => Scope::Thought(one, before(n + 1)),
        scope => scope,
    }
}

/// The scope, once this turn of a client is gone.
const fn without_turn(scope: Scope, client: u32, gone: u32) -> Option<Scope> {
    match scope {
        Scope::Turn(one, n) if one == client && n == gone => None,
        Scope::Thought(one, n) if one == client && n == gone => None,
        Scope::Turn(one, n) if one == client && n > gone => Some(Scope::Turn(one, n - 1)),
        Scope::Thought(one, n) if one == client && n > gone => Some(Scope::Thought(one, n - 1)),
        scope => Some(scope),
    }
}

/// The scope of a request that the same node sent so many before, but not before its first.
fn earlier(scope: Scope, shift: u32) -> Scope {
    let back = |n: u32| n.saturating_sub(shift).max(1);
    match scope {
        Scope::Write(node, space, n) => Scope::Write(node, space, back(n)),
        Scope::Read(node, space, n) => Scope::Read(node, space, back(n)),
        scope => scope,
    }
}

/// Whose decisions these are: all those of a client, or what a node sends about a namespace.
fn owner(scope: Scope) -> Scope {
    match scope {
        Scope::Turn(client, _) => Scope::Turn(client, 0),
        Scope::Thought(client, _) => Scope::Thought(client, 0),
        Scope::Write(node, space, _) => Scope::Write(node, space, 0),
        Scope::Read(node, space, _) => Scope::Read(node, space, 0),
        Scope::Reply(node, space, _) => Scope::Reply(node, space, 0),
        Scope::Watch(node, space, _) => Scope::Watch(node, space, 0),
        Scope::Begin(node, space, _) => Scope::Begin(node, space, 0),
        Scope::Compute(node, space, _) => Scope::Compute(node, space, 0),
        Scope::Weather(_) => Scope::Weather(0),
        Scope::Member(_) => Scope::Member(0),
        Scope::Rolled(_) => Scope::Rolled(0),
        Scope::Survivor(_) => Scope::Survivor(0),
        Scope::World | Scope::Space(_) | Scope::Node(_) | Scope::Fleet | Scope::Aim => scope,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm;
    use sana_engine::base::planted::{self, Bug};

    #[test]
    fn a_failing_run_shrinks_to_a_few_decisions_and_fails_as_before() {
        planted::choose(Some(Bug::LostIsSuccess));
        let failing = (0..200).map(|seed| Trace::of(seed, swarm::size(3, 5)));
        let failing = failing.filter_map(|(trace, run)| Some((trace, run.broken?.oracle)));
        let (trace, oracle) = failing.into_iter().next().expect("a seed finds it");
        let shrunk = shrink(trace, oracle, 3_000, |_, _| ()).expect("it fails again");
        let again = shrunk.trace.run(Story::silent());
        planted::choose(None);
        assert_eq!(again.broken.map(|broken| broken.oracle), Some(oracle));
        assert!(shrunk.trace.ways.len() <= 25, "{} decisions are left", shrunk.trace.ways.len());
        assert!(shrunk.before > 4 * shrunk.trace.ways.len());
    }
}
