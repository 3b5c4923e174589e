//! The inbox.

use accretion_core::delivery::InboxObject;
use accretion_service::ports::{Inbox, PortError};
use aws_sdk_s3::Client;

use crate::Clients;
use crate::bucket::Bucket;

/// Objects of the inbox, whichever bucket that is.
#[derive(Debug, Clone)]
pub struct S3Inbox {
    client: Client,
}

impl S3Inbox {
    /// Reads from the bucket that each event names.
    pub fn new(clients: &Clients) -> Self {
        Self {
            client: clients.s3(),
        }
    }
}

impl Inbox for S3Inbox {
    async fn read(&self, object: &InboxObject, limit: usize) -> Result<Option<Vec<u8>>, PortError> {
        let bucket = Bucket::new(self.client.clone(), &object.bucket);
        let version_id = object.version_id.as_deref();
        let bytes = bucket.read_version(&object.key, version_id, limit).await;
        bytes.map_err(PortError::new)
    }
}
