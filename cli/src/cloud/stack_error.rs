//! Errors of deploying and deleting stacks.

use std::fmt::Write as _;

use std::path::PathBuf;

use accretion_aws::operator::StackEvent;
use accretion_core::Fault;
use serde::Serialize;

use super::{Outcome, SamCommand};
use crate::args::Region;

/// An error of deploying or deleting a stack.
#[derive(Debug, Clone, thiserror::Error, Fault)]
pub(crate) enum StackError {
    #[error("the template {} does not exist", path.display())]
    #[fault(
        User,
        hint = if *is_named {
            "name a SAM template, or omit --template and ACCRETION_TEMPLATE".to_owned()
        } else {
            "the checkout that this command was compiled from is not on this machine: name the \
             sam/template.yaml of another checkout with --template".to_owned()
        }
    )]
    TemplateMissing { path: PathBuf, is_named: bool },
    #[error("{program} cannot be run: {problem}")]
    #[fault(
        Internal,
        hint = "install the AWS SAM CLI (`pip install aws-sam-cli`), or name it with ACCRETION_SAM"
    )]
    SamMissing { program: String, problem: String },
    #[error("`{command}` failed:\n{said}")]
    #[fault(Internal)]
    SamFailed { command: SamCommand, said: String },
    #[error("{} cannot be used: {problem}", path.display())]
    #[fault(User)]
    SamConfigInvalid { path: PathBuf, problem: String },
    #[error("{} has no parameter `{name}`", template.display())]
    #[fault(User, hint = format!("it has {}", known.join(", ")))]
    ParameterUnknown {
        template: PathBuf,
        name: String,
        known: Vec<String>,
    },
    #[error("{} names several stacks: {}", path.display(), stacks.join(", "))]
    #[fault(
        User,
        hint = format!(
            "one stack is a whole pipeline: keep only the stack to update in {} for {region}, and delete the \
             others with `aws cloudformation delete-stack`",
            path.display()
        )
    )]
    StacksSeveral {
        path: PathBuf,
        region: Region,
        stacks: Vec<String>,
    },
    #[error("`{stack}` is not a pipeline of Accretion")]
    #[fault(
        User,
        hint = "name another stack with --stack-name, or check the stacks in the deployment file"
    )]
    StackForeign { region: Region, stack: String },
    #[error("`{stack}` cannot be {intent}: it is {status}{}", because(reason.as_deref()))]
    #[fault(User, hint = hint.clone())]
    StackStuck {
        stack: String,
        intent: Outcome,
        status: String,
        reason: Option<String>,
        /// The advice.
        hint: String,
    },
    #[error("`{stack}` was not {intent}, and is {status} now:{}", listed(failures))]
    #[fault(User, hint = hint.clone())]
    StackFailed {
        stack: String,
        intent: Outcome,
        status: String,
        failures: Vec<Failure>,
        /// The advice.
        hint: String,
    },
}

/// A resource that CloudFormation could not make, change or delete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Failure {
    /// Its name in the template.
    pub(crate) resource: String,
    /// Its type, such as `AWS::S3::Bucket`.
    #[serde(rename = "Type")]
    pub(crate) resource_type: String,
    /// CloudFormation's own reason.
    pub(crate) reason: String,
}

impl Failure {
    /// The failures among events, each once: without consequences of other failures, and without the
    /// stack itself if a resource failed.
    pub(crate) fn among(events: &[StackEvent]) -> Vec<Self> {
        let mut failures: Vec<Self> = Vec::new();
        let (of_stack, of_resources): (Vec<_>, Vec<_>) = events
            .iter()
            .filter(|event| event.is_cause_of_failure())
            .partition(|event| event.is_of_stack);
        for event in if of_resources.is_empty() {
            of_stack
        } else {
            of_resources
        } {
            let failure = Self {
                resource: event.resource.logical_id.clone(),
                resource_type: event.resource.resource_type.clone(),
                reason: event
                    .reason
                    .clone()
                    .unwrap_or_else(|| "no reason given".to_owned()),
            };
            if !failures.contains(&failure) {
                failures.push(failure);
            }
        }
        failures
    }
}

impl StackError {
    /// Returns whether a deployment or deletion failed in AWS.
    pub(crate) fn is_of_cloud(&self) -> bool {
        match self {
            Self::StackFailed { .. } | Self::StackStuck { .. } => true,
            Self::SamFailed { command, .. } => *command == SamCommand::Deploy,
            _ => false,
        }
    }

    /// The failed resources.
    pub(crate) fn failures(&self) -> &[Failure] {
        match self {
            Self::StackFailed { failures, .. } => failures,
            _ => &[],
        }
    }
}

fn because(reason: Option<&str>) -> String {
    reason
        .map(|reason| format!(", because: {reason}"))
        .unwrap_or_default()
}

/// A line for each failure.
fn listed(failures: &[Failure]) -> String {
    failures.iter().fold(String::new(), |mut lines, it| {
        // Writing to a String can't fail.
        let _ = write!(
            lines,
            "\n{} ({}): {}",
            it.resource, it.resource_type, it.reason
        );
        lines
    })
}
