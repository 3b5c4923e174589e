//! Queues of dead letters, and what these are sent to.

use std::collections::BTreeSet;

use accretion_aws::{LambdaPublisher, SqsDeadLetters, SqsRequestQueue};
use accretion_core::request::IdentityAttributes;
use accretion_core::timestamp::Timestamp;
use accretion_service::ports::{
    DeadLetter, DeadLetters as _, Publisher as _, RequestMessage, RequestQueue as _,
};
use accretion_service::redrive::Redrive;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};
use serde_json::json;

use crate::{World, code, fresh, on_aws, request};

impl World {
    fn sqs(&self) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::new(&self.config)
    }

    /// A new queue, with messages.
    async fn queue(&self, messages: &[&str]) -> String {
        let create = self.sqs().create_queue().queue_name(fresh("letters"));
        let queue = create.send().await.unwrap().queue_url.unwrap();
        for message in messages {
            let send = self.sqs().send_message().queue_url(&queue);
            send.message_body(*message).send().await.unwrap();
        }
        queue
    }

    /// Receives a message with all its attributes; it can be seen again at once.
    async fn peek(&self, queue: &str) -> Message {
        let receive = self.sqs().receive_message().queue_url(queue);
        let receive = receive
            .visibility_timeout(0)
            .wait_time_seconds(5)
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::All);
        let messages = receive.send().await.unwrap().messages.unwrap_or_default();
        messages.into_iter().next().expect("there is a message")
    }
}

fn bodies<'a>(letters: impl IntoIterator<Item = &'a DeadLetter>) -> BTreeSet<&'a str> {
    letters.into_iter().map(|it| it.body.as_str()).collect()
}

/// Checks the id and the time, on which the identity and the order of a redriven request rest.
#[test]
fn a_message_that_dies_keeps_its_id_and_its_time() {
    on_aws(async |world| {
        let (sqs, dead, queue) = (world.sqs(), world.queue(&[]).await, world.queue(&[]).await);
        let get = sqs.get_queue_attributes().queue_url(&dead);
        let get = get.attribute_names(QueueAttributeName::QueueArn);
        let attributes = get.send().await.unwrap().attributes.unwrap();
        let policy = json!({
            "deadLetterTargetArn": attributes[&QueueAttributeName::QueueArn],
            "maxReceiveCount": 1,
        });
        let set = sqs.set_queue_attributes().queue_url(&queue);
        let set = set.attributes(QueueAttributeName::RedrivePolicy, policy.to_string());
        set.send().await.unwrap();

        let before = request("10:00:00");
        let message = RequestMessage {
            body: "{}".to_owned(),
            request: Some(before.clone()),
        };
        let requests = SqsRequestQueue::new(&world.clients, &queue);
        requests.send(&message).await.unwrap();
        let alive = world.peek(&queue).await;
        // It is dead at the next look, some time after it was sent.
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        let receive = sqs.receive_message().queue_url(&queue).send().await;
        assert!(receive.unwrap().messages.unwrap_or_default().is_empty());

        let letters = SqsDeadLetters::new(&world.clients, &dead);
        let received = letters.receive(10).await.unwrap();
        let [letter] = &received[..] else {
            panic!("{received:?}");
        };
        let sent_at = MessageSystemAttributeName::SentTimestamp;
        let sent_at = alive.attributes.unwrap()[&sent_at].parse().unwrap();
        assert_eq!(Some(letter.sent_at), Timestamp::from_milliseconds(sent_at));
        assert_eq!(Some(&letter.id), alive.message_id.as_ref());
        assert_eq!(letter.body, "{}");
        assert_eq!(letter.attributes, IdentityAttributes::of(&before));
    });
}

#[test]
fn a_letter_is_hidden_until_it_is_shown() {
    on_aws(async |world| {
        let messages: Vec<_> = (0..12).map(|number| format!("m-{number}")).collect();
        let messages: Vec<_> = messages.iter().map(String::as_str).collect();
        let queue = world.queue(&messages).await;
        let letters = SqsDeadLetters::new(&world.clients, &queue);
        let mut received = Vec::new();
        for limit in [1, 100, 100] {
            let batch = letters.receive(limit).await.unwrap();
            assert!(!batch.is_empty() && batch.len() <= limit.min(10));
            received.extend(batch);
        }
        assert_eq!(bodies(&received), messages.iter().copied().collect());
        assert_eq!(received.len(), 12);
        assert!(letters.receive(1).await.unwrap().is_empty());

        letters.delete(&received[0]).await.unwrap();
        for letter in &received[1..3] {
            letters.make_visible(letter).await.unwrap();
        }
        let shown = letters.receive(10).await.unwrap();
        assert_eq!(bodies(&shown), bodies(&received[1..3]));
        for letter in &shown {
            assert_eq!(letter.attributes, IdentityAttributes::default());
            letters.delete(letter).await.unwrap();
        }
        assert!(letters.receive(1).await.unwrap().is_empty());
    });
}

#[test]
fn a_request_is_sent_with_what_it_is() {
    on_aws(async |world| {
        let body = json!({"Name": "tools"}).to_string();
        let (dead, alive) = (world.queue(&[&body, "no"]).await, world.queue(&[]).await);
        let letters = SqsDeadLetters::new(&world.clients, &dead);
        let queue = SqsRequestQueue::new(&world.clients, &alive);
        let redrive = Redrive::new(&letters, 10);
        let outcome = redrive.requests(&queue).await;
        assert!(outcome.failure.is_none());
        assert_eq!((outcome.sent.len(), outcome.left.len()), (1, 1));
        let message = world.peek(&alive).await;
        assert_eq!(message.body, Some(body));
        let attributes = message.message_attributes.unwrap();
        let mut attributes: Vec<_> = attributes
            .into_iter()
            .map(|(name, it)| {
                assert_eq!(it.data_type, "String");
                (name, it.string_value.unwrap())
            })
            .collect();
        attributes.sort();
        let [(received_at, time), (request_id, id)] = &attributes[..] else {
            panic!("{attributes:?}");
        };
        assert_eq!((&**received_at, &**request_id), ("ReceivedAt", "RequestId"));
        assert_eq!(id, outcome.sent[0].requests[0].as_str());
        assert!(time.parse::<Timestamp>().is_ok(), "{time}");

        // What was left can be seen by whoever looks next.
        assert_eq!(world.peek(&dead).await.body.as_deref(), Some("no"));
    });
}

#[test]
fn what_is_not_there_says_so() {
    on_aws(async |world| {
        let queue = world.queue(&[]).await;
        let nowhere = format!("{queue}-2");
        let letters = SqsDeadLetters::new(&world.clients, &nowhere);
        assert_eq!(code(letters.receive(1).await), "ServiceRefused");
        let requests = SqsRequestQueue::new(&world.clients, &nowhere);
        let message = RequestMessage {
            body: "{}".to_owned(),
            request: None,
        };
        assert_eq!(code(requests.send(&message).await), "ServiceRefused");
        let publisher = LambdaPublisher::new(&world.clients, fresh("function"));
        let outcome = publisher.invoke(&json!({})).await;
        assert_eq!(code(outcome), "ServiceRefused");
    });
}
