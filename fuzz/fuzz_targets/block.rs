//! Fuzzes the decoder of blocks of segments.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sana_fuzz::segment::block(bytes));
