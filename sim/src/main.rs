//! The command line of the adversary.

fn main() {}
