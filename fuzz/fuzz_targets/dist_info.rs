//! Runs [`accretion_fuzz::dist_info`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| accretion_fuzz::dist_info(data));
