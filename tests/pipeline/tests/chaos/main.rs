//! The pipeline when things go wrong: functions that are killed, messages that come twice, late or
//! out of order, requests that nobody can fulfil, and a hundred requests for one layer at once.
//!
//! Each test has a server of its own, and no two run at the same time. Figures go to standard
//! output; `SEED` repeats a run, `CHAOS_RUNS` is how many runs of chaos are made in a row.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]
#![expect(
    clippy::print_stdout,
    reason = "figures are a part of what the tests are for"
)]

mod counts;
mod deliveries;
mod kills;
mod outcome;
mod plan;
mod poison;
mod rest;
mod storm;
mod wire;

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName;
use pipeline_tests::testbed::Testbed;
use pipeline_tests::{Options, Result, Stack};
use serde_json::{Value, json};

/// The time limit for anything that is bound to happen: far longer than it takes.
const PATIENCE: Duration = Duration::from_mins(2);

/// The time to look out for what must not happen.
const QUIET: Duration = Duration::from_secs(2);

/// Runs a test on a server of its own while no other one runs.
#[track_caller]
fn alone<T>(name: &str, test: impl AsyncFnOnce(&Testbed) -> Result<T>) -> T {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("chaos");
    let options = Options {
        enforce_iam: false,
        // Wheels and what the index says are asked for once, not by each run.
        cache: Some(folder.join("cache")),
    };
    let testbed = Testbed::start(&folder.join(name), &options).unwrap_or_else(|it| panic!("{it}"));
    testbed.run(test(&testbed))
}

/// A number of the environment.
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("`{name}` is no number: `{text}`")))
}

/// A seed that is not known beforehand, unless it is given.
fn seed() -> u64 {
    number("SEED").unwrap_or_else(|| fastrand::u64(0..1_000_000))
}

/// A request for `python3.13` on the architectures of these targets.
fn request(project: &str, requirements: &[&str], targets: &[&str]) -> Value {
    json!({
        "Name": project,
        "Language": "python",
        "Requirements": {"Type": "requirements.txt", "Requirements": requirements.join("\n")},
        "Runtimes": ["python3.13"],
        "Architectures": targets.iter().map(|slug| architecture(slug)).collect::<Vec<_>>(),
    })
}

/// The architecture of a target's short form.
fn architecture(slug: &str) -> &'static str {
    if slug.ends_with("-arm64") {
        "arm64"
    } else {
        "x86_64"
    }
}

/// Has the request queue deliver again after so many seconds what was not dealt with.
async fn deliver_again_after(stack: &Stack, seconds: u32) {
    let set = stack.sqs.set_queue_attributes();
    let set = set
        .queue_url(stack.output("RequestQueueUrl"))
        .attributes(QueueAttributeName::VisibilityTimeout, seconds.to_string());
    set.send().await.unwrap();
}

/// The message of S3 about a new object, for events that it has not sent.
fn event(bucket: &str, key: &str, version: (&str, &str), time: &str) -> Value {
    let mut object = json!({"key": key, "size": 1});
    let (member, version) = version;
    object[member] = version.into();
    json!({"Records": [{
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": pipeline_tests::workspace::REGION,
        "eventTime": time,
        "eventName": "ObjectCreated:Put",
        "s3": {
            "bucket": {"name": bucket, "arn": format!("arn:aws:s3:::{bucket}")},
            "object": object,
        },
    }]})
}

/// Every file in this folder has to be a module: a forgotten one would test nothing.
#[test]
fn no_test_file_is_forgotten() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/chaos");
    let text = std::fs::read_to_string(folder.join("main.rs")).unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let module = name.trim_end_matches(".rs");
        let is_module = text.contains(&format!("\nmod {module};\n"));
        assert!(
            is_module || module == "main",
            "{name} is not a module of main.rs"
        );
    }
}
