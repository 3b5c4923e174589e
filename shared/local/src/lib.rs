//! The ports of `accretion-service` on one machine, for the command and for functions alike: uv as
//! a subprocess, downloads over HTTP, the wheel cache, an output folder.

pub mod cache;
#[cfg(target_os = "linux")]
pub mod descendants;
mod download;
mod error;
mod foreign;
pub mod layer_folder;
pub mod output;
mod project;
pub mod python;
pub mod remote;
mod sandboxes;
mod temporary;
pub mod uv;

pub use download::Downloader;
pub use error::Error;
pub use sandboxes::Sandboxes;
