//! The state machine, compared without running it: with the Amazon States Language, with the template
//! that deploys it, and with the values that its expressions should have.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::collections::{BTreeMap, BTreeSet};

use accretion_core::target::Target;
use accretion_core::tracking::Status;
use integration_tests::{ask_script, deployed, translated_template};
use serde_json::{Map, Value, json};

/// The definition as it is deployed, with the default of the parameter and an ARN for each sandbox.
fn definition() -> Value {
    let text = include_str!("../../statemachine/build_layer.asl.json");
    let supported = Target::all().filter(|it| it.runtime.is_supported());
    let arns: Vec<_> = supported
        .map(|it| {
            format!(
                "'{} {}': 'arn of {}'",
                it.runtime,
                it.architecture,
                it.slug()
            )
        })
        .collect();
    let text = text
        .replace("${MaximumRetryHours}", "6")
        .replace("${SandboxArns}", &format!("{{{}}}", arns.join(", ")));
    serde_json::from_str(&text).unwrap()
}

fn states(definition: &Value) -> &Map<String, Value> {
    definition["States"].as_object().unwrap()
}

/// The states, with those that a map runs for each item.
fn all_states(definition: &Value) -> Vec<(&str, &Value)> {
    let mut found = Vec::new();
    for (name, state) in states(definition) {
        found.push((name.as_str(), state));
        let processor = &state["ItemProcessor"];
        if processor.is_object() {
            found.extend(
                states(processor)
                    .iter()
                    .map(|(name, state)| (name.as_str(), state)),
            );
        }
    }
    found
}

/// The retriers or catchers of a state, or of any part of it that may be absent.
fn list<'a>(state: &'a Value, field: &str) -> &'a [Value] {
    state[field].as_array().map_or(&[], Vec::as_slice)
}

fn error_names(rule: &Value) -> impl Iterator<Item = &str> {
    list(rule, "ErrorEquals")
        .iter()
        .map(|name| name.as_str().unwrap())
}

/// The violations of the language's schema.
fn violations(definition: &Value) -> Vec<String> {
    let schema = serde_json::from_str(include_str!("../stack/asl.schema.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let violation = |error: jsonschema::ValidationError<'_>| error.to_string();
    validator.iter_errors(definition).map(violation).collect()
}

#[test]
fn it_is_valid() {
    assert_eq!(violations(&definition()), Vec::<String>::new());
}

#[test]
fn the_schema_finds_slips() {
    let build = "/States/Build";
    let retrier = "/States/Build/Retry/0";
    let catcher = "/States/Build/Catch/0";
    // Null removes a field.
    for (at, field, value) in [
        ("", "QueryLanguage", Value::Null),
        ("", "Parameters", json!({})),
        (build, "Argument", json!({})),
        (build, "ResultPath", json!("$.x")),
        (build, "Resource", json!("arn:aws:states:::lambda:invoke")),
        (build, "Next", Value::Null),
        (build, "End", json!(true)),
        ("/States/IsBuilt", "Choices", json!([])),
        ("/States/IsBuilt/Choices/0", "Condition", Value::Null),
        ("/States/IsBuilt", "Retry", json!([])),
        ("/States/Pause", "Timestamp", Value::Null),
        ("/States/Pause", "Seconds", json!(30)),
        ("/States/Pause", "Retry", json!([])),
        ("/States/FillOrders", "ItemProcessor", Value::Null),
        ("/States/FillOrders", "ItemsPath", json!("$.Orders")),
        (
            "/States/FillOrders/ItemProcessor/States/FillOrder",
            "Resource",
            Value::Null,
        ),
        (build, "TimeoutSeconds", json!("330")),
        (retrier, "BackOffRate", json!(2)),
        (retrier, "JitterStrategy", json!("Full")),
        (retrier, "ErrorEquals", json!([])),
        (catcher, "ErrorEquals", json!(["States.All"])),
        (catcher, "ErrorEquals", json!(["States.ALL", "Throttled"])),
        (catcher, "ResultPath", json!("$.x")),
        ("/States/Failed", "Next", json!("Build")),
        ("/States/Built", "Type", json!("Success")),
    ] {
        let mut definition = definition();
        let object = definition.pointer_mut(at).unwrap().as_object_mut().unwrap();
        match &value {
            Value::Null => object.remove(field),
            value => object.insert(field.to_owned(), value.clone()),
        };
        assert_ne!(
            violations(&definition),
            Vec::<String>::new(),
            "{at} {field}: {value}"
        );
    }
}

/// A second opinion, in case both we and our schema misunderstand the language.
#[test]
fn cfn_lint_finds_nothing() {
    let lint = |definition: &Value| {
        let deployed = definition.to_string().replace("${Partition}", "aws");
        let deployed = serde_json::from_str(&deployed).unwrap();
        ask_script("stack/lint_definition.py", &[], &deployed)
    };
    assert_eq!(lint(&definition()), json!([]));
    let mut broken = definition();
    broken["States"]["Failed"]["Next"] = json!("Build");
    assert_ne!(lint(&broken), json!([]));
}

#[test]
fn every_transition_leads_somewhere_and_every_state_can_be_reached() {
    let definition = definition();
    holds_together(&definition);
    for state in states(&definition).values() {
        if state["Type"] == "Map" {
            holds_together(&state["ItemProcessor"]);
        }
    }
}

fn holds_together(definition: &Value) {
    let states = states(definition);
    let mut reached = BTreeSet::new();
    let mut next = vec![definition["StartAt"].as_str().unwrap()];
    while let Some(name) = next.pop() {
        let state = states
            .get(name)
            .unwrap_or_else(|| panic!("there is no state {name}"));
        if reached.insert(name) {
            next.extend(state["Next"].as_str());
            next.extend(state["Default"].as_str());
            next.extend(
                list(state, "Choices")
                    .iter()
                    .map(|choice| choice["Next"].as_str().unwrap()),
            );
            next.extend(
                list(state, "Catch")
                    .iter()
                    .map(|catcher| catcher["Next"].as_str().unwrap()),
            );
        }
    }
    let all: BTreeSet<_> = states.keys().map(String::as_str).collect();
    assert_eq!(reached, all);
}

/// Otherwise an error would end the execution without a trace in the table or on the topic.
#[test]
fn every_task_catches_every_error() {
    for (name, state) in states(&definition()) {
        if state["Type"] == "Task" || state["Type"] == "Map" {
            let last = list(state, "Catch").last();
            let names = last.map(|catcher| error_names(catcher).collect::<Vec<_>>());
            assert_eq!(names, Some(vec!["States.ALL"]), "{name}");
        }
    }
}

/// The first rule with an error's name decides, so that a later one would never be looked at.
#[test]
fn rules_do_not_hide_each_other() {
    for (name, state) in all_states(&definition()) {
        for field in ["Retry", "Catch"] {
            let mut seen = BTreeSet::new();
            for rule in list(state, field) {
                assert!(
                    !seen.contains("States.ALL"),
                    "{name}: a rule after that for all errors"
                );
                for error in error_names(rule) {
                    assert!(
                        seen.insert(error.to_owned()),
                        "{name}: {error} twice in {field}"
                    );
                }
            }
        }
    }
}

#[test]
fn retries_wait_longer_and_longer_with_jitter() {
    for (name, state) in all_states(&definition()) {
        for retrier in list(state, "Retry") {
            let attempts = retrier["MaxAttempts"].as_u64().unwrap();
            if attempts == 0 {
                continue;
            }
            assert_eq!(retrier["JitterStrategy"], "FULL", "{name}");
            if attempts > 1 {
                assert!(retrier["BackoffRate"].as_f64().unwrap() > 1.0, "{name}");
                let longest = retrier["MaxDelaySeconds"].as_u64().unwrap();
                assert!(
                    longest > retrier["IntervalSeconds"].as_u64().unwrap(),
                    "{name}"
                );
            }
        }
    }
}

/// The expressions between `{%` and `%}`, by their paths.
fn expressions(value: &Value, path: &str, found: &mut BTreeMap<String, String>) {
    match value {
        Value::String(text) => {
            if let Some(inner) = text
                .strip_prefix("{%")
                .and_then(|rest| rest.strip_suffix("%}"))
            {
                found.insert(path.to_owned(), inner.trim().to_owned());
            }
        }
        Value::Array(values) => {
            for (at, value) in values.iter().enumerate() {
                expressions(value, &format!("{path}/{at}"), found);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                expressions(value, &format!("{path}/{name}"), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The values of some of the definition's expressions, each with its variables.
fn evaluate(questions: &[(&str, Value)]) -> Vec<Value> {
    let mut known = BTreeMap::new();
    expressions(&definition()["States"], "", &mut known);
    let asked: Vec<_> = questions
        .iter()
        .map(|(path, variables)| json!({"expression": known[*path], "variables": variables}))
        .collect();
    let answers = ask_script("stack/jsonata_evaluator.py", &[], &json!(asked));
    let answers = answers.as_array().unwrap().iter().zip(questions);
    answers
        .map(|(answer, question)| match &answer["value"] {
            Value::Null => panic!("{question:?}: {answer}"),
            value => value.clone(),
        })
        .collect()
}

fn input() -> Value {
    json!({
        "RequestId": "0123456789abcdef0123456789abcdef",
        "ReceivedAt": "2026-11-20T10:00:00.000Z",
        "ProjectName": "data-tools",
        "Runtime": "python3.13",
        "Architecture": "arm64",
        "Target": "py313-arm64",
        "LayerName": "data-tools-py313-arm64",
    })
}

/// An order of the builder for a build sandbox.
fn order() -> Value {
    json!({
        "RequestId": input()["RequestId"],
        "Key": "a",
        "Runtime": "python3.13",
        "Architecture": "arm64",
        "Input": "b",
        "Output": "c",
    })
}

#[test]
fn orders_are_filled_by_the_sandbox_of_the_target_and_then_the_build_goes_on() {
    let choice = "/IsBuilt/Choices/0/Condition";
    let built = json!({"ManifestKey": "accretion/manifests/a/b.manifest", "Digest": "sha256:0"});
    let state = |input: Value| json!({"states": {"input": input}});
    let chosen = evaluate(&[
        (choice, state(json!({"Orders": [order()]}))),
        (choice, state(built)),
    ]);
    assert_eq!(chosen, [json!(true), json!(false)]);

    // One for each supported runtime on each architecture.
    let function = "/FillOrders/ItemProcessor/States/FillOrder/Arguments/FunctionName";
    for target in Target::all() {
        let mut order = order();
        order["Runtime"] = json!(target.runtime);
        order["Architecture"] = json!(target.architecture);
        let variables = json!({"states": {"input": order}});
        if !target.runtime.is_supported() {
            continue;
        }
        let arn = evaluate(&[(function, variables)]).remove(0);
        assert_eq!(arn, format!("arn of {}", target.slug()));
    }

    let output = "/FillOrders/Output";
    let context = execution(&input());
    let results = |keys: &[&str]| {
        let results: Vec<_> = keys.iter().map(|key| json!({"Key": key})).collect();
        json!({"states": {"context": context, "result": results}})
    };
    for keys in [&["a"][..], &["a", "b"]] {
        let mut expected = input();
        expected["Made"] = json!(keys);
        assert_eq!(evaluate(&[(output, results(keys))]), [expected]);
    }
}

/// The context of an execution.
fn execution(input: &Value) -> Value {
    json!({"Execution": {"Input": input, "StartTime": "2026-11-20T10:00:00.000Z"}})
}

/// The input for a merged layer.
fn merged(runtimes: &[&str]) -> Value {
    let mut input = input();
    for (name, value) in [
        ("Runtimes", json!(runtimes)),
        ("Target", json!("py-arm64")),
        ("LayerName", json!("data-tools-py-arm64")),
    ] {
        input[name] = value;
    }
    input.as_object_mut().unwrap().remove("Runtime");
    input
}

/// The variables after a failure.
fn failed() -> Value {
    json!({
        "caught": {"Error": "WheelNotFound", "Cause": "numpy 1.0 has no wheel"},
        "reason": "numpy 1.0 has no wheel",
        "nextAttemptAt": "2026-11-20T10:00:30.000Z",
        "waits": 0,
        "states": {"context": execution(&input())},
    })
}

/// Each expression with all the variables of its state: a misspelt name has no value.
#[test]
fn every_expression_has_a_value() {
    let mut known = BTreeMap::new();
    expressions(&definition()["States"], "", &mut known);
    let variables = failed();
    let mut questions = Vec::new();
    let inputs = [input(), merged(&["python3.12", "python3.13"])];
    let all = known
        .keys()
        .flat_map(|path| inputs.iter().map(move |input| (path, input)));
    for (path, input) in all {
        let mut variables = variables.clone();
        let states = &mut variables["states"];
        states["input"] = input.clone();
        states["context"] = execution(input);
        let built =
            json!({"ManifestKey": "accretion/manifests/a/b.manifest", "Digest": "sha256:0"});
        match path.split('/').nth(1).unwrap() {
            "Build" => {
                states["result"] = json!({"StatusCode": 200, "Payload": built});
                states["errorOutput"] = json!({"Error": "States.Timeout"});
            }
            "RecordBuilt" => states["input"] = built,
            "IsBuilt" => states["input"] = json!({"Orders": [order()]}),
            "FillOrders" if path.contains("/ItemProcessor/") => {
                states["input"] = order();
                states["result"] = json!({"StatusCode": 200, "Payload": {"Key": "a"}});
            }
            "FillOrders" => {
                states["input"] = json!({"Orders": [order()]});
                states["result"] = json!([{"Key": "a"}]);
                states["errorOutput"] = json!({"Error": "States.Timeout"});
            }
            "RecordFailed" => {
                states["result"] = json!({"StatusCode": 200, "Payload": {"Reason": "none"}});
            }
            _ => {}
        }
        questions.push((path.as_str(), variables));
    }
    assert!(questions.len() > 35, "{questions:?}");
    evaluate(&questions);
}

/// The publisher reads it: functions/publisher/src/event.rs.
#[test]
fn a_failure_is_handed_to_the_publisher() {
    let paths = ["RecordWaiting", "RecordFailed"].map(|it| format!("/{it}/Arguments/Payload"));
    for caught in [
        json!({"Error": "WheelNotFound", "Cause": "numpy 1.0 has no wheel"}),
        json!({"Error": "States.Timeout"}),
    ] {
        let mut variables = failed();
        variables["caught"] = caught.clone();
        let answers = evaluate(&paths.each_ref().map(|it| (it.as_str(), variables.clone())));
        let mut expected = caught;
        expected["Task"] = json!("RecordFailure");
        expected["Build"] = input();
        assert_eq!(answers[1], expected);
        expected["NextAttemptAt"] = json!("2026-11-20T10:00:30.000Z");
        assert_eq!(answers[0], expected);
    }
    let definition = definition();
    let states = states(&definition);
    for name in ["RecordWaiting", "RecordFailed"] {
        let function = &states[name]["Arguments"]["FunctionName"];
        assert_eq!(function, "${PublisherFunctionArn}", "{name}");
    }
}

/// It fails with the reason that was announced, or else with all that is known.
#[test]
fn the_execution_fails_with_the_reason() {
    let [announced, unannounced] =
        ["Assign", "Catch/0/Assign"].map(|it| format!("/RecordFailed/{it}/reason"));
    let mut variables = failed();
    variables["states"]["result"] = json!({"Payload": {"Code": "A", "Reason": "b"}});
    let mut without_cause = variables.clone();
    without_cause["caught"] = json!({"Error": "States.Timeout"});
    let answers = evaluate(&[
        (&announced, variables.clone()),
        (&unannounced, variables.clone()),
        (&unannounced, without_cause),
        ("/Failed/Error", variables.clone()),
        ("/Failed/Cause", variables),
    ]);
    let reason = "numpy 1.0 has no wheel";
    assert_eq!(answers, ["b", reason, "", "WheelNotFound", reason]);
    let definition = definition();
    let states = states(&definition);
    assert_eq!(states["RecordFailed"]["Next"], "Failed");
    assert_eq!(states["RecordFailed"]["Catch"][0]["Next"], "Failed");
    assert_eq!(states["RecordWaiting"]["Catch"][0]["Next"], "Pause");
    assert_eq!(states["Failed"]["Type"], "Fail");
}

/// Milliseconds since 1970.
fn millis(time: &Value) -> i64 {
    let time: jiff::Timestamp = time.as_str().unwrap().parse().unwrap();
    time.as_millisecond()
}

#[test]
fn pauses_grow_up_to_half_an_hour_and_no_two_are_alike() {
    let path = "/PlanNextAttempt/Assign/nextAttemptAt";
    let questions: Vec<_> = (0..60)
        .map(|waits| (path, json!({"waits": waits})))
        .collect();
    let before = jiff::Timestamp::now().as_millisecond();
    let answers = evaluate(&questions);
    let after = jiff::Timestamp::now().as_millisecond();
    let mut longest = 30;
    for next in &answers {
        let next = millis(next);
        assert!(next >= before + longest * 500 - 1000, "{longest} {next}");
        assert!(next <= after + longest * 1000, "{longest} {next}");
        longest = 1800.min(longest * 2);
    }
    let differ: BTreeSet<_> = answers[20..].iter().map(millis).collect();
    assert!(differ.len() > 20, "{answers:?}");
}

#[test]
fn what_may_pass_is_waited_for_until_the_time_is_over() {
    let condition = "/CanWait/Choices/0/Condition";
    let (transient, at_first) = ("UpstreamUnavailable", "2026-11-20T10:00:30.000Z");
    let cases = [
        (transient, at_first, true),
        ("DownloadIncomplete", at_first, true),
        ("ServiceUnavailable", at_first, true),
        ("Throttled", at_first, true),
        ("WheelNotFound", at_first, false),
        ("States.Timeout", at_first, false),
        ("Lambda.TooManyRequestsException", at_first, false),
        (transient, "2026-11-20T16:00:00.000Z", true),
        (transient, "2026-11-20T16:00:00.001Z", false),
    ];
    let questions = cases.map(|(code, next, _)| {
        let mut variables = failed();
        variables["caught"]["Error"] = json!(code);
        variables["nextAttemptAt"] = json!(next);
        (condition, variables)
    });
    for (answer, case) in evaluate(&questions).iter().zip(&cases) {
        assert_eq!(*answer, json!(case.2), "{case:?}");
    }
    let definition = definition();
    let states = states(&definition);
    assert_eq!(states["CanWait"]["Choices"][0]["Next"], "RecordWaiting");
    assert_eq!(states["CanWait"]["Default"], "RecordFailed");
    assert_eq!(states["Pause"]["Next"], "RecordBuilding");
}

/// The pauses are counted, and orders are made again, with new URLs.
#[test]
fn after_a_pause_the_build_begins_anew() {
    let mut given = input();
    for waits in 0..3 {
        // At first, and after each pause.
        let variables = json!({"states": {"input": given, "context": execution(&input())}});
        let answers = evaluate(
            &[
                "/RecordBuilding/Assign/waits",
                "/RecordBuilding/Catch/0/Assign/waits",
                "/RecordBuilding/Output",
                "/RecordBuilding/Catch/0/Output",
            ]
            .map(|path| (path, variables.clone())),
        );
        assert_eq!(answers, [json!(waits), json!(waits), input(), input()]);
        let mut made = input();
        made["Made"] = json!(["a"]);
        let states = json!({"input": made, "context": execution(&input())});
        let variables = json!({"waits": waits, "states": states});
        given = evaluate(&[("/Pause/Output", variables)]).remove(0);
    }
}

/// The two statuses that the state machine records itself, by the ranks of all others.
#[test]
fn statuses_are_recorded_by_their_ranks() {
    for (state, status) in [
        ("RecordBuilding", Status::Building),
        ("RecordBuilt", Status::Built),
    ] {
        let arguments = &definition()["States"][state]["Arguments"];
        let values = &arguments["ExpressionAttributeValues"];
        assert_eq!(values[":status"]["S"], status.name(), "{state}");
        assert_eq!(values[":rank"]["N"], status.rank().to_string(), "{state}");
        let condition = arguments["ConditionExpression"].as_str().unwrap();
        let comparison = condition.strip_prefix("attribute_not_exists(#rank) OR #rank ");
        for known in Status::ALL {
            let replaces = match comparison {
                Some("< :rank") => known.rank() < status.rank(),
                Some("<= :rank") => known.rank() <= status.rank(),
                other => panic!("{state}: {other:?}"),
            };
            assert_eq!(replaces, status.replaces(known), "{state} {known}");
        }
    }
}

/// DynamoDB refuses names and values that no expression uses, and expressions with unknown ones.
#[test]
fn updates_use_exactly_the_names_and_values_they_come_with() {
    let definition = definition();
    for name in ["RecordBuilding", "RecordBuilt"] {
        let arguments = &definition["States"][name]["Arguments"];
        let expressions = ["UpdateExpression", "ConditionExpression"];
        let words = expressions
            .map(|it| arguments[it].as_str().unwrap())
            .join(" ");
        let used: BTreeSet<_> = words
            .split([' ', ',', '(', ')'])
            .filter(|word| word.starts_with(['#', ':']))
            .collect();
        let given = ["ExpressionAttributeNames", "ExpressionAttributeValues"];
        let given = given.map(|it| arguments[it].as_object().unwrap().keys());
        let given: BTreeSet<_> = given.into_iter().flatten().map(String::as_str).collect();
        assert_eq!(used, given, "{name}");
    }
}

/// The attempts that a retrier with an error's name allows, with the first.
fn attempts(state: &Value, error: &str) -> u32 {
    let rule = list(state, "Retry")
        .iter()
        .find(|rule| error_names(rule).any(|name| name == error));
    let retries = rule.unwrap()["MaxAttempts"].as_u64().unwrap();
    1 + u32::try_from(retries).unwrap()
}

/// The simulation shows what the protocol does within these limits.
#[test]
fn the_stack_has_the_times_and_attempts_of_the_simulation() {
    let template = translated_template();
    let properties = |name: &str| template["Resources"][name]["Properties"].clone();
    let number = |value: &Value| value.as_u64().unwrap();
    for (name, timeout) in [
        ("DispatcherFunction", deployed::DISPATCHER_TIMEOUT),
        ("BuilderFunction", deployed::BUILDER_TIMEOUT),
        ("PublisherFunction", deployed::PUBLISHER_TIMEOUT),
    ] {
        let deployed = number(&properties(name)["Timeout"]);
        assert_eq!(deployed, timeout.as_secs(), "{name}");
    }
    let queue = properties("RequestQueue");
    let visibility = number(&queue["VisibilityTimeout"]);
    assert_eq!(visibility, deployed::VISIBILITY.as_secs());
    let receives = number(&queue["RedrivePolicy"]["maxReceiveCount"]);
    assert_eq!(receives, u64::from(deployed::RECEIVES));

    let resources = template["Resources"].as_object().unwrap();
    let of_type = |kind: &str| {
        let mut found = resources.values().filter(|it| it["Type"] == kind);
        let only = found.next().unwrap()["Properties"].clone();
        assert!(found.next().is_none(), "{kind}");
        only
    };
    let events = of_type("AWS::Lambda::EventInvokeConfig");
    let retries = number(&events["MaximumRetryAttempts"]);
    assert_eq!(1 + retries, u64::from(deployed::PUBLISH_ATTEMPTS));
    let minutes = deployed::RECONCILER_PAUSE.as_secs() / 60;
    let schedule = of_type("AWS::Scheduler::Schedule");
    assert_eq!(
        schedule["ScheduleExpression"],
        format!("rate({minutes} minutes)")
    );

    let definition = definition();
    let states = states(&definition);
    let build = &states["Build"];
    let transient = attempts(build, "UpstreamUnavailable");
    assert_eq!(transient, deployed::BUILD_ATTEMPTS);
    let deaths = attempts(build, "Runtime.ExitError") - 1;
    assert_eq!(deaths, deployed::BUILD_DEATHS);
    for name in ["RecordWaiting", "RecordFailed"] {
        let failure = attempts(&states[name], "States.ALL");
        assert_eq!(failure, deployed::FAILURE_ATTEMPTS, "{name}");
    }
}
