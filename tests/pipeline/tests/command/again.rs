//! `request again`.

use accretion_core::request::RequestId;
use accretion_python::request::Request;
use integration_tests::Run;
use pipeline_tests::Error;

use crate::Operator;
use crate::requests::{inbox, on_cloud, pipeline};

/// The region of the dropped requests.
const REGION: &str = "eu-west-1";

/// The id of the only request that a command has dropped.
fn id(run: &Run) -> String {
    let document = run.json();
    let [dropped] = &document["Dropped"].as_array().unwrap()[..] else {
        panic!("{run}");
    };
    assert_eq!(dropped["Region"], REGION);
    dropped["RequestId"].as_str().unwrap().to_owned()
}

/// Deletes what is in the inbox below a folder.
fn empty(folder: &str) {
    on_cloud(async || {
        let stack = pipeline(REGION).await?;
        for key in inbox(REGION, folder).await?.into_keys() {
            let delete = stack.s3.delete_object().key(key);
            let delete = delete.bucket(stack.output("InboxBucketName")).send();
            delete.await.map_err(Error::aws("DeleteObject"))?;
        }
        Ok(())
    });
}

#[test]
fn a_request_is_requested_again_whatever_has_become_of_its_files() {
    let operator = Operator::of_cloud();
    operator
        .write("requirements.txt", "six==1.17.0\n")
        .write("src/mine/__init__.py", "x = 1\n");
    let command = "request requirements deployment.json cmd-again requirements.txt --include src \
                   --runtime python3.13 --region eu-west-1 --watch --format json";
    let first = operator.run(command).exits(0);
    let old = id(&first);
    for folder in ["files/cmd-again", "requests/cmd-again"] {
        empty(folder);
    }
    let command = format!("request again deployment.json {old} --watch");
    let mut run = operator.run(&command).exits(0);
    // What comes meanwhile comes in any order.
    run.stderr.clear();
    seen!("request_again", run);

    let run = operator.run(&format!("{command} --format json")).exits(0);
    assert_ne!(id(&run), old);
    let digest = |run: &Run| run.json()["Requests"][0]["Targets"][0]["Digest"].clone();
    assert_eq!(digest(&run), digest(&first));
    let found = on_cloud(async || inbox(REGION, "requests/cmd-again").await);
    let bytes = &found["requests/cmd-again/request.json"][0];
    let (request, _) = Request::from_json("request.json", bytes).unwrap();
    // The pipeline refuses what only itself names.
    assert_eq!(request.kept_files_problem(), None);
    // It can be followed later, too.
    let command = format!("request again deployment.json {} --quiet", id(&run));
    assert_eq!(operator.run(&command).exits(0).stdout, "");
}

#[test]
fn only_what_has_failed_is_requested_again() {
    let operator = Operator::of_cloud();
    let text = "six==99.0 ; python_version < '3.13'\nsix==1.17.0 ; python_version >= '3.13'\n";
    operator.write("requirements.txt", text);
    let command = "request requirements deployment.json cmd-part requirements.txt \
                   --runtime python3.12 --runtime python3.13 --region eu-west-1 --watch";
    let run = operator.run(&format!("{command} --format json")).exits(5);
    let command = format!(
        "request again deployment.json {} --failed --watch --format json",
        id(&run)
    );
    let run = operator.run(&command).exits(5);
    let document = run.json();
    let targets = document["Requests"][0]["Targets"].as_array().unwrap();
    let layers: Vec<_> = targets.iter().map(|it| &it["Layer"]).collect();
    assert_eq!(layers, ["cmd-part-py312", "cmd-part-py312-arm64"]);

    operator.write("requirements.txt", "six==1.17.0\n");
    let command = "request requirements deployment.json cmd-whole requirements.txt \
                   --runtime python3.13 --region eu-west-1 --watch";
    let run = operator.run(&format!("{command} --format json")).exits(0);
    let command = format!("request again deployment.json {} --failed", id(&run));
    seen!(
        "request_again_nothing",
        operator.run(&command).fails(3, "NothingFailed")
    );
}

#[test]
fn what_was_never_accepted_cannot_be_requested_again() {
    let operator = Operator::of_cloud();
    let unknown = "0123456789abcdef0123456789abcdef";
    for more in ["", "--failed", "--region us-east-1"] {
        let run = operator.run(&format!("request again deployment.json {unknown} {more}"));
        run.fails(3, "RequestUnknown");
    }
    let key = "requests/cmd-refused/requirements.txt";
    let rejected = on_cloud(async || {
        let stack = pipeline(REGION).await?;
        let version = stack.drop_into_inbox(key, "-e .\n").await?;
        let bucket = stack.output("InboxBucketName");
        Ok(RequestId::of_object(bucket, key, &version))
    });
    let run = operator.run(&format!("status deployment.json {rejected} --watch"));
    run.exits(5);
    let run = operator.run(&format!("request again deployment.json {rejected}"));
    seen!("request_again_rejected", run.fails(3, "RequestNotStored"));
}
