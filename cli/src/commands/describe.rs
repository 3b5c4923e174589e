//! `accretion describe layer-version`

mod deleted;

use std::process::ExitCode;

use accretion_aws::operator::{Catalogue, DescribedVersion, ListedVersion, NamedLayers, Statement};
use accretion_core::diagnostic::printable;
use accretion_core::layer::Shape;
use accretion_core::manifest::{Excluded, Installed, LayerManifest, Manifest};
use accretion_core::notification::ObjectRef;
use accretion_layer::content::ContentManifest;
use indicatif::BinaryBytes;
use serde::Serialize;

use crate::args::{DescribeLayerVersion, Global, Placed, Region};
use crate::cloud::{self, Contents, Recorded, StatementRecord};
use crate::error::Error;
use crate::units::to_the_second;
use crate::{print, table};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a> {
    region: &'a Region,
    layer: &'a str,
    #[serde(flatten)]
    version: &'a ListedVersion,
    code_size: u64,
    code_sha256: Option<String>,
    permissions: Vec<StatementRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest: Option<&'a Manifest>,
    /// The manifest in the layer, if no pipeline has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a ContentManifest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    layer_manifest: Option<&'a LayerManifest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    layer_manifest_object: Option<ObjectRef>,
}

/// Describes a layer version.
pub(super) async fn run(args: DescribeLayerVersion, global: Global) -> Result<ExitCode, Error> {
    let Placed { at, of } = &args.placed;
    let (region, version, layer) = (&at.region, of.version, of.layer.as_str());
    at.stacks()?;
    let clients = args.aws.clients().await;
    let here = clients.in_region(region.as_str());
    let catalogue = Catalogue::new(&here);
    let named = NamedLayers::new(&here);
    let (described, statements, found) = tokio::try_join!(
        async { Ok::<_, cloud::Error>(catalogue.describe(layer, version).await?) },
        async { Ok(named.statements(&of.layer, version).await?) },
        Contents::find(at, &clients, layer, version),
    )?;
    let contents = found.as_ref();
    let recorded = contents.and_then(|it| it.recorded.as_ref());
    let Some(described) = described else {
        let unknown = || cloud::Error::LayerVersionUnknown {
            region: region.clone(),
            layer: layer.to_owned(),
            version: Some(version),
        };
        let found = deleted::find(at, &clients, layer, version).await?;
        deleted::print(&found.ok_or_else(unknown)?, contents, global);
        return Ok(ExitCode::SUCCESS);
    };
    if global.is_text() {
        let title = format!("{layer}:{version}");
        print(&title, &described, &statements, contents);
        if let Some(contents) = contents {
            print_contents(contents, global);
        }
    } else {
        print::json(&Document {
            region,
            layer,
            code_size: described.size,
            code_sha256: described.sha256.map(|it| it.to_string()),
            version: &described.listed,
            permissions: statements.iter().map(Into::into).collect(),
            manifest: recorded.map(|it| &it.manifest),
            content: contents
                .filter(|it| it.recorded.is_none())
                .map(|it| &it.content),
            layer_manifest: recorded.map(|it| &it.layer_manifest),
            layer_manifest_object: recorded.map(|it| ObjectRef {
                bucket: it.bucket.clone(),
                key: it.layer_manifest_key.clone(),
            }),
        });
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the contents of a version.
fn print_contents(contents: &Contents, global: Global) {
    if !contents.content.installed.is_empty() {
        print_packages(&contents.content);
    }
    print_rest(&contents.content, global.verbose);
    let recorded = contents.recorded.iter();
    for it in recorded.flat_map(|it| &it.manifest.excluded) {
        print_excluded(it);
    }
}

fn print(
    title: &str,
    described: &DescribedVersion,
    statements: &[Statement],
    contents: Option<&Contents>,
) {
    let listed = &described.listed;
    let unzipped = contents.map_or_else(String::new, |it| {
        format!(", {} unzipped", BinaryBytes(it.content.unzipped_size))
    });
    let grantees = print::joined(statements.iter().map(|it| &it.grantee));
    let shared_with = if grantees.is_empty() {
        "no other account".to_owned()
    } else {
        grantees
    };
    let shape = contents.and_then(|it| it.content.shape);
    print_title(title);
    print_facts([
        ("ARN", Some(listed.arn.clone())),
        ("description", listed.description.clone()),
        ("license", listed.license.clone()),
        ("runtimes", Some(listed.runtimes.join(" "))),
        ("architectures", Some(listed.architectures.join(" "))),
        ("created", listed.created_at.map(to_the_second)),
        (
            "zip",
            Some(format!("{}{unzipped}", BinaryBytes(described.size))),
        ),
        ("SHA-256", described.sha256.map(|it| it.to_string())),
        ("shared with", Some(shared_with)),
        (
            "packages",
            shape.map(|shape| described_shape(shape).to_owned()),
        ),
    ]);
    match contents {
        Some(contents) => contents.recorded.iter().for_each(print_recorded),
        None => anstream::println!(
            "\nIts contents are unknown: neither a pipeline nor `accretion publish` published it."
        ),
    }
}

/// The way in which a merged layer serves its runtimes.
pub(super) fn described_shape(shape: Shape) -> &'static str {
    match shape {
        Shape::Shared => "the same for all runtimes",
        Shape::PerRuntime => "installed for each runtime",
    }
}

/// Prints the pipeline's record of a version.
fn print_recorded(recorded: &Recorded) {
    let manifest = &recorded.manifest;
    let request = manifest.request.as_ref();
    let rolled_back_to = manifest.rolled_back_to.as_ref();
    let (built_at, built_by) = (&manifest.builder.built_at, &manifest.builder.version);
    let object = |key: &String| format!("s3://{}/{key}", recorded.bucket);
    print_facts([
        ("digest", Some(manifest.digest.to_string())),
        ("requirements", Some(manifest.requirements.join(", "))),
        (
            "request",
            request.map(|it| format!("{} of {:.0}", it.id, it.received_at)),
        ),
        (
            "rollback",
            rolled_back_to.map(|it| format!("to version {} of this layer", it.version)),
        ),
        (
            "latest version",
            recorded
                .parameter
                .as_ref()
                .map(|it| format!("SSM parameter {it}")),
        ),
        ("built", Some(format!("{built_at} by {built_by}"))),
        ("artifact", Some(object(&manifest.artifact_s3_key))),
        (
            "manifest",
            Some(object(&recorded.layer_manifest.artifact_manifest.key)),
        ),
        ("lock", manifest.lock_s3_key.as_ref().map(object)),
        ("layer manifest", Some(object(&recorded.layer_manifest_key))),
    ]);
}

fn print_title(title: &str) {
    let bold = anstyle::Style::new().bold();
    anstream::println!("{bold}{title}{bold:#}");
}

/// Prints the facts that have a value.
fn print_facts<const N: usize>(facts: [(&'static str, Option<String>); N]) {
    for (name, value) in facts {
        if let Some(value) = value {
            // Other people wrote some of the values.
            anstream::println!("  {name:<16}{}", printable(&value));
        }
    }
}

/// The number of characters of the longest bar.
const BAR: usize = 24;

/// Prints the packages of a layer, largest first.
fn print_packages(manifest: &ContentManifest) {
    let mut packages: Vec<&Installed> = manifest.installed.iter().collect();
    packages.sort_by_key(|it| std::cmp::Reverse(it.unzipped_size));
    let largest = packages.first().and_then(|it| it.unzipped_size);
    let all = manifest.unzipped_size.max(1);
    let share = |size: u64| match (u128::from(size) * 200 / u128::from(all)).div_ceil(2) {
        0 => "< 1 %".to_owned(),
        percent => format!("{percent} %"),
    };
    let mut columns = vec!["package", "version", "zip", "unzipped", "share", ""];
    // A merged layer may have packages for some of its runtimes only.
    let is_for_some = packages.iter().any(|it| !it.runtimes.is_empty());
    if is_for_some {
        columns.insert(2, "runtimes");
    }
    let mut rows = table::new(&columns);
    for package in &packages {
        let size =
            |size: Option<u64>| size.map_or_else(String::new, |it| BinaryBytes(it).to_string());
        let mut row = vec![
            package.name.clone(),
            package.version.clone(),
            size(package.size),
            size(package.unzipped_size),
            package.unzipped_size.map(share).unwrap_or_default(),
        ];
        if is_for_some {
            let runtimes = package.runtimes.iter().map(ToString::to_string);
            row.insert(2, runtimes.collect::<Vec<_>>().join(" "));
        }
        rows.add_row(row);
    }
    // Two spaces separate columns.
    let widths = rows.column_max_content_widths().into_iter();
    let used: usize = widths.map(|it| usize::from(it) + 2).sum();
    let room = table::terminal_width().map_or(BAR, |width| width.saturating_sub(used));
    for (row, package) in rows.row_iter_mut().zip(&packages) {
        row.add_cell(bar(package.unzipped_size, largest, room.min(BAR)).into());
    }
    anstream::println!();
    let added = usize::from(is_for_some);
    table::print(rows, &[2, 3, 4].map(|it| it + added));
}

/// Prints the rest of a layer's contents below the table.
fn print_rest(manifest: &ContentManifest, verbose: bool) {
    if verbose {
        anstream::println!();
        for package in &manifest.installed {
            let Installed {
                name,
                version,
                wheel,
                ..
            } = package;
            let package = format!("{name} {version}  {wheel}");
            anstream::println!("  {}", printable(&package));
        }
    }
    for warning in manifest.installed.iter().filter_map(Installed::warning) {
        anstream::println!("warning: {}", printable(&warning));
    }
    if let Some(files) = &manifest.files {
        let size = BinaryBytes(files.unzipped_size);
        anstream::println!("extra files: {}, {size}", files.count);
    }
    if let Some(pruned) = &manifest.pruned {
        let size = BinaryBytes(pruned.unzipped_size);
        anstream::println!("pruned: {} files, {size}", pruned.files);
    }
    for it in &manifest.conflicts {
        let losers = it.losers.join(", ");
        let conflict = format!("{} is from {}, not from {losers}", it.path, it.winner);
        anstream::println!("conflict: {}", printable(&conflict));
    }
}

fn print_excluded(it: &Excluded) {
    let version = it.runtime_version.as_ref();
    let reason = version.map_or_else(String::new, |it| format!(", since the runtime has {it}"));
    let package = format!("{} {}{reason}", it.name, it.version);
    anstream::println!("left out: {}", printable(&package));
}

/// A bar whose length is proportional to a size. Any size but 0 is visible.
fn bar(size: Option<u64>, largest: Option<u64>, longest: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let (Some(size), Some(largest)) = (size, largest.filter(|it| *it > 0)) else {
        return String::new();
    };
    let eighths = u128::try_from(longest * 8).unwrap_or_default();
    let length = (u128::from(size) * eighths).div_ceil(u128::from(largest));
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    format!("{}{}", "█".repeat(length / 8), EIGHTHS[length % 8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_sizes() {
        assert_eq!(bar(Some(100), Some(100), BAR), "█".repeat(24));
        assert_eq!(bar(Some(50), Some(100), BAR), "█".repeat(12));
        assert_eq!(bar(Some(100), Some(100), 5), "█████");
        assert_eq!(bar(Some(100), Some(100), 0), "");
        assert_eq!(bar(Some(1), Some(1_000_000), BAR), "▏");
        assert_eq!(bar(Some(0), Some(100), BAR), "");
        assert_eq!(bar(None, Some(100), BAR), "");
        assert_eq!(bar(Some(0), Some(0), BAR), "");
        assert_eq!(bar(Some(u64::MAX), Some(u64::MAX), BAR).chars().count(), 24);
    }
}
