//! Policies are tight: without any one statement something fails.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use pipeline_tests::testbed::{ADDED_POLICY, wait_for};
use pipeline_tests::workspace::REGION;
use pipeline_tests::{Error, Filter, Result, Stack, Subscription};
use serde_json::{Value, json};

use crate::{PATIENCE, alone, deliver_again_soon};

/// Functions write no logs and no traces by themselves: their runtime does.
const OF_THE_RUNTIME: &str = "MiniStack keeps the logs itself, and has no X-Ray";
const OF_SERVICES: &str = "MiniStack's services act among themselves without a role";
const MISSING: &str = "a missing object is a missing one there, whoever asks";
const ALWAYS_THERE: &str =
    "MiniStack's conditions know no Join: it is there although no secret is named";
const MISREAD: &str =
    "MiniStack takes GET below /layers for ListLayers, POST for PublishLayerVersion";

/// Statements that MiniStack does not look at, by role and `Sid`, and why.
const NOT_EVALUATED: [(&str, &str, &str); 19] = [
    ("DispatcherRole", "ReceiveRequests", OF_SERVICES),
    ("DispatcherRole", "WriteLogs", OF_THE_RUNTIME),
    ("DispatcherRole", "Trace", OF_THE_RUNTIME),
    ("BuildStateMachineRole", "Build", OF_SERVICES),
    ("BuildStateMachineRole", "RecordProgress", OF_SERVICES),
    ("BuildStateMachineRole", "RecordFailures", OF_SERVICES),
    ("BuildStateMachineRole", "Trace", OF_SERVICES),
    ("BuildStateMachineRole", "DeliverLogs", OF_SERVICES),
    ("BuilderRole", "ReportMissing", MISSING),
    ("BuilderRole", "ReadIndexSecrets", ALWAYS_THERE),
    ("BuilderRole", "WriteLogs", OF_THE_RUNTIME),
    ("BuilderRole", "Trace", OF_THE_RUNTIME),
    ("PublisherRole", "ReportMissing", MISSING),
    ("PublisherRole", "ReadAndShareLayers", MISREAD),
    ("PublisherRole", "ListLayers", MISREAD),
    ("PublisherRole", "HandOverFailures", OF_SERVICES),
    ("PublisherRole", "WriteLogs", OF_THE_RUNTIME),
    ("PublisherRole", "Trace", OF_THE_RUNTIME),
    ("ReconcilerScheduleRole", "Reconcile", OF_SERVICES),
];

/// A statement of a role's policy.
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    /// The role's logical id.
    pub(crate) role: String,
    role_name: String,
    policy: String,
    /// The whole policy.
    document: Value,
    /// The index of the statement in it.
    index: usize,
}

impl Statement {
    pub(crate) fn statement(&self) -> &Value {
        &self.document["Statement"][self.index]
    }

    pub(crate) fn sid(&self) -> &str {
        self.statement()["Sid"].as_str().unwrap()
    }

    /// The reason why it is not evaluated, if it is not.
    fn reason(&self) -> Option<&'static str> {
        let mut known = NOT_EVALUATED.iter();
        let (_, _, reason) =
            known.find(|(role, sid, _)| *role == self.role && *sid == self.sid())?;
        Some(reason)
    }
}

#[test]
fn no_statement_can_be_spared() {
    alone(async |stack| {
        let trials = Trials::new(stack).await?;
        let statements = statements(stack).await;
        for (role, sid, _) in NOT_EVALUATED {
            let exists = statements
                .iter()
                .any(|it| it.role == role && it.sid() == sid);
            assert!(exists, "{role} has no statement {sid} any more");
        }
        let (spared, needed): (Vec<_>, Vec<_>) =
            statements.into_iter().partition(|it| it.reason().is_some());

        assert_eq!(trials.run("whole").await?, None, "with whole policies");
        remove(stack, &spared).await;
        let failure = trials.run("spared").await?;
        restore(stack, &spared).await;
        assert_eq!(failure, None, "one of NOT_EVALUATED is evaluated");

        let mut idle = Vec::new();
        for (index, statement) in needed.iter().enumerate() {
            let one = std::slice::from_ref(statement);
            remove(stack, one).await;
            let failure = trials.run(&format!("without-{index}")).await?;
            restore(stack, one).await;
            let name = format!("{}: {}", statement.role, statement.sid());
            match failure {
                Some(failure) => println!("without {name}: {failure}"),
                None => idle.push(name),
            }
        }
        assert_eq!(idle, [""; 0], "nothing fails without these");
        Ok(())
    });
}

/// The statements of all roles of the stack.
pub(crate) async fn statements(stack: &Stack) -> Vec<Statement> {
    let describe = stack.cloudformation.describe_stack_resources();
    let answer = describe.stack_name(&stack.name).send().await.unwrap();
    let iam = aws_sdk_iam::Client::new(&stack.configuration);
    let mut statements = Vec::new();
    for resource in answer.stack_resources() {
        if resource.resource_type() != Some("AWS::IAM::Role") {
            continue;
        }
        let role = resource.logical_resource_id().unwrap();
        let role_name = resource.physical_resource_id().unwrap();
        let list = iam.list_role_policies().role_name(role_name);
        let policies = list.send().await.unwrap();
        assert!(!policies.policy_names().is_empty(), "{role} can do nothing");
        for policy in policies.policy_names() {
            if policy == ADDED_POLICY {
                continue;
            }
            let get = iam.get_role_policy().role_name(role_name);
            let answer = get.policy_name(policy).send().await.unwrap();
            let document = percent_encoding::percent_decode_str(answer.policy_document());
            let document: Value = serde_json::from_str(&document.decode_utf8().unwrap()).unwrap();
            let count = document["Statement"].as_array().unwrap().len();
            statements.extend((0..count).map(|index| Statement {
                role: role.to_owned(),
                role_name: role_name.to_owned(),
                policy: policy.clone(),
                document: document.clone(),
                index,
            }));
        }
        let attached = iam.list_attached_role_policies().role_name(role_name);
        let attached = attached.send().await.unwrap();
        assert!(
            attached.attached_policies().is_empty(),
            "{role} has policies of others"
        );
    }
    statements
}

/// Takes statements out of their policies.
pub(crate) async fn remove(stack: &Stack, statements: &[Statement]) {
    let mut documents: BTreeMap<(&str, &str), Value> = BTreeMap::new();
    for statement in statements {
        let key = (statement.role_name.as_str(), statement.policy.as_str());
        let document = documents
            .entry(key)
            .or_insert_with(|| statement.document.clone());
        let left = document["Statement"].as_array_mut().unwrap();
        left.retain(|it| it["Sid"] != statement.sid());
        if left.is_empty() {
            // A policy has to have one.
            left.push(json!({"Effect": "Deny", "Action": "sts:GetSessionToken", "Resource": "*"}));
        }
    }
    for ((role, policy), document) in documents {
        put(stack, role, policy, &document).await;
    }
}

/// Makes policies whole again.
pub(crate) async fn restore(stack: &Stack, statements: &[Statement]) {
    for statement in statements {
        put(
            stack,
            &statement.role_name,
            &statement.policy,
            &statement.document,
        )
        .await;
    }
}

async fn put(stack: &Stack, role: &str, policy: &str, document: &Value) {
    let put = aws_sdk_iam::Client::new(&stack.configuration)
        .put_role_policy()
        .role_name(role)
        .policy_name(policy);
    put.policy_document(document.to_string())
        .send()
        .await
        .unwrap();
}

/// The policy that topics are born with lets the whole account publish and subscribe. Where the
/// template requires TLS, it puts another one in its place.
pub(crate) async fn forget_topic_policy(stack: &Stack) -> Result<()> {
    let topic = stack.output("NotificationTopicArn");
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sns:GetTopicAttributes",
            "Resource": topic,
        },
    });
    let set = stack.sns.set_topic_attributes().topic_arn(topic);
    let set = set
        .attribute_name("Policy")
        .attribute_value(policy.to_string());
    set.send().await.map_err(Error::aws("SetTopicAttributes"))?;
    Ok(())
}

/// Everything that the stack does, once, with an eye on every place where a failure shows.
struct Trials {
    stack: &'static Stack,
    all: Subscription,
}

impl Trials {
    async fn new(stack: &'static Stack) -> Result<Self> {
        deliver_again_soon(stack, 1).await;
        // Failures are to show at once.
        let publisher = stack.output("PublisherFunctionName");
        let get = stack
            .lambda
            .get_function_event_invoke_config()
            .qualifier("$LATEST")
            .function_name(publisher);
        let known = get
            .send()
            .await
            .map_err(Error::aws("GetFunctionEventInvokeConfig"))?;
        let put = stack
            .lambda
            .put_function_event_invoke_config()
            .qualifier("$LATEST")
            .function_name(publisher);
        let put = put
            .set_destination_config(known.destination_config().cloned())
            .maximum_retry_attempts(0);
        put.send()
            .await
            .map_err(Error::aws("PutFunctionEventInvokeConfig"))?;
        forget_topic_policy(stack).await?;
        let all = stack.subscribe("permissions", &Filter::None).await?;
        Ok(Self { stack, all })
    }

    /// Tries all of it with a project of this name; stops at the first failure and returns it.
    async fn run(&self, project: &str) -> Result<Option<String>> {
        let stack = self.stack;
        let mut request = json!({
            "Name": project,
            "Language": "python",
            "Requirements": {"Type": "requirements.txt", "Requirements": "six==1.17.0"},
            "Runtimes": ["python3.13"],
            "Architectures": ["x86_64"],
            "Permissions": [{"Principal": "123456789012"}],
            "Files": [{"Prefix": format!("files/{project}/")}],
        });
        // Nobody else has these files.
        let file = format!("files/{project}/mine.py");
        stack.drop_into_inbox(&file, project.to_owned()).await?;
        let key = format!("{project}.json");

        let version = stack.drop_into_inbox(&key, request.to_string()).await?;
        let failure = self.outcome(project, "LayerPublished").await?;
        if failure.is_some() {
            return Ok(failure);
        }
        // Its event comes again when the object is gone: the request is read where it was kept.
        let delete = stack.s3.delete_object().key(&key).version_id(&version);
        let inbox = stack.output("InboxBucketName");
        let deleted = delete.bucket(inbox).send().await;
        deleted.map_err(Error::aws("DeleteObject"))?;
        let event = event_of_missing_object(stack, &key, &version);
        stack.send_to_queue(&event).await?;
        let failure = self.emptied(project).await?;
        if failure.is_some() {
            return Ok(failure);
        }
        // Somebody else is to get the same content.
        request["Permissions"] = json!([{"Principal": "210987654321"}]);
        stack.drop_into_inbox(&key, request.to_string()).await?;
        let failure = self.outcome(project, "LayerUnchanged").await?;
        if failure.is_some() {
            return Ok(failure);
        }
        // The version holds that content as well.
        let version = json!({"Layer": format!("{project}-py313"), "Version": 1});
        let rollback = json!({"Name": project, "Rollback": version});
        stack.drop_into_inbox(&key, rollback.to_string()).await?;
        let failure = self.outcome(project, "LayerUnchanged").await?;
        if failure.is_some() {
            return Ok(failure);
        }
        request["Requirements"] = json!("six");
        stack.drop_into_inbox(&key, request.to_string()).await?;
        let failure = self.outcome(project, "RequestRejected").await?;
        if failure.is_some() {
            return Ok(failure);
        }
        let key = format!("requests/{project}/requirements.txt");
        stack
            .send_to_queue(&event_of_missing_object(stack, &key, "never"))
            .await?;
        let failure = self.outcome(project, "RequestRejected").await?;
        if failure.is_some() {
            return Ok(failure);
        }
        self.reconcile().await
    }

    /// Waits for what a request ends in; returns what it is if it is not `event`.
    async fn outcome(&self, project: &str, event: &str) -> Result<Option<String>> {
        let stack = self.stack;
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            let notifications = self.all.receive(Duration::from_millis(200)).await?;
            let said = notifications
                .iter()
                .find(|it| it.text("ProjectName") == project);
            if let Some(said) = said {
                let is_event = said.text("Event") == event;
                return Ok((!is_event).then(|| said.body.to_string()));
            }
            for queue in ["RequestDeadLetterQueueUrl", "PublicationDeadLetterQueueUrl"] {
                let queue = stack.output(queue);
                let message = stack.take_message(queue, Duration::ZERO).await?;
                if let Some(message) = message.filter(|it| it.contains(project)) {
                    return Ok(Some(message));
                }
            }
        }
        let what = format!("{event} of {project}, nor a failure");
        Err(Error::Timeout {
            what,
            after: PATIENCE,
        })
    }

    /// Waits until the request queue is empty; returns what could not be dealt with.
    async fn emptied(&self, project: &str) -> Result<Option<String>> {
        let stack = self.stack;
        let queue = stack.output("RequestQueueUrl");
        let is_empty = async || Ok((stack.queued(queue).await? == 0).then_some(()));
        wait_for("end of the messages", PATIENCE, is_empty).await?;
        let dead = stack.output("RequestDeadLetterQueueUrl");
        let message = stack.take_message(dead, Duration::ZERO).await?;
        Ok(message.filter(|it| it.contains(project)))
    }

    /// Has the publisher look for what is left to do.
    async fn reconcile(&self) -> Result<Option<String>> {
        let publisher = self.stack.output("PublisherFunctionName");
        let task = json!({"Task": "Reconcile"}).to_string();
        let invoke = self.stack.lambda.invoke().function_name(publisher);
        let answer = invoke.payload(task.into_bytes().into()).send().await;
        let answer = answer.map_err(Error::aws("Invoke"))?;
        let payload = answer.payload().map(AsRef::as_ref).unwrap_or_default();
        let failed = answer.function_error().is_some();
        Ok(failed.then(|| String::from_utf8_lossy(payload).into_owned()))
    }
}

/// An event of S3 about a version of an object that is not there.
fn event_of_missing_object(stack: &Stack, key: &str, version: &str) -> String {
    let inbox = stack.output("InboxBucketName");
    json!({"Records": [{
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": REGION,
        "eventTime": "2026-11-20T10:00:00.000Z",
        "eventName": "ObjectCreated:Put",
        "s3": {
            "bucket": {"name": inbox, "arn": format!("arn:aws:s3:::{inbox}")},
            "object": {"key": key, "size": 1, "versionId": version, "sequencer": "00"},
        },
    }]})
    .to_string()
}
