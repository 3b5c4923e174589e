//! The engine on forged wheels and lock files: what it refuses, what it makes of legal oddities,
//! and that the same input gives the same bytes.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

mod bundle;
mod conflict;
mod formats;
mod harness;
mod hostile;
mod legal;
mod limits;
mod lock;
mod oversize;
mod pruning;
mod readers;
mod releases;
mod reproducible;
