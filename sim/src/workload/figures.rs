//! How many documents there are, and what they sum up to.

use sana_engine::namespace::request::{Aggregate, Want};

use crate::choices::{Choices, Site};
use crate::workload::values::name;
use crate::workload::{Drawn, Filtered, Mix};

pub(super) const fn weight(mix: &Mix) -> u32 {
    mix.queries * 150
}

pub(super) fn draw(mix: &Mix, choices: &mut Choices, _: u64) -> Drawn {
    let mut figures = all(mix);
    if choices.chance(Site::Workload, 200) {
        // That is told by counts alone.
        figures.truncate(1);
    }
    Drawn::Query(Want::Aggregates(figures), Filtered::Often)
}

/// Every figure that a seed's documents have.
pub(super) fn all(mix: &Mix) -> Vec<(String, Aggregate)> {
    let sums = if mix.wide > 0 { &["n", "u", "f"][..] } else { &["n"] };
    let sum = |n: &&str| (format!("sum of {n}"), Aggregate::Sum(name(n)));
    core::iter::once(("count".into(), Aggregate::Count)).chain(sums.iter().map(sum)).collect()
}
