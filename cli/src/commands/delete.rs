//! `accretion delete`

mod shown;
mod versions;

use std::process::ExitCode;

use crate::args::Global;
use crate::error::Error;

/// Delete what is not needed any more
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Delete {
    Versions(versions::Versions),
}

/// Deletes.
pub(crate) async fn run(delete: Delete, global: Global) -> Result<ExitCode, Error> {
    match delete {
        Delete::Versions(args) => Box::pin(versions::run(args, global)).await,
    }
}
