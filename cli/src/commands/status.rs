//! `accretion status`

mod follow;
mod shown;
mod view;

use std::path::PathBuf;
use std::process::ExitCode;

use accretion_aws::operator::RequestsTable;
use accretion_core::Fault as _;
use accretion_core::request::RequestId;
use serde::Serialize;

pub(super) use self::follow::{Followed, Outcomes, Place, follow, look};
pub(super) use self::shown::{RequestRecord, came_from, summary};
use super::request::FailureRecord;
use crate::args::{Format, Global};
use crate::cloud::{self, AwsOptions, DeploymentFile, Pipeline, Region, in_each, print_fault_in};
use crate::error::{Error, code_of};

/// Say how far requests have come, or follow them to their end
///
/// Succeeds if all goes well so far, and fails if a layer could not be built or published, or if the
/// request was rejected. A request is known some seconds after it was dropped; with --watch it is
/// waited for, for two minutes.
#[derive(Debug, clap::Args)]
pub(crate) struct Status {
    /// The file, as `accretion init` writes it
    deployment_file: PathBuf,
    /// The ids of requests, as `accretion request` prints them
    #[arg(required = true, value_name = "REQUEST_ID")]
    requests: Vec<RequestId>,
    /// Look into this region only [may be repeated; default: all of the file]
    #[arg(long = "region", value_name = "REGION")]
    regions: Vec<Region>,
    /// Follow them until all of their layers have come to an end
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    aws: AwsOptions,
}

/// The command that follows requests.
pub(super) fn command<'a>(
    deployment_file: &std::path::Path,
    ids: impl Iterator<Item = &'a str>,
) -> String {
    let ids: Vec<_> = ids.collect();
    let file = deployment_file.display();
    format!("accretion status {file} {} --watch", ids.join(" "))
}

/// Says how far requests have come.
pub(crate) async fn run(args: Status, global: Global) -> Result<ExitCode, Error> {
    let file = DeploymentFile::new(&args.deployment_file);
    let regions = file.searched(&args.regions)?;
    let clients = args.aws.clients().await;
    let answers = in_each(regions, async |region, stacks| {
        let pipeline = Pipeline::connect(&clients, region, &stacks).await?;
        let table = RequestsTable::new(&pipeline.clients, pipeline.output("RequestsTableName")?);
        Ok(Place {
            pointer_prefix: pipeline
                .parameter(Pipeline::POINTER_PREFIX)
                .map(str::to_owned),
            region: pipeline.region,
            table,
        })
    });
    let (mut places, mut unreachable) = (Vec::new(), Vec::new());
    for (region, place) in answers.await {
        match place {
            Ok(place) => places.push(place),
            Err(error) => unreachable.push((region, error)),
        }
    }
    let mut followed: Vec<Followed> = Vec::new();
    for id in args.requests {
        if !followed.iter().any(|known| known.id == id) {
            let places = places.clone();
            followed.push(Followed { id, places });
        }
    }
    let mut outcomes = if args.watch {
        follow(followed, &args.deployment_file, global).await
    } else {
        look(followed).await
    };
    // Where all are known, nobody minds.
    if outcomes.are_known() {
        unreachable.clear();
    } else if !unreachable.is_empty() {
        outcomes.forget_unknown();
    }
    match global.format {
        Format::Json => print_document(&outcomes, &unreachable),
        Format::Text => {
            outcomes.print(true);
            for (region, error) in &unreachable {
                print_fault_in(region, error);
            }
        }
    }
    let codes = unreachable.iter().map(|(_, error)| code_of(error.class()));
    let worst = codes.chain(outcomes.exit_code()).min();
    Ok(worst.map_or(ExitCode::SUCCESS, ExitCode::from))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a> {
    requests: Vec<RequestRecord<'a>>,
    failures: Vec<FailureRecord<'a>>,
}

fn print_document(outcomes: &Outcomes, unreachable: &[(Region, cloud::Error)]) {
    let unreachable = unreachable.iter();
    let unreachable =
        unreachable.map(|(region, error)| FailureRecord::new(Some(region), None, error));
    crate::print_json(&Document {
        requests: outcomes.records().collect(),
        failures: unreachable.chain(outcomes.failures()).collect(),
    });
}
