//! `accretion man`

use std::fs;
use std::process::ExitCode;

use clap::CommandFactory as _;

use crate::args::{Args, Man};
use crate::error::Error;

/// Writes the man pages.
pub(crate) fn run(args: Man) -> Result<ExitCode, Error> {
    let path = args.folder;
    fs::create_dir_all(&path)
        .and_then(|()| clap_mangen::generate_to(Args::command(), &path))
        .map_err(|error| Error::FolderUnwritable { path, error })?;
    Ok(ExitCode::SUCCESS)
}
