//! The pipeline, deployed by the SAM CLI on an emulator of AWS that enforces policies. One stack
//! serves all tests: each has a project of its own.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

mod alarms;
mod command;
mod deliveries;
mod deployment;
mod failures;
mod files;
mod launcher;
mod logs;
mod merged;
mod outcome;
mod projects;
mod publishes;
mod republishes;

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use pipeline_tests::testbed::Testbed;
use pipeline_tests::{Error, Filter, Notification, Options, Result, Stack, Subscription};
use serde_json::{Value, json};

/// The time limit for anything that is bound to happen: far longer than it takes.
const PATIENCE: Duration = Duration::from_mins(2);

/// The time to look out for what must not happen.
const QUIET: Duration = Duration::from_secs(1);

/// The short forms of the targets that are built without being named.
const TARGETS: [&str; 8] = [
    "py311",
    "py311-arm64",
    "py312",
    "py312-arm64",
    "py313",
    "py313-arm64",
    "py314",
    "py314-arm64",
];

static TESTBED: LazyLock<Result<Testbed>> = LazyLock::new(|| {
    let options = Options {
        enforce_iam: true,
        cache: None,
    };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pipeline");
    Testbed::start(&folder, &options)
});

/// The server and its stack.
#[track_caller]
fn testbed() -> &'static Testbed {
    TESTBED.as_ref().unwrap_or_else(|error| panic!("{error}"))
}

/// Runs a test on the stack.
#[track_caller]
fn on_stack(test: impl AsyncFnOnce(&'static Stack) -> Result<()>) {
    let testbed = testbed();
    testbed.run(test(&testbed.stack));
}

/// A request for all targets. Every version is pinned: nothing is to change while tests run.
fn request(name: &str, requirements: &[&str]) -> Value {
    json!({
        "Name": name,
        "Language": "python",
        "Requirements": {"Type": "requirements.txt", "Requirements": requirements.join("\n")},
    })
}

/// The same for one target, `py313`.
fn small_request(name: &str, requirements: &[&str]) -> Value {
    let mut request = request(name, requirements);
    request["Runtimes"] = json!(["python3.13"]);
    request["Architectures"] = json!(["x86_64"]);
    request
}

/// Subscribes to all that is said of a project.
async fn listen(stack: &Stack, project: &str) -> Result<Subscription> {
    let filter = Filter::Body(json!({"ProjectName": [project]}));
    stack.subscribe(project, &filter).await
}

/// Waits for as many notifications and holds that no more come, and none twice.
async fn exactly(subscription: &Subscription, count: usize) -> Result<Vec<Notification>> {
    let mut notifications = subscription.wait_for(count, PATIENCE).await?;
    notifications.extend(subscription.receive(QUIET).await?);
    let ids: Vec<_> = notifications.iter().map(|it| it.text("EventId")).collect();
    assert_eq!(ids.len(), count, "{ids:?}");
    notifications.sort_by_key(|it| it.text("EventId").to_owned());
    Ok(notifications)
}

/// Waits for one notification and holds that it is of this event and that no other comes.
async fn exactly_one(subscription: &Subscription, event: &str) -> Result<Notification> {
    let mut notifications = exactly(subscription, 1).await?;
    let notification = notifications
        .pop()
        .ok_or_else(|| Error::Unexpected("no notification".to_owned()))?;
    assert_eq!(notification.text("Event"), event, "{}", notification.body);
    Ok(notification)
}
