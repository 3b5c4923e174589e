//! `accretion rollback`

use std::process::ExitCode;

use accretion_aws::S3Manifests;
use accretion_core::diagnostic::Report;
use accretion_core::keys;
use accretion_core::layer::LayerName;
use accretion_core::request;
use accretion_service::ports::Manifests as _;
use accretion_service::rollback;

use super::request::Submission;
use crate::args::{Destination, Global, Rollback};
use crate::cloud::{self, DeploymentFile, Pipeline};
use crate::error::Error;

impl Rollback {
    /// The version that is named once.
    fn version(&self) -> Result<u64, cloud::Error> {
        let given = [self.layer.version, self.number];
        let mut named: Vec<_> = given.into_iter().flatten().collect();
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

/// Drops a rollback, after checking its version.
pub(super) async fn run(args: Rollback, global: Global) -> Result<ExitCode, Error> {
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

/// Finds the manifest and the artifact of the version.
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
    let source = rollback::source(&manifests, &layer, version)
        .await
        .map_err(|error| cloud::Error::of_source(error, bucket))?
        .ok_or_else(unknown)?;
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
