//! Fuzzes filters against a model.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sana_fuzz::filters::filter(bytes));
