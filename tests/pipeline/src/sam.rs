//! The SAM CLI, as users run it.

use std::path::{Path, PathBuf};

use crate::workspace::{command, root, run, tool};
use crate::{MiniStack, Result};

/// How the functions are compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Unoptimised, like the tests themselves.
    Debug,
    /// As they are deployed.
    Release,
}

/// Builds the functions with `sam build` and returns the folder with the built template.
pub fn build(profile: Profile) -> Result<PathBuf> {
    let folder = root().join("target/sam").join(match profile {
        Profile::Debug => "debug",
        Profile::Release => "release",
    });
    let mut sam = sam("build");
    sam.arg("--template-file")
        .arg(root().join("sam/template.yaml"))
        .arg("--build-dir")
        .arg(&folder);
    if profile == Profile::Debug {
        sam.env("SAM_BUILD_MODE", "debug");
    }
    run(sam)?;
    Ok(folder)
}

/// A template and what it is deployed as.
#[derive(Debug, Clone, Copy)]
pub struct Deployment<'a> {
    /// The stack's name.
    pub stack: &'a str,
    /// The template.
    pub template: &'a Path,
    /// Parameters that differ from their defaults.
    pub parameters: &'a [(&'a str, &'a str)],
}

/// Deploys a stack with `sam deploy` and returns what that wrote.
pub fn deploy(server: &MiniStack, deployment: Deployment<'_>) -> Result<String> {
    let mut sam = sam("deploy");
    sam.arg("--config-env")
        .arg("local")
        .arg("--config-file")
        .arg(root().join("sam/samconfig.toml"))
        .arg("--template-file")
        .arg(deployment.template)
        .args(["--stack-name", deployment.stack])
        .env("AWS_ENDPOINT_URL", server.endpoint());
    run(sam)
}

/// Deletes a stack with `sam delete`.
pub fn delete(server: &MiniStack, stack: &str) -> Result<String> {
    let mut sam = sam("delete");
    sam.args(["--stack-name", stack, "--no-prompts"])
        .env("AWS_ENDPOINT_URL", server.endpoint());
    run(sam)
}

fn sam(verb: &str) -> std::process::Command {
    let mut command = command(&tool("sam"));
    command
        .arg(verb)
        .env("SAM_CLI_TELEMETRY", "0")
        .current_dir(root());
    command
}
