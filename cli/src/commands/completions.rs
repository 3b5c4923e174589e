//! `accretion completions`

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::CommandFactory as _;

use crate::args::{Args, Completions};

/// Prints the completions.
pub(crate) fn run(args: &Completions) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "accretion", &mut script);
    // The reader may have closed its end.
    let _ = io::stdout().write_all(&script);
    ExitCode::SUCCESS
}
