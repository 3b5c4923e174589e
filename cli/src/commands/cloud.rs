//! The commands that speak to AWS, or of what is deployed there.

use std::process::ExitCode;

use crate::args::{Format, Global};
use crate::cloud::{DeploymentFile, Region};
use crate::environment::Environment;
use crate::error::Error;
use crate::{print_json, table};

use super::{
    add, delete, describe, destroy, diff, grant, init, list, publish, redrive, request, revoke,
    rollback, status, template, update,
};

/// The commands that speak to AWS, or of what is deployed there.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Cloud {
    Init(init::Init),
    #[command(subcommand)]
    Add(add::Add),
    #[command(subcommand)]
    Update(update::Update),
    Destroy(destroy::Destroy),
    #[command(subcommand)]
    Request(request::Request),
    Rollback(rollback::Rollback),
    Status(status::Status),
    #[command(subcommand)]
    List(list::List),
    #[command(subcommand)]
    Describe(describe::Describe),
    Diff(diff::Diff),
    #[command(subcommand)]
    Delete(delete::Delete),
    Publish(Box<publish::Publish>),
    Grant(grant::Grant),
    Revoke(revoke::Revoke),
    Redrive(redrive::Redrive),
    Template(template::Template),
}

impl Cloud {
    /// The region that it is about, if that is one.
    fn region(&self) -> Option<&Region> {
        match self {
            Self::Init(_)
            | Self::Update(_)
            | Self::Destroy(_)
            | Self::Delete(_)
            | Self::Request(_)
            | Self::Status(_)
            | Self::Publish(_)
            | Self::Template(_) => None,
            Self::Add(args) => args.region(),
            Self::List(args) => Some(args.region()),
            Self::Describe(args) => Some(args.region()),
            Self::Diff(args) => Some(&args.placed.at.region),
            Self::Rollback(args) => Some(&args.region),
            Self::Grant(args) => Some(args.version.region()),
            Self::Revoke(args) => Some(args.version.region()),
            Self::Redrive(args) => Some(&args.at.region),
        }
    }
}

/// Runs one of them.
pub(crate) async fn run(
    command: Cloud,
    global: Global,
    environment: &Environment,
) -> Result<ExitCode, Error> {
    let region = command.region().cloned();
    let outcome = match command {
        Cloud::Init(args) => init::run(args, global),
        Cloud::Add(args) => add::run(args, global).await,
        Cloud::Update(args) => Box::pin(update::run(args, global, environment)).await,
        Cloud::Destroy(args) => Box::pin(destroy::run(args, global)).await,
        Cloud::Request(args) => Box::pin(request::run(args, global, environment)).await,
        Cloud::Rollback(args) => Box::pin(rollback::run(args, global)).await,
        Cloud::Status(args) => status::run(args, global).await,
        Cloud::List(args) => list::run(args, global).await,
        Cloud::Delete(args) => Box::pin(delete::run(args, global)).await,
        Cloud::Describe(args) => Box::pin(describe::run(args, global)).await,
        Cloud::Diff(args) => Box::pin(diff::run(args, global)).await,
        Cloud::Publish(args) => Box::pin(publish::run(*args, global, environment)).await,
        Cloud::Grant(args) => grant::run(args, global).await,
        Cloud::Revoke(args) => revoke::run(args, global).await,
        Cloud::Redrive(args) => redrive::run(args, global).await,
        Cloud::Template(args) => template::run(args, global),
    };
    outcome.map_err(|error| match (error, region) {
        (Error::Cloud(error), Some(region)) => error.in_region(&region).into(),
        (error, _) => error,
    })
}

/// Prints what a deployment file says now.
pub(super) fn print_regions(file: &DeploymentFile, global: Global) -> Result<(), Error> {
    let deployments = file.read()?;
    match global.format {
        Format::Json => print_json(&deployments),
        Format::Text if global.quiet => {}
        Format::Text => {
            let mut rows = table::new(&["region", "stack"]);
            for (region, stacks) in &deployments.deployments {
                let names = stacks.names();
                let names = if names.is_empty() {
                    "-".to_owned()
                } else {
                    names.join(", ")
                };
                rows.add_row([region.to_string(), names]);
            }
            table::print(rows, &[]);
        }
    }
    Ok(())
}
