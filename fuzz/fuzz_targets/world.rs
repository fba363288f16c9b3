//! Fuzzes the decisions of a world of the simulator.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sana_fuzz::worlds::world(bytes));
