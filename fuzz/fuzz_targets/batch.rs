//! Fuzzes the decoder of batches.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sana_fuzz::batch(bytes));
