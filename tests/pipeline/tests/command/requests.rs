//! `request`, `status` and `list requests`.

use std::collections::{BTreeMap, HashMap};
use std::io::Read as _;
use std::process::Child;
use std::time::{Duration, Instant};

use accretion_core::request::RequestId;
use accretion_python::request::Request;
use aws_sdk_cloudformation::types::StackStatus;
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
use integration_tests::Run;
use pipeline_tests::testbed::STACK;
use pipeline_tests::{Error, Result, Stack};
use serde_json::{Value, json};

use crate::{Operator, REGIONS, cloud};

/// The options of a request for one layer.
const ONE: &str = "--runtime python3.13 --architecture x86_64";

/// Runs something against the server.
#[track_caller]
pub(crate) fn on_cloud<T>(work: impl AsyncFnOnce() -> Result<T>) -> T {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let outcome = runtime.block_on(work());
    outcome.unwrap_or_else(|error| panic!("{error}"))
}

/// The pipeline in a region.
pub(crate) async fn pipeline(region: &str) -> Result<Stack> {
    Stack::connect_in(region, &cloud().server.endpoint(), STACK).await
}

/// The objects below a folder of a region's inbox: versions by key, the newest first.
pub(crate) async fn inbox(region: &str, folder: &str) -> Result<BTreeMap<String, Vec<Vec<u8>>>> {
    let stack = pipeline(region).await?;
    let bucket = stack.output("InboxBucketName");
    let list = stack.s3.list_object_versions().bucket(bucket);
    let listed = list.prefix(format!("{folder}/")).send().await;
    let listed = listed.map_err(Error::aws("ListObjectVersions"))?;
    let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for version in listed.versions() {
        let key = version.key().unwrap_or_default();
        let get = stack.s3.get_object().bucket(bucket).key(key);
        let get = get.version_id(version.version_id().unwrap_or_default());
        let object = get.send().await.map_err(Error::aws("GetObject"))?;
        let bytes = object.body.collect().await.unwrap().to_vec();
        found.entry(key.to_owned()).or_default().push(bytes);
    }
    Ok(found)
}

/// The ids of the requests that a command has dropped, by region.
fn dropped(run: &Run) -> BTreeMap<String, String> {
    let document = run.json();
    let dropped = document["Dropped"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    dropped
        .map(|it| (text(&it["Region"]), text(&it["RequestId"])))
        .collect()
}

/// Only what is on standard output: what comes meanwhile comes in any order.
fn end(mut run: Run) -> Run {
    run.stderr.clear();
    run
}

#[test]
fn requirements_are_requested_and_followed_in_all_regions() {
    let operator = Operator::of_cloud();
    operator.write("requirements.txt", "six==1.17.0\n");
    let command =
        format!("request requirements deployment.json cmd-follow requirements.txt {ONE} --watch");
    let run = operator.run(&command).exits(0);
    for region in REGIONS {
        let line = format!("{region}  cmd-follow-py313  Published  ");
        assert!(run.stderr.contains(&line), "{run}");
    }
    seen!("request_watch", end(run));

    // The same once more changes nothing, and is a request of its own.
    let run = operator.run(&format!("{command} --region us-east-1"));
    seen!("request_watch_unchanged", end(run.exits(0)));
    let run = operator.run(&format!("{command} --format json")).exits(0);
    assert_eq!(run.stderr, "");
    seen!("request_watch_json", run);
    let run = operator.run(&format!("{command} --quiet")).exits(0);
    assert_eq!((&*run.stdout, &*run.stderr), ("", ""));

    let ids: Vec<_> = dropped(&operator.run(&format!("{command} --format json")))
        .into_values()
        .collect();
    let run = operator.run(&format!("status deployment.json {}", ids.join(" ")));
    let run = run.exits(0);
    let quiet = format!("status deployment.json {} --quiet", ids.join(" "));
    // It is what was asked for.
    assert_eq!(operator.run(&quiet).exits(0).stdout, run.stdout);
    seen!("status", run);
    let command = format!("status deployment.json {} --format json", ids[1]);
    let run = operator.run(&command).exits(0);
    seen!("status_json", run);
    let command = format!("status deployment.json {} --region eu-west-1", ids[1]);
    operator.run(&command).fails(3, "RequestUnknown");
}

#[test]
fn a_file_that_says_everything_is_dropped_as_it_is() {
    let operator = Operator::of_cloud();
    let text = "# Pinned.\nsix == 1.17.0 \\\n  # not more\n";
    operator.write("in/reqs.txt", text);
    let run = operator.run("request requirements deployment.json cmd-bare in/reqs.txt");
    seen!("request_bare", run.exits(0));
    for region in REGIONS {
        let found = on_cloud(async || inbox(region, "requests/cmd-bare").await);
        let key = "requests/cmd-bare/requirements.txt".to_owned();
        assert_eq!(found, [(key, vec![text.into()])].into());
    }
    let lock = "lock-version = \"1.0\"\ncreated-by = \"us\"\npackages = []\n";
    operator.write("in/pylock.dev.toml", lock);
    let command = "request requirements deployment.json cmd-lock in/pylock.dev.toml";
    let run = operator.run(&format!("{command} --region eu-west-1 --format json"));
    let run = run.exits(0);
    let key = run.json()["Dropped"][0]["S3Key"].clone();
    assert_eq!(key, "requests/cmd-lock/pylock.toml");
    let found = on_cloud(async || inbox("eu-west-1", "requests/cmd-lock").await);
    assert_eq!(found[key.as_str().unwrap()], [lock.as_bytes()]);
    // Whatever a lock of a script is called, the pipeline knows it by its format.
    operator.write("in/report.py.lock", "version = 1\n");
    let command = "request requirements deployment.json cmd-uv in/report.py.lock";
    let run = operator.run(&format!("{command} --region eu-west-1 --format json"));
    let run = run.exits(0);
    assert_eq!(run.json()["Dropped"][0]["S3Key"], "requests/cmd-uv/uv.lock");
}

#[test]
fn a_lock_file_that_needs_its_project_becomes_a_request() {
    let operator = Operator::of_cloud();
    let project = "[tool.poetry.dependencies]\npython = \"*\"\n";
    operator
        .write("in/poetry.lock", "[metadata]\nlock-version = \"2.0\"\n")
        .write("in/pyproject.toml", project);
    let command = "request requirements deployment.json cmd-poetry in/poetry.lock";
    let run = operator.run(&format!("{command} --region eu-west-1 --format json"));
    let run = run.exits(0);
    let key = "requests/cmd-poetry/request.json";
    assert_eq!(run.json()["Dropped"][0]["S3Key"], key);
    let found = on_cloud(async || inbox("eu-west-1", "requests/cmd-poetry").await);
    let request: serde_json::Value = serde_json::from_slice(&found[key][0]).unwrap();
    assert_eq!(request["Requirements"]["Project"], project);
}

#[test]
fn a_file_that_leans_on_others_becomes_a_request() {
    let operator = Operator::of_cloud();
    operator
        .write(
            "in/requirements.txt",
            "-r more.txt\n-c constraints.txt\nsix\n",
        )
        .write("in/more.txt", "idna==3.10\n")
        .write("in/constraints.txt", "six==1.16.0\n");
    let command = "request requirements deployment.json cmd-include in/requirements.txt";
    let run = operator.run(&format!("{command} {ONE} --watch --region eu-west-1"));
    let run = run.exits(0);
    assert!(run.stdout.contains("Published"), "{run}");
    let found = on_cloud(async || inbox("eu-west-1", "requests/cmd-include").await);
    let request = &found["requests/cmd-include/request.json"][0];
    seen!(
        "request_of_includes",
        String::from_utf8(request.clone()).unwrap()
    );

    // As the command builds it here.
    let build = format!("build in/requirements.txt --name cmd-include {ONE}");
    operator.run(&build).exits(0);
    let local: Value =
        serde_json::from_str(&operator.read("layers/cmd-include-py313.manifest")).unwrap();
    let id = &dropped(&operator.run(&format!(
        "{command} {ONE} --watch --region eu-west-1 --format json"
    )))["eu-west-1"];
    let run = operator.run(&format!("status deployment.json {id} --format json"));
    assert_eq!(
        run.json()["Requests"][0]["Targets"][0]["Digest"],
        local["Digest"]
    );
}

#[test]
fn files_and_a_project_of_ones_own_are_uploaded_first() {
    let operator = Operator::of_cloud();
    operator
        .write("in/requirements.txt", "idna==3.10\n")
        .write("src/mine/__init__.py", "x = 1\n")
        .write("src/.env", "secret\n")
        .write(
            "app/pyproject.toml",
            "[build-system]\nrequires = [\"uv_build>=0.9\"]\nbuild-backend = \"uv_build\"\n\n\
             [project]\nname = \"cmd-app\"\nversion = \"1.0\"\ndependencies = [\"six==1.17.0\"]\n",
        )
        .write("app/src/cmd_app/__init__.py", "x = 2\n");
    let own = "--include src --project app --prune idna/uts46data.py";
    let command = format!("request requirements deployment.json cmd-own in/requirements.txt {ONE}");
    let run = operator.run(&format!(
        "{command} {own} --watch --region eu-west-1 --format json"
    ));
    let run = run.exits(0);
    let found = on_cloud(async || inbox("eu-west-1", "files/cmd-own").await);
    assert_eq!(found.len(), 2, "{found:?}");
    let found = on_cloud(async || inbox("eu-west-1", "requests/cmd-own").await);
    let request = &found["requests/cmd-own/request.json"][0];
    let request: Value = serde_json::from_slice(request).unwrap();
    assert_eq!(
        request["Requirements"]["Requirements"],
        "idna==3.10\nsix==1.17.0\n"
    );
    assert_eq!(request["Files"].as_array().unwrap().len(), 2, "{request}");

    // As the command builds it here.
    let build = format!("build in/requirements.txt --name cmd-own {ONE} {own}");
    operator.run(&build).exits(0);
    let local = operator.read("layers/cmd-own-py313.manifest");
    let local: Value = serde_json::from_str(&local).unwrap();
    let installed = local["Installed"].as_array().unwrap().iter();
    let names: Vec<_> = installed.map(|it| it["Name"].as_str().unwrap()).collect();
    assert_eq!(names, ["cmd-app", "idna", "six"]);
    let id = &dropped(&run)["eu-west-1"];
    let run = operator.run(&format!("status deployment.json {id} --format json"));
    let digest = &run.json()["Requests"][0]["Targets"][0]["Digest"];
    assert_eq!(*digest, local["Digest"]);
}

#[test]
fn a_request_is_dropped_to_the_byte() {
    let operator = Operator::of_cloud();
    let text = "{\n  \"Name\": \"cmd-raw\", \"Language\": \"Python\",\n  \"Runtimes\": [\"python3.13\"], \
                \"Architectures\": [\"arm64\"],\n  \"Requirements\": {\"Type\": \"accretion\", \
                \"Requirements\": [{\"Name\": \"six\", \"Details\": \"==1.17.0\"}]}}\n\n";
    operator.write("mine.json", text);
    let run = operator.run("request raw deployment.json mine.json --format json --watch");
    let run = run.exits(0);
    let documents = run.json();
    for (request, region) in documents["Requests"]
        .as_array()
        .unwrap()
        .iter()
        .zip(REGIONS)
    {
        assert_eq!(request["Region"], region);
        assert_eq!(request["Targets"][0]["Status"], "Published", "{run}");
        let found = on_cloud(async || inbox(region, "requests/cmd-raw").await);
        assert_eq!(found["requests/cmd-raw/request.json"], [text.as_bytes()]);
    }
    for dropped in documents["Dropped"].as_array().unwrap() {
        let text = |name: &str| dropped[name].as_str().unwrap();
        let id = RequestId::of_object(text("S3Bucket"), text("S3Key"), text("S3VersionId"));
        assert_eq!(dropped["RequestId"], id.as_str());
    }
}

#[test]
fn what_has_problems_is_dropped_nowhere() {
    let operator = Operator::of_cloud();
    operator
        .write("requirements.txt", "six\n-e .\n")
        .write("request.json", "{\"Name\": \"cmd-faulty\", \"Language\": \"cobol\"}")
        .write("pylock.toml", "lock-version = \"1.0\"\ncreated-by = \"us\"\nrequires-python = \"<3\"\npackages = []\n")
        .write("sound.txt", "six\n")
        .write("uv.lock", "version = 2\n")
        .write("pyproject.toml", "[project]\n");
    let run = operator.run("request requirements deployment.json cmd-faulty requirements.txt");
    seen!("request_faulty", run.exits(3));
    let run = operator.run("request raw deployment.json request.json --format json");
    let run = run.exits(3);
    assert_eq!(run.json()["Error"]["Code"], "InputInvalid");
    assert_eq!(run.json()["Problems"][1]["Code"], "LanguageUnsupported");
    // A lock file is held against every target, as the pipeline would.
    let run = operator.run("request requirements deployment.json cmd-faulty pylock.toml");
    assert_eq!(run.exits(3).codes()[0], "LockMismatch");

    let run = operator.run("request raw deployment.json sound.txt");
    seen!("request_raw_txt", run.fails(3, "InputKindUnexpected"));
    operator.write("sound.json", "{\"Name\": \"cmd-faulty\"}");
    let run = operator.run("request requirements deployment.json cmd-faulty sound.json");
    seen!(
        "request_requirements_json",
        run.fails(3, "InputKindUnexpected")
    );
    let run = operator.run("request requirements deployment.json cmd-faulty uv.lock");
    run.fails(3, "LockInvalid");
    let run = operator.run("request requirements deployment.json cmd-faulty pyproject.toml");
    run.fails(3, "InputAmbiguous");
    let run = operator.run("request requirements deployment.json cmd-faulty missing.txt");
    run.fails(3, "InputUnreadable");
    let run = operator.run("request requirements deployment.json no/name sound.txt");
    assert!(run.exits(2).stderr.contains("a project name has"));
    for region in REGIONS {
        let found = on_cloud(async || inbox(region, "requests/cmd-faulty").await);
        assert!(found.is_empty(), "{found:?}");
    }
}

#[test]
fn what_an_operator_does_not_allow_is_dropped_nowhere() {
    let operator = Operator::of_cloud();
    let parameter = |default: &str| json!({"Type": "String", "Default": default});
    let template = json!({
        "Parameters": {
            "AllowedPermissions": parameter("444455556666"),
            "ProjectFromKey": parameter("true"),
        },
        "Resources": {"Bucket": {
            "Type": "AWS::S3::Bucket",
            "Properties": {
                "BucketName": "cmd-owned-inbox",
                "VersioningConfiguration": {"Status": "Enabled"},
            },
        }},
        "Outputs": {
            "InboxBucketName": {"Value": {"Ref": "Bucket"}},
            "RequestsTableName": {"Value": "none"},
        },
    });
    on_cloud(async || create("eu-west-1", "cmd-owned", &template).await);
    let deployments = json!({"Deployments": {
        "eu-west-1": {"Core": "cmd-owned"},
        "us-east-1": {"Core": STACK},
    }});
    operator.write("owned.json", deployments.to_string());
    let write = |permissions: &[&str], file: &str| {
        let permissions = permissions.iter().map(|it| json!({"Principal": it}));
        let request = json!({
            "Name": "cmd-owned",
            "Language": "python",
            "Requirements": {"Type": "requirements.txt", "Requirements": "six==1.17.0\n"},
            "Permissions": permissions.collect::<Vec<_>>(),
            "Files": [{"Key": file}],
        });
        operator.write("request.json", request.to_string());
    };
    write(&["111122223333", "*"], "files/other/src.zip");
    let run = operator.run("request raw owned.json request.json");
    seen!("request_not_admitted", run.fails(3, "RequestNotAdmitted"));
    for (permissions, file) in [
        (&["111122223333"], "files/cmd-owned/src.zip"),
        (&["444455556666"], "files/src.zip"),
    ] {
        write(permissions, file);
        let run = operator.run("request raw owned.json request.json");
        run.fails(3, "RequestNotAdmitted");
    }
    let dropped = async || {
        let list = pipeline("eu-west-1").await?.s3.list_objects_v2();
        let listed = list.bucket("cmd-owned-inbox").send().await;
        let listed = listed.map_err(Error::aws("ListObjectsV2"))?;
        Ok(listed.contents().len())
    };
    assert_eq!(on_cloud(dropped), 0);
    for region in REGIONS {
        let found = on_cloud(async || inbox(region, "requests/cmd-owned").await);
        assert!(found.is_empty(), "{found:?}");
    }

    // The account itself, and one that is named.
    write(&["000000000000", "444455556666"], "files/cmd-owned/src.zip");
    let run = operator.run("request raw owned.json request.json --region eu-west-1");
    run.exits(0);
    assert_eq!(on_cloud(dropped), 1);
}

#[test]
fn one_region_that_fails_stops_no_other() {
    let operator = Operator::of_cloud();
    operator.write("requirements.txt", "six==1.17.0\n");
    let mut file: Value = serde_json::from_str(&operator.read("deployment.json")).unwrap();
    let regions = file["Deployments"].as_object_mut().unwrap();
    regions.remove("us-east-1");
    regions.insert("eu-north-1".to_owned(), json!({"Core": "accretion"}));
    regions.insert("us-west-2".to_owned(), json!({}));
    operator.write("some.json", file.to_string());
    let command = format!("request requirements some.json cmd-some requirements.txt {ONE}");
    let run = operator.run(&format!("{command} --watch")).exits(3);
    assert_eq!(run.codes(), ["StackMissing", "NotDeployed"], "{run}");
    assert!(run.stdout.contains("Published"), "{run}");
    let run = operator.run(&format!("{command} --format json")).exits(3);
    let document = run.json();
    seen!("request_some_json", run);
    let id = document["Dropped"][0]["RequestId"].as_str().unwrap();
    // Where it is known, others don't matter.
    operator
        .run(&format!("status some.json {id} --watch"))
        .exits(0);
    let unknown = "0123456789abcdef0123456789abcdef";
    let run = operator.run(&format!("status some.json {unknown}"));
    assert_eq!(run.exits(3).codes(), ["StackMissing"]);
    operator.run("init none.json eu-west-1").exits(0);
    let run = operator.run(&format!("status none.json {unknown}"));
    run.fails(3, "NotDeployed");
    operator.write("empty.json", "{\"Deployments\": {}}");
    let run = operator.run("request requirements empty.json cmd-some requirements.txt");
    seen!("request_nowhere", run.fails(3, "RegionsMissing"));
    let run = operator.run(&format!("{command} --region eu-west-3"));
    run.fails(3, "RegionUnknown");
}

#[test]
fn what_fails_in_the_cloud_fails_the_command() {
    let operator = Operator::of_cloud();
    operator.write("requirements.txt", "six==99.0\n");
    let command = "request requirements deployment.json cmd-failing requirements.txt \
                   --runtime python3.13 --region us-east-1 --watch";
    let run = operator.run(command).exits(5);
    assert_eq!(run.codes(), ["RequirementsUnsatisfiable"]);
    let mut run = run;
    let said = run.stderr.find("error[").unwrap();
    run.stderr.drain(..said);
    seen!("request_failing", run);
    let run = operator.run(&format!("{command} --format json")).exits(5);
    let target = &run.json()["Requests"][0]["Targets"][0];
    assert_eq!(target["Status"], "Failed");
    assert_eq!(target["Code"], "RequirementsUnsatisfiable");
    assert!(target["Hint"].is_string() && target["VersionArn"].is_null());
}

#[test]
fn a_rejected_request_says_why() {
    let operator = Operator::of_cloud();
    let key = "teams/cmd-rejected/requirements.txt";
    let text = "six==1.17.0\n-e .\nnot a requirement\n";
    let id = on_cloud(async || {
        let stack = pipeline("eu-west-1").await?;
        let version = stack.drop_into_inbox(key, text).await?;
        let bucket = stack.output("InboxBucketName");
        Ok(RequestId::of_object(bucket, key, &version))
    });
    let command = format!("status deployment.json {id} --watch");
    let run = operator.run(&command).exits(5);
    seen!("status_rejected", run);
    let run = operator.run(&format!("{command} --format json")).exits(5);
    seen!("status_rejected_json", run);
}

#[test]
fn what_nobody_knows_is_said_so() {
    let operator = Operator::of_cloud();
    let id = "0123456789abcdef0123456789abcdef";
    let run = operator.run(&format!("status deployment.json {id}"));
    seen!("status_unknown", run.fails(3, "RequestUnknown"));
    let run = operator.run(&format!("status deployment.json {id} --format json"));
    seen!("status_unknown_json", run.exits(3));
    let run = operator.run("status deployment.json mine").exits(2);
    assert!(run.stderr.contains("is not the id of a request"), "{run}");
}

/// A stack with nothing but a table of requests, which is this test's own.
async fn table_stack(region: &str, name: &str) -> Result<(Stack, String)> {
    let template = json!({
        "Resources": {"Table": {
            "Type": "AWS::DynamoDB::Table",
            "Properties": {
                "TableName": name,
                "BillingMode": "PAY_PER_REQUEST",
                "AttributeDefinitions": [
                    {"AttributeName": "RequestId", "AttributeType": "S"},
                    {"AttributeName": "Item", "AttributeType": "S"},
                ],
                "KeySchema": [
                    {"AttributeName": "RequestId", "KeyType": "HASH"},
                    {"AttributeName": "Item", "KeyType": "RANGE"},
                ],
            },
        }},
        "Outputs": {"RequestsTableName": {"Value": {"Ref": "Table"}}},
    });
    let stack = create(region, name, &template).await?;
    let table = stack.output("RequestsTableName").to_owned();
    Ok((stack, table))
}

/// Creates a stack, and waits until it is there.
async fn create(region: &str, name: &str, template: &Value) -> Result<Stack> {
    let config = cloud().server.configuration().to_builder();
    let config = config.region(aws_config::Region::new(region.to_owned()));
    let cloudformation = aws_sdk_cloudformation::Client::new(&config.build());
    let create = cloudformation.create_stack().stack_name(name);
    let create = create.template_body(template.to_string()).send().await;
    create.map_err(Error::aws("CreateStack"))?;
    let start = Instant::now();
    loop {
        let describe = cloudformation.describe_stacks().stack_name(name).send();
        let answer = describe.await.map_err(Error::aws("DescribeStacks"))?;
        let status = answer.stacks().first().and_then(|it| it.stack_status());
        if status == Some(&StackStatus::CreateComplete) {
            break;
        }
        assert!(start.elapsed() < Duration::from_mins(1), "{answer:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Stack::connect_in(region, &cloud().server.endpoint(), name).await
}

/// An item with these members.
fn item(id: &str, item: &str, rest: &Value) -> HashMap<String, AttributeValue> {
    let mut rest = rest.clone();
    rest["RequestId"] = id.into();
    rest["Item"] = item.into();
    let AttributeValue::M(item) = attribute(&rest) else {
        panic!("{rest}");
    };
    item
}

fn attribute(value: &Value) -> AttributeValue {
    match value {
        Value::String(text) => AttributeValue::S(text.clone()),
        Value::Array(list) => AttributeValue::L(list.iter().map(attribute).collect()),
        Value::Object(map) => {
            let members = map.iter();
            AttributeValue::M(
                members
                    .map(|(name, it)| (name.clone(), attribute(it)))
                    .collect(),
            )
        }
        other => panic!("{other}"),
    }
}

async fn put(stack: &Stack, table: &str, id: &str, slug: &str, rest: Value) -> Result<()> {
    let put = stack.dynamodb.put_item().table_name(table);
    let put = put.set_item(Some(item(id, slug, &rest))).send().await;
    put.map_err(Error::aws("PutItem")).map(|_| ())
}

fn id(number: u32) -> String {
    RequestId::of_message(&number.to_string()).to_string()
}

async fn put_request(stack: &Stack, table: &str, number: u32, statuses: &[&str]) -> Result<()> {
    let time = format!("2026-11-20T10:{:02}:{:02}.000Z", number / 60, number % 60);
    let request = json!({
        "ProjectName": format!("project-{number}"),
        "Status": "Received",
        "ReceivedAt": time,
        "UpdatedAt": time,
        "Source": {"S3Bucket": "inbox", "S3Key": format!("requests/project-{number}/request.json"),
                   "S3VersionId": "v1"},
    });
    let mut items = vec![item(&id(number), "request", &request)];
    let slugs = ["py312", "py312-arm64", "py313", "py313-arm64", "py314"];
    for (status, slug) in statuses.iter().zip(slugs) {
        let mut target = json!({
            "ProjectName": format!("project-{number}"),
            "LayerName": format!("project-{number}-{slug}"),
            "Status": status,
            "ReceivedAt": time,
            "UpdatedAt": "2026-11-20T10:30:00.000Z",
        });
        if *status == "Failed" {
            target["Code"] = "WheelNotFound".into();
            target["Reason"] = "there is none".into();
            target["Hint"] = "make one".into();
        }
        if *status == "Waiting" {
            target["Code"] = "UpstreamUnavailable".into();
            target["Reason"] = "example.com did not answer\nat all".into();
            target["NextAttemptAt"] = "2026-11-20T10:45:00.250Z".into();
        }
        items.push(item(&id(number), slug, &target));
    }
    // All at once, as the pipeline does it.
    let mut transact = stack.dynamodb.transact_write_items();
    for item in items {
        let put = Put::builder().table_name(table).set_item(Some(item));
        let write = TransactWriteItem::builder().put(put.build().unwrap());
        transact = transact.transact_items(write.build());
    }
    let written = transact.send().await;
    written
        .map_err(Error::aws("TransactWriteItems"))
        .map(|_| ())
}

#[test]
fn requests_are_listed_from_all_pages() {
    /// More than the 1 MiB that a page has, in each part of the table that is read.
    const LARGE: u32 = 60;
    let operator = Operator::of_cloud();
    let file = json!({"Deployments": {"eu-central-1": {"Core": "listed"}}});
    operator.write("listed.json", file.to_string());
    let list = "list requests listed.json eu-central-1";
    let (stack, table) = on_cloud(async || table_stack("eu-central-1", "listed").await);
    let run = operator.run(list).exits(0);
    assert_eq!(run.stdout, "");
    assert_eq!(run.stderr, "no requests found in eu-central-1\n");

    on_cloud(async || {
        let (stack, table) = (
            Stack::connect_in("eu-central-1", &cloud().server.endpoint(), &stack.name).await?,
            &table,
        );
        put_request(&stack, table, 1, &["Published"; 5]).await?;
        put_request(&stack, table, 2, &["Failed", "Unchanged", "Unchanged"]).await?;
        let statuses = ["Built", "Building", "Published", "Waiting"];
        put_request(&stack, table, 3, &statuses).await?;
        put_request(&stack, table, 4, &["Superseded"]).await?;
        put_request(&stack, table, 5, &["Received", "Received"]).await?;
        let message = json!({
            "Status": "Rejected",
            "ReceivedAt": "2026-11-20T10:00:06.000Z",
            "UpdatedAt": "2026-11-20T10:00:06.000Z",
            "Source": {"MessageId": "m-6"},
            "Reason": "error[JsonInvalid]: no\n\n1 error\n",
            "Codes": ["JsonInvalid"],
        });
        put(&stack, table, &id(6), "request", message).await?;
        // A restored table may have lost the request.
        let alone = json!({
            "ProjectName": "project-7",
            "LayerName": "project-7-py313",
            "Status": "Published",
            "ReceivedAt": "2026-11-20T10:00:07.000Z",
            "UpdatedAt": "2026-11-20T10:00:08.000Z",
            "VersionArn": "arn:aws:lambda:eu-central-1:000000000000:layer:project-7-py313:1",
        });
        put(&stack, table, &id(7), "py313", alone).await?;
        Ok(())
    });
    let run = operator.run(list).exits(0);
    let quiet = operator.run(&format!("{list} --quiet")).exits(0);
    assert_eq!(quiet.stdout, run.stdout);
    operator.run(&format!("{list} --limit 0")).exits(2);
    assert_eq!(run.stderr, "");
    seen!("list_requests", run);
    let run = operator.run(&format!("{list} --limit 2 --format json"));
    seen!("list_requests_json", run.exits(0));
    let command = format!("status listed.json {} {}", id(3), id(7));
    seen!("status_under_way", operator.run(&command).exits(0));
    let run = operator.run(&format!("{command} --format json")).exits(0);
    let waiting = &run.json()["Requests"][0]["Targets"][3];
    assert_eq!(waiting["NextAttemptAt"], "2026-11-20T10:45:00.250Z");
    assert_eq!(waiting["Code"], "UpstreamUnavailable");

    on_cloud(async || {
        let stack = Stack::connect_in("eu-central-1", &cloud().server.endpoint(), "listed").await?;
        for number in 0..LARGE {
            let time = format!("2026-11-21T10:00:{number:02}.000Z");
            let large = json!({
                "Status": "Rejected",
                "ReceivedAt": time,
                "UpdatedAt": time,
                "Source": {"MessageId": format!("m-{number}")},
                "Reason": "x".repeat(350_000),
                "Codes": [],
            });
            put(&stack, &table, &id(1000 + number), "request", large).await?;
        }
        let odd = json!({"Status": "Odd", "ReceivedAt": "never", "UpdatedAt": "ever"});
        put(&stack, &table, &id(2000), "request", odd).await
    });
    let run = operator.run(list).exits(0);
    assert_eq!(run.stdout.lines().count(), 1 + 7 + LARGE as usize, "{run}");
    let times = run.stdout.lines().skip(1);
    let times: Vec<_> = times.filter_map(|line| line.split(' ').next()).collect();
    assert!(times.is_sorted_by(|one, other| one >= other), "{times:?}");
    seen!("list_requests_odd", &run.stderr);
    let run = operator.run(&format!("{list} --limit 3")).exits(0);
    let times: Vec<_> = run.stdout.lines().skip(1).map(|line| &line[..20]).collect();
    assert_eq!(
        times,
        [
            "2026-11-21T10:00:59Z",
            "2026-11-21T10:00:58Z",
            "2026-11-21T10:00:57Z"
        ]
    );
}

#[test]
fn a_request_is_waited_for_until_it_is_received() {
    let operator = Operator::of_cloud();
    let file = json!({"Deployments": {"eu-west-2": {"Core": "waited"}}});
    operator.write("waited.json", file.to_string());
    let (_, table) = on_cloud(async || table_stack("eu-west-2", "waited").await);
    let command = format!("status waited.json {} --watch", id(1));
    let mut child = operator.command(command.split(' ')).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(1));
    assert!(child.try_wait().unwrap().is_none(), "it has not waited");
    let write = |statuses: &[&str]| {
        on_cloud(async || {
            let endpoint = cloud().server.endpoint();
            let stack = Stack::connect_in("eu-west-2", &endpoint, "waited").await?;
            put_request(&stack, &table, 1, statuses).await
        });
    };
    write(&["Building", "Failed"]);
    let lines = [line(&mut child), line(&mut child)];
    assert_eq!(
        lines,
        [
            "eu-west-2  project-1-py312        Building\n",
            "eu-west-2  project-1-py312-arm64  Failed  29 min 59 s\n"
        ]
    );
    write(&["Waiting", "Failed"]);
    let waits =
        "Waiting until 2026-11-20T10:45:00Z: UpstreamUnavailable: example.com did not answer";
    assert_eq!(
        line(&mut child),
        format!("eu-west-2  project-1-py312        {waits}\n")
    );
    write(&["Building", "Failed"]);
    assert_eq!(line(&mut child), lines[0]);
    write(&["Published", "Failed"]);
    let output = child.wait_with_output().unwrap();
    let run = Run::of(&output, &operator.path("")).exits(5);
    seen!("status_watched", run);
}

/// The next line that a command says to people, byte by byte: what comes after it is for others.
#[track_caller]
fn line(child: &mut Child) -> String {
    let (mut line, mut byte) = (Vec::new(), [0]);
    let stderr = child.stderr.as_mut().unwrap();
    while !line.ends_with(b"\n") && stderr.read(&mut byte).unwrap() == 1 {
        line.extend(byte);
    }
    String::from_utf8(line).unwrap()
}

/// Work in AWS continues after the command.
#[test]
fn ctrl_c_says_what_goes_on() {
    let operator = Operator::of_cloud();
    let file = json!({"Deployments": {"eu-west-3": {"Core": "left"}}});
    operator.write("left.json", file.to_string());
    on_cloud(async || {
        let (stack, table) = table_stack("eu-west-3", "left").await?;
        put_request(&stack, &table, 1, &["Building"]).await
    });
    let command = format!("status left.json {} --watch", id(1));
    let mut child = operator.command(command.split(' ')).spawn().unwrap();
    assert_eq!(line(&mut child), "eu-west-3  project-1-py312  Building\n");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    let run = Run::of(&output, &operator.path("")).exits(130);
    seen!("status_interrupted", run);
}

/// The pipeline reads the dropped request as the command has checked it.
#[test]
fn a_dropped_request_is_the_one_that_was_checked() {
    let operator = Operator::of_cloud();
    let text = "requests[socks]==2.32.5 ; python_version >= '3.9'\n";
    operator.write("requirements.txt", text);
    let command = "request requirements deployment.json cmd-checked requirements.txt \
                   --region us-east-1 --architecture arm64 --allow-source-distributions";
    operator.run(command).exits(0);
    let found = on_cloud(async || inbox("us-east-1", "requests/cmd-checked").await);
    let bytes = &found["requests/cmd-checked/request.json"][0];
    let (request, _) = Request::from_json("request.json", bytes).unwrap();
    assert!(request.input.allow_source_distributions);
    assert_eq!(request.targets.iter().count(), 4);
    assert_eq!(request.name.as_str(), "cmd-checked");
}
