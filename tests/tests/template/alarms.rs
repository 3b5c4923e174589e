//! Alarms, and the metric filters that some of them are on.

use std::collections::BTreeSet;

use accretion_core::Class;
use accretion_lambda::metrics::{Dimension, Metric};
use serde_json::{Value, json};

use super::metrics::SERVICES;
use super::{DEFINITION, OPERATIONS, TEMPLATE, of_type, property, sandboxes, texts};

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

/// The metric that a filter derives from lines.
fn transformation(filter: &'static Value) -> &'static Value {
    let transformations = property(filter, "MetricTransformations");
    assert_eq!(transformations.as_array().unwrap().len(), 1, "{filter}");
    &transformations[0]
}

#[test]
fn every_alarm_is_on_an_existing_metric() {
    let filters = of_type("AWS::Logs::MetricFilter").into_values();
    let ours: Vec<_> = filters.map(transformation).collect();
    for (name, alarm) in of_type("AWS::CloudWatch::Alarm") {
        let (namespace, metric) = (
            property(alarm, "Namespace"),
            property(alarm, "MetricName").as_str().unwrap(),
        );
        let dimensions = property(alarm, "Dimensions");
        if let Some(service) = SERVICES.iter().find(|it| namespace == it.namespace) {
            assert!(service.metrics.contains(&metric), "{name}: {metric}");
            assert_eq!(dimensions.as_array().unwrap().len(), 1, "{name}");
            assert_eq!(dimensions[0]["Name"], service.dimension, "{name}");
            let resource = named(&dimensions[0]);
            assert!(
                of_type(service.kind).contains_key(resource),
                "{name}: {resource}"
            );
        } else {
            let is_published = ours
                .iter()
                .any(|it| &it["MetricNamespace"] == namespace && it["MetricName"] == metric);
            assert!(is_published, "{name}: {metric}");
            // A metric filter gives it no dimension.
            assert!(dimensions.is_null(), "{name}");
        }
    }
}

#[test]
fn each_kind_of_fault_has_an_alarm() {
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
    // An execution retries a busy build sandbox, and fails if the sandbox fails.
    for sandbox in sandboxes() {
        assert!(functions.remove(sandbox), "{sandbox}");
    }
    assert_eq!(watched("Throttles"), functions);
    // Errors of the builder are failed executions.
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
fn alarms_notify_the_given_topic_only() {
    let topic = &TEMPLATE["Parameters"]["AlarmTopicArn"];
    assert_eq!(topic["Default"], "");
    assert_eq!(
        TEMPLATE["Conditions"]["AlarmTopicGiven"],
        json!({"Fn::Not": [{"Fn::Equals": [{"Ref": "AlarmTopicArn"}, ""]}]})
    );
    let actions = json!({
        "Fn::If": ["AlarmTopicGiven", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]
    });
    let mut documented = BTreeSet::new();
    for (name, alarm) in of_type("AWS::CloudWatch::Alarm") {
        assert_eq!(property(alarm, "AlarmActions"), &actions, "{name}");
        assert_eq!(property(alarm, "OKActions"), &actions, "{name}");
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
        // CloudWatch's limit.
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
            // It counts under the name of a metric of the functions.
            let mut ours = Metric::ALL.iter();
            let ours = ours.find(|it| it.name == metric["MetricName"]).unwrap();
            assert_eq!(ours.dimension, Some(Dimension::Code), "{name}");
            let expected = json!({"Key": Dimension::Code.name(), "Value": "$.details.error"});
            assert_eq!(dimensions[..], [expected], "{name}");
            assert_eq!(metric["Unit"], ours.unit.name(), "{name}");
            // CloudWatch refuses a default together with dimensions.
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

    // Errors of AWS in the state machine: those that it retries, and no others.
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
