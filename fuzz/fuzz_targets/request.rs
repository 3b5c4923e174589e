//! Runs [`accretion_fuzz::request`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| accretion_fuzz::request(data));
