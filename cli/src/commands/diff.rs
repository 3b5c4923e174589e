//! `accretion diff`

use std::collections::BTreeSet;
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

use crate::args::{Diff, Global, OneRegion, Placed, Region, Side, Sides};
use crate::cloud::{self, Contents, signed_difference};
use crate::error::Error;
use crate::print;

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

/// Compares two versions.
pub(super) async fn run(args: Diff, global: Global) -> Result<ExitCode, Error> {
    let Placed { at, of: sides } = args.placed;
    at.stacks()?;
    let clients = args.aws.clients().await;
    let (before, now) = tokio::try_join!(
        read(&at, &clients, &sides.before),
        read(&at, &clients, &sides.now),
    )?;
    let changes = Changes::between(&before.content.installed, &now.content.installed);
    if global.is_text() {
        print(&sides, &before, &now, &changes);
    } else {
        print::json(&Document {
            from: record(&sides.before, &before),
            to: record(&sides.now, &now),
            region: at.region,
            layer: sides.layer,
            changes,
        });
    }
    Ok(ExitCode::SUCCESS)
}

/// The compared content of a side.
struct Compared {
    content: ContentManifest,
    /// `None` if only the layer itself has a manifest.
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
            let missing = || cloud::Error::LayerManifestMissing {
                region: at.region.clone(),
                layer: layer.clone(),
                version: *version,
            };
            let found = Contents::find(at, clients, layer, *version)
                .await?
                .ok_or_else(missing)?;
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
    // Other people may have written a manifest on this machine.
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
        let extra = compared.content.files.as_ref();
        extra.map_or((0, None), |files| (files.count, Some(files.sha256)))
    };
    let (from, to) = (files(before), files(now));
    if from != to {
        say(yellow, format!("~ extra files: {} → {}", from.0, to.0));
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
