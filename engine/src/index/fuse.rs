//! Several orders become one: reciprocal rank fusion.
//!
//! A document's score is the sum, over the lists it stands in, of weight ÷ (constant + place), where
//! the first place is 1. Sums are made in 64 bits in the order of the lists.

use std::collections::BTreeMap;

use crate::base::value::{Float, Id};
use crate::index::invalid::InvalidQuery;

/// How lists are fused.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Fuse {
    /// How little the first places stand out: the larger, the less.
    pub rank_constant: Float,
    /// How much each list counts; all alike if `None`.
    pub weights: Option<Vec<Float>>,
    /// How many rows are left out at the beginning.
    pub offset: usize,
    /// How many rows are wanted.
    pub limit: usize,
}

impl Fuse {
    /// Checks that so many lists can be fused.
    ///
    /// # Errors
    ///
    /// If there is not one positive weight for each, or the constant is negative.
    pub fn check(&self, lists: usize) -> Result<(), InvalidQuery> {
        let weights = self.weights.as_ref();
        let fit = weights.is_none_or(|weights| {
            weights.len() == lists && weights.iter().all(|weight| weight.number() > 0.0)
        });
        let good = fit && self.rank_constant.number() >= 0.0;
        good.then_some(()).ok_or(InvalidQuery::Weights)
    }

    /// The documents of all lists with their scores, the highest first, ties by ascending id; those
    /// that are wanted.
    pub fn fuse<'a>(&self, lists: impl Iterator<Item = Vec<&'a Id>>) -> Vec<(&'a Id, f32)> {
        let mut scores = BTreeMap::<&Id, f64>::new();
        for (list, ids) in lists.enumerate() {
            let weights = self.weights.as_ref().and_then(|weights| weights.get(list));
            let weight = weights.map_or(1.0, |weight| weight.number());
            for (place, id) in (1_u32..).zip(ids) {
                *scores.entry(id).or_default() +=
                    weight / (self.rank_constant.number() + f64::from(place));
            }
        }
        let mut fused: Vec<(&Id, f64)> = scores.into_iter().collect();
        fused.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
        let wanted = fused.into_iter().skip(self.offset).take(self.limit);
        wanted.map(|(id, score)| (id, (score as f32).min(f32::MAX))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn float(number: f64) -> Float {
        Float::new(number).unwrap()
    }

    fn fused(fuse: &Fuse, lists: &[&[u64]]) -> Vec<(u64, f32)> {
        let ids: Vec<Id> = (0..10).map(Id::Uint).collect();
        let lists = lists.iter().map(|list| list.iter().map(|id| &ids[*id as usize]).collect());
        let number = |id: &Id| ids.iter().position(|other| other == id).unwrap() as u64;
        fuse.fuse(lists).into_iter().map(|(id, score)| (number(id), score)).collect()
    }

    #[test]
    fn a_score_is_the_sum_of_reciprocal_places() {
        let mut fuse = Fuse { rank_constant: float(60.0), weights: None, offset: 0, limit: 10 };
        let score =
            |places: &[f64]| places.iter().map(|place| 1.0 / (60.0 + place)).sum::<f64>() as f32;
        let expected =
            [(2, score(&[2.0, 1.0])), (1, score(&[1.0])), (3, score(&[2.0])), (5, score(&[3.0]))];
        assert_eq!(fused(&fuse, &[&[1, 2], &[2, 3, 5]]), expected);
        fuse.weights = Some(vec![float(1.0), float(9.0)]);
        assert_eq!(fused(&fuse, &[&[1, 2], &[2, 3, 5]])[1].0, 3);
        (fuse.offset, fuse.limit) = (1, 2);
        assert_eq!(
            fused(&fuse, &[&[1, 2], &[2, 3, 5]]).iter().map(|f| f.0).collect::<Vec<_>>(),
            [3, 5]
        );
        assert!(fused(&fuse, &[]).is_empty());
    }

    #[test]
    fn places_that_tie_are_by_id() {
        let fuse = Fuse { rank_constant: float(0.0), weights: None, offset: 0, limit: 9 };
        let ids: Vec<u64> = fused(&fuse, &[&[4, 3], &[2, 1]]).iter().map(|(id, _)| *id).collect();
        assert_eq!(ids, [2, 4, 1, 3]);
    }

    #[test]
    fn weights_are_positive_and_one_for_each_list() {
        let fuse = |constant, weights: &[f64]| Fuse {
            rank_constant: float(constant),
            weights: Some(weights.iter().map(|weight| float(*weight)).collect()),
            offset: 0,
            limit: 1,
        };
        assert_eq!(fuse(0.0, &[1.0, 0.1]).check(2), Ok(()));
        for bad in [fuse(1.0, &[1.0]), fuse(1.0, &[1.0, 0.0]), fuse(-1.0, &[1.0, 1.0])] {
            assert_eq!(bad.check(2), Err(InvalidQuery::Weights));
        }
    }
}
