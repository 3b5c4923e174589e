//! `accretion add`

use std::process::ExitCode;

use super::init::print_regions;
use crate::args::{AddRegions, AddStack, Global};
use crate::cloud::{self, DeploymentFile, Deployments, Pipeline, Stacks};
use crate::error::Error;

/// Adds the regions that the file does not name yet.
pub(super) fn regions(args: AddRegions, global: Global) -> Result<ExitCode, Error> {
    let file = DeploymentFile::new(args.deployment_file);
    file.change(|deployments| {
        for region in args.regions {
            deployments.deployments.entry(region).or_default();
        }
        Ok(())
    })?;
    print_regions(&file, global)
}

/// Adds a stack, after checking that it is a pipeline.
pub(super) async fn stack(args: AddStack, global: Global) -> Result<ExitCode, Error> {
    let file = DeploymentFile::new(args.deployment_file);
    let adopt = |deployments: &mut Deployments| {
        let region = args.region.clone();
        let stacks = deployments.deployments.entry(region.clone()).or_default();
        if let Some(other) = stacks.names().into_iter().find(|it| *it != args.name) {
            return Err(cloud::Error::RegionTaken {
                path: file.path().to_owned(),
                region,
                stack: other.to_owned(),
            });
        }
        stacks.adopt(&args.name);
        Ok(())
    };
    adopt(&mut file.read()?)?;
    let stacks = Stacks::all_in(&args.name);
    let clients = args.aws.clients().await;
    let pipeline = Pipeline::connect(&clients, args.region.clone(), &stacks).await?;
    for output in Pipeline::OUTPUTS {
        pipeline.output(output)?;
    }
    file.change(adopt)?;
    print_regions(&file, global)
}
