//! Fingerprints of 128 bits, the same in every process, and values that know theirs.
//!
//! An explorer recognises a world by its fingerprint. With 10^9 worlds, two of them share one with a
//! probability of about 10^-21.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

/// A fingerprint of 128 bits.
pub type Digest = u128;

/// Hashes into 128 bits. Every word goes through a bijection of the whole state, so two streams that
/// differ in one word never meet by that word.
#[derive(Clone, Copy, Debug)]
pub struct Mixer(u128);

/// The golden ratio and the square root of two, as odd 128-bit fractions.
const GOLDEN: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;
const ROOT: u128 = 0xb504_f333_f9de_6484_597d_89b3_754a_be9f;

impl Default for Mixer {
    fn default() -> Self {
        Self::new()
    }
}

impl Mixer {
    /// Begins a fingerprint.
    pub const fn new() -> Self {
        Self(ROOT)
    }

    /// Takes in a word of 128 bits.
    pub const fn mix(&mut self, word: u128) {
        let product = (self.0 ^ word).wrapping_mul(GOLDEN);
        self.0 = product ^ (product >> 67);
    }

    /// What all words together come to.
    pub const fn digest(self) -> Digest {
        let product = self.0.wrapping_mul(ROOT);
        product ^ (product >> 61)
    }
}

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        (self.digest() >> 64) as u64
    }

    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<16>();
        for word in words {
            self.mix(u128::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut last = [0; 16];
            last[..rest.len()].copy_from_slice(rest);
            self.mix(u128::from_le_bytes(last));
        }
        self.mix(bytes.len() as u128);
    }

    fn write_u8(&mut self, word: u8) {
        self.mix(word.into());
    }

    fn write_u32(&mut self, word: u32) {
        self.mix(word.into());
    }

    fn write_u64(&mut self, word: u64) {
        self.mix(word.into());
    }

    fn write_u128(&mut self, word: u128) {
        self.mix(word);
    }

    fn write_usize(&mut self, word: usize) {
        self.mix(word as u128);
    }

    fn write_isize(&mut self, word: isize) {
        self.mix(word.cast_unsigned() as u128);
    }
}

/// The fingerprint of a value.
pub fn of<T: Hash + ?Sized>(value: &T) -> Digest {
    let mut mixer = Mixer::default();
    value.hash(&mut mixer);
    mixer.digest()
}

/// A shared value that knows its fingerprint: cheap to copy, to compare and to hash, so that a world
/// of many parts costs what changes of it. The fingerprint is taken when it is first asked for.
#[derive(Debug)]
pub struct Shared<T>(Arc<Known<T>>);

#[derive(Debug)]
struct Known<T> {
    value: T,
    digest: OnceLock<Digest>,
}

impl<T> Shared<T> {
    /// Shares a value.
    pub fn new(value: T) -> Self {
        Self(Arc::new(Known { value, digest: OnceLock::new() }))
    }
}

impl<T: Clone> Shared<T> {
    /// Changes the value for this holder only.
    ///
    /// # Panics
    ///
    /// Never: what is changed was just made its own.
    pub fn change<R>(&mut self, change: impl FnOnce(&mut T) -> R) -> R {
        if Arc::get_mut(&mut self.0).is_none() {
            *self = Self::new(self.0.value.clone());
        }
        let known = Arc::get_mut(&mut self.0).expect("it is shared with nobody");
        known.digest.take();
        change(&mut known.value)
    }
}

impl<T: Hash> Shared<T> {
    /// The fingerprint of the value.
    pub fn digest(&self) -> Digest {
        *self.0.digest.get_or_init(|| of(&self.0.value))
    }
}

impl<T> std::ops::Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Hash> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.digest() == other.digest()
    }
}

impl<T: Hash> Eq for Shared<T> {}

impl<T: Hash> PartialOrd for Shared<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Hash> Ord for Shared<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.digest().cmp(&other.digest())
    }
}

impl<T: Hash> Hash for Shared<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(self.digest());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_values_have_far_fingerprints() {
        let digests: Vec<Digest> = (0_u64..1_000).map(|n| of(&n)).collect();
        for (i, a) in digests.iter().enumerate() {
            for b in &digests[..i] {
                assert!((16..112).contains(&(a ^ b).count_ones()), "{a:032x} {b:032x}");
            }
        }
        assert_ne!(of(&("ab", "c")), of(&("a", "bc")));
        assert_ne!(of(&[0_u8; 3][..]), of(&[0_u8; 4][..]));
    }

    #[test]
    fn a_changed_share_leaves_the_other_as_it_was() {
        let a = Shared::new(vec![1]);
        let mut b = a.clone();
        assert_eq!(a, b);
        b.change(|value| value.push(2));
        assert_ne!(a, b);
        assert_eq!(*a, [1]);
        b.change(Vec::pop);
        assert_eq!(a, b);
    }
}
