//! The inbox.

use accretion_core::delivery::InboxObject;
use accretion_service::ports::{Inbox, Listed, PortError, async_trait};

use crate::Clients;
use crate::bucket::Bucket;

/// Objects of the inbox.
#[derive(Debug, Clone)]
pub struct S3Inbox {
    pub(crate) bucket: Bucket,
}

impl S3Inbox {
    /// The objects of a bucket.
    pub fn new(clients: &Clients, bucket: impl Into<String>) -> Self {
        Self {
            bucket: Bucket::new(clients.s3(), bucket),
        }
    }
}

#[async_trait]
impl Inbox for S3Inbox {
    fn bucket(&self) -> &str {
        self.bucket.name()
    }

    async fn read(&self, object: &InboxObject, limit: usize) -> Result<Option<Vec<u8>>, PortError> {
        let version_id = object.version_id.as_deref();
        let bytes = self.bucket.read_version(&object.key, version_id, limit);
        Ok(bytes.await?)
    }

    async fn latest(&self, key: &str, limit: usize) -> Result<Option<Vec<u8>>, PortError> {
        Ok(self.bucket.read_version(key, None, limit).await?)
    }

    async fn list(&self, prefix: &str, limit: usize) -> Result<Vec<Listed>, PortError> {
        let objects = self.bucket.list(prefix, limit).await?;
        Ok(objects
            .into_iter()
            .map(|(key, size)| Listed { key, size })
            .collect())
    }
}
