//! Commands that drop requests into the inbox and follow them.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use accretion_core::request::{ProjectName, RequestId};

use super::{
    AwsOptions, ContentOptions, ExtraOptions, LayerSpec, OneRegion, Region, SelectionOptions,
    TargetOptions,
};

/// Request layers: drop a request into the inbox of each region
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Request {
    Raw(RequestRaw),
    Requirements(Box<RequestRequirements>),
    Again(RequestAgain),
}

/// The regions of a request.
#[derive(Debug, clap::Args)]
pub(crate) struct Destination {
    /// Request only in this region [may be repeated; default: all regions of the file]
    #[arg(long = "region", value_name = "REGION")]
    pub(crate) regions: Vec<Region>,
    /// Follow the request until all of its layers are published or have failed
    #[arg(long)]
    pub(crate) watch: bool,
    #[command(flatten)]
    pub(crate) aws: AwsOptions,
}

/// Drop a request unchanged
///
/// The command checks the request as `accretion check` does. If it has errors, the command drops
/// nothing.
#[derive(Debug, clap::Args)]
pub(crate) struct RequestRaw {
    /// The deployment file, as `accretion init` writes it
    pub(crate) deployment_file: PathBuf,
    /// A request (JSON)
    pub(crate) request_file: PathBuf,
    #[command(flatten)]
    pub(crate) destination: Destination,
}

/// Request layers from a requirements.txt, a script or a lock file
///
/// The pipeline builds the layers that `accretion build` would write. The command checks the file as
/// `accretion check` does. If it has errors, the command drops nothing.
///
/// The command drops the file unchanged if it is complete. If it includes other files, needs one
/// beside it, or is changed by an option, the command drops a request (JSON) that contains all of it.
/// It first uploads the files of --include and --project to `files/LAYER_NAME/` in the inbox.
#[derive(Debug, clap::Args)]
pub(crate) struct RequestRequirements {
    /// The deployment file, as `accretion init` writes it
    pub(crate) deployment_file: PathBuf,
    /// The project; its layers are LAYER_NAME-py313, LAYER_NAME-py313-arm64 and so on
    pub(crate) layer_name: ProjectName,
    /// A requirements.txt, a script or a lock file (pylock.toml, uv.lock, poetry.lock, Pipfile.lock,
    /// pdm.lock), or a folder with one requirements or lock file
    #[arg(value_name = "REQUIREMENTS_FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) targets: TargetOptions,
    #[command(flatten)]
    pub(crate) selection: SelectionOptions,
    /// Build packages without a suitable wheel from source, if the pipeline allows it
    #[arg(long)]
    pub(crate) allow_source_distributions: bool,
    /// Build one layer for all runtimes, for each architecture
    #[arg(long)]
    pub(crate) merge: bool,
    #[command(flatten)]
    pub(crate) contents: ContentOptions,
    #[command(flatten)]
    pub(crate) extra: ExtraOptions,
    #[command(flatten)]
    pub(crate) destination: Destination,
}

/// Drop a stored request again
///
/// The pipeline stores each accepted request with its extra files, and the command drops that copy,
/// even if the object in the inbox is gone. The result is a new request with a new id, newer than all
/// others. The pipeline resolves its requirements again.
#[derive(Debug, clap::Args)]
pub(crate) struct RequestAgain {
    /// The deployment file, as `accretion init` writes it
    pub(crate) deployment_file: PathBuf,
    /// The id of a request, as `accretion request` and `accretion list requests` print it
    #[arg(value_name = "REQUEST_ID")]
    pub(crate) id: RequestId,
    /// Request only the layers that have failed
    ///
    /// If different runtimes have failed for the two architectures, the command drops two requests.
    #[arg(long)]
    pub(crate) failed: bool,
    #[command(flatten)]
    pub(crate) destination: Destination,
}

/// Publish the content of an earlier layer version again
///
/// The pipeline publishes the same content as a new version, without a build, and shares it with the
/// same accounts. This version stays the latest until a later request replaces it. Requests received
/// before the rollback no longer replace it, even if their builds end afterwards. The earlier version
/// may be deleted, as long as its artifact exists.
#[derive(Debug, clap::Args)]
pub(crate) struct Rollback {
    /// The deployment file, as `accretion init` writes it
    pub(crate) deployment_file: PathBuf,
    /// A region of the deployment file
    pub(crate) region: Region,
    /// The name of the layer, such as data-tools-py313, with or without a version number
    #[arg(value_name = "LAYER[:VERSION]")]
    pub(crate) layer: LayerSpec,
    /// The version number, if it does not follow the layer's name
    #[arg(value_name = "VERSION")]
    pub(crate) number: Option<u64>,
    /// Follow the rollback until the layer is published or has failed
    #[arg(long)]
    pub(crate) watch: bool,
    #[command(flatten)]
    pub(crate) aws: AwsOptions,
}

/// Show the status of requests, or follow them to their end
///
/// Fails if a layer could not be built or published, or if a request was rejected. The pipeline
/// records a request some seconds after it is dropped; with --watch the command waits for it up to
/// two minutes.
#[derive(Debug, clap::Args)]
pub(crate) struct Status {
    /// The deployment file, as `accretion init` writes it
    pub(crate) deployment_file: PathBuf,
    /// The ids of requests, as `accretion request` prints them
    #[arg(required = true, value_name = "REQUEST_ID")]
    pub(crate) requests: Vec<RequestId>,
    /// Search only this region [may be repeated; default: all regions of the file]
    #[arg(long = "region", value_name = "REGION")]
    pub(crate) regions: Vec<Region>,
    /// Follow the requests until all of their layers are published or have failed
    #[arg(long)]
    pub(crate) watch: bool,
    #[command(flatten)]
    pub(crate) aws: AwsOptions,
}

/// Show the dead letters of a region, and send them back
///
/// A request keeps its id and its place in the order. Fix the cause of the failure first. Letters
/// that are no valid request or event would only fail again; they stay in the queue.
#[derive(Debug, clap::Args)]
pub(crate) struct Redrive {
    #[command(flatten)]
    pub(crate) at: OneRegion,
    /// Send the letters back without confirmation
    #[arg(long)]
    pub(crate) yes: bool,
    /// The highest number of letters to receive from each of the two queues
    #[arg(long, value_name = "N", default_value = "100")]
    pub(crate) limit: NonZeroUsize,
    #[command(flatten)]
    pub(crate) aws: AwsOptions,
}
