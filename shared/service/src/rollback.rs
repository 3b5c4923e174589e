//! The sources of layer versions, which `describe` shows and a rollback publishes again.

use accretion_core::fault::json_problem;
use accretion_core::keys;
use accretion_core::layer::LayerName;
use accretion_core::manifest::{LayerManifest, Manifest};
use accretion_core::request::Permission;
use serde::de::DeserializeOwned;

use crate::Error;
use crate::ports::{Manifests, PortError};

/// The source of a layer version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The manifest of the version.
    pub layer_manifest: LayerManifest,
    /// The artifact manifest that it names.
    pub manifest: Manifest,
}

impl Source {
    /// The permissions that were granted when the version was published.
    pub fn permissions(&self) -> Vec<Permission> {
        let documents = self.manifest.publish.permissions.iter();
        // The publisher refuses a manifest with invalid ones.
        documents.filter_map(|it| it.try_into().ok()).collect()
    }
}

/// An error about the source of a version.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The bucket can't be read.
    #[error(transparent)]
    Port(#[from] PortError),
    /// A manifest is invalid.
    #[error("the manifest `{key}` cannot be used: {problem}")]
    Invalid {
        /// The key in the artifacts bucket.
        key: String,
        /// The problem.
        problem: String,
    },
}

impl From<SourceError> for Error {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Port(error) => Self::Port(error),
            SourceError::Invalid { key, problem } => Self::ManifestInvalid { key, problem },
        }
    }
}

/// Reads the source of a version, be it deleted or not; `None` if a manifest is missing.
///
/// # Errors
///
/// [`SourceError::Invalid`] if a manifest is no manifest, or is about another layer.
pub async fn source(
    manifests: &dyn Manifests,
    layer: &LayerName,
    version: u64,
) -> Result<Option<Source>, SourceError> {
    let key = keys::layer_manifest(layer, version);
    let Some(layer_manifest) = read::<LayerManifest>(manifests, &key).await? else {
        return Ok(None);
    };
    let invalid = |key: &str| SourceError::Invalid {
        key: key.to_owned(),
        problem: format!("it is not about {layer}:{version}"),
    };
    if layer_manifest.layer.version != version {
        return Err(invalid(&key));
    }
    let key = &layer_manifest.artifact_manifest.key;
    let Some(manifest) = read::<Manifest>(manifests, key).await? else {
        return Ok(None);
    };
    let (project, target) = layer.parts();
    let compatibility = manifest.compatibility();
    let is_of_layer = manifest.project_name == project.as_str()
        && compatibility.is_some_and(|it| it.target() == target);
    if !is_of_layer || manifest.digest != layer_manifest.digest {
        return Err(invalid(key));
    }
    Ok(Some(Source {
        layer_manifest,
        manifest,
    }))
}

async fn read<T: DeserializeOwned>(
    manifests: &dyn Manifests,
    key: &str,
) -> Result<Option<T>, SourceError> {
    let Some(text) = manifests.manifest(key).await? else {
        return Ok(None);
    };
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|error| SourceError::Invalid {
            key: key.to_owned(),
            problem: json_problem(&error),
        })
}
