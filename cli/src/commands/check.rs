//! `accretion check`

use std::process::ExitCode;
use std::sync::Arc;

use accretion_core::diagnostic::{ProblemRecord, Report};
use accretion_python::request::Request;
use serde::Serialize;

use crate::args::{Check, Global, SourceOptions};
use crate::commands::lock::{self, Resolved};
use crate::engine::Engine;
use crate::environment::Environment;
use crate::error::Error;
use crate::exit::INPUT_AT_FAULT;
use crate::failed::{self, FailureRecord, WarningRecord};
use crate::input::InputFile;
use crate::progress::Terminal;
use crate::unselected::Unselected;
use crate::{extra, input, print};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a> {
    valid: bool,
    problems: Vec<ProblemRecord<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<Unselected>,
    #[serde(flatten)]
    resolution: Option<Resolution<'a>>,
}

/// The outcome of resolving.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Resolution<'a> {
    warnings: Vec<WarningRecord<'a>>,
    failures: Vec<FailureRecord<'a>>,
}

/// Checks an input and prints all of its problems.
pub(crate) async fn run(
    mut check: Check,
    global: Global,
    environment: &Environment,
) -> Result<ExitCode, Error> {
    check.input.choose(global)?;
    let file = InputFile::read(&check.input.path)?;
    let (request, mut report) = match input::check(&check.input, &file, &[]) {
        Ok((request, report)) => (Some(request), report),
        Err(Error::InputInvalid(report)) => (None, report),
        Err(error) => return Err(error),
    };
    let left_out = request.as_ref().and_then(Unselected::of);
    let resolved = match request {
        Some(request) if check.resolve => {
            report.add_missing(request.targets.warnings());
            Some(resolve(&check.sources, &request, global, environment).await?)
        }
        _ => None,
    };
    let valid = !report.has_errors();
    print(&report, left_out, resolved.as_ref(), global);
    Ok(match resolved {
        Some(resolved) => failed::exit_code(&resolved.failed),
        None if valid => ExitCode::SUCCESS,
        None => ExitCode::from(INPUT_AT_FAULT),
    })
}

async fn resolve(
    sources: &SourceOptions,
    request: &Request,
    global: Global,
    environment: &Environment,
) -> Result<Resolved, Error> {
    extra::check_files(request)?;
    let progress = Arc::new(Terminal::new(!global.is_chatty()));
    let engine = Engine::new(sources, environment, request, &progress)?;
    lock::resolve(request, &engine, &progress).await
}

fn print(
    report: &Report,
    left_out: Option<Unselected>,
    resolved: Option<&Resolved>,
    global: Global,
) {
    let valid = !report.has_errors();
    if !global.is_text() {
        return print::json(&Document {
            valid: valid && resolved.is_none_or(|it| it.failed.is_empty()),
            problems: report.records(),
            left_out,
            resolution: resolved.map(|it| Resolution {
                warnings: failed::records(&it.warnings),
                failures: it.failed.iter().map(Into::into).collect(),
            }),
        });
    }
    print::report(report, global);
    if let Some(left_out) = left_out {
        left_out.print_all(global);
    }
    let is_good = valid && report.problems.is_empty() && !global.quiet;
    match resolved {
        Some(resolved) => {
            failed::print_warnings(&resolved.warnings, global);
            failed::print(&resolved.failed);
            if is_good && resolved.warnings.is_empty() && resolved.failed.is_empty() {
                anstream::eprintln!("no problems found");
            }
        }
        None if is_good => {
            anstream::eprintln!("no problems found; use --resolve to resolve the input, too");
        }
        None if valid && !global.quiet => {
            anstream::eprintln!("use --resolve to resolve the input, too");
        }
        None => {}
    }
}
