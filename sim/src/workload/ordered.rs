//! The first rows in an order of one key or of several.

use sana_engine::namespace::request::{Direction, Include, OrderKey, Rank, Want};

use crate::choices::{Choices, Site};
use crate::workload::values::name;
use crate::workload::{Drawn, Filtered, Mix, pick};

pub(super) const fn weight(mix: &Mix) -> u32 {
    mix.queries * 150
}

pub(super) fn draw(mix: &Mix, choices: &mut Choices, _: u64) -> Drawn {
    let count = 1 + choices.choose(Site::Workload, 3);
    let keys = (0..count).map(|_| (key(mix, choices), direction(choices))).collect();
    let limit = 1 + choices.choose(Site::Workload, 5);
    let include = Include::These(vec![name("n"), name("tags")]);
    Drawn::Query(Want::rows(Rank::By(keys), limit, include), Filtered::Often)
}

/// Something to order by.
pub(super) fn key(mix: &Mix, choices: &mut Choices) -> OrderKey {
    let all = ["text", "n", "u", "f", "b", "t", "g"];
    let some = if mix.wide > 0 { &all[..] } else { &all[..2] };
    let id = choices.chance(Site::Workload, 150);
    if id { OrderKey::Id } else { OrderKey::Attribute(name(pick(choices, some))) }
}

pub(super) fn direction(choices: &mut Choices) -> Direction {
    pick(choices, &[Direction::Ascending, Direction::Descending])
}
