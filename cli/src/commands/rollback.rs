//! `accretion rollback`

use std::path::PathBuf;
use std::process::ExitCode;

use accretion_aws::S3Manifests;
use accretion_core::diagnostic::Report;
use accretion_core::keys;
use accretion_core::layer::LayerName;
use accretion_core::request;
use accretion_service::ports::Manifests as _;
use accretion_service::rollback;

use super::request::{Destination, Submission};
use crate::args::Global;
use crate::cloud::{self, AwsOptions, DeploymentFile, LayerSpec, Pipeline, Region};
use crate::error::Error;

/// Make what an earlier version of a layer holds the latest again
///
/// The pipeline publishes the same content as a new version, without a build, and shares it as the
/// earlier version was shared. It stays the latest until somebody requests something else later: a
/// request that was received before changes nothing any more, even if its build ends afterwards. A
/// version that was deleted will do, as long as its artifact is there.
#[derive(Debug, clap::Args)]
pub(crate) struct Rollback {
    /// The file, as `accretion init` writes it
    deployment_file: PathBuf,
    /// A region that it names
    pub(super) region: Region,
    /// The layer's name, such as data-tools-py313, and the number of the version
    #[arg(value_name = "LAYER[:VERSION]")]
    layer: LayerSpec,
    /// The number of the version, if it does not follow the name
    #[arg(value_name = "VERSION")]
    number: Option<u64>,
    /// Follow the rollback until the layer has come to an end
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    aws: AwsOptions,
}

impl Rollback {
    /// The one version that is named.
    fn version(&self) -> Result<u64, cloud::Error> {
        let named = [self.layer.version, self.number];
        let mut named: Vec<_> = named.into_iter().flatten().collect();
        named.dedup();
        match named[..] {
            [version] => Ok(version),
            _ => Err(cloud::Error::VersionUnclear {
                layer: self.layer.layer.to_string(),
                named,
            }),
        }
    }
}

/// Drops a rollback, once there is something to roll back to.
pub(crate) async fn run(args: Rollback, global: Global) -> Result<ExitCode, Error> {
    let submission = submission(&find(&args).await?);
    let destination = Destination {
        regions: vec![args.region],
        watch: args.watch,
        aws: args.aws,
    };
    let file = &args.deployment_file;
    destination.take(file, submission, global).await
}

/// The submission of a rollback.
pub(super) fn submission(rollback: &request::Rollback) -> Submission {
    let project = rollback.project();
    Submission {
        key: keys::dropped_request(&project, "rollback.json"),
        project,
        request: None,
        bytes: rollback.to_json().into_bytes(),
        files: Vec::new(),
        left_out: None,
        report: Report::default(),
    }
}

/// Looks for what the version was published from.
async fn find(args: &Rollback) -> Result<request::Rollback, cloud::Error> {
    let version = args.version()?;
    let region = &args.region;
    let stacks = DeploymentFile::new(&args.deployment_file).stacks(region)?;
    let name = args.layer.layer.as_str();
    let unknown = || cloud::Error::LayerManifestMissing {
        region: region.clone(),
        layer: name.to_owned(),
        version,
    };
    let layer: LayerName = name.parse().map_err(|_| unknown())?;
    let clients = args.aws.clients().await;
    let pipeline = Pipeline::connect(&clients, region.clone(), &stacks).await?;
    let bucket = pipeline.output("ArtifactsBucketName")?;
    let manifests = S3Manifests::new(&pipeline.clients, bucket);
    let source = rollback::source(&manifests, &layer, version).await;
    let source = source.map_err(|error| cloud::Error::of_source(error, bucket))?;
    let source = source.ok_or_else(unknown)?;
    pipeline.admit_rollback(&source.permissions())?;
    let key = source.manifest.artifact_s3_key;
    if manifests.artifact(&key).await?.is_none() {
        return Err(cloud::Error::ArtifactMissing {
            layer: layer.to_string(),
            version,
            name: format!("s3://{bucket}/{key}"),
        });
    }
    Ok(request::Rollback { layer, version })
}
