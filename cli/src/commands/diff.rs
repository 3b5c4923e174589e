//! `accretion diff`

use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::process::ExitCode;

use accretion_aws::Clients;
use accretion_core::diagnostic::printable;
use accretion_core::digest::Digest;
use accretion_core::manifest::Manifest;
use accretion_core::notification::Changes;
use accretion_layer::content::ContentManifest;
use anstyle::{AnsiColor, Style};
use indicatif::BinaryBytes;
use serde::Serialize;

use crate::args::{Format, Global};
use crate::cloud::{
    self, AwsOptions, Contents, LayerSpec, Misread, OneRegion, Placed, Region, Word, Words, next,
    signed_difference,
};
use crate::error::Error;

/// Show what has changed between two versions of a layer
///
/// Versions are numbers, or named with their layers: `tools 1 2`, `tools:1 tools:2`. In the place of a
/// version there may be a manifest, such as `accretion build` writes: what is deployed against what
/// would be.
#[derive(Debug, clap::Args)]
pub(crate) struct Diff {
    #[command(flatten)]
    pub(in crate::commands) placed: Placed<Sides>,
    #[command(flatten)]
    aws: AwsOptions,
}

/// What is compared.
#[derive(Debug, Clone)]
pub(super) struct Sides {
    layer: String,
    before: Side,
    now: Side,
}

/// One side of the comparison.
#[derive(Debug, Clone)]
enum Side {
    Version { layer: String, version: u64 },
    Manifest(PathBuf),
}

impl Side {
    /// Reads a number of a version of a layer, a layer with a version, or a path.
    fn read(text: &str, layer: &str) -> Self {
        let spec = text.parse::<LayerSpec>().ok();
        let version = |layer: &str, version| Self::Version {
            layer: layer.to_owned(),
            version,
        };
        match (text.parse(), spec) {
            (Ok(number), _) => version(layer, number),
            (
                Err(_),
                Some(LayerSpec {
                    layer,
                    version: Some(number),
                }),
            ) => version(layer.as_str(), number),
            _ => Self::Manifest(text.into()),
        }
    }

    /// A version as it is shown beside the name of a layer.
    fn beside(&self, of: &str) -> String {
        match self {
            Self::Version { layer, version } if layer == of => version.to_string(),
            Self::Version { layer, version } => format!("{layer}:{version}"),
            Self::Manifest(path) => path.display().to_string(),
        }
    }
}

impl Words for Sides {
    const WORDS: &'static [Word] = &[
        Word {
            id: "layer",
            value_name: "LAYER",
            help: "The layer's name, such as data-tools-py313; left out where a version names it",
        },
        Word {
            id: "version_a",
            value_name: "VERSION_A",
            help: "The version before: a number, LAYER:VERSION, or the path of a manifest",
        },
        Word {
            id: "version_b",
            value_name: "VERSION_B",
            help: "The version after: a number, LAYER:VERSION, or the path of a manifest",
        },
    ];

    fn read(words: &mut VecDeque<String>) -> Result<Self, Misread> {
        let first = next(words, "LAYER")?;
        let second = next(words, "VERSION_A")?;
        // Two words name two versions with their layers, or one and a manifest.
        let (layer, before, now) = if let Some(third) = words.pop_front() {
            (first, second, third)
        } else {
            let named = first.split_once(':').or(second.split_once(':'));
            let (layer, _) = named.ok_or(Misread::Missing("VERSION_B"))?;
            (layer.to_owned(), first, second)
        };
        Ok(Self {
            before: Side::read(&before, &layer),
            now: Side::read(&now, &layer),
            layer,
        })
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
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    artifact_size: u64,
    unzipped_size: u64,
    packages: usize,
}

/// Compares.
pub(crate) async fn run(args: Diff, global: Global) -> Result<ExitCode, Error> {
    let Placed { at, of: sides } = args.placed;
    at.stacks()?;
    let clients = args.aws.clients().await;
    let (before, now) = tokio::try_join!(
        read(&at, &clients, &sides.before),
        read(&at, &clients, &sides.now),
    )?;
    let changes = Changes::between(&before.content.installed, &now.content.installed);
    match global.format {
        Format::Json => crate::print_json(&Document {
            from: record(&sides.before, &before),
            to: record(&sides.now, &now),
            region: at.region,
            layer: sides.layer,
            changes,
        }),
        Format::Text => print(&sides, &before, &now, &changes),
    }
    Ok(ExitCode::SUCCESS)
}

/// What is compared of a side.
struct Compared {
    content: ContentManifest,
    /// `None` of a layer that says itself what it consists of.
    digest: Option<Digest>,
    artifact_size: u64,
}

impl From<&Manifest> for Compared {
    fn from(manifest: &Manifest) -> Self {
        Self {
            content: manifest.into(),
            digest: Some(manifest.digest),
            artifact_size: manifest.artifact_size,
        }
    }
}

async fn read(at: &OneRegion, clients: &Clients, side: &Side) -> Result<Compared, cloud::Error> {
    match side {
        Side::Version { layer, version } => {
            let found = Contents::find(at, clients, layer, *version).await?;
            let missing = || cloud::Error::LayerManifestMissing {
                region: at.region.clone(),
                layer: layer.clone(),
                version: *version,
            };
            let found = found.ok_or_else(missing)?;
            Ok(match &found.recorded {
                Some(recorded) => (&recorded.manifest).into(),
                None => Compared {
                    content: found.content,
                    digest: None,
                    artifact_size: found.artifact_size,
                },
            })
        }
        Side::Manifest(path) => Ok((&cloud::read_manifest(path)?).into()),
    }
}

fn record(side: &Side, compared: &Compared) -> SideRecord {
    let (version, path) = match side {
        Side::Version { version, .. } => (Some(*version), None),
        Side::Manifest(path) => (None, Some(path.display().to_string())),
    };
    SideRecord {
        version,
        manifest: path,
        digest: compared.digest.map(|digest| digest.to_string()),
        artifact_size: compared.artifact_size,
        unzipped_size: compared.content.unzipped_size,
        packages: compared.content.packages(),
    }
}

fn print(sides: &Sides, before: &Compared, now: &Compared, changes: &Changes) {
    let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
    let (green, red, yellow) = (
        colour(AnsiColor::Green),
        colour(AnsiColor::Red),
        colour(AnsiColor::Yellow),
    );
    let layer = &sides.layer;
    let (from, to) = (sides.before.beside(layer), sides.now.beside(layer));
    let title = format!("{layer}: {from} → {to}");
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
    let files = |compared: &Compared| {
        let files = compared.content.files.as_ref();
        files.map_or((0, None), |files| (files.count, Some(files.sha256)))
    };
    let (from, to) = (files(before), files(now));
    if from != to {
        let change = format!("~ files of one's own: {} → {}", from.0, to.0);
        say(yellow, change);
    }
    let names: BTreeSet<_> = now.content.installed.iter().map(|it| &it.name).collect();
    let unchanged = names.len() - changes.added.len() - changes.updated.len();
    anstream::println!("  = {unchanged} unchanged");
    let totals = [
        ("zip", before.artifact_size, now.artifact_size),
        (
            "unzipped",
            before.content.unzipped_size,
            now.content.unzipped_size,
        ),
    ];
    for (what, before, now) in totals {
        let (from, to) = (BinaryBytes(before), BinaryBytes(now));
        let difference = signed_difference(before, now);
        anstream::println!("  {what:<8}  {from} → {to} ({difference})");
    }
}
