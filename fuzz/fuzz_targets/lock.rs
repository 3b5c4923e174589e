//! Runs [`accretion_fuzz::lock`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| accretion_fuzz::lock(data));
