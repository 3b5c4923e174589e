//! What the tests share: a forge for zips, wheels and source distributions, legal and otherwise,
//! and a package index on loopback.
//!
//! The crate knows nothing of the engine: what is forged here is what the engine is tested with.

pub mod forge;
pub mod index;
