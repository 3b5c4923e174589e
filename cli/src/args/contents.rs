//! Options for the contents of layers.

use std::path::PathBuf;

use accretion_core::pruning::Pattern;
use accretion_python::requirement::PackageName;

use super::input::name;

/// The heading in help of options for the contents of layers.
const HEADING: &str = "Contents";

/// Options that add packages to layers, leave them out, or prune their files.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct ContentOptions {
    /// Leave out packages that the runtime provides in a suitable version, such as boto3
    #[arg(long, help_heading = HEADING)]
    pub(crate) provided_by_runtime: bool,
    /// Leave out matching files of packages; patterns as in a .gitignore: tests/, *.pyi [may be
    /// repeated]
    #[arg(long, help_heading = HEADING, value_name = "PATTERN")]
    pub(crate) prune: Vec<Pattern>,
    /// Keep matching files, even if --prune matches them [may be repeated]
    #[arg(long, help_heading = HEADING, value_name = "PATTERN")]
    pub(crate) keep: Vec<Pattern>,
    /// Leave out a package, even if others require it [may be repeated]
    #[arg(long, help_heading = HEADING, value_name = "NAME", value_parser = name::<PackageName>)]
    pub(crate) exclude: Vec<PackageName>,
}

/// Options that select extra files.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct FileOptions {
    /// Copy matching hidden files, too; patterns as in a .gitignore: .config/, .*.toml [may be
    /// repeated]
    #[arg(long, help_heading = HEADING, value_name = "PATTERN")]
    pub(crate) hidden: Vec<Pattern>,
    /// Allow a file that contains what looks like a secret [may be repeated]
    #[arg(long = "allow-secret", help_heading = HEADING, value_name = "PATH")]
    pub(crate) allow_secrets: Vec<String>,
}

/// Extra files and local projects.
#[derive(Debug, Default, clap::Args)]
#[command(mut_arg("hidden", |arg| arg.requires("include")))]
pub(crate) struct ExtraOptions {
    /// Copy the files of this folder into the layers, except hidden files, `__pycache__`, and files
    /// that a .gitignore or an .accretionignore names
    #[arg(long, help_heading = HEADING, value_name = "DIR")]
    pub(crate) include: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) files: FileOptions,
    /// Build and install the project in this folder, with its dependencies [may be repeated]
    #[arg(long = "project", help_heading = HEADING, value_name = "DIR")]
    pub(crate) projects: Vec<PathBuf>,
}
