//! `accretion add`

mod regions;
mod stack;

use std::process::ExitCode;

use crate::args::Global;
use crate::cloud::Region;
use crate::error::Error;

/// Add regions or stacks to a deployment file; deploys nothing
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Add {
    Regions(regions::Regions),
    Stack(stack::Stack),
}

impl Add {
    /// The region that it is about, if that is one.
    pub(super) fn region(&self) -> Option<&Region> {
        match self {
            Self::Regions(_) => None,
            Self::Stack(args) => Some(&args.region),
        }
    }
}

/// Adds to a deployment file.
pub(crate) async fn run(add: Add, global: Global) -> Result<ExitCode, Error> {
    match add {
        Add::Regions(args) => regions::run(args, global),
        Add::Stack(args) => stack::run(args, global).await,
    }
}
