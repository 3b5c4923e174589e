//! `accretion request again`

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use accretion_aws::S3Requests;
use accretion_aws::operator::RequestsTable;
use accretion_core::diagnostic::Report;
use accretion_core::keys;
use accretion_core::request::{FileSource, Rollback, Targets};
use accretion_core::target::{Architecture, LayerTarget, Runtime};
use accretion_core::tracking::Status;
use accretion_python::request::PythonInput;
use accretion_python::request::Request;
use accretion_service::ports::Requests as _;

use super::{Requested, Said, Submission, submit};
use crate::args::{Global, RequestAgain};
use crate::cloud::{self, DeploymentFile, Pipeline, in_each, parted};
use crate::commands::rollback;
use crate::commands::status::summary;
use crate::error::Error;
use crate::print;

/// Drops a request again, in the region that knows it.
pub(in crate::commands) async fn run(
    args: RequestAgain,
    global: Global,
) -> Result<ExitCode, Error> {
    let file = DeploymentFile::new(&args.deployment_file);
    let regions = file.searched(&args.destination.regions)?;
    let clients = args.destination.aws.clients().await;
    let asked = regions.iter().map(|(region, _)| region.clone()).collect();
    let answers = in_each(regions, async |region, stacks| {
        let pipeline = Pipeline::connect(&clients, region, &stacks).await?;
        Ok(args.request(&pipeline).await)
    });
    let mut report = Report::new(args.id.as_str(), "");
    let (answered, unreachable) = parted(answers.await);
    let mut outcomes = Vec::new();
    for (region, (warnings, requested)) in answered {
        report.add_missing(warnings.problems);
        outcomes.extend(requested.into_iter().map(|it| (region.clone(), it)));
    }
    // Only one region has the request. If it is found, errors of other regions do not matter.
    if outcomes.is_empty() {
        let errors = unreachable.into_iter();
        outcomes.extend(errors.map(|(region, error)| (region, Err(error))));
    }
    if outcomes.is_empty() {
        let (id, regions) = (args.id, asked);
        return Err(cloud::Error::RequestUnknown { id, regions }.into());
    }
    if global.is_text() {
        print::report(&report, global);
    }
    let file = &args.deployment_file;
    let said = Said {
        report: &report,
        left_out: None,
    };
    args.destination.finish(file, said, outcomes, global).await
}

impl RequestAgain {
    /// Drops the request again if the region has it. Returns the warnings and the new requests.
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

    /// The requests to drop; none if the region does not have the request.
    async fn submissions(&self, pipeline: &Pipeline) -> Result<Vec<Submission>, cloud::Error> {
        let clients = &pipeline.clients;
        let bucket = pipeline.output("ArtifactsBucketName")?;
        let stored = S3Requests::new(clients, bucket);
        let table = pipeline.requests()?;
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
        let failed = if self.failed {
            Some(self.failed_targets(pipeline, &table).await?)
        } else {
            None
        };
        let files = self.restore(&stored, &mut request).await?;
        let requests = match failed {
            Some(failed) => only(&request, &failed),
            None => vec![request],
        };
        let submissions = requests.into_iter().map(|request| Submission {
            key: keys::dropped_request(&request.name, "request.json"),
            bytes: request.to_json().into(),
            project: request.name.clone(),
            request: Some(request),
            files: files.clone(),
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
        let failed: BTreeSet<_> = targets
            .filter(|(_, target)| target.status == Status::Failed)
            .map(|(&target, _)| target)
            .collect();
        if failed.is_empty() {
            return Err(cloud::Error::NothingFailed {
                id: self.id.clone(),
                region,
                summary: summary(&known),
            });
        }
        Ok(failed)
    }

    /// Reads the stored files of a request, and replaces them in it by keys of the inbox: only the
    /// pipeline itself may name stored files. Returns the files by these keys.
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
                    (keys::own_package(*sha256), format!("{sha256}/{filename}"))
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
            let inbox_key = format!("{}{}/{name}", keys::FILES, request.name);
            let object = FileSource::object::<PythonInput>(&inbox_key)
                .expect("it lies below the folder of files");
            request.contents.files.insert(object);
            files.push((inbox_key, bytes));
        }
        Ok(files)
    }
}

/// The requests for exactly these layers of a request: one for each set of runtimes, with all of its
/// architectures.
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
    let requests = parts.into_iter().map(|(runtimes, architectures)| Request {
        targets: Targets::new(runtimes, architectures),
        ..request.clone()
    });
    requests.collect()
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
