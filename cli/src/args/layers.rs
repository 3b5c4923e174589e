//! Commands that publish, show, share and delete layers.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use accretion_core::layer::LambdaLayerName;
use accretion_core::limits::Limits;
use accretion_core::request::{AccountId, OrganizationId};
use accretion_core::target::{Architecture, Runtime};

use super::input::{architecture, runtime};
use super::{
    AwsOptions, FileOptions, LayerSpec, Nothing, OneLayer, OneRegion, OneVersion, Placed, Region,
    Sides, SourceOptions,
};

/// List the layers, versions or requests of a region
#[derive(Debug, clap::Subcommand)]
pub(crate) enum List {
    Layers(ListLayers),
    Versions(ListVersions),
    Requests(ListRequests),
}

/// List the layers of a region with their latest versions
///
/// The list contains all layers of the account, including those of other tools.
#[derive(Debug, clap::Args)]
pub(crate) struct ListLayers {
    #[command(flatten)]
    pub(crate) placed: Placed<Nothing>,
    #[command(flatten)]
    pub(crate) filter: Filter,
    #[command(flatten)]
    pub(crate) aws: AwsOptions,
}

/// List the versions of a layer, newest first
#[derive(Debug, clap::Args)]
pub(crate) struct ListVersions {
    #[command(flatten)]
    pub(crate) placed: Placed<OneLayer>,
    #[command(flatten)]
    pub(crate) filter: Filter,
    #[command(flatten)]
    pub(crate) aws: AwsOptions,
}

/// The filter of a list.
#[derive(Debug, clap::Args)]
pub(crate) struct Filter {
    /// Only layers for this runtime, such as python3.13
    #[arg(long)]
    pub(crate) runtime: Option<Runtime>,
}

/// List the requests of a region, newest first
///
/// The pipeline keeps requests for 90 days by default.
#[derive(Debug, clap::Args)]
pub(crate) struct ListRequests {
    #[command(flatten)]
    pub(crate) at: OneRegion,
    /// The highest number of requests to list
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<NonZeroUsize>,
    #[command(flatten)]
    pub(crate) aws: AwsOptions,
}

/// Describe a layer version
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Describe {
    LayerVersion(DescribeLayerVersion),
}

/// Describe a layer version: its contents, sizes, digest and origin
#[derive(Debug, clap::Args)]
pub(crate) struct DescribeLayerVersion {
    #[command(flatten)]
    pub(crate) placed: Placed<OneVersion>,
    #[command(flatten)]
    pub(crate) aws: AwsOptions,
}

/// Show the changes between two versions of a layer
///
/// A version is a number or follows its layer: `tools 1 2`, `tools:1 tools:2`. Instead of a version
/// you can name a manifest, as `accretion build` writes it, to compare a built layer with a published
/// one.
#[derive(Debug, clap::Args)]
pub(crate) struct Diff {
    #[command(flatten)]
    pub(crate) placed: Placed<Sides>,
    #[command(flatten)]
    pub(crate) aws: AwsOptions,
}

/// Delete old layer versions
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Delete {
    Versions(DeleteVersions),
}

/// Delete old layer versions
///
/// Lists the versions to delete, and why the others stay, and asks for confirmation. The command
/// never deletes the latest version, a version that is being published, or a version that a function
/// or a published version of a function uses in the account and region; it checks that again before
/// each deletion. Functions keep a deleted version until they are updated. The records of the pipeline
/// stay, so that you can still roll back to a deleted version.
#[derive(Debug, clap::Args)]
pub(crate) struct DeleteVersions {
    /// The deployment file, as `accretion init` writes it
    pub(crate) deployment_file: PathBuf,
    /// A region of the deployment file, several separated by commas, or `all`
    #[arg(value_name = "REGION")]
    pub(crate) regions: Regions,
    /// The names of layers, such as data-tools-py313
    #[arg(required = true, value_name = "LAYER")]
    pub(crate) layers: Vec<LambdaLayerName>,
    /// Delete without confirmation
    #[arg(long)]
    pub(crate) yes: bool,
    /// List the versions to delete, and delete nothing
    #[arg(long, conflicts_with = "yes")]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) old: OldOptions,
    #[command(flatten)]
    pub(crate) aws: AwsOptions,
}

/// Criteria for old versions. A version has to meet all that are given.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
#[command(next_help_heading = "Old versions")]
pub(crate) struct OldOptions {
    /// Delete all but the newest N versions of each layer [default: all but the latest]
    #[arg(long, value_name = "N")]
    pub(crate) keep: Option<NonZeroUsize>,
    /// Delete versions older than this, such as 90d, 12w or 36h
    #[arg(long, value_name = "AGE")]
    pub(crate) older_than: Option<Age>,
}

/// Regions of a deployment file; none for all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Regions(pub(crate) Vec<Region>);

impl FromStr for Regions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self(Vec::new()));
        }
        let regions = text.split(',').map(str::parse);
        regions.collect::<Result<_, _>>().map(Self)
    }
}

/// An age in hours, days or weeks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Age(pub(crate) Duration);

impl FromStr for Age {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "an age is a number with a unit: 36h, 90d or 12w".to_owned();
        let unit = text.chars().last().ok_or_else(wrong)?;
        let hours = match unit {
            'h' => 1,
            'd' => 24,
            'w' => 7 * 24,
            _ => return Err(wrong()),
        };
        let digits = &text[..text.len() - unit.len_utf8()];
        if !digits.bytes().all(|c| c.is_ascii_digit()) {
            return Err(wrong());
        }
        // Nothing is older than a century.
        let number: u32 = digits.parse().map_err(|_| wrong())?;
        let age = Duration::from_secs(u64::from(number) * hours * 3600);
        let century = Duration::from_hours(24 * 36_500);
        if age > century {
            return Err("nothing is that old".to_owned());
        }
        Ok(Self(age))
    }
}

/// Publish a folder, or zips of `accretion build`, in any regions, without a pipeline
///
/// The command copies the folder to `python/` of the layer, except hidden files, `__pycache__`, files
/// that a .gitignore or an .accretionignore names, and a requirements.txt at the top, whose packages
/// it installs. A file that contains what looks like a secret is an error.
///
/// One zip serves all runtimes. If installed packages differ between runtimes, each runtime gets its
/// own in `python/lib/pythonX.Y/site-packages/`.
///
/// With --zip, the manifest beside each zip has the layer's name, runtimes, architectures and
/// description; --layer, --runtime, --architecture and --version override them.
///
/// If the layer is identical to its latest version, nothing is published, only shared. The command
/// writes the list of packages into the layer, for `accretion describe` and `accretion diff`.
#[derive(Debug, clap::Args)]
#[command(
    mut_arg("hidden", |arg| arg.conflicts_with("zips")),
    mut_arg("indexes", |arg| arg.conflicts_with("zips")),
)]
pub(crate) struct Publish {
    /// The name of the layer
    #[arg(long, value_name = "NAME", required_unless_present = "zips")]
    pub(crate) layer: Option<LambdaLayerName>,
    /// The folder
    #[arg(
        long,
        value_name = "DIR",
        required_unless_present = "zips",
        conflicts_with = "zips"
    )]
    pub(crate) layer_path: Option<PathBuf>,
    /// Zips that `accretion build` wrote, each with its manifest beside it
    #[arg(long = "zip", value_name = "FILE", num_args = 1..)]
    pub(crate) zips: Vec<PathBuf>,
    /// A Lambda runtime of the layer, such as python3.13 [may be repeated; default: all supported]
    #[arg(
        long = "runtime",
        alias = "runtimes",
        value_name = "RUNTIME",
        value_parser = runtime,
        num_args = 1..
    )]
    pub(crate) runtimes: Vec<Runtime>,
    /// The description of the layer version, such as a semantic version
    #[arg(long, value_parser = description, required_unless_present = "zips")]
    pub(crate) version: Option<String>,
    /// x86_64 or arm64 [may be repeated; default: both]
    #[arg(long = "architecture", value_name = "ARCHITECTURE", value_parser = architecture)]
    pub(crate) architectures: Vec<Architecture>,
    /// Publish even if the layer is identical to its latest version
    #[arg(long)]
    pub(crate) force: bool,
    /// Build packages without a suitable wheel from source, which runs their code
    #[arg(long, conflicts_with = "zips")]
    pub(crate) allow_source_distributions: bool,
    #[command(flatten)]
    pub(crate) files: FileOptions,
    #[command(flatten)]
    pub(crate) sources: SourceOptions,
    #[command(flatten)]
    pub(crate) grantees: GranteeOptions,
    /// A region to publish in [may be repeated; default: the regions of the deployment file, or the
    /// region of the AWS configuration]
    #[arg(long = "region", value_name = "REGION", help_heading = "AWS options")]
    pub(crate) regions: Vec<Region>,
    /// A deployment file, as `accretion init` writes it, to publish in its regions
    #[arg(long, value_name = "FILE", help_heading = "AWS options")]
    pub(crate) deployment_file: Option<PathBuf>,
    /// The bucket for zips over 50 MiB; `{region}` stands for the name of the region [default: the
    /// artifacts bucket of the deployment file's stack]
    #[arg(long, value_name = "NAME", help_heading = "AWS options")]
    pub(crate) bucket: Option<String>,
    #[command(flatten)]
    pub(crate) aws: AwsOptions,
}

fn description(text: &str) -> Result<String, String> {
    if (1..=Limits::DESCRIPTION_CHARS).contains(&text.chars().count()) {
        Ok(text.to_owned())
    } else {
        Err("the description of a layer version has 1 to 256 characters".to_owned())
    }
}

/// Share a published layer version with accounts
///
/// Existing permissions stay. The command prints all permissions of the version.
#[derive(Debug, clap::Args)]
pub(crate) struct Grant {
    #[command(flatten)]
    pub(crate) placed: Placed<LayerSpec>,
    #[command(flatten)]
    pub(crate) grantees: GranteeOptions,
    #[command(flatten)]
    pub(crate) aws: AwsOptions,
}

/// Stop sharing a published layer version with accounts
///
/// Removes every statement that grants exactly this permission, including those of other tools.
/// Functions that use the version keep it. The command prints the remaining permissions. It succeeds
/// if no statement matches.
#[derive(Debug, clap::Args)]
pub(crate) struct Revoke {
    #[command(flatten)]
    pub(crate) placed: Placed<LayerSpec>,
    #[command(flatten)]
    pub(crate) grantees: GranteeOptions,
    /// All accounts but your own, by whatever statements
    #[arg(long, group = "GranteeOptions", help_heading = GRANTEES)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) aws: AwsOptions,
}

/// The heading in help of options that name accounts.
const GRANTEES: &str = "Accounts";

/// Accounts to share a layer version with, or to stop sharing it with.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
#[command(next_help_heading = GRANTEES)]
pub(crate) struct GranteeOptions {
    /// An AWS account, by its id of 12 digits [may be repeated]
    #[arg(long = "account", value_name = "ID")]
    pub(crate) accounts: Vec<AccountId>,
    /// Your own account, which needs no permission
    #[arg(long)]
    pub(crate) my_account: bool,
    /// All accounts of an organization, by its id
    #[arg(long, value_name = "ID")]
    pub(crate) organization: Option<OrganizationId>,
    /// All accounts of your account's organization
    #[arg(long)]
    pub(crate) my_organization: bool,
    /// All AWS accounts
    #[arg(long)]
    pub(crate) public: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_a_unit() {
        for (text, hours) in [
            ("36h", 36),
            ("90d", 90 * 24),
            ("12w", 12 * 7 * 24),
            ("0d", 0),
        ] {
            assert_eq!(text.parse(), Ok(Age(Duration::from_secs(hours * 3600))));
        }
        for text in [
            "", "d", "90", "-1d", "1.5d", "90 d", "90m", "9999999w", "1é",
        ] {
            assert!(text.parse::<Age>().is_err(), "{text}");
        }
    }

    #[test]
    fn regions_are_one_several_or_all() {
        let read = |text: &str| text.parse::<Regions>().map(|it| it.0.len());
        assert_eq!(read("all"), Ok(0));
        assert_eq!(read("eu-west-1"), Ok(1));
        assert_eq!(read("eu-west-1,us-east-1"), Ok(2));
        for text in ["", "eu-west-1,", "eu-west-1 us-east-1", "every"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
