//! The template after SAM's transform: rules that no linter knows.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

mod alarms;
mod dashboard;
mod metrics;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use accretion_core::limits::Limits;
use accretion_core::target::Target;
use integration_tests::translated_template;
use serde_json::{Map, Value, json};

const SOURCE: &str = include_str!("../../../sam/template.yaml");
const OPERATIONS: &str = include_str!("../../../docs/operations.md");
const DEFINITION: &str = include_str!("../../../statemachine/build_layer.asl.json");

static TEMPLATE: LazyLock<Value> = LazyLock::new(translated_template);

fn resources() -> &'static Map<String, Value> {
    TEMPLATE["Resources"].as_object().unwrap()
}

/// The resources of a type, with their names.
fn of_type(kind: &str) -> BTreeMap<&'static str, &'static Value> {
    let named = resources()
        .iter()
        .filter(|(_, resource)| resource["Type"] == kind);
    let named: BTreeMap<_, _> = named
        .map(|(name, resource)| (name.as_str(), resource))
        .collect();
    assert!(!named.is_empty(), "there is no {kind}");
    named
}

fn property<'a>(resource: &'a Value, name: &str) -> &'a Value {
    &resource["Properties"][name]
}

/// Each branch of conditions, lists flattened: what may be there.
fn possible(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(values) => values.iter().flat_map(possible).collect(),
        Value::Object(fields) if fields.contains_key("Fn::If") => {
            fields["Fn::If"].as_array().unwrap()[1..]
                .iter()
                .flat_map(possible)
                .collect()
        }
        value if value == &json!({"Ref": "AWS::NoValue"}) => Vec::new(),
        value => vec![value],
    }
}

/// Every statement of every policy, with the resource that it belongs to.
fn statements() -> Vec<(&'static str, &'static Value)> {
    let mut found = Vec::new();
    for (name, resource) in resources() {
        let mut documents = vec![
            property(resource, "PolicyDocument"),
            property(resource, "AssumeRolePolicyDocument"),
        ];
        let inline = property(resource, "Policies").as_array();
        documents.extend(
            inline
                .into_iter()
                .flatten()
                .map(|policy| &policy["PolicyDocument"]),
        );
        for document in documents {
            let statements = possible(&document["Statement"]);
            found.extend(
                statements
                    .into_iter()
                    .filter(|s| !s.is_null())
                    .map(|s| (name.as_str(), s)),
            );
        }
    }
    found
}

fn texts(value: &Value) -> Vec<&str> {
    possible(value)
        .into_iter()
        .filter_map(Value::as_str)
        .collect()
}

#[test]
fn every_statement_has_a_name_and_says_exactly_what_it_allows() {
    let statements = statements();
    assert!(statements.len() > 40, "{}", statements.len());
    // These APIs take no resource: X-Ray's, log delivery's, one of Lambda's and one of STS's.
    let without_resource = ["Trace", "DeliverLogs", "ListLayers", "GetBearerToken"];
    let mut names = BTreeSet::new();
    for (owner, statement) in statements {
        let sid = statement["Sid"]
            .as_str()
            .unwrap_or_else(|| panic!("{owner}: {statement}"));
        assert!(names.insert((owner, sid)), "{owner}: {sid} twice");
        if statement["Effect"] != "Allow" {
            continue;
        }
        for action in texts(&statement["Action"]) {
            assert!(!action.contains('*'), "{owner}: {sid} allows {action}");
        }
        let everything = texts(&statement["Resource"]).contains(&"*");
        assert_eq!(
            everything,
            without_resource.contains(&sid),
            "{owner}: {sid}"
        );
    }
}

/// The function for each target whose packages may be built from source.
fn sandboxes() -> BTreeSet<&'static str> {
    let functions = of_type("AWS::Lambda::Function").into_keys();
    functions
        .filter(|name| name.starts_with("Sandbox"))
        .collect()
}

#[test]
fn there_is_a_sandbox_for_each_target_that_a_function_can_be_made_for() {
    let mut expected = BTreeMap::new();
    for target in Target::all() {
        if target.runtime.is_supported() {
            let is_arm = target.architecture.name() == "arm64";
            let name = format!(
                "SandboxPy3{}{}Function",
                target.runtime.python_minor(),
                if is_arm { "Arm64" } else { "" }
            );
            expected.insert(name, target);
        }
    }
    assert_eq!(
        sandboxes(),
        expected.keys().map(String::as_str).collect::<BTreeSet<_>>()
    );
    for (name, target) in expected {
        let sandbox = &resources()[&name];
        assert_eq!(sandbox["Condition"], "SourceDistributionsAllowed", "{name}");
        let runtime = possible(property(sandbox, "Runtime"));
        assert_eq!(runtime[0], target.runtime.identifier(), "{name}");
        let architectures = property(sandbox, "Architectures");
        assert_eq!(
            architectures,
            &json!([target.architecture.name()]),
            "{name}"
        );
        assert_eq!(property(sandbox, "Role")["Fn::GetAtt"][0], "SandboxRole");
    }
    let allowed = &TEMPLATE["Conditions"]["SourceDistributionsAllowed"];
    let when = json!({"Fn::Equals": [{"Ref": "AllowSourceDistributions"}, "true"]});
    assert_eq!(allowed, &when);
    assert_eq!(
        TEMPLATE["Parameters"]["AllowSourceDistributions"]["Default"],
        "false"
    );
}

/// SAM adds managed policies, which are wide, to the roles that it makes itself.
#[test]
fn every_role_is_ours() {
    let roles = of_type("AWS::IAM::Role");
    for (name, role) in &roles {
        assert!(SOURCE.contains(&format!("\n  {name}:\n")), "{name}");
        assert!(property(role, "ManagedPolicyArns").is_null(), "{name}");
    }
    for (name, function) in of_type("AWS::Lambda::Function") {
        let role = property(function, "Role")["Fn::GetAtt"][0]
            .as_str()
            .unwrap();
        assert!(roles.contains_key(role), "{name}");
    }
}

#[test]
fn partition_account_and_region_are_nowhere_written_out() {
    for text in [SOURCE, DEFINITION] {
        for line in text.lines() {
            assert!(!line.contains("arn:aws"), "{line}");
            let digits = line.split(|c: char| !c.is_ascii_digit());
            assert!(digits.clone().all(|number| number.len() < 12), "{line}");
            let words = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
            for word in words {
                let region = word.split('-').collect::<Vec<_>>();
                let is_region = matches!(region[..], [area, .., number]
                    if region.len() >= 3 && area.len() == 2 && number.parse::<u8>().is_ok());
                assert!(!is_region, "{line}");
            }
        }
    }
}

#[test]
fn whoever_waits_waits_long_enough() {
    let timeout = |function: &str| {
        property(&resources()[function], "Timeout")
            .as_u64()
            .unwrap()
    };
    let queue = &resources()["RequestQueue"];
    let visibility = property(queue, "VisibilityTimeout").as_u64().unwrap();
    assert!(visibility >= 6 * timeout("DispatcherFunction"));
    assert!(
        property(queue, "RedrivePolicy")["maxReceiveCount"]
            .as_u64()
            .unwrap()
            >= 5
    );

    let definition: Value = serde_json::from_str(DEFINITION).unwrap();
    let build = definition["States"]["Build"]["TimeoutSeconds"]
        .as_u64()
        .unwrap();
    assert!(build > timeout("BuilderFunction"));
    for state in ["RecordWaiting", "RecordFailed"] {
        let failure = definition["States"][state]["TimeoutSeconds"].as_u64();
        assert!(failure.unwrap() > timeout("PublisherFunction"), "{state}");
    }
    let order = &definition["States"]["FillOrders"]["ItemProcessor"]["States"]["FillOrder"];
    let order = order["TimeoutSeconds"].as_u64().unwrap();
    for name in sandboxes() {
        assert!(order > timeout(name), "{name}");
        let build = &TEMPLATE["Parameters"]["MaximumSourceBuildSeconds"];
        assert_eq!(
            build["Default"],
            Limits::SOURCE_BUILD_TIME.as_secs(),
            "{name}"
        );
        let longest = build["MaxValue"].as_u64().unwrap();
        assert!(timeout(name) > longest + 120, "{name}");
    }
}

/// Seconds that a task of the state machine takes at most, while its function runs each time for as
/// long as it may, and there is never one free at first.
fn longest(task: &Value) -> u64 {
    let attempt = task["TimeoutSeconds"].as_u64().unwrap();
    let mut seconds = attempt;
    for retrier in task["Retry"].as_array().unwrap() {
        let number = |field: &str| retrier[field].as_u64();
        let longest = number("MaxDelaySeconds").unwrap_or(1);
        let mut pause = number("IntervalSeconds").unwrap();
        for _ in 0..number("MaxAttempts").unwrap() {
            seconds += pause;
            pause = longest.min(pause * number("BackoffRate").unwrap_or(1));
        }
        // What Lambda itself refuses has not run.
        let has_run = |name: &str| !name.starts_with("Lambda.") || name == "Lambda.Unknown";
        if texts(&retrier["ErrorEquals"]).into_iter().any(has_run) {
            seconds += attempt * number("MaxAttempts").unwrap();
        }
    }
    seconds
}

/// All that bounds how long a request lives, one against the other.
#[test]
fn builds_are_waited_for_no_longer_than_anything_else_lasts() {
    let hours = &TEMPLATE["Parameters"]["MaximumRetryHours"];
    let most = hours["MaxValue"].as_u64().unwrap() * 3600;
    assert!(hours["Default"].as_u64().unwrap() * 3600 <= most);
    let definition: Value = serde_json::from_str(DEFINITION).unwrap();
    let states = &definition["States"];
    let build = longest(&states["Build"]);
    let order = longest(&states["FillOrders"]["ItemProcessor"]["States"]["FillOrder"]);
    let failure = longest(&states["RecordFailed"]);
    assert_eq!(failure, longest(&states["RecordWaiting"]));
    // A pause, one round of orders, and the record of the outcome: nothing else is recorded meanwhile.
    let pause = 30 * 60;
    let silence = pause + build + order + build + failure;
    let patience = accretion_service::publish::SILENCE_UNTIL_LOST.as_secs();
    assert!(silence < patience, "{silence} {patience}");
    // The last attempt begins when the time is over at the latest.
    let execution = definition["TimeoutSeconds"].as_u64().unwrap();
    let last = build + order + build + failure;
    assert!(most + last < execution, "{most} {last} {execution}");
    let [retention, letters] = [
        TEMPLATE["Parameters"]["RequestRetentionDays"]["MinValue"].as_u64(),
        property(
            &resources()["RequestDeadLetterQueue"],
            "MessageRetentionPeriod",
        )
        .as_u64(),
    ];
    // A status is kept for so long after the request came: through all of it.
    assert!(retention.unwrap() * 24 * 3600 > execution + letters.unwrap());
}

#[test]
fn what_holds_data_is_encrypted_and_outlives_the_stack() {
    let (buckets, tables) = (of_type("AWS::S3::Bucket"), of_type("AWS::DynamoDB::Table"));
    for (name, resource) in buckets.iter().chain(&tables) {
        // A deployment that fails at once must not leave what stands in the way of the next one.
        assert_eq!(resource["DeletionPolicy"], "RetainExceptOnCreate", "{name}");
        assert_eq!(resource["UpdateReplacePolicy"], "Retain", "{name}");
    }
    for (name, bucket) in buckets {
        assert_eq!(
            property(bucket, "VersioningConfiguration")["Status"],
            "Enabled",
            "{name}"
        );
        let rules = &property(bucket, "BucketEncryption")["ServerSideEncryptionConfiguration"];
        assert!(
            rules[0]["ServerSideEncryptionByDefault"]["SSEAlgorithm"].is_string(),
            "{name}"
        );
        let blocked = property(bucket, "PublicAccessBlockConfiguration")
            .as_object()
            .unwrap();
        assert_eq!(
            blocked
                .values()
                .filter(|block| **block == json!(true))
                .count(),
            4,
            "{name}"
        );
    }
    for (name, table) in tables {
        assert_eq!(
            property(table, "SSESpecification")["SSEEnabled"],
            true,
            "{name}"
        );
        let recovery = property(table, "PointInTimeRecoverySpecification");
        assert_eq!(recovery["PointInTimeRecoveryEnabled"], true, "{name}");
    }
    for (name, queue) in of_type("AWS::SQS::Queue") {
        assert_eq!(property(queue, "SqsManagedSseEnabled"), true, "{name}");
    }
    for (name, topic) in of_type("AWS::SNS::Topic") {
        assert!(property(topic, "KmsMasterKeyId").is_string(), "{name}");
    }
}

/// Nothing else depends on the parameter, or a local run would not show what AWS gets.
#[test]
fn plain_http_is_refused_everywhere_if_tls_is_required() {
    let mut refusing = BTreeSet::new();
    for (kind, field) in [
        ("AWS::S3::BucketPolicy", "Bucket"),
        ("AWS::SQS::QueuePolicy", "Queues"),
        ("AWS::SNS::TopicPolicy", "Topics"),
    ] {
        for (name, policy) in of_type(kind) {
            let denies = possible(&property(policy, "PolicyDocument")["Statement"])
                .into_iter()
                .any(|statement| {
                    statement["Effect"] == "Deny"
                        && statement["Principal"] == "*"
                        && statement["Condition"]["Bool"]["aws:SecureTransport"] == "false"
                });
            assert!(denies, "{name}");
            let of = possible(property(policy, field));
            refusing.extend(of.into_iter().map(|of| of["Ref"].as_str().unwrap()));
        }
    }
    let open: BTreeSet<_> = ["AWS::S3::Bucket", "AWS::SQS::Queue", "AWS::SNS::Topic"]
        .into_iter()
        .flat_map(|kind| of_type(kind).into_keys())
        .collect();
    assert_eq!(refusing, open);

    for (name, resource) in resources() {
        let depends = resource.to_string().contains("TlsRequired");
        assert!(!depends || name.ends_with("Policy"), "{name}");
    }
}

#[test]
fn logs_are_not_kept_forever() {
    let groups = of_type("AWS::Logs::LogGroup");
    for (name, group) in &groups {
        assert_eq!(
            property(group, "RetentionInDays"),
            &json!({"Ref": "LogRetentionDays"}),
            "{name}"
        );
    }
    let mut used = BTreeSet::new();
    for function in of_type("AWS::Lambda::Function").into_values() {
        used.extend(property(function, "LoggingConfig")["LogGroup"]["Ref"].as_str());
    }
    for machine in of_type("AWS::StepFunctions::StateMachine").into_values() {
        let destination = &property(machine, "LoggingConfiguration")["Destinations"][0];
        used.extend(destination["CloudWatchLogsLogGroup"]["LogGroupArn"]["Fn::GetAtt"][0].as_str());
    }
    assert_eq!(used, groups.into_keys().collect());
}

#[test]
fn the_state_machine_gets_the_substitutions_that_it_asks_for() {
    let given = property(&resources()["BuildStateMachine"], "DefinitionSubstitutions");
    let given: BTreeSet<_> = given
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let asked: BTreeSet<_> = DEFINITION
        .split("${")
        .skip(1)
        .map(|rest| rest.split_once('}').unwrap().0)
        .collect();
    assert_eq!(given, asked);
}

#[test]
fn every_parameter_has_a_default_and_a_description() {
    for (name, parameter) in TEMPLATE["Parameters"].as_object().unwrap() {
        assert!(!parameter["Default"].is_null(), "{name}");
        assert!(parameter["Description"].is_string(), "{name}");
        assert!(
            SOURCE.contains(&format!("Ref {name}")) || SOURCE.contains(&format!("${{{name}}}")),
            "{name}"
        );
    }
}

#[test]
fn the_outputs_are_those_that_others_rely_on() {
    let outputs = TEMPLATE["Outputs"].as_object().unwrap();
    for (name, output) in outputs {
        assert!(output["Description"].is_string(), "{name}");
    }
    let names: BTreeSet<_> = outputs.keys().map(String::as_str).collect();
    let expected = [
        "ArtifactsBucketName",
        "BuildStateMachineArn",
        "BuilderFunctionName",
        "DashboardName",
        "DeadLetterQueueUrl",
        "DispatcherFunctionName",
        "InboxBucketName",
        "LayersTableName",
        "NotificationTopicArn",
        "LatestVersionPrefix",
        "PublicationDeadLetterQueueUrl",
        "PublisherFunctionName",
        "RequestDeadLetterQueueUrl",
        "RequestQueueUrl",
        "RequestsTableName",
    ];
    assert_eq!(names, BTreeSet::from(expected));
}
