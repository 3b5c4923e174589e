//! The whole way of those who run pipelines: from nothing to layers in two regions, through a change
//! and a failure, and back to nothing.

use std::path::Path;

use integration_tests::Run;
use pipeline_tests::testbed::STACK;
use pipeline_tests::{MiniStack, Options, Result, Stack, boto3, sam};
use serde_json::{Value, json};

use crate::redrive::{change, give_up_soon, letters};
use crate::{Operator, REGIONS};

/// Somebody on the way.
struct Traveller {
    operator: Operator,
    template: std::path::PathBuf,
}

impl Traveller {
    #[track_caller]
    fn run(&self, arguments: &str) -> Run {
        let mut command = self.operator.command(arguments.split_whitespace());
        command
            .env("ACCRETION_TEMPLATE", &self.template)
            .env("SAM_CLI_POLL_DELAY", "0.2");
        self.operator.finish(command)
    }

    /// Runs a command that succeeds, and shows what comes of it. What is said meanwhile comes in any
    /// order.
    #[track_caller]
    fn step(&self, name: &str, arguments: &str) {
        let mut run = self.run(arguments).exits(0);
        run.stderr.clear();
        seen!(
            format!("journey_{name}"),
            format!("$ accretion {arguments}\n{run}")
        );
    }
}

#[test]
fn from_nothing_to_layers_and_back() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("journey");
    let log = folder.join("ministack.log");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let outcome = runtime.block_on(async {
        let server = MiniStack::start(&log, &Options::default())?;
        travel(&server).await
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

async fn travel(server: &MiniStack) -> Result<()> {
    let traveller = Traveller {
        operator: Operator::new(server.endpoint()),
        template: sam::built().await?,
    };
    let file = |text: &str| {
        traveller.operator.write("requirements.txt", text);
    };
    traveller.step("01_init", "init deployment.json eu-west-1 us-east-1");
    traveller.step("02_update", "update all deployment.json --config-env local");

    file("six==1.16.0\nidna==3.6\n");
    let request = "request requirements deployment.json tools requirements.txt \
                   --runtime python3.13 --watch";
    traveller.step("03_request", request);
    traveller.step(
        "04_layers",
        "list layers deployment.json us-east-1 --runtime python3.13",
    );
    let describe = "describe layer-version deployment.json us-east-1 tools-py313 1";
    traveller.step("05_describe", describe);

    file("six==1.17.0\ncertifi==2024.2.2\n");
    traveller.step("06_request_changed", request);
    traveller.step(
        "07_versions",
        "list versions deployment.json eu-west-1 tools-py313",
    );
    traveller.step("08_diff", "diff deployment.json eu-west-1 tools-py313 1 2");

    let account = "grant deployment.json eu-west-1 tools-py313:2 --account 123456789012";
    traveller.step("09_grant_account", account);
    let organization = "grant deployment.json eu-west-1 tools-py313:2 --organization o-a1b2c3d4e5";
    traveller.step("10_grant_organization", organization);
    let describe = "describe layer-version deployment.json eu-west-1 tools-py313 2";
    traveller.step("11_describe_shared", describe);

    let stack = Stack::connect(&server.endpoint(), STACK).await?;
    give_up_soon(&stack).await?;
    let table = change(
        &stack,
        "DispatcherFunctionName",
        "REQUESTS_TABLE",
        "nowhere",
    )
    .await?;
    let poisoned = "request requirements deployment.json poisoned requirements.txt \
                    --runtime python3.13 --architecture arm64 --region eu-west-1 --format json";
    let dropped = traveller.run(poisoned).exits(0).json();
    letters(&stack, "RequestDeadLetterQueueUrl", 1).await?;
    change(&stack, "DispatcherFunctionName", "REQUESTS_TABLE", &table).await?;
    traveller.step("12_redrive", "redrive deployment.json eu-west-1 --yes");
    let id = dropped["Dropped"][0]["RequestId"]
        .as_str()
        .unwrap_or_default();
    let run = traveller
        .run(&format!("status deployment.json {id} --watch"))
        .exits(0);
    assert!(run.stdout.contains("Published"), "{run}");
    traveller.step("13_requests", "list requests deployment.json eu-west-1");

    traveller.run("destroy deployment.json").exits(2);
    traveller.step("14_destroy", "destroy deployment.json --delete-data --yes");
    assert_eq!(
        serde_json::from_str::<Value>(&traveller.operator.read("deployment.json")).unwrap(),
        json!({"Deployments": {"eu-west-1": {}, "us-east-1": {}}})
    );
    nothing_is_left(server).await
}

/// Holds that nothing of a pipeline is left in the first region.
async fn nothing_is_left(server: &MiniStack) -> Result<()> {
    let calls = [
        ("s3", "list_buckets"),
        ("dynamodb", "list_tables"),
        ("lambda", "list_layers"),
        ("lambda", "list_functions"),
        ("sqs", "list_queues"),
        ("sns", "list_topics"),
        ("stepfunctions", "list_state_machines"),
        ("ssm", "describe_parameters"),
    ];
    let calls = calls.map(|(service, operation)| (service, operation, json!({})));
    let answers = boto3::call(server, &calls).await?;
    let buckets = answers[0]["Buckets"].as_array().into_iter().flatten();
    let buckets: Vec<_> = buckets.filter_map(|it| it["Name"].as_str()).collect();
    let of_sam = |name: &&str| name.starts_with("aws-sam-cli-managed-default");
    assert!(buckets.iter().all(of_sam), "{buckets:?}");
    assert_eq!(buckets.len(), REGIONS.len(), "{buckets:?}");
    let lists = [
        "TableNames",
        "Layers",
        "Functions",
        "QueueUrls",
        "Topics",
        "stateMachines",
        "Parameters",
    ];
    for (name, answer) in lists.into_iter().zip(&answers[1..]) {
        let is_empty = answer[name].as_array().is_none_or(Vec::is_empty);
        assert!(is_empty, "{name}: {answer}");
    }
    Ok(())
}
