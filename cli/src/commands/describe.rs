//! `accretion describe`

mod layer_version;

use std::process::ExitCode;

use crate::args::Global;
use crate::error::Error;

/// Show all that is known of something
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Describe {
    LayerVersion(layer_version::LayerVersion),
}

/// Describes.
pub(crate) async fn run(describe: Describe, global: Global) -> Result<ExitCode, Error> {
    match describe {
        Describe::LayerVersion(args) => Box::pin(layer_version::run(args, global)).await,
    }
}
