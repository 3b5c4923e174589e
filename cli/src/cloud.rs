//! What the commands share that speak to AWS.

mod contents;
mod deployment;
mod error;
mod permissions;
mod pipeline;

pub(crate) use contents::{Contents, signed_difference};
pub(crate) use deployment::{DeploymentFile, Deployments, Region, Stacks};
pub(crate) use error::{Error, print_fault_in};
pub(crate) use permissions::{PermissionRecord, StatementRecord, VersionToShare, Who, who};
pub(crate) use pipeline::{AwsOptions, Pipeline, in_each};
