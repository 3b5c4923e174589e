//! Runs [`accretion_fuzz::archive`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| accretion_fuzz::archive(data));
