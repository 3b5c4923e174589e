//! What a layer version consists of, as the pipeline has written it down, or the layer itself says.

use std::fs;
use std::path::Path;

use accretion_aws::operator::Catalogue;
use accretion_aws::{Clients, S3Manifests};
use accretion_core::keys;
use accretion_core::layer::LayerName;
use accretion_core::manifest::{LayerManifest, Manifest};
use accretion_layer::content::ContentManifest;
use accretion_local::remote;
use accretion_service::ports::PortError;
use accretion_service::rollback;
use indicatif::BinaryBytes;

use super::{Error, OneRegion, Pipeline};

/// The contents of a layer version.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) content: ContentManifest,
    /// Bytes of its zip.
    pub(crate) artifact_size: u64,
    /// The pipeline's record, if it has published the version.
    pub(crate) recorded: Option<Recorded>,
}

/// A pipeline's record of a layer version, and the place where it is written.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) manifest: Manifest,
    pub(crate) layer_manifest: LayerManifest,
    /// Where the layer manifest is.
    pub(crate) layer_manifest_key: String,
    /// The bucket of both.
    pub(crate) bucket: String,
    /// The SSM parameter that holds the latest version of the layer.
    pub(crate) parameter: Option<String>,
}

impl Contents {
    /// Reads what there is of a version: the manifests of the region's pipeline, or the one in the
    /// layer. `None` if there is neither.
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
        let content = content.map_err(PortError::new)?;
        Ok(content.map(|content| Self {
            content,
            artifact_size: described.size,
            recorded: None,
        }))
    }
}

impl Recorded {
    /// Reads the manifests of a version; `None` if the pipeline has not published it, or if there
    /// is no pipeline.
    async fn find(
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
        let source = rollback::source(&manifests, &layer, version).await;
        let source = source.map_err(|error| Error::of_source(error, bucket))?;
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
    let text = fs::read(path).map_err(|error| error.to_string());
    let manifest =
        text.and_then(|text| Manifest::from_json(&text).map_err(|error| error.to_string()));
    manifest.map_err(|problem| Error::ManifestUnreadable {
        name: path.display().to_string(),
        problem,
    })
}

/// By how much something has grown, or shrunk.
pub(crate) fn signed_difference(before: u64, now: u64) -> String {
    let sign = if now < before { '-' } else { '+' };
    format!("{sign}{}", BinaryBytes(now.abs_diff(before)))
}
