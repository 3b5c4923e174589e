//! The use cases of Accretion over narrow ports: no AWS, no terminal, no network of its own.

pub mod assemble;
mod blocking;
pub mod build;
pub mod deletion;
pub mod dispatch;
pub mod ecosystem;
mod error;
pub mod extra;
mod gather;
pub mod lock;
mod open_files;
pub mod ports;
pub mod publish;
pub mod python;
pub mod redrive;
pub mod rollback;

pub use blocking::blocking;
pub use error::Error;
