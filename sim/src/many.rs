//! Many values of one kind, each shared between the worlds that have it until one of them changes it.
//!
//! A copy of a world copies a pointer for each of them. Who changes one makes it its own first, so a
//! fork costs what it changes of it.

use std::hash::{Hash, Hasher};
use std::ops::{Index, IndexMut};
use std::sync::Arc;

/// Values by their numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Many<T>(Vec<Arc<T>>);

impl<T> Many<T> {
    /// How many there are.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &T> {
        self.0.iter().map(Arc::as_ref)
    }

    /// How many of them are not the very values that the other has under the same numbers.
    pub fn own_beside(&self, other: &Self) -> usize {
        let same = self.0.iter().zip(&other.0).filter(|(a, b)| Arc::ptr_eq(a, b));
        self.0.len() - same.count()
    }
}

impl<T> FromIterator<T> for Many<T> {
    fn from_iter<I: IntoIterator<Item = T>>(all: I) -> Self {
        Self(all.into_iter().map(Arc::new).collect())
    }
}

impl<T> Index<usize> for Many<T> {
    type Output = T;

    fn index(&self, n: usize) -> &T {
        &self.0[n]
    }
}

impl<T: Clone> IndexMut<usize> for Many<T> {
    fn index_mut(&mut self, n: usize) -> &mut T {
        Arc::make_mut(&mut self.0[n])
    }
}

impl<T: Hash> Hash for Many<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_owns_what_was_changed_in_it() {
        let first: Many<u32> = (0..100).collect();
        let mut second = first.clone();
        assert_eq!(second.own_beside(&first), 0);
        second[7] += 1;
        second[9] += 1;
        assert_eq!((second.own_beside(&first), first[7], second[7]), (2, 7, 8));
    }
}
