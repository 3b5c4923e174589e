//! Accepted requests in the artifacts bucket.

use accretion_core::keys;
use accretion_core::request::RequestId;
use accretion_service::ports::{PortError, Requests, async_trait};

use crate::Clients;
use crate::bucket::Bucket;

/// Accepted requests in the artifacts bucket.
#[derive(Debug, Clone)]
pub struct S3Requests {
    bucket: Bucket,
}

impl S3Requests {
    /// The requests in a bucket.
    pub fn new(clients: &Clients, bucket: impl Into<String>) -> Self {
        Self {
            bucket: Bucket::new(clients.s3(), bucket),
        }
    }
}

#[async_trait]
impl Requests for S3Requests {
    async fn store(&self, id: &RequestId, request: String) -> Result<(), PortError> {
        self.bucket.write_new(&keys::request(id), request).await?;
        Ok(())
    }

    async fn stored(&self, id: &RequestId) -> Result<Option<Vec<u8>>, PortError> {
        Ok(self.bucket.read(&keys::request(id)).await?)
    }

    async fn store_file(&self, key: &str, content: Vec<u8>) -> Result<(), PortError> {
        self.bucket.write_new_zip(key, content).await?;
        Ok(())
    }

    async fn stored_file(&self, key: &str) -> Result<Option<Vec<u8>>, PortError> {
        Ok(self.bucket.read(key).await?)
    }
}
