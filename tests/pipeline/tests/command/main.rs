//! The `accretion` command against pipelines in two regions, as those who run them use it.
//!
//! One server serves all tests, with the same stack in both regions: each has projects of its own.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

/// Compares with a snapshot, without what differs between runs of a pipeline.
macro_rules! seen {
    ($name:expr, $seen:expr) => {
        insta::with_settings!({
            filters => crate::filters(),
            omit_expression => true,
        }, { insta::assert_snapshot!($name, $seen) })
    };
}

mod again;
mod delete;
mod deployment_files;
mod destroy;
mod journey;
mod layers;
mod merged;
mod permissions;
mod profiles;
mod publish;
mod redrive;
mod reference;
mod requests;
mod rollback;
mod small;
mod template;
mod update;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::thread;

use integration_tests::Run;
use pipeline_tests::testbed::STACK;
use pipeline_tests::workspace::{command, tool};
use pipeline_tests::{MiniStack, Options, Result, sam};
use tempfile::TempDir;

/// The regions of the deployment file, in its order.
const REGIONS: [&str; 2] = ["eu-west-1", "us-east-1"];

/// Regular expressions for what differs between runs of a pipeline, besides those for all tests.
const FILTERS: [(&str, &str); 5] = [
    (r"\b[0-9a-f]{32}\b", "[REQUEST]"),
    (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "[UUID]"),
    (
        r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z",
        "[TIMESTAMP]",
    ),
    // How wide a column is depends on how long it takes.
    (r" +\[TIME\]  ", "  [TIME]  "),
    (r" +after  ", "  after  "),
];

fn filters() -> Vec<(&'static str, &'static str)> {
    let all = integration_tests::FILTERS.into_iter();
    all.chain(FILTERS).collect()
}

/// A server with the pipeline in both regions.
struct Cloud {
    server: MiniStack,
}

static CLOUD: LazyLock<Result<Cloud>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("command");
    let server = MiniStack::start(&folder.join("ministack.log"), &Options::default())?;
    let deploy = || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let template = sam::built().await?;
            let [one, other] =
                REGIONS.map(|region| sam::deploy_in(region, &server, STACK, &template));
            tokio::try_join!(one, other)
        })
    };
    // Whoever comes first may have a runtime of their own, which must not be blocked.
    let deployed = thread::scope(|scope| scope.spawn(deploy).join());
    deployed.unwrap()?;
    Ok(Cloud { server })
});

/// The server with its stacks.
#[track_caller]
fn cloud() -> &'static Cloud {
    CLOUD.as_ref().unwrap_or_else(|error| panic!("{error}"))
}

/// Makes one call with boto3, in the first region.
async fn boto3(service: &str, operation: &str, parameters: serde_json::Value) -> serde_json::Value {
    let calls = [(service, operation, parameters)];
    let answers = pipeline_tests::boto3::call(&cloud().server, &calls).await;
    answers.unwrap().remove(0)
}

/// Somebody with a folder of their own, and a deployment file in it that names both stacks.
struct Operator {
    folder: TempDir,
    endpoint: String,
}

impl Operator {
    /// Somebody who has no deployment file, and whose AWS is at that endpoint.
    fn new(endpoint: String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["home", "tmp"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        Self { folder, endpoint }
    }

    /// Somebody who runs the pipelines that all tests share: `deployment.json` names them.
    #[track_caller]
    fn of_cloud() -> Self {
        let operator = Self::new(cloud().server.endpoint());
        let stacks = |region| {
            let parts = ["Core", "ArtifactBuilder", "LayerBuilder"];
            let parts = parts.map(|part| (part.to_owned(), STACK.into()));
            (
                region,
                serde_json::Value::Object(parts.into_iter().collect()),
            )
        };
        let deployments = serde_json::json!({"Deployments": REGIONS.map(stacks).into_iter()
            .map(|(region, stacks)| (region.to_owned(), stacks))
            .collect::<serde_json::Map<_, _>>()});
        operator.write("deployment.json", deployments.to_string());
        operator
    }

    /// A path in the folder.
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// The command, in the folder, with nothing of the caller's configuration.
    fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = command(Path::new(env!("CARGO_BIN_EXE_accretion-with-aws"))).into_std();
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.path("tmp"))
            .env("ACCRETION_UV", tool("uv"))
            .env(
                "ACCRETION_CACHE_DIR",
                Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"),
            )
            .env("NO_COLOR", "1")
            .env("SAM_CLI_TELEMETRY", "0")
            // How often it looks whether a stack is done, in seconds: an emulator is soon.
            .env("SAM_CLI_POLL_DELAY", "0.2")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs the command with these arguments, split at spaces.
    #[track_caller]
    fn run(&self, arguments: &str) -> Run {
        self.finish(self.command(arguments.split_whitespace()))
    }

    /// Runs a command that [`Self::command`] began.
    #[track_caller]
    fn finish(&self, mut command: Command) -> Run {
        Run::of(&command.output().unwrap(), self.folder.path())
    }
}
