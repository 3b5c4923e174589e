//! Access to AWS that several commands share.

mod contents;
mod deployment;
mod error;
mod permissions;
mod pipeline;
mod sam;
mod stack_error;
mod stack_work;
mod template;

pub(crate) use contents::{Contents, Recorded, read_manifest, signed_difference};
pub(crate) use deployment::{DeploymentFile, Deployments, Retained, Stacks};
pub(crate) use error::{Error, print_fault_in};
pub(crate) use permissions::{Shared, StatementRecord};
pub(crate) use pipeline::{Pipeline, in_each, parted};
pub(crate) use sam::{Deployment, Sam, SamCommand};
pub(crate) use stack_error::{Failure, StackError};
pub(crate) use stack_work::{Done, Outcome, Pauses, StackWork, print_done, settled};
pub(crate) use template::Template;
