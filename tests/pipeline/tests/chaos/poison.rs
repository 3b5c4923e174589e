//! Messages, requests and layers that nobody can do anything with, among good ones.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use accretion_core::request::RequestId;
use aws_sdk_s3::types::NotificationConfiguration;
use futures_util::future::{try_join, try_join_all};
use pipeline_tests::testbed::{Testbed, wait_for};
use pipeline_tests::{Error, Filter, Notification, Result, Stack, Subscription, Table};
use serde_json::{Value, json};

use crate::deliveries::invoke_publisher;
use crate::{PATIENCE, QUIET, alone, deliver_again_after, event, request};

/// Good requests at once, and as many of each poison.
const EACH: usize = 10;

/// Messages that are neither a request nor an event.
const UNREADABLE: [&str; 3] = [
    "{\"Name\": \"cut-off",
    "[]",
    "{\"Records\": [{\"eventSource\": \"aws:s3\"}]}",
];

/// After how many seconds they come again. They have come five times long after the good ones are
/// done.
const AGAIN: u32 = 5;

#[test]
fn poison_keeps_nobody_waiting_and_ends_where_it_belongs() {
    alone("poison", async |testbed| poison(testbed).await);
}

async fn poison(testbed: &Testbed) -> Result<()> {
    let stack = &testbed.stack;
    deliver_again_after(stack, AGAIN).await;
    let filter = json!({"ProjectName": [{"prefix": "good-"}]});
    let good = stack.subscribe("good", &Filter::Body(filter)).await?;
    let filter = json!({"ProjectName": [{"prefix": "poison-"}]});
    let poison = stack.subscribe("poison", &Filter::Body(filter)).await?;
    // The first ones fill the cache and start the functions.
    drop_good(stack, &good, "good-warm").await?;
    let usual = drop_good(stack, &good, "good-usual").await?;
    let lost = lose_artifact(stack).await?;

    let requests = stack.output("RequestQueueUrl");
    let dead_letters = stack.output("RequestDeadLetterQueueUrl");
    let mix = async {
        for index in 0..EACH {
            stack
                .send_to_queue(UNREADABLE[index % UNREADABLE.len()])
                .await?;
            let mut faulty = request(&format!("poison-faulty-{index}"), &["six"], &["py313"]);
            faulty["Licence"] = json!("MIT");
            let key = format!("poison/faulty-{index}.json");
            stack.drop_into_inbox(&key, faulty.to_string()).await?;
            let project = format!("poison-absent-{index}");
            let absent = request(&project, &["six==99.0"], &["py313"]);
            let key = format!("poison/absent-{index}.json");
            stack.drop_into_inbox(&key, absent.to_string()).await?;
        }
        lost.publish(stack).await
    };
    let ((), among) = try_join(mix, drop_good(stack, &good, "good-among")).await?;
    // They were done while the poison was still going round.
    let going_round = stack.queued(requests).await?;
    assert!(going_round > 0, "the poison is gone already");
    println!("    {EACH} good requests: {:.2} s", usual.as_secs_f64());
    println!(
        "    {EACH} good ones among {} bad ones: {:.2} s, with {going_round} bad messages left",
        3 * EACH + 1,
        among.as_secs_f64()
    );

    let said = poison.wait_for(2 * EACH + 1, PATIENCE).await?;
    rejected(stack, &said).await?;
    failed(stack, &said, &lost).await?;
    let dead = async || Ok((stack.queued(requests).await? == 0).then_some(()));
    wait_for("end of the bad messages", PATIENCE, dead).await?;
    let mut found = Vec::new();
    while let Some(message) = stack.take_message(dead_letters, QUIET).await? {
        found.push(message);
    }
    found.sort_unstable();
    let mut must_be: Vec<_> = (0..EACH)
        .map(|it| UNREADABLE[it % UNREADABLE.len()])
        .collect();
    must_be.sort_unstable();
    assert_eq!(found, must_be);
    // Only now: with the artifact back, what failed could turn out well yet.
    lost.is_kept(stack).await?;
    lost.next_one_is_published(stack).await?;
    // What is told once is told once, however often it is tried.
    let again: Vec<_> = poison.receive(QUIET).await?;
    let copies = again.iter().filter(|it| !said.contains(it));
    let others: Vec<_> = copies
        .filter(|it| it.text("Event") != "LayerPublished")
        .collect();
    assert!(others.is_empty(), "{others:?}");
    Ok(())
}

/// Drops good requests at once, each for a layer of its own, and waits until all are published.
async fn drop_good(stack: &Stack, good: &Subscription, name: &str) -> Result<Duration> {
    let start = Instant::now();
    let drops = (0..EACH).map(async |index| {
        let project = format!("{name}-{index}");
        let text = request(&project, &["six==1.17.0"], &["py313"]).to_string();
        stack
            .drop_into_inbox(&format!("{project}.json"), text)
            .await
    });
    try_join_all(drops).await?;
    let said = good.wait_for(EACH, PATIENCE).await?;
    let took = start.elapsed();
    let projects: BTreeSet<_> = said.iter().map(|it| it.text("ProjectName")).collect();
    let is_published = |it: &Notification| it.text("Event") == "LayerPublished";
    assert!(
        said.iter().all(is_published) && projects.len() == EACH,
        "{said:?}"
    );
    Ok(took)
}

/// A layer that was built, and whose artifact is deleted before it is published.
struct Lost {
    id: String,
    manifest: String,
}

const LOST: &str = "poison-lost";

async fn lose_artifact(stack: &Stack) -> Result<Lost> {
    let bucket = stack.output("ArtifactsBucketName");
    let get = stack.s3.get_bucket_notification_configuration();
    let get = get.bucket(bucket).send().await;
    let has = get.map_err(Error::aws("GetBucketNotificationConfiguration"))?;
    let listening = NotificationConfiguration::builder()
        .set_lambda_function_configurations(has.lambda_function_configurations)
        .build();
    // Nobody hears of the manifest for now.
    notify(stack, NotificationConfiguration::builder().build()).await?;
    let text = request(LOST, &["idna==3.10"], &["py313"]).to_string();
    let version = stack.drop_into_inbox("poison/lost.json", text).await?;
    let inbox = stack.output("InboxBucketName");
    let id = RequestId::of_object(inbox, "poison/lost.json", &version).to_string();
    let built = async || {
        let items = stack.items(Table::Requests, &id).await?;
        let is_built = items.get("py313").is_some_and(|it| it["Status"] == "Built");
        Ok(is_built.then_some(()))
    };
    wait_for("built layer", PATIENCE, built).await?;
    let manifest = format!("accretion/manifests/{LOST}/{id}-py313.manifest");
    let key = &stack.artifact_json(&manifest).await?["ArtifactS3Key"];
    let delete = stack.s3.delete_object().bucket(bucket);
    let delete = delete.key(key.as_str().unwrap_or_default()).send().await;
    delete.map_err(Error::aws("DeleteObject"))?;
    notify(stack, listening).await?;
    Ok(Lost { id, manifest })
}

async fn notify(stack: &Stack, configuration: NotificationConfiguration) -> Result<()> {
    let put = stack.s3.put_bucket_notification_configuration();
    let put = put
        .bucket(stack.output("ArtifactsBucketName"))
        .notification_configuration(configuration);
    let put = put.send().await;
    put.map_err(Error::aws("PutBucketNotificationConfiguration"))?;
    Ok(())
}

impl Lost {
    fn event(&self, stack: &Stack) -> Value {
        let bucket = stack.output("ArtifactsBucketName");
        let time = "2026-11-20T10:00:00.000Z";
        event(bucket, &self.manifest, ("sequencer", "00"), time)
    }

    /// Has S3 tell of the manifest after all.
    async fn publish(&self, stack: &Stack) -> Result<()> {
        invoke_publisher(stack, &self.event(stack)).await
    }

    /// Checks that the next request for that layer gets it.
    async fn next_one_is_published(&self, stack: &Stack) -> Result<()> {
        let text = request(LOST, &["idna==3.10"], &["py313"]).to_string();
        stack.drop_into_inbox("poison/found.json", text).await?;
        let published = async || {
            let versions = stack.layer_versions(&format!("{LOST}-py313")).await;
            Ok(versions.is_ok_and(|it| it == [1]).then_some(()))
        };
        wait_for("version of the layer that was lost", PATIENCE, published).await
    }

    /// Checks that the event that failed is stored for people, with the reason.
    async fn is_kept(&self, stack: &Stack) -> Result<()> {
        let queue = stack.output("PublicationDeadLetterQueueUrl");
        let record = stack.take_message(queue, PATIENCE).await?;
        let record: Value = serde_json::from_str(&record.unwrap_or_default()).unwrap();
        assert_eq!(record["requestPayload"], self.event(stack));
        assert_eq!(record["responsePayload"]["errorType"], "ArtifactMissing");
        assert_eq!(stack.take_message(queue, QUIET).await?, None);
        Ok(())
    }
}

/// Holds what became of the faulty requests.
async fn rejected(stack: &Stack, said: &[Notification]) -> Result<()> {
    let rejected: Vec<_> = of_event(said, "RequestRejected");
    let projects: BTreeSet<_> = rejected.iter().map(|it| it.text("ProjectName")).collect();
    assert_eq!((rejected.len(), projects.len()), (EACH, EACH), "{said:?}");
    for said in rejected {
        let items = stack.items(Table::Requests, said.text("RequestId")).await?;
        assert_eq!(items.keys().collect::<Vec<_>>(), ["request"]);
        assert_eq!(items["request"]["Status"], "Rejected");
    }
    Ok(())
}

/// Holds what became of the layers that could not be built or published.
async fn failed(stack: &Stack, said: &[Notification], lost: &Lost) -> Result<()> {
    let failed: Vec<_> = of_event(said, "BuildFailed");
    assert_eq!(failed.len(), EACH + 1, "{said:?}");
    for said in failed {
        let id = said.text("RequestId");
        let code = if id == lost.id {
            "ArtifactMissing"
        } else {
            "RequirementsUnsatisfiable"
        };
        assert_eq!(said.text("Code"), code, "{}", said.body);
        let recorded = async || {
            let items = stack.items(Table::Requests, id).await?;
            let item = &items["py313"];
            let is_recorded = item["Status"] == "Failed" && item["Open"].is_null();
            Ok((is_recorded && item["Code"] == code).then_some(()))
        };
        wait_for("record of the failure", PATIENCE, recorded).await?;
    }
    Ok(())
}

fn of_event<'a>(said: &'a [Notification], event: &str) -> Vec<&'a Notification> {
    said.iter().filter(|it| it.text("Event") == event).collect()
}
