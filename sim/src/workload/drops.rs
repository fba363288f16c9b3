//! Attributes are dropped. The next write brings them back, empty.

use sana_engine::namespace::request::WriteRequest;

use crate::choices::Choices;
use crate::workload::values::name;
use crate::workload::{Drawn, Mix, pick};

pub(super) const fn weight(mix: &Mix) -> u32 {
    mix.writes * mix.drops
}

pub(super) fn draw(mix: &Mix, choices: &mut Choices, _: u64) -> Drawn {
    let all = ["tags", "text", "v", "u", "f", "h", "sp", "ns"];
    let some = if mix.wide > 0 { &all[..] } else { &all[..3] };
    Drawn::Write(WriteRequest { drops: vec![name(pick(choices, some))], ..WriteRequest::default() })
}
