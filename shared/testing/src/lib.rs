//! What the tests share: a forge for zips, wheels and source distributions, legal and otherwise, a
//! package index on loopback, and CloudWatch's view of lines with metrics.
//!
//! The crate knows nothing of the engine: what is forged here is what the engine is tested with.

pub mod emf;
pub mod forge;
pub mod index;
