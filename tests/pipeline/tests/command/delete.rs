//! `delete versions`, against the pipeline and functions that use its layers.

use integration_tests::Run;
use serde_json::{Value, json};

use crate::rollback::request;
use crate::{Operator, boto3};

const LAYER: &str = "cmd-old-py313";

/// A function whose published version uses a version of the layer, in the first region.
fn uses(version: &Value) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let function = "cmd-old-user";
        // Any zip will do.
        let code = json!({
            "S3Bucket": version["LayerManifestObject"]["S3Bucket"],
            "S3Key": version["Manifest"]["ArtifactS3Key"],
        });
        boto3(
            "lambda",
            "create_function",
            json!({
                "FunctionName": function, "Runtime": "python3.13", "Handler": "a.b",
                "Role": "arn:aws:iam::000000000000:role/user", "Code": code,
                "Layers": [version["VersionArn"]], "Publish": true,
            }),
        )
        .await;
        boto3(
            "lambda",
            "create_alias",
            json!({"FunctionName": function, "Name": "live", "FunctionVersion": "1"}),
        )
        .await;
        // The function itself goes on; its published version stays, and so does the alias.
        boto3(
            "lambda",
            "update_function_configuration",
            json!({"FunctionName": function, "Layers": []}),
        )
        .await;
    });
}

/// The outcome of each version, newest first.
fn outcomes(run: &Run) -> Vec<String> {
    let document = run.json();
    let versions = document["Versions"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    versions
        .map(|it| format!("{} {}", text(&it["Outcome"]), text(&it["Reason"])))
        .collect()
}

#[test]
fn old_versions_are_deleted_that_no_function_uses() {
    let operator = Operator::of_cloud();
    for version in ["1.14.0", "1.15.0", "1.16.0", "1.17.0"] {
        request(&operator, "cmd-old", &format!("six=={version}\n"));
    }
    let describe = format!("describe layer-version deployment.json eu-west-1 {LAYER}");
    let version = |number: u64| operator.run(&format!("{describe} {number} --format json"));
    let second = version(2).exits(0).json();
    uses(&second);

    let delete = format!("delete versions deployment.json eu-west-1 {LAYER}");
    let run = operator.run(&format!("{delete} --keep 1 --dry-run"));
    seen!("delete_dry_run", run.exits(0));
    // Nobody is there to ask.
    let run = operator.run(&format!("{delete} --keep 1"));
    assert_eq!(run.codes(), ["ConfirmationMissing"], "{run}");
    run.exits(2);
    for (options, expected) in [
        (
            "--older-than 1d",
            ["Kept Latest", "Kept Young", "Kept Used", "Kept Young"],
        ),
        (
            "--keep 3",
            ["Kept Latest", "Kept Recent", "Kept Used", "Deletable "],
        ),
        (
            "--older-than 0d",
            ["Kept Latest", "Deletable ", "Kept Used", "Deletable "],
        ),
    ] {
        let command = format!("{delete} {options} --dry-run --format json");
        assert_eq!(outcomes(&operator.run(&command).exits(0)), expected);
    }
    version(1).exits(0);

    let run = operator.run(&format!("{delete} --keep 2 --yes")).exits(0);
    assert!(
        run.stdout.contains(&format!(
            "deleted arn:aws:lambda:eu-west-1:000000000000:layer:{LAYER}:1\n"
        )),
        "{run}"
    );
    let run = operator.run(&format!("{delete} --keep 1 --yes --format json"));
    let expected = ["Kept Latest", "Deleted ", "Kept Used"];
    assert_eq!(outcomes(&run.exits(0)), expected);

    // The records stay, and what is recorded can be rolled back to.
    let first = version(1).exits(0).json();
    assert_eq!(first["Manifest"]["Installed"][0]["Version"], "1.14.0");
    assert!(first["Deleted"]["At"].is_string(), "{first}");
    assert!(first["Deleted"]["By"].as_str().unwrap().starts_with("arn:"));
    seen!(
        "describe_deleted",
        operator.run(&format!("{describe} 1")).exits(0)
    );
    let rollback = format!("rollback deployment.json eu-west-1 {LAYER} 1 --watch --quiet");
    operator.run(&rollback).exits(0);
    let fifth = version(5).exits(0).json();
    assert_eq!(fifth["Manifest"]["Installed"][0]["Version"], "1.14.0");

    // Who deletes by hand leaves no note.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let parameters = json!({"LayerName": LAYER, "VersionNumber": 4});
    runtime.block_on(boto3("lambda", "delete_layer_version", parameters));
    let fourth = version(4).exits(0).json();
    assert_eq!(fourth["Deleted"], json!({"At": null, "By": null}));
    let unknown = version(9).exits(3).json();
    assert_eq!(unknown["Error"]["Code"], "LayerVersionUnknown");
}

#[test]
fn what_cannot_be_deleted_is_said() {
    let operator = Operator::of_cloud();
    let delete = "delete versions deployment.json";
    let run = operator.run(&format!("{delete} eu-west-1 cmd-nowhere --keep 1"));
    run.fails(3, "LayerVersionUnknown");
    let run = operator.run(&format!("{delete} eu-north-1 cmd-old-py313 --keep 1"));
    run.fails(3, "RegionUnknown");
    for wrong in [
        "eu-west-1 cmd-old-py313",
        "eu-west-1 --keep 1",
        "eu-west-1 cmd-old-py313 --keep 0",
        "eu-west-1 cmd-old-py313 --older-than 3",
        "everywhere cmd-old-py313 --keep 1",
    ] {
        operator.run(&format!("{delete} {wrong}")).exits(2);
    }
}
