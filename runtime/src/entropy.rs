//! Randomness from the operating system: seeds, nonces, owners.
//!
//! The engine draws nothing itself. What it needs is drawn here and handed to its machines when they
//! start, so that a simulator can hand them something it can repeat.

use rand::TryRngCore;
use rand::rngs::OsRng;

/// 128 bits that nobody else will draw.
///
/// # Panics
///
/// If the operating system has no randomness to give. Nothing can be made unique then.
pub fn seed() -> u128 {
    let mut bytes = [0; 16];
    OsRng.try_fill_bytes(&mut bytes).expect("the operating system gives randomness once it is up");
    u128::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_seeds_are_equal() {
        assert_ne!(seed(), seed());
    }
}
