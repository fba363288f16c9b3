//! The first of many, but only so many of each kind.
//!
//! # Invariants
//!
//! - **P1** What is held are the least of all that were offered after each kind was cut to its least.
//!   So whatever was dropped had enough less than it, in its kind or in all, and nothing offered later
//!   can change that: a kind that gives something up has got something less in its place.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::planted::{self, Bug};

/// The least of all that were offered, at most so many in all and so many of each kind.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Spread<T, K> {
    most: usize,
    of_each: usize,
    held: BTreeMap<T, K>,
    kinds: BTreeMap<K, BTreeSet<T>>,
}

impl<T: Ord + Clone, K: Ord + Clone> Spread<T, K> {
    /// Will hold the `most` least, `of_each` of a kind.
    pub const fn new(most: usize, of_each: usize) -> Self {
        Self { most, of_each, held: BTreeMap::new(), kinds: BTreeMap::new() }
    }

    /// Whether something that compares like this to others could still be among the least.
    pub fn admits(&self, is_less_than: impl FnOnce(&T) -> bool) -> bool {
        self.most > 0 && self.bound().is_none_or(is_less_than)
    }

    /// The greatest that is held, once nothing greater can be among the least.
    pub fn bound(&self) -> Option<&T> {
        let is_full = self.held.len() >= self.most;
        self.held.last_key_value().filter(|_| is_full).map(|(bound, _)| bound)
    }

    /// Takes one more into account, of which nothing equal was offered before.
    pub fn offer(&mut self, item: T, kind: K) {
        if !self.admits(|bound| item < *bound) {
            return;
        }
        let same = self.kinds.entry(kind.clone()).or_default();
        same.insert(item.clone());
        self.held.insert(item, kind);
        if same.len() > self.of_each {
            let first = planted::is(Bug::GreatestOfAKindStay);
            let last = if first { same.pop_first() } else { same.pop_last() };
            last.and_then(|last| self.held.remove(&last));
        } else if self.held.len() > self.most
            && let Some((last, kind)) = self.held.pop_last()
            && let Some(same) = self.kinds.get_mut(&kind)
        {
            same.remove(&last);
            if same.is_empty() {
                self.kinds.remove(&kind);
            }
        }
    }

    /// What is held, ascending, each with its kind.
    pub fn iter(&self) -> impl Iterator<Item = (&T, &K)> {
        self.held.iter()
    }

    /// The least, ascending.
    pub fn into_sorted(self) -> Vec<T> {
        self.held.into_keys().collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_least_of_the_least_of_each_kind_are_held(
            kinds in prop::collection::vec(0_u8..6, 0..200),
            most in 0_usize..40,
            of_each in 1_usize..8,
        ) {
            // Distinct items in an order that has nothing to do with their kinds.
            let items: Vec<(usize, u8)> =
                kinds.iter().enumerate().map(|(at, kind)| (at * 7_919 % 10_007, *kind)).collect();
            let mut spread = Spread::new(most, of_each);
            items.iter().for_each(|(item, kind)| spread.offer(*item, *kind));
            let mut sorted = items;
            sorted.sort_unstable();
            let mut taken = [0; 6];
            sorted.retain(|(_, kind)| {
                taken[usize::from(*kind)] += 1;
                taken[usize::from(*kind)] <= of_each
            });
            sorted.truncate(most);
            let expected: Vec<usize> = sorted.into_iter().map(|(item, _)| item).collect();
            prop_assert_eq!(spread.into_sorted(), expected);
        }
    }
}
