//! `accretion init`

use std::path::PathBuf;
use std::process::ExitCode;

use crate::args::Global;
use crate::cloud::{DeploymentFile, Region};
use crate::error::Error;

/// Start a deployment file for these regions; deploys nothing
///
/// A file that is there is left as it is.
#[derive(Debug, clap::Args)]
pub(crate) struct Init {
    /// The file to write
    deployment_file: PathBuf,
    /// Regions, such as eu-west-1
    #[arg(required = true)]
    regions: Vec<Region>,
}

/// Writes a deployment file.
pub(crate) fn run(args: Init, global: Global) -> Result<ExitCode, Error> {
    let file = DeploymentFile::new(args.deployment_file);
    file.create(args.regions)?;
    super::cloud::print_regions(&file, global)?;
    Ok(ExitCode::SUCCESS)
}
