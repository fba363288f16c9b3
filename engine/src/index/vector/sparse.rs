//! How alike sparse vectors are: the dot product over the dimensions that both name.
//!
//! Products of a 16-bit and a 32-bit float are exact in 64 bits; they are added there, by ascending
//! dimensions, and rounded once. So a score depends on the two vectors alone.

use crate::base::value::Half;

/// The score of `weights` under a query, both by ascending dimensions; `None` if it is zero, as it is
/// where they have no dimension in common.
pub fn score(query: &[(u32, f32)], weights: &[(u32, Half)]) -> Option<f32> {
    let (mut sum, mut rest) = (0.0, weights);
    for (dimension, weight) in query {
        rest = &rest[rest.partition_point(|(other, _)| other < dimension)..];
        match rest.first() {
            None => break,
            Some((other, held)) if other == dimension => {
                sum += f64::from(*weight) * f64::from(held.number());
            }
            Some(_) => {}
        }
    }
    let score = (sum as f32).clamp(f32::MIN, f32::MAX);
    (score != 0.0).then_some(score)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn halves(all: &[(u32, f32)]) -> Vec<(u32, Half)> {
        all.iter().map(|(at, x)| (*at, Half::nearest(*x).unwrap())).collect()
    }

    #[test]
    fn only_dimensions_in_common_count() {
        let weights = halves(&[(1, 2.0), (5, 0.5), (9, -1.0)]);
        assert_eq!(score(&[(0, 7.0), (5, 4.0), (9, 1.0), (12, 3.0)], &weights), Some(1.0));
        assert_eq!(score(&[(2, 7.0)], &weights), None);
        assert_eq!(
            score(&[(5, 2.0), (9, 1.0)], &weights),
            None,
            "what comes to nothing is nothing"
        );
        assert_eq!(score(&[], &weights), None);
        assert_eq!(score(&[(1, f32::MAX)], &weights), Some(f32::MAX));
    }
}
