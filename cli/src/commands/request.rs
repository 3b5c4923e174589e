//! `accretion request`

mod again;
mod raw;
mod requirements;

use std::path::Path;
use std::process::ExitCode;

use accretion_aws::S3Inbox;
use accretion_aws::operator::{Dropped, RequestsTable};
use accretion_core::Fault;
use accretion_core::diagnostic::{ProblemRecord, Report};
use accretion_core::request::{ProjectName, RequestId};
use accretion_python::request::Request as LayerRequest;
use comfy_table::Table;
use serde::Serialize;

use super::status::{self, Followed, Outcomes, Place, RequestRecord};
use crate::args::{Format, Global};
use crate::cloud::{self, AwsOptions, DeploymentFile, Pipeline, Region, in_each, print_fault_in};
use crate::contents::LeftOutRecord;
use crate::environment::Environment;
use crate::error::{Error, ErrorRecord, code_of};
use crate::table;

/// Request layers: drop a request into the inbox of each region
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Request {
    Raw(raw::Raw),
    Requirements(Box<requirements::Requirements>),
    Again(again::Again),
}

/// Drops a request.
pub(crate) async fn run(
    request: Request,
    global: Global,
    environment: &Environment,
) -> Result<ExitCode, Error> {
    match request {
        Request::Raw(args) => raw::run(args, global).await,
        Request::Requirements(args) => requirements::run(*args, global, environment).await,
        Request::Again(args) => again::run(args, global).await,
    }
}

/// Where a request goes, and whether to wait for what comes of it.
#[derive(Debug, clap::Args)]
pub(super) struct Destination {
    /// Request in this region only [may be repeated; default: all of the file]
    #[arg(long = "region", value_name = "REGION")]
    pub(super) regions: Vec<Region>,
    /// Follow the request until all of its layers have come to an end
    #[arg(long)]
    pub(super) watch: bool,
    #[command(flatten)]
    pub(super) aws: AwsOptions,
}

/// What is dropped.
pub(super) struct Submission {
    pub(super) project: ProjectName,
    /// The request; `None` of a rollback, which asks for what there was.
    pub(super) request: Option<LayerRequest>,
    pub(super) key: String,
    pub(super) bytes: Vec<u8>,
    /// What it names, by keys: uploaded first.
    pub(super) files: Vec<(String, Vec<u8>)>,
    /// The files that have stayed out of a folder that is among them.
    pub(super) left_out: Option<LeftOutRecord>,
    /// What there is to say about the input, none of it an error.
    pub(super) report: Report,
}

impl Submission {
    /// Refuses what the pipeline would refuse.
    fn admit(&self, pipeline: &Pipeline) -> Result<(), cloud::Error> {
        let request = self.request.as_ref();
        request.map_or(Ok(()), |request| pipeline.admit(request))
    }
}

/// The report on what is dropped.
#[derive(Clone, Copy)]
struct Said<'a> {
    report: &'a Report,
    left_out: Option<LeftOutRecord>,
}

/// A request that was dropped in a region.
struct Requested {
    project: ProjectName,
    dropped: Dropped,
    id: RequestId,
    place: Place,
}

impl Destination {
    /// Drops a request in each region.
    pub(super) async fn take(
        self,
        deployment_file: &Path,
        submission: Submission,
        global: Global,
    ) -> Result<ExitCode, Error> {
        let regions = DeploymentFile::new(deployment_file).chosen(&self.regions)?;
        if global.format == Format::Text {
            crate::print_report(&submission.report, global);
        }
        let clients = self.aws.clients().await;
        let pipelines = in_each(regions, async |region, stacks| {
            let pipeline = Pipeline::connect(&clients, region, &stacks).await?;
            submission.admit(&pipeline)?;
            Ok(pipeline)
        });
        let pipelines = unless_refused(pipelines.await);
        let outcomes = in_each(pipelines, async |_, pipeline| {
            submit(&pipeline?, &submission).await
        });
        let outcomes = outcomes.await;
        let said = Said {
            report: &submission.report,
            left_out: submission.left_out,
        };
        self.finish(deployment_file, said, outcomes, global).await
    }

    /// Shows what came of dropping requests, and follows them if that is wanted.
    async fn finish(
        self,
        deployment_file: &Path,
        said: Said<'_>,
        outcomes: Vec<(Region, Result<Requested, cloud::Error>)>,
        global: Global,
    ) -> Result<ExitCode, Error> {
        let (mut requested, mut failures) = (Vec::new(), Vec::new());
        for (region, outcome) in outcomes {
            match outcome {
                Ok(done) => requested.push(done),
                Err(error) => failures.push((region, error)),
            }
        }
        if global.format == Format::Text {
            print_dropped(&requested, &failures, global);
            if !requested.is_empty() && !global.quiet {
                if self.watch {
                    anstream::println!();
                } else {
                    let ids = requested.iter().map(|it| it.id.as_str());
                    let command = status::command(deployment_file, ids);
                    anstream::eprintln!("follow what comes of it: {command}");
                }
            }
        }
        let outcomes = if self.watch {
            let followed = requested.iter().map(Requested::followed);
            let followed: Vec<_> = followed.collect();
            Some(status::follow(followed, deployment_file, global).await)
        } else {
            None
        };
        match (global.format, &outcomes) {
            (Format::Json, outcomes) => {
                print_document(said, &requested, &failures, outcomes.as_ref());
            }
            (Format::Text, Some(outcomes)) => outcomes.print(!global.quiet),
            (Format::Text, None) => {}
        }
        let codes = failures.iter().map(|(_, error)| code_of(error.class()));
        let codes = codes.chain(outcomes.iter().filter_map(Outcomes::exit_code));
        Ok(codes.min().map_or(ExitCode::SUCCESS, ExitCode::from))
    }
}

/// Drops a request in a region, and first what it names.
async fn submit(pipeline: &Pipeline, submission: &Submission) -> Result<Requested, cloud::Error> {
    let clients = &pipeline.clients;
    let table = RequestsTable::new(clients, pipeline.output("RequestsTableName")?);
    let inbox = S3Inbox::new(clients, pipeline.output("InboxBucketName")?);
    for (key, bytes) in &submission.files {
        inbox.drop(key, bytes.clone()).await?;
    }
    let bytes = submission.bytes.clone();
    let dropped = inbox.drop(&submission.key, bytes).await?;
    Ok(Requested {
        project: submission.project.clone(),
        id: dropped.id(),
        dropped,
        place: Place {
            region: pipeline.region.clone(),
            table,
            pointer_prefix: pipeline
                .parameter(Pipeline::POINTER_PREFIX)
                .map(str::to_owned),
        },
    })
}

/// The pipelines, or only why some refuse the request: then it is dropped nowhere.
fn unless_refused(
    mut pipelines: Vec<(Region, Result<Pipeline, cloud::Error>)>,
) -> Vec<(Region, Result<Pipeline, cloud::Error>)> {
    let is_refusal =
        |it: &Result<_, cloud::Error>| matches!(it, Err(cloud::Error::RequestNotAdmitted { .. }));
    if pipelines.iter().any(|(_, it)| is_refusal(it)) {
        pipelines.retain(|(_, it)| it.is_err());
    }
    pipelines
}

fn print_dropped(requested: &[Requested], failures: &[(Region, cloud::Error)], global: Global) {
    if !requested.is_empty() && !global.quiet {
        table::print(rows(requested), &[]);
    }
    for (region, error) in failures {
        print_fault_in(region, error);
    }
}

impl Requested {
    fn followed(&self) -> Followed {
        Followed {
            id: self.id.clone(),
            places: vec![self.place.clone()],
        }
    }
}

fn rows(requested: &[Requested]) -> Table {
    let mut rows = table::new(&["region", "project", "request", "key"]);
    for requested in requested {
        rows.add_row([
            requested.place.region.as_str(),
            requested.project.as_str(),
            requested.id.as_str(),
            &requested.dropped.key,
        ]);
    }
    rows
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a> {
    problems: Vec<ProblemRecord<'a>>,
    dropped: Vec<DroppedRecord<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    files_left_out: Option<LeftOutRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requests: Option<Vec<RequestRecord<'a>>>,
    failures: Vec<FailureRecord<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DroppedRecord<'a> {
    region: &'a str,
    project_name: &'a str,
    request_id: &'a str,
    s3_bucket: &'a str,
    s3_key: &'a str,
    s3_version_id: &'a str,
}

/// What could not be done in a region, or for a request.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct FailureRecord<'a> {
    region: Option<&'a str>,
    request_id: Option<&'a str>,
    error: ErrorRecord,
}

impl<'a> FailureRecord<'a> {
    pub(super) fn new(
        region: Option<&'a Region>,
        request: Option<&'a RequestId>,
        error: &cloud::Error,
    ) -> Self {
        Self {
            region: region.map(Region::as_str),
            request_id: request.map(RequestId::as_str),
            error: ErrorRecord::from(error as &dyn Fault),
        }
    }
}

fn print_document(
    said: Said<'_>,
    requested: &[Requested],
    failures: &[(Region, cloud::Error)],
    outcomes: Option<&Outcomes>,
) {
    let dropped = requested.iter().map(|requested| DroppedRecord {
        region: requested.place.region.as_str(),
        project_name: requested.project.as_str(),
        request_id: requested.id.as_str(),
        s3_bucket: &requested.dropped.bucket,
        s3_key: &requested.dropped.key,
        s3_version_id: &requested.dropped.version_id,
    });
    let failures = failures.iter();
    let failures = failures.map(|(region, error)| FailureRecord::new(Some(region), None, error));
    let followed = outcomes.into_iter().flat_map(Outcomes::failures);
    crate::print_json(&Document {
        problems: said.report.records(),
        dropped: dropped.collect(),
        files_left_out: said.left_out,
        requests: outcomes.map(|outcomes| outcomes.records().collect()),
        failures: failures.chain(followed).collect(),
    });
}
