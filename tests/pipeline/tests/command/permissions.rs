//! `grant` and `revoke`.

use integration_tests::snapshot;
use serde_json::json;

use crate::{Operator, boto3};

/// Somebody who has published two versions of a layer of that name in the first region.
fn publisher(layer: &str) -> Operator {
    let operator = Operator::of_cloud();
    for number in ["1", "2"] {
        operator.write("tools/app.py", number);
        let publish = format!(
            "publish --layer {layer} --layer-path tools --runtimes python3.13 --version {number} \
             --my-account --region eu-west-1"
        );
        operator.run(&publish).exits(0);
        let revoke = format!("revoke deployment.json eu-west-1 {layer}:{number} --all");
        operator.run(&revoke).exits(0);
    }
    operator
}

#[tokio::test]
async fn what_is_granted_can_be_revoked() {
    let operator = publisher("lent");
    let run = |command: &str, who: &str| {
        operator
            .run(&format!("{command} deployment.json eu-west-1 {who}"))
            .exits(0)
    };
    let two = "lent --account 123456789012 --account 210987654321";
    snapshot!("grant", run("grant", two));
    snapshot!("grant_again", run("grant", "lent:2 --account 123456789012"));
    snapshot!(
        "grant_organization",
        run("grant", "lent --organization o-a1b2c3d4e5")
    );
    snapshot!("grant_public", run("grant", "lent --public"));
    snapshot!(
        "grant_json",
        run("grant", "lent --my-account --format json")
    );
    let quiet = run("grant", "lent --my-account --quiet");
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));

    // The version before has none of it.
    snapshot!("revoke_nothing", run("revoke", "lent:1 --public"));

    // Somebody else has granted the same by other means.
    let other = json!({
        "LayerName": "lent",
        "VersionNumber": 2,
        "StatementId": "mine",
        "Action": "lambda:GetLayerVersion",
        "Principal": "123456789012",
    });
    boto3("lambda", "add_layer_version_permission", other).await;
    snapshot!("revoke", run("revoke", "lent --account 123456789012"));
    snapshot!(
        "revoke_organization",
        run("revoke", "lent --organization o-a1b2c3d4e5 --format json")
    );
    snapshot!("revoke_public", run("revoke", "lent:2 --public"));
    snapshot!("revoke_all", run("revoke", "lent --all"));
    let everything = run("revoke", "lent --all --format json").json();
    assert_eq!(
        (&everything["Revoked"], &everything["Permissions"]),
        (&json!([]), &json!([]))
    );
}

#[tokio::test]
async fn an_organization_of_your_own() {
    let operator = publisher("ours");
    let organization = boto3("organizations", "describe_organization", json!({})).await;
    let organization = organization["Organization"]["Id"].clone();
    let grant = "grant deployment.json eu-west-1 ours --my-organization --format json";
    let granted = operator.run(grant).exits(0).json();
    let expected = json!([{"Principal": "*", "OrganizationId": organization}]);
    assert_eq!(granted["Granted"], expected);
    assert_eq!(granted["Version"], 2);
    assert_eq!(granted["Permissions"][0]["Permission"], expected[0]);
    let revoke = "revoke deployment.json eu-west-1 ours --my-organization --format json";
    let revoked = operator.run(revoke).exits(0).json();
    assert_eq!(revoked["Revoked"][0]["Permission"], expected[0]);
    assert_eq!(revoked["Permissions"], json!([]));
}

#[test]
fn what_is_not_there() {
    let operator = publisher("known");
    let run = |rest: &str| operator.run(&format!("grant deployment.json {rest} --public"));
    let unknown = run("eu-west-1 unknown");
    snapshot!("layer_unknown", unknown.fails(3, "LayerVersionUnknown"));
    let unknown = run("eu-west-1 known:3");
    snapshot!("version_unknown", unknown.fails(3, "LayerVersionUnknown"));
    run("us-east-1 known").fails(3, "LayerVersionUnknown");
    run("eu-north-1 known").fails(3, "RegionUnknown");
    snapshot!("version_odd", run("eu-west-1 known:latest").exits(2));
    let nobody = operator.run("revoke deployment.json eu-west-1 known");
    snapshot!("nobody", nobody.exits(2));
    let both = operator.run("revoke deployment.json eu-west-1 known --all --public");
    snapshot!("all_and_one", both.exits(2));
}

#[test]
fn help() {
    let operator = Operator::new("http://127.0.0.1:9".to_owned());
    for command in ["publish", "grant", "revoke"] {
        let help = operator.run(&format!("{command} --help")).exits(0);
        snapshot!(format!("{command}_help"), help);
    }
}
