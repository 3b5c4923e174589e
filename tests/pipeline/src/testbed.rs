//! A deployed stack that the tests of a binary share.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::{Error, MiniStack, Options, Result, Stack, boto3, sam};

/// The stack's name.
pub const STACK: &str = "accretion";

/// A server with the pipeline deployed on it.
#[derive(Debug)]
pub struct Testbed {
    runtime: tokio::runtime::Runtime,
    /// The server.
    pub server: MiniStack,
    /// The stack.
    pub stack: Stack,
}

impl Testbed {
    /// Starts a server and deploys the pipeline. Logs go into `folder`.
    pub fn start(folder: &Path, options: &Options) -> Result<Self> {
        // One for all tests: a client's connections die with the runtime that made them.
        let runtime = tokio::runtime::Runtime::new().map_err(Error::io(folder))?;
        let server = MiniStack::start(&folder.join("ministack.log"), options)?;
        let stack = runtime.block_on(async {
            let template = sam::built().await?;
            sam::deploy(&server, STACK, &template).await?;
            let stack = Stack::connect(&server.endpoint(), STACK).await?;
            if options.enforce_iam {
                allow_what_is_misread(&server, &stack).await?;
            }
            Ok::<_, Error>(stack)
        })?;
        Ok(Self {
            runtime,
            server,
            stack,
        })
    }

    /// Runs a test. If it fails, the end of the server's log is shown. It fails, too, if anything
    /// was logged by then that must not be: this server may never be dropped.
    #[track_caller]
    pub fn run<T>(&self, test: impl Future<Output = Result<T>>) -> T {
        let shown_on_panic = ShownOnPanic(&self.server);
        let outcome = self.runtime.block_on(test);
        let outcome = outcome.and_then(|value| self.server.search_logs().map(|()| value));
        match outcome {
            Ok(value) => {
                std::mem::forget(shown_on_panic);
                value
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// The name of the policy that [`Testbed`] adds to the publisher's role.
pub const ADDED_POLICY: &str = "misread";

/// Allows what the publisher does as MiniStack reads it: `GetLayerVersion`,
/// `GetLayerVersionPolicy` and `ListLayerVersions` need `lambda:ListLayers` there.
async fn allow_what_is_misread(server: &MiniStack, stack: &Stack) -> Result<()> {
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Action": "lambda:ListLayers", "Resource": "*"},
    });
    let role = stack.resource("PublisherRole").await?;
    let parameters = json!({
        "RoleName": role,
        "PolicyName": ADDED_POLICY,
        "PolicyDocument": policy.to_string(),
    });
    boto3::call(server, &[("iam", "put_role_policy", parameters)]).await?;
    Ok(())
}

struct ShownOnPanic<'a>(&'a MiniStack);

impl Drop for ShownOnPanic<'_> {
    #[expect(clippy::print_stderr, reason = "tests speak to people there")]
    fn drop(&mut self) {
        let (path, tail) = (self.0.log().display(), self.0.log_tail());
        eprintln!("----- the end of {path} -----\n{tail}\n-----");
    }
}

/// Asks again and again until there is an answer.
pub async fn wait_for<T>(
    what: &str,
    patience: Duration,
    mut ask: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        if start.elapsed() > patience {
            return Err(Error::Timeout {
                what: what.to_owned(),
                after: patience,
            });
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
