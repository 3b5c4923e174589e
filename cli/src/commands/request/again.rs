//! `accretion request again`

use accretion_python::request::PythonInput;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;

use accretion_aws::S3Requests;
use accretion_aws::operator::RequestsTable;
use accretion_core::diagnostic::Report;
use accretion_core::keys;
use accretion_core::request::FileSource;
use accretion_core::request::{RequestId, Rollback, Targets};
use accretion_core::target::{Architecture, LayerTarget, Runtime};
use accretion_core::tracking::Status;
use accretion_python::request::Request;
use accretion_service::ports::Requests as _;

use super::{Destination, Requested, Said, Submission, submit};
use crate::args::{Format, Global};
use crate::cloud::{self, DeploymentFile, Pipeline, in_each};
use crate::commands::rollback;
use crate::commands::status::summary;
use crate::error::Error;

/// Request once more what a request has said
///
/// The pipeline has stored what it accepted, extra files included: that is dropped again, whatever
/// has become of the object in the inbox. It is a new request, with a new id, and newer than all that
/// came before it. Requirements are resolved anew.
#[derive(Debug, clap::Args)]
pub(crate) struct Again {
    /// The file, as `accretion init` writes it
    deployment_file: PathBuf,
    /// The id of a request, as `accretion request` and `accretion list requests` print it
    #[arg(value_name = "REQUEST_ID")]
    id: RequestId,
    /// Request only the layers that have failed
    ///
    /// Those of both architectures are two requests if other runtimes have failed for each.
    #[arg(long)]
    failed: bool,
    #[command(flatten)]
    destination: Destination,
}

/// Drops a request again, in the region that knows it.
pub(super) async fn run(args: Again, global: Global) -> Result<ExitCode, Error> {
    let file = DeploymentFile::new(&args.deployment_file);
    let regions = file.searched(&args.destination.regions)?;
    let clients = args.destination.aws.clients().await;
    let asked = regions.iter().map(|(region, _)| region.clone()).collect();
    let answers = in_each(regions, async |region, stacks| {
        let pipeline = Pipeline::connect(&clients, region, &stacks).await?;
        Ok(args.request(&pipeline).await)
    });
    let mut report = Report::new(args.id.as_str(), "");
    let (mut outcomes, mut unreachable) = (Vec::new(), Vec::new());
    for (region, answer) in answers.await {
        match answer {
            Ok((warnings, requested)) => {
                report.add_missing(warnings.problems);
                outcomes.extend(requested.into_iter().map(|it| (region.clone(), it)));
            }
            Err(error) => unreachable.push((region, Err(error))),
        }
    }
    // A request is known in one region: where that is found, the others don't matter.
    if outcomes.is_empty() {
        outcomes = unreachable;
    }
    if outcomes.is_empty() {
        let (id, regions) = (args.id, asked);
        return Err(cloud::Error::RequestUnknown { id, regions }.into());
    }
    if global.format == Format::Text {
        crate::print_report(&report, global);
    }
    let file = &args.deployment_file;
    let said = Said {
        report: &report,
        left_out: None,
    };
    args.destination.finish(file, said, outcomes, global).await
}

impl Again {
    /// Requests it again if the region knows it: what there is to say about it, and what came of
    /// each new request.
    async fn request(&self, pipeline: &Pipeline) -> (Report, Vec<Result<Requested, cloud::Error>>) {
        let mut report = Report::new(self.id.as_str(), "");
        let submissions = match self.submissions(pipeline).await {
            Ok(submissions) => submissions,
            Err(error) => return (report, vec![Err(error)]),
        };
        let mut requested = Vec::new();
        for submission in &submissions {
            report.add_missing(submission.report.problems.clone());
            requested.push(match submission.admit(pipeline) {
                Ok(()) => submit(pipeline, submission).await,
                Err(refused) => Err(refused),
            });
        }
        (report, requested)
    }

    /// What is to be dropped; nothing if the region does not know the request.
    async fn submissions(&self, pipeline: &Pipeline) -> Result<Vec<Submission>, cloud::Error> {
        let clients = &pipeline.clients;
        let bucket = pipeline.output("ArtifactsBucketName")?;
        let stored = S3Requests::new(clients, bucket);
        let table = RequestsTable::new(clients, pipeline.output("RequestsTableName")?);
        let Some(text) = stored.stored(&self.id).await? else {
            let known = table.request(&self.id).await?;
            let is_rejected = known.is_some_and(|known| known.status == Status::Rejected);
            if is_rejected {
                let (id, region) = (self.id.clone(), pipeline.region.clone());
                return Err(cloud::Error::RequestNotStored { id, region });
            }
            return Ok(Vec::new());
        };
        if let Some(Ok((rollback, _))) = Rollback::from_json(self.id.as_str(), &text) {
            if self.failed {
                self.failed_targets(pipeline, &table).await?;
            }
            return Ok(vec![rollback::submission(&rollback)]);
        }
        let read = Request::from_json(&keys::request(&self.id), &text);
        let (mut request, _) = read.map_err(|report| cloud::Error::RequestInvalid {
            id: self.id.clone(),
            problem: report.render(),
        })?;
        let mut report = Report::new(self.id.as_str(), "");
        report.add_missing(request.targets.warnings());
        let requests = if self.failed {
            let failed = self.failed_targets(pipeline, &table).await?;
            let files = self.restore(&stored, &mut request).await?;
            let parts = only(&request, &failed).into_iter();
            parts.map(|part| (part, files.clone())).collect()
        } else {
            let files = self.restore(&stored, &mut request).await?;
            vec![(request, files)]
        };
        let submissions = requests.into_iter().map(|(request, files)| Submission {
            key: keys::dropped_request(&request.name, "request.json"),
            bytes: request.to_json().into(),
            project: request.name.clone(),
            request: Some(request),
            files,
            left_out: None,
            report: report.clone(),
        });
        Ok(submissions.collect())
    }

    async fn failed_targets(
        &self,
        pipeline: &Pipeline,
        table: &RequestsTable,
    ) -> Result<BTreeSet<LayerTarget>, cloud::Error> {
        let region = pipeline.region.clone();
        let Some(known) = table.request(&self.id).await? else {
            let (id, regions) = (self.id.clone(), vec![region]);
            return Err(cloud::Error::RequestUnknown { id, regions });
        };
        let targets = known.targets.iter();
        let failed = targets.filter(|(_, target)| target.status == Status::Failed);
        let failed: BTreeSet<_> = failed.map(|(&target, _)| target).collect();
        if failed.is_empty() {
            return Err(cloud::Error::NothingFailed {
                id: self.id.clone(),
                region,
                summary: summary(&known),
            });
        }
        Ok(failed)
    }

    /// What was stored of a request's files, by the keys of the inbox that it names from now on: only
    /// the pipeline itself names what is stored.
    async fn restore(
        &self,
        stored: &S3Requests,
        request: &mut Request,
    ) -> Result<Vec<(String, Vec<u8>)>, cloud::Error> {
        let mut files = Vec::new();
        for source in std::mem::take(&mut request.contents.files) {
            let (key, name) = match &source {
                FileSource::Packed(sha256) => {
                    (keys::packed_files(*sha256), format!("{sha256}.zip"))
                }
                FileSource::Package { filename, sha256 } => {
                    (keys::own_wheel(*sha256), format!("{sha256}/{filename}"))
                }
                FileSource::Object(_) | FileSource::Prefix(_) => {
                    request.contents.files.insert(source);
                    continue;
                }
            };
            let Some(bytes) = stored.stored_file(&key).await? else {
                let id = self.id.clone();
                return Err(cloud::Error::RequestFileMissing { id, key });
            };
            let key = format!("{}{}/{name}", keys::FILES, request.name);
            let source = FileSource::object::<PythonInput>(&key)
                .expect("it is a file below the folder of files");
            request.contents.files.insert(source);
            files.push((key, bytes));
        }
        Ok(files)
    }
}

/// The requests that want some layers of one and no others: architectures that want the same
/// runtimes have one together.
fn only(request: &Request, layers: &BTreeSet<LayerTarget>) -> Vec<Request> {
    let mut wanted: BTreeMap<Architecture, BTreeSet<Runtime>> = BTreeMap::new();
    for layer in layers {
        let runtimes = wanted.entry(layer.architecture()).or_default();
        runtimes.extend(request.layer(*layer).runtimes());
    }
    let mut parts: BTreeMap<BTreeSet<Runtime>, BTreeSet<Architecture>> = BTreeMap::new();
    for (architecture, runtimes) in wanted {
        parts.entry(runtimes).or_default().insert(architecture);
    }
    let parts = parts.into_iter().map(|(runtimes, architectures)| Request {
        targets: Targets::new(runtimes, architectures),
        ..request.clone()
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(more: &str) -> Request {
        let text = format!(
            "{{\"Name\": \"tools\", \"Language\": \"python\", \"Requirements\": \
             {{\"Type\": \"requirements.txt\", \"Requirements\": \"six\"}}{more}}}"
        );
        Request::from_json("request.json", text.as_bytes())
            .unwrap()
            .0
    }

    /// The short forms of the layers of each part.
    fn parts(request: &Request, slugs: &[&str]) -> Vec<Vec<String>> {
        let layers = slugs
            .iter()
            .map(|slug| LayerTarget::from_slug(slug).unwrap());
        let parts = only(request, &layers.collect());
        let slugs = |part: &Request| {
            let layers = part.layers().into_iter();
            layers.map(|layer| layer.target().slug()).collect()
        };
        parts.iter().map(slugs).collect()
    }

    #[test]
    fn exactly_the_layers_that_failed_are_requested() {
        let all = request("");
        for (failed, expected) in [
            (&["py313"][..], &[&["py313"][..]][..]),
            (&["py312", "py313"], &[&["py312", "py313"]]),
            (&["py313", "py313-arm64"], &[&["py313", "py313-arm64"]]),
            (
                &["py312", "py313", "py313-arm64"],
                &[&["py312", "py313"], &["py313-arm64"]],
            ),
            (&["py312", "py313-arm64"], &[&["py312"], &["py313-arm64"]]),
        ] {
            assert_eq!(parts(&all, failed), expected, "{failed:?}");
        }
        // A merged layer is one of all of its runtimes.
        let merged = request(", \"Merge\": true, \"Runtimes\": [\"python3.12\", \"python3.13\"]");
        assert_eq!(parts(&merged, &["py-arm64"]), [["py-arm64"]]);
        assert_eq!(parts(&merged, &["py", "py-arm64"]), [["py", "py-arm64"]]);
        let part = only(&merged, &[LayerTarget::from_slug("py").unwrap()].into()).remove(0);
        assert_eq!(part.targets.runtimes().count(), 2);
    }
}
