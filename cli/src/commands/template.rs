//! `accretion template`

use std::process::ExitCode;

use serde::Serialize;

use crate::args::{Format, Global};
use crate::cloud::{self, TemplateOption};
use crate::error::Error;

/// Print the path of the SAM template that `accretion update all` deploys
#[derive(Debug, clap::Args)]
pub(crate) struct Template {
    #[command(flatten)]
    template: TemplateOption,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    template: String,
}

/// Prints the path.
pub(crate) fn run(args: Template, global: Global) -> Result<ExitCode, Error> {
    let template = cloud::Template::find(args.template)?;
    let template = template.path().display().to_string();
    match global.format {
        Format::Json => crate::print_json(&Document { template }),
        Format::Text => anstream::println!("{template}"),
    }
    Ok(ExitCode::SUCCESS)
}
