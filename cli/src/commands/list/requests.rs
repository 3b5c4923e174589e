//! `accretion list requests`

use std::num::NonZeroUsize;
use std::process::ExitCode;

use accretion_aws::operator::Tracked;
use serde::Serialize;

use crate::args::{Global, ListRequests, Region};
use crate::cloud::{self, Pipeline};
use crate::commands::status::{RequestRecord, came_from, summary};
use crate::error::Error;
use crate::print::ErrorRecord;
use crate::units::to_the_second;
use crate::{print, table};

/// Lists requests.
pub(in crate::commands) async fn run(
    args: ListRequests,
    global: Global,
) -> Result<ExitCode, Error> {
    let pipeline = Pipeline::at(args.at, &args.aws).await?;
    let limit = args.limit.map_or(usize::MAX, NonZeroUsize::get);
    let listed = pipeline.requests()?.newest(limit).await;
    let tracked = listed.map_err(cloud::Error::from)?;
    if global.is_text() {
        print_text(&pipeline.region, &tracked, global);
    } else {
        print_document(&pipeline.region, &tracked);
    }
    Ok(ExitCode::SUCCESS)
}

fn print_text(region: &Region, tracked: &Tracked, global: Global) {
    if tracked.requests.is_empty() {
        if !global.quiet {
            anstream::eprintln!("no requests found in {region}");
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
        print::warning(region.as_str(), &error.to_string());
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
    print::json(&Document {
        requests: requests.map(|it| RequestRecord::new(region, it)).collect(),
        invalid: invalid.map(Into::into).collect(),
    });
}
