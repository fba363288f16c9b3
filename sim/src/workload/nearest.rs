//! The rows nearest to a vector, by each metric and each kind of component.

use sana_engine::format::schema::Metric;
use sana_engine::namespace::request::{Compute, Include, Rank, Want};

use crate::choices::{Choices, Site};
use crate::workload::values::{metric, name, vector};
use crate::workload::{Drawn, Filtered, Mix, pick};

pub(super) const fn weight(mix: &Mix) -> u32 {
    mix.queries * 250
}

pub(super) fn draw(mix: &Mix, choices: &mut Choices, unique: u64) -> Drawn {
    let mut rank = rank(mix, choices, true);
    if let Rank::Nearest { attribute, is_exact, metric: said, .. } = &mut rank {
        // Most clients leave it to the server how it looks, and some say which metric they mean.
        *is_exact = unique.is_multiple_of(3);
        *said = unique.is_multiple_of(2).then(|| metric(attribute.as_str()));
    }
    let limit = 1 + choices.choose(Site::Workload, 5);
    let include = Include::AllBut(vec![name("body")]);
    let far = choices.chance(Site::Workload, 300).then(|| {
        let to = vector(choices, 2);
        ("far".into(), Compute::Distance { attribute: name("v"), to })
    });
    let compute = far.into_iter().collect();
    Drawn::Query(Want::Rows { rank, limit, per: None, include, compute }, Filtered::Often)
}

/// An order by distance. One by angles is exact but for its last digits.
pub(super) fn rank(mix: &Mix, choices: &mut Choices, with_angles: bool) -> Rank {
    let all = ["v", "q", "h"];
    let some = if mix.wide > 0 { &all[..] } else { &all[..1] };
    let attribute = pick(choices, some);
    let is_angle = metric(attribute) == Metric::Cosine;
    let attribute = if is_angle && !with_angles { "v" } else { attribute };
    let dimensions = if attribute == "v" { 2 } else { 3 };
    Rank::nearest(name(attribute), vector(choices, dimensions))
}
