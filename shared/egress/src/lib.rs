//! The way of resolvers and downloads to the network: the servers that they may reach, the package
//! indexes of a build with their credentials, the egress proxy that a resolver is given on loopback,
//! and the one index there that stands for several.

mod client;
mod dns;
mod error;
mod hosts;
mod indexes;
mod netrc;
mod origin;
mod proxy;
mod routes;
mod rules;

pub use client::{client, describe, refusal, with_credentials};
pub use error::Error;
pub use hosts::{AllowedHosts, ParseAllowedHostsError};
pub use indexes::{DefaultIndex, Indexes, NamedIndex};
pub use netrc::{Netrc, ParseNetrcError};
pub use origin::{Origins, Refusal};
pub use proxy::EgressProxy;
pub use routes::{Findings, Routes};
pub use rules::Stop;
