//! The inbox.

use accretion_core::delivery::InboxObject;
#[cfg(feature = "operator")]
use accretion_core::request::RequestId;
use accretion_service::ports::{Inbox, PortError};

use crate::Clients;
#[cfg(feature = "operator")]
use crate::Error;
use crate::bucket::Bucket;

/// Objects of the inbox.
#[derive(Debug, Clone)]
pub struct S3Inbox {
    bucket: Bucket,
}

impl S3Inbox {
    /// The objects of a bucket.
    pub fn new(clients: &Clients, bucket: impl Into<String>) -> Self {
        Self {
            bucket: Bucket::new(clients.s3(), bucket),
        }
    }
}

/// A request that was dropped into the inbox.
#[cfg(feature = "operator")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// The id of the version that it is.
    pub version_id: String,
}

#[cfg(feature = "operator")]
impl Dropped {
    /// The request's id.
    pub fn id(&self) -> RequestId {
        RequestId::of_object(&self.bucket, &self.key, &self.version_id)
    }
}

#[cfg(feature = "operator")]
impl S3Inbox {
    /// Drops a request under a key.
    ///
    /// S3 is asked again where it does not answer. If it had taken the first one nevertheless, that
    /// is a request of its own, which wants the same.
    pub async fn drop(&self, key: &str, bytes: Vec<u8>) -> Result<Dropped, Error> {
        let version_id = self.bucket.write_version(key, bytes).await?;
        Ok(Dropped {
            bucket: self.bucket.name().to_owned(),
            key: key.to_owned(),
            version_id,
        })
    }
}

impl Inbox for S3Inbox {
    fn bucket(&self) -> &str {
        self.bucket.name()
    }

    async fn read(&self, object: &InboxObject, limit: usize) -> Result<Option<Vec<u8>>, PortError> {
        let version_id = object.version_id.as_deref();
        let bytes = self.bucket.read_version(&object.key, version_id, limit);
        let bytes = bytes.await;
        bytes.map_err(PortError::new)
    }
}
