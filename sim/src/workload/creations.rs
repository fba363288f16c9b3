//! A namespace is created without a document, if there is none.

use sana_engine::namespace::request::{Create, WriteRequest};

use crate::choices::Choices;
use crate::workload::{Drawn, Mix, documents};

pub(super) const fn weight(mix: &Mix) -> u32 {
    mix.writes * 20
}

pub(super) fn draw(mix: &Mix, _: &mut Choices, _: u64) -> Drawn {
    Drawn::Write(WriteRequest { create: Create::Always, ..documents::begun(mix) })
}
