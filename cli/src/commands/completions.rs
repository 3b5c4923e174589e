//! `accretion completions`

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::args::Args;

/// Print the completions for a shell
///
/// For bash, in a folder that has to be there:
/// `accretion completions bash > ~/.local/share/bash-completion/completions/accretion`
#[derive(Debug, clap::Args)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

/// Prints the completions.
pub(crate) fn run(args: &Completions) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "accretion", &mut script);
    // Whoever has read enough of it may be gone.
    let _ = io::stdout().write_all(&script);
    ExitCode::SUCCESS
}
