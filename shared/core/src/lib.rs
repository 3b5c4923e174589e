//! The domain of Accretion, in the field's own terms. Pure and synchronous: no network, no async
//! runtime, no AWS.
//!
//! A [`request`] names requirements and [`target`]s. For each target a set of locked packages
//! ([`lock`]) yields one [`wheel`] a package; the wheels are spliced into a [`layer`] zip
//! ([`archive`]) that a [`manifest`] describes under a [`digest`].

pub mod archive;
pub mod diagnostic;
pub mod digest;
pub mod error;
pub mod layer;
pub mod limits;
pub mod lock;
pub mod manifest;
pub mod request;
pub mod requirement;
pub mod target;
pub mod wheel;

pub use error::{Class, Error, Fault};
