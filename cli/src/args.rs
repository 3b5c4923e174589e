//! What the command takes.

use std::path::PathBuf;

use accretion_core::request::ProjectName;
use accretion_core::target::{Architecture, Runtime};
use clap::{Parser, Subcommand, ValueEnum};
use url::Url;

use crate::environment::DEFAULT_INDEX;

/// Builds reproducible AWS Lambda layers from Python requirements.
#[derive(Debug, Parser)]
#[command(bin_name = "accretion", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) global: Global,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  this machine is at fault: uv is missing, a folder can't be written
  2  the command line is at fault
  3  the input is at fault
  4  the network or an index is at fault: try again
  128 + N  ended by the signal N, such as 130 for ctrl-C";

#[derive(Debug, Clone, Copy, clap::Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// What goes to standard output
    #[arg(long, global = true, value_enum, default_value_t)]
    pub(crate) format: Format,
    /// Say nothing but errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say more: list the packages of each layer
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Text,
    /// One JSON document
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Build(Build),
    Check(Check),
}

/// Build layers from a request, a requirements.txt or a pylock.toml
///
/// Writes LAYER.zip and LAYER.manifest for each runtime and architecture. Layers whose content
/// has not changed are left as they are.
#[derive(Debug, clap::Args)]
pub(crate) struct Build {
    #[command(flatten)]
    pub(crate) input: Input,
    /// The folder that layers are written to
    #[arg(short, long, value_name = "DIR", default_value = "layers")]
    pub(crate) output: PathBuf,
    /// Fail when two wheels put different files at the same path
    #[arg(long)]
    pub(crate) strict: bool,
    /// Use nothing but the cache
    #[arg(long)]
    pub(crate) offline: bool,
    /// Take packages from this index instead of the default one
    #[arg(
        long,
        value_name = "URL",
        env = DEFAULT_INDEX,
        hide_env_values = true,
        value_parser = index_url
    )]
    pub(crate) default_index: Option<Url>,
}

fn index_url(text: &str) -> Result<Url, String> {
    let url = text.parse::<Url>().ok();
    url.filter(|url| matches!(url.scheme(), "https" | "http") && url.has_host())
        .ok_or_else(|| "an index has a URL that starts with `https://` or `http://`".to_owned())
}

/// Check a request, a requirements.txt or a pylock.toml without building it
#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) input: Input,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Input {
    /// A request (JSON), a requirements.txt or a pylock.toml
    #[arg(value_name = "INPUT")]
    pub(crate) path: PathBuf,
    /// The project's name; without a request, the name of the folder that INPUT is in
    #[arg(long)]
    pub(crate) name: Option<ProjectName>,
    /// A Lambda runtime to build for, such as python3.13 [may be repeated; default: all supported]
    #[arg(long = "runtime", value_name = "RUNTIME")]
    pub(crate) runtimes: Vec<Runtime>,
    /// x86_64 or arm64 [may be repeated; default: both]
    #[arg(long = "architecture", value_name = "ARCHITECTURE")]
    pub(crate) architectures: Vec<Architecture>,
    /// Build packages that have no fitting wheel, which runs their code
    #[arg(long)]
    pub(crate) allow_source_distributions: bool,
}
