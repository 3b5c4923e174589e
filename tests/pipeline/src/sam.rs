//! The SAM CLI, as users run it.

use std::path::{Path, PathBuf};

use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::workspace::{command, root, run, tool};
use crate::{MiniStack, Result};

/// The profile with which the functions are compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Unoptimised, like the tests themselves.
    Debug,
    /// As they are deployed.
    Release,
}

/// The built template: the one that `ACCRETION_TEMPLATE` names, otherwise a new one, unoptimised.
pub async fn built() -> Result<PathBuf> {
    // Two builds at once would take each other's files away.
    static BUILT: OnceCell<PathBuf> = OnceCell::const_new();
    let template = BUILT.get_or_try_init(async || match std::env::var_os("ACCRETION_TEMPLATE") {
        Some(template) => Ok(template.into()),
        None => build(Profile::Debug).await,
    });
    template.await.cloned()
}

/// Builds the functions with `sam build` and returns the built template.
pub async fn build(profile: Profile) -> Result<PathBuf> {
    let mut sam = sam("build");
    sam.args(["--config-env", "local"]);
    let folder = match profile {
        Profile::Debug => {
            sam.env("SAM_BUILD_MODE", "debug");
            ".aws-sam/build"
        }
        Profile::Release => ".aws-sam/release",
    };
    sam.args(["--build-dir", folder]);
    run(sam).await?;
    Ok(root().join("sam").join(folder).join("template.yaml"))
}

/// Deploys a built template as the pipeline's stack with `sam deploy` and returns what that wrote.
pub async fn deploy(server: &MiniStack, stack: &str, template: &Path) -> Result<String> {
    let mut sam = sam("deploy");
    sam.args(["--config-env", "local", "--config-file"])
        .arg(root().join("sam/samconfig.toml"));
    finish(sam, server, stack, template).await
}

/// The same in another region than the server's own.
pub async fn deploy_in(
    region: &str,
    server: &MiniStack,
    stack: &str,
    template: &Path,
) -> Result<String> {
    let mut sam = sam("deploy");
    sam.args(["--config-env", "local", "--region", region, "--config-file"])
        .arg(root().join("sam/samconfig.toml"));
    finish(sam, server, stack, template).await
}

/// Deploys a stack again with parameters changed; the others stay as they are.
pub async fn change_parameters(
    server: &MiniStack,
    stack: &str,
    template: &Path,
    parameters: &[(&str, &str)],
) -> Result<String> {
    let mut sam = sam("deploy");
    let overrides = parameters
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    sam.args(["--config-env", "local", "--config-file"])
        .arg(root().join("sam/samconfig.toml"))
        .arg("--parameter-overrides")
        .args(overrides);
    finish(sam, server, stack, template).await
}

/// Deploys any other template, which needs no build, in the same way.
pub async fn deploy_template(server: &MiniStack, stack: &str, template: &Path) -> Result<String> {
    let mut sam = sam("deploy");
    sam.args(["--resolve-s3", "--capabilities", "CAPABILITY_IAM"])
        .args(["--no-confirm-changeset", "--no-progressbar"]);
    finish(sam, server, stack, template).await
}

async fn finish(
    mut sam: Command,
    server: &MiniStack,
    stack: &str,
    template: &Path,
) -> Result<String> {
    sam.arg("--template-file")
        .arg(template)
        .args(["--stack-name", stack])
        // How often it looks whether the stack is done, in seconds: an emulator is soon.
        .env("SAM_CLI_POLL_DELAY", "0.2")
        .env("AWS_ENDPOINT_URL", server.endpoint());
    run(sam).await
}

/// Deletes a stack with `sam delete`.
pub async fn delete(server: &MiniStack, stack: &str) -> Result<String> {
    let mut sam = sam("delete");
    sam.args(["--config-env", "local", "--no-prompts"])
        .args(["--stack-name", stack])
        .env("AWS_ENDPOINT_URL", server.endpoint());
    run(sam).await
}

fn sam(verb: &str) -> Command {
    let mut command = command(&tool("sam"));
    command
        .arg(verb)
        .env("SAM_CLI_TELEMETRY", "0")
        .current_dir(root().join("sam"));
    command
}
