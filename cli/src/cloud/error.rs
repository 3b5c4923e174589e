//! Errors of commands that call AWS.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use accretion_aws::operator::Zip;
use accretion_core::Fault;
use accretion_core::diagnostic::Problem;
use accretion_core::request::RequestId;
use accretion_python::request::InputKind;
use accretion_service::ports::PortError;
use accretion_service::rollback::SourceError;
use indicatif::BinaryBytes;

use super::{Failure, StackError};
use crate::args::Region;
use crate::exit::{FAILED_IN_AWS, USAGE, code_of};
use crate::print;

/// An error of a command that calls AWS.
#[derive(Debug, thiserror::Error, Fault)]
pub(crate) enum Error {
    #[error("{} cannot be read: {error}", path.display())]
    #[fault(
        User,
        hint = (error.kind() == io::ErrorKind::NotFound).then(|| how_to_begin(path))
    )]
    DeploymentFileUnreadable { path: PathBuf, error: io::Error },
    #[error("{} exists already", path.display())]
    #[fault(
        User,
        hint = format!(
            "add regions with `accretion add regions {}`, or name another file",
            path.display()
        )
    )]
    DeploymentFileExists { path: PathBuf },
    #[error("{} is not a deployment file: {problem}", path.display())]
    #[fault(
        User,
        hint = "write it in the form `{{\"Deployments\": {{\"eu-west-1\": {{\"Core\": \"STACK\", \
                …}}}}}}`"
    )]
    DeploymentFileInvalid { path: PathBuf, problem: String },
    #[error("{} cannot be written: {error}", path.display())]
    #[fault(Internal)]
    DeploymentFileUnwritable { path: PathBuf, error: io::Error },
    #[error("{} does not name the region {region}", path.display())]
    #[fault(
        User,
        hint = format!(
            "it names {}; `accretion add regions {} {region}` adds it",
            if known.is_empty() { "none".to_owned() } else { list(known) },
            path.display()
        )
    )]
    RegionUnknown {
        path: PathBuf,
        region: Region,
        known: Vec<Region>,
    },
    #[error("{} names another stack in {region}: `{stack}`", path.display())]
    #[fault(
        User,
        hint = "a region has one pipeline: remove the other stack from the file first"
    )]
    RegionTaken {
        path: PathBuf,
        region: Region,
        stack: String,
    },
    #[error("{} names no region", path.display())]
    #[fault(
        User,
        hint = format!("`accretion add regions {} REGION` adds one", path.display())
    )]
    RegionsMissing { path: PathBuf },
    #[error("nothing is deployed in {region}")]
    #[fault(
        User,
        hint = "`accretion update all` deploys there; `accretion add stack` adopts a stack of `sam \
                deploy`"
    )]
    NotDeployed { region: Region },
    #[error("there is no stack `{stack}` in {region}")]
    #[fault(
        User,
        hint = "check the account and the name; `accretion update all` deploys it again"
    )]
    StackMissing { region: Region, stack: String },
    #[error("no stack in {region} has the output `{output}`: {}", stacks.join(", "))]
    #[fault(
        User,
        hint = "the stack is of another version of Accretion, or of another application: update it with \
                `accretion update all`"
    )]
    OutputMissing {
        region: Region,
        stacks: Vec<String>,
        output: &'static str,
    },
    #[error("the contents of {layer}:{version} in {region} are unknown")]
    #[fault(
        User,
        hint = "only versions of the pipeline or of `accretion publish` have manifests; `accretion list \
                versions` lists all versions"
    )]
    LayerManifestMissing {
        region: Region,
        layer: String,
        version: u64,
    },
    #[error("{name}, the artifact of {layer}:{version}, is gone")]
    #[fault(
        Internal,
        hint = "restore the object, or request the layer again: `accretion request`"
    )]
    ArtifactMissing {
        layer: String,
        version: u64,
        name: String,
    },
    #[error("{}", versions_named(layer, named))]
    #[fault(
        User,
        hint = "name one, as in {layer}:3; `accretion list versions` lists them"
    )]
    VersionUnclear { layer: String, named: Vec<u64> },
    #[error("{name} is not a manifest: {problem}")]
    #[fault(
        User,
        hint = "`accretion build` writes LAYER.manifest beside LAYER.zip"
    )]
    ManifestUnreadable { name: String, problem: String },
    #[error("no region given")]
    #[fault(
        User,
        hint = "name one with --region, set AWS_REGION, or pass a --deployment-file"
    )]
    RegionMissing,
    #[error("{} has no files for a layer", path.display())]
    #[fault(
        User,
        hint = "hidden files, `__pycache__` and ignored files are left out: include hidden files with \
                --hidden, and any file with a `!` in an .accretionignore"
    )]
    LayerFolderEmpty { path: PathBuf },
    #[error("{} cannot be read: {error}", path.display())]
    #[fault(Internal)]
    ZipUnreadable { path: PathBuf, error: io::Error },
    #[error("{} cannot be published: {problem}", path.display())]
    #[fault(User, hint = "build it again with `accretion build`")]
    ZipInvalid { path: PathBuf, problem: String },
    #[error("--layer names one layer, and there are {zips} zips")]
    #[fault(
        User,
        hint = "publish each zip separately, or omit --layer: the manifests name the layers"
    )]
    LayerNameShared { zips: usize },
    #[error(
        "the zip has {}, and Lambda takes more than {} only from a bucket",
        BinaryBytes(*size),
        BinaryBytes(Zip::DIRECT_BYTES)
    )]
    #[fault(
        User,
        hint = "name a bucket of that region with --bucket, or a --deployment-file with a pipeline \
                there"
    )]
    BucketMissing { size: u64 },
    #[error("{} does not exist in {region}", named(layer, *version))]
    #[fault(
        User,
        hint = "check the name and the account: `accretion list layers` and `accretion list versions` \
                list what exists"
    )]
    LayerVersionUnknown {
        region: Region,
        layer: String,
        version: Option<u64>,
    },
    #[error("the account is a member of no organization")]
    #[fault(User, hint = "name one with --organization")]
    OrganizationMissing,
    #[error("{arn} is published, but a permission was not granted: {error}")]
    #[fault(transparent = error, hint = granting_again(error))]
    NotGranted {
        arn: String,
        error: accretion_aws::Error,
    },
    #[error("{} is a {}", path.display(), described(*kind))]
    #[fault(User, hint = command_for(*kind).to_owned())]
    InputKindUnexpected { path: PathBuf, kind: InputKind },
    #[error("the pipeline in {region} refuses the request: {}", messages(problems))]
    #[fault(User, hint = problems.first().and_then(|problem| problem.help.clone()))]
    RequestNotAdmitted {
        region: Region,
        problems: Vec<Problem>,
    },
    #[error("the request `{id}` was not found in {}", list(regions))]
    #[fault(
        User,
        hint = "check the id; the pipeline records a request after some seconds, and `accretion status \
                --watch` waits for it"
    )]
    RequestUnknown { id: RequestId, regions: Vec<Region> },
    #[error("the request `{id}` was rejected in {region}, and is not stored")]
    #[fault(
        User,
        hint = "`accretion status DEPLOYMENT_FILE {id}` lists its problems: fix them, then drop it again"
    )]
    RequestNotStored { id: RequestId, region: Region },
    #[error("the stored request `{id}` cannot be read:\n{problem}")]
    #[fault(
        Internal,
        hint = "drop the request again, with the files that it names"
    )]
    RequestInvalid { id: RequestId, problem: String },
    #[error("{key}, a file of the request `{id}`, is not in the artifacts bucket")]
    #[fault(
        Internal,
        hint = "drop the request again, with the files that it names"
    )]
    RequestFileMissing { id: RequestId, key: String },
    #[error("no layer of the request `{id}` has failed in {region}: {summary}")]
    #[fault(User, hint = "without --failed, all of its layers are requested again")]
    NothingFailed {
        id: RequestId,
        region: Region,
        summary: String,
    },
    #[error(
        "no news of the request `{id}` in {} for {} s",
        list(regions),
        waited.as_secs()
    )]
    #[fault(
        Transient,
        hint = "check the id, then the log of the dispatcher; `accretion redrive` shows whether the \
                request is among the dead letters"
    )]
    RequestNotReceived {
        id: RequestId,
        regions: Vec<Region>,
        waited: Duration,
    },
    #[error("this needs confirmation, and there is no terminal to ask")]
    #[fault(User, hint = "pass --yes to proceed")]
    ConfirmationMissing,
    #[error("{region}: {error}")]
    #[fault(transparent = error)]
    InRegion { region: Region, error: Box<Error> },
    #[error(transparent)]
    #[fault(transparent)]
    Stack(Box<StackError>),
    #[error(transparent)]
    #[fault(transparent)]
    Aws(#[from] accretion_aws::Error),
    #[error(transparent)]
    #[fault(transparent)]
    Port(#[from] PortError),
}

impl Error {
    /// Adds the region to an error of a service, which does not name it.
    pub(crate) fn in_region(self, region: &Region) -> Self {
        match self {
            Self::Aws(_) | Self::Port(_) => Self::InRegion {
                region: region.clone(),
                error: Box::new(self),
            },
            other => other,
        }
    }

    /// Returns whether the message names the region.
    fn names_region(&self) -> bool {
        matches!(
            self,
            Self::RegionUnknown { .. }
                | Self::RegionTaken { .. }
                | Self::NotDeployed { .. }
                | Self::StackMissing { .. }
                | Self::OutputMissing { .. }
                | Self::LayerManifestMissing { .. }
                | Self::LayerVersionUnknown { .. }
                | Self::RequestNotAdmitted { .. }
                | Self::RequestUnknown { .. }
                | Self::RequestNotStored { .. }
                | Self::NothingFailed { .. }
                | Self::RequestNotReceived { .. }
                | Self::InRegion { .. }
        )
    }

    /// The exit code of the command.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::ConfirmationMissing => USAGE,
            Self::Stack(error) if error.is_of_cloud() => FAILED_IN_AWS,
            error => code_of(error.class()),
        }
    }

    /// The resources that CloudFormation failed to change.
    pub(crate) fn failures(&self) -> &[Failure] {
        match self {
            Self::Stack(error) => error.failures(),
            _ => &[],
        }
    }

    /// The error of a version's manifests in this bucket.
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

/// The advice about a layer version without its permissions.
fn granting_again(error: &accretion_aws::Error) -> String {
    let again = "publish it again, which grants the permissions of an unchanged layer, too";
    match error.hint() {
        Some(hint) => format!("{hint}; then {again}"),
        None => again.to_owned(),
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

/// Prints an error of a region, and names the region if the error does not.
pub(crate) fn print_fault_in(region: &Region, error: &Error) {
    print::fault(error, (!error.names_region()).then(|| region.as_str()));
}

fn messages(problems: &[Problem]) -> String {
    let messages: Vec<_> = problems.iter().map(|it| it.message.as_str()).collect();
    messages.join("; ")
}

fn how_to_begin(path: &Path) -> String {
    let path = path.display();
    format!("check the path; `accretion init {path} REGION` writes a new file")
}

fn list(regions: &[Region]) -> String {
    print::joined(regions)
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
