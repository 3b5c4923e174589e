//! The objects that builder and build sandboxes exchange in the artifacts bucket.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use accretion_core::digest::Sha256;
use accretion_core::limits::Limits;
use accretion_service::ports::{Handover, PortError, SignedUrl};

use crate::Clients;
use crate::bucket::Bucket;

/// The validity of an order's URLs: it covers the wait for a free build sandbox and the build.
const ORDER: Duration = Duration::from_hours(2);

/// The objects that builder and build sandboxes exchange in a bucket.
#[derive(Debug, Clone)]
pub struct S3Handover {
    bucket: Bucket,
    lock: usize,
    wheel: u64,
}

impl S3Handover {
    /// In a bucket, with locks and wheels that have no more bytes than there may be of them.
    pub fn new(clients: &Clients, bucket: impl Into<String>, limits: &Limits) -> Self {
        Self {
            bucket: Bucket::new(clients.s3(), bucket),
            lock: usize::try_from(limits.resolution.output).unwrap_or(usize::MAX),
            wheel: limits.download.file,
        }
    }
}

impl Handover for S3Handover {
    async fn lock(&self, key: &str) -> Result<Option<Vec<u8>>, PortError> {
        Ok(self.bucket.read_version(key, None, self.lock).await?)
    }

    async fn wheel(&self, key: &str, into: &mut File) -> Result<Option<String>, PortError> {
        Ok(self.bucket.download(key, self.wheel, into).await?)
    }

    async fn has(&self, key: &str) -> Result<bool, PortError> {
        let stored = self.bucket.stored(key).await?;
        Ok(stored.is_some())
    }

    async fn leave_source(&self, key: &str, file: &Path, sha256: Sha256) -> Result<(), PortError> {
        self.bucket.upload_new(key, file, sha256).await?;
        Ok(())
    }

    async fn readable(&self, key: &str) -> Result<SignedUrl, PortError> {
        Ok(SignedUrl::new(self.bucket.readable(key, ORDER).await?))
    }

    async fn writable(&self, key: &str) -> Result<SignedUrl, PortError> {
        Ok(SignedUrl::new(self.bucket.writable(key, ORDER).await?))
    }
}
