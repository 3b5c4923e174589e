//! `accretion check`

use std::process::ExitCode;

use accretion_core::diagnostic::{ProblemRecord, Report};
use serde::Serialize;

use crate::args::{Format, Global};
use crate::error::{Error, INPUT_AT_FAULT};
use crate::input::{self, Input, InputFile};

/// Check a request, a requirements.txt, a script or a lock file without building it
#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    #[command(flatten)]
    input: Input,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a> {
    valid: bool,
    problems: Vec<ProblemRecord<'a>>,
}

/// Checks an input and says everything that is wrong with it.
pub(crate) fn run(check: &Check, global: Global) -> Result<ExitCode, Error> {
    let file = InputFile::read(&check.input.path)?;
    let report = match input::check(&check.input, &file) {
        Ok((_, report)) | Err(Error::InputInvalid(report)) => report,
        Err(error) => return Err(error),
    };
    let valid = !report.has_errors();
    print(&report, valid, global);
    Ok(if valid {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(INPUT_AT_FAULT)
    })
}

fn print(report: &Report, valid: bool, global: Global) {
    match global.format {
        Format::Json => {
            let document = Document {
                valid,
                problems: report.records(),
            };
            crate::print_json(&document);
        }
        Format::Text => {
            crate::print_report(report, global);
            if valid && report.problems.is_empty() && !global.quiet {
                anstream::eprintln!("no problems found");
            }
        }
    }
}
