//! `accretion request`

pub(super) mod again;
pub(super) mod raw;
pub(super) mod requirements;

use std::path::Path;
use std::process::ExitCode;

use accretion_aws::S3Inbox;
use accretion_aws::operator::Dropped;
use accretion_core::diagnostic::{ProblemRecord, Report};
use accretion_core::request::{ProjectName, RequestId};
use accretion_python::request::Request as LayerRequest;
use serde::Serialize;

use super::status::{self, Followed, Outcomes, Place, RequestRecord};
use crate::args::{Destination, Global, Region};
use crate::cloud::{self, DeploymentFile, Pipeline, in_each, parted, print_fault_in};
use crate::contents::LeftOutRecord;
use crate::error::Error;
use crate::exit::code_of_all;
use crate::print::ErrorRecord;
use crate::{print, table};

/// A request to drop.
pub(super) struct Submission {
    pub(super) project: ProjectName,
    /// The request; `None` for a rollback.
    pub(super) request: Option<LayerRequest>,
    pub(super) key: String,
    pub(super) bytes: Vec<u8>,
    /// The files of the request by their keys. The command uploads them first.
    pub(super) files: Vec<(String, Vec<u8>)>,
    /// The files that were left out of an extra folder.
    pub(super) left_out: Option<LeftOutRecord>,
    /// The warnings about the input.
    pub(super) report: Report,
}

impl Submission {
    /// Refuses a request that the pipeline would refuse.
    fn admit(&self, pipeline: &Pipeline) -> Result<(), cloud::Error> {
        let request = self.request.as_ref();
        request.map_or(Ok(()), |request| pipeline.admit(request))
    }
}

/// Remarks about the dropped requests.
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
        if global.is_text() {
            print::report(&submission.report, global);
        }
        let clients = self.aws.clients().await;
        let connecting = in_each(regions, async |region, stacks| {
            let pipeline = Pipeline::connect(&clients, region, &stacks).await?;
            submission.admit(&pipeline)?;
            Ok(pipeline)
        });
        let pipelines = unless_refused(connecting.await);
        let submitting = in_each(pipelines, async |_, pipeline| {
            submit(&pipeline?, &submission).await
        });
        let outcomes = submitting.await;
        let said = Said {
            report: &submission.report,
            left_out: submission.left_out,
        };
        self.finish(deployment_file, said, outcomes, global).await
    }

    /// Prints the dropped requests, and follows them with `--watch`.
    async fn finish(
        self,
        deployment_file: &Path,
        said: Said<'_>,
        outcomes: Vec<(Region, Result<Requested, cloud::Error>)>,
        global: Global,
    ) -> Result<ExitCode, Error> {
        let (dropped, failures) = parted(outcomes);
        let requested: Vec<_> = dropped.into_iter().map(|(_, it)| it).collect();
        if global.is_text() {
            print_dropped(&requested, &failures, global);
        }
        if !requested.is_empty() && global.is_chatty() {
            if self.watch {
                anstream::println!();
            } else {
                let ids = requested.iter().map(|it| it.id.as_str());
                let command = status::command(deployment_file, ids);
                anstream::eprintln!("follow the request: {command}");
            }
        }
        let mut outcomes = None;
        if self.watch {
            let followed = requested.iter().map(Requested::followed).collect();
            outcomes = Some(status::follow(followed, deployment_file, global).await);
        }
        match &outcomes {
            outcomes if !global.is_text() => {
                print_document(said, &requested, &failures, outcomes.as_ref());
            }
            Some(outcomes) => outcomes.print(!global.quiet),
            None => {}
        }
        let codes = failures.iter().map(|(_, error)| error.exit_code());
        Ok(code_of_all(
            codes.chain(outcomes.iter().flat_map(Outcomes::exit_codes)),
        ))
    }
}

/// Uploads the files of a request, then drops it.
async fn submit(pipeline: &Pipeline, submission: &Submission) -> Result<Requested, cloud::Error> {
    let clients = &pipeline.clients;
    let place = Place::of(pipeline)?;
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
        place,
    })
}

/// Returns the pipelines. If one refuses the request, returns only the errors, so that it is dropped
/// nowhere.
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
        let mut rows = table::new(&["region", "project", "request", "key"]);
        for it in requested {
            rows.add_row([
                it.place.region.as_str(),
                it.project.as_str(),
                it.id.as_str(),
                &it.dropped.key,
            ]);
        }
        table::print(rows, &[]);
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

/// An error of a region or a request, for programs.
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
            error: error.into(),
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
    let not_dropped = failures
        .iter()
        .map(|(region, error)| FailureRecord::new(Some(region), None, error));
    let followed = outcomes.into_iter().flat_map(Outcomes::failures);
    print::json(&Document {
        problems: said.report.records(),
        dropped: dropped.collect(),
        files_left_out: said.left_out,
        requests: outcomes.map(|outcomes| outcomes.records().collect()),
        failures: not_dropped.chain(followed).collect(),
    });
}
