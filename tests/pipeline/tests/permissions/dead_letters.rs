//! Messages of the request queue that are no requests.

use std::time::Duration;

use pipeline_tests::Filter;
use pipeline_tests::testbed::wait_for;
use serde_json::json;

use crate::{PATIENCE, alone, deliver_again_soon};

/// The number of times that the template has a message delivered before it is given up.
const DELIVERIES: u8 = 5;

#[test]
fn what_nobody_can_read_is_kept_for_people() {
    alone(async |stack| {
        deliver_again_soon(stack, DELIVERIES).await;
        let all = stack.subscribe("unreadable", &Filter::None).await?;
        let messages = [
            "{\"Name\": \"cut-off",
            "[]",
            // An event, but of what?
            "{\"Records\": [{\"eventSource\": \"aws:s3\"}]}",
        ];
        for message in messages {
            stack.send_to_queue(message).await?;
        }
        let dead_letters = stack.output("RequestDeadLetterQueueUrl");
        assert_eq!(dead_letters, stack.output("DeadLetterQueueUrl"));
        let mut found = Vec::new();
        for _ in messages {
            let message = stack.take_message(dead_letters, PATIENCE).await?;
            found.push(message.expect("it ends in the dead-letter queue"));
        }
        found.sort();
        let mut messages = messages.map(str::to_owned);
        messages.sort();
        assert_eq!(found, messages);
        assert_eq!(all.receive(Duration::from_secs(1)).await?, []);
        Ok(())
    });
}

/// S3 sends one whenever notifications are set up, at the latest on the first deployment.
#[test]
fn test_events_of_s3_are_ignored() {
    alone(async |stack| {
        deliver_again_soon(stack, 1).await;
        let all = stack.subscribe("test-event", &Filter::None).await?;
        let event = json!({
            "Service": "Amazon S3",
            "Event": "s3:TestEvent",
            "Time": "2026-11-20T10:00:00.000Z",
            "Bucket": stack.output("InboxBucketName"),
            "RequestId": "5582815E1AEA5ADF",
            "HostId": "8cLeGAmw098X5cv4Zkwcmo8vvZa3eH3eKxsPzbB9wrR+YstdA6Knx4Ip8EXAMPLE",
        });
        stack.send_to_queue(&event.to_string()).await?;
        let queue = stack.output("RequestQueueUrl");
        let consumed = async || Ok((stack.queued(queue).await? == 0).then_some(()));
        wait_for("end of the test event", PATIENCE, consumed).await?;
        let dead_letters = stack.output("RequestDeadLetterQueueUrl");
        assert_eq!(
            stack
                .take_message(dead_letters, Duration::from_secs(1))
                .await?,
            None
        );
        assert_eq!(all.receive(Duration::ZERO).await?, []);
        Ok(())
    });
}
