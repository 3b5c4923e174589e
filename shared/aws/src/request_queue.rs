//! The request queue, for senders.

use accretion_core::request::IdentityAttributes;
use accretion_service::ports::{PortError, RequestMessage, RequestQueue, async_trait};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::MessageAttributeValue;

use crate::Clients;
use crate::error::{Call, Outcome as _};

/// A queue of SQS that takes requests.
#[derive(Debug, Clone)]
pub struct SqsRequestQueue {
    client: Client,
    url: String,
}

impl SqsRequestQueue {
    /// The queue of a URL.
    pub fn new(clients: &Clients, url: impl Into<String>) -> Self {
        Self {
            client: Client::new(clients.config()),
            url: url.into(),
        }
    }
}

#[async_trait]
impl RequestQueue for SqsRequestQueue {
    async fn send(&self, message: &RequestMessage) -> Result<(), PortError> {
        let identity = message
            .request
            .as_ref()
            .map(IdentityAttributes::of)
            .unwrap_or_default();
        let mut request = self.client.send_message().queue_url(&self.url);
        for (name, value) in [
            (IdentityAttributes::REQUEST_ID, identity.request_id),
            (IdentityAttributes::RECEIVED_AT, identity.received_at),
        ] {
            if let Some(value) = value {
                request = request.message_attributes(name, text(value));
            }
        }
        let outcome = request.message_body(&message.body).send().await;
        outcome.of(Call::new("sqs:SendMessage", &self.url))?;
        Ok(())
    }
}

fn text(value: String) -> MessageAttributeValue {
    MessageAttributeValue::builder()
        .data_type("String")
        .string_value(value)
        .build()
        .expect("it has a type")
}
