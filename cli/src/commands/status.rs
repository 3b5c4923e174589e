//! `accretion status`

mod follow;
mod shown;
mod view;

use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

pub(super) use self::follow::{Followed, Outcomes, Place, follow, look};
pub(super) use self::shown::{RequestRecord, came_from, summary};
use super::request::FailureRecord;
use crate::args::{Global, Region, Status};
use crate::cloud::{self, DeploymentFile, Pipeline, in_each, parted, print_fault_in};
use crate::error::Error;
use crate::exit::code_of_all;
use crate::print;

/// The command that follows requests.
pub(super) fn command<'a>(deployment_file: &Path, ids: impl Iterator<Item = &'a str>) -> String {
    let (file, ids) = (deployment_file.display(), ids.collect::<Vec<_>>().join(" "));
    format!("accretion status {file} {ids} --watch")
}

/// Shows the status of requests.
pub(super) async fn run(args: Status, global: Global) -> Result<ExitCode, Error> {
    let file = DeploymentFile::new(&args.deployment_file);
    let regions = file.searched(&args.regions)?;
    let clients = args.aws.clients().await;
    let answers = in_each(regions, async |region, stacks| {
        let pipeline = Pipeline::connect(&clients, region, &stacks).await?;
        Place::of(&pipeline)
    });
    let (answered, mut unreachable) = parted(answers.await);
    let places: Vec<_> = answered.into_iter().map(|(_, place)| place).collect();
    let mut followed: Vec<Followed> = Vec::new();
    for id in args.requests {
        if !followed.iter().any(|known| known.id == id) {
            followed.push(Followed {
                id,
                places: places.clone(),
            });
        }
    }
    let mut outcomes = if args.watch {
        follow(followed, &args.deployment_file, global).await
    } else {
        look(followed).await
    };
    // If all requests are found, errors of other regions do not matter.
    if outcomes.are_known() {
        unreachable.clear();
    } else if !unreachable.is_empty() {
        outcomes.forget_unknown();
    }
    if global.is_text() {
        outcomes.print(true);
        for (region, error) in &unreachable {
            print_fault_in(region, error);
        }
    } else {
        print_document(&outcomes, &unreachable);
    }
    let codes = unreachable.iter().map(|(_, error)| error.exit_code());
    Ok(code_of_all(codes.chain(outcomes.exit_codes())))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a> {
    requests: Vec<RequestRecord<'a>>,
    failures: Vec<FailureRecord<'a>>,
}

fn print_document(outcomes: &Outcomes, unreachable: &[(Region, cloud::Error)]) {
    let of_regions = unreachable
        .iter()
        .map(|(region, error)| FailureRecord::new(Some(region), None, error));
    print::json(&Document {
        requests: outcomes.records().collect(),
        failures: of_regions.chain(outcomes.failures()).collect(),
    });
}
