//! Several searches of one moment.

use sana_engine::namespace::request::{Search, Want};

use crate::choices::{Choices, Site};
use crate::workload::{
    Drawn, Filtered, Mix, alike, figures, groups, likest, listing, nearest, ordered,
};

pub(super) const fn weight(mix: &Mix) -> u32 {
    mix.queries * 80
}

pub(super) fn draw(mix: &Mix, choices: &mut Choices, unique: u64) -> Drawn {
    let count = 1 + choices.choose(Site::Workload, 3);
    let searches = (0..count).map(|_| search(mix, choices, unique)).collect();
    Drawn::Query(Want::Several { searches, fuse: None }, Filtered::Seldom)
}

fn search(mix: &Mix, choices: &mut Choices, unique: u64) -> Search {
    let filter = choices.chance(Site::Workload, 500).then(|| mix.filter(choices, 1));
    let draws = [
        listing::draw,
        figures::draw,
        ordered::draw,
        nearest::draw,
        alike::draw,
        groups::draw,
        likest::draw,
    ];
    let some = if mix.wide > 0 { 7 } else { 6 };
    let Drawn::Query(want, _) = draws[choices.choose(Site::Workload, some)](mix, choices, unique)
    else {
        unreachable!("these ask");
    };
    Search { filter, want }
}
