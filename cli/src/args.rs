//! What the command takes.

use clap::{Parser, Subcommand, ValueEnum};

use crate::commands::build::Build;
use crate::commands::check::Check;
use crate::commands::completions::Completions;
use crate::commands::lock::Lock;
use crate::commands::man::Man;
use crate::commands::schema::Schema;

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
    1  this machine, or what it may do in AWS, is at fault: uv is missing, a call is not allowed
    2  the command line is at fault
    3  the input is at fault
    4  the network, an index or AWS is at fault: try again
    5  what was asked for has failed in AWS: a layer was not built, a stack was not deployed
    128 + N  ended by the signal N, such as 130 for ctrl-C";

#[derive(Debug, Clone, Copy, clap::Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// What goes to standard output
    #[arg(long, global = true, value_enum, default_value_t)]
    pub(crate) format: Format,
    /// Say nothing but errors, and what was asked for: lists, descriptions, paths
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
    #[cfg(feature = "aws")]
    #[command(flatten)]
    Cloud(crate::commands::Cloud),
    Build(Build),
    Lock(Lock),
    Check(Check),
    Schema(Schema),
    Completions(Completions),
    Man(Man),
}

#[cfg(all(test, feature = "aws"))]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_committed_reference_is_generated_from_the_arguments() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md");
        let options = clap_markdown::MarkdownOptions::new()
            .title("The command line".to_owned())
            .show_footer(false);
        let generated = clap_markdown::help_markdown_custom::<Args>(&options);
        if std::env::var_os("UPDATE_REFERENCE").is_some() {
            std::fs::write(path, &generated).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == generated,
            "docs/cli.md is out of date: run `UPDATE_REFERENCE=1 cargo test -p accretion reference` \
             and commit it"
        );
    }
}
