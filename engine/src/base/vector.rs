//! Vectors: dense ones of 32-bit floats, 16-bit floats or small integers, and sparse ones.
//!
//! In memory a component of a dense vector is always a 32-bit float, rounded to what its column can
//! hold. So a vector is the same wherever it lies, and is compared with the same result.

use core::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A dense vector of finite 32-bit floats, shared, compared and hashed by its bits.
#[derive(Clone, Debug)]
pub struct Vector(Arc<[f32]>);

impl Vector {
    /// Takes the components; `None` if one is not finite.
    pub fn new(components: impl Into<Arc<[f32]>>) -> Option<Self> {
        let components = components.into();
        components.iter().all(|x| x.is_finite()).then_some(Self(components))
    }

    /// The components.
    pub fn components(&self) -> &[f32] {
        &self.0
    }
}

impl PartialEq for Vector {
    fn eq(&self, other: &Self) -> bool {
        let bits = |v: &Self| v.0.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        Arc::ptr_eq(&self.0, &other.0)
            || (self.0.len() == other.0.len() && bits(self) == bits(other))
    }
}

impl Eq for Vector {}

impl Hash for Vector {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.len().hash(state);
        self.0.iter().for_each(|x| x.to_bits().hash(state));
    }
}

impl Serialize for Vector {
    /// As little-endian bytes, so that a batch of vectors is written at the speed of memory.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = self.0.iter().flat_map(|x| x.to_le_bytes()).collect();
        to.serialize_bytes(&bytes)
    }
}

impl<'de> Deserialize<'de> for Vector {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let bytes = <&[u8]>::deserialize(from)?;
        let (words, rest) = bytes.as_chunks::<4>();
        let vector = Self::new(words.iter().map(|w| f32::from_le_bytes(*w)).collect::<Vec<_>>());
        let whole = rest.is_empty();
        vector.filter(|_| whole).ok_or_else(|| serde::de::Error::custom("not a vector"))
    }
}

/// What the components of a dense vector are kept as.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Element {
    /// 32-bit floats.
    F32,
    /// 16-bit floats.
    F16,
    /// Integers from −128 to 127.
    I8,
}

impl Element {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::F32, Self::F16, Self::I8];

    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::I8 => "i8",
        }
    }

    /// How many bytes a component takes.
    pub const fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
            Self::I8 => 1,
        }
    }

    /// What such a component can hold of a number: the nearest 16-bit float, a whole number as it
    /// is. `None` if it is out of range, or a fraction among integers.
    pub fn hold(self, number: f32) -> Option<f32> {
        match self {
            Self::F32 => number.is_finite().then_some(number),
            Self::F16 => Half::nearest(number).map(Half::number),
            Self::I8 => {
                let whole = f32::from(number as i8);
                (whole - number == 0.0).then_some(whole)
            }
        }
    }
}

/// What dense vectors a column has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct VectorType {
    /// How many components each has.
    pub dimensions: u32,
    /// What they are kept as.
    pub element: Element,
}

/// A 16-bit float, as its bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Half(u16);

impl Half {
    /// The nearest to a number, ties to even; `None` if it lies beyond the largest.
    #[allow(clippy::cast_sign_loss)] // What is rounded below has no sign.
    pub fn nearest(number: f32) -> Option<Self> {
        let bits = number.to_bits();
        let (sign, size) = ((bits >> 16) as u16 & 0x8000, bits & 0x7fff_ffff);
        // From 65,520 on the nearest would be infinite, as is what is no number.
        if size >= 0x477f_f000 {
            return None;
        }
        let half = if size < 0x3880_0000 {
            // Below 2^-14 they are multiples of 2^-24.
            (f32::from_bits(size) * 16_777_216.0).round_ties_even() as u16
        } else {
            let rounded = size + 0x0fff + (size >> 13 & 1);
            ((rounded - 0x3800_0000) >> 13) as u16
        };
        Some(Self(sign | half))
    }

    /// The one with these bits; `None` if it is not finite.
    pub const fn from_bits(bits: u16) -> Option<Self> {
        if bits & 0x7c00 == 0x7c00 { None } else { Some(Self(bits)) }
    }

    /// Its bits.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// The same number in 32 bits.
    pub const fn number(self) -> f32 {
        Self::number_of(self.0)
    }

    /// The number that these bits stand for. What would be infinite or none is some finite number.
    #[inline(always)]
    #[allow(clippy::inline_always)] // Kernels compile it for the instructions they use.
    pub const fn number_of(bits: u16) -> f32 {
        let size = f32::from_bits(((bits & 0x7fff) as u32) << 13);
        // Moves the exponent from a bias of 15 to one of 127, also of the smallest numbers.
        let number = size * f32::from_bits(0x7780_0000);
        f32::from_bits(number.to_bits() | ((bits & 0x8000) as u32) << 16)
    }
}

/// A sparse vector: weights of some dimensions, those in ascending order.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize)]
pub struct Sparse(Arc<[(u32, Half)]>);

impl Sparse {
    /// Takes the weights; `None` if dimensions do not ascend.
    pub fn new(weights: impl Into<Arc<[(u32, Half)]>>) -> Option<Self> {
        let weights = weights.into();
        weights.is_sorted_by(|a, b| a.0 < b.0).then_some(Self(weights))
    }

    /// The dimensions, ascending, with the weight of each.
    pub fn weights(&self) -> &[(u32, Half)] {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Sparse {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let weights = Vec::<(u32, Half)>::deserialize(from)?;
        let finite = weights.iter().all(|(_, weight)| Half::from_bits(weight.0).is_some());
        let sparse = Self::new(weights).filter(|_| finite);
        sparse.ok_or_else(|| serde::de::Error::custom("not a sparse vector"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_is_its_own_nearest_and_between_two_the_nearer_one_is() {
        let halves: Vec<Half> = (0..=u16::MAX).filter_map(Half::from_bits).collect();
        assert!(halves.iter().all(|half| Half::nearest(half.number()) == Some(*half)));
        let positive = &halves[..0x7c00];
        for pair in positive.windows(2) {
            let [low, high] = [pair[0].number(), pair[1].number()];
            let middle = low + (high - low) / 2.0;
            let even = if pair[0].bits().is_multiple_of(2) { pair[0] } else { pair[1] };
            assert_eq!(Half::nearest(middle), Some(even), "{low} and {high}");
            assert_eq!(Half::nearest(middle.next_down()), Some(pair[0]));
            assert_eq!(Half::nearest(middle.next_up()), Some(pair[1]));
        }
    }

    #[test]
    fn known_halves_are_the_numbers_they_stand_for() {
        for (bits, number) in
            [(0x3c00, 1.0), (0xc000, -2.0), (0x7bff, 65_504.0), (1, 2_f32.powi(-24))]
        {
            assert_eq!(
                Half::from_bits(bits).map(|half| half.number().to_bits()),
                Some(number.to_bits())
            );
        }
        assert_eq!(Half::from_bits(0x7c00), None);
        for beyond in [65_520.0, -1e9, f32::INFINITY, f32::NAN] {
            assert_eq!(Half::nearest(beyond), None);
        }
        assert_eq!(Half::nearest(65_519.0).map(Half::number), Some(65_504.0));
    }

    #[test]
    fn a_component_holds_what_it_can_and_nothing_else() {
        assert_eq!(Element::F16.hold(0.1), Some(0.099_975_586));
        for (number, held) in [(-128.0, true), (127.0, true), (128.0, false), (0.5, false)] {
            assert_eq!(Element::I8.hold(number), held.then_some(number));
        }
        assert_eq!(Element::I8.hold(f32::NAN), None);
        let zero = Element::I8.hold(-0.0).map(f32::to_bits);
        assert_eq!(zero, Some(0), "it has no sign where it is kept, so none before");
    }

    #[test]
    fn dimensions_of_a_sparse_vector_ascend() {
        let one = Half::nearest(1.0).unwrap();
        assert!(Sparse::new(vec![(1, one), (2, one)]).is_some());
        assert!(Sparse::new(vec![(2, one), (2, one)]).is_none());
        assert!(Sparse::new(Vec::new()).is_some());
    }
}
