//! Runs [`accretion_fuzz::delivery`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| accretion_fuzz::delivery(data));
