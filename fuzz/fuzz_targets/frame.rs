//! Fuzzes the envelope of every object.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sana_fuzz::frame(bytes));
