//! `update all`: deployments to several regions, on a server of their own.

use std::fs;
use std::process::{Child, Command};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use integration_tests::snapshot;
use pipeline_tests::workspace::tool;
use pipeline_tests::{MiniStack, Result};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::small::{self, Deployer, sorted};

static SERVER: LazyLock<Result<MiniStack>> = LazyLock::new(|| small::start("update"));

const BOTH: &str = "eu-west-1 us-east-1";

fn complete(stack: &str) -> serde_json::Value {
    json!({"Core": stack, "ArtifactBuilder": stack, "LayerBuilder": stack})
}

#[test]
fn from_nothing_to_two_regions() {
    let us = Deployer::new(&SERVER, "nothing", BOTH);
    let run = us.operator.run(&us.update("")).exits(0);
    snapshot!("update_created", sorted(run));
    for region in ["eu-west-1", "us-east-1"] {
        assert_eq!(us.region(region), complete("nothing"));
        assert_eq!(us.stack(region)["StackStatus"], "CREATE_COMPLETE");
    }
    let run = us.operator.run(&us.update("")).exits(0);
    snapshot!("update_unchanged", sorted(run));

    // One region, one parameter: the other region and the other parameters stay.
    let options = "--region us-east-1 --parameter RequestRetentionDays=30 --format json";
    let run = us.operator.run(&us.update(options)).exits(0);
    snapshot!("update_json", run);
    assert_eq!(us.parameter("us-east-1", "RequestRetentionDays"), "30");
    assert_eq!(us.parameter("eu-west-1", "RequestRetentionDays"), "90");

    // A new template, and nothing said of parameters.
    let (default, other) = ("Default: 90, MinValue: 15}", "Default: 60, MinValue: 15}");
    let (queue, delayed) = (
        "      VisibilityTimeout:",
        "      DelaySeconds: 1\n      VisibilityTimeout:",
    );
    us.change_template(&[(default, other), (queue, delayed)]);
    let run = us.operator.run(&us.update("")).exits(0);
    assert_eq!(run.stdout.matches("updated").count(), 2, "{run}");
    assert_eq!(us.parameter("us-east-1", "RequestRetentionDays"), "30");
    assert_eq!(us.parameter("eu-west-1", "RequestRetentionDays"), "90");
    let run = us.operator.run(&us.update("--quiet")).exits(0);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""));
}

#[test]
fn parameters_add_to_those_of_the_configuration() {
    let us = Deployer::new(&SERVER, "configured", "eu-west-1");
    let config = "version = 0.1\n\
        [mine.deploy.parameters]\n\
        capabilities = \"CAPABILITY_IAM\"\n\
        resolve_s3 = true\n\
        confirm_changeset = true\n\
        parameter_overrides = \"LatestVersionPrefix=/mine RequestRetentionDays=20\"\n";
    us.operator.write("samconfig.toml", config);
    let options = "--config-env mine --parameter RequestRetentionDays=40";
    us.operator.run(&us.update(options)).exits(0);
    assert_eq!(us.parameter("eu-west-1", "LatestVersionPrefix"), "/mine");
    assert_eq!(us.parameter("eu-west-1", "RequestRetentionDays"), "40");

    us.operator.write("samconfig.toml", "version = ");
    let run = us.operator.run(&us.update("--config-env mine"));
    run.fails(3, "SamConfigInvalid");
    let run = us.operator.run(&us.update("--parameter Retention"));
    snapshot!("update_parameter", run.exits(2));

    // What the SAM CLI passes over without a word.
    us.operator.write("samconfig.toml", config);
    let run = us.operator.run(&us.update("--config-env mien"));
    snapshot!("update_section", run.fails(3, "SamConfigInvalid"));
    let run = us.operator.run(&us.update("--parameter Retention=40"));
    snapshot!("update_parameter_unknown", run.fails(3, "ParameterUnknown"));
}

#[test]
fn a_source_template_is_built_for_the_architecture() {
    let us = Deployer::new(&SERVER, "source", "eu-west-1");
    let update = "update all d.json --template source/template.yaml --stack-name source";
    let run = us.operator.run(update).exits(0);
    snapshot!("update_built", run);
    let built = |architecture| {
        let path = format!("source/.aws-sam/accretion/{architecture}/template.yaml");
        us.operator.path(&path).is_file()
    };
    assert!(built("x86_64") && !built("arm64"));
    let chosen = format!("{update} --parameter FunctionArchitecture=arm64");
    us.operator.run(&chosen).exits(0);
    // What the stack has counts from then on.
    fs::remove_dir_all(us.operator.path("source/.aws-sam")).unwrap();
    us.operator.run(update).exits(0);
    assert!(built("arm64") && !built("x86_64"));
    assert_eq!(us.parameter("eu-west-1", "FunctionArchitecture"), "arm64");

    // All regions that wait for it are told of at once.
    us.operator.run("add regions d.json us-east-1").exits(0);
    us.operator.write("source/template.yaml", "Resources: [");
    let update = format!("{update} --parameter FunctionArchitecture=x86_64");
    let run = us.operator.run(&update).exits(1);
    assert_eq!(run.codes(), ["SamFailed"], "{run}");
    assert!(
        run.stderr.contains("]: eu-west-1, us-east-1: `sam build`"),
        "{run}"
    );
    let run = us.operator.run(&format!("{update} --format json")).exits(1);
    let regions = run.json()["Regions"].clone();
    assert_eq!(regions[1]["Error"]["Code"], "SamFailed", "{run}");
}

#[test]
fn a_partial_deployment_is_completed() {
    let us = Deployer::new(&SERVER, "partial", "");
    let file = r#"{"Deployments": {"eu-west-1": {"LayerBuilder": "partial", "Mine": 1}, "us-east-1": {}}}"#;
    us.operator.write("d.json", file);
    let arguments = us
        .update("")
        .replace("--stack-name partial", "--stack-name other-partial");
    us.operator.run(&arguments).exits(0);
    let mut expected = complete("partial");
    expected["Mine"] = json!(1);
    assert_eq!(us.region("eu-west-1"), expected);
    assert_eq!(us.region("us-east-1"), complete("other-partial"));
    assert_eq!(us.stack("eu-west-1")["StackStatus"], "CREATE_COMPLETE");
}

#[test]
fn a_region_that_fails_stops_no_other() {
    let us = Deployer::new(&SERVER, "taken", BOTH);
    let bucket = us.bucket("inbox", "us-east-1");
    us.call(
        "us-east-1",
        "s3",
        "create_bucket",
        json!({"Bucket": bucket}),
    );
    let run = us.operator.run(&us.update("")).exits(5);
    assert_eq!(run.codes(), ["StackFailed"], "{run}");
    snapshot!("update_taken", sorted(run));
    assert_eq!(us.region("eu-west-1"), complete("taken"));
    assert_eq!(us.region("us-east-1"), json!({}));

    let run = us.operator.run(&us.update("")).exits(5);
    snapshot!("update_stuck", sorted(run));
    let run = us.operator.run(&us.update("--format json")).exits(5);
    let document = run.json();
    assert_eq!(document["Regions"][0]["Outcome"], "Unchanged");
    assert_eq!(document["Regions"][1]["Error"]["Code"], "StackStuck");

    // As the hint says.
    let run = us
        .operator
        .run("destroy d.json --region us-east-1 --stack-name taken --yes");
    run.exits(0);
    let run = us
        .operator
        .run(&us.update("--region us-east-1 --parameter BucketPrefix=taken-2"));
    run.exits(0);
    assert_eq!(us.region("us-east-1")["Core"], "taken");
}

#[test]
fn what_cloudformation_says_of_a_failure() {
    let us = Deployer::new(&SERVER, "fails", BOTH);
    us.operator.run(&us.update("--region us-east-1")).exits(0);
    let run = us
        .operator
        .run(&us.update("--parameter FailsAfterSeconds=1"));
    snapshot!("update_failed", sorted(run.exits(5)));
    // It is rolled back, and can be updated again.
    assert_eq!(
        us.stack("us-east-1")["StackStatus"],
        "UPDATE_ROLLBACK_COMPLETE"
    );
    us.operator.run(&us.update("--region us-east-1")).exits(0);

    let us = Deployer::new(&SERVER, "refused", "eu-west-1");
    let run = us
        .operator
        .run(&us.update("--parameter RequestRetentionDays=1"));
    snapshot!("update_refused", run.exits(5));
    assert_eq!(us.region("eu-west-1"), json!({}));
}

#[test]
fn what_is_not_ours_stays_as_it_is() {
    let us = Deployer::new(&SERVER, "foreign", "eu-west-1");
    us.operator.run(&us.update("")).exits(0);
    let options = "--region eu-west-1 --format json";
    us.operator
        .write("d.json", r#"{"Deployments": {"eu-west-1": {}}}"#);
    let managed = us.update(options).replace(
        "--stack-name foreign",
        "--stack-name aws-sam-cli-managed-default",
    );
    let run = us.operator.run(&managed).exits(3);
    assert_eq!(run.json()["Regions"][0]["Error"]["Code"], "StackForeign");
    // One that was deployed, but not written down, is ours. The SAM CLI is where the user says.
    std::os::unix::fs::symlink(tool("sam"), us.operator.path("our-sam")).unwrap();
    let mut command = us.operator.command(us.update(options).split_whitespace());
    command.env("ACCRETION_SAM", "./our-sam");
    let run = us.operator.finish(command).exits(0);
    assert_eq!(run.json()["Regions"][0]["Outcome"], "Unchanged");
    assert_eq!(us.region("eu-west-1"), complete("foreign"));

    let managed = r#"{"Deployments": {"eu-west-1": {"Core": "aws-sam-cli-managed-default"}}}"#;
    us.operator.write("d.json", managed);
    let run = us.operator.run(&us.update(options)).exits(3);
    assert_eq!(run.json()["Regions"][0]["Error"]["Code"], "StackForeign");
    let several = r#"{"Deployments": {"eu-west-1": {"Core": "a", "LayerBuilder": "b"}}}"#;
    us.operator.write("d.json", several);
    let run = us.operator.run(&us.update("")).exits(3);
    snapshot!("update_several", run);
    us.operator.write("d.json", r#"{"Deployments": {}}"#);
    let run = us.operator.run(&us.update(""));
    snapshot!("update_no_region", run.fails(3, "RegionsMissing"));
    let run = us.operator.run(&us.update("--region eu-west-1"));
    run.fails(3, "RegionUnknown");
    us.operator.write("d.json", several);
    let mut command = us.operator.command(us.update("").split_whitespace());
    command.env("ACCRETION_SAM", "/nowhere/sam");
    let run = us.operator.finish(command);
    snapshot!("update_no_sam", run.fails(1, "SamMissing"));
}

/// Waits until something is so.
#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_mins(1), "{what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The processes whose working directory is in a folder: those of the SAM CLI.
fn processes_in(folder: &std::path::Path) -> usize {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let is_there = |entry: &fs::DirEntry| {
        let cwd = fs::read_link(entry.path().join("cwd"));
        cwd.is_ok_and(|cwd| cwd.starts_with(folder))
    };
    processes.filter(is_there).count()
}

fn interrupt(child: &Child) {
    let pid = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
}

#[test]
fn ctrl_c_leaves_the_file_as_it_is_and_says_what_goes_on() {
    let us = Deployer::new(&SERVER, "cut-off", BOTH);
    us.operator.run(&us.update("--region us-east-1")).exits(0);
    let before = us.operator.read("d.json");
    let folder = us.operator.path("");
    let options = "--region eu-west-1 --parameter FailsAfterSeconds=20";
    let mut command: Command = us.operator.command(us.update(options).split_whitespace());
    let child = command.spawn().unwrap();
    until("the stack is begun", || {
        us.stack("eu-west-1")["StackStatus"] == "CREATE_IN_PROGRESS"
    });
    // Until the command has seen it, too.
    std::thread::sleep(Duration::from_secs(4));
    assert!(processes_in(&folder) > 1);
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    let run = integration_tests::Run::of(&output, &folder);
    snapshot!("update_cut_off", run.exits(130));
    assert_eq!(us.operator.read("d.json"), before);
    until("the SAM CLI ends", || processes_in(&folder) == 0);
    assert_eq!(us.stack("eu-west-1")["StackStatus"], "CREATE_IN_PROGRESS");

    // Again: what has begun comes to its end first.
    let run = us.operator.run(&us.update("--format json")).exits(5);
    let regions = run.json()["Regions"].clone();
    assert_eq!(regions[0]["Error"]["Code"], "StackStuck", "{run}");
    assert_eq!(regions[1]["Outcome"], "Unchanged", "{run}");
}
