//! Queues of dead letters.

use std::collections::HashMap;
use std::time::Duration;

use accretion_core::request::IdentityAttributes;
use accretion_core::timestamp::Timestamp;
use accretion_service::ports::{DeadLetter, DeadLetters, PortError, async_trait};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{Message, MessageAttributeValue, MessageSystemAttributeName};

use crate::error::{Call, Outcome as _};
use crate::{Clients, Error};

/// The messages that SQS returns at once. Source: Amazon SQS API Reference, `ReceiveMessage`.
const MAX_BATCH: usize = 10;

/// The time for which SQS looks for messages before it answers that there are none. Without any
/// time it asks only some of its servers. Source: Amazon SQS Developer Guide, "Amazon SQS short and long polling".
const WAIT: Duration = Duration::from_secs(2);

/// The time for which received messages stay hidden from other readers: long enough to receive a
/// thousand messages, to send them again and to delete them. If it is too short, another reader may
/// send some of them a second time, which changes nothing. After an interruption, received messages
/// stay hidden for so long.
const HIDDEN: Duration = Duration::from_mins(5);

/// A dead-letter queue of SQS.
#[derive(Debug, Clone)]
pub struct SqsDeadLetters {
    client: Client,
    url: String,
}

impl SqsDeadLetters {
    /// The queue of a URL.
    pub fn new(clients: &Clients, url: impl Into<String>) -> Self {
        Self {
            client: Client::new(clients.config()),
            url: url.into(),
        }
    }

    fn call(&self, operation: &'static str) -> Call {
        Call::new(operation, &self.url)
    }

    fn letter(&self, message: Message) -> Result<DeadLetter, Error> {
        let missing = |what: &str| Error::ServiceUnavailable {
            call: self.call("sqs:ReceiveMessage"),
            problem: format!("a message has no usable {what}"),
        };
        let mut attributes = message.message_attributes.unwrap_or_default();
        let sent_at = message
            .attributes
            .unwrap_or_default()
            .get(&MessageSystemAttributeName::SentTimestamp)
            .and_then(|milliseconds| Timestamp::from_milliseconds(milliseconds.parse().ok()?));
        Ok(DeadLetter {
            id: message.message_id.ok_or_else(|| missing("`MessageId`"))?,
            sent_at: sent_at.ok_or_else(|| missing("`SentTimestamp`"))?,
            attributes: IdentityAttributes {
                request_id: take(&mut attributes, IdentityAttributes::REQUEST_ID),
                received_at: take(&mut attributes, IdentityAttributes::RECEIVED_AT),
            },
            body: message.body.unwrap_or_default(),
            receipt: message
                .receipt_handle
                .ok_or_else(|| missing("`ReceiptHandle`"))?,
        })
    }
}

/// An attribute's text; empty if the attribute is no text.
fn take(attributes: &mut HashMap<String, MessageAttributeValue>, name: &str) -> Option<String> {
    let attribute = attributes.remove(name)?;
    Some(attribute.string_value.unwrap_or_default())
}

fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}

#[async_trait]
impl DeadLetters for SqsDeadLetters {
    async fn receive(&self, limit: usize) -> Result<Vec<DeadLetter>, PortError> {
        let batch = i32::try_from(limit.clamp(1, MAX_BATCH)).unwrap_or(1);
        let request = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(batch)
            .wait_time_seconds(seconds(WAIT))
            .visibility_timeout(seconds(HIDDEN))
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .message_attribute_names(IdentityAttributes::REQUEST_ID)
            .message_attribute_names(IdentityAttributes::RECEIVED_AT);
        let outcome = request.send().await;
        let answer = outcome.of(self.call("sqs:ReceiveMessage"))?;
        let messages = answer.messages.unwrap_or_default().into_iter();
        Ok(messages
            .map(|message| self.letter(message))
            .collect::<Result<_, _>>()?)
    }

    async fn delete(&self, letter: &DeadLetter) -> Result<(), PortError> {
        let request = self.client.delete_message().queue_url(&self.url);
        let outcome = request.receipt_handle(&letter.receipt).send().await;
        outcome.of(self.call("sqs:DeleteMessage"))?;
        Ok(())
    }

    async fn make_visible(&self, letter: &DeadLetter) -> Result<(), PortError> {
        let request = self
            .client
            .change_message_visibility()
            .queue_url(&self.url)
            .receipt_handle(&letter.receipt)
            .visibility_timeout(0);
        let outcome = request.send().await;
        outcome.of(self.call("sqs:ChangeMessageVisibility"))?;
        Ok(())
    }
}
