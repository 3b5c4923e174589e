//! `rollback`, against the pipeline.

use integration_tests::snapshot;
use serde_json::json;

use crate::{Operator, boto3};

const LAYER: &str = "cmd-back-py313";

/// Requests a layer in the first region, and waits until it is there.
#[track_caller]
pub(crate) fn request(operator: &Operator, project: &str, requirements: &str) {
    operator.write("requirements.txt", requirements);
    let command = format!(
        "request requirements deployment.json {project} requirements.txt --watch --quiet \
         --runtime python3.13 --architecture x86_64 --region eu-west-1"
    );
    operator.run(&command).exits(0);
}

#[test]
fn an_earlier_version_is_the_latest_again() {
    let operator = Operator::of_cloud();
    request(&operator, "cmd-back", "six==1.16.0\n");
    request(&operator, "cmd-back", "six==1.17.0\n");
    let rollback = format!("rollback deployment.json eu-west-1 {LAYER}");
    let run = operator.run(&format!("{rollback} 1 --watch"));
    seen!("rollback", run.exits(0));

    let describe = format!("describe layer-version deployment.json eu-west-1 {LAYER}");
    let version = |number: u64| {
        let command = format!("{describe} {number} --format json");
        operator.run(&command).exits(0).json()
    };
    let (first, third) = (version(1), version(3));
    assert_eq!(first["CodeSha256"], third["CodeSha256"]);
    assert_eq!(third["Manifest"]["RolledBackTo"]["Version"], 1);
    let run = operator.run(&format!("{describe} 3")).exits(0);
    let told = "rollback        to version 1 of this layer";
    assert!(run.stdout.contains(told), "{run}");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let parameter = runtime.block_on(boto3(
        "ssm",
        "get_parameter",
        json!({"Name": "/accretion/cmd-back/python3.13/x86_64"}),
    ));
    assert_eq!(parameter["Parameter"]["Value"], third["VersionArn"]);

    // It is a request, and known as what it is.
    let list = "list requests deployment.json eu-west-1";
    let run = operator.run(list).exits(0);
    let told = format!("rollback to {LAYER}:1");
    assert!(run.stdout.contains(&told), "{run}");
    let requests = operator.run(&format!("{list} --format json")).exits(0);
    let requests = requests.json()["Requests"].clone();
    let is_ours = |it: &&serde_json::Value| it["RolledBackTo"] == first["VersionArn"];
    let ours = requests.as_array().unwrap().iter().find(is_ours).unwrap();
    assert_eq!(ours["Targets"][0]["Status"], "Published");
    let id = ours["RequestId"].as_str().unwrap();
    let run = operator.run(&format!("status deployment.json {id}"));
    seen!("rollback_status", run.exits(0));

    // What it holds already is not published again.
    let run = operator.run(&format!("{rollback}:3 --watch --format json"));
    let targets = run.exits(0).json()["Requests"][0]["Targets"].clone();
    assert_eq!(targets[0]["Status"], "Unchanged");
    let list = format!("list versions deployment.json eu-west-1 {LAYER} --format json");
    let versions = operator.run(&list).exits(0).json()["Versions"].clone();
    assert_eq!(versions.as_array().unwrap().len(), 3);
    // What is requested later is.
    request(&operator, "cmd-back", "six==1.17.0\n");
    assert_eq!(version(4)["Manifest"]["Installed"][0]["Version"], "1.17.0");

    nothing_to_roll_back_to(&operator, &rollback);
}

#[track_caller]
fn nothing_to_roll_back_to(operator: &Operator, rollback: &str) {
    let run = operator.run(&format!("{rollback} 9"));
    snapshot!("rollback_unknown", run.fails(3, "LayerManifestMissing"));
    for missing in [
        "rollback deployment.json eu-west-1 cmd-back-py313-arm64:1",
        "rollback deployment.json eu-west-1 cmd-back:1",
    ] {
        operator.run(missing).fails(3, "LayerManifestMissing");
    }
    let run = operator.run(rollback);
    snapshot!("rollback_unclear", run.fails(3, "VersionUnclear"));
    let run = operator.run(&format!("{rollback}:1 2"));
    run.fails(3, "VersionUnclear");
    operator.run(&format!("{rollback}:0")).exits(2);
}
