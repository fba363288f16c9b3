//! Which entries to keep: SIEVE (Zhang et al., NSDI 2024).
//!
//! Entries stand in the order in which they came. A hit only marks its entry. When room is needed, a
//! hand walks from the oldest towards the newest: it clears marks and evicts the first entry without
//! one. So what is read once goes soon, and what is read often stays, without moving anything on a
//! hit.

use std::collections::BTreeMap;

/// Entries up to a number of bytes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Sieve<K, V> {
    places: BTreeMap<K, usize>,
    entries: Vec<Option<Entry<K, V>>>,
    /// Places in `entries` that are empty.
    free: Vec<usize>,
    newest: Option<usize>,
    oldest: Option<usize>,
    /// Where the hand stands; at the oldest if nowhere.
    hand: Option<usize>,
    bytes: usize,
    bytes_max: usize,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Entry<K, V> {
    key: K,
    value: V,
    bytes: usize,
    marked: bool,
    newer: Option<usize>,
    older: Option<usize>,
}

/// The largest entry, as a part of all there may be: one that is larger pushes out too much.
const SHARE_MAX: usize = 8;

impl<K: Ord + Clone, V> Sieve<K, V> {
    pub(super) const fn new(bytes_max: usize) -> Self {
        Self {
            places: BTreeMap::new(),
            entries: Vec::new(),
            free: Vec::new(),
            newest: None,
            oldest: None,
            hand: None,
            bytes: 0,
            bytes_max,
        }
    }

    /// Bytes of all entries.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The value of a key, which counts as read.
    pub(super) fn find(&mut self, key: &K) -> Option<&V> {
        let place = *self.places.get(key)?;
        let entry = self.entries[place].as_mut()?;
        entry.marked = true;
        Some(&entry.value)
    }

    /// Takes an entry in and evicts others until all fit. One that is there, or too large, is not
    /// taken in.
    pub(super) fn insert(&mut self, key: K, value: V, bytes: usize) {
        if bytes > self.bytes_max / SHARE_MAX || self.places.contains_key(&key) {
            return;
        }
        while self.bytes + bytes > self.bytes_max && self.evict() {}
        let entry = Entry {
            key: key.clone(),
            value,
            bytes,
            marked: false,
            newer: None,
            older: self.newest,
        };
        let place = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            self.entries.len() - 1
        });
        self.entries[place] = Some(entry);
        match self.newest {
            Some(newest) => self.link(newest, |entry| entry.newer = Some(place)),
            None => self.oldest = Some(place),
        }
        self.newest = Some(place);
        self.places.insert(key, place);
        self.bytes += bytes;
    }

    /// Removes the entries from `first` on as long as they are such.
    pub(super) fn remove_all(&mut self, first: &K, is_such: impl Fn(&K) -> bool) {
        let such = self.places.range(first..).take_while(|(key, _)| is_such(key));
        let places: Vec<usize> = such.map(|(_, place)| *place).collect();
        for place in places {
            if self.hand == Some(place) {
                self.hand = self.entries[place].as_ref().and_then(|entry| entry.newer);
            }
            self.remove(place);
        }
    }

    /// Evicts one entry, if there is one.
    fn evict(&mut self) -> bool {
        let mut at = self.hand.or(self.oldest);
        while let Some(place) = at {
            let Some(entry) = self.entries[place].as_mut() else { break };
            if !entry.marked {
                self.hand = entry.newer;
                self.remove(place);
                return true;
            }
            entry.marked = false;
            at = entry.newer.or(self.oldest);
        }
        false
    }

    fn remove(&mut self, place: usize) {
        let Some(entry) = self.entries[place].take() else { return };
        match entry.newer {
            Some(newer) => self.link(newer, |other| other.older = entry.older),
            None => self.newest = entry.older,
        }
        match entry.older {
            Some(older) => self.link(older, |other| other.newer = entry.newer),
            None => self.oldest = entry.newer,
        }
        self.places.remove(&entry.key);
        self.free.push(place);
        self.bytes -= entry.bytes;
    }

    fn link(&mut self, place: usize, change: impl FnOnce(&mut Entry<K, V>)) {
        if let Some(entry) = self.entries[place].as_mut() {
            change(entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_again_stays_and_what_is_read_once_goes() {
        let mut sieve = Sieve::new(100);
        for key in 0..10 {
            sieve.insert(key, key, 10);
        }
        for key in 0..3 {
            assert_eq!(sieve.find(&key), Some(&key));
        }
        for key in 10..16 {
            sieve.insert(key, key, 10);
        }
        assert_eq!(sieve.bytes(), 100);
        let there: Vec<_> = (0..16).filter(|key| sieve.find(key).is_some()).collect();
        assert_eq!(there, [0, 1, 2, 9, 10, 11, 12, 13, 14, 15]);
    }

    #[test]
    fn bytes_are_bounded_and_all_entries_are_found_under_any_sequence() {
        let mut sieve = Sieve::new(1_000);
        let mut state = 7_u64;
        for _ in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (key, bytes) = (state >> 33 & 63, (state >> 40 & 127) as usize);
            if state >> 60 == 0 {
                sieve.find(&key);
            } else if state >> 60 == 1 {
                sieve.remove_all(&key, |other| *other < key + 3);
                assert!((key..key + 3).all(|key| sieve.find(&key).is_none()));
            } else {
                sieve.insert(key, key, bytes + 1);
            }
            assert!(sieve.bytes() <= 1_000);
            let counted: usize = sieve.entries.iter().flatten().map(|entry| entry.bytes).sum();
            assert_eq!(counted, sieve.bytes());
            assert_eq!(sieve.places.len(), sieve.entries.iter().flatten().count());
            let mut at = sieve.oldest;
            let mut walked = 0;
            while let Some(place) = at {
                walked += 1;
                at = sieve.entries[place].as_ref().unwrap().newer;
            }
            assert_eq!(walked, sieve.places.len());
        }
    }

    #[test]
    fn an_entry_that_is_too_large_is_not_taken_in() {
        let mut sieve = Sieve::new(80);
        sieve.insert(1, 1, 10);
        sieve.insert(2, 2, 11);
        assert_eq!((sieve.find(&1).is_some(), sieve.find(&2).is_some()), (true, false));
    }
}
