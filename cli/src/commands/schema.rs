//! `accretion schema`

use std::process::ExitCode;

use crate::print;

/// Prints the JSON Schema of a request, with any `--format`.
pub(crate) fn run() -> ExitCode {
    print::json(accretion_python::request::schema().as_value());
    ExitCode::SUCCESS
}
