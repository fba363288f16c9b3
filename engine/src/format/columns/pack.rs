//! Integers in as few bits as they need: the distance of each from the least, all of one width.
//!
//! # Bytes
//!
//! ```text
//! | base u64 | width u8 | count × width bits, lowest first | 8 zero bytes |
//! ```
//!
//! The zeros at the end let each value be read as one word that begins at its first byte. That needs
//! a width of at most 57 bits; wider values take 64.

use crate::format::frame::Damage;
use crate::format::reader::Reader;

const PADDING: usize = 8;
const WIDTH_MAX: u32 = 57;

/// Writes `values`, none of which is less than `base` in the order of their type.
pub(super) fn write(out: &mut Vec<u8>, base: u64, values: impl Iterator<Item = u64> + Clone) {
    let distances = values.map(|value| value.wrapping_sub(base));
    let all = distances.clone().fold(0, |all, distance| all | distance);
    let needed = u64::BITS - all.leading_zeros();
    let width = if needed > WIDTH_MAX { u64::BITS } else { needed };
    out.extend_from_slice(&base.to_le_bytes());
    out.push(width as u8);
    let (mut held, mut bits) = (0_u128, 0);
    for distance in distances {
        held |= u128::from(distance) << bits;
        bits += width;
        if bits >= u64::BITS {
            out.extend_from_slice(&(held as u64).to_le_bytes());
            held >>= u64::BITS;
            bits -= u64::BITS;
        }
    }
    out.extend_from_slice(&held.to_le_bytes()[..bits.div_ceil(8) as usize]);
    out.extend_from_slice(&[0; PADDING]);
}

/// Reads `count` values back, each turned into what it is by `value`.
pub(super) fn read<T>(
    from: &mut Reader<'_>,
    count: usize,
    value: impl Fn(u64) -> T,
) -> Result<Vec<T>, Damage> {
    let base = from.u64()?;
    let width = usize::from(from.u8()?);
    if width > 64 || (width > WIDTH_MAX as usize && width < 64) {
        return Err(Damage::Content("its integers have an impossible width"));
    }
    let bits = count.checked_mul(width).ok_or(Damage::Content("it holds too many integers"))?;
    let bytes = from.take(bits.div_ceil(8) + PADDING)?;
    if width == 0 {
        return Ok((0..count).map(|_| value(base)).collect());
    }
    let mask = u64::MAX >> (64 - width);
    let word = |place: usize| {
        let (bit, mut word) = (place * width, [0; 8]);
        word.copy_from_slice(&bytes[bit / 8..][..8]);
        value((u64::from_le_bytes(word) >> (bit % 8) & mask).wrapping_add(base))
    };
    Ok((0..count).map(word).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round_trip(values: &[u64]) -> usize {
        let base = values.iter().copied().min().unwrap_or(0);
        let mut bytes = Vec::new();
        write(&mut bytes, base, values.iter().copied());
        let mut reader = Reader::new(&bytes);
        assert_eq!(read(&mut reader, values.len(), |v| v).unwrap(), values);
        reader.end().unwrap();
        bytes.len()
    }

    #[test]
    fn values_near_each_other_take_few_bits() {
        assert_eq!(round_trip(&[]), 17);
        assert_eq!(round_trip(&[7; 1000]), 17);
        let near: Vec<u64> = (0..1000).map(|n| (1 << 40) | (n % 8)).collect();
        assert_eq!(round_trip(&near), 17 + 375);
    }

    proptest! {
        #[test]
        fn what_was_packed_is_unpacked(
            width in 0_u32..64, values in prop::collection::vec(any::<u64>(), 0..200),
        ) {
            let values: Vec<u64> = values.into_iter().map(|value| value >> width).collect();
            round_trip(&values);
        }

        #[test]
        fn hostile_bytes_do_not_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..64), count in 0_usize..100,
        ) {
            let _ = read(&mut Reader::new(&bytes), count, |v| v);
        }
    }
}
