//! The namespace is locked against writes, or unlocked.

use sana_engine::namespace::request::WriteRequest;

use crate::choices::{Choices, Site};
use crate::workload::{Drawn, Mix};

pub(super) const fn weight(mix: &Mix) -> u32 {
    mix.writes * mix.locks
}

pub(super) fn draw(_: &Mix, choices: &mut Choices, _: u64) -> Drawn {
    // More often open than shut, or little would ever be written.
    let read_only = Some(choices.chance(Site::Workload, 300));
    Drawn::Write(WriteRequest { read_only, ..WriteRequest::default() })
}
