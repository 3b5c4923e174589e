//! The use cases of Accretion over narrow ports: no AWS, no terminal, no network of its own.

pub mod assemble;
pub mod build;
pub mod deletion;
pub mod dispatch;
mod error;
mod gather;
pub mod indexes;
pub mod lock;
mod open_files;
pub mod own;
mod packages;
pub mod ports;
pub mod publish;
pub mod redrive;
pub mod rollback;

pub use error::Error;
