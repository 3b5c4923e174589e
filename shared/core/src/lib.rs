//! The domain of Accretion, in the field's own terms. Pure and synchronous: no network, no async
//! runtime, no AWS.
//!
//! A [`request`] names requirements and [`target`]s. For each target a set of locked packages
//! ([`lock`]) yields one [`wheel`] a package; the wheels are spliced into a [`layer`] zip
//! ([`archive`]) that a [`manifest`] describes under a [`digest`]. What is published of it follows
//! from [`publication`], [`tracking`] says how far a request has come, and [`notification`] tells.

// `Fault` is derived here, too, and what it derives names this crate.
extern crate self as accretion_core;

pub mod archive;
pub mod delivery;
pub mod diagnostic;
pub mod digest;
pub mod error;
pub mod excerpt;
pub mod fault;
pub mod files;
pub mod identity;
pub mod index;
pub mod invocation;
pub mod json;
pub mod keys;
pub mod layer;
pub mod limits;
pub mod lock;
pub mod loopback;
pub mod manifest;
pub mod notification;
pub mod project;
pub mod provided;
pub mod pruning;
pub mod publication;
pub mod request;
pub mod requirement;
pub mod retention;
pub(crate) mod script;
pub mod secrets;
pub mod target;
pub mod timestamp;
pub mod tracking;
pub(crate) mod uv_settings;
pub mod wheel;

pub use error::Error;
pub use fault::{Class, Fault};
