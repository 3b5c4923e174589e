//! The command line, as clap parses it. No type here depends on a command.

mod contents;
#[cfg(feature = "aws")]
mod deploy;
mod input;
#[cfg(feature = "aws")]
mod layers;
mod local;
#[cfg(feature = "aws")]
mod place;
#[cfg(feature = "aws")]
mod region;
#[cfg(feature = "aws")]
mod requests;

use clap::{Parser, Subcommand, ValueEnum};

pub(crate) use self::contents::{ContentOptions, ExtraOptions, FileOptions};
#[cfg(feature = "aws")]
pub(crate) use self::deploy::{
    Add, AddRegions, AddStack, Destroy, Init, Parameter, Template, TemplateOption, Update,
    UpdateAll,
};
pub(crate) use self::input::{HERE, IndexArgument, Input, PYPROJECT, SourceOptions};
#[cfg(feature = "aws")]
pub(crate) use self::input::{SelectionOptions, TargetOptions, default_index};
#[cfg(feature = "aws")]
pub(crate) use self::layers::{
    Delete, DeleteVersions, Describe, DescribeLayerVersion, Diff, Grant, GranteeOptions, List,
    ListLayers, ListRequests, ListVersions, Publish, Revoke,
};
pub(crate) use self::local::{Build, Check, Completions, Lock, Man, Schema};
#[cfg(feature = "aws")]
pub(crate) use self::place::{LayerSpec, Nothing, OneLayer, OneVersion, Placed, Side, Sides};
#[cfg(feature = "aws")]
pub(crate) use self::region::{AwsOptions, OneRegion, Region};
#[cfg(feature = "aws")]
pub(crate) use self::requests::{
    Destination, Redrive, Request, RequestAgain, RequestRaw, RequestRequirements, Rollback, Status,
};

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

    0  success
    1  this machine or its access to AWS failed: uv is missing, a call is not allowed
    2  the command line is wrong
    3  the input is wrong
    4  the network, a package index or AWS failed: try again
    5  the work failed in AWS: a layer was not built, a stack was not deployed
    128 + N  ended by the signal N, such as 130 for ctrl-C";

/// Options of all commands.
#[derive(Debug, Clone, Copy, clap::Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The format of standard output
    #[arg(long, global = true, value_enum, default_value_t)]
    pub(crate) format: Format,
    /// Print only errors and results, such as lists, descriptions and paths
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Print more, such as the packages of each layer
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
}

impl Global {
    /// Returns whether the command prints text for people.
    pub(crate) fn is_text(self) -> bool {
        self.format == Format::Text
    }

    /// Returns whether the command shows its progress and remarks.
    pub(crate) fn is_chatty(self) -> bool {
        self.is_text() && !self.quiet
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Text for people
    #[default]
    Text,
    /// One JSON document
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[cfg(feature = "aws")]
    #[command(flatten)]
    Cloud(Cloud),
    Build(Box<Build>),
    Lock(Lock),
    Check(Check),
    Schema(Schema),
    Completions(Completions),
    Man(Man),
}

/// Commands that call AWS or read deployment files.
#[cfg(feature = "aws")]
#[derive(Debug, Subcommand)]
pub(crate) enum Cloud {
    Init(Init),
    #[command(subcommand)]
    Add(Add),
    #[command(subcommand)]
    Update(Update),
    Destroy(Destroy),
    #[command(subcommand)]
    Request(Request),
    Rollback(Rollback),
    Status(Status),
    #[command(subcommand)]
    List(List),
    #[command(subcommand)]
    Describe(Describe),
    Diff(Diff),
    #[command(subcommand)]
    Delete(Delete),
    Publish(Box<Publish>),
    Grant(Grant),
    Revoke(Revoke),
    Redrive(Redrive),
    Template(Template),
}

#[cfg(feature = "aws")]
impl Cloud {
    /// Returns the region of a command for one region.
    pub(crate) fn region(&self) -> Option<&Region> {
        Some(match self {
            Self::Add(Add::Stack(args)) => &args.region,
            Self::Rollback(args) => &args.region,
            Self::List(List::Layers(args)) => &args.placed.at.region,
            Self::List(List::Versions(args)) => &args.placed.at.region,
            Self::List(List::Requests(args)) => &args.at.region,
            Self::Describe(Describe::LayerVersion(args)) => &args.placed.at.region,
            Self::Diff(args) => &args.placed.at.region,
            Self::Grant(args) => &args.placed.at.region,
            Self::Revoke(args) => &args.placed.at.region,
            Self::Redrive(args) => &args.at.region,
            Self::Init(_)
            | Self::Add(Add::Regions(_))
            | Self::Update(_)
            | Self::Destroy(_)
            | Self::Delete(_)
            | Self::Request(_)
            | Self::Status(_)
            | Self::Publish(_)
            | Self::Template(_) => return None,
        })
    }
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
                let joined = text.replace("\\\n", " ");
                let lines = joined.lines().map(|it| it.trim().trim_start_matches("$ "));
                shown.extend(lines.map(ToOwned::to_owned));
            } else {
                let inline = text.split('`').skip(1).step_by(2);
                // A line may end within it.
                named.extend(inline.map(|it| it.replace('\n', " ")));
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
        let folders = ["docs", "docs/decisions"].map(|it| root.join(it));
        let entries = folders.iter().flat_map(|it| std::fs::read_dir(it).unwrap());
        let docs = entries.map(|entry| entry.unwrap().path());
        let pages = docs.chain([root.join("README.md"), root.join("CONTRIBUTING.md")]);
        let (mut count, mut wrong) = (0, Vec::new());
        for page in pages.filter(|path| path.extension().is_some_and(|it| it == "md")) {
            if page.ends_with("cli.md") {
                continue;
            }
            let id = "0f0d0e3b9b4f6a4c8a1e5d7c9b2f4a61";
            let text = std::fs::read_to_string(&page).unwrap();
            let (shown, named) = commands(&text.replace("REQUEST_ID", id));
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
