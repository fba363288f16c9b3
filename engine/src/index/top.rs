//! The first of many, in bounded memory.

use core::cmp::Ordering;
use core::hash::{Hash, Hasher};

/// The least of all that were offered, as many as asked for.
///
/// Twice as many are held before the greater half is dropped, so an offer costs a comparison and now
/// and then a share of a sort.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Top<T> {
    most: usize,
    held: Vec<T>,
    /// See [`Top::bound`].
    bound: Option<T>,
}

impl<T: Ord + Clone> Top<T> {
    /// Will hold the `most` least.
    pub const fn new(most: usize) -> Self {
        Self { most, held: Vec::new(), bound: None }
    }

    /// As many as asked for are known to be less than this or equal, if so many were offered.
    pub const fn bound(&self) -> Option<&T> {
        self.bound.as_ref()
    }

    /// Whether something that compares like this to others could still be among the least. Saves
    /// making it when it could not.
    pub fn admits(&self, is_less_than: impl FnOnce(&T) -> bool) -> bool {
        self.most > 0 && self.bound().is_none_or(is_less_than)
    }

    /// Takes one more into account.
    pub fn offer(&mut self, item: T) {
        if self.admits(|bound| item < *bound) {
            self.held.push(item);
            if self.held.len() >= 2 * self.most.max(32) {
                self.prune();
            }
        }
    }

    /// What is held now: the least so far, and some more.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.held.iter()
    }

    /// The least, ascending.
    pub fn into_sorted(mut self) -> Vec<T> {
        self.held.sort_unstable();
        self.held.truncate(self.most);
        self.held
    }

    fn prune(&mut self) {
        self.held.select_nth_unstable(self.most - 1);
        self.held.truncate(self.most);
        self.bound = self.held.last().cloned();
    }
}

/// A distance: ordered by size, compared and hashed by its bits.
#[derive(Clone, Copy, Debug)]
pub struct Distance(pub f32);

impl PartialEq for Distance {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Distance {}

impl PartialOrd for Distance {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Distance {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl Hash for Distance {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_least_of_all_are_held_in_order(
            items in prop::collection::vec(0_u32..500, 0..600), most in 0_usize..80,
        ) {
            let mut top = Top::new(most);
            items.iter().for_each(|item| top.offer(*item));
            let mut expected = items;
            expected.sort_unstable();
            expected.truncate(most);
            prop_assert!(top.held.len() <= 2 * most.max(32));
            prop_assert_eq!(top.into_sorted(), expected);
        }
    }
}
