//! Several orders of rows become one.

use sana_engine::base::value::Float;
use sana_engine::namespace::request::{Fuse, Include, Rank, Search, Want};

use crate::choices::{Choices, Site};
use crate::workload::ordered::{direction, key};
use crate::workload::values::{name, weights};
use crate::workload::{Drawn, Filtered, Mix, nearest, pick};

pub(super) const fn weight(mix: &Mix) -> u32 {
    mix.queries * 60
}

pub(super) fn draw(mix: &Mix, choices: &mut Choices, _: u64) -> Drawn {
    let count = 1 + choices.choose(Site::Workload, 3);
    let searches: Vec<Search> = (0..count).map(|_| search(mix, choices)).collect();
    let number = |n: u64| Float::new(n as f64).expect("it is finite");
    let weighs = choices.chance(Site::Workload, 400);
    let fuse = Fuse {
        rank_constant: number(pick(choices, &[60, 0, 1])),
        weights: weighs.then(|| searches.iter().zip(1..).map(|(_, n)| number(n)).collect()),
        offset: pick(choices, &[0, 0, 1]),
        limit: 1 + choices.choose(Site::Workload, 6),
    };
    Drawn::Query(Want::Several { searches, fuse: Some(fuse) }, Filtered::Seldom)
}

fn search(mix: &Mix, choices: &mut Choices) -> Search {
    let filter = choices.chance(Site::Workload, 400).then(|| mix.filter(choices, 1));
    let kinds = if mix.wide > 0 { 3 } else { 2 };
    // By angles the order is not known to the last digit, and places are all that counts here.
    let rank = match choices.choose(Site::Workload, kinds) {
        0 => Rank::By(vec![(key(mix, choices), direction(choices))]),
        1 => nearest::rank(mix, choices, false),
        _ => Rank::Likest { attribute: name("sp"), to: weights(choices) },
    };
    let limit = 1 + choices.choose(Site::Workload, 6);
    Search { filter, want: Want::rows(rank, limit, Include::These(vec![name("n")])) }
}
