//! The nearest of many, in bounded memory.

/// A distance, hashed and compared by its bits.
#[derive(Clone, Copy, Debug)]
pub struct Distance(pub f32);

impl PartialEq for Distance {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Distance {}

impl core::hash::Hash for Distance {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}
