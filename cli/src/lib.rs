//! The `accretion` command as a library with one function, so that tests of other packages can run it
//! without the binary of this one.

mod args;
#[cfg(feature = "aws")]
mod cloud;
mod commands;
#[cfg(feature = "aws")]
mod consent;
mod contents;
mod engine;
mod environment;
mod error;
mod exit;
mod extra;
mod failed;
mod indexes;
mod input;
mod print;
mod progress;
mod table;
mod units;
mod unselected;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory as _, FromArgMatches as _};
use futures_util::future::select_all;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::args::{Args, Command};
use crate::environment::Environment;

/// Runs the command with the arguments and the environment of this process.
#[must_use]
pub fn main() -> ExitCode {
    let args = parse().unwrap_or_else(|error| with_advice(without_secrets(error)).exit());
    let environment = Environment::read();
    open_more_files();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            anstream::eprintln!("error: no threads can be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(async {
        tokio::select! {
            code = run(args, &environment) => code,
            // Dropping the tasks removes half-written files.
            code = interrupted() => ExitCode::from(code),
        }
    });
    // Some work cannot be dropped, such as a name look-up.
    runtime.shutdown_timeout(PATIENCE);
    code
}

/// Parses the command line. An error shows the usage of the command that it is about.
fn parse() -> Result<Args, clap::Error> {
    let mut command = Args::command();
    let matches = command.try_get_matches_from_mut(std::env::args_os())?;
    Args::from_arg_matches(&matches).map_err(|error| {
        let (mut used, mut given) = (&mut command, &matches);
        while let Some((name, of_subcommand)) = given.subcommand() {
            given = of_subcommand;
            used = used
                .find_subcommand_mut(name)
                .expect("clap found it by this name");
        }
        error.format(used)
    })
}

/// An error of the command line without the URL of an index, which may contain a password.
fn without_secrets(mut error: clap::Error) -> clap::Error {
    let is_of_index = matches!(
        error.get(ContextKind::InvalidArg),
        Some(ContextValue::String(argument)) if argument.contains("index")
    );
    if is_of_index && error.get(ContextKind::InvalidValue).is_some() {
        let hidden = ContextValue::String("(not shown)".to_owned());
        error.insert(ContextKind::InvalidValue, hidden);
    }
    error
}

/// An error of the command line, with advice if an input stands in the place of a command.
fn with_advice(mut error: clap::Error) -> clap::Error {
    if let Some(ContextValue::String(input)) = error.get(ContextKind::InvalidSubcommand)
        && Path::new(input).exists()
    {
        let tip = format!("to build layers from it, run `accretion build {input}`");
        error.insert(
            ContextKind::Suggested,
            ContextValue::StyledStrs(vec![tip.into()]),
        );
    }
    error
}

/// The time for unfinished work to notice that the command ends.
const PATIENCE: Duration = Duration::from_secs(5);

/// Raises the limit of open files: each download and each wheel of a layer needs some, and the usual
/// 1,024 are for programs that use `select`.
fn open_more_files() {
    const PLENTY: u64 = 1 << 16;
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(PLENTY).min(PLENTY);
    if limit.current.is_some_and(|current| current < wanted) {
        // Small layers need fewer.
        let _ = setrlimit(
            Resource::Nofile,
            Rlimit {
                current: Some(wanted),
                ..limit
            },
        );
    }
}

async fn run(args: Args, environment: &Environment) -> ExitCode {
    let outcome = match args.command {
        #[cfg(feature = "aws")]
        Command::Cloud(command) => Box::pin(commands::run(command, args.global, environment)).await,
        Command::Build(build) => commands::build::run(*build, args.global, environment).await,
        Command::Lock(lock) => commands::lock::run(lock, args.global, environment).await,
        Command::Check(check) => commands::check::run(check, args.global, environment).await,
        Command::Schema(_) => Ok(commands::schema::run()),
        Command::Completions(completions) => Ok(commands::completions::run(&completions)),
        Command::Man(man) => commands::man::run(man),
    };
    outcome.unwrap_or_else(|error| {
        error.print(args.global.format);
        error.exit_code()
    })
}

/// Waits for a signal that asks the command to end. Returns what a shell reports for it: 128 and
/// the signal's number.
async fn interrupted() -> u8 {
    use tokio::signal::unix::{SignalKind, signal};

    let kinds = [SignalKind::interrupt(), SignalKind::terminate()];
    let receiving = kinds.into_iter().filter_map(|kind| {
        let mut signals = signal(kind).ok()?;
        Some(Box::pin(async move {
            signals.recv().await;
            u8::try_from(128 + kind.as_raw_value()).unwrap_or(u8::MAX)
        }))
    });
    let received: Vec<_> = receiving.collect();
    if received.is_empty() {
        return std::future::pending().await;
    }
    select_all(received).await.0
}
