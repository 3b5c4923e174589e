//! The domain of the pipeline, in the field's own terms. Pure and synchronous: no network, no async
//! runtime, no AWS, and no ecosystem's packages.
//!
//! A [`request`] names the packages of one [`language`] and its [`target`]s. For each target an
//! ecosystem yields packages, whose [`digest`] says what the [`layer`] consists of and a
//! [`manifest`] describes it. What is published of it follows from [`publication`], [`tracking`]
//! says how far a request has come, and [`notification`] announces it.

// `Fault` is derived here, too, and what it derives names this crate.
extern crate self as accretion_core;

pub mod delivery;
pub mod diagnostic;
pub mod digest;
pub mod encoding;
pub mod excerpt;
pub mod fault;
pub mod identity;
pub mod invocation;
pub mod json;
pub mod keys;
pub mod language;
pub mod layer;
pub mod limits;
pub mod loopback;
pub mod manifest;
pub mod notification;
pub mod pruning;
pub mod publication;
pub mod request;
pub mod retention;
pub mod target;
pub mod text;
pub mod timestamp;
pub mod tracking;

pub use fault::{Class, Fault};
