//! A queue of the tests' own, which a service of AWS sends to.

use std::time::{Duration, Instant};

use aws_sdk_sqs::types::{Message, QueueAttributeName};
use serde_json::json;

use crate::{Error, Result};

/// A queue of the tests' own.
#[derive(Debug, Clone)]
pub(crate) struct Queue {
    sqs: aws_sdk_sqs::Client,
    url: String,
    pub(crate) arn: String,
}

impl Queue {
    /// Makes a queue that a service may send to, on behalf of the resource of an ARN.
    pub(crate) async fn new(
        sqs: &aws_sdk_sqs::Client,
        name: &str,
        service: &str,
        source: &str,
    ) -> Result<Self> {
        let sqs = sqs.clone();
        let created = sqs.create_queue().queue_name(name).send().await;
        let url = created.map_err(Error::aws("CreateQueue"))?.queue_url;
        let url = url.unwrap_or_default();
        let attributes = sqs
            .get_queue_attributes()
            .queue_url(&url)
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
                "Principal": {"Service": service},
                "Action": "sqs:SendMessage",
                "Resource": arn,
                "Condition": {"ArnEquals": {"aws:SourceArn": source}},
            },
        });
        let set = sqs.set_queue_attributes().queue_url(&url);
        let set = set.attributes(QueueAttributeName::Policy, policy.to_string());
        set.send().await.map_err(Error::aws("SetQueueAttributes"))?;
        Ok(Self { sqs, url, arn })
    }

    /// Takes what has arrived off the queue; waits for up to `patience` if that is nothing.
    pub(crate) async fn receive(&self, patience: Duration) -> Result<Vec<Message>> {
        let start = Instant::now();
        loop {
            let left = patience.saturating_sub(start.elapsed());
            let receive = self
                .sqs
                .receive_message()
                .queue_url(&self.url)
                .max_number_of_messages(10)
                .message_attribute_names("All")
                .wait_time_seconds(i32::from(!left.is_zero()));
            let answer = receive.send().await.map_err(Error::aws("ReceiveMessage"))?;
            let messages = answer.messages.unwrap_or_default();
            for message in &messages {
                let delete = self.sqs.delete_message().queue_url(&self.url);
                let delete = delete.receipt_handle(message.receipt_handle().unwrap_or_default());
                delete.send().await.map_err(Error::aws("DeleteMessage"))?;
            }
            if !messages.is_empty() || left.is_zero() {
                return Ok(messages);
            }
        }
    }
}
