//! An order of rows that has nothing to do with what they hold: the first of it are a sample.

use crate::base::value::Id;

/// Where a document stands in the order of a seed. It depends on the id alone, so it is the same wherever
/// the document lies.
pub fn place(id: &Id, seed: u64) -> u64 {
    let mixed = |hash: u64, word: u64| {
        // SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): every bit of the result depends on all.
        let mut z = (hash ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    match id {
        Id::Uint(id) => mixed(mixed(seed, 1), *id),
        Id::Uuid(id) => mixed(mixed(mixed(seed, 2), *id as u64), (*id >> 64) as u64),
        Id::String(id) => {
            let (words, tail) = id.as_bytes().as_chunks::<8>();
            let mut last = [0; 8];
            last[..tail.len()].copy_from_slice(tail);
            let words = words.iter().chain([&last]).map(|word| u64::from_le_bytes(*word));
            words.fold(mixed(seed, 3 + id.len() as u64), mixed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_many_are_spread_over_all_and_others_with_another_seed() {
        let kinds: [fn(u64) -> Id; 3] =
            [Id::Uint, |n| Id::Uuid(n.into()), |n| Id::String(n.to_string().into())];
        for of in kinds {
            let first = |seed| {
                let mut all: Vec<u64> = (0..10_000).collect();
                all.sort_by_key(|n| place(&of(*n), seed));
                all.truncate(1_000);
                all
            };
            let (one, other) = (first(1), first(2));
            for tenth in 0..10_u64 {
                let range = tenth * 1_000..(tenth + 1) * 1_000;
                let there = one.iter().filter(|n| range.contains(n)).count();
                assert!((60..140).contains(&there), "{there} of {range:?}");
            }
            let both = one.iter().filter(|n| other.contains(n)).count();
            assert!((60..140).contains(&both), "{both} are first under both seeds");
        }
    }
}
