//! `list layers`, `list versions`, `describe layer-version` and `diff`.

use integration_tests::snapshot;
use pipeline_tests::Stack;
use pipeline_tests::testbed::STACK;
use serde_json::Value;

use crate::{Operator, cloud};

/// A layer that the pipeline has published.
const LAYER: &str = "cmd-seen-py313";

/// Requests a layer in the first region, and waits until it is there.
#[track_caller]
fn request(operator: &Operator, requirements: &str) {
    operator.write("requirements.txt", requirements);
    let command = "request requirements deployment.json cmd-seen requirements.txt --watch --quiet \
                   --runtime python3.13 --architecture x86_64 --region eu-west-1";
    operator.run(command).exits(0);
}

#[test]
fn what_the_pipeline_has_published_is_described_in_full() {
    let operator = Operator::of_cloud();
    request(&operator, "six==1.16.0\n");
    let describe = format!("describe layer-version deployment.json eu-west-1 {LAYER} 1");
    let run = operator.run(&format!("{describe} --format json"));
    seen!("describe_json", run.exits(0));
    let run = operator.run(&format!("{describe} --verbose")).exits(0);
    assert!(
        run.stdout
            .contains("six 1.16.0  six-1.16.0-py2.py3-none-any.whl"),
        "{run}"
    );

    let list = "list layers deployment.json eu-west-1 --format json";
    let layers = operator.run(list).exits(0).json()["Layers"].clone();
    let is_ours = |layer: &&Value| layer["Layer"] == LAYER;
    let ours = layers.as_array().unwrap().iter().find(is_ours).unwrap();
    assert_eq!(ours["Latest"]["Version"], 1);
    let run = operator.run(&format!(
        "list versions deployment.json eu-west-1 {LAYER} --format json"
    ));
    seen!("versions_json", run.exits(0));
    // It has versions, and none for that runtime.
    let versions = format!("list versions deployment.json eu-west-1 {LAYER} --runtime python3.12");
    let run = operator.run(&versions).exits(0);
    assert_eq!(run.stdout, "");

    // What is deployed against what would be.
    operator.write("tools/requirements.txt", "six==1.17.0\nidna==3.6\n");
    let build = "build tools/requirements.txt --runtime python3.13 --architecture x86_64 --quiet";
    operator.run(build).exits(0);
    let manifest = "layers/tools-py313.manifest";
    let diff = format!("diff deployment.json eu-west-1 {LAYER}");
    snapshot!(
        "diff_manifest",
        operator.run(&format!("{diff} 1 {manifest}")).exits(0)
    );
    let run = operator
        .run(&format!("{diff} {manifest} 1 --format json"))
        .exits(0);
    snapshot!("diff_json", run);
    let run = operator.run(&format!("{diff} 1 1")).exits(0);
    assert!(run.stdout.contains("= 1 unchanged"), "{run}");

    let run = operator.run(&format!("{diff} 1 9"));
    snapshot!("diff_version_unknown", run.fails(3, "LayerManifestMissing"));
    operator.write("odd.manifest", "{}");
    let run = operator.run(&format!("{diff} odd.manifest 1"));
    snapshot!("diff_manifest_odd", run.fails(3, "ManifestUnreadable"));
    operator
        .run(&format!("{diff} missing.manifest 1"))
        .fails(3, "ManifestUnreadable");
}

#[test]
fn what_publish_has_published_describes_itself() {
    let operator = Operator::of_cloud();
    operator.write("folder/module.py", "# module\n");
    let publish = "publish --layer cmd-alone --layer-path folder --runtimes python3.12 python3.13 \
                   --version 1.0 --account 123456789012 --region us-east-1 --quiet";
    operator.run(publish).exits(0);
    let describe = "describe layer-version deployment.json us-east-1 cmd-alone 1";
    seen!("describe_alone", operator.run(describe).exits(0));
    let run = operator.run("diff deployment.json us-east-1 cmd-alone:1 cmd-alone:1");
    run.exits(0);
}

#[tokio::test]
async fn what_others_have_published_is_described_as_far_as_lambda_knows_it() {
    let operator = Operator::of_cloud();
    let endpoint = cloud().server.endpoint();
    let stack = Stack::connect(&endpoint, STACK).await.unwrap();
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    zip.start_file("python/module.py", options).unwrap();
    let zip = zip.finish().unwrap().into_inner();
    let content = aws_sdk_lambda::types::LayerVersionContentInput::builder()
        .zip_file(aws_sdk_lambda::primitives::Blob::new(zip));
    let publish = stack.lambda.publish_layer_version();
    let publish = publish.layer_name("cmd-foreign").content(content.build());
    publish.send().await.unwrap();
    for at in ["deployment.json eu-west-1", "--region eu-west-1"] {
        let run = operator.run(&format!("describe layer-version {at} cmd-foreign:1"));
        let run = run.exits(0);
        assert!(run.stdout.contains("Its contents are unknown"), "{run}");
        let run = operator.run(&format!("diff {at} cmd-foreign 1 1"));
        run.fails(3, "LayerManifestMissing");
    }
}

#[test]
fn what_is_not_there_is_said_to_be_missing() {
    let operator = Operator::of_cloud();
    for arguments in [
        "list versions deployment.json eu-west-1 cmd-nowhere",
        "list versions deployment.json eu-west-1 cmd-nowhere --runtime python3.13",
        "describe layer-version deployment.json eu-west-1 cmd-nowhere 1",
    ] {
        operator.run(arguments).fails(3, "LayerVersionUnknown");
    }
    for arguments in [
        "list layers deployment.json eu-north-1",
        "list versions deployment.json eu-north-1 cmd-nowhere",
        "describe layer-version deployment.json eu-north-1 cmd-nowhere 1",
        "diff deployment.json eu-north-1 cmd-nowhere 1 2",
    ] {
        operator.run(arguments).fails(3, "RegionUnknown");
    }
}
