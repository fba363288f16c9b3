//! The rows most alike to a sparse vector.

use sana_engine::namespace::request::{Compute, Include, Rank, Want};

use crate::choices::{Choices, Site};
use crate::workload::values::{name, weights};
use crate::workload::{Drawn, Filtered, Mix};

pub(super) const fn weight(mix: &Mix) -> u32 {
    if mix.wide > 0 { mix.queries * 80 } else { 0 }
}

pub(super) fn draw(_: &Mix, choices: &mut Choices, _: u64) -> Drawn {
    let rank = Rank::Likest { attribute: name("sp"), to: weights(choices) };
    let limit = 1 + choices.choose(Site::Workload, 5);
    let score = choices
        .chance(Site::Workload, 300)
        .then(|| ("score".into(), Compute::Score { attribute: name("sp"), to: weights(choices) }));
    let (per, compute) = (None, score.into_iter().collect());
    let include = Include::These(vec![name("n"), name("sp")]);
    Drawn::Query(Want::Rows { rank, limit, per, include, compute }, Filtered::Often)
}
