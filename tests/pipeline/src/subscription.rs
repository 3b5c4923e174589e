//! A queue that is subscribed to a topic.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::queue::Queue;
use crate::{Error, Result, Stack};

/// A queue that is subscribed to a topic, with raw delivery.
#[derive(Debug, Clone)]
pub struct Subscription {
    queue: Queue,
}

/// The notifications that a subscription receives: a filter policy and its scope.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// Everything.
    None,
    /// Those whose message attributes match.
    Attributes(Value),
    /// Those whose members match. MiniStack's Step Functions leaves out the attributes.
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
        name: &str,
        filter: &Filter,
    ) -> Result<Self> {
        let queue = Queue::new(&stack.sqs, name, "sns.amazonaws.com", topic).await?;
        let subscribe = stack.sns.subscribe().topic_arn(topic);
        let subscribe = subscribe
            .protocol("sqs")
            .endpoint(&queue.arn)
            .attributes("RawMessageDelivery", "true");
        let subscribe = match filter {
            Filter::None => subscribe,
            Filter::Attributes(policy) => subscribe.attributes("FilterPolicy", policy.to_string()),
            Filter::Body(policy) => subscribe
                .attributes("FilterPolicy", policy.to_string())
                .attributes("FilterPolicyScope", "MessageBody"),
        };
        subscribe.send().await.map_err(Error::aws("Subscribe"))?;
        Ok(Self { queue })
    }

    /// Takes what has arrived off the queue; waits for up to `patience` if that is nothing.
    pub async fn receive(&self, patience: Duration) -> Result<Vec<Notification>> {
        let messages = self.queue.receive(patience).await?.into_iter();
        let notifications = messages.map(|message| {
            let body = message.body.unwrap_or_default();
            let body = serde_json::from_str(&body)
                .map_err(|it| Error::Unexpected(format!("a notification {body}: {it}")))?;
            let attributes = message.message_attributes.unwrap_or_default().into_iter();
            let attributes = attributes.filter_map(|(name, it)| Some((name, it.string_value?)));
            Ok(Notification {
                body,
                attributes: attributes.collect(),
            })
        });
        notifications.collect()
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
