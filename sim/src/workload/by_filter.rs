//! Writes of what a filter matches: it is removed, or changed, or both.

use sana_engine::namespace::request::ByFilter;

use crate::choices::{Choices, Site};
use crate::workload::{Drawn, Mix, documents};

pub(super) const fn weight(mix: &Mix) -> u32 {
    mix.writes * mix.by_filter
}

pub(super) fn draw(mix: &Mix, choices: &mut Choices, unique: u64) -> Drawn {
    let by = |choices: &mut Choices| {
        let filter = mix.filter(choices, 1);
        ByFilter { filter, allows_partial: choices.chance(Site::Workload, 500) }
    };
    let mut request = documents::begun(mix);
    let which = choices.choose(Site::Workload, 5);
    if which != 0 {
        let changes = mix.attributes(choices, unique, false);
        request.patch_by_filter = Some((by(choices), changes));
    }
    if which < 2 {
        request.delete_by_filter = Some(by(choices));
    }
    Drawn::Write(request)
}
