//! What idempotency keys stand for.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use crate::digest::{self, Digest};
use crate::model::Effect;
use crate::shelf::Shelf;

/// The requests that a namespace remembers by key. Keys are only ever added, and a namespace has as
/// many states as changes: so a state shares what it remembers with the one before, and knows the
/// fingerprint of all keys as the sum of the fingerprints of each.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    known: Shelf<String, (u128, Effect)>,
    sum: Digest,
}

impl Keys {
    /// What this key stands for, and what it came to.
    pub fn get(&self, key: &str) -> Option<&(u128, Effect)> {
        self.known.get(key)
    }

    /// This new key stands for the request of this fingerprint, which came to this.
    pub fn insert(&mut self, key: String, fingerprint: u128, effect: Effect) {
        self.sum = self.sum.wrapping_add(digest::of(&(&key, fingerprint, &effect)));
        self.known.insert(key, (fingerprint, effect));
    }
}

impl PartialEq for Keys {
    fn eq(&self, other: &Self) -> bool {
        self.sum == other.sum
    }
}

impl Eq for Keys {}

impl PartialOrd for Keys {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Keys {
    fn cmp(&self, other: &Self) -> Ordering {
        self.sum.cmp(&other.sum)
    }
}

impl Hash for Keys {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(self.sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_keys_are_the_same_in_whatever_order_they_came() {
        let of = |order: [u32; 3]| {
            let mut keys = Keys::default();
            for n in order {
                keys.insert(n.to_string(), n.into(), Effect::Created);
            }
            keys
        };
        assert_eq!(of([1, 2, 3]), of([3, 1, 2]));
        assert_ne!(of([1, 2, 3]), of([1, 2, 4]));
        assert_eq!(of([1, 2, 3]).get("2"), Some(&(2, Effect::Created)));
    }
}
