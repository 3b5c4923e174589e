//! `accretion update`

mod all;

use std::process::ExitCode;

use crate::args::Global;
use crate::environment::Environment;
use crate::error::Error;

/// Deploy or update what a deployment file names
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Update {
    All(all::All),
}

/// Deploys or updates.
pub(crate) async fn run(
    update: Update,
    global: Global,
    environment: &Environment,
) -> Result<ExitCode, Error> {
    match update {
        Update::All(args) => all::run(args, global, environment).await,
    }
}
