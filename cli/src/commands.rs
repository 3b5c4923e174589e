//! One module for each command.

pub(crate) mod build;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod lock;
pub(crate) mod man;
pub(crate) mod schema;

#[cfg(feature = "aws")]
pub(crate) use cloud::run;

#[cfg(feature = "aws")]
mod add;
#[cfg(feature = "aws")]
mod cloud;
#[cfg(feature = "aws")]
mod delete;
#[cfg(feature = "aws")]
mod describe;
#[cfg(feature = "aws")]
mod destroy;
#[cfg(feature = "aws")]
mod diff;
#[cfg(feature = "aws")]
mod grant;
#[cfg(feature = "aws")]
mod init;
#[cfg(feature = "aws")]
mod list;
#[cfg(feature = "aws")]
mod publish;
#[cfg(feature = "aws")]
mod redrive;
#[cfg(feature = "aws")]
mod request;
#[cfg(feature = "aws")]
mod revoke;
#[cfg(feature = "aws")]
mod rollback;
#[cfg(feature = "aws")]
mod status;
#[cfg(feature = "aws")]
mod template;
#[cfg(feature = "aws")]
mod update;
