//! `init`, `add regions` and `add stack`.

use integration_tests::snapshot;

use crate::{Operator, REGIONS};

#[test]
fn a_file_is_begun_and_added_to() {
    let operator = Operator::new("http://127.0.0.1:9".to_owned());
    let run = operator
        .run("init deployment.json us-east-1 eu-west-1")
        .exits(0);
    snapshot!("init", run);
    let begun = operator.read("deployment.json");
    snapshot!("init_file", begun);

    let run = operator
        .run("init deployment.json us-east-1")
        .fails(3, "DeploymentFileExists");
    snapshot!("init_again", run);
    assert_eq!(operator.read("deployment.json"), begun);

    let run = operator
        .run("add regions deployment.json eu-west-1 us-gov-west-1")
        .exits(0);
    snapshot!("add_regions", run);
    snapshot!("add_regions_file", operator.read("deployment.json"));

    let run = operator.run("add regions missing.json eu-west-1");
    snapshot!(
        "add_regions_missing",
        run.fails(3, "DeploymentFileUnreadable")
    );
    operator.write("odd.json", r#"{"Deployments": {"nowhere": {}}}"#);
    let run = operator.run("add regions odd.json eu-west-1");
    snapshot!("add_regions_odd", run.fails(3, "DeploymentFileInvalid"));
    let run = operator.run("add regions deployment.json Ireland").exits(2);
    snapshot!("add_regions_unknown", run);
}

#[test]
fn a_stack_of_sam_deploy_is_adopted() {
    let operator = Operator::of_cloud();
    for region in REGIONS {
        let run = operator.run(&format!("add stack other.json {region} accretion"));
        run.fails(3, "DeploymentFileUnreadable");
    }
    operator.run("init other.json eu-west-1").exits(0);
    for region in REGIONS {
        operator
            .run(&format!("add stack other.json {region} accretion"))
            .exits(0);
    }
    let read = |name| serde_json::from_str::<serde_json::Value>(&operator.read(name)).unwrap();
    assert_eq!(read("other.json"), read("deployment.json"));
    // Once more is nothing new.
    operator
        .run("add stack other.json eu-west-1 accretion")
        .exits(0);

    let run = operator
        .run("add stack other.json eu-west-1 mine")
        .fails(3, "RegionTaken");
    snapshot!("add_stack_taken", run);
    let run = operator
        .run("add stack other.json eu-north-1 accretion")
        .fails(3, "StackMissing");
    snapshot!("add_stack_missing", run);
    assert_eq!(read("other.json"), read("deployment.json"));

    // The bucket of the SAM CLI is a stack, too, and none of ours.
    operator.run("init third.json eu-west-1").exits(0);
    let begun = operator.read("third.json");
    let run = operator.run("add stack third.json eu-west-1 aws-sam-cli-managed-default");
    snapshot!("add_stack_foreign", run.fails(3, "OutputMissing"));
    assert_eq!(operator.read("third.json"), begun);
}
