//! Fuzzes bodies of queries.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sana_fuzz::wire::query(bytes));
