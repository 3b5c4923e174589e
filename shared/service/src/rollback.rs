//! What layer versions were published from: where `describe` looks, and what a rollback publishes
//! once more.

use accretion_core::fault::json_problem;
use accretion_core::keys;
use accretion_core::layer::LayerName;
use accretion_core::manifest::{LayerManifest, Manifest};
use accretion_core::request::Permission;
use serde::de::DeserializeOwned;

use crate::Error;
use crate::ports::{Manifests, PortError};

/// What a layer version was published from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The manifest of the version.
    pub layer_manifest: LayerManifest,
    /// The artifact manifest that it names.
    pub manifest: Manifest,
}

impl Source {
    /// Whom the version was shared with when it was published.
    pub fn permissions(&self) -> Vec<Permission> {
        let permissions = self.manifest.publish.permissions.iter();
        // The publisher refuses a manifest with others.
        permissions.filter_map(|it| it.try_into().ok()).collect()
    }
}

/// Why the source of a version can't be told.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The bucket can't be read.
    #[error(transparent)]
    Port(#[from] PortError),
    /// A manifest can't be used.
    #[error("the manifest `{key}` cannot be used: {problem}")]
    Invalid {
        /// The key in the artifacts bucket.
        key: String,
        /// What is wrong with it.
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

/// Reads what a version was published from; `None` if nothing says so. Whether Lambda still has the
/// version makes no difference.
///
/// # Errors
///
/// [`SourceError::Invalid`] if a manifest is no manifest, or is about another layer.
pub async fn source(
    manifests: &impl Manifests,
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
    manifests: &impl Manifests,
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
