//! Rows in an order, of which only so many may be alike, and whether each meets a condition.

use sana_engine::namespace::request::{Compute, Include, OrderKey, Per, Rank, Want};

use crate::choices::{Choices, Site};
use crate::workload::ordered::{direction, key};
use crate::workload::values::name;
use crate::workload::{Drawn, Filtered, Mix};

pub(super) const fn weight(mix: &Mix) -> u32 {
    mix.queries * 100
}

pub(super) fn draw(mix: &Mix, choices: &mut Choices, _: u64) -> Drawn {
    let by = |attribute: &str| OrderKey::Attribute(name(attribute));
    let keys = vec![(by("text"), direction(choices)), (by("n"), direction(choices))];
    let limit = 1 + choices.choose(Site::Workload, 2);
    let per = choices.chance(Site::Workload, 600).then(|| {
        let mut keys = vec![by("text")];
        if choices.chance(Site::Workload, 300) {
            keys.push(key(mix, choices));
        }
        Per { keys, limit }
    });
    let compute = vec![("matches".into(), Compute::Matches(mix.filter(choices, 1)))];
    let (rank, include) = (Rank::By(keys), Include::Nothing);
    Drawn::Query(Want::Rows { rank, limit: 4, per, include, compute }, Filtered::Often)
}
