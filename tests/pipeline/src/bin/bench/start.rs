//! The time until a function's process asks for its first event.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use pipeline_tests::workspace::{REGION, command};
use pipeline_tests::{Error, Result};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

/// The time limit for a process.
const PATIENCE: Duration = Duration::from_secs(30);

/// The variables that one function or another needs.
const CONFIGURATION: [&str; 8] = [
    "ARTIFACTS_BUCKET",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "INBOX_BUCKET",
    "LAYERS_TABLE",
    "REQUESTS_TABLE",
    "STATE_MACHINE_ARN",
    "TOPIC_ARN",
];

/// Starts a package's `bootstrap` and returns how long it took to call the runtime API's `next`,
/// which never answers.
pub(crate) async fn until_first_poll(folder: &Path) -> Result<Duration> {
    let listener = TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.map_err(Error::aws("the runtime API"))?;
    let address = listener
        .local_addr()
        .map_err(Error::aws("the runtime API"))?;
    let mut function = command(&folder.join("bootstrap"));
    function
        .envs(CONFIGURATION.map(|name| (name, "bench")))
        .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
        .env("AWS_LAMBDA_FUNCTION_NAME", "bench")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1769")
        .env("AWS_LAMBDA_LOG_GROUP_NAME", "bench")
        .env("AWS_LAMBDA_LOG_STREAM_NAME", "bench")
        .env("AWS_REGION", REGION)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let start = Instant::now();
    let mut process = function.spawn().map_err(Error::aws("the function"))?;
    let poll = async {
        let (mut stream, _) = listener.accept().await?;
        let mut asked = [0; 64];
        let read = stream.read(&mut asked).await?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&asked[..read]).into_owned())
    };
    let asked = tokio::select! {
        asked = poll => asked.map_err(Error::aws("the runtime API"))?,
        status = process.wait() => {
            let problem = format!("{} ended: {status:?}", folder.display());
            return Err(Error::Unexpected(problem));
        }
        () = tokio::time::sleep(PATIENCE) => {
            let what = format!("poll of {}", folder.display());
            return Err(Error::Timeout { what, after: PATIENCE });
        }
    };
    let took = start.elapsed();
    if asked.starts_with("GET /2018-06-01/runtime/invocation/next ") {
        Ok(took)
    } else {
        Err(Error::Unexpected(format!("the function asked for {asked}")))
    }
}
