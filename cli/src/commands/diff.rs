//! `accretion diff`

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use accretion_aws::Clients;
use accretion_core::diagnostic::printable;
use accretion_core::manifest::Manifest;
use accretion_core::notification::Changes;
use anstyle::{AnsiColor, Style};
use indicatif::BinaryBytes;
use serde::Serialize;

use crate::args::{Format, Global};
use crate::cloud::{self, AwsOptions, Contents, OneRegion, Region, signed_difference};
use crate::error::Error;

/// Show what has changed between two versions of a layer
///
/// In the place of a version there may be a manifest, such as `accretion build` writes: what is
/// deployed against what would be.
#[derive(Debug, clap::Args)]
pub(crate) struct Diff {
    #[command(flatten)]
    pub(in crate::commands) at: OneRegion,
    /// The layer's name, such as data-tools-py313
    layer_name: String,
    /// The version before: a number, or the path of a manifest
    version_a: Side,
    /// The version after: a number, or the path of a manifest
    version_b: Side,
    #[command(flatten)]
    aws: AwsOptions,
}

/// One side of the comparison.
#[derive(Debug, Clone)]
enum Side {
    Version(u64),
    Manifest(PathBuf),
}

impl FromStr for Side {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text.parse() {
            Ok(version) => Self::Version(version),
            Err(_) => Self::Manifest(text.into()),
        })
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => version.fmt(f),
            Self::Manifest(path) => path.display().fmt(f),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    region: Region,
    layer: String,
    from: SideRecord,
    to: SideRecord,
    changes: Changes,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SideRecord {
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest: Option<String>,
    digest: String,
    artifact_size: u64,
    unzipped_size: u64,
    packages: usize,
}

/// Compares.
pub(crate) async fn run(args: Diff, global: Global) -> Result<ExitCode, Error> {
    args.at.stacks()?;
    let clients = args.aws.clients().await;
    let (before, now) = tokio::try_join!(
        read(&args, &clients, &args.version_a),
        read(&args, &clients, &args.version_b),
    )?;
    let changes = Changes::between(&before.installed, &now.installed);
    match global.format {
        Format::Json => crate::print_json(&Document {
            from: record(&args.version_a, &before),
            to: record(&args.version_b, &now),
            region: args.at.region,
            layer: args.layer_name,
            changes,
        }),
        Format::Text => print(&args, &before, &now, &changes),
    }
    Ok(ExitCode::SUCCESS)
}

async fn read(args: &Diff, clients: &Clients, side: &Side) -> Result<Manifest, cloud::Error> {
    let layer = &args.layer_name;
    match side {
        Side::Version(version) => {
            let found = Contents::find(&args.at, clients, layer, *version).await?;
            let missing = || cloud::Error::LayerManifestMissing {
                region: args.at.region.clone(),
                layer: layer.clone(),
                version: *version,
            };
            Ok(found.ok_or_else(missing)?.manifest)
        }
        Side::Manifest(path) => {
            let text = fs::read(path).map_err(|error| error.to_string());
            let manifest =
                text.and_then(|text| Manifest::from_json(&text).map_err(|error| error.to_string()));
            manifest.map_err(|problem| cloud::Error::ManifestUnreadable {
                name: path.display().to_string(),
                problem,
            })
        }
    }
}

fn record(side: &Side, manifest: &Manifest) -> SideRecord {
    let (version, path) = match side {
        Side::Version(version) => (Some(*version), None),
        Side::Manifest(path) => (None, Some(path.display().to_string())),
    };
    SideRecord {
        version,
        manifest: path,
        digest: manifest.digest.to_string(),
        artifact_size: manifest.artifact_size,
        unzipped_size: manifest.unzipped_size,
        packages: manifest.packages(),
    }
}

fn print(args: &Diff, before: &Manifest, now: &Manifest, changes: &Changes) {
    let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
    let (green, red, yellow) = (
        colour(AnsiColor::Green),
        colour(AnsiColor::Red),
        colour(AnsiColor::Yellow),
    );
    let (from, to) = (&args.version_a, &args.version_b);
    let title = format!("{}: {from} → {to}", args.layer_name);
    anstream::println!("{}", printable(&title));
    // A manifest of this machine may come from anybody.
    let say = |colour: Style, change: String| {
        anstream::println!("  {colour}{}{colour:#}", printable(&change));
    };
    for it in &changes.added {
        say(green, format!("+ {} {}", it.name, it.version));
    }
    for it in &changes.removed {
        say(red, format!("- {} {}", it.name, it.version));
    }
    for it in &changes.updated {
        if it.from == it.to {
            say(yellow, format!("~ {} {}, another file", it.name, it.to));
        } else {
            say(yellow, format!("~ {} {} → {}", it.name, it.from, it.to));
        }
    }
    let files = |manifest: &Manifest| {
        let files = manifest.files.as_ref();
        files.map_or((0, None), |files| (files.count, Some(files.sha256)))
    };
    let (from, to) = (files(before), files(now));
    if from != to {
        let change = format!("~ files of one's own: {} → {}", from.0, to.0);
        say(yellow, change);
    }
    let names: BTreeSet<_> = now.installed.iter().map(|it| &it.name).collect();
    let unchanged = names.len() - changes.added.len() - changes.updated.len();
    anstream::println!("  = {unchanged} unchanged");
    let sizes = [
        ("zip", before.artifact_size, now.artifact_size),
        ("unzipped", before.unzipped_size, now.unzipped_size),
    ];
    for (what, before, now) in sizes {
        let (from, to) = (BinaryBytes(before), BinaryBytes(now));
        let difference = signed_difference(before, now);
        anstream::println!("  {what:<8}  {from} → {to} ({difference})");
    }
}
