//! The bodies of the fuzz targets: what is promised of everything that Accretion reads of
//! strangers. Each takes any bytes, and panics where a promise is broken.
//!
//! `fuzz_targets/` hands them to libFuzzer, `tests/seeds.rs` gives them what is committed below
//! `seeds/`.

#![forbid(unsafe_code)]

mod delivery;
mod forge;
mod lock;
mod marker;
mod name;
mod python;
mod report;
mod request;
mod requirements;
mod seeds;
mod wheel;

pub use delivery::delivery;
pub use lock::lock;
pub use marker::marker;
pub use name::filename;
pub use request::request;
pub use requirements::requirements;
pub use seeds::forged;
pub use wheel::{archive, dist_info, layer, wheel};

/// A target: what takes the bytes.
pub type Target = fn(&[u8]);

/// Every target with its name.
pub const TARGETS: &[(&str, Target)] = &[
    ("archive", archive),
    ("delivery", delivery),
    ("dist_info", dist_info),
    ("filename", filename),
    ("layer", layer),
    ("lock", lock),
    ("marker", marker),
    ("request", request),
    ("requirements", requirements),
    ("wheel", wheel),
];

/// The first byte, which chooses how the rest is read.
fn choice(data: &[u8]) -> (u8, &[u8]) {
    data.split_first()
        .map_or((0, data), |(first, rest)| (*first, rest))
}
