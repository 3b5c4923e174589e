//! Versions that are deleted or kept, for people and for programs.

use accretion_core::Fault;
use accretion_core::retention::Reason;
use accretion_service::deletion::{Outcome, PlannedVersion};
use serde::Serialize;

use super::versions::Done;
use crate::args::Global;
use crate::cloud::{self, print_fault_in};
use crate::error::{ErrorRecord, print_fault, print_warning};
use crate::table;
use crate::units::to_the_second;

/// Prints what would become of each version.
pub(super) fn print_plan(done: &[Done]) {
    let mut rows = table::new(&["region", "version", "created", ""]);
    for it in done {
        let found = it.result.iter().flat_map(|found| &found.versions);
        for judged in found {
            let version = &judged.version;
            let fate = judged.reason.as_ref().map_or_else(
                || "to delete".to_owned(),
                |reason| format!("kept: {}", why(reason)),
            );
            rows.add_row([
                it.region.to_string(),
                format!("{}:{}", judged.layer, version.number),
                version.created_at.map_or_else(String::new, to_the_second),
                fate,
            ]);
        }
    }
    if rows.row_count() > 0 {
        table::print(rows, &[]);
    }
}

/// The reason to keep a version, for people.
fn why(reason: &Reason) -> String {
    match reason {
        Reason::Latest => "the latest, or being published".to_owned(),
        Reason::Used(users) => {
            let users: Vec<_> = users.iter().map(String::as_str).collect();
            format!("used by {}", users.join(", "))
        }
        Reason::Recent => "one of the newest".to_owned(),
        Reason::Young => "not old enough".to_owned(),
    }
}

/// Prints what has come of each version that was to be deleted, and what went wrong.
pub(super) fn print_outcomes(done: &[Done], global: Global) {
    for it in done {
        if let Err(error) = &it.result {
            print_fault_in(&it.region, error);
        }
        for (arn, outcome) in &it.outcomes {
            match outcome {
                Outcome::Deleted => {
                    if !global.quiet {
                        anstream::println!("deleted {arn}");
                    }
                }
                Outcome::Kept(reason) => {
                    let kept = format!("kept after all: {}", why(reason));
                    print_warning(arn, &kept);
                }
                Outcome::DeletedUnrecorded(error) => {
                    print_warning(arn, "it is deleted, and its record does not say so");
                    print_fault(error, Some(arn));
                }
                Outcome::Failed(error) => print_fault(error, Some(arn)),
            }
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a> {
    versions: Vec<VersionRecord<'a>>,
    failures: Vec<FailureRecord<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct VersionRecord<'a> {
    region: &'a str,
    layer: &'a str,
    version: u64,
    version_arn: &'a str,
    created_at: Option<String>,
    outcome: &'static str,
    reason: Option<&'static str>,
    used_by: Vec<&'a str>,
    error: Option<ErrorRecord>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct FailureRecord<'a> {
    region: Option<&'a str>,
    error: ErrorRecord,
}

impl<'a> VersionRecord<'a> {
    fn new(done: &'a Done, judged: &'a PlannedVersion) -> Self {
        let version = &judged.version;
        let mut outcomes = done.outcomes.iter();
        let outcome = outcomes.find(|(arn, _)| *arn == version.arn);
        let outcome = outcome.map(|(_, outcome)| outcome);
        let reason = match outcome {
            Some(Outcome::Kept(reason)) => Some(reason),
            _ => judged.reason.as_ref(),
        };
        let users = match reason {
            Some(Reason::Used(users)) => users.iter().map(String::as_str).collect(),
            _ => Vec::new(),
        };
        Self {
            region: done.region.as_str(),
            layer: judged.layer.as_str(),
            version: version.number,
            version_arn: &version.arn,
            created_at: version.created_at.map(|at| at.to_string()),
            outcome: match outcome {
                None if reason.is_none() => "Deletable",
                None | Some(Outcome::Kept(_)) => "Kept",
                Some(Outcome::Deleted | Outcome::DeletedUnrecorded(_)) => "Deleted",
                Some(Outcome::Failed(_)) => "Failed",
            },
            reason: reason.map(|reason| match reason {
                Reason::Latest => "Latest",
                Reason::Used(_) => "Used",
                Reason::Recent => "Recent",
                Reason::Young => "Young",
            }),
            used_by: users,
            error: match outcome {
                Some(Outcome::DeletedUnrecorded(error) | Outcome::Failed(error)) => {
                    Some(ErrorRecord::from(error as &dyn Fault))
                }
                _ => None,
            },
        }
    }
}

/// Prints all of it for programs. `refusal` says why nothing was deleted.
pub(super) fn print_document(done: &[Done], refusal: Option<&cloud::Error>) {
    let versions = done.iter().flat_map(|it| {
        let found = it.result.iter().flat_map(|found| &found.versions);
        found.map(move |judged| VersionRecord::new(it, judged))
    });
    let failures = done.iter().filter_map(|it| {
        let error = it.result.as_ref().err()?;
        Some((Some(it.region.as_str()), error))
    });
    let failures = failures.chain(refusal.map(|error| (None, error)));
    crate::print_json(&Document {
        versions: versions.collect(),
        failures: failures
            .map(|(region, error)| FailureRecord {
                region,
                error: ErrorRecord::from(error as &dyn Fault),
            })
            .collect(),
    });
}
