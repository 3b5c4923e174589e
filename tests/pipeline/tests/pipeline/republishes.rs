//! Requests after the first version.

use pipeline_tests::{Result, Table};
use serde_json::{Value, json};

use crate::outcome::{Expected, target};
use crate::{TARGETS, command, exactly, exactly_one, listen, on_stack, request, small_request};

#[test]
fn the_same_again_publishes_nothing() {
    on_stack(async |stack| {
        let project = "same-again";
        let text = request(project, &["six==1.17.0"]).to_string();
        let zips = command::build("request.json", text.as_bytes(), None);
        let all = listen(stack, project).await?;
        stack
            .drop_into_inbox("same-again.json", text.clone())
            .await?;
        let first = exactly(&all, TARGETS.len()).await?;
        let expected = Expected::first(project, &TARGETS, &zips);
        let first_id = expected.holds(stack, &first).await?;

        // In other words: what counts is what the layer holds.
        let mut again = request(project, &["# no comment", "SIX == 1.17"]);
        again["Description"] = json!("another description");
        stack
            .drop_into_inbox("same-again.json", again.to_string())
            .await?;
        let notifications = exactly(&all, TARGETS.len()).await?;
        let id = notifications[0].text("RequestId").to_owned();
        assert_ne!(id, first_id);
        let items = stack.items(Table::Requests, &id).await?;
        for (said, slug) in notifications.iter().zip(TARGETS) {
            let (runtime, architecture) = target(slug);
            let layer = format!("{project}-{slug}");
            assert_eq!(said.text("EventId"), format!("{id}-{slug}-LayerUnchanged"));
            assert_eq!(said.text("Runtime"), runtime);
            assert_eq!(said.text("Architecture"), architecture);
            assert_eq!(said.body["Layer"]["Version"], 1);
            assert_eq!(said.body["Changes"], Value::Null);
            assert_eq!(said.attributes["Event"], "LayerUnchanged");
            assert_eq!(items[slug]["Status"], "Unchanged");
            assert_eq!(items[slug]["VersionArn"], said.body["VersionArn"]);
            assert_eq!(stack.layer_versions(&layer).await?, [1]);
        }
        let artifacts = stack
            .artifact_keys(&format!("accretion/artifacts/{project}/"))
            .await?;
        let zips = artifacts.iter().filter_map(|key| key.strip_suffix(".zip"));
        assert_eq!(zips.count(), TARGETS.len(), "{artifacts:?}");
        Ok(())
    });
}

#[test]
fn a_change_publishes_the_next_version() {
    on_stack(async |stack| {
        let project = "changes";
        let all = listen(stack, project).await?;
        let old = request(project, &["attrs==25.3.0", "idna==3.10", "six==1.17.0"]);
        stack
            .drop_into_inbox("changes.json", old.to_string())
            .await?;
        let first = exactly(&all, TARGETS.len()).await?;
        let added = json!([
            {"Name": "attrs", "Version": "25.3.0"},
            {"Name": "idna", "Version": "3.10"},
            {"Name": "six", "Version": "1.17.0"},
        ]);
        for said in &first {
            assert_eq!(said.body["Changes"]["Added"], added);
        }

        let new = request(
            project,
            &["attrs==25.4.0", "markupsafe==3.0.3", "six==1.17.0"],
        );
        let text = new.to_string();
        let zips = command::build("request.json", text.as_bytes(), None);
        stack.drop_into_inbox("changes.json", text).await?;
        let second = exactly(&all, TARGETS.len()).await?;
        let expected = Expected {
            version: 2,
            ..Expected::first(project, &TARGETS, &zips)
        };
        expected.holds(stack, &second).await?;
        for said in &second {
            let changes = json!({
                "Added": [{"Name": "markupsafe", "Version": "3.0.3"}],
                "Removed": [{"Name": "idna", "Version": "3.10"}],
                "Updated": [{"Name": "attrs", "From": "25.3.0", "To": "25.4.0"}],
            });
            assert_eq!(said.body["Changes"], changes);
        }
        for slug in TARGETS {
            let layer = format!("{project}-{slug}");
            assert_eq!(stack.layer_versions(&layer).await?, [1, 2]);
        }
        Ok(())
    });
}

/// S3 does not deliver events in their order. One that comes late, with a time before that of what
/// is published, changes nothing.
#[test]
fn a_late_event_is_superseded() {
    on_stack(async |stack| -> Result<()> {
        let project = "late";
        let all = listen(stack, project).await?;
        let text = small_request(project, &["six==1.17.0"]).to_string();
        stack.drop_into_inbox("late.json", text).await?;
        exactly_one(&all, "LayerPublished").await?;

        let inbox = stack.output("InboxBucketName");
        let event = json!({"Records": [{
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": pipeline_tests::workspace::REGION,
            "eventTime": "2020-01-01T00:00:00.000Z",
            "eventName": "ObjectCreated:Put",
            "s3": {
                "bucket": {"name": inbox, "arn": format!("arn:aws:s3:::{inbox}")},
                "object": {"key": "late.json", "size": 1, "sequencer": "00"},
            },
        }]});
        stack.send_to_queue(&event.to_string()).await?;
        let said = exactly_one(&all, "LayerSuperseded").await?;
        assert_eq!(said.body["Layer"]["Version"], 1);
        let items = stack.items(Table::Requests, said.text("RequestId")).await?;
        assert_eq!(items["py313"]["Status"], "Superseded");
        assert_eq!(stack.layer_versions("late-py313").await?, [1]);
        Ok(())
    });
}
