//! The status of a request, for people and for programs.

use std::collections::BTreeMap;
use std::time::Duration;

use accretion_aws::operator::{Source, TrackedRequest, TrackedTarget};
use accretion_core::diagnostic::printable;
use accretion_core::keys;
use accretion_core::layer::LayerName;
use accretion_core::target::{Architecture, LayerTarget, Runtime};
use accretion_core::tracking::Status;
use serde::Serialize;

use super::follow::Sighting;
use crate::args::Region;
use crate::print::{self, grouped, joined};
use crate::table;
use crate::units::{span, to_the_second};

/// A request for programs.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::commands) struct RequestRecord<'a> {
    region: &'a str,
    request_id: &'a str,
    project_name: Option<&'a str>,
    status: &'static str,
    is_terminal: bool,
    has_failed: bool,
    received_at: String,
    updated_at: String,
    source: Option<&'a Source>,
    rolled_back_to: Option<&'a str>,
    reason: Option<&'a str>,
    codes: &'a [String],
    targets: Vec<TargetRecord<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TargetRecord<'a> {
    layer: &'a str,
    runtime: Option<Runtime>,
    runtimes: &'a [Runtime],
    architecture: Architecture,
    status: &'static str,
    updated_at: String,
    seconds: f64,
    version_arn: Option<&'a str>,
    manifest_key: Option<&'a str>,
    digest: Option<&'a str>,
    code: Option<&'a str>,
    reason: Option<&'a str>,
    hint: Option<&'a str>,
    next_attempt_at: Option<String>,
}

impl<'a> RequestRecord<'a> {
    pub(in crate::commands) fn new(region: &'a Region, request: &'a TrackedRequest) -> Self {
        let targets = request.targets.iter();
        Self {
            region: region.as_str(),
            request_id: request.request.id.as_str(),
            project_name: request.project.as_deref(),
            status: request.status.name(),
            is_terminal: request.is_terminal(),
            has_failed: request.has_failed(),
            received_at: request.request.received_at.to_string(),
            updated_at: request.updated_at.to_string(),
            source: request.source.as_ref(),
            rolled_back_to: request.rolled_back_to.as_deref(),
            reason: request.reason.as_deref(),
            codes: &request.codes,
            targets: targets
                .map(|(target, known)| TargetRecord::new(*target, known, request))
                .collect(),
        }
    }
}

impl<'a> TargetRecord<'a> {
    fn new(target: LayerTarget, known: &'a TrackedTarget, request: &TrackedRequest) -> Self {
        Self {
            layer: &known.layer,
            runtime: target.runtime(),
            runtimes: &known.runtimes,
            architecture: target.architecture(),
            status: known.status.name(),
            updated_at: known.updated_at.to_string(),
            seconds: age(known, request).as_secs_f64(),
            version_arn: known.version_arn.as_deref(),
            manifest_key: known.manifest_key.as_deref(),
            digest: known.digest.as_deref(),
            code: known.code.as_deref(),
            reason: known.reason.as_deref(),
            hint: known.hint.as_deref(),
            next_attempt_at: known.next_attempt_at.map(|time| time.to_string()),
        }
    }
}

/// The age of the request at the last change of the target.
fn age(target: &TrackedTarget, request: &TrackedRequest) -> Duration {
    target.updated_at.since(request.request.received_at)
}

/// The status of a request in a few words: `1 Failed, 5 Unchanged`.
pub(in crate::commands) fn summary(request: &TrackedRequest) -> String {
    let mut counts: BTreeMap<Status, usize> = BTreeMap::new();
    for target in request.targets.values() {
        *counts.entry(target.status).or_default() += 1;
    }
    if counts.is_empty() {
        return request.status.to_string();
    }
    joined(
        counts
            .iter()
            .map(|(status, count)| format!("{count} {status}")),
    )
}

/// The source of a request in a few words.
pub(in crate::commands) fn came_from(request: &TrackedRequest) -> String {
    rollback(request).unwrap_or_else(|| source(request))
}

fn source(request: &TrackedRequest) -> String {
    let Some(source) = &request.source else {
        return "-".to_owned();
    };
    match &source.message_id {
        Some(id) => format!("message {}", printable(id)),
        None => printable(source.s3_key.as_deref().unwrap_or_default()),
    }
}

/// The cause of a target's wait in a few words; `None` if it does not wait.
pub(super) fn pause(target: &TrackedTarget) -> Option<String> {
    if target.status != Status::Waiting {
        return None;
    }
    let code = printable(target.code.as_deref().unwrap_or_default());
    let text = target.reason.as_deref().unwrap_or_default();
    let reason = printable(text.lines().next().unwrap_or_default());
    let until = target.next_attempt_at.map_or_else(String::new, |time| {
        format!(" until {}", to_the_second(time))
    });
    Some(format!("{}{until}: {code}: {reason}", target.status))
}

/// The version of a rollback in a few words.
fn rollback(request: &TrackedRequest) -> Option<String> {
    let arn = request.rolled_back_to.as_deref()?;
    let version = arn.rsplit_once(":layer:").map_or(arn, |(_, name)| name);
    Some(format!("rollback to {}", printable(version)))
}

/// Prints the failures of a request.
pub(super) fn print_failures(sighting: &Sighting) {
    let Sighting {
        region, request, ..
    } = sighting;
    if request.status == Status::Rejected {
        let reason = request.reason.as_deref().unwrap_or_default();
        let lines: Vec<_> = reason.trim_end().lines().map(printable).collect();
        anstream::eprintln!("{}", lines.join("\n"));
    }
    for (failure, layers) in failures(request) {
        let about = format!("{region}: {}", layers.join(", "));
        let code = failure.code.unwrap_or("Failed");
        let reason = failure.reason.unwrap_or("no reason was recorded");
        print::failure(code, Some(&about), reason, failure.hint);
    }
}

/// Prints a request and a table of its targets.
pub(super) fn print(sighting: &Sighting) {
    let Sighting {
        region, request, ..
    } = sighting;
    let name = request.project.as_deref().map(printable);
    let project = name.map_or_else(String::new, |name| format!(" of {name}"));
    anstream::println!("request {}{project} in {region}", request.request.id);
    let from = match &request.source {
        Some(_) => format!(" from {}", source(request)),
        None => String::new(),
    };
    let received = to_the_second(request.request.received_at);
    anstream::println!("received {received}{from}");
    if let Some(version) = rollback(request) {
        anstream::println!("a {version}");
    }
    if request.targets.is_empty() {
        anstream::println!("{}", request.status);
    } else {
        let mut rows = table::new(&["layer", "status", "after", "version"]);
        for target in request.targets.values() {
            rows.add_row([
                target.layer.clone(),
                target.status.to_string(),
                span(age(target, request)),
                target.version_arn.clone().unwrap_or_else(|| "-".to_owned()),
            ]);
        }
        table::print(rows, &[2]);
        if let Some(parameter) = parameter(sighting) {
            let others = if request.targets.len() > 1 {
                " and so on"
            } else {
                ""
            };
            anstream::println!("latest version: SSM parameter {parameter}{others}");
        }
        for target in request.targets.values() {
            if let Some(pause) = pause(target) {
                anstream::println!("{}  {pause}", target.layer);
            }
        }
    }
}

/// The SSM parameter that holds the latest version of the first layer that has one.
fn parameter(sighting: &Sighting) -> Option<String> {
    let mut targets = sighting.request.targets.values();
    let target = targets.find(|target| target.version_arn.is_some())?;
    let (project, target) = target.layer.parse::<LayerName>().ok()?.parts();
    let prefix = sighting.pointer_prefix.as_deref()?;
    Some(keys::latest_version_parameter(prefix, &project, target))
}

/// The failure of a target.
#[derive(PartialEq, Eq)]
struct Failure<'a> {
    code: Option<&'a str>,
    reason: Option<&'a str>,
    hint: Option<&'a str>,
}

/// The failures of a request, each with its layers.
fn failures(request: &TrackedRequest) -> Vec<(Failure<'_>, Vec<&str>)> {
    let targets = request.targets.values();
    let failed = targets.filter(|target| target.status == Status::Failed);
    grouped(failed.map(|target| {
        let failure = Failure {
            code: target.code.as_deref(),
            reason: target.reason.as_deref(),
            hint: target.hint.as_deref(),
        };
        (target.layer.as_str(), failure)
    }))
}
