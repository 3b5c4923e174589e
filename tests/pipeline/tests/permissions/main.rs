//! Tests that need the stack for themselves: policies with a statement missing, the policies of one
//! role against the work of another, hostile input, unreadable messages, and dead letters that come
//! back. Policies are enforced.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]
#![expect(clippy::print_stdout, reason = "shown where a test fails")]

/// Calls, each with whether it was refused for want of a permission.
type Calls = Vec<(String, bool)>;

/// Makes a call, and remembers whether it was refused for want of a permission.
macro_rules! call {
    ($calls:expr, $name:expr, $call:expr) => {{
        let refusal = $call.send().await.err();
        let code = refusal.and_then(|error| error.code().map(str::to_owned));
        let code = code.unwrap_or_default();
        let is_refused = code.starts_with("AccessDenied") || code == "AuthorizationError";
        $calls.push(($name.to_owned(), is_refused));
    }};
}

mod dead_letters;
mod hostile;
mod owners;
mod redrive;
mod roles;
mod tight;

use std::path::Path;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName;
use pipeline_tests::testbed::Testbed;
use pipeline_tests::{Options, Result, Stack};

/// The time limit for anything that is bound to happen: far longer than it takes.
const PATIENCE: Duration = Duration::from_mins(2);

static TESTBED: LazyLock<Result<Testbed>> = LazyLock::new(|| {
    let options = Options {
        enforce_iam: true,
        cache: None,
    };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("permissions");
    Testbed::start(&folder, &options)
});

/// Runs a test while no other one runs.
#[track_caller]
fn alone(test: impl AsyncFnOnce(&'static Stack) -> Result<()>) {
    alone_on(&TESTBED, async |testbed| test(&testbed.stack).await);
}

/// The same on any testbed.
#[track_caller]
fn alone_on(
    testbed: &'static LazyLock<Result<Testbed>>,
    test: impl AsyncFnOnce(&'static Testbed) -> Result<()>,
) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let testbed = testbed.as_ref().unwrap_or_else(|error| panic!("{error}"));
    testbed.run(test(testbed));
}

/// The server's URL.
fn endpoint() -> String {
    let testbed = TESTBED.as_ref().unwrap_or_else(|error| panic!("{error}"));
    testbed.server.endpoint()
}

/// Has the request queue deliver again after a second, and so many times.
async fn deliver_again_soon(stack: &Stack, times: u8) {
    let queue = stack.output("RequestQueueUrl");
    let get = stack.sqs.get_queue_attributes().queue_url(queue);
    let get = get.attribute_names(QueueAttributeName::RedrivePolicy);
    let answer = get.send().await.unwrap();
    let policy = &answer.attributes().unwrap()[&QueueAttributeName::RedrivePolicy];
    let mut policy: serde_json::Value = serde_json::from_str(policy).unwrap();
    policy["maxReceiveCount"] = times.into();
    let set = stack.sqs.set_queue_attributes().queue_url(queue);
    let set = set
        .attributes(QueueAttributeName::VisibilityTimeout, "1")
        .attributes(QueueAttributeName::RedrivePolicy, policy.to_string());
    set.send().await.unwrap();
}
