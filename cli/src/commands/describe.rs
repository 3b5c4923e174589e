//! `accretion describe`

mod layer_version;

use std::process::ExitCode;

use crate::args::Global;
use crate::cloud::Region;
use crate::error::Error;

/// Show all that is known of something
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Describe {
    LayerVersion(layer_version::LayerVersion),
}

impl Describe {
    /// The region that it is about.
    pub(super) fn region(&self) -> &Region {
        match self {
            Self::LayerVersion(args) => &args.placed.at.region,
        }
    }
}

/// Describes.
pub(crate) async fn run(describe: Describe, global: Global) -> Result<ExitCode, Error> {
    match describe {
        Describe::LayerVersion(args) => Box::pin(layer_version::run(args, global)).await,
    }
}
