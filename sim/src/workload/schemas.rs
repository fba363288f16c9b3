//! A write that says something of attributes and writes no document.

use crate::choices::Choices;
use crate::workload::{Drawn, Mix, documents};

pub(super) const fn weight(mix: &Mix) -> u32 {
    mix.writes * 20
}

pub(super) fn draw(mix: &Mix, _: &mut Choices, _: u64) -> Drawn {
    Drawn::Write(documents::begun(mix))
}
