//! `accretion template`

use std::process::ExitCode;

use serde::Serialize;

use crate::args::{Global, Template};
use crate::error::Error;
use crate::{cloud, print};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    template: String,
}

/// Prints the path of the template.
pub(super) fn run(args: Template, global: Global) -> Result<ExitCode, Error> {
    let found = cloud::Template::find(args.template)?;
    let template = found.path().display().to_string();
    if global.is_text() {
        anstream::println!("{template}");
    } else {
        print::json(&Document { template });
    }
    Ok(ExitCode::SUCCESS)
}
