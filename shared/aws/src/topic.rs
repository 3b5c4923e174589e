//! The topic of notifications.

use std::collections::HashMap;

use accretion_core::notification::{Attribute, Notification};
use accretion_service::ports::{PortError, Topic, async_trait};
use aws_sdk_sns::Client;
use aws_sdk_sns::types::MessageAttributeValue;

use crate::Clients;
use crate::error::{Call, Outcome as _};

/// A topic of SNS.
#[derive(Debug, Clone)]
pub struct SnsTopic {
    client: Client,
    arn: String,
}

impl SnsTopic {
    /// The topic of an ARN.
    pub fn new(clients: &Clients, arn: impl Into<String>) -> Self {
        Self {
            client: Client::new(clients.config()),
            arn: arn.into(),
        }
    }
}

#[async_trait]
impl Topic for SnsTopic {
    async fn send(&self, notification: &Notification) -> Result<(), PortError> {
        let attributes: HashMap<_, _> = notification
            .attributes()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), attribute(value)))
            .collect();
        let request = self
            .client
            .publish()
            .topic_arn(&self.arn)
            .set_message_attributes(Some(attributes))
            .message(notification.to_json());
        let outcome = request.send().await;
        outcome.of(Call::new("sns:Publish", &self.arn))?;
        Ok(())
    }
}

fn attribute(value: Attribute) -> MessageAttributeValue {
    MessageAttributeValue::builder()
        .data_type(value.data_type())
        .string_value(value.into_value())
        .build()
        .expect("it has a type")
}
