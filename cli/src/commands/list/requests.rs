//! `accretion list requests`

use std::num::NonZeroUsize;
use std::process::ExitCode;

use accretion_aws::operator::{RequestsTable, Tracked};
use accretion_core::Fault;
use serde::Serialize;

use crate::args::{Format, Global};
use crate::cloud::{self, AwsOptions, OneRegion, Pipeline, Region};
use crate::commands::status::{RequestRecord, came_from, summary};
use crate::error::{Error, ErrorRecord, print_warning};
use crate::table;
use crate::units::to_the_second;

/// List the requests of a region, the newest first
///
/// They are known for 90 days, if the stack does not say otherwise.
#[derive(Debug, clap::Args)]
pub(crate) struct Requests {
    #[command(flatten)]
    pub(in crate::commands) at: OneRegion,
    /// List so many at most
    #[arg(long, value_name = "N")]
    limit: Option<NonZeroUsize>,
    #[command(flatten)]
    aws: AwsOptions,
}

/// Lists requests.
pub(super) async fn run(args: Requests, global: Global) -> Result<ExitCode, Error> {
    let stacks = args.at.stacks()?;
    let clients = args.aws.clients().await;
    let pipeline = Pipeline::connect(&clients, args.at.region, &stacks).await?;
    let table = RequestsTable::new(&pipeline.clients, pipeline.output("RequestsTableName")?);
    let newest = table
        .newest(args.limit.map_or(usize::MAX, NonZeroUsize::get))
        .await;
    let tracked = newest.map_err(cloud::Error::from)?;
    match global.format {
        Format::Json => print_document(&pipeline.region, &tracked),
        Format::Text => print_text(&pipeline.region, &tracked, global),
    }
    Ok(ExitCode::SUCCESS)
}

fn print_text(region: &Region, tracked: &Tracked, global: Global) {
    if tracked.requests.is_empty() {
        if !global.quiet {
            anstream::eprintln!("no requests are known in {region}");
        }
    } else {
        let mut rows = table::new(&["received", "request", "project", "status", "from"]);
        for request in &tracked.requests {
            rows.add_row([
                to_the_second(request.request.received_at),
                request.request.id.to_string(),
                request.project.clone().unwrap_or_else(|| "-".to_owned()),
                summary(request),
                came_from(request),
            ]);
        }
        table::print(rows, &[]);
    }
    for error in tracked.invalid.iter().filter(|_| !global.quiet) {
        print_warning(region.as_str(), &error.to_string());
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a> {
    requests: Vec<RequestRecord<'a>>,
    invalid: Vec<ErrorRecord>,
}

fn print_document(region: &Region, tracked: &Tracked) {
    let requests = tracked.requests.iter();
    let invalid = tracked.invalid.iter();
    crate::print_json(&Document {
        requests: requests.map(|it| RequestRecord::new(region, it)).collect(),
        invalid: invalid
            .map(|error| ErrorRecord::from(error as &dyn Fault))
            .collect(),
    });
}
