//! Messages that say what was said before.

use pipeline_tests::Result;
use serde_json::json;

use crate::{QUIET, exactly_one, listen, on_stack, small_request};

/// SQS delivers at least once, and so does S3.
#[test]
fn an_event_that_comes_again_starts_nothing() {
    on_stack(async |stack| -> Result<()> {
        let project = "twice";
        let all = listen(stack, project).await?;
        let text = small_request(project, &["six==1.17.0"]).to_string();
        let version = stack.drop_into_inbox("twice.json", text).await?;
        let inbox = stack.output("InboxBucketName");
        let event = json!({"Records": [{
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": pipeline_tests::workspace::REGION,
            "eventTime": "2026-11-20T10:00:00.000Z",
            "eventName": "ObjectCreated:Put",
            "s3": {
                "bucket": {"name": inbox, "arn": format!("arn:aws:s3:::{inbox}")},
                "object": {"key": "twice.json", "size": 1, "versionId": version},
            },
        }]});
        // One while the first is at work, one when all is done.
        stack.send_to_queue(&event.to_string()).await?;
        exactly_one(&all, "LayerPublished").await?;
        stack.send_to_queue(&event.to_string()).await?;
        assert_eq!(all.receive(QUIET).await?, []);
        assert_eq!(stack.layer_versions("twice-py313").await?, [1]);
        Ok(())
    });
}
