//! What the commands share that speak to AWS.

mod contents;
mod deployment;
mod error;
mod permissions;
mod pipeline;
mod place;
mod sam;
mod stack_error;
mod stack_work;
mod template;

pub(crate) use contents::{Contents, Recorded, read_manifest, signed_difference};
pub(crate) use deployment::{DeploymentFile, Deployments, OneRegion, Region, Retained, Stacks};
pub(crate) use error::{Error, print_fault_in};
pub(crate) use permissions::{PermissionRecord, StatementRecord, VersionToShare, Who, who};
pub(crate) use pipeline::{AwsOptions, Pipeline, in_each};
pub(crate) use place::{
    LayerSpec, Misread, Nothing, OneLayer, OneVersion, Placed, Word, Words, next,
};
pub(crate) use sam::{Deployment, Parameter, Sam};
pub(crate) use stack_error::{Failure, StackError};
pub(crate) use stack_work::{Outcome, Pauses, StackWork, exit_code, settled};
pub(crate) use template::{Template, TemplateOption};
