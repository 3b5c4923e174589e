//! The state machine, as far as it can be held against something without running it: the Amazon
//! States Language, the template that deploys it, and its expressions' values.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::collections::{BTreeMap, BTreeSet};

use accretion_core::target::Target;
use accretion_core::tracking::Status;
use integration_tests::ask_script;
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

/// The states, and those that work on the items of one.
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

/// What is wrong with a definition by the language's schema.
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
    // Null takes a field away.
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

/// The same from another hand, in case both we and our schema misunderstand the language.
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

/// What stands between `{%` and `%}`, with where it stands.
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

/// What the builder orders of a build sandbox.
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

/// What is known of an execution.
fn execution(input: &Value) -> Value {
    json!({"Execution": {"Input": input, "StartTime": "2026-11-20T10:00:00.000Z"}})
}

/// That of a merged layer.
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

/// What the states of a failure see.
fn failed(hint: &str) -> Value {
    json!({
        "failure": {"Code": "WheelNotFound", "Reason": "numpy 1.0 has no wheel", "Hint": hint},
        "nextAttemptAt": "2026-11-20T10:00:30.000Z",
        "waits": 0,
        "states": {"input": input()},
    })
}

/// Each expression where it stands, with all that there may be: a misspelt name has no value.
#[test]
fn every_expression_has_a_value() {
    let mut known = BTreeMap::new();
    expressions(&definition()["States"], "", &mut known);
    let mut variables = failed("try another");
    variables["caught"] = json!({"Error": "LayerEmpty", "Cause": "no package is left"});
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
            _ => {}
        }
        questions.push((path.as_str(), variables));
    }
    assert!(questions.len() > 40, "{questions:?}");
    evaluate(&questions);
}

#[test]
fn a_failure_is_described_whatever_its_cause_looks_like() {
    let document = |message: &str| {
        let document = json!({"errorType": "Any", "errorMessage": message, "stackTrace": []});
        json!({"Error": "Any", "Cause": document.to_string()})
    };
    let plain = |cause: &str| json!({"Error": "Any", "Cause": cause});
    let unknown = "the build ended without a message";
    let long = "x\"é".repeat(20_000);
    let cut: String = long.chars().take(8000).collect();
    let left_out = long.chars().count() - 8000;
    let cut = format!("{cut} … {left_out} characters left out");
    let cases = [
        (document("no package is left"), "no package is left", ""),
        (
            document("numpy 1.0 has no wheel\nhint: require \"another\"\n\tC:\\x 😀"),
            "numpy 1.0 has no wheel",
            "require \"another\"\n\tC:\\x 😀",
        ),
        (document("a\nhint: b\nhint: c"), "a", "b\nhint: c"),
        (document("the hint: is none"), "the hint: is none", ""),
        (document("\u{1}\u{7f}\u{2028}"), "\u{1}\u{7f}\u{2028}", ""),
        (document(&long), &cut, ""),
        (document(&format!("short\nhint: {long}")), "short", &cut),
        (document(""), unknown, ""),
        // Without a document, or with what only looks like one.
        (json!({"Error": "States.Timeout"}), unknown, ""),
        (plain(""), unknown, ""),
        (plain("exit status 1\nhint: none"), "exit status 1", "none"),
        (
            plain("{\"errorMessage\": \"cut o"),
            "{\"errorMessage\": \"cut o",
            "",
        ),
        (
            plain("{\"errorMessage\": \"\\x\"}"),
            "{\"errorMessage\": \"\\x\"}",
            "",
        ),
        (
            plain("{\"errorMessage\": \"a\nb\"}"),
            "{\"errorMessage\": \"a\nb\"}",
            "",
        ),
        (plain("{\"errorMessage\": 7}"), "{\"errorMessage\": 7}", ""),
        (
            plain("{\"errorMessage\" : \"a\\u00e9\\/b\"} and more"),
            "aé/b",
            "",
        ),
    ];
    let questions = cases
        .each_ref()
        .map(|(caught, ..)| ("/DescribeFailure/Assign/failure", json!({"caught": caught})));
    for (failure, (caught, reason, hint)) in evaluate(&questions).iter().zip(&cases) {
        let expected = json!({"Code": caught["Error"], "Reason": reason, "Hint": hint});
        assert_eq!(failure, &expected, "{caught}");
    }
}

/// Milliseconds since 1970.
fn millis(time: &Value) -> i64 {
    let time: jiff::Timestamp = time.as_str().unwrap().parse().unwrap();
    time.as_millisecond()
}

#[test]
fn pauses_grow_up_to_half_an_hour_and_no_two_are_alike() {
    let path = "/DescribeFailure/Assign/nextAttemptAt";
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
        let mut variables = failed("");
        variables["failure"]["Code"] = json!(code);
        variables["nextAttemptAt"] = json!(next);
        variables["states"]["context"] = execution(&input());
        (condition, variables)
    });
    for (answer, case) in evaluate(&questions).iter().zip(&cases) {
        assert_eq!(*answer, json!(case.2), "{case:?}");
    }
    let definition = definition();
    let states = states(&definition);
    assert_eq!(states["CanWait"]["Choices"][0]["Next"], "RecordWaiting");
    assert_eq!(states["CanWait"]["Default"], "NotifyFailure");
    assert_eq!(states["Pause"]["Next"], "RecordBuilding");
}

/// The pauses are counted, and what was ordered before is ordered again, with new URLs.
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

/// The ranks of the table, and what may take the place of what, as the rest of the pipeline has them.
#[test]
fn statuses_are_recorded_by_their_ranks() {
    for (state, status) in [
        ("RecordBuilding", Status::Building),
        ("RecordWaiting", Status::Waiting),
        ("RecordBuilt", Status::Built),
        ("RecordFailed", Status::Failed),
    ] {
        let arguments = &definition()["States"][state]["Arguments"];
        let values = match &arguments["ExpressionAttributeValues"] {
            Value::String(_) => {
                let path = format!("/{state}/Arguments/ExpressionAttributeValues");
                evaluate(&[(&path, failed(""))]).remove(0)
            }
            values => values.clone(),
        };
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

#[test]
fn a_failure_is_announced_with_its_hint_if_it_has_one() {
    let path = "/NotifyFailure/Arguments/Message";
    let messages = evaluate(&[(path, failed("require another")), (path, failed(""))]);
    let message =
        |message: &Value| -> Value { serde_json::from_str(message.as_str().unwrap()).unwrap() };
    let mut expected = json!({
        "Event": "BuildFailed",
        "EventId": "0123456789abcdef0123456789abcdef-py313-arm64-BuildFailed",
        "RequestId": "0123456789abcdef0123456789abcdef",
        "ProjectName": "data-tools",
        "Runtime": "python3.13",
        "Runtimes": ["python3.13"],
        "Architecture": "arm64",
        "Code": "WheelNotFound",
        "Reason": "numpy 1.0 has no wheel",
        "Hint": "require another",
    });
    assert_eq!(message(&messages[0]), expected);
    expected.as_object_mut().unwrap().remove("Hint");
    assert_eq!(message(&messages[1]), expected);
}

#[test]
fn a_failure_of_a_merged_layer_names_its_runtimes() {
    let [message, data_type, value] = [
        "/NotifyFailure/Arguments/Message",
        "/NotifyFailure/Arguments/MessageAttributes/Runtime/DataType",
        "/NotifyFailure/Arguments/MessageAttributes/Runtime/StringValue",
    ];
    // One that is merged of a single runtime is a merged layer all the same.
    for runtimes in [&["python3.12", "python3.13"][..], &["python3.13"]] {
        let mut variables = failed("");
        variables["states"]["input"] = merged(runtimes);
        let answers = evaluate(&[message, data_type, value].map(|path| (path, variables.clone())));
        let told: Value = serde_json::from_str(answers[0].as_str().unwrap()).unwrap();
        assert_eq!(told["Runtimes"], json!(runtimes));
        assert!(told.get("Runtime").is_none(), "{told}");
        let event_id = "0123456789abcdef0123456789abcdef-py-arm64-BuildFailed";
        assert_eq!(told["EventId"], event_id);
        assert_eq!(answers[1], "String.Array");
        let listed: Value = serde_json::from_str(answers[2].as_str().unwrap()).unwrap();
        assert_eq!(listed, json!(runtimes));
    }
    let variables = failed("");
    let answers = evaluate(&[data_type, value].map(|path| (path, variables.clone())));
    assert_eq!(answers, [json!("String"), json!("python3.13")]);
}

/// DynamoDB refuses names and values that no expression uses, and expressions with unknown ones.
#[test]
fn a_failure_that_nobody_could_be_told_of_is_not_recorded() {
    let definition = definition();
    let states = states(&definition);
    let after_failing_to_tell = list(&states["NotifyFailure"], "Catch");
    assert_eq!(after_failing_to_tell[0]["Next"], "Failed");
    assert_eq!(states["NotifyFailure"]["Next"], "RecordFailed");
    assert_eq!(states["Failed"]["Type"], "Fail");
}

#[test]
fn updates_use_exactly_the_names_and_values_they_come_with() {
    let definition = definition();
    for (name, hint) in [
        ("RecordBuilding", ""),
        ("RecordBuilt", ""),
        ("RecordWaiting", ""),
        ("RecordWaiting", "require another"),
        ("RecordFailed", ""),
        ("RecordFailed", "require another"),
    ] {
        let arguments = &definition["States"][name]["Arguments"];
        let resolved = |field: &str| match &arguments[field] {
            Value::String(text) if text.starts_with("{%") => {
                let path = format!("/{name}/Arguments/{field}");
                evaluate(&[(&path, failed(hint))]).remove(0)
            }
            value => value.clone(),
        };
        let expression = format!(
            "{} {}",
            resolved("UpdateExpression").as_str().unwrap(),
            resolved("ConditionExpression").as_str().unwrap()
        );
        let used: BTreeSet<_> = expression
            .split([' ', ',', '(', ')'])
            .filter(|word| word.starts_with(['#', ':']))
            .collect();
        let names = resolved("ExpressionAttributeNames");
        let values = resolved("ExpressionAttributeValues");
        let [names, values] = [&names, &values].map(|map| map.as_object().unwrap().keys());
        let given: BTreeSet<_> = names.chain(values).map(String::as_str).collect();
        assert_eq!(used, given, "{name} with the hint {hint:?}");
        assert_eq!(given.contains(":hint"), !hint.is_empty(), "{name}");
    }
}
