//! Runs [`accretion_fuzz::filename`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| accretion_fuzz::filename(data));
