//! Runs [`accretion_fuzz::wheel`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| accretion_fuzz::wheel(data));
