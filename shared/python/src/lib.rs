//! Python packages: what requirements, lock files and indexes name, which wheel of a package a target
//! gets, and what a wheel puts into a layer. Pure and synchronous.
//!
//! A [`request`] names a set of [`requirement`]s, or a [`lock`]; for each target they come to locked
//! packages, and each of them to one [`wheel`].

mod error;
pub mod index;
pub mod lock;
pub mod project;
pub mod provided;
pub mod release;
pub mod request;
pub mod requirement;
mod script;
mod site_packages;
mod uv_settings;
pub mod wheel;

pub use error::{Error, substitute, without_wheel};
pub use site_packages::SitePackages;
