//! The binary `sana`.

fn main() {}
