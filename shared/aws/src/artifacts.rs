//! Artifacts and their manifests in the artifacts bucket, as the builder writes them.

use std::fs;
use std::path::PathBuf;
use std::sync::Once;
use std::time::Duration;

use accretion_core::digest::Digest;
use accretion_core::digest::Written;
use accretion_core::keys;
use accretion_core::layer::LayerName;
use accretion_core::manifest::Manifest;
use accretion_core::request::ProjectName;
use accretion_service::ports::{Artifacts, Description, PortError};
use tempfile::NamedTempFile;

use crate::bucket::{Bucket, New};
use crate::{Clients, Error};

/// The prefix of temporary artifact files.
const PREFIX: &str = ".accretion-artifact-";

/// No function lives longer: an older file is of a process that was killed.
const STALE: Duration = Duration::from_mins(15);

/// The artifacts of a project.
#[derive(Debug)]
pub struct S3Artifacts {
    bucket: Bucket,
    project: ProjectName,
    folder: PathBuf,
}

impl S3Artifacts {
    /// The artifacts of a project in a bucket. They are written in the folder for temporary files
    /// first.
    pub fn new(clients: &Clients, bucket: impl Into<String>, project: ProjectName) -> Self {
        Self {
            bucket: Bucket::new(clients.s3(), bucket),
            project,
            folder: std::env::temp_dir(),
        }
    }

    /// The key of a manifest. A manifest without a request or a single target has none.
    fn manifest_key(&self, manifest: &Manifest) -> Result<String, PortError> {
        match (&manifest.request, manifest.compatibility()) {
            (Some(request), Some(layer)) => {
                Ok(keys::manifest(&self.project, &request.id, layer.target()))
            }
            _ => Err(accretion_service::Error::ManifestInvalid {
                key: manifest.artifact_s3_key.clone(),
                problem: "it names no `Request`, or no single target".to_owned(),
            }
            .into()),
        }
    }

    /// The artifact's manifest as it was first written, if both belong together.
    async fn find(&self, digest: Digest) -> Result<Option<Manifest>, Error> {
        let key = keys::artifact(&self.project, digest);
        let description = keys::artifact_description(&self.project, digest);
        let (stored, description) =
            tokio::try_join!(self.bucket.stored(&key), self.bucket.read(&description))?;
        // A manifest that can't be read, or is another tool's, is overwritten.
        let manifest = description.and_then(|text| Manifest::from_json(&text).ok());
        Ok(stored.zip(manifest).and_then(|(stored, manifest)| {
            let is_whole = manifest.digest == digest
                && stored.sha256 == Some(manifest.artifact_sha256)
                && stored.size == manifest.artifact_size;
            is_whole.then_some(manifest)
        }))
    }

    async fn upload(
        &self,
        staged: &NamedTempFile,
        written: Written,
        key: &str,
    ) -> Result<(), PortError> {
        let uploaded = self
            .bucket
            .upload_new(key, staged.path(), written.sha256)
            .await?;
        if uploaded == New::Written {
            return Ok(());
        }
        // Another build wrote it at the same time, or ended before it wrote the description.
        let stored = self.bucket.stored(key).await?;
        if stored.is_some_and(|stored| stored.sha256 == Some(written.sha256)) {
            return Ok(());
        }
        Err(accretion_service::Error::ArtifactDiffers {
            key: key.to_owned(),
        }
        .into())
    }

    /// Removes the files of killed processes. Nothing depends on it.
    fn sweep(&self) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
            let age = || entry.metadata().ok()?.modified().ok()?.elapsed().ok();
            if is_ours && age().is_some_and(|age| age > STALE) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

impl Artifacts for S3Artifacts {
    type Staged = NamedTempFile;

    async fn find(
        &self,
        _layer: &LayerName,
        digest: Digest,
    ) -> Result<Option<Manifest>, PortError> {
        Ok(self.find(digest).await?)
    }

    fn stage(&self, _layer: &LayerName) -> Result<NamedTempFile, PortError> {
        static SWEPT: Once = Once::new();
        SWEPT.call_once(|| self.sweep());
        let file = tempfile::Builder::new()
            .prefix(PREFIX)
            .tempfile_in(&self.folder);
        file.map_err(|error| {
            let folder = self.folder.display().to_string();
            Error::StagingFailed { folder, error }.into()
        })
    }

    async fn commit(
        &self,
        layer: &LayerName,
        staged: NamedTempFile,
        written: Written,
        description: Description<'_>,
    ) -> Result<(), PortError> {
        let manifest = description.manifest;
        let key = keys::artifact(&self.project, manifest.digest);
        self.upload(&staged, written, &key).await?;
        let key = keys::artifact_description(&self.project, manifest.digest);
        self.bucket.write(&key, manifest.to_json()).await?;
        self.keep(layer, description).await
    }

    async fn keep(
        &self,
        _layer: &LayerName,
        Description { manifest, lock }: Description<'_>,
    ) -> Result<(), PortError> {
        let key = self.manifest_key(manifest)?;
        if let Some(key) = &manifest.lock_s3_key {
            self.bucket.write_new(key, lock.to_owned()).await?;
        }
        self.bucket.write_new(&key, manifest.to_json()).await?;
        Ok(())
    }
}
