//! `destroy`: what is deleted and what stays, on a server of their own.

use std::io::Write as _;
use std::process::Stdio;
use std::sync::LazyLock;

use integration_tests::snapshot;
use pipeline_tests::workspace::tool;
use pipeline_tests::{MiniStack, Result};
use serde_json::{Value, json};

use crate::small::{self, Deployer, sorted};

static SERVER: LazyLock<Result<MiniStack>> = LazyLock::new(|| small::start("destroy"));

const BOTH: &str = "eu-west-1 us-east-1";

/// Deploys to all regions of the file.
#[track_caller]
fn deployed(name: &str, regions: &str, options: &str) -> Deployer {
    let us = Deployer::new(&SERVER, name, regions);
    us.operator.run(&us.update(options)).exits(0);
    us
}

#[test]
fn data_stays_until_it_is_not_wanted() {
    let us = deployed("stays", BOTH, "");
    let buckets = us.buckets();
    assert_eq!(buckets.len(), 4);
    let run = us.operator.run("destroy d.json --yes").exits(0);
    snapshot!("destroy_kept", small::without_suffixes(sorted(run)));
    assert_eq!(us.buckets(), buckets);
    for region in ["eu-west-1", "us-east-1"] {
        assert_eq!(us.stack(region), Value::Null);
        assert_eq!(us.tables(region), 2);
        let retained = &us.region(region)["Retained"][0];
        let expected = [us.bucket("artifacts", region), us.bucket("inbox", region)];
        assert_eq!(retained["Buckets"], json!(expected));
        assert_eq!(retained["PointerPrefix"], "/small");
        assert_eq!(us.region(region).as_object().unwrap().len(), 1);
    }
    let before = us.operator.read("d.json");
    let run = us.operator.run("destroy d.json --yes").exits(0);
    snapshot!("destroy_again", sorted(run));
    assert_eq!(us.operator.read("d.json"), before);

    // Under the same names nothing can be deployed, under others it can.
    let run = us.operator.run(&us.update("--region eu-west-1")).exits(5);
    assert_eq!(run.codes(), ["StackFailed"], "{run}");
    let run = us
        .operator
        .run("destroy d.json --region eu-west-1 --stack-name stays --yes");
    run.exits(0);
    let run = us
        .operator
        .run(&us.update("--region eu-west-1 --parameter BucketPrefix=stays-2"));
    run.exits(0);
    assert_eq!(us.buckets().len(), 6);
    assert_eq!(us.region("eu-west-1")["Core"], "stays");
    assert_eq!(
        us.region("eu-west-1")["Retained"].as_array().unwrap().len(),
        1
    );

    // All of it: what is deployed, and what was left before.
    let run = us
        .operator
        .run("destroy d.json --yes --delete-data --format json");
    let document = run.exits(0).json();
    for (at, region) in ["eu-west-1", "us-east-1"].into_iter().enumerate() {
        let record = &document["Regions"][at];
        assert_eq!(record["Outcome"], "Deleted");
        assert_eq!(record["Retained"], json!([]));
        assert_eq!(us.region(region), json!({}));
        assert_eq!(us.tables(region), 0);
    }
    assert_eq!(us.buckets(), [""; 0]);
    us.operator.run(&us.update("")).exits(0);
}

/// Writes down a layer version as the publisher does, and publishes it.
fn publish(us: &Deployer, table: &Value, layer: &str, version: u64) {
    let published = us.calls(
        "eu-west-1",
        &[
            (
                "lambda",
                "publish_layer_version",
                json!({"LayerName": layer, "Content": {"S3Bucket": us.bucket("artifacts", "eu-west-1"),
                    "S3Key": "layer.zip"}}),
            ),
            (
                "dynamodb",
                "put_item",
                json!({"TableName": table, "Item": {
                    "LayerName": {"S": layer},
                    "Item": {"S": format!("version#{version:010}")},
                }}),
            ),
            (
                "ssm",
                "put_parameter",
                json!({"Name": "/small/tools/python3.13/x86_64", "Value": "arn", "Type": "String",
                    "Overwrite": true}),
            ),
        ],
    );
    assert_eq!(published[0]["Version"], version);
}

#[test]
fn whatever_is_ours_goes_and_nothing_else() {
    let us = deployed("all", "eu-west-1", "");
    let region = "eu-west-1";
    let (inbox, artifacts) = (us.bucket("inbox", region), us.bucket("artifacts", region));
    // Several pages of versions and delete markers.
    small::fill(&us, &inbox, 400);
    let outputs = us.stack(region)["Outputs"].clone();
    let mut outputs = outputs.as_array().unwrap().iter();
    let table = outputs.find(|it| it["OutputKey"] == "LayersTableName");
    let table = table.unwrap()["OutputValue"].clone();
    // An archive without anything.
    let zip = format!("PK\u{5}\u{6}{}", "\0".repeat(18));
    us.call(
        region,
        "s3",
        "put_object",
        json!({"Bucket": artifacts, "Key": "layer.zip", "Body": zip}),
    );
    for version in 1..=3 {
        publish(&us, &table, "tools-py313", version);
    }
    let foreign = json!({"LayerName": "foreign-py313",
        "Content": {"S3Bucket": artifacts, "S3Key": "layer.zip"}});
    us.call(region, "lambda", "publish_layer_version", foreign);
    let foreign =
        json!({"Name": "/small/foreign/python3.13/x86_64", "Value": "arn", "Type": "String"});
    us.call(region, "ssm", "put_parameter", foreign);

    let run = us
        .operator
        .run("destroy d.json --yes --delete-data")
        .exits(0);
    snapshot!("destroy_data", small::without_suffixes(run));
    assert_eq!(us.region(region), json!({}));
    assert_eq!(us.buckets(), [""; 0]);
    assert_eq!(us.tables(region), 0);
    let answers = us.calls(
        region,
        &[
            ("lambda", "list_layers", json!({})),
            (
                "lambda",
                "list_layer_versions",
                json!({"LayerName": "tools-py313"}),
            ),
            (
                "ssm",
                "get_parameters_by_path",
                json!({"Path": "/small", "Recursive": true}),
            ),
        ],
    );
    let layers = answers[0]["Layers"].as_array().unwrap();
    let layers: Vec<_> = layers.iter().map(|it| it["LayerName"].clone()).collect();
    assert_eq!(layers, ["foreign-py313"]);
    assert_eq!(answers[1]["LayerVersions"], json!([]));
    let parameters = answers[2]["Parameters"].as_array().unwrap();
    let parameters: Vec<_> = parameters.iter().map(|it| it["Name"].clone()).collect();
    assert_eq!(parameters, ["/small/foreign/python3.13/x86_64"]);
}

#[test]
fn what_fails_can_be_taken_up_again() {
    let us = deployed("half", BOTH, "--parameter HasRepository=yes");
    let image = json!({"repositoryName": "half", "imageTag": "a", "imageManifest": "{}"});
    us.call("us-east-1", "ecr", "put_image", image);
    let run = us
        .operator
        .run("destroy d.json --yes --delete-data")
        .exits(5);
    assert_eq!(run.codes(), ["StackFailed"], "{run}");
    snapshot!("destroy_failed", small::without_suffixes(sorted(run)));
    assert_eq!(us.region("eu-west-1"), json!({}));
    // What holds data is there as long as its stack is.
    assert_eq!(us.region("us-east-1")["Core"], "half");
    assert!(us.buckets().contains(&us.bucket("inbox", "us-east-1")));
    let image = json!({"repositoryName": "half", "imageIds": [{"imageTag": "a"}]});
    us.call("us-east-1", "ecr", "batch_delete_image", image);
    let run = us
        .operator
        .run("destroy d.json --yes --delete-data")
        .exits(0);
    assert_eq!(us.region("us-east-1"), json!({}), "{run}");
    assert_eq!(us.buckets(), [""; 0]);
    assert_eq!(us.tables("us-east-1"), 0);
}

#[test]
fn a_protected_stack_stays() {
    let us = deployed("protected", BOTH, "");
    let protect = |is_protected: bool| json!({"StackName": "protected", "EnableTerminationProtection": is_protected});
    let operation = "update_termination_protection";
    us.call("us-east-1", "cloudformation", operation, protect(true));
    let run = us.operator.run("destroy d.json --yes").exits(1);
    assert_eq!(run.codes(), ["ServiceRefused"], "{run}");
    assert_eq!(us.region("us-east-1")["Core"], "protected");
    assert_eq!(us.region("eu-west-1")["Core"], Value::Null);
    // Deleted by somebody else: it counts as gone.
    us.call("us-east-1", "cloudformation", operation, protect(false));
    let name = json!({"StackName": "protected"});
    us.call("us-east-1", "cloudformation", "delete_stack", name);
    us.operator.run("destroy d.json --yes").exits(0);
    assert_eq!(us.region("us-east-1")["Core"], Value::Null);
    // What it has left was written down before.
    us.operator
        .run("destroy d.json --yes --delete-data")
        .exits(0);
    assert_eq!(us.buckets(), [""; 0]);
}

#[test]
fn a_stack_that_is_no_pipeline_stays() {
    let us = Deployer::new(&SERVER, "none-of-ours", BOTH);
    let stacks = json!({"Deployments": {
        "eu-west-1": {"Core": "aws-sam-cli-managed-default"},
        "us-east-1": {},
    }});
    us.operator.write("d.json", stacks.to_string());
    let destroy = "destroy d.json --stack-name aws-sam-cli-managed-default --yes --delete-data";
    let run = us.operator.run(destroy).exits(3);
    assert_eq!(run.codes(), ["StackForeign"], "{run}");
    assert!(run.stderr.contains("]: eu-west-1, us-east-1: "), "{run}");
    for region in ["eu-west-1", "us-east-1"] {
        let name = json!({"StackName": "aws-sam-cli-managed-default"});
        let there = us.call(region, "cloudformation", "describe_stacks", name);
        assert_eq!(there["Stacks"][0]["StackStatus"], "CREATE_COMPLETE");
    }
    let file: Value = serde_json::from_str(&us.operator.read("d.json")).unwrap();
    assert_eq!(file, stacks);
}

#[test]
fn nothing_is_deleted_without_a_yes() {
    let us = deployed("asked", "eu-west-1", "");
    let before = us.operator.read("d.json");
    let run = us.operator.run("destroy d.json --delete-data");
    let run = run.fails(2, "ConfirmationMissing");
    snapshot!("destroy_not_asked", small::without_suffixes(run));
    for answer in ["no\n", "\n", "yes\n"] {
        assert_eq!(us.operator.read("d.json"), before);
        let (code, seen) = on_terminal(&us, "destroy d.json", answer);
        assert_eq!(code, Some(0), "{seen}");
        assert!(seen.contains("bucket asked-inbox-"), "{seen}");
        assert!(seen.contains("Delete this? [y/N] "), "{seen}");
        assert_eq!(
            seen.contains("nothing was deleted"),
            answer != "yes\n",
            "{seen}"
        );
    }
    assert_eq!(us.stack("eu-west-1"), Value::Null);
    assert_eq!(us.region("eu-west-1")["Core"], Value::Null);
}

/// Runs the command on a terminal on which somebody types. Returns the exit code and what is seen.
fn on_terminal(us: &Deployer, arguments: &str, typed: &str) -> (Option<i32>, String) {
    let script = "import os, pty, sys\n\
                  sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
    let command = us.operator.command(arguments.split_whitespace());
    let mut python = std::process::Command::new(tool("python"));
    python
        .args(["-I", "-c", script])
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(us.operator.path(""))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => python.env(name, value),
            None => python.env_remove(name),
        };
    }
    let mut child = python.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(typed.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    let seen = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), seen)
}
