//! Fuzzes the decoder of heads.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sana_fuzz::head(bytes));
