//! An ordered map whose copies share what neither of them has changed since.
//!
//! Entries stand on boards, in order, a few dozen on each. A copy copies a pointer for each board; who
//! changes an entry makes its board his own first.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Values by ordered keys.
#[derive(Clone, Debug)]
pub struct Shelf<K, V> {
    /// None of them is empty.
    boards: Vec<Arc<Vec<(K, V)>>>,
}

/// Entries of one board, at most.
const BOARD: usize = 64;

impl<K, V> Default for Shelf<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> Shelf<K, V> {
    /// An empty map.
    pub const fn new() -> Self {
        Self { boards: Vec::new() }
    }

    /// All entries, in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.boards.iter().flat_map(|board| board.iter().map(|(key, value)| (key, value)))
    }
}

impl<K: Ord, V> Shelf<K, V> {
    /// Which board a key belongs on.
    fn board_of<Q: Ord + ?Sized>(&self, key: &Q) -> usize
    where
        K: Borrow<Q>,
    {
        let before = self.boards.partition_point(|board| board[0].0.borrow() <= key);
        before.saturating_sub(1)
    }

    /// The value of a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let board = self.boards.get(self.board_of(key))?;
        let place = board.binary_search_by(|(other, _)| other.borrow().cmp(key)).ok()?;
        Some(&board[place].1)
    }

    /// The entries from this key on.
    pub fn from<'a>(&'a self, first: &K) -> impl Iterator<Item = (&'a K, &'a V)> {
        let board = self.board_of(first);
        let skipped = self.boards.get(board);
        let skipped = skipped.map_or(0, |board| board.partition_point(|(key, _)| key < first));
        let boards = self.boards.iter().skip(board);
        let entries = boards.flat_map(|board| board.iter().map(|(key, value)| (key, value)));
        entries.skip(skipped)
    }
}

impl<K: Ord + Clone, V: Clone> Shelf<K, V> {
    /// Puts a value under a key. What was there before is given back.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let n = self.board_of(&key);
        let Some(board) = self.boards.get_mut(n) else {
            self.boards.push(Arc::new(vec![(key, value)]));
            return None;
        };
        let board = Arc::make_mut(board);
        match board.binary_search_by(|(other, _)| other.cmp(&key)) {
            Ok(place) => Some(std::mem::replace(&mut board[place].1, value)),
            Err(place) => {
                board.insert(place, (key, value));
                if board.len() > BOARD {
                    let rest = board.split_off(BOARD / 2);
                    self.boards.insert(n + 1, Arc::new(rest));
                }
                None
            }
        }
    }

    /// Takes the value of a key out.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let n = self.board_of(key);
        let board = self.boards.get_mut(n)?;
        let place = board.binary_search_by(|(other, _)| other.borrow().cmp(key)).ok()?;
        let board = Arc::make_mut(board);
        let (_, value) = board.remove(place);
        if board.is_empty() {
            self.boards.remove(n);
        }
        Some(value)
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for Shelf<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<K: Eq, V: Eq> Eq for Shelf<K, V> {}

impl<K: Hash, V: Hash> Hash for Shelf<K, V> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut count = 0_usize;
        for entry in self.iter() {
            entry.hash(state);
            count += 1;
        }
        count.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::digest;

    #[test]
    fn it_is_the_map_that_it_stands_for() {
        let (mut shelf, mut map) = (Shelf::new(), BTreeMap::new());
        for n in 0_u64..5_000 {
            let key = n * 2_654_435_761 % 701;
            if n % 3 == 0 {
                assert_eq!(shelf.remove(&key), map.remove(&key));
            } else {
                assert_eq!(shelf.insert(key, n), map.insert(key, n));
            }
            assert_eq!(shelf.get(&key), map.get(&key));
            if n % 100 == 0 {
                assert!(shelf.iter().eq(map.iter()));
                assert!(shelf.from(&key).eq(map.range(key..)));
            }
        }
    }

    #[test]
    fn a_copy_shares_boards_and_equal_maps_are_equal_however_they_came_about() {
        let forward: Shelf<u32, u32> = (0..1_000).fold(Shelf::new(), |mut shelf, n| {
            shelf.insert(n, n);
            shelf
        });
        let backward = (0..1_000).rev().fold(Shelf::new(), |mut shelf, n| {
            shelf.insert(n, n);
            shelf
        });
        assert_eq!(forward, backward);
        assert_eq!(digest::of(&forward), digest::of(&backward));
        let mut copy = forward.clone();
        copy.insert(500, 7);
        let same = forward.boards.iter().zip(&copy.boards).filter(|(a, b)| Arc::ptr_eq(a, b));
        assert_eq!(same.count() + 1, forward.boards.len());
        assert_eq!((forward.get(&500), copy.get(&500)), (Some(&500), Some(&7)));
    }
}
