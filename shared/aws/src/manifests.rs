//! The manifests and artifacts of the artifacts bucket.

use accretion_core::keys;
use accretion_core::layer::LayerName;
use accretion_core::manifest::{LayerManifest, Manifest};
use accretion_service::ports::{Manifests, PortError, StoredArtifact, async_trait};

use crate::Clients;
use crate::bucket::Bucket;

/// The manifests and artifacts of the artifacts bucket.
#[derive(Debug, Clone)]
pub struct S3Manifests {
    bucket: Bucket,
}

impl S3Manifests {
    /// The manifests and artifacts in a bucket.
    pub fn new(clients: &Clients, bucket: impl Into<String>) -> Self {
        Self {
            bucket: Bucket::new(clients.s3(), bucket),
        }
    }
}

#[async_trait]
impl Manifests for S3Manifests {
    fn bucket(&self) -> &str {
        self.bucket.name()
    }

    async fn manifest(&self, key: &str) -> Result<Option<Vec<u8>>, PortError> {
        Ok(self.bucket.read(key).await?)
    }

    async fn artifact(&self, key: &str) -> Result<Option<StoredArtifact>, PortError> {
        Ok(self.bucket.stored(key).await?)
    }

    async fn store(&self, key: &str, manifest: &Manifest) -> Result<(), PortError> {
        self.bucket.write_new(key, manifest.to_json()).await?;
        Ok(())
    }

    async fn store_layer_manifest(
        &self,
        layer: &LayerName,
        manifest: &LayerManifest,
    ) -> Result<(), PortError> {
        let key = keys::layer_manifest(layer, manifest.layer.version);
        Ok(self.bucket.write(&key, manifest.to_json()).await?)
    }
}
