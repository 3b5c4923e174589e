//! Commands about layers that are merged of several runtimes.

use serde_json::json;

use crate::Operator;

#[test]
fn merged_layers_are_requested_and_shown() {
    let operator = Operator::of_cloud();
    operator.write("requirements.txt", "markupsafe==3.0.2\nsix==1.17.0\n");
    let request = "request requirements deployment.json cmd-merged requirements.txt --merge \
                   --runtime python3.12 --runtime python3.13 --architecture x86_64 \
                   --region us-east-1 --watch";
    let run = operator.run(request).exits(0);
    let line = "us-east-1  cmd-merged-py  Published  ";
    assert!(run.stderr.contains(line), "{run}");

    operator.write("requirements.txt", "markupsafe==3.0.3\nsix==1.17.0\n");
    let run = operator.run(&format!("{request} --format json")).exits(0);
    let requests = run.json();
    let request = &requests["Requests"][0];
    let target = &request["Targets"][0];
    assert_eq!(target["Layer"], "cmd-merged-py");
    assert_eq!(target["Status"], "Published");
    assert_eq!(target["Runtime"], json!(null));
    assert_eq!(target["Runtimes"], json!(["python3.12", "python3.13"]));
    let id = request["RequestId"].as_str().unwrap();
    let status = operator.run(&format!("status deployment.json {id}"));
    seen!("merged_status", status.exits(0));

    let at = "deployment.json us-east-1 cmd-merged-py";
    let versions = operator.run(&format!("list versions {at}")).exits(0);
    seen!("merged_versions", versions);
    let described = operator.run(&format!("describe layer-version {at} 2"));
    seen!("merged_described", described.exits(0));
    let diff = operator.run(&format!("diff {at} 1 2")).exits(0);
    seen!("merged_diff", diff);
}
