//! `accretion delete versions`

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use accretion_aws::operator::{Identity, LayerInventory, VersionRecords};
use accretion_aws::{Clients, SsmLatestVersions};
use accretion_core::Fault as _;
use accretion_core::layer::LambdaLayerName;
use accretion_core::retention::Policy;
use accretion_core::timestamp::Timestamp;
use accretion_service::deletion::{Deletion, Outcome, PlannedVersion};

use super::shown;
use crate::args::{Format, Global};
use crate::cloud::{self, AwsOptions, DeploymentFile, Pipeline, Region, in_each};
use crate::consent;
use crate::error::{Error, USAGE, code_of, print_fault};
use crate::units::counted;

/// Delete old versions of layers
///
/// Shows first which versions would go and why the others stay, and asks. It never deletes the
/// latest version, what is being published, and what a function or a published version of a function
/// in the account and region uses; right before each deletion that is looked at again. Functions
/// that use a version keep it even if it is deleted. The pipeline's records stay, and a deleted
/// version can be rolled back to.
#[derive(Debug, clap::Args)]
pub(crate) struct Versions {
    /// The file, as `accretion init` writes it
    deployment_file: PathBuf,
    /// A region that it names, several with commas between them, or `all`
    #[arg(value_name = "REGION")]
    regions: Regions,
    /// The names of layers, such as data-tools-py313
    #[arg(required = true, value_name = "LAYER")]
    layers: Vec<LambdaLayerName>,
    /// Delete without asking
    #[arg(long)]
    yes: bool,
    /// Show what would go, and delete nothing
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    #[command(flatten)]
    old: Old,
    #[command(flatten)]
    aws: AwsOptions,
}

/// Which versions are old: by both, if both are given.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
#[command(next_help_heading = "Which versions are old")]
struct Old {
    /// All but so many of the newest of each layer [default: all but the latest]
    #[arg(long, value_name = "N")]
    keep: Option<NonZeroUsize>,
    /// Those that were made so long ago, such as 90d, 12w or 36h
    #[arg(long, value_name = "AGE")]
    older_than: Option<Age>,
}

/// Regions of a deployment file; none for all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Regions(Vec<Region>);

impl FromStr for Regions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self(Vec::new()));
        }
        let regions: Result<_, _> = text.split(',').map(str::parse).collect();
        regions.map(Self)
    }
}

/// An age in hours, days or weeks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Age(Duration);

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
        let number = &text[..text.len() - unit.len_utf8()];
        if number.is_empty() || !number.bytes().all(|c| c.is_ascii_digit()) {
            return Err(wrong());
        }
        // Nothing is older than a century.
        let number: u32 = number.parse().map_err(|_| wrong())?;
        let age = Duration::from_secs(u64::from(number) * hours * 3600);
        let century = Duration::from_hours(24 * 36_500);
        if age > century {
            return Err("nothing is that old".to_owned());
        }
        Ok(Self(age))
    }
}

/// The layers of a region.
pub(super) struct Found {
    shelves: LayerInventory,
    pub(super) versions: Vec<PlannedVersion>,
}

impl Found {
    /// The versions that may be deleted.
    fn deletable(&self) -> impl Iterator<Item = &PlannedVersion> {
        self.versions.iter().filter(|it| it.reason.is_none())
    }
}

/// The outcome of the command in a region.
pub(super) struct Done {
    pub(super) region: Region,
    pub(super) result: Result<Found, cloud::Error>,
    /// The outcomes of the versions that were to be deleted, by their ARNs.
    pub(super) outcomes: Vec<(String, Outcome)>,
}

/// Shows what may go, asks, and deletes it.
pub(super) async fn run(args: Versions, global: Global) -> Result<ExitCode, Error> {
    let policy = Policy {
        keep: args.old.keep.unwrap_or(NonZeroUsize::MIN),
        created_before: args.old.older_than.map(|age| {
            let now: Timestamp = jiff::Timestamp::now().into();
            now.before(age.0)
        }),
    };
    let mut done = look(&args, policy).await?;
    if global.format == Format::Text && (!global.quiet || !args.yes) {
        shown::print_plan(&done);
    }
    let count = done.iter().flat_map(|it| &it.result);
    let count = count.map(|it| it.deletable().count()).sum::<usize>();
    let consent = if args.dry_run {
        Ok(false)
    } else if args.yes || count == 0 {
        Ok(true)
    } else {
        let question = format!("Delete {}?", counted(count, "version"));
        consent::ask(&question).await
    };
    if let Ok(true) = consent {
        for it in &mut done {
            delete(it, policy).await;
        }
    }
    match global.format {
        Format::Json => shown::print_document(&done, consent.as_ref().err()),
        Format::Text => {
            shown::print_outcomes(&done, global);
            match &consent {
                Err(error) => print_fault(error, None),
                Ok(false) if !global.quiet => anstream::eprintln!("nothing was deleted"),
                Ok(_) => {}
            }
        }
    }
    if consent.is_err() {
        return Ok(ExitCode::from(USAGE));
    }
    let codes = done.iter().flat_map(|it| {
        let looked = it.result.as_ref().err().map(accretion_core::Fault::class);
        let outcomes = it.outcomes.iter().filter_map(|(_, outcome)| match outcome {
            Outcome::DeletedUnrecorded(error) | Outcome::Failed(error) => Some(error.class()),
            Outcome::Deleted | Outcome::Kept(_) => None,
        });
        looked.into_iter().chain(outcomes)
    });
    let worst = codes.map(code_of).min();
    Ok(worst.map_or(ExitCode::SUCCESS, ExitCode::from))
}

/// Looks at the layers in each region. One that is nowhere is a mistake.
async fn look(args: &Versions, policy: Policy) -> Result<Vec<Done>, Error> {
    let regions = DeploymentFile::new(&args.deployment_file).searched(&args.regions.0)?;
    let clients = args.aws.clients().await;
    let layers: BTreeSet<_> = args.layers.iter().cloned().collect();
    let layers: Vec<_> = layers.into_iter().collect();
    let looked = in_each(regions, async |region, stacks| {
        let pipeline = Pipeline::connect(&clients, region, &stacks).await?;
        let shelves = shelves(&pipeline, &clients).await?;
        let versions = Deletion::new(&shelves, policy).plan(&layers).await?;
        Ok(Found { shelves, versions })
    });
    let looked = looked.await.into_iter();
    let done: Vec<_> = looked
        .map(|(region, result)| Done {
            region,
            result,
            outcomes: Vec::new(),
        })
        .collect();
    let found = || done.iter().flat_map(|it| &it.result);
    let is_there = |layer: &LambdaLayerName| {
        let mut versions = found().flat_map(|it| &it.versions);
        versions.any(|it| it.layer == *layer)
    };
    if let (Some(first), Some(layer)) = (done.first(), layers.iter().find(|it| !is_there(it)))
        && done.iter().all(|it| it.result.is_ok())
    {
        return Err(cloud::Error::LayerVersionUnknown {
            region: first.region.clone(),
            layer: layer.to_string(),
            version: None,
        }
        .into());
    }
    Ok(done)
}

async fn shelves(pipeline: &Pipeline, clients: &Clients) -> Result<LayerInventory, cloud::Error> {
    let table = pipeline.output("LayersTableName")?;
    let records = VersionRecords::new(&pipeline.clients, table);
    // Without it, the version that a parameter names would not be known, and not be kept.
    let prefix = pipeline.output(Pipeline::POINTER_PREFIX)?;
    let pointers = SsmLatestVersions::new(&pipeline.clients, prefix);
    let deleted_by = Identity::new(clients).arn().await;
    let clients = &pipeline.clients;
    Ok(LayerInventory::new(clients, records, pointers, deleted_by))
}

/// Deletes what may be deleted, one after the other: Lambda takes few calls a second.
async fn delete(done: &mut Done, policy: Policy) {
    let Ok(found) = &done.result else {
        return;
    };
    let deletion = Deletion::new(&found.shelves, policy);
    for judged in found.deletable() {
        let outcome = deletion.delete(&judged.layer, &judged.version).await;
        done.outcomes.push((judged.version.arn.clone(), outcome));
    }
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
