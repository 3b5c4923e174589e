//! Requests that people drop.

use accretion_core::request::RequestId;

use crate::{Error, S3Inbox};

/// A request that was dropped into the inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// The id of the version that it is.
    pub version_id: String,
}

impl Dropped {
    /// The request's id.
    pub fn id(&self) -> RequestId {
        RequestId::of_object(&self.bucket, &self.key, &self.version_id)
    }
}

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
