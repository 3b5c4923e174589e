//! The ports of one machine, on real files and an index on loopback.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

mod cache;
mod download;
mod harness;
mod layer_folder;
