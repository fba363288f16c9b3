//! Fuzzes the parser of keys.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sana_fuzz::object_key(bytes));
