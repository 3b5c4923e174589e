//! What can go wrong between the command and a pipeline.

use std::io;
use std::path::PathBuf;

use accretion_core::{Class, Fault, fault_codes};
use accretion_service::ports::PortError;

use super::{Failure, Region, StackError};

/// What can go wrong between the command and a pipeline.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{} cannot be read: {error}", path.display())]
    DeploymentFileUnreadable { path: PathBuf, error: io::Error },
    #[error("{} is there already", path.display())]
    DeploymentFileExists { path: PathBuf },
    #[error("{} is not a deployment file: {problem}", path.display())]
    DeploymentFileInvalid { path: PathBuf, problem: String },
    #[error("{} cannot be written: {error}", path.display())]
    DeploymentFileUnwritable { path: PathBuf, error: io::Error },
    #[error("{} does not name the region {region}", path.display())]
    RegionUnknown {
        path: PathBuf,
        region: Region,
        known: Vec<Region>,
    },
    #[error("{} names another stack in {region}: `{stack}`", path.display())]
    RegionTaken {
        path: PathBuf,
        region: Region,
        stack: String,
    },
    #[error("nothing is deployed in {region}")]
    NotDeployed { region: Region },
    #[error("there is no stack `{stack}` in {region}")]
    StackMissing { region: Region, stack: String },
    #[error("no stack in {region} has the output `{output}`: {}", stacks.join(", "))]
    OutputMissing {
        region: Region,
        stacks: Vec<String>,
        output: &'static str,
    },
    #[error("there is no layer `{layer}` in {region}")]
    LayerUnknown { region: Region, layer: String },
    #[error("there is no version {version} of the layer `{layer}` in {region}")]
    LayerVersionUnknown {
        region: Region,
        layer: String,
        version: u64,
    },
    #[error("nothing in {region} says what {layer}:{version} consists of")]
    LayerManifestMissing {
        region: Region,
        layer: String,
        version: u64,
    },
    #[error("{name} is not a manifest: {problem}")]
    ManifestUnreadable { name: String, problem: String },
    #[error(transparent)]
    Stack(Box<StackError>),
    #[error(transparent)]
    Aws(#[from] accretion_aws::Error),
    #[error(transparent)]
    Port(#[from] PortError),
}

fault_codes! {
    #[cfg(test)]
    impl Error {
        Self::DeploymentFileUnreadable { .. } => "DeploymentFileUnreadable", User;
        Self::DeploymentFileExists { .. } => "DeploymentFileExists", User;
        Self::DeploymentFileInvalid { .. } => "DeploymentFileInvalid", User;
        Self::DeploymentFileUnwritable { .. } => "DeploymentFileUnwritable", Internal;
        Self::RegionUnknown { .. } => "RegionUnknown", User;
        Self::RegionTaken { .. } => "RegionTaken", User;
        Self::NotDeployed { .. } => "NotDeployed", User;
        Self::StackMissing { .. } => "StackMissing", User;
        Self::OutputMissing { .. } => "OutputMissing", User;
        Self::LayerUnknown { .. } => "LayerUnknown", User;
        Self::LayerVersionUnknown { .. } => "LayerVersionUnknown", User;
        Self::LayerManifestMissing { .. } => "LayerManifestMissing", User;
        Self::ManifestUnreadable { .. } => "ManifestUnreadable", User;
    }
    else {
        Self::Stack(error) => &**error;
        Self::Aws(error) => error;
        Self::Port(error) => error;
    }
}

impl Error {
    /// Whether the command line is at fault.
    pub(crate) fn is_of_usage(&self) -> bool {
        matches!(self, Self::Stack(error) if matches!(**error, StackError::NotConfirmed { .. }))
    }

    /// The resources that CloudFormation has failed with.
    pub(crate) fn failures(&self) -> &[Failure] {
        match self {
            Self::Stack(error) => error.failures(),
            _ => &[],
        }
    }
}

impl From<StackError> for Error {
    fn from(error: StackError) -> Self {
        Self::Stack(Box::new(error))
    }
}

impl Fault for Error {
    fn code(&self) -> &'static str {
        self.code_and_class().0
    }

    fn class(&self) -> Class {
        self.code_and_class().1
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::DeploymentFileUnreadable { error, .. } => {
                let is_missing = error.kind() == io::ErrorKind::NotFound;
                is_missing.then(|| "`accretion init` writes a new one".to_owned())
            }
            Self::DeploymentFileExists { path } => Some(format!(
                "add regions with `accretion add regions {}`, or name another file",
                path.display()
            )),
            Self::DeploymentFileInvalid { .. } => Some(
                "it has the form `{\"Deployments\": {\"eu-west-1\": {\"Core\": \"STACK\", …}}}`"
                    .to_owned(),
            ),
            Self::RegionUnknown {
                path,
                region,
                known,
            } => {
                let known: Vec<_> = known.iter().map(Region::as_str).collect();
                Some(format!(
                    "it names {}; `accretion add regions {} {region}` adds it",
                    if known.is_empty() {
                        "none".to_owned()
                    } else {
                        known.join(", ")
                    },
                    path.display()
                ))
            }
            Self::RegionTaken { .. } => Some(
                "a region has one pipeline: take the other stack out of the file first".to_owned(),
            ),
            Self::NotDeployed { .. } => Some(
                "`accretion update all` deploys there; `accretion add stack` adopts a stack of \
                 `sam deploy`"
                    .to_owned(),
            ),
            Self::StackMissing { .. } => Some(
                "look at the account and at the name; `accretion update all` deploys it again"
                    .to_owned(),
            ),
            Self::OutputMissing { .. } => Some(
                "it is of another version of Accretion, or not of Accretion: \
                 `accretion update all` brings it up to date"
                    .to_owned(),
            ),
            Self::LayerUnknown { .. } => {
                Some("`accretion list layers` shows those that there are".to_owned())
            }
            Self::LayerVersionUnknown { .. } => {
                Some("`accretion list versions` shows those that there are".to_owned())
            }
            Self::LayerManifestMissing { .. } => {
                Some("only versions that this pipeline has published have manifests".to_owned())
            }
            Self::DeploymentFileUnwritable { .. } | Self::ManifestUnreadable { .. } => None,
            Self::Stack(error) => error.hint(),
            Self::Aws(error) => error.hint(),
            Self::Port(error) => error.hint(),
        }
    }
}
