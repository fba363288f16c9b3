//! The numbers that name things, each a type of its own.
//!
//! # Invariants
//!
//! - **N1** A nonce is never drawn twice. The driver hands every operation a seed of 128 bits from
//!   the system's entropy; the operation counts from there, and the count is mixed into the seed.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::base::planted::{self, Bug};

/// The number of one version of a document in a namespace. Never reused, never changed.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct Row(pub u64);

/// A position in the log: how many commits there were up to and including it.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct Cursor(pub u64);

impl Cursor {
    /// The position of the commit after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// How many publications a manifest has seen.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct Generation(pub u64);

/// How many times a head was put. As part of an object's name: the step of the head that the work
/// which made the object started from.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct Stamp(pub u64);

impl Stamp {
    /// The step of the head put after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A number nobody drew before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Nonce(pub u128);

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nonce({self})")
    }
}

impl fmt::Display for Nonce {
    /// 32 hexadecimal digits, so that names sort and have one length.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// One life of a namespace, from its creation to its tombstone.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct Incarnation(pub Nonce);

/// Names one commit, so that a lost reply can be settled by finding it in the head.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct CommitId(pub Nonce);

/// Number of an attribute in its namespace's schema. Never reused.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct AttributeId(pub u32);

/// A supply of nonces for one operation, as plain data (N1).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Nonces {
    seed: u128,
    drawn: u64,
}

impl Nonces {
    /// A supply that begins at `seed`, which nobody else was given.
    pub const fn new(seed: u128) -> Self {
        Self { seed, drawn: 0 }
    }

    /// The next nonce.
    pub fn draw(&mut self) -> Nonce {
        self.drawn += 1;
        // Distinct counts give distinct sums, and every later step is a bijection: no nonce of one
        // seed repeats. Two seeds meet with probability 2^-128 per pair of draws.
        let odd = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835_u128;
        let seed = if planted::is(Bug::NoncesBeginAgain) { 0 } else { self.seed };
        let mut mixed = seed.wrapping_add(odd.wrapping_mul(u128::from(self.drawn)));
        mixed ^= mixed >> 67;
        mixed = mixed.wrapping_mul(0xda94_2042_e4dd_58b5_2360_ed05_1fc6_5da4_u128 | 1);
        mixed ^= mixed >> 59;
        Nonce(mixed)
    }

    /// A supply for another operation, apart from this one.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self::new(self.draw().0)
    }

    /// A pause between zero and `most_ms` milliseconds, so that those who collide do not do it again
    /// at once.
    pub fn pause_ms(&mut self, most_ms: u64) -> u64 {
        (self.draw().0 % u128::from(most_ms + 1)) as u64
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_supply_and_its_forks_draw_nothing_twice() {
        let mut nonces = Nonces::new(7);
        let mut seen = BTreeSet::new();
        for _ in 0..100 {
            let mut fork = nonces.fork();
            assert!((0..100).all(|_| seen.insert(fork.draw())));
            assert!(seen.insert(nonces.draw()));
        }
    }
}
