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

    /// The commands in a page: those of code blocks, and those in the text, which may be cut short.
    fn commands(page: &str) -> (Vec<String>, Vec<String>) {
        let (mut shown, mut named) = (Vec::new(), Vec::new());
        for (part, text) in page.split("```").enumerate() {
            if part % 2 == 1 {
                let lines = text.replace("\\\n", " ");
                let lines = lines.lines().map(|it| it.trim().trim_start_matches("$ "));
                shown.extend(lines.map(ToOwned::to_owned));
            } else {
                named.extend(text.split('`').skip(1).step_by(2).map(ToOwned::to_owned));
            }
        }
        let is_ours = |it: &String| it.starts_with("accretion ") && !it.contains(['…', '<']);
        shown.retain(is_ours);
        named.retain(is_ours);
        (shown, named)
    }

    /// The words of a command, as a shell has them that expands nothing.
    fn words(command: &str) -> Vec<String> {
        let (mut words, mut quote) = (vec![String::new()], None);
        for character in command.chars() {
            match quote {
                Some(it) if it == character => quote = None,
                None if matches!(character, '"' | '\'') => quote = Some(character),
                None if character == '#' && words.last().is_some_and(String::is_empty) => break,
                None if character.is_whitespace() => words.push(String::new()),
                _ => words
                    .last_mut()
                    .expect("there is always one")
                    .push(character),
            }
        }
        words.retain(|word| !word.is_empty());
        words
    }

    #[test]
    fn the_commands_of_the_documentation_are_valid() {
        use clap::error::ErrorKind;

        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let docs = std::fs::read_dir(root.join("docs")).unwrap();
        let docs = docs.map(|entry| entry.unwrap().path());
        let pages = docs.chain([root.join("README.md"), root.join("CONTRIBUTING.md")]);
        let (mut count, mut wrong) = (0, Vec::new());
        for page in pages.filter(|path| path.extension().is_some_and(|it| it == "md")) {
            if page.ends_with("cli.md") {
                continue;
            }
            let text = std::fs::read_to_string(&page).unwrap();
            let text = text.replace("REQUEST_ID", "0f0d0e3b9b4f6a4c8a1e5d7c9b2f4a61");
            let (shown, named) = commands(&text);
            let named_from = shown.len();
            for (at, command) in shown.iter().chain(&named).enumerate() {
                count += 1;
                let Err(error) = Args::try_parse_from(words(command)) else {
                    continue;
                };
                let is_cut_short = matches!(
                    error.kind(),
                    ErrorKind::MissingRequiredArgument
                        | ErrorKind::MissingSubcommand
                        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
                );
                if at < named_from || !is_cut_short {
                    wrong.push(format!("{}: {command}\n{error}", page.display()));
                }
            }
        }
        assert!(count > 50, "{count} commands");
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
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
