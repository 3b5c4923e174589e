//! Commands that need no AWS.

use std::path::PathBuf;

use clap::builder::ArgPredicate;
use clap_complete::Shell;

use super::{ExtraOptions, Input, PYPROJECT, SourceOptions};

/// Build layers from a request, a requirements.txt, a script or a lock file
///
/// Writes LAYER.zip and LAYER.manifest for each runtime and architecture; with --merge, for each
/// architecture. Layers with unchanged content stay as they are. Without INPUT, the command reads the
/// only lock or requirements file of the current folder; with --project, the project's requirements.
#[derive(Debug, clap::Args)]
#[command(mut_arg("path", |arg| arg
    .default_value_if("projects", ArgPredicate::IsPresent, PYPROJECT)
))]
pub(crate) struct Build {
    #[command(flatten)]
    pub(crate) input: Input,
    /// The folder that layers are written to
    #[arg(short, long, value_name = "DIR", default_value = "layers")]
    pub(crate) output: PathBuf,
    /// Fail if two wheels have different files at the same path
    #[arg(long)]
    pub(crate) strict: bool,
    #[command(flatten)]
    pub(crate) extra: ExtraOptions,
    #[command(flatten)]
    pub(crate) sources: SourceOptions,
}

/// Lock the packages of an input's layers in a pylock.toml (PEP 751)
///
/// Writes pylock.NAME.toml, where NAME is the project's name, with the exact files of all packages
/// for each runtime and architecture. `accretion build` makes the same layers from it at any time, and
/// `uv pip sync` installs the same packages on a machine of the same kind.
#[derive(Debug, clap::Args)]
pub(crate) struct Lock {
    #[command(flatten)]
    pub(crate) input: Input,
    /// The folder that the lock is written to [default: the current folder]
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) sources: SourceOptions,
}

/// Check a request, a requirements.txt, a script or a lock file without building it
///
/// Reads only the input and the project beside a lock file, unless --resolve is given.
#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) input: Input,
    /// Also resolve the input for every target, as a build does, and report failures and yanked
    /// versions
    #[arg(long)]
    pub(crate) resolve: bool,
    #[command(flatten)]
    pub(crate) sources: SourceOptions,
}

/// Print the JSON Schema of a request
#[derive(Debug, clap::Args)]
pub(crate) struct Schema {}

/// Print the completions for a shell
///
/// For bash, in an existing folder:
/// `accretion completions bash > ~/.local/share/bash-completion/completions/accretion`
#[derive(Debug, clap::Args)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: Shell,
}

/// Write man pages into a folder, one for each command
///
/// For your user: `accretion man ~/.local/share/man/man1`
#[derive(Debug, clap::Args)]
pub(crate) struct Man {
    /// The folder; the command creates it if necessary
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
}
