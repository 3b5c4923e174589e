//! Dead letters that come back after their cause is fixed.

use std::collections::BTreeMap;
use std::time::Duration;

use accretion_aws::{Clients, LambdaPublisher, SqsDeadLetters, SqsRequestQueue};
use accretion_core::Fault as _;
use accretion_core::request::{IdentityAttributes, RequestId, RequestRef};
use accretion_service::redrive::{Outcome, Redrive};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_sqs::types::MessageAttributeValue;
use pipeline_tests::testbed::wait_for;
use pipeline_tests::workspace::REGION;
use pipeline_tests::{Error, Filter, Result, Stack, Subscription, Table};
use serde_json::{Value, json};

use crate::tight::{Statement, remove, restore, statements};
use crate::{PATIENCE, alone, deliver_again_soon, endpoint};

pub(crate) const REQUESTS: &str = "RequestDeadLetterQueueUrl";
pub(crate) const PUBLICATIONS: &str = "PublicationDeadLetterQueueUrl";

/// More letters than any of these tests makes.
const LIMIT: usize = 100;

#[test]
fn a_request_comes_back_as_what_it_was() {
    alone(async |stack| {
        prepare(stack).await?;
        let all = stack.subscribe("redrive-requests", &Filter::None).await?;
        // All of it is recorded, and nothing is built.
        let builds = statement(stack, "DispatcherRole", "StartBuilds").await;
        remove(stack, &builds).await;
        let older = request("redrive-older", "six==1.16.0").to_string();
        let older = RequestId::of_message(&stack.send_to_queue(&older).await?);
        let only = request("redrive-only", "six==1.17.0").to_string();
        let only = RequestId::of_message(&stack.send_to_queue(&only).await?);
        let object = request("redrive-object", "six==1.17.0").to_string();
        let (inbox, key) = (stack.output("InboxBucketName"), "redrive-object.json");
        let version = stack.drop_into_inbox(key, object).await?;
        let object = RequestId::of_object(inbox, key, &version);
        let ids = [&older, &only, &object];
        letters(stack, REQUESTS, ids.len()).await?;
        let received = received_at(stack, &ids).await?;

        // The second death is another message's, and still this request's.
        let outcome = redrive_requests(stack).await;
        assert_eq!(sent(&outcome), sorted(&ids), "{outcome:?}");
        letters(stack, REQUESTS, ids.len()).await?;
        restore(stack, &builds).await;

        let newer = request("redrive-older", "six==1.17.0").to_string();
        stack.send_to_queue(&newer).await?;
        let newer = said(&all, "redrive-older").await?;
        assert_eq!(newer.0, "LayerPublished", "{}", newer.1);

        let outcome = redrive_requests(stack).await;
        assert_eq!(sent(&outcome), sorted(&ids), "{outcome:?}");
        assert!(outcome.left.is_empty() && outcome.failure.is_none());
        let mut ends = BTreeMap::new();
        while ends.len() < ids.len() {
            for said in all.wait_for(1, PATIENCE).await? {
                let end = said.text("Event").to_owned();
                ends.insert(said.text("RequestId").to_owned(), end);
            }
        }
        for (id, event, status) in [
            (&older, "LayerSuperseded", "Superseded"),
            (&only, "LayerPublished", "Published"),
            (&object, "LayerPublished", "Published"),
        ] {
            assert_eq!(ends[id.as_str()], event);
            let items = stack.items(Table::Requests, id.as_str()).await?;
            assert_eq!(items["py313"]["Status"], status);
        }
        assert_eq!(received_at(stack, &ids).await?, received);
        assert_eq!(stack.layer_versions("redrive-older-py313").await?, [1]);

        let outcome = redrive_requests(stack).await;
        assert!(outcome.sent.is_empty() && outcome.left.is_empty());
        assert_eq!(all.receive(Duration::from_secs(1)).await?, []);
        Ok(())
    });
}

#[test]
fn a_failed_publication_comes_to_its_end() {
    alone(async |stack| {
        prepare(stack).await?;
        let all = stack
            .subscribe("redrive-publications", &Filter::None)
            .await?;
        let publish = statement(stack, "PublisherRole", "PublishLayers").await;
        remove(stack, &publish).await;
        let project = "redrive-publication";
        let text = request(project, "six==1.17.0").to_string();
        let id = RequestId::of_message(&stack.send_to_queue(&text).await?);
        letters(stack, PUBLICATIONS, 1).await?;
        let failed = said(&all, project).await?;
        assert_eq!(failed.0, "BuildFailed", "{}", failed.1);
        assert_eq!(failed.1["Code"], "AccessDenied");
        restore(stack, &publish).await;
        let told = all.receive(Duration::from_secs(1)).await?;
        assert_eq!(told, [], "a failure is told once");

        let outcome = redrive_publications(stack).await;
        assert_eq!(sent(&outcome), sorted(&[&id]), "{outcome:?}");
        let published = said(&all, project).await?;
        assert_eq!(published.0, "LayerPublished", "{}", published.1);
        assert_eq!(published.1["RequestId"], id.as_str());
        let items = stack.items(Table::Requests, id.as_str()).await?;
        assert_eq!(items["py313"]["Status"], "Published");
        let layer = format!("{project}-py313");
        assert_eq!(stack.layer_versions(&layer).await?, [1]);

        let outcome = redrive_publications(stack).await;
        assert!(outcome.sent.is_empty() && outcome.left.is_empty());
        assert_eq!(all.receive(Duration::from_secs(1)).await?, []);
        assert_eq!(stack.layer_versions(&layer).await?, [1]);
        Ok(())
    });
}

#[test]
fn what_can_never_succeed_stays_where_it_is() {
    alone(async |stack| {
        prepare(stack).await?;
        let all = stack.subscribe("redrive-poison", &Filter::None).await?;
        stack.send_to_queue("{\"Name\": \"cut-off").await?;
        let text = request("redrive-future", "six==1.17.0").to_string();
        let tomorrow = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24);
        let attributes = IdentityAttributes::of(&RequestRef {
            received_at: tomorrow.into(),
            id: RequestId::of_message("mine"),
        });
        send_with(stack, &text, attributes).await?;
        let half = IdentityAttributes {
            request_id: Some(RequestId::of_message("mine").to_string()),
            received_at: None,
        };
        send_with(stack, &text, half).await?;
        letters(stack, REQUESTS, 3).await?;
        let publications = stack.output(PUBLICATIONS);
        let send = stack.sqs.send_message().queue_url(publications);
        let send = send.message_body(json!({"requestContext": {}}).to_string());
        send.send().await.map_err(Error::aws("SendMessage"))?;

        for _ in 0..2 {
            let outcome = redrive_requests(stack).await;
            assert_eq!(
                left(&outcome),
                [
                    "MessageIdentityInvalid",
                    "MessageIdentityInvalid",
                    "MessageUnknown"
                ]
            );
            assert!(outcome.sent.is_empty() && outcome.failure.is_none());
            letters(stack, REQUESTS, 3).await?;
            let outcome = redrive_publications(stack).await;
            assert_eq!(left(&outcome), ["InvocationUnknown"]);
            assert!(outcome.sent.is_empty() && outcome.failure.is_none());
            letters(stack, PUBLICATIONS, 1).await?;
        }
        assert_eq!(all.receive(Duration::from_secs(1)).await?, []);
        empty(stack).await
    });
}

/// One delivery is all there is, and no dead letters of others.
pub(crate) async fn prepare(stack: &Stack) -> Result<()> {
    deliver_again_soon(stack, 1).await;
    empty(stack).await
}

async fn empty(stack: &Stack) -> Result<()> {
    for queue in [REQUESTS, PUBLICATIONS] {
        let purge = stack.sqs.purge_queue().queue_url(stack.output(queue));
        purge.send().await.map_err(Error::aws("PurgeQueue"))?;
    }
    Ok(())
}

pub(crate) fn request(project: &str, requirement: &str) -> Value {
    json!({
        "Name": project,
        "Language": "python",
        "Requirements": {"Type": "requirements.txt", "Requirements": requirement},
        "Runtimes": ["python3.13"],
        "Architectures": ["x86_64"],
    })
}

/// A statement of a role's policy.
async fn statement(stack: &Stack, role: &str, sid: &str) -> Vec<Statement> {
    let mut statements = statements(stack).await;
    statements.retain(|it| it.role == role && it.sid() == sid);
    assert_eq!(
        statements.len(),
        1,
        "{role} has no statement {sid} any more"
    );
    statements
}

/// Waits until a queue of dead letters holds so many.
pub(crate) async fn letters(stack: &Stack, queue: &str, count: usize) -> Result<()> {
    let queue = stack.output(queue);
    let are_there = async || Ok((stack.queued(queue).await? as usize == count).then_some(()));
    wait_for("dead letters", PATIENCE, are_there).await
}

/// Waits for what is said of a project next: the event, and all of it.
async fn said(all: &Subscription, project: &str) -> Result<(String, Value)> {
    let said = all.wait_for(1, PATIENCE).await?;
    let [said] = &said[..] else {
        panic!("{said:?}");
    };
    assert_eq!(said.text("ProjectName"), project, "{}", said.body);
    Ok((said.text("Event").to_owned(), said.body.clone()))
}

/// The times at which requests were received, as the table has them.
async fn received_at(stack: &Stack, ids: &[&RequestId]) -> Result<Vec<Value>> {
    let mut times = Vec::new();
    for id in ids {
        let items = stack.items(Table::Requests, id.as_str()).await?;
        times.push(items["request"]["ReceivedAt"].clone());
    }
    Ok(times)
}

pub(crate) async fn send_with(
    stack: &Stack,
    body: &str,
    attributes: IdentityAttributes,
) -> Result<()> {
    let mut send = stack.sqs.send_message().message_body(body);
    for (name, value) in [
        (IdentityAttributes::REQUEST_ID, attributes.request_id),
        (IdentityAttributes::RECEIVED_AT, attributes.received_at),
    ] {
        let text = MessageAttributeValue::builder().data_type("String");
        if let Some(value) = value {
            send = send.message_attributes(name, text.string_value(value).build().unwrap());
        }
    }
    let send = send.queue_url(stack.output("RequestQueueUrl")).send().await;
    send.map_err(Error::aws("SendMessage")).map(|_| ())
}

async fn redrive_requests(stack: &Stack) -> Outcome {
    let clients = clients();
    let letters = SqsDeadLetters::new(&clients, stack.output(REQUESTS));
    let queue = SqsRequestQueue::new(&clients, stack.output("RequestQueueUrl"));
    Redrive::new(&letters, LIMIT).requests(&queue).await
}

async fn redrive_publications(stack: &Stack) -> Outcome {
    let clients = clients();
    let letters = SqsDeadLetters::new(&clients, stack.output(PUBLICATIONS));
    let publisher = LambdaPublisher::new(&clients, stack.output("PublisherFunctionName"));
    Redrive::new(&letters, LIMIT).publications(&publisher).await
}

fn clients() -> Clients {
    let credentials = Credentials::new("test", "test", None, None, "the emulator's root user");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(endpoint())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build();
    Clients::from(config)
}

/// The requests that were sent again, in order of their ids.
fn sent(outcome: &Outcome) -> Vec<RequestId> {
    let mut ids: Vec<_> = outcome.sent.iter().flat_map(|it| &it.requests).collect();
    ids.sort();
    ids.into_iter().cloned().collect()
}

fn sorted(ids: &[&RequestId]) -> Vec<RequestId> {
    let mut ids: Vec<_> = ids.iter().copied().cloned().collect();
    ids.sort();
    ids
}

/// The codes of what was left, in order.
fn left(outcome: &Outcome) -> Vec<&'static str> {
    let mut codes: Vec<_> = outcome.left.iter().map(|it| it.reason.code()).collect();
    codes.sort_unstable();
    codes
}
