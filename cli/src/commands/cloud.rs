//! Commands that call AWS or read deployment files.

use std::process::ExitCode;

use super::{
    add, delete, describe, destroy, diff, grant, init, list, publish, redrive, request, revoke,
    rollback, status, template, update,
};
use crate::args::{Add, Cloud, Delete, Describe, Global, List, Request, Update};
use crate::environment::Environment;
use crate::error::Error;

/// Runs a command. An error of a command for one region names it.
pub(crate) async fn run(
    command: Cloud,
    global: Global,
    environment: &Environment,
) -> Result<ExitCode, Error> {
    let region = command.region().cloned();
    let outcome = match command {
        Cloud::Init(args) => init::run(args, global),
        Cloud::Add(Add::Regions(args)) => add::regions(args, global),
        Cloud::Add(Add::Stack(args)) => add::stack(args, global).await,
        Cloud::Update(Update::All(args)) => Box::pin(update::run(args, global, environment)).await,
        Cloud::Destroy(args) => Box::pin(destroy::run(args, global)).await,
        Cloud::Request(Request::Raw(args)) => Box::pin(request::raw::run(args, global)).await,
        Cloud::Request(Request::Requirements(args)) => {
            Box::pin(request::requirements::run(*args, global, environment)).await
        }
        Cloud::Request(Request::Again(args)) => Box::pin(request::again::run(args, global)).await,
        Cloud::Rollback(args) => Box::pin(rollback::run(args, global)).await,
        Cloud::Status(args) => status::run(args, global).await,
        Cloud::List(List::Layers(args)) => list::layers(args, global).await,
        Cloud::List(List::Versions(args)) => list::versions(args, global).await,
        Cloud::List(List::Requests(args)) => list::requests::run(args, global).await,
        Cloud::Describe(Describe::LayerVersion(args)) => {
            Box::pin(describe::run(args, global)).await
        }
        Cloud::Diff(args) => Box::pin(diff::run(args, global)).await,
        Cloud::Delete(Delete::Versions(args)) => Box::pin(delete::run(args, global)).await,
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
