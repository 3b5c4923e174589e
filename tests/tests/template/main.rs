//! The template after the transform of SAM: what linters cannot know about it.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use accretion_core::Class;
use accretion_core::limits::Limits;
use accretion_core::target::Target;
use integration_tests::translated_template;
use serde_json::{Map, Value, json};

const SOURCE: &str = include_str!("../../sam/template.yaml");
const OPERATIONS: &str = include_str!("../../docs/operations.md");
const DEFINITION: &str = include_str!("../../statemachine/build_layer.asl.json");

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
        if !target.runtime.is_deprecated() {
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
    // A pause, and then one round of orders: nothing else is recorded meanwhile.
    let pause = 30 * 60;
    let silence = pause + build + order + build;
    let patience = accretion_service::publish::PATIENCE.as_secs();
    assert!(silence < patience, "{silence} {patience}");
    // The last attempt begins when the time is over at the latest.
    let execution = definition["TimeoutSeconds"].as_u64().unwrap();
    let last = build + order + build;
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

/// What services of AWS publish about a resource: their namespace, the dimension that names the
/// resource, its type, and metrics.
///
/// Source: "Available CloudWatch metrics for Amazon SQS" (SQS Developer Guide), "Types of metrics
/// for Lambda functions" (Lambda Developer Guide), "Monitoring Step Functions metrics using Amazon
/// CloudWatch" (Step Functions Developer Guide), "DynamoDB Metrics and dimensions" (DynamoDB
/// Developer Guide).
const METRICS: [(&str, &str, &str, &[&str]); 4] = [
    (
        "AWS/SQS",
        "QueueName",
        "AWS::SQS::Queue",
        &[
            "ApproximateAgeOfOldestMessage",
            "ApproximateNumberOfMessagesVisible",
        ],
    ),
    (
        "AWS/Lambda",
        "FunctionName",
        "AWS::Lambda::Function",
        &["ConcurrentExecutions", "Errors", "Throttles"],
    ),
    (
        "AWS/States",
        "StateMachineArn",
        "AWS::StepFunctions::StateMachine",
        &[
            "ExecutionsAborted",
            "ExecutionsFailed",
            "ExecutionsStarted",
            "ExecutionsSucceeded",
            "ExecutionsTimedOut",
        ],
    ),
    (
        "AWS/DynamoDB",
        "TableName",
        "AWS::DynamoDB::Table",
        &["ReadThrottleEvents", "WriteThrottleEvents"],
    ),
];

/// The namespace of the functions' metrics and of the metric filters', as the template has it.
const NAMESPACE: &str = "Accretion/${AWS::StackName}";

/// A metric of the functions, as it is documented; `accretion-lambda` holds the same table against
/// what it writes.
struct Documented {
    dimension: &'static str,
    unit: &'static str,
    meaning: &'static str,
}

fn documented() -> BTreeMap<&'static str, Documented> {
    let section = OPERATIONS.split("\n## Metrics\n").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    let metrics = rows.map(|row| {
        let cells: Vec<_> = row.split(" | ").collect();
        let [name, dimension, unit, meaning] = cells[..] else {
            panic!("{row}");
        };
        let documented = Documented {
            dimension: dimension.trim_matches('`'),
            unit,
            meaning,
        };
        (name.trim_end_matches('`'), documented)
    });
    metrics.collect()
}

#[test]
fn the_functions_put_their_metrics_where_the_others_are() {
    let namespace = json!({"Fn::Sub": NAMESPACE});
    for (name, function) in of_type("AWS::Lambda::Function") {
        let variables = &property(function, "Environment")["Variables"];
        assert_eq!(variables["METRICS_NAMESPACE"], namespace, "{name}");
    }
    for (name, filter) in of_type("AWS::Logs::MetricFilter") {
        let metric = transformation(filter);
        assert_eq!(metric["MetricNamespace"], namespace, "{name}");
    }
}

fn dashboard() -> (&'static str, Value) {
    let dashboards = of_type("AWS::CloudWatch::Dashboard");
    let [dashboard] = dashboards.into_values().collect::<Vec<_>>()[..] else {
        panic!("one page is enough");
    };
    let body = property(dashboard, "DashboardBody")["Fn::Sub"].as_str();
    let body = body.unwrap();
    // What is substituted stands within texts, and is none that would have to be escaped.
    (body, serde_json::from_str(body).unwrap())
}

fn widgets(dashboard: &Value) -> &[Value] {
    dashboard["widgets"].as_array().unwrap()
}

/// Source: the Amazon CloudWatch API Reference, "Dashboard Body Structure and Syntax".
#[test]
fn the_dashboard_is_laid_out_on_its_grid() {
    let (_, dashboard) = dashboard();
    let mut taken = BTreeSet::new();
    for widget in widgets(&dashboard) {
        let number = |field: &str| widget[field].as_u64().unwrap();
        let (x, y, width, height) = (number("x"), number("y"), number("width"), number("height"));
        let title = &widget["properties"]["title"];
        assert!(title.as_str().is_some_and(|it| !it.is_empty()), "{widget}");
        assert!((1..=24).contains(&width) && x + width <= 24, "{title}");
        assert!((1..=1000).contains(&height), "{title}");
        for column in x..x + width {
            for row in y..y + height {
                assert!(taken.insert((column, row)), "{title} is over another one");
            }
        }
    }
    let rows = taken.iter().map(|(_, row)| row + 1).max().unwrap();
    assert_eq!(taken.len() as u64, 24 * rows, "there are holes");
}

#[test]
fn the_dashboard_refers_to_what_there_is() {
    let (body, _) = dashboard();
    let references = body.split("${").skip(1);
    let references = references.map(|rest| rest.split_once('}').unwrap().0);
    let mut count = 0;
    for reference in references {
        count += 1;
        let (name, attribute) = match reference.split_once('.') {
            Some((name, attribute)) => (name, Some(attribute)),
            None => (reference, None),
        };
        if name.starts_with("AWS::") {
            assert!(
                ["AWS::StackName", "AWS::Region"].contains(&name),
                "{reference}"
            );
            continue;
        }
        let resource = resources().get(name);
        let kind = resource.unwrap_or_else(|| panic!("there is no {reference}"))["Type"].as_str();
        let is_known = match kind.unwrap() {
            "AWS::CloudWatch::Alarm" => attribute == Some("Arn"),
            "AWS::SQS::Queue" => attribute == Some("QueueName"),
            // What `Ref` returns is what the dimension wants.
            "AWS::Lambda::Function"
            | "AWS::StepFunctions::StateMachine"
            | "AWS::DynamoDB::Table" => attribute.is_none(),
            _ => false,
        };
        assert!(is_known, "{reference}");
    }
    assert!(count > 50, "{count}");
}

#[test]
fn the_dashboard_shows_every_alarm() {
    let (_, dashboard) = dashboard();
    let mut shown = BTreeSet::new();
    for widget in widgets(&dashboard)
        .iter()
        .filter(|it| it["type"] == "alarm")
    {
        for alarm in widget["properties"]["alarms"].as_array().unwrap() {
            let reference = alarm.as_str().unwrap();
            let name = reference
                .strip_prefix("${")
                .and_then(|it| it.strip_suffix(".Arn}"));
            assert!(shown.insert(name.unwrap().to_owned()), "{reference} twice");
        }
    }
    let alarms = of_type("AWS::CloudWatch::Alarm").into_keys();
    assert_eq!(shown, alarms.map(str::to_owned).collect());
}

/// A metric as a widget asks for it: namespace, name, dimensions.
type Asked<'a> = (&'a str, &'a str, Vec<(&'a str, &'a str)>);

/// What a `SEARCH` over one dimension looks for: namespace, dimension, name.
fn searched(expression: &str) -> Option<(&str, &str, &str)> {
    let rest = expression.strip_prefix("SEARCH('{\"")?;
    let (namespace, rest) = rest.split_once("\",")?;
    let (dimension, rest) = rest.split_once("} MetricName=\"")?;
    let (name, rest) = rest.split_once('"')?;
    assert_eq!(rest, "', 'Sum', 300)", "{expression}");
    Some((namespace, dimension, name))
}

fn assert_is_emitted(asked: &Asked<'_>) {
    let (namespace, name, dimensions) = asked;
    if *namespace == NAMESPACE {
        let documented = documented();
        let metric = documented.get(name);
        let metric = metric.unwrap_or_else(|| panic!("nobody writes {name}"));
        match dimensions[..] {
            [] => assert_eq!(metric.dimension, "", "{asked:?}"),
            [(dimension, value)] => {
                assert_eq!(metric.dimension, dimension, "{asked:?}");
                assert!(metric.meaning.contains(&format!("`{value}`")), "{asked:?}");
            }
            _ => panic!("{asked:?}"),
        }
        return;
    }
    let of_aws = METRICS.iter().find(|(of, ..)| namespace == of);
    let (_, dimension, kind, metrics) = of_aws.unwrap_or_else(|| panic!("{asked:?}"));
    assert!(metrics.contains(name), "{asked:?}");
    assert_eq!(dimensions[0].0, *dimension, "{asked:?}");
    let reference = dimensions[0]
        .1
        .trim_start_matches("${")
        .trim_end_matches('}');
    let resource = reference.split('.').next().unwrap();
    assert!(of_type(kind).contains_key(resource), "{asked:?}");
    match dimensions[1..] {
        [] => {}
        [("GlobalSecondaryIndexName", index)] => {
            let indexes = property(&resources()[resource], "GlobalSecondaryIndexes");
            let mut indexes = indexes.as_array().unwrap().iter();
            assert!(indexes.any(|it| it["IndexName"] == index), "{asked:?}");
        }
        _ => panic!("{asked:?}"),
    }
}

#[test]
fn the_dashboard_asks_for_metrics_that_there_are_and_for_all_of_ours() {
    let (_, dashboard) = dashboard();
    let mut shown = BTreeSet::new();
    for widget in widgets(&dashboard)
        .iter()
        .filter(|it| it["type"] != "alarm")
    {
        assert_eq!(widget["type"], "metric");
        let properties = &widget["properties"];
        assert_eq!(properties["region"], "${AWS::Region}");
        let metrics = properties["metrics"].as_array().unwrap();
        let ids: Vec<_> = metrics
            .iter()
            .filter_map(|metric| metric.as_array().unwrap().last().unwrap()["id"].as_str())
            .collect();
        for metric in metrics {
            let metric = metric.as_array().unwrap();
            let texts: Vec<_> = metric.iter().filter_map(Value::as_str).collect();
            if let [namespace, name, rest @ ..] = &texts[..] {
                assert_eq!(rest.len() % 2, 0, "{metric:?}");
                let dimensions = rest.chunks(2).map(|pair| (pair[0], pair[1]));
                assert_is_emitted(&(namespace, name, dimensions.collect()));
                shown.insert((*name).to_owned());
                continue;
            }
            let expression = metric[0]["expression"].as_str().unwrap();
            if let Some((namespace, dimension, name)) = searched(expression) {
                assert_eq!(namespace, NAMESPACE, "{expression}");
                let documented = documented();
                let metric = documented.get(name);
                let metric = metric.unwrap_or_else(|| panic!("nobody writes {name}"));
                assert_eq!(metric.dimension, dimension, "{expression}");
                shown.insert(name.to_owned());
            } else {
                let words = expression.split(|c: char| !c.is_ascii_alphabetic());
                for word in words.filter(|word| !word.is_empty()) {
                    assert!(ids.contains(&word), "{expression}: {word}");
                }
            }
        }
    }
    for name in documented().keys() {
        assert!(shown.contains(*name), "{name} is not on the dashboard");
    }
}

/// The resource that a dimension names.
fn named(dimension: &Value) -> &str {
    let value = &dimension["Value"];
    let resource = match dimension["Name"].as_str().unwrap() {
        "QueueName" => {
            assert_eq!(value["Fn::GetAtt"][1], "QueueName", "{value}");
            &value["Fn::GetAtt"][0]
        }
        _ => &value["Ref"],
    };
    resource.as_str().unwrap()
}

/// The resources that have an alarm on a metric of AWS.
fn watched(metric: &str) -> BTreeSet<&'static str> {
    let alarms = of_type("AWS::CloudWatch::Alarm").into_values();
    let on_metric = alarms.filter(|alarm| property(alarm, "MetricName") == metric);
    on_metric
        .map(|alarm| named(&property(alarm, "Dimensions")[0]))
        .collect()
}

/// What a metric filter makes of lines.
fn transformation(filter: &'static Value) -> &'static Value {
    let transformations = property(filter, "MetricTransformations");
    assert_eq!(transformations.as_array().unwrap().len(), 1, "{filter}");
    &transformations[0]
}

#[test]
fn every_alarm_is_on_a_metric_that_there_is() {
    let filters = of_type("AWS::Logs::MetricFilter").into_values();
    let ours: Vec<_> = filters.map(transformation).collect();
    for (name, alarm) in of_type("AWS::CloudWatch::Alarm") {
        let (namespace, metric) = (
            property(alarm, "Namespace"),
            property(alarm, "MetricName").as_str().unwrap(),
        );
        let dimensions = property(alarm, "Dimensions");
        let of_aws = METRICS.iter().find(|(of, ..)| namespace == of);
        if let Some((_, dimension, kind, metrics)) = of_aws {
            assert!(metrics.contains(&metric), "{name}: {metric}");
            assert_eq!(dimensions.as_array().unwrap().len(), 1, "{name}");
            assert_eq!(dimensions[0]["Name"], *dimension, "{name}");
            let resource = named(&dimensions[0]);
            assert!(of_type(kind).contains_key(resource), "{name}: {resource}");
        } else {
            let is_published = ours
                .iter()
                .any(|it| &it["MetricNamespace"] == namespace && it["MetricName"] == metric);
            assert!(is_published, "{name}: {metric}");
            // No metric filter gives it one.
            assert!(dimensions.is_null(), "{name}");
        }
    }
}

#[test]
fn whatever_can_go_wrong_has_an_alarm() {
    let mut dead_letters = BTreeSet::new();
    for queue in of_type("AWS::SQS::Queue").into_values() {
        let policy = property(queue, "RedrivePolicy");
        dead_letters.extend(policy["deadLetterTargetArn"]["Fn::GetAtt"][0].as_str());
    }
    for configuration in of_type("AWS::Lambda::EventInvokeConfig").into_values() {
        let destination = &property(configuration, "DestinationConfig")["OnFailure"];
        dead_letters.extend(destination["Destination"]["Fn::GetAtt"][0].as_str());
    }
    assert_eq!(dead_letters.len(), 2);
    assert_eq!(watched("ApproximateNumberOfMessagesVisible"), dead_letters);

    let read: BTreeSet<_> = of_type("AWS::Lambda::EventSourceMapping")
        .into_values()
        .map(|mapping| &property(mapping, "EventSourceArn")["Fn::GetAtt"][0])
        .map(|queue| queue.as_str().unwrap())
        .collect();
    assert_eq!(watched("ApproximateAgeOfOldestMessage"), read);

    let mut functions: BTreeSet<_> = of_type("AWS::Lambda::Function").into_keys().collect();
    // An execution waits for a build sandbox that is free, and fails with it.
    for sandbox in sandboxes() {
        assert!(functions.remove(sandbox), "{sandbox}");
    }
    assert_eq!(watched("Throttles"), functions);
    // The builder's are failed executions.
    let others = functions.into_iter().filter(|it| *it != "BuilderFunction");
    assert_eq!(watched("Errors"), others.collect());

    let machines: BTreeSet<_> = of_type("AWS::StepFunctions::StateMachine")
        .into_keys()
        .collect();
    for end in ["Failed", "TimedOut", "Aborted"] {
        assert_eq!(watched(&format!("Executions{end}")), machines, "{end}");
    }
}

#[test]
fn alarms_tell_the_given_topic_and_nobody_else_what_to_do() {
    let topic = &TEMPLATE["Parameters"]["AlarmTopicArn"];
    assert_eq!(topic["Default"], "");
    assert_eq!(
        TEMPLATE["Conditions"]["AlarmTopicGiven"],
        json!({"Fn::Not": [{"Fn::Equals": [{"Ref": "AlarmTopicArn"}, ""]}]})
    );
    let told = json!({
        "Fn::If": ["AlarmTopicGiven", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]
    });
    let mut documented = BTreeSet::new();
    for (name, alarm) in of_type("AWS::CloudWatch::Alarm") {
        assert_eq!(property(alarm, "AlarmActions"), &told, "{name}");
        assert_eq!(property(alarm, "OKActions"), &told, "{name}");
        for absent in ["InsufficientDataActions", "ActionsEnabled"] {
            assert!(property(alarm, absent).is_null(), "{name}: {absent}");
        }
        assert_eq!(
            property(alarm, "TreatMissingData"),
            "notBreaching",
            "{name}"
        );
        assert_eq!(
            property(alarm, "ComparisonOperator"),
            "GreaterThanOrEqualToThreshold",
            "{name}"
        );
        let seconds = |field| property(alarm, field).as_u64().unwrap();
        assert_eq!(seconds("Period") % 60, 0, "{name}");

        let description = property(alarm, "AlarmDescription").as_str().unwrap();
        // CloudWatch takes no more.
        assert!(description.len() <= 1024, "{name}");
        assert!(description.ends_with("See Alarms in docs/operations.md."));
        let alarm_name = property(alarm, "AlarmName")["Fn::Sub"].as_str().unwrap();
        let suffix = alarm_name.strip_prefix("${AWS::StackName}-").unwrap();
        assert!(documented.insert(suffix), "{suffix} twice");
    }
    let table = OPERATIONS.split("\n## Alarms\n").nth(1).unwrap();
    let table = table.split("\n## ").next().unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows: BTreeSet<_> = rows.map(|row| row.split('`').next().unwrap()).collect();
    assert_eq!(rows, documented);
}

/// The values that a pattern compares a field of a line with.
fn compared<'a>(pattern: &'a str, field: &str) -> Vec<&'a str> {
    let comparison = format!("{field} = \"");
    let values = pattern.split(&comparison).skip(1);
    values.map(|rest| rest.split('"').next().unwrap()).collect()
}

#[test]
fn metric_filters_look_for_what_is_logged() {
    let alarms = of_type("AWS::CloudWatch::Alarm");
    let groups = of_type("AWS::Logs::LogGroup");
    let (mut codes, mut classes, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    for (name, filter) in of_type("AWS::Logs::MetricFilter") {
        let group = property(filter, "LogGroupName")["Ref"].as_str().unwrap();
        assert!(groups.contains_key(group), "{name}");
        let metric = transformation(filter);
        let pattern = property(filter, "FilterPattern").as_str().unwrap();
        if let Some(dimensions) = metric["Dimensions"].as_array() {
            // It is one of the functions' metrics.
            let ours = &documented()[metric["MetricName"].as_str().unwrap()];
            let expected = json!({"Key": ours.dimension, "Value": "$.details.error"});
            assert_eq!(dimensions[..], [expected], "{name}");
            assert_eq!(metric["Unit"], ours.unit, "{name}");
            // CloudWatch takes no default then.
            assert!(metric["DefaultValue"].is_null(), "{name}");
            assert_eq!(pattern, r#"{ $.type = "ExecutionFailed" }"#, "{name}");
            continue;
        }
        assert!(
            alarms.values().any(
                |alarm| property(alarm, "Namespace") == &metric["MetricNamespace"]
                    && property(alarm, "MetricName") == &metric["MetricName"]
            ),
            "{name}"
        );
        let found = codes.len() + classes.len() + errors.len();
        codes.extend(compared(pattern, "$.code"));
        classes.extend(compared(pattern, "$.class"));
        errors.extend(compared(pattern, "$.details.error"));
        assert!(codes.len() + classes.len() + errors.len() > found, "{name}");
    }

    assert_eq!(classes, [Class::Internal.to_string()]);

    // Errors of AWS in the state machine: whatever it tries again, and nothing else.
    let definition: Value = serde_json::from_str(DEFINITION).unwrap();
    let retriers = definition["States"]["Build"]["Retry"].as_array().unwrap();
    let retried = retriers.iter().flat_map(|it| texts(&it["ErrorEquals"]));
    let services: BTreeSet<_> = retried
        .filter_map(|error| Some(format!("{}.*", error.split_once('.')?.0)))
        .collect();
    assert_eq!(
        errors.iter().copied().collect::<BTreeSet<_>>(),
        services.iter().map(String::as_str).collect()
    );

    let known: Vec<_> = accretion_service::Error::CODES
        .iter()
        .map(|(code, _)| *code)
        .collect();
    assert!(codes.iter().all(|code| known.contains(code)), "{codes:?}");
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
        "PointerPrefix",
        "PublicationDeadLetterQueueUrl",
        "PublisherFunctionName",
        "RequestDeadLetterQueueUrl",
        "RequestQueueUrl",
        "RequestsTableName",
    ];
    assert_eq!(names, BTreeSet::from(expected));
}
