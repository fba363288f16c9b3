//! Every document that a filter leaves, by ascending id.

use sana_engine::namespace::request::{Include, Rank, Want};

use crate::choices::Choices;
use crate::workload::{Drawn, Filtered, Mix};

pub(super) const fn weight(mix: &Mix) -> u32 {
    mix.queries * 250
}

pub(super) fn draw(_: &Mix, _: &mut Choices, _: u64) -> Drawn {
    Drawn::Query(Want::rows(Rank::By(Vec::new()), 10_000, Include::All), Filtered::Often)
}
