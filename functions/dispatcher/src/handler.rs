//! Handling a batch of messages.

mod tally;

use accretion_aws::{
    DynamoTracking, S3Inbox, S3Manifests, S3Requests, SnsTopic, StepFunctionsBuilds,
};
use accretion_core::request::Admission;
use accretion_core::request::IdentityAttributes;
use accretion_core::timestamp::Timestamp;
use accretion_lambda::{Invocation, each_message};
use accretion_service::Error;
use accretion_service::dispatch::{Dispatch, Message, Ports};
use accretion_service::python::Python;
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};

use self::tally::Tally;

/// The clients and settings of the function, for all of its invocations.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    pub(crate) inbox: S3Inbox,
    pub(crate) requests: S3Requests,
    pub(crate) manifests: S3Manifests,
    pub(crate) tracking: DynamoTracking,
    pub(crate) builds: StepFunctionsBuilds,
    pub(crate) topic: SnsTopic,
    pub(crate) admission: Admission,
}

impl Dispatcher {
    /// Dispatches every message of a batch. SQS delivers those that fail again, and no others.
    pub(crate) async fn handle(
        &self,
        invocation: Invocation<SqsEvent>,
    ) -> Result<SqsBatchResponse, accretion_lambda::Error> {
        let dispatch_one = async |record: &SqsMessage| -> Result<(), Error> {
            let tally = Tally::new(invocation.metrics.clone());
            let ports = Ports {
                inbox: &self.inbox,
                requests: &self.requests,
                manifests: &self.manifests,
                tracking: &self.tracking,
                builds: &self.builds,
                topic: &self.topic,
            };
            let dispatch = Dispatch::<Python>::new(ports)
                .admitting(&self.admission)
                .observed_by(&tally);
            let outcome = match message(record) {
                Ok(message) => Box::pin(dispatch.message(&message)).await,
                Err(error) => Err(error),
            };
            tally.end(outcome.as_ref().err());
            outcome.map(|_| ())
        };
        Ok(each_message(&invocation.event, dispatch_one).await)
    }
}

/// A message as the use case takes it.
fn message(record: &SqsMessage) -> Result<Message, Error> {
    let missing = |what: &str| Error::MessageUnknown {
        problem: format!("it lacks {what} of SQS"),
    };
    let sent_at = record
        .attributes
        .get("SentTimestamp")
        .and_then(|milliseconds| Timestamp::from_milliseconds(milliseconds.parse().ok()?));
    Ok(Message {
        id: record
            .message_id
            .clone()
            .ok_or_else(|| missing("`messageId`"))?,
        sent_at: sent_at.ok_or_else(|| missing("`SentTimestamp`"))?,
        attributes: IdentityAttributes {
            request_id: attribute(record, IdentityAttributes::REQUEST_ID),
            received_at: attribute(record, IdentityAttributes::RECEIVED_AT),
        },
        body: record.body.clone().unwrap_or_default(),
    })
}

/// An attribute of a message; empty if the attribute is no text.
fn attribute(record: &SqsMessage, name: &str) -> Option<String> {
    let attribute = record.message_attributes.get(name)?;
    Some(attribute.string_value.clone().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use accretion_core::Fault as _;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_message_needs_its_identity_and_its_time() {
        let record = json!({
            "messageId": "059f36b4-87a3-44ab-83d2-661975830a7d",
            "body": "{}",
            "attributes": {"SentTimestamp": "1763632800123"},
        });
        let parse =
            |record: &serde_json::Value| message(&serde_json::from_value(record.clone()).unwrap());
        let read = parse(&record).unwrap();
        assert_eq!(read.id, "059f36b4-87a3-44ab-83d2-661975830a7d");
        assert_eq!(read.sent_at.to_string(), "2025-11-20T10:00:00.123Z");
        for (pointer, value) in [
            ("/messageId", json!(null)),
            ("/attributes", json!({})),
            ("/attributes/SentTimestamp", json!("yesterday")),
        ] {
            let mut record = record.clone();
            *record.pointer_mut(pointer).unwrap() = value;
            assert_eq!(
                parse(&record).unwrap_err().code(),
                "MessageUnknown",
                "{pointer}"
            );
        }
    }

    #[test]
    fn a_message_that_was_sent_before_says_as_what() {
        let read = |attributes: serde_json::Value| {
            let record = json!({
                "messageId": "059f36b4-87a3-44ab-83d2-661975830a7d",
                "body": "{}",
                "attributes": {"SentTimestamp": "1763632800123"},
                "messageAttributes": attributes,
            });
            message(&serde_json::from_value(record).unwrap())
                .unwrap()
                .attributes
        };
        let text = |text: &str| json!({"stringValue": text, "dataType": "String"});
        let attributes = read(json!({
            "RequestId": text("0ce43a345624ab7be5105730f7afc664"),
            "ReceivedAt": text("2025-11-20T09:00:00.000Z"),
            "Other": text("else"),
        }));
        let id = attributes.request_id.as_deref();
        assert_eq!(id, Some("0ce43a345624ab7be5105730f7afc664"));
        let time = attributes.received_at.as_deref();
        assert_eq!(time, Some("2025-11-20T09:00:00.000Z"));

        assert_eq!(read(json!(null)), IdentityAttributes::default());
        // An attribute that is no text differs from a missing one.
        let binary = json!({"binaryValue": "AAAA", "dataType": "Binary"});
        let attributes = read(json!({"RequestId": binary}));
        assert_eq!(attributes.request_id.as_deref(), Some(""));
    }
}
