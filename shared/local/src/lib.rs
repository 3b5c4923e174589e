//! The ports of `accretion-service` on one machine, for the command and for functions alike: uv as
//! a subprocess, downloads over HTTP, the wheel cache, an output folder.

mod blocking;
pub mod cache;
#[cfg(target_os = "linux")]
pub mod descendants;
mod dns;
mod download;
mod egress;
mod error;
mod foreign;
mod hosts;
mod indexes;
pub mod layer_folder;
mod netrc;
mod origin;
pub mod output;
mod project;
pub mod python;
pub mod remote;
mod routes;
mod sandboxes;
mod temporary;
pub mod uv;

pub use download::Downloader;
pub use error::Error;
pub use hosts::{AllowedHosts, ParseAllowedHostsError};
pub use indexes::{DefaultIndex, Indexes, NamedIndex};
pub use netrc::{Netrc, ParseNetrcError};
pub use sandboxes::Sandboxes;
