//! `accretion init`

use std::process::ExitCode;

use crate::args::{Global, Init};
use crate::cloud::DeploymentFile;
use crate::error::Error;
use crate::{print, table};

/// Writes a deployment file.
pub(super) fn run(args: Init, global: Global) -> Result<ExitCode, Error> {
    let file = DeploymentFile::new(args.deployment_file);
    file.create(args.regions)?;
    print_regions(&file, global)
}

/// Prints the regions of a deployment file.
pub(super) fn print_regions(file: &DeploymentFile, global: Global) -> Result<ExitCode, Error> {
    let deployments = file.read()?;
    if !global.is_text() {
        print::json(&deployments);
    } else if !global.quiet {
        let mut rows = table::new(&["region", "stack"]);
        for (region, stacks) in &deployments.deployments {
            let stack = match stacks.names()[..] {
                [] => "-".to_owned(),
                ref names => names.join(", "),
            };
            rows.add_row([region.to_string(), stack]);
        }
        table::print(rows, &[]);
    }
    Ok(ExitCode::SUCCESS)
}
