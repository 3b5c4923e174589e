//! The paths of the workspace, and the environment in which its tools run.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use accretion_testing::interpreters::pythons;
use tokio::process::Command;

use crate::{Error, Result};

/// The region that the emulator pretends to be in.
pub const REGION: &str = "eu-west-1";

/// The root of the workspace.
pub fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().unwrap_or(root)
}

/// A program of the pinned tools.
pub fn tool(name: &str) -> PathBuf {
    root().join(".tools/venv/bin").join(name)
}

/// The `PATH` of functions: the pinned tools, what the caller has, and then the interpreters that
/// are not on `PATH`, since the shims of version managers may lead nowhere.
pub fn path() -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let tools = std::iter::once(root().join(".tools/venv/bin"));
    let own = pythons().iter().filter_map(|python| python.path.parent());
    let own = own.map(Path::to_owned);
    let folders = tools.chain(std::env::split_paths(&path)).chain(own);
    std::env::join_paths(folders).unwrap_or(path)
}

/// A command that sees nothing of the user's AWS configuration and finds the pinned tools first.
pub fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let tools = root().join(".tools/venv/bin");
    let folders = std::iter::once(tools).chain(std::env::split_paths(&path));
    if let Ok(path) = std::env::join_paths(folders) {
        command.env("PATH", path);
    }
    command
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("AWS_DEFAULT_REGION", REGION)
        .env("AWS_REGION", REGION)
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        // Of the tests' own harness; with it cargo would compile everything once more.
        .env_remove("RUSTC_BOOTSTRAP")
        .stdin(Stdio::null());
    command
}

/// Runs a command to its end and returns what it wrote on standard output. It ends with its caller.
pub(crate) async fn run(mut command: Command) -> Result<String> {
    let std = command.as_std();
    let program = std.get_program().to_string_lossy().into_owned();
    let line = std::iter::once(std.get_program())
        .chain(std.get_args())
        .map(|part| part.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ");
    let output = command.kill_on_drop(true).output().await;
    let output = output.map_err(|source| Error::ToolMissing { program, source })?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(Error::CommandFailed {
        command: line,
        status: output.status.to_string(),
        output: text(&output.stdout) + &text(&output.stderr),
    })
}
