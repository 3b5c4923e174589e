//! `accretion add regions`

use std::path::PathBuf;
use std::process::ExitCode;

use crate::args::Global;
use crate::cloud::{DeploymentFile, Region};
use crate::commands::cloud::print_regions;
use crate::error::Error;

/// Add regions to a deployment file; deploys nothing
///
/// Regions that are there stay what they are.
#[derive(Debug, clap::Args)]
pub(crate) struct Regions {
    /// The file, as `accretion init` writes it
    deployment_file: PathBuf,
    /// Regions, such as eu-west-1
    #[arg(required = true)]
    regions: Vec<Region>,
}

/// Adds what is missing.
pub(crate) fn run(args: Regions, global: Global) -> Result<ExitCode, Error> {
    let file = DeploymentFile::new(args.deployment_file);
    file.change(|deployments| {
        for region in args.regions {
            deployments.deployments.entry(region).or_default();
        }
        Ok(())
    })?;
    print_regions(&file, global)?;
    Ok(ExitCode::SUCCESS)
}
