//! Sums of floats that do not depend on the order of adding.
//!
//! Every 64-bit float is a whole number of the smallest there is, 2^-1074. Such numbers are added
//! exactly, as integers of 2,240 bits, and rounded once at the end. So a sum is the same however the
//! rows lie in segments, and nothing is lost between large and small.

use crate::base::value::Float;

/// Digits of 32 bits: enough for 2^1024 in units of 2^-1074, and for 2^64 such numbers.
const DIGITS: usize = 70;
/// Numbers after which the carries are moved on, long before a digit overflows.
const CARRY_EVERY: u32 = 1 << 24;

/// A sum under way.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Sum {
    /// The lowest first. Between carries a digit may be negative or larger than 32 bits.
    digits: Box<[i64; DIGITS]>,
    uncarried: u32,
}

impl Default for Sum {
    fn default() -> Self {
        Self { digits: Box::new([0; DIGITS]), uncarried: 0 }
    }
}

impl Sum {
    /// Memory it takes beside itself, in bytes.
    pub const BYTES: usize = DIGITS * size_of::<i64>();

    /// Adds a number.
    pub fn add(&mut self, number: Float) {
        let bits = number.number().to_bits();
        let exponent = (bits >> 52 & 0x7ff) as usize;
        let fraction = bits & ((1 << 52) - 1);
        // Below the smallest normal number the exponent stays and the leading bit is gone.
        let (mantissa, shift) =
            if exponent == 0 { (fraction, 0) } else { (fraction | 1 << 52, exponent - 1) };
        let spread = u128::from(mantissa) << (shift % 32);
        let sign = if number.number() < 0.0 { -1 } else { 1 };
        for place in 0..3 {
            let digit = (spread >> (32 * place)) as u32;
            self.digits[shift / 32 + place] += sign * i64::from(digit);
        }
        self.uncarried += 1;
        if self.uncarried == CARRY_EVERY {
            self.carry();
        }
    }

    /// Adds what another one holds.
    pub fn merge(&mut self, other: &Self) {
        let mut other = other.clone();
        other.carry();
        self.carry();
        self.digits.iter_mut().zip(other.digits.iter()).for_each(|(a, b)| *a += b);
        self.carry();
    }

    /// The sum, rounded to the nearest float, ties to even; the largest there is if it is beyond.
    ///
    /// # Panics
    ///
    /// Never.
    pub fn total(&self) -> Float {
        let mut sum = self.clone();
        sum.carry();
        let negative = sum.digits[DIGITS - 1] < 0;
        if negative {
            sum.digits.iter_mut().for_each(|digit| *digit = -*digit);
            sum.carry();
        }
        let size = sum.rounded().min(f64::MAX);
        Float::new(if negative { -size } else { size }).expect("a number up to the largest is one")
    }

    /// Brings every digit but the last into its 32 bits; the last keeps the sign.
    fn carry(&mut self) {
        let mut carried = 0;
        let (last, digits) = self.digits.split_last_mut().expect("there are digits");
        for digit in digits {
            let whole = *digit + carried;
            carried = whole >> 32;
            *digit = whole & 0xffff_ffff;
        }
        *last += carried;
        self.uncarried = 0;
    }

    /// The nearest float to a sum that is not negative and carried.
    fn rounded(&self) -> f64 {
        let Some(top) = self.digits.iter().rposition(|digit| *digit != 0) else { return 0.0 };
        // The three highest digits hold at least 65 bits; of what lies below it matters only whether
        // it is nothing.
        let low = top.saturating_sub(2);
        let mut head = self.digits[low..=top]
            .iter()
            .rev()
            .fold(0_u128, |head, digit| head << 32 | u128::from(digit.unsigned_abs()));
        if self.digits[..low].iter().any(|digit| *digit != 0) {
            head |= 1;
        }
        // At most 2^-1074 is the unit, so few bits are already exact.
        let bits = (128 - head.leading_zeros()) as usize;
        let cut = bits.saturating_sub(53);
        let (mut kept, rest) = (head >> cut, head & ((1 << cut) - 1));
        let half = if cut == 0 { 1 } else { 1_u128 << (cut - 1) };
        if rest > half || (rest == half && kept & 1 == 1) {
            kept += 1;
        }
        // Both steps are exact: the power of two is split, for one of them alone may be too small.
        let exponent = low * 32 + cut;
        if exponent > 971 + 1074 {
            return f64::INFINITY;
        }
        // 2^(n - 537), so that two of them make up for 2^-1074.
        let power = |n: usize| f64::from_bits((n as u64 + 1023 - 537) << 52);
        let first = exponent / 2;
        kept as f64 * power(first) * power(exponent - first)
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp)] // These results are exact.
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum(numbers: &[f64]) -> f64 {
        let mut sum = Sum::default();
        for number in numbers {
            sum.add(Float::new(*number).unwrap());
        }
        sum.total().number()
    }

    #[test]
    fn nothing_is_lost_between_large_and_small() {
        assert_eq!(sum(&[]), 0.0);
        assert_eq!(sum(&[1e300, 1.0, -1e300]), 1.0);
        assert_eq!(sum(&[5e-324, 5e-324]), 1e-323);
        assert_eq!(sum(&[-1.5, 0.25]), -1.25);
        assert_eq!(sum(&[0.1; 10]), 1.0);
        assert_eq!(sum(&[f64::MAX, f64::MAX]), f64::MAX);
        assert_eq!(sum(&[f64::MIN, f64::MIN, f64::MAX]), f64::MIN);
        // One more than the mantissa holds: halfway goes to even, and a trace beyond it upwards.
        let wide = (1_u64 << 53) as f64;
        assert_eq!(sum(&[wide, 1.0]), wide);
        assert_eq!(sum(&[wide, 1.0, 1e-300]), wide + 2.0);
        assert_eq!(sum(&[wide + 2.0, 1.0]), wide + 4.0);
    }

    proptest! {
        #[test]
        fn two_numbers_add_up_as_the_processor_adds_them(
            a in any::<i64>(), b in any::<i64>(), c in -1000..900, d in -1000..900,
        ) {
            let (a, b) = (a as f64 * 2_f64.powi(c), b as f64 * 2_f64.powi(d));
            prop_assert_eq!(sum(&[a, b]), a + b);
        }

        #[test]
        fn the_order_of_adding_does_not_matter(
            numbers in prop::collection::vec(any::<f64>().prop_filter("finite", |x| x.is_finite()), 0..50),
            cut in any::<prop::sample::Index>(),
        ) {
            let reversed: Vec<f64> = numbers.iter().rev().copied().collect();
            prop_assert_eq!(sum(&numbers).to_bits(), sum(&reversed).to_bits());
            let mut parts = [Sum::default(), Sum::default()];
            let cut = cut.index(numbers.len() + 1);
            for (place, number) in numbers.iter().enumerate() {
                parts[usize::from(place < cut)].add(Float::new(*number).unwrap());
            }
            let [mut all, other] = parts;
            all.merge(&other);
            prop_assert_eq!(all.total().number().to_bits(), sum(&numbers).to_bits());
        }
    }
}
