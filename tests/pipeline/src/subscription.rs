//! A queue that is subscribed to a topic.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::{Value, json};

use crate::{Error, Result, Stack};

/// A queue that is subscribed to a topic, with raw delivery.
#[derive(Debug, Clone)]
pub struct Subscription {
    sqs: aws_sdk_sqs::Client,
    queue_url: String,
}

/// What a subscription wants to hear of: a filter policy, and what it is about.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// Everything.
    None,
    /// What has such message attributes.
    Attributes(Value),
    /// What has such members. MiniStack's Step Functions leaves out the attributes.
    Body(Value),
}

/// A notification as it arrived.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// The message.
    pub body: Value,
    /// The message's attributes.
    pub attributes: BTreeMap<String, String>,
}

impl Notification {
    /// A field of the message that is text; empty if there is none.
    pub fn text(&self, field: &str) -> &str {
        self.body[field].as_str().unwrap_or_default()
    }
}

impl Subscription {
    pub(crate) async fn new(
        stack: &Stack,
        topic: &str,
        queue: &str,
        filter: &Filter,
    ) -> Result<Self> {
        let sqs = stack.sqs.clone();
        let created = sqs.create_queue().queue_name(queue).send().await;
        let queue_url = created.map_err(Error::aws("CreateQueue"))?.queue_url;
        let queue_url = queue_url.unwrap_or_default();
        let attributes = sqs
            .get_queue_attributes()
            .queue_url(&queue_url)
            .attribute_names(QueueAttributeName::QueueArn);
        let attributes = attributes
            .send()
            .await
            .map_err(Error::aws("GetQueueAttributes"))?;
        let arn = attributes
            .attributes()
            .and_then(|it| it.get(&QueueAttributeName::QueueArn));
        let arn = arn.cloned().unwrap_or_default();

        let policy = json!({
            "Version": "2012-10-17",
            "Statement": {
                "Effect": "Allow",
                "Principal": {"Service": "sns.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": arn,
                "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
            },
        });
        let set = sqs.set_queue_attributes().queue_url(&queue_url);
        let set = set.attributes(QueueAttributeName::Policy, policy.to_string());
        set.send().await.map_err(Error::aws("SetQueueAttributes"))?;

        let subscribe = stack.sns.subscribe().topic_arn(topic);
        let subscribe = subscribe
            .protocol("sqs")
            .endpoint(arn)
            .attributes("RawMessageDelivery", "true");
        let subscribe = match filter {
            Filter::None => subscribe,
            Filter::Attributes(policy) => subscribe.attributes("FilterPolicy", policy.to_string()),
            Filter::Body(policy) => subscribe
                .attributes("FilterPolicy", policy.to_string())
                .attributes("FilterPolicyScope", "MessageBody"),
        };
        subscribe.send().await.map_err(Error::aws("Subscribe"))?;
        Ok(Self { sqs, queue_url })
    }

    /// Takes what has arrived off the queue; waits for up to `patience` if that is nothing.
    pub async fn receive(&self, patience: Duration) -> Result<Vec<Notification>> {
        let start = Instant::now();
        loop {
            let left = patience.saturating_sub(start.elapsed());
            let receive = self
                .sqs
                .receive_message()
                .queue_url(&self.queue_url)
                .max_number_of_messages(10)
                .message_attribute_names("All")
                .wait_time_seconds(i32::from(!left.is_zero()));
            let answer = receive.send().await.map_err(Error::aws("ReceiveMessage"))?;
            let mut notifications = Vec::new();
            for message in answer.messages.unwrap_or_default() {
                let delete = self.sqs.delete_message().queue_url(&self.queue_url);
                let delete = delete.receipt_handle(message.receipt_handle.unwrap_or_default());
                delete.send().await.map_err(Error::aws("DeleteMessage"))?;
                let body = message.body.unwrap_or_default();
                let body = serde_json::from_str(&body)
                    .map_err(|it| Error::Unexpected(format!("a notification {body}: {it}")))?;
                let attributes = message.message_attributes.unwrap_or_default().into_iter();
                let attributes = attributes.filter_map(|(name, it)| Some((name, it.string_value?)));
                notifications.push(Notification {
                    body,
                    attributes: attributes.collect(),
                });
            }
            if !notifications.is_empty() || left.is_zero() {
                return Ok(notifications);
            }
        }
    }

    /// Waits for as many notifications.
    pub async fn wait_for(&self, count: usize, patience: Duration) -> Result<Vec<Notification>> {
        let start = Instant::now();
        let mut notifications = Vec::new();
        while notifications.len() < count {
            let left = patience.saturating_sub(start.elapsed());
            if left.is_zero() {
                let got = notifications.len();
                let what = format!("{count} notifications (only {got}: {notifications:?})");
                return Err(Error::Timeout {
                    what,
                    after: patience,
                });
            }
            notifications.extend(self.receive(left).await?);
        }
        Ok(notifications)
    }
}
