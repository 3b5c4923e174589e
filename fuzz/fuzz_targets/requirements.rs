//! Runs [`accretion_fuzz::requirements`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| accretion_fuzz::requirements(data));
