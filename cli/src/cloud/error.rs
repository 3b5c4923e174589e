//! What can go wrong between the command and a pipeline.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use accretion_aws::operator::Zip;
use accretion_core::diagnostic::Problem;
use accretion_core::request::{InputKind, RequestId};
use accretion_core::{Class, Fault, fault_codes};
use accretion_service::ports::PortError;
use accretion_service::rollback::SourceError;
use indicatif::BinaryBytes;

use super::{Failure, Region, StackError};
use crate::error::{FAILED_IN_AWS, USAGE, code_of, print_fault};

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
    #[error("{} names no region", path.display())]
    RegionsMissing { path: PathBuf },
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
    #[error("nothing in {region} says what {layer}:{version} consists of")]
    LayerManifestMissing {
        region: Region,
        layer: String,
        version: u64,
    },
    #[error("{name}, which {layer}:{version} was published from, is not there any more")]
    ArtifactMissing {
        layer: String,
        version: u64,
        name: String,
    },
    #[error("{}", versions_named(layer, named))]
    VersionUnclear { layer: String, named: Vec<u64> },
    #[error("{name} is not a manifest: {problem}")]
    ManifestUnreadable { name: String, problem: String },
    #[error("nothing says in which region")]
    RegionMissing,
    #[error("{} holds nothing for a layer", path.display())]
    LayerFolderEmpty { path: PathBuf },
    #[error("{} cannot be read: {error}", path.display())]
    ZipUnreadable { path: PathBuf, error: io::Error },
    #[error("{} cannot be published: {problem}", path.display())]
    ZipInvalid { path: PathBuf, problem: String },
    #[error("--layer names one layer, and there are {zips} zips")]
    LayerNameShared { zips: usize },
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
    #[error("{} is a {}", path.display(), described(*kind))]
    InputKindUnexpected { path: PathBuf, kind: InputKind },
    #[error("the pipeline in {region} refuses the request: {}", messages(problems))]
    RequestNotAdmitted {
        region: Region,
        problems: Vec<Problem>,
    },
    #[error("no request `{id}` is known in {}", list(regions))]
    RequestUnknown { id: RequestId, regions: Vec<Region> },
    #[error("the request `{id}` was rejected in {region}, and is not stored")]
    RequestNotStored { id: RequestId, region: Region },
    #[error("what is stored of the request `{id}` cannot be read:\n{problem}")]
    RequestInvalid { id: RequestId, problem: String },
    #[error("the request `{id}` names files, and {key} is not in the artifacts bucket")]
    RequestFileMissing { id: RequestId, key: String },
    #[error("no layer of the request `{id}` has failed in {region}: {summary}")]
    NothingFailed {
        id: RequestId,
        region: Region,
        summary: String,
    },
    #[error(
        "nothing was heard of the request `{id}` in {} for {} s",
        list(regions),
        waited.as_secs()
    )]
    RequestNotReceived {
        id: RequestId,
        regions: Vec<Region>,
        waited: Duration,
    },
    #[error("this needs somebody's consent, and there is no terminal to ask for it")]
    ConfirmationMissing,
    #[error("{region}: {error}")]
    InRegion { region: Region, error: Box<Error> },
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
        Self::RegionsMissing { .. } => "RegionsMissing", User;
        Self::NotDeployed { .. } => "NotDeployed", User;
        Self::StackMissing { .. } => "StackMissing", User;
        Self::OutputMissing { .. } => "OutputMissing", User;
        Self::LayerManifestMissing { .. } => "LayerManifestMissing", User;
        Self::ArtifactMissing { .. } => "ArtifactMissing", Internal;
        Self::VersionUnclear { .. } => "VersionUnclear", User;
        Self::ManifestUnreadable { .. } => "ManifestUnreadable", User;
        Self::RegionMissing => "RegionMissing", User;
        Self::LayerFolderEmpty { .. } => "LayerFolderEmpty", User;
        Self::ZipUnreadable { .. } => "ZipUnreadable", Internal;
        Self::ZipInvalid { .. } => "ZipInvalid", User;
        Self::LayerNameShared { .. } => "LayerNameShared", User;
        Self::BucketMissing { .. } => "BucketMissing", User;
        Self::LayerVersionUnknown { .. } => "LayerVersionUnknown", User;
        Self::OrganizationMissing => "OrganizationMissing", User;
        Self::InputKindUnexpected { .. } => "InputKindUnexpected", User;
        Self::RequestNotAdmitted { .. } => "RequestNotAdmitted", User;
        Self::RequestUnknown { .. } => "RequestUnknown", User;
        Self::RequestNotStored { .. } => "RequestNotStored", User;
        Self::RequestInvalid { .. } => "RequestInvalid", Internal;
        Self::RequestFileMissing { .. } => "RequestFileMissing", Internal;
        Self::NothingFailed { .. } => "NothingFailed", User;
        Self::RequestNotReceived { .. } => "RequestNotReceived", Transient;
        Self::ConfirmationMissing => "ConfirmationMissing", User;
    }
    else {
        Self::InRegion { error, .. } => &**error;
        Self::Stack(error) => &**error;
        Self::NotGranted { error, .. } => error;
        Self::Aws(error) => error;
        Self::Port(error) => error;
    }
}

impl Error {
    /// What went wrong in this region: what a service says does not name it.
    pub(crate) fn in_region(self, region: &Region) -> Self {
        match self {
            Self::Aws(_) | Self::Port(_) => Self::InRegion {
                region: region.clone(),
                error: Box::new(self),
            },
            other => other,
        }
    }

    /// What the shell is told.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::ConfirmationMissing => USAGE,
            Self::Stack(error) if error.is_of_cloud() => FAILED_IN_AWS,
            error => code_of(error.class()),
        }
    }

    /// The resources that CloudFormation has failed with.
    pub(crate) fn failures(&self) -> &[Failure] {
        match self {
            Self::Stack(error) => error.failures(),
            _ => &[],
        }
    }
}

impl Error {
    /// The fault of what a version was published from, in this bucket.
    pub(crate) fn of_source(error: SourceError, bucket: &str) -> Self {
        match error {
            SourceError::Port(error) => Self::Port(error),
            SourceError::Invalid { key, problem } => Self::ManifestUnreadable {
                name: format!("s3://{bucket}/{key}"),
                problem,
            },
        }
    }
}

impl From<StackError> for Error {
    fn from(error: StackError) -> Self {
        Self::Stack(Box::new(error))
    }
}

/// The number of versions of a layer that were named, for people.
fn versions_named(layer: &str, named: &[u64]) -> String {
    match named {
        [one, other] => format!("two versions of {layer} are named: {one} and {other}"),
        _ => format!("no version of {layer} is named"),
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

    #[expect(clippy::too_many_lines, reason = "one line or two for each error")]
    fn hint(&self) -> Option<String> {
        match self {
            Self::DeploymentFileUnreadable { path, error } => {
                let is_missing = error.kind() == io::ErrorKind::NotFound;
                is_missing.then(|| how_to_begin(path))
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
            } => Some(format!(
                "it names {}; `accretion add regions {} {region}` adds it",
                if known.is_empty() {
                    "none".to_owned()
                } else {
                    list(known)
                },
                path.display()
            )),
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
            Self::LayerManifestMissing { .. } => {
                Some(
                    "versions have manifests that the pipeline or `accretion publish` has published; \
                     `accretion list versions` shows which versions there are"
                        .to_owned(),
                )
            }
            Self::ArtifactMissing { .. } => Some(
                "restore the object, or request the layer again: `accretion request`".to_owned(),
            ),
            Self::VersionUnclear { layer, .. } => Some(format!(
                "name one, as in {layer}:3; `accretion list versions` shows those that there are"
            )),
            Self::RegionMissing => Some(
                "name one with --region, set AWS_REGION, or take those of a --deployment-file"
                    .to_owned(),
            ),
            Self::LayerFolderEmpty { .. } => {
                Some(
                    "hidden files, `__pycache__` and what ignore files name do not go into a layer: \
                     --hidden brings hidden files back, a `!` in an .accretionignore any"
                        .to_owned(),
                )
            }
            Self::BucketMissing { .. } => Some(
                "name a bucket of that region with --bucket, or a --deployment-file with a pipeline \
                 there"
                    .to_owned(),
            ),
            Self::LayerVersionUnknown { .. } => Some(
                "look at the name and the account: `accretion list layers` and `list versions` show \
                 those that there are"
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
            Self::ZipInvalid { .. } => Some("build it again with `accretion build`".to_owned()),
            Self::LayerNameShared { .. } => Some(
                "publish each by itself, or leave --layer out: their manifests name them".to_owned(),
            ),
            Self::ManifestUnreadable { .. } => {
                Some("`accretion build` writes LAYER.manifest beside LAYER.zip".to_owned())
            }
            Self::ZipUnreadable { .. } | Self::DeploymentFileUnwritable { .. } => None,
            Self::RegionsMissing { path } => Some(format!(
                "`accretion add regions {} REGION` adds one",
                path.display()
            )),
            Self::InputKindUnexpected { kind, .. } => Some(command_for(*kind).to_owned()),
            Self::RequestNotAdmitted { problems, .. } => problems.first()?.help.clone(),
            Self::RequestUnknown { .. } => Some(
                "look at the id; it takes some seconds until a request is known, and `accretion \
                 status --watch` waits for it"
                    .to_owned(),
            ),
            Self::RequestNotStored { id, .. } => Some(format!(
                "`accretion status DEPLOYMENT_FILE {id}` says what is wrong with it: correct that, \
                 then drop it again"
            )),
            Self::RequestInvalid { .. } | Self::RequestFileMissing { .. } => {
                Some("drop the request again, with the files that it names".to_owned())
            }
            Self::NothingFailed { .. } => {
                Some("without --failed, all of its layers are requested again".to_owned())
            }
            Self::RequestNotReceived { .. } => Some(
                "look at the id, then at the dispatcher's log; `accretion redrive` shows whether \
                 the request is among the dead letters"
                    .to_owned(),
            ),
            Self::ConfirmationMissing => Some("say --yes to go ahead".to_owned()),
            Self::InRegion { error, .. } => error.hint(),
            Self::Stack(error) => error.hint(),
            Self::Aws(error) => error.hint(),
            Self::Port(error) => error.hint(),
        }
    }
}

/// Prints what went wrong in a region, which is named once.
pub(crate) fn print_fault_in(region: &Region, error: &Error) {
    let is_named = names(&error.to_string(), region);
    print_fault(error, (!is_named).then(|| region.as_str()));
}

fn messages(problems: &[Problem]) -> String {
    let messages: Vec<_> = problems.iter().map(|it| it.message.as_str()).collect();
    messages.join("; ")
}

fn how_to_begin(path: &Path) -> String {
    let path = path.display();
    format!("look at the path; `accretion init {path} REGION` writes a new one")
}

/// Whether a text says a region's name, and not only as a part of another name.
fn names(text: &str, region: &Region) -> bool {
    let mut words = text.split_whitespace();
    words.any(|word| word.trim_matches(['`', ',', ':', ';', '.']) == region.as_str())
}

fn list(regions: &[Region]) -> String {
    let regions: Vec<_> = regions.iter().map(Region::as_str).collect();
    regions.join(", ")
}

fn command_for(kind: InputKind) -> &'static str {
    match kind {
        InputKind::Request => "`accretion request raw` drops requests",
        InputKind::RequirementsTxt | InputKind::Lock(_) | InputKind::Script => {
            "`accretion request requirements` drops it under the name of a project"
        }
    }
}

fn described(kind: InputKind) -> &'static str {
    match kind {
        InputKind::Request => "request",
        InputKind::RequirementsTxt => "requirements file, and no request",
        InputKind::Lock(_) => "lock file, and no request",
        InputKind::Script => "script, and no request",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_named_by_its_own_name() {
        let region = "eu-west-1".parse().unwrap();
        for text in [
            "nothing is deployed in eu-west-1",
            "eu-west-1: no",
            "no: eu-west-1, b-c-1",
        ] {
            assert!(names(text, &region), "{text}");
        }
        for text in [
            "",
            "inbox-1-eu-west-1",
            "arn:aws:lambda:eu-west-1:1:layer",
            "eu-west-12",
        ] {
            assert!(!names(text, &region), "{text}");
        }
    }
}
