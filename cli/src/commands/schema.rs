//! `accretion schema`

use std::process::ExitCode;

/// Print the JSON Schema of a request
#[derive(Debug, clap::Args)]
pub(crate) struct Schema {}

/// Prints the schema, which is JSON in every format.
pub(crate) fn run() -> ExitCode {
    crate::print_json(accretion_python::request::schema().as_value());
    ExitCode::SUCCESS
}
