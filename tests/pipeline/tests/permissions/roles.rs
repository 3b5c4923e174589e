//! Each role against the work of the others: somebody who has got hold of a function's credentials
//! is refused.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::primitives::ByteStream;
use pipeline_tests::workspace::REGION;
use pipeline_tests::{Error, Result, Stack};
use serde_json::{Value, json};

use crate::tight::{forget_topic_policy, statements};
use crate::{Calls, alone, endpoint};

#[test]
fn no_role_may_do_the_work_of_another() {
    alone(async |stack| {
        forget_topic_policy(stack).await?;
        for (role, own) in [
            ("DispatcherRole", DISPATCHER),
            ("BuilderRole", BUILDER),
            ("PublisherRole", PUBLISHER),
        ] {
            let twin = twin(stack, role).await?;
            let calls = all_calls(&twin).await?;
            assert!(calls.len() > 40, "{}", calls.len());
            let allowed: Vec<_> = calls
                .iter()
                .filter(|(_, is_refused)| !is_refused)
                .map(|(name, _)| name.as_str())
                .collect();
            assert_eq!(allowed, own, "{role}");
        }
        Ok(())
    });
}

/// The calls that each of them may make, of all that [`all_calls`] tries.
const DISPATCHER: &[&str] = &[
    "read from the inbox",
    "write a request",
    "read a request",
    "read a manifest",
    "read the manifest of a layer",
    "read the table of requests",
    "write to the table of requests",
    "change the table of requests",
    "receive from the request queue",
    "tell the topic",
    "start a build",
];
const BUILDER: &[&str] = &[
    "read a request",
    "write an artifact",
    "read an artifact",
    "write a manifest",
];
const PUBLISHER: &[&str] = &[
    "read an artifact",
    "read a manifest",
    "write the manifest of a layer",
    "read the table of requests",
    "change the table of requests",
    "read the table of layers",
    "write to the table of layers",
    "change the table of layers",
    "delete from the table of layers",
    "send to the publication dead letters",
    "tell the topic",
    "publish a layer of ours",
    "publish a layer of ours for arm64",
    "write a pointer of ours",
];

/// Tries everything that any of them does, and what none of them does.
async fn all_calls(stack: &Stack) -> Result<Calls> {
    let mut calls = Calls::new();
    objects(stack, &mut calls).await;
    tables(stack, &mut calls).await;
    queues(stack, &mut calls).await;
    functions(stack, &mut calls).await;
    Ok(calls)
}

async fn objects(stack: &Stack, calls: &mut Calls) {
    let (inbox, artifacts) = (
        stack.output("InboxBucketName"),
        stack.output("ArtifactsBucketName"),
    );
    for (what, bucket, key) in [
        ("to the inbox", inbox, "requests/roles/request.json"),
        ("a request", artifacts, "accretion/requests/roles.json"),
        (
            "an artifact",
            artifacts,
            "accretion/artifacts/roles/roles.zip",
        ),
        (
            "a manifest",
            artifacts,
            "accretion/manifests/roles/roles.txt",
        ),
        (
            "the manifest of a layer",
            artifacts,
            "accretion/layers/roles-py313/1.json",
        ),
        ("elsewhere", artifacts, "roles.txt"),
    ] {
        let s3 = &stack.s3;
        let put = s3.put_object().bucket(bucket).key(key);
        call!(
            calls,
            format!("write {what}"),
            put.body(ByteStream::from_static(b"{}"))
        );
        let what = what.replace("to the inbox", "from the inbox");
        let get = s3.get_object().bucket(bucket).key(key);
        call!(calls, format!("read {what}"), get);
        let delete = s3.delete_object().bucket(bucket).key(key);
        call!(calls, format!("delete {what}"), delete);
    }
}

async fn tables(stack: &Stack, calls: &mut Calls) {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let dynamodb = &stack.dynamodb;
    for (what, output, key) in [
        ("requests", "RequestsTableName", "RequestId"),
        ("layers", "LayersTableName", "LayerName"),
    ] {
        let table = stack.output(output);
        let get = dynamodb.get_item().table_name(table);
        let get = get.key(key, text("roles")).key("Item", text("roles"));
        call!(calls, format!("read the table of {what}"), get);
        let put = dynamodb.put_item().table_name(table);
        let put = put.item(key, text("roles")).item("Item", text("roles"));
        call!(calls, format!("write to the table of {what}"), put);
        let update = dynamodb.update_item().table_name(table);
        let update = update.key(key, text("roles")).key("Item", text("roles"));
        let update = update
            .update_expression("SET Roles = :roles")
            .expression_attribute_values(":roles", text("roles"));
        call!(calls, format!("change the table of {what}"), update);
        let delete = dynamodb.delete_item().table_name(table);
        let delete = delete.key(key, text("roles")).key("Item", text("roles"));
        call!(calls, format!("delete from the table of {what}"), delete);
        let scan = dynamodb.scan().table_name(table);
        call!(calls, format!("scan the table of {what}"), scan);
    }
}

async fn queues(stack: &Stack, calls: &mut Calls) {
    for (what, output) in [
        ("the request queue", "RequestQueueUrl"),
        ("the request dead letters", "RequestDeadLetterQueueUrl"),
        (
            "the publication dead letters",
            "PublicationDeadLetterQueueUrl",
        ),
    ] {
        let queue = stack.output(output);
        let send = stack.sqs.send_message().queue_url(queue);
        // What is none of the request queue's is sent nowhere else either.
        call!(calls, format!("send to {what}"), send.message_body("{}"));
        let receive = stack.sqs.receive_message().queue_url(queue);
        call!(calls, format!("receive from {what}"), receive);
        let purge = stack.sqs.purge_queue().queue_url(queue);
        call!(calls, format!("purge {what}"), purge);
    }
    let topic = stack.output("NotificationTopicArn");
    let publish = stack.sns.publish().topic_arn(topic).message("{}");
    call!(calls, "tell the topic", publish);
    let subscribe = stack.sns.subscribe().topic_arn(topic).protocol("https");
    let subscribe = subscribe.endpoint("https://example.com/");
    call!(calls, "subscribe to the topic", subscribe);
}

async fn functions(stack: &Stack, calls: &mut Calls) {
    let start = stack.sfn.start_execution();
    let start = start.state_machine_arn(stack.output("BuildStateMachineArn"));
    // No build: it fails at once.
    call!(calls, "start a build", start.input("{}"));
    for output in [
        "DispatcherFunctionName",
        "BuilderFunctionName",
        "PublisherFunctionName",
    ] {
        let invoke = stack.lambda.invoke().function_name(stack.output(output));
        call!(calls, format!("invoke {output}"), invoke);
    }
    for (what, layer) in [
        ("of ours", "roles-py313"),
        ("of ours for arm64", "roles-py313-arm64"),
        ("of others", "roles"),
        ("of others that looks alike", "roles-py3-utilities"),
    ] {
        let content = aws_sdk_lambda::types::LayerVersionContentInput::builder()
            .s3_bucket(stack.output("ArtifactsBucketName"))
            .s3_key("accretion/artifacts/roles/nowhere.zip");
        let publish = stack.lambda.publish_layer_version().layer_name(layer);
        let publish = publish.content(content.build());
        call!(calls, format!("publish a layer {what}"), publish);
    }
    for (what, name) in [("of ours", "/accretion/roles"), ("of others", "/roles")] {
        let put = stack.ssm.put_parameter().name(name).value("roles");
        let put = put.r#type(aws_sdk_ssm::types::ParameterType::String);
        call!(
            calls,
            format!("write a pointer {what}"),
            put.overwrite(true)
        );
    }
}

/// The stack as somebody sees it who may do what a role may do: only Lambda takes on the role itself.
async fn twin(stack: &Stack, role: &str) -> Result<Stack> {
    let statements = statements(stack).await;
    let of_role = statements.iter().filter(|it| it.role == role);
    let statements: Vec<_> = of_role.map(|it| it.statement().clone()).collect();
    assert!(!statements.is_empty(), "{role}");
    as_user(stack, &endpoint(), &format!("twin-of-{role}"), statements).await
}

/// The stack as a new user sees it, who may do what these statements allow.
pub(crate) async fn as_user(
    stack: &Stack,
    endpoint: &str,
    user: &str,
    statements: Vec<Value>,
) -> Result<Stack> {
    let iam = aws_sdk_iam::Client::new(&stack.configuration);
    let create = iam.create_user().user_name(user);
    create.send().await.map_err(Error::aws("CreateUser"))?;
    let policy = json!({"Version": "2012-10-17", "Statement": statements});
    let put = iam.put_user_policy().user_name(user);
    let put = put.policy_name("role").policy_document(policy.to_string());
    put.send().await.map_err(Error::aws("PutUserPolicy"))?;
    let key = iam.create_access_key().user_name(user);
    let key = key.send().await.map_err(Error::aws("CreateAccessKey"))?;
    let key = key.access_key().unwrap();
    let (id, secret) = (key.access_key_id(), key.secret_access_key());
    let credentials = Credentials::new(id, secret, None, None, "a user of the emulator");
    let configuration = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build();
    let s3 = aws_sdk_s3::config::Builder::from(&configuration).force_path_style(true);
    Ok(Stack {
        dynamodb: aws_sdk_dynamodb::Client::new(&configuration),
        lambda: aws_sdk_lambda::Client::new(&configuration),
        s3: aws_sdk_s3::Client::from_conf(s3.build()),
        sfn: aws_sdk_sfn::Client::new(&configuration),
        sns: aws_sdk_sns::Client::new(&configuration),
        sqs: aws_sdk_sqs::Client::new(&configuration),
        ssm: aws_sdk_ssm::Client::new(&configuration),
        configuration,
        ..stack.clone()
    })
}
