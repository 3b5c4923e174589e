//! The contents of a layer version, from the manifests of a pipeline or of the layer itself.

use std::fs;
use std::path::Path;

use accretion_aws::operator::Catalogue;
use accretion_aws::{Clients, S3Manifests};
use accretion_core::keys;
use accretion_core::manifest::{LayerManifest, Manifest};
use accretion_layer::content::ContentManifest;
use accretion_local::remote;
use accretion_service::ports::PortError;
use accretion_service::rollback;
use indicatif::BinaryBytes;

use super::{Error, Pipeline};
use crate::args::OneRegion;

/// The contents of a layer version.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) content: ContentManifest,
    /// Bytes of its zip.
    pub(crate) artifact_size: u64,
    /// The record of the pipeline, if the pipeline published the version.
    pub(crate) recorded: Option<Recorded>,
}

/// The record that a pipeline has of a layer version.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) manifest: Manifest,
    pub(crate) layer_manifest: LayerManifest,
    /// The key of the layer manifest.
    pub(crate) layer_manifest_key: String,
    /// The bucket of both.
    pub(crate) bucket: String,
    /// The SSM parameter that holds the latest version of the layer.
    pub(crate) parameter: Option<String>,
}

impl Contents {
    /// Reads the manifests of the region's pipeline, or the manifest in the layer. `None` if both are
    /// missing.
    pub(crate) async fn find(
        at: &OneRegion,
        clients: &Clients,
        layer: &str,
        version: u64,
    ) -> Result<Option<Self>, Error> {
        if let Some(recorded) = Recorded::find(at, clients, layer, version).await? {
            return Ok(Some(Self {
                content: (&recorded.manifest).into(),
                artifact_size: recorded.manifest.artifact_size,
                recorded: Some(recorded),
            }));
        }
        let catalogue = Catalogue::new(&clients.in_region(at.region.as_str()));
        let described = catalogue.describe(layer, version).await?;
        let location = catalogue.location(layer, version).await?;
        let (Some(described), Some(url)) = (described, location) else {
            return Ok(None);
        };
        let content = remote::content_manifest(&url, described.size).await;
        Ok(content.map_err(PortError::new)?.map(|content| Self {
            content,
            artifact_size: described.size,
            recorded: None,
        }))
    }
}

impl Recorded {
    /// Reads the manifests of a version. `None` if the region has no pipeline, or if the pipeline did
    /// not publish the version.
    async fn find(
        at: &OneRegion,
        clients: &Clients,
        layer: &str,
        version: u64,
    ) -> Result<Option<Self>, Error> {
        let Some((pipeline, layer)) = Pipeline::of_layer(at, clients, layer).await? else {
            return Ok(None);
        };
        let bucket = pipeline.output("ArtifactsBucketName")?;
        let manifests = S3Manifests::new(&pipeline.clients, bucket);
        let source = rollback::source(&manifests, &layer, version)
            .await
            .map_err(|error| Error::of_source(error, bucket))?;
        let prefix = pipeline.parameter(Pipeline::POINTER_PREFIX);
        let (project, target) = layer.parts();
        let parameter =
            prefix.map(|prefix| keys::latest_version_parameter(prefix, &project, target));
        Ok(source.map(|source| Self {
            manifest: source.manifest,
            layer_manifest: source.layer_manifest,
            layer_manifest_key: keys::layer_manifest(&layer, version),
            bucket: bucket.to_owned(),
            parameter,
        }))
    }
}

/// Reads a manifest on this machine.
pub(crate) fn read_manifest(path: &Path) -> Result<Manifest, Error> {
    let unreadable = |problem| Error::ManifestUnreadable {
        name: path.display().to_string(),
        problem,
    };
    let text = fs::read(path).map_err(|error| unreadable(error.to_string()))?;
    Manifest::from_json(&text).map_err(|error| unreadable(error.to_string()))
}

/// The difference between two sizes, with a sign.
pub(crate) fn signed_difference(before: u64, now: u64) -> String {
    let sign = if now < before { '-' } else { '+' };
    format!("{sign}{}", BinaryBytes(now.abs_diff(before)))
}
