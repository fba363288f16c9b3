mod dice;
mod model;
mod world;

use proptest::prelude::*;

use super::*;
use crate::base::host::Simd;
use crate::namespace::request::{Consistency, Direction, Include, Operator, Predicate, Want};
use dice::Dice;
use world::{Run, World, document, name};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_answer_is_what_brute_force_finds(seed in any::<u64>()) {
        let mut dice = Dice(seed);
        let world = dice.world();
        for _ in 0..8 {
            let request = dice.request(&world.schema);
            let run = world.query(&request);
            let answer = run.outcome.unwrap_or_else(|error| panic!("{error} for {request:?}"));
            model::assert_right(&world, &request, &answer);
        }
    }
}
