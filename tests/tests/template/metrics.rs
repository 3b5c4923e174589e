//! Metrics of AWS and of the functions, as the template names them.

use serde_json::json;

use super::{of_type, property};

/// Metrics that a service of AWS publishes about a resource.
///
/// Source: "Available CloudWatch metrics for Amazon SQS" (SQS Developer Guide), "Types of metrics
/// for Lambda functions" (Lambda Developer Guide), "Monitoring Step Functions metrics using Amazon
/// CloudWatch" (Step Functions Developer Guide), "DynamoDB Metrics and dimensions" (DynamoDB
/// Developer Guide).
pub(crate) struct Service {
    pub namespace: &'static str,
    /// The dimension that names the resource.
    pub dimension: &'static str,
    /// The type of the resource.
    pub kind: &'static str,
    pub metrics: &'static [&'static str],
}

pub(crate) const SERVICES: [Service; 4] = [
    Service {
        namespace: "AWS/SQS",
        dimension: "QueueName",
        kind: "AWS::SQS::Queue",
        metrics: &[
            "ApproximateAgeOfOldestMessage",
            "ApproximateNumberOfMessagesVisible",
        ],
    },
    Service {
        namespace: "AWS/Lambda",
        dimension: "FunctionName",
        kind: "AWS::Lambda::Function",
        metrics: &["ConcurrentExecutions", "Errors", "Throttles"],
    },
    Service {
        namespace: "AWS/States",
        dimension: "StateMachineArn",
        kind: "AWS::StepFunctions::StateMachine",
        metrics: &[
            "ExecutionsStarted",
            "ExecutionsSucceeded",
            "ExecutionsFailed",
            "ExecutionsTimedOut",
            "ExecutionsAborted",
        ],
    },
    Service {
        namespace: "AWS/DynamoDB",
        dimension: "TableName",
        kind: "AWS::DynamoDB::Table",
        metrics: &["ReadThrottleEvents", "WriteThrottleEvents"],
    },
];

/// The namespace of the functions' metrics and of the metric filters, as the template writes it.
pub(crate) const NAMESPACE: &str = "Accretion/${AWS::StackName}";

#[test]
fn functions_and_metric_filters_share_a_namespace() {
    let namespace = json!({"Fn::Sub": NAMESPACE});
    for (name, function) in of_type("AWS::Lambda::Function") {
        let variables = &property(function, "Environment")["Variables"];
        assert_eq!(variables["METRICS_NAMESPACE"], namespace, "{name}");
    }
    for (name, filter) in of_type("AWS::Logs::MetricFilter") {
        for metric in property(filter, "MetricTransformations")
            .as_array()
            .unwrap()
        {
            assert_eq!(metric["MetricNamespace"], namespace, "{name}");
        }
    }
}
