//! What a layer version consists of, as the pipeline has written it down.

use accretion_aws::{Clients, S3Manifests};
use accretion_core::keys;
use accretion_core::layer::LayerName;
use accretion_core::manifest::{LayerManifest, Manifest};
use accretion_service::ports::Manifests as _;
use indicatif::BinaryBytes;

use super::{Error, OneRegion, Pipeline};

/// What a layer version consists of, and where that is written.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) manifest: Manifest,
    pub(crate) layer_manifest: LayerManifest,
    /// Where the layer manifest is.
    pub(crate) layer_manifest_key: String,
    /// The bucket of both.
    pub(crate) bucket: String,
}

impl Contents {
    /// Reads the manifests of a version; `None` if the pipeline has not published it, or if there
    /// is no pipeline.
    pub(crate) async fn find(
        at: &OneRegion,
        clients: &Clients,
        layer: &str,
        version: u64,
    ) -> Result<Option<Self>, Error> {
        let stacks = at.stacks()?;
        let Ok(layer) = layer.parse::<LayerName>() else {
            return Ok(None);
        };
        if stacks.names().is_empty() {
            return Ok(None);
        }
        let pipeline = Pipeline::connect(clients, at.region.clone(), &stacks).await?;
        let bucket = pipeline.output("ArtifactsBucketName")?;
        let manifests = S3Manifests::new(&pipeline.clients, bucket);
        let layer_manifest_key = keys::layer_manifest(&layer, version);
        let Some(text) = manifests.manifest(&layer_manifest_key).await? else {
            return Ok(None);
        };
        let unreadable = |key: &str, error: serde_json::Error| Error::ManifestUnreadable {
            name: format!("s3://{bucket}/{key}"),
            problem: error.to_string(),
        };
        let layer_manifest: LayerManifest = serde_json::from_slice(&text)
            .map_err(|error| unreadable(&layer_manifest_key, error))?;
        let key = &layer_manifest.artifact_manifest.key;
        let Some(text) = manifests.manifest(key).await? else {
            return Ok(None);
        };
        let manifest = Manifest::from_json(&text).map_err(|error| unreadable(key, error))?;
        Ok(Some(Self {
            manifest,
            bucket: bucket.to_owned(),
            layer_manifest,
            layer_manifest_key,
        }))
    }
}

/// By how much something has grown, or shrunk.
pub(crate) fn signed_difference(before: u64, now: u64) -> String {
    let sign = if now < before { '-' } else { '+' };
    format!("{sign}{}", BinaryBytes(now.abs_diff(before)))
}
