//! Alarms: who is told, and that what they look at is there.
//!
//! `MiniStack` sets an alarm off as soon as any metric is put, by all that there is of its metric,
//! whatever the dimensions, and evaluates no metric filter. So this shows how the parts are joined;
//! when CloudWatch finds an alarm to be off is for CloudWatch to say.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use accretion_testing::emf;
use pipeline_tests::logs::LogLine;
use pipeline_tests::{Error, MiniStack, Notification, Options, Result, Stack, boto3, sam};
use serde_json::{Value, json};

use crate::{PATIENCE, QUIET};

#[test]
fn alarms_tell_the_topic_that_was_given_and_no_other() {
    let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pipeline/alarms.log");
    let server = MiniStack::start(&log, &Options::default()).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let outcome: Result<()> = runtime.block_on(async {
        let template = sam::built().await?;
        sam::deploy(&server, "accretion", &template).await?;
        let stack = Stack::connect(&server.endpoint(), "accretion").await?;
        for (name, alarm) in alarms(&server).await? {
            for actions in ["AlarmActions", "OKActions"] {
                assert_eq!(alarm[actions], json!([]), "{name}");
            }
        }

        let topic = stack.sns.create_topic().name("alarms").send().await;
        let topic = topic.map_err(Error::aws("CreateTopic"))?.topic_arn;
        let topic = topic.unwrap_or_default();
        let parameters = [("AlarmTopicArn", topic.as_str()), ("LogLevel", "error")];
        sam::change_parameters(&server, "accretion", &template, &parameters).await?;
        let stack = Stack::connect(&server.endpoint(), "accretion").await?;
        let told = stack.subscribe_to(&topic, "alarms").await?;

        fail_to_publish(&stack).await?;
        let alarm = &alarms(&server).await?["accretion-publisher-errors"];
        is_on_the_metric_of_failures(&server, alarm).await?;
        is_logged_as_filters_expect(&server).await?;
        errors_alone_are_logged_and_metrics_too(&server, &stack).await?;
        // A metric, whichever, has the alarms looked at.
        let trial = json!({
            "Namespace": "trial",
            "MetricData": [{"MetricName": "trial", "Value": 1}],
        });
        boto3::call(&server, &[("cloudwatch", "put_metric_data", trial)]).await?;
        let mut heard = told.wait_for(1, PATIENCE).await?;
        loop {
            let more = told.receive(QUIET).await?;
            if more.is_empty() {
                break;
            }
            heard.extend(more);
        }
        let alarming = ("accretion-publisher-errors", "ALARM");
        assert!(states(&heard).contains(&alarming), "{heard:?}");

        for state in ["ALARM", "OK"] {
            let mut changing = alarms(&server).await?;
            changing.retain(|_, alarm| alarm["StateValue"] != state);
            set_all(&server, changing.keys(), state).await?;
            let heard = told.wait_for(changing.len(), PATIENCE).await?;
            assert_eq!(heard.len(), changing.len());
            let expected = changing.keys().map(|name| (name.as_str(), state));
            assert_eq!(states(&heard), expected.collect());
            for notification in &heard {
                let alarm = &changing[notification.text("AlarmName")];
                let description = notification.text("AlarmDescription");
                assert_eq!(description, alarm["AlarmDescription"], "{alarm}");
            }
        }
        assert_eq!(told.receive(QUIET).await?, []);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}\n{}", server.log_tail()));
}

/// The stack's alarms, by name.
async fn alarms(server: &MiniStack) -> Result<BTreeMap<String, Value>> {
    let describe = json!({"AlarmNamePrefix": "accretion-"});
    let answers = boto3::call(server, &[("cloudwatch", "describe_alarms", describe)]).await?;
    let alarms = answers[0]["MetricAlarms"].as_array().unwrap();
    assert_eq!(alarms.len(), 14);
    let named = |alarm: &Value| (alarm["AlarmName"].as_str().unwrap().into(), alarm.clone());
    Ok(alarms.iter().map(named).collect())
}

async fn fail_to_publish(stack: &Stack) -> Result<()> {
    let invoke = stack.lambda.invoke().payload(b"{}".as_slice().into());
    let function = stack.output("PublisherFunctionName");
    let answer = invoke.function_name(function).send().await;
    let answer = answer.map_err(Error::aws("Invoke"))?;
    assert!(answer.function_error().is_some(), "{answer:?}");
    Ok(())
}

/// Checks that the alarm's metric is the one that counted the function's failure.
async fn is_on_the_metric_of_failures(server: &MiniStack, alarm: &Value) -> Result<()> {
    let statistic = alarm["Statistic"].as_str().unwrap();
    let ask = json!({
        "Namespace": alarm["Namespace"],
        "MetricName": alarm["MetricName"],
        "Dimensions": alarm["Dimensions"],
        "Statistics": [statistic],
        "Period": 86400,
        "StartTime": "2020-01-01T00:00:00Z",
        "EndTime": "2100-01-01T00:00:00Z",
    });
    let answers = boto3::call(server, &[("cloudwatch", "get_metric_statistics", ask)]).await?;
    let points = answers[0]["Datapoints"].as_array().unwrap();
    let counted: f64 = points.iter().filter_map(|it| it[statistic].as_f64()).sum();
    assert!(
        counted >= alarm["Threshold"].as_f64().unwrap(),
        "{answers:?}"
    );
    Ok(())
}

/// Has the fields that the patterns of the metric filters name.
async fn is_logged_as_filters_expect(server: &MiniStack) -> Result<()> {
    let ask = json!({"logGroupName": "/aws/lambda/accretion-publisher"});
    let answers = boto3::call(server, &[("logs", "filter_log_events", ask)]).await?;
    let events = answers[0]["events"].as_array().unwrap().iter();
    let lines = events.filter_map(|event| serde_json::from_str(event["message"].as_str()?).ok());
    let mut lines: Vec<Value> = lines.collect();
    lines.retain(|line| line["level"] == "ERROR");
    assert_eq!(lines.len(), 1, "{answers:?}");
    assert_eq!(lines[0]["code"], "EventInvalid");
    assert_eq!(lines[0]["class"], "Internal");
    Ok(())
}

/// Metrics do not depend on what is logged.
async fn errors_alone_are_logged_and_metrics_too(server: &MiniStack, stack: &Stack) -> Result<()> {
    let of_dispatcher = || -> Result<Vec<Value>> {
        let lines = server.log_lines(0)?;
        let lines = lines.iter().filter(|it| it.group.ends_with("-dispatcher"));
        Ok(lines.filter_map(LogLine::json).collect())
    };
    // S3 has tried out the queue, when all was logged.
    let before = of_dispatcher()?.len();
    let message = json!({
        "messageId": "m-1",
        "body": "no JSON",
        "attributes": {"SentTimestamp": "1763632800123"},
    });
    let event = json!({"Records": [message]}).to_string().into_bytes();
    let invoke = stack.lambda.invoke().payload(event.into());
    let invoke = invoke.function_name(stack.output("DispatcherFunctionName"));
    invoke.send().await.map_err(Error::aws("Invoke"))?;
    let lines = of_dispatcher()?.split_off(before);
    let (counted, logged): (Vec<_>, Vec<_>) = lines.iter().partition(|it| emf::is_of_metrics(it));
    let levels: Vec<_> = logged.iter().map(|line| &line["level"]).collect();
    assert_eq!(levels, ["ERROR"], "{logged:?}");
    let codes: Vec<_> = counted.iter().map(|line| &line["Code"]).collect();
    assert_eq!(codes, ["MessageUnknown"], "{counted:?}");
    assert_eq!(counted[0]["FailedDispatches"], 1);
    Ok(())
}

async fn set_all(
    server: &MiniStack,
    names: impl Iterator<Item = &String>,
    state: &str,
) -> Result<()> {
    let set = |name| json!({"AlarmName": name, "StateValue": state, "StateReason": "a trial"});
    let calls: Vec<_> = names
        .map(|name| ("cloudwatch", "set_alarm_state", set(name)))
        .collect();
    boto3::call(server, &calls).await?;
    Ok(())
}

/// The alarms that were told of, and what became of them.
fn states(heard: &[Notification]) -> BTreeSet<(&str, &str)> {
    let states = heard
        .iter()
        .map(|it| (it.text("AlarmName"), it.text("NewStateValue")));
    states.collect()
}
