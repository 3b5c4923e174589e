//! What can go wrong between the command and a pipeline.

use std::io;
use std::path::PathBuf;

use accretion_aws::Zip;
use accretion_core::{Class, Fault, fault_codes};
use accretion_service::ports::PortError;

use indicatif::BinaryBytes;

use super::Region;

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
    #[error("nothing says in which region")]
    RegionMissing,
    #[error("{} holds nothing for a layer", path.display())]
    LayerFolderEmpty { path: PathBuf },
    #[error("{} cannot be read: {error}", path.display())]
    ZipUnreadable { path: PathBuf, error: io::Error },
    #[error(
        "the zip has {}, and Lambda takes more than {} only from a bucket",
        BinaryBytes(*size),
        BinaryBytes(Zip::DIRECT_BYTES)
    )]
    BucketMissing { size: u64 },
    #[error("{} is not there in {region}", named(layer, *version))]
    LayerVersionUnknown {
        region: Region,
        layer: String,
        version: Option<u64>,
    },
    #[error("the account is a member of no organization")]
    OrganizationMissing,
    #[error("{arn} is published, but not all that was to be granted is: {error}")]
    NotGranted {
        arn: String,
        error: accretion_aws::Error,
    },
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
        Self::RegionMissing => "RegionMissing", User;
        Self::LayerFolderEmpty { .. } => "LayerFolderEmpty", User;
        Self::ZipUnreadable { .. } => "ZipUnreadable", Internal;
        Self::BucketMissing { .. } => "BucketMissing", User;
        Self::LayerVersionUnknown { .. } => "LayerVersionUnknown", User;
        Self::OrganizationMissing => "OrganizationMissing", User;
    }
    else {
        Self::NotGranted { error, .. } => error;
        Self::Aws(error) => error;
        Self::Port(error) => error;
    }
}

/// A layer or a version of it, for people.
fn named(layer: &str, version: Option<u64>) -> String {
    match version {
        Some(version) => format!("version {version} of the layer `{layer}`"),
        None => format!("the layer `{layer}`"),
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
            Self::RegionMissing => Some(
                "name one with --region, set AWS_REGION, or take those of a --deployment-file"
                    .to_owned(),
            ),
            Self::LayerFolderEmpty { .. } => {
                Some("what is hidden at its top does not go into a layer".to_owned())
            }
            Self::BucketMissing { .. } => Some(
                "name a bucket of that region with --bucket, or a --deployment-file with a pipeline \
                 there"
                    .to_owned(),
            ),
            Self::LayerVersionUnknown { .. } => Some(
                "look at the name and the account: `accretion list versions` lists what is there"
                    .to_owned(),
            ),
            Self::OrganizationMissing => Some("name one with --organization".to_owned()),
            Self::NotGranted { error, .. } => {
                let again = "publish it again: what is unchanged is granted, too";
                Some(match error.hint() {
                    Some(hint) => format!("{hint}; then {again}"),
                    None => again.to_owned(),
                })
            }
            Self::ZipUnreadable { .. } | Self::DeploymentFileUnwritable { .. } => None,
            Self::Aws(error) => error.hint(),
            Self::Port(error) => error.hint(),
        }
    }
}
