//! A sample: the first rows of an order that has nothing to do with what documents hold, as a measurement
//! of recall takes it.

use sana_engine::namespace::request::{Include, Rank, Want};

use crate::choices::{Choices, Site};
use crate::workload::values::name;
use crate::workload::{Drawn, Filtered, Mix, pick};

pub(super) const fn weight(mix: &Mix) -> u32 {
    mix.queries * 100
}

pub(super) fn draw(_: &Mix, choices: &mut Choices, unique: u64) -> Drawn {
    let attribute = name(pick(choices, &["v", "n", "q", "h"]));
    let limit = 1 + choices.choose(Site::Workload, 5);
    let rank = Rank::Shuffled { attribute, seed: unique };
    let include = Include::AllBut(vec![name("body")]);
    let want = Want::Rows { rank, limit, per: None, include, compute: Vec::new() };
    Drawn::Query(want, Filtered::Often)
}
