//! `make emulator`: an emulator of AWS on this machine, until ctrl-C.

use std::process::ExitCode;

use pipeline_tests::{MiniStack, Options, Result, sam, workspace};

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            anstream::eprintln!("error: no threads can be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(async {
        // In this order ctrl-C is listened for before anything is started.
        tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => Ok(()),
            outcome = run() => outcome,
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Starts the server, says where it is, and waits.
async fn run() -> Result<()> {
    let options = Options {
        enforce_iam: false,
        cache: Some(workspace::root().join(".tools/cache/demo")),
    };
    let template = sam::built().await?;
    let log = workspace::root().join("dist/emulator/ministack.log");
    let server = MiniStack::start(&log, &options)?;
    let tools = workspace::root().join(".tools/venv/bin");
    anstream::println!("MiniStack, an emulator of AWS, is up. In other terminals:\n");
    anstream::println!("export AWS_ENDPOINT_URL={}", server.endpoint());
    anstream::println!("export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test");
    anstream::println!("export PATH=\"{}:$PATH\"", tools.display());
    anstream::println!("export ACCRETION_TEMPLATE=\"{}\"\n", template.display());
    anstream::println!("Deploy to it with `accretion update all FILE --config-env local`.");
    anstream::println!("Ctrl-C ends it, and forgets all that it holds.");
    std::future::pending().await
}
