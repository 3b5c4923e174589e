//! Runs [`accretion_fuzz::marker`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| accretion_fuzz::marker(data));
