//! The shared parts of the tests: a forge for zips, wheels and source distributions, legal and
//! otherwise, a package index on loopback, CloudWatch's view of lines with metrics, texts that look
//! like secrets, and this machine's Pythons.
//!
//! The crate knows nothing of the engine: what is forged here is what the engine is tested with.

pub mod emf;
pub mod forge;
pub mod index;
pub mod interpreters;
pub mod secrets;
