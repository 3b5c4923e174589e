//! Forges distributions in memory: wheels ([`WheelForge`]), source distributions ([`SdistForge`])
//! and, below both, zip archives that are as odd or as false as a test needs ([`zip`]).
//!
//! Everything forged is deterministic: the same calls give the same bytes.

mod sdist;
mod wheel;
pub mod zip;

pub use sdist::{Sdist, SdistForge};
pub(crate) use wheel::escape;
pub use wheel::{Part, Wheel, WheelForge};

use sha2::Digest as _;

/// The SHA-256 of bytes, as 64 lowercase hexadecimal digits.
pub fn sha256_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    sha2::Sha256::digest(bytes)
        .iter()
        .fold(String::with_capacity(64), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}
