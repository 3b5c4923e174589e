//! `accretion add stack`

use std::path::PathBuf;
use std::process::ExitCode;

use crate::args::Global;
use crate::cloud::{self, AwsOptions, DeploymentFile, Deployments, Pipeline, Region, Stacks};
use crate::commands::cloud::print_regions;
use crate::error::Error;

/// Adopt a stack that `sam deploy` made
///
/// The stack has to be there, and to be one of Accretion's. Its region is added to the file if
/// need be.
#[derive(Debug, clap::Args)]
pub(crate) struct Stack {
    /// The file, as `accretion init` writes it
    deployment_file: PathBuf,
    /// The stack's region
    pub(super) region: Region,
    /// The stack's name
    #[arg(value_name = "STACK")]
    name: String,
    #[command(flatten)]
    aws: AwsOptions,
}

/// Writes a stack down, once it is known to be one of ours.
pub(crate) async fn run(args: Stack, global: Global) -> Result<ExitCode, Error> {
    let file = DeploymentFile::new(args.deployment_file);
    let adopt = |deployments: &mut Deployments| {
        let stacks = deployments.deployments.entry(args.region.clone());
        let stacks = stacks.or_default();
        if let Some(other) = stacks.names().into_iter().find(|it| *it != args.name) {
            return Err(cloud::Error::RegionTaken {
                path: file.path().to_owned(),
                region: args.region.clone(),
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
    print_regions(&file, global)?;
    Ok(ExitCode::SUCCESS)
}
