//! `accretion man`

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::CommandFactory as _;

use crate::args::Args;
use crate::error::Error;

/// Write man pages, one a command, into a folder
///
/// For your own: `accretion man ~/.local/share/man/man1`
#[derive(Debug, clap::Args)]
pub(crate) struct Man {
    /// The folder; it is made if need be
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Writes the man pages.
pub(crate) fn run(args: Man) -> Result<ExitCode, Error> {
    let written = fs::create_dir_all(&args.folder)
        .and_then(|()| clap_mangen::generate_to(Args::command(), &args.folder));
    match written {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => Err(Error::FolderUnwritable {
            path: args.folder,
            error,
        }),
    }
}
