//! The events of S3 about the inbox, word for word.

use std::time::Duration;

use aws_sdk_s3::types::{Event, NotificationConfiguration, QueueConfiguration};
use serde_json::Value;

use crate::queue::Queue;
use crate::{Error, Result, Stack};

/// A queue that gets the events of the inbox besides the request queue.
#[derive(Debug, Clone)]
pub struct InboxEvents {
    queue: Queue,
}

impl InboxEvents {
    pub(crate) async fn new(stack: &Stack, queue: &str) -> Result<Self> {
        let bucket = stack.output("InboxBucketName");
        let source = format!("arn:aws:s3:::{bucket}");
        let queue = Queue::new(&stack.sqs, queue, "s3.amazonaws.com", &source).await?;
        let get = stack.s3.get_bucket_notification_configuration();
        let get = get.bucket(bucket).send().await;
        let has = get.map_err(Error::aws("GetBucketNotificationConfiguration"))?;
        // AWS lets no two queues hear of one event; the emulator does.
        let another = QueueConfiguration::builder()
            .queue_arn(&queue.arn)
            .events(Event::from("s3:ObjectCreated:*"))
            .build()
            .map_err(Error::aws("QueueConfiguration"))?;
        let configuration = NotificationConfiguration::builder()
            .set_queue_configurations(has.queue_configurations)
            .queue_configurations(another)
            .build();
        let put = stack.s3.put_bucket_notification_configuration();
        let put = put
            .bucket(bucket)
            .notification_configuration(configuration)
            .send();
        put.await
            .map_err(Error::aws("PutBucketNotificationConfiguration"))?;
        Ok(Self { queue })
    }

    /// Takes the events that have come off the queue, as they are; waits for up to `patience` if
    /// there are none.
    pub async fn receive(&self, patience: Duration) -> Result<Vec<Value>> {
        let messages = self.queue.receive(patience).await?;
        let bodies = messages.iter().filter_map(|message| message.body());
        let events = bodies.map(|body| {
            serde_json::from_str(body)
                .map_err(|it| Error::Unexpected(format!("an event {body}: {it}")))
        });
        let events: Vec<Value> = events.collect::<Result<_>>()?;
        // S3 tries out whether it can reach the queue.
        let is_real = |event: &Value| event["Records"].is_array();
        Ok(events.into_iter().filter(is_real).collect())
    }
}
