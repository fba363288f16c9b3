//! A map from fingerprints: a table with open addressing, for a fingerprint is its own hash.

use crate::digest::Digest;

/// A map from fingerprints to values.
#[derive(Clone, Debug)]
pub struct Table<V> {
    /// A fingerprint stands beside its value: a table is larger than any cache, and to find one is to
    /// wait for memory once.
    slots: Vec<(Digest, V)>,
    count: usize,
}

impl<V: Default> Table<V> {
    /// An empty table.
    pub fn new() -> Self {
        Self::with_slots(1 << 12)
    }

    fn with_slots(slots: usize) -> Self {
        let empty = || (0, V::default());
        Self { slots: std::iter::repeat_with(empty).take(slots).collect(), count: 0 }
    }

    /// How many fingerprints it has.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether it has none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The value of a fingerprint, if it has one.
    pub fn get(&self, key: Digest) -> Option<&V> {
        let slot = self.slot(key.max(1));
        let (there, value) = &self.slots[slot];
        (*there != 0).then_some(value)
    }

    /// The value of a fingerprint, a default one if it had none, and whether it had none.
    pub fn entry(&mut self, key: Digest) -> (&mut V, bool) {
        // Zero marks an empty slot. A fingerprint that is zero passes for the one beside it.
        let key = key.max(1);
        if self.count * 8 > self.slots.len() * 5 {
            self.grow();
        }
        let slot = self.slot(key);
        let (there, value) = &mut self.slots[slot];
        let is_new = *there == 0;
        *there = key;
        self.count += usize::from(is_new);
        (value, is_new)
    }

    fn grow(&mut self) {
        let bigger = Self::with_slots(self.slots.len() * 2);
        let before = std::mem::replace(self, bigger);
        self.count = before.count;
        for (key, value) in before.slots {
            if key != 0 {
                let slot = self.slot(key);
                self.slots[slot] = (key, value);
            }
        }
    }

    /// Where this fingerprint is, or belongs.
    fn slot(&self, key: Digest) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = key as usize & mask;
        while self.slots[slot].0 != 0 && self.slots[slot].0 != key {
            slot = (slot + 1) & mask;
        }
        slot
    }
}

impl<V: Default> Default for Table<V> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest;

    #[test]
    fn what_was_put_in_is_found_again() {
        let mut table = Table::<u64>::new();
        for pass in 0..2 {
            for n in 0_u64..200_000 {
                let (value, is_new) = table.entry(digest::of(&n));
                assert_eq!((is_new, *value), (pass == 0, n * pass));
                *value = n;
            }
            assert_eq!(table.get(digest::of(&7_u64)), Some(&7));
            assert_eq!(table.get(digest::of(&200_000_u64)), None);
        }
        assert_eq!(table.len(), 200_000);
    }
}
