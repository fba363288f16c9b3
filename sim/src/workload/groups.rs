//! Figures over groups, by one key or two, one of which may be every element of an array.

use sana_engine::namespace::request::{GroupKey, OrderKey, Want};

use crate::choices::{Choices, Site};
use crate::workload::values::name;
use crate::workload::{Drawn, Filtered, Mix, figures, pick};

pub(super) const fn weight(mix: &Mix) -> u32 {
    mix.queries * 80
}

pub(super) fn draw(mix: &Mix, choices: &mut Choices, _: u64) -> Drawn {
    let key = |attribute: &str, each| GroupKey {
        label: attribute.into(),
        key: OrderKey::Attribute(name(attribute)),
        each,
    };
    let each = choices.chance(Site::Workload, 500);
    let mut keys = vec![key(if each { "tags" } else { "text" }, each)];
    if mix.wide > 0 && choices.chance(Site::Workload, 400) {
        keys.push(key(pick(choices, &["b", "u", "t", "f"]), false));
    }
    let limit = 1 + choices.choose(Site::Workload, 6);
    Drawn::Query(Want::Groups { keys, aggregates: figures::all(mix), limit }, Filtered::Often)
}
