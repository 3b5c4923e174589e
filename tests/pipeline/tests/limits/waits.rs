//! Builds whose index is down: they wait for it, and their place in the order stays what it was.

use std::path::Path;

use accretion_core::request::RequestId;
use accretion_testing::index::{Fault, PackageIndex};
use aws_sdk_sfn::types::HistoryEventType;
use pipeline_tests::testbed::{STACK, Testbed, wait_for};
use pipeline_tests::{Error, Filter, Options, Result, Stack, Table, sam};
use serde_json::{Value, json};

use crate::{PATIENCE, one, request, wheels};

/// The packages that the index does not serve at first.
const DOWN: [&str; 2] = ["/simple/later/", "/simple/older/"];

#[test]
#[ignore = "long: `make test-all` runs it"]
fn a_build_waits_for_its_index() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("waits");
    let testbed = Testbed::start(&folder, &Options::default()).unwrap();
    testbed.run(async {
        let index =
            PackageIndex::start(["later", "older", "newer"].map(|it| wheels::pure(it).build()));
        for page in DOWN {
            index.fault(page, Fault::Status(503));
        }
        let url = index.url();
        let parameters = [("IndexUrl", url.as_str()), ("MaximumRetryHours", "0.5")];
        let template = sam::built().await?;
        sam::change_parameters(&testbed.server, STACK, &template, &parameters).await?;
        let stack = &testbed.stack;
        let said = stack.subscribe("waits", &Filter::None).await?;

        let later = ask(stack, "waits-later", "later").await?;
        let older = ask(stack, "waits-order", "older").await?;
        for id in [&later, &older] {
            let item = status(stack, id, "Waiting").await?;
            assert_eq!(item["StatusRank"], json!(10));
            assert_eq!(item["Code"], "UpstreamUnavailable");
            assert_ne!(item["Reason"], Value::Null);
            let [since, next] = ["UpdatedAt", "NextAttemptAt"].map(|name| time(&item[name]));
            let pause = (next - since).total(jiff::Unit::Second).unwrap();
            assert!((10.0..=30.0).contains(&pause), "{item}");
            // The reconciler keeps checking it.
            assert_ne!(item["Open"], Value::Null);
        }
        // Another request of the project does not wait.
        let newer = ask(stack, "waits-order", "newer").await?;
        let notification = one(&said).await?;
        assert_eq!(notification.text("Event"), "LayerPublished");
        assert_eq!(notification.text("RequestId"), newer.as_str());

        for page in DOWN {
            index.heal(page);
        }
        let mut ends = said.wait_for(2, PATIENCE).await?;
        ends.sort_by_key(|it| it.text("Event").to_owned());
        let ends: Vec<_> = ends
            .iter()
            .map(|it| (it.text("Event"), it.text("RequestId")))
            .collect();
        let expected = [
            ("LayerPublished", later.as_str()),
            ("LayerSuperseded", older.as_str()),
        ];
        assert_eq!(ends, expected);
        for (id, end) in [(&later, "Published"), (&older, "Superseded")] {
            let item = status(stack, id, end).await?;
            for name in ["NextAttemptAt", "Code", "Reason", "Hint", "Open"] {
                assert_eq!(item[name], Value::Null, "{name}");
            }
        }
        let states = states(stack, &later).await?;
        let pause = states.iter().position(|state| state == "Pause").unwrap();
        let around = [
            "PlanNextAttempt",
            "CanWait",
            "RecordWaiting",
            "Pause",
            "RecordBuilding",
            "Build",
        ];
        assert_eq!(states[pause - 3..pause + 3], around);
        Ok(())
    });
}

/// Requests a package for one target.
async fn ask(stack: &Stack, project: &str, package: &str) -> Result<RequestId> {
    let mut request = request("requirements.txt", package);
    request["Name"] = json!(project);
    let key = format!("{project}.json");
    let version = stack.drop_into_inbox(&key, request.to_string()).await?;
    let bucket = stack.output("InboxBucketName");
    Ok(RequestId::of_object(bucket, &key, &version))
}

/// The item of a request's target, once it has a status.
async fn status(stack: &Stack, id: &RequestId, status: &str) -> Result<Value> {
    wait_for(&format!("{status} of {id}"), PATIENCE, async || {
        let mut items = stack.items(Table::Requests, id.as_str()).await?;
        let item = items.remove("py313");
        Ok(item.filter(|item| item["Status"] == status))
    })
    .await
}

fn time(value: &Value) -> jiff::Timestamp {
    let text = value.as_str().expect("a time is a string");
    text.parse().expect("it is a time")
}

/// The states that the execution of a request has entered.
async fn states(stack: &Stack, id: &RequestId) -> Result<Vec<String>> {
    let machine = stack.output("BuildStateMachineArn");
    let machine = machine.replace(":stateMachine:", ":execution:");
    let history = stack.sfn.get_execution_history().max_results(1000);
    let history = history.execution_arn(format!("{machine}:{id}-py313"));
    let history = history.send().await;
    let history = history.map_err(Error::aws("GetExecutionHistory"))?;
    let entered = history.events().iter().filter(|it| {
        use HistoryEventType as Entered;
        matches!(
            it.r#type(),
            Entered::TaskStateEntered
                | Entered::PassStateEntered
                | Entered::ChoiceStateEntered
                | Entered::WaitStateEntered
        )
    });
    let details = entered.filter_map(|it| it.state_entered_event_details());
    Ok(details.map(|it| it.name().to_owned()).collect())
}
