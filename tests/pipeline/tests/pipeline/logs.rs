//! The operator's view: one request through all of the logs, the counts, and nothing that must not
//! be logged.

use std::collections::{BTreeMap, BTreeSet};

use accretion_testing::emf;
use pipeline_tests::logs::{CANARY, LogLine, leaks};
use pipeline_tests::testbed::wait_for;
use pipeline_tests::workspace::REGION;
use pipeline_tests::{Result, Stack, boto3};
use serde_json::{Value, json};

use crate::{PATIENCE, exactly_one, listen, on_stack, small_request, testbed};

const OPERATIONS: &str = include_str!("../../../../docs/operations.md");

const FUNCTIONS: [&str; 3] = ["dispatcher", "builder", "publisher"];

/// The lines that have an id anywhere, by function.
fn about(id: &str) -> Result<BTreeMap<&'static str, Vec<Value>>> {
    let lines = testbed().server.log_lines(0)?;
    let mut about = BTreeMap::new();
    for function in FUNCTIONS {
        let group = format!("/aws/lambda/accretion-{function}");
        let of_group = lines.iter().filter(|line| line.group == group);
        let with_id = of_group.filter(|line| line.message.contains(id));
        let parsed: Vec<_> = with_id.filter_map(LogLine::json).collect();
        about.insert(function, parsed);
    }
    Ok(about)
}

/// Waits until each of these functions has logged its last line about a request; they log when they
/// are done, after whoever listens was told.
async fn logged(id: &str, last: &[(&str, &str)]) -> Result<BTreeMap<&'static str, Vec<Value>>> {
    wait_for("line of the log", PATIENCE, async || {
        let about = about(id)?;
        let is_there = |(function, message): &(&str, &str)| {
            let lines = about[function].iter();
            lines.clone().any(|line| line["message"] == *message)
        };
        Ok(last.iter().all(is_there).then_some(about))
    })
    .await
}

/// Each line that knows a request in any way knows it in the field to look for.
fn assert_have_id(about: &BTreeMap<&str, Vec<Value>>, id: &str) {
    for (function, lines) in about {
        assert!(!lines.is_empty(), "the {function} says nothing of {id}");
        for line in lines {
            assert_eq!(line["request_id"], id, "{function}: {line}");
        }
    }
}

fn messages(lines: &[Value]) -> BTreeSet<&str> {
    let messages = lines.iter().filter_map(|line| line["message"].as_str());
    messages.collect()
}

/// The counts, except times: the name, the dimension's value and the amount.
fn counted(lines: &[Value]) -> BTreeSet<String> {
    let of_metrics = lines.iter().filter(|line| emf::is_of_metrics(line));
    let counted = of_metrics.flat_map(|line| {
        let metrics = emf::metrics(line).into_iter();
        let metrics = metrics.filter(|it| !it.name.ends_with("Duration"));
        metrics.map(|it| {
            assert_eq!(it.namespace, "Accretion/accretion");
            let dimension = it.dimensions.iter().flatten().next();
            let by = dimension.and_then(|name| line[name].as_str());
            let (by, value) = (by.unwrap_or("-"), it.value.unwrap_or(-1.0));
            format!("{} {by} {value}", it.name)
        })
    });
    counted.collect()
}

#[test]
fn a_request_is_followed_by_its_id_through_all_functions() {
    on_stack(async |stack| {
        let project = "followed";
        let all = listen(stack, project).await?;
        let text = small_request(project, &["six==1.17.0"]).to_string();
        stack.drop_into_inbox("followed.json", text).await?;
        let said = exactly_one(&all, "LayerPublished").await?;
        let id = said.text("RequestId");
        let last = FUNCTIONS.map(|function| (function, "done"));
        // The dispatcher's last line is of the whole batch, and has no request.
        let about = logged(id, &[("dispatcher", "dispatched"), last[1], last[2]]).await?;
        assert_have_id(&about, id);
        for (function, expected) in [
            ("dispatcher", &["accepted", "dispatched"][..]),
            ("builder", &["building", "built", "build", "done"]),
            (
                "publisher",
                &["published", "target ended", "notified", "finished", "done"],
            ),
        ] {
            let messages = messages(&about[function]);
            for message in expected {
                assert!(messages.contains(message), "{function}: {messages:?}");
            }
        }

        let manifest = said.body["Manifest"]["S3Key"].as_str().unwrap();
        let manifest = stack.artifact_json(manifest).await?;
        let counts = |function| counted(&about[function]);
        assert!(counts("dispatcher").contains("Requests Accepted 1"));
        let of_builder = counts("builder");
        assert!(of_builder.contains("Builds Built 1"), "{of_builder:?}");
        for (metric, field) in [
            ("LayerBytes", "ArtifactSize"),
            ("UnzippedBytes", "UnzippedSize"),
        ] {
            let expected = format!("{metric} - {}", manifest[field]);
            assert!(of_builder.contains(&expected), "{of_builder:?}");
        }
        assert_eq!(
            counts("publisher"),
            BTreeSet::from(["Targets Published 1".to_owned()])
        );
        is_found_by_the_documented_query(stack, id, &about).await
    });
}

/// The query of the documentation finds the same lines.
async fn is_found_by_the_documented_query(
    stack: &Stack,
    id: &str,
    about: &BTreeMap<&str, Vec<Value>>,
) -> Result<()> {
    let section = OPERATIONS.split("\n## Follow a request\n").nth(1).unwrap();
    let query = section.split("```text\n").nth(1).unwrap();
    let query = query.split("```").next().unwrap();
    let groups: Vec<_> = FUNCTIONS
        .map(|function| format!("/aws/lambda/{}-{function}", stack.name))
        .to_vec();
    let ask = json!({
        "logGroupNames": groups,
        "startTime": 0,
        "endTime": 4_102_444_800_i64,
        "queryString": query.replace("REQUEST_ID", id),
        "limit": 10_000,
    });
    let server = &testbed().server;
    let answers = boto3::call(server, &[("logs", "start_query", ask)]).await?;
    let ask = json!({"queryId": answers[0]["queryId"]});
    let answers = boto3::call(server, &[("logs", "get_query_results", ask)]).await?;
    let rows = answers[0]["results"].as_array().unwrap();
    let expected: usize = about.values().map(Vec::len).sum();
    assert_eq!(rows.len(), expected, "{query}");
    for row in rows {
        assert!(row.to_string().contains(id), "{row}");
    }
    Ok(())
}

#[test]
fn a_failed_build_is_followed_by_its_id_and_counted_by_its_code() {
    on_stack(async |stack| {
        let project = "followed-failure";
        let all = listen(stack, project).await?;
        let text = small_request(project, &["six==99.0"]).to_string();
        stack.drop_into_inbox("followed-failure.json", text).await?;
        let said = exactly_one(&all, "BuildFailed").await?;
        let id = said.text("RequestId");
        let mut about = logged(id, &[("builder", "build")]).await?;
        about.remove("publisher");
        assert_have_id(&about, id);
        let lines = &about["builder"];
        let errors: Vec<_> = lines.iter().filter(|it| it["level"] == "ERROR").collect();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!(errors[0]["code"], "RequirementsUnsatisfiable");
        // Why it failed is for whoever asked.
        assert!(said.text("Reason").contains("six==99.0"));
        assert!(lines.iter().all(|line| !line.to_string().contains("99.0")));
        let counted = counted(lines);
        for expected in [
            "Builds Failed 1",
            "FailedAttempts RequirementsUnsatisfiable 1",
        ] {
            assert!(counted.contains(expected), "{counted:?}");
        }
        Ok(())
    });
}

/// Everything that a requester writes, and what is no request at all, has a canary in it.
#[test]
fn nothing_that_was_asked_is_logged() {
    on_stack(async |stack| {
        let project = "canary";
        let all = listen(stack, project).await?;

        // One that is published.
        let mut published = small_request(project, &["six==1.17.0"]);
        let requirements = format!("six==1.17.0  # {CANARY}\n");
        published["Requirements"]["Requirements"] = json!(requirements);
        published["Description"] = json!(format!("1.0.0 {CANARY}"));
        published["LicenseInfo"] = json!(format!("{CANARY} licence"));
        stack
            .drop_into_inbox("canary.json", published.to_string())
            .await?;
        let said = exactly_one(&all, "LayerPublished").await?;
        let last = [("builder", "done"), ("publisher", "done")];
        logged(said.text("RequestId"), &last).await?;

        // One that is rejected, with what may be the worst line of all.
        let url = format!("https://user:{CANARY}@example.com/six-1.17.0-py2.py3-none-any.whl");
        let mut rejected = small_request(project, &[&format!("six @ {url}")]);
        rejected[CANARY] = json!(CANARY);
        stack
            .drop_into_inbox("canary.json", rejected.to_string())
            .await?;
        let said = exactly_one(&all, "RequestRejected").await?;
        assert!(said.text("Reason").contains(CANARY), "it is planted");
        let about = logged(said.text("RequestId"), &[("dispatcher", "dispatched")]).await?;
        let counted = counted(&about["dispatcher"]);
        assert!(counted.contains("Requests Rejected 1"), "{counted:?}");

        // One that can't be built, with a URL that is signed. There is no such host, and builds are
        // tried again after that; the first attempt says all.
        let file = "six-1.17.0-py2.py3-none-any.whl";
        let url = format!("https://wheels.invalid/{file}?X-Amz-Signature={CANARY}");
        let signed = small_request("canary-signed", &[&format!("six @ {url}")]).to_string();
        let version = stack.drop_into_inbox("canary-signed.json", signed).await?;
        let inbox = stack.output("InboxBucketName");
        let id =
            accretion_core::request::RequestId::of_object(inbox, "canary-signed.json", &version);
        let about = logged(id.as_str(), &[("builder", "build")]).await?;
        let is_error = |line: &&Value| line["level"] == "ERROR";
        let error = about["builder"].iter().find(is_error).unwrap();
        assert_eq!(error["code"], "UpstreamUnavailable", "{error}");

        // What is no event of any function.
        let message = json!({
            "messageId": "m-1",
            "body": format!("{CANARY} is no JSON"),
            "attributes": {"SentTimestamp": "1763632800123"},
        });
        let no_identity = json!({
            "messageId": "m-2",
            "body": json!({"Name": CANARY}).to_string(),
            "attributes": {"SentTimestamp": "1763632800123"},
            "messageAttributes": {"RequestId": {"stringValue": CANARY, "dataType": "String"}},
        });
        let order = json!({
            "RequestId": "0ce43a345624ab7be5105730f7afc664",
            "ReceivedAt": "2026-11-20T10:00:00.000Z",
            "Runtime": CANARY,
            "Architecture": "arm64",
        });
        for (function, event) in [
            ("Dispatcher", json!({"Records": [message, no_identity]})),
            ("Dispatcher", json!({"Records": CANARY})),
            ("Builder", order),
            ("Builder", json!({"RequestId": CANARY})),
            ("Builder", json!(CANARY)),
            ("Publisher", json!({"Task": CANARY})),
            ("Publisher", json!({"Records": [{"eventSource": CANARY}]})),
        ] {
            let name = stack.output(&format!("{function}FunctionName"));
            let invoke = stack.lambda.invoke().function_name(name);
            let invoke = invoke.payload(event.to_string().into_bytes().into());
            invoke.send().await.unwrap();
        }

        let lines = testbed().server.log_lines(0)?;
        let found = lines
            .iter()
            .filter(|line| !leaks(&line.message, &[]).is_empty());
        let found: Vec<_> = found.collect();
        assert_eq!(found, [] as [&LogLine; 0]);
        Ok(())
    });
}

/// The dashboard, as it was deployed.
#[test]
fn the_dashboard_is_there() {
    on_stack(async |stack| {
        let server = &testbed().server;
        let name = stack.output("DashboardName");
        assert_eq!(name, format!("accretion-{REGION}"));
        let calls = [
            (
                "cloudwatch",
                "get_dashboard",
                json!({"DashboardName": name}),
            ),
            (
                "cloudwatch",
                "describe_alarms",
                json!({"AlarmNamePrefix": "accretion-"}),
            ),
        ];
        let answers = boto3::call(server, &calls).await?;
        let body = answers[0]["DashboardBody"].as_str().unwrap();
        assert!(!body.contains("${"), "{body}");
        let body: Value = serde_json::from_str(body).unwrap();
        let widgets = body["widgets"].as_array().unwrap();
        let of_alarms = widgets.iter().filter(|it| it["type"] == "alarm");
        let shown = of_alarms.flat_map(|it| it["properties"]["alarms"].as_array().unwrap());
        let shown: BTreeSet<_> = shown.map(Value::to_string).collect();
        let alarms = answers[1]["MetricAlarms"].as_array().unwrap().iter();
        let there: BTreeSet<_> = alarms.map(|it| it["AlarmArn"].to_string()).collect();
        assert!(!there.is_empty());
        assert_eq!(shown, there);

        // What has a dimension has the name of a resource that there is.
        let resources = [
            stack.output("RequestsTableName").to_owned(),
            stack.output("LayersTableName").to_owned(),
            stack.output("BuildStateMachineArn").to_owned(),
            stack.output("BuilderFunctionName").to_owned(),
            queue_name(stack.output("RequestQueueUrl")),
            queue_name(stack.output("PublicationDeadLetterQueueUrl")),
        ];
        let text = body.to_string();
        for resource in resources {
            assert!(
                text.contains(&format!("\"{resource}\"")),
                "{resource}: {text}"
            );
        }
        assert!(text.contains("Accretion/accretion"));
        Ok(())
    });
}

fn queue_name(url: &str) -> String {
    url.rsplit('/').next().unwrap_or_default().to_owned()
}
