//! Deleted and kept versions, for people and for programs.

use accretion_core::retention::Reason;
use accretion_service::deletion::{Outcome, PlannedVersion};
use serde::Serialize;

use super::Done;
use crate::args::Global;
use crate::cloud::{self, print_fault_in};
use crate::print::{ErrorRecord, RegionFailure};
use crate::units::to_the_second;
use crate::{print, table};

/// Prints which versions the command will delete and keep.
pub(super) fn print_plan(done: &[Done]) {
    let mut rows = table::new(&["region", "version", "created", ""]);
    for it in done {
        let found = it.result.iter().flat_map(|found| &found.versions);
        for planned in found {
            let version = &planned.version;
            let fate = planned.reason.as_ref().map_or_else(
                || "to delete".to_owned(),
                |reason| format!("kept: {}", why(reason)),
            );
            rows.add_row([
                it.region.to_string(),
                format!("{}:{}", planned.layer, version.number),
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
        Reason::Used(users) => format!("used by {}", print::joined(users)),
        Reason::Recent => "one of the newest".to_owned(),
        Reason::Young => "not old enough".to_owned(),
    }
}

/// Prints the outcome of each deletion, and the errors.
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
                    print::warning(arn, &format!("kept after all: {}", why(reason)));
                }
                Outcome::DeletedUnrecorded(error) => {
                    print::warning(arn, "it is deleted, but its record does not say so");
                    print::fault(error, Some(arn));
                }
                Outcome::Failed(error) => print::fault(error, Some(arn)),
            }
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a> {
    versions: Vec<VersionRecord<'a>>,
    failures: Vec<RegionFailure<'a>>,
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

impl<'a> VersionRecord<'a> {
    fn new(done: &'a Done, planned: &'a PlannedVersion) -> Self {
        let version = &planned.version;
        let mut outcomes = done.outcomes.iter();
        let outcome = outcomes.find_map(|(arn, it)| (*arn == version.arn).then_some(it));
        let reason = match outcome {
            Some(Outcome::Kept(reason)) => Some(reason),
            _ => planned.reason.as_ref(),
        };
        let users = match reason {
            Some(Reason::Used(users)) => users.iter().map(String::as_str).collect(),
            _ => Vec::new(),
        };
        Self {
            region: done.region.as_str(),
            layer: planned.layer.as_str(),
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
                    Some(error.into())
                }
                _ => None,
            },
        }
    }
}

/// Prints everything for programs. `refusal` is the reason if nothing was deleted.
pub(super) fn print_document(done: &[Done], refusal: Option<&cloud::Error>) {
    let versions = done.iter().flat_map(|it| {
        let found = it.result.iter().flat_map(|found| &found.versions);
        found.map(move |planned| VersionRecord::new(it, planned))
    });
    let failures = done.iter().filter_map(|it| {
        let error = it.result.as_ref().err()?;
        Some(RegionFailure::new(Some(it.region.as_str()), error))
    });
    let refused = refusal.map(|error| RegionFailure::new(None, error));
    print::json(&Document {
        versions: versions.collect(),
        failures: failures.chain(refused).collect(),
    });
}
