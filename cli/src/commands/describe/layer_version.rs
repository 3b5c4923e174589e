//! `accretion describe layer-version`

mod deleted;

use std::process::ExitCode;

use accretion_aws::operator::{Catalogue, DescribedVersion, NamedLayers, Statement};
use accretion_core::diagnostic::printable;
use accretion_core::layer::Shape;
use accretion_core::manifest::{Excluded, Installed, LayerManifest, Manifest};
use accretion_core::notification::ObjectRef;
use accretion_layer::content::ContentManifest;
use indicatif::BinaryBytes;
use serde::Serialize;

use crate::args::{Format, Global};
use crate::cloud::{
    self, AwsOptions, Contents, OneVersion, Placed, Recorded, Region, StatementRecord,
};
use crate::commands::list::VersionRecord;
use crate::error::Error;
use crate::units::to_the_second;
use crate::{print_json, table};

/// Show all that is known of a layer version: its contents, sizes, digest and where it comes from
#[derive(Debug, clap::Args)]
pub(crate) struct LayerVersion {
    #[command(flatten)]
    pub(in crate::commands) placed: Placed<OneVersion>,
    #[command(flatten)]
    aws: AwsOptions,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a> {
    region: &'a Region,
    layer: &'a str,
    #[serde(flatten)]
    version: VersionRecord,
    code_size: u64,
    code_sha256: Option<String>,
    permissions: Vec<StatementRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest: Option<&'a Manifest>,
    /// The layer's own manifest, where there is no other.
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a ContentManifest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    layer_manifest: Option<&'a LayerManifest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    layer_manifest_object: Option<ObjectRef>,
}

/// Describes a layer version.
pub(crate) async fn run(args: LayerVersion, global: Global) -> Result<ExitCode, Error> {
    let Placed { at, of } = &args.placed;
    let (region, version, layer) = (&at.region, of.version, of.layer.as_str());
    at.stacks()?;
    let clients = args.aws.clients().await;
    let here = clients.in_region(region.as_str());
    let catalogue = Catalogue::new(&here);
    let described = async { Ok::<_, cloud::Error>(catalogue.describe(layer, version).await?) };
    let contents = Contents::find(at, &clients, layer, version);
    let named = NamedLayers::new(&here);
    let statements = async {
        let statements = named.statements(&of.layer, version).await;
        statements.map_err(cloud::Error::from)
    };
    let (described, statements, contents) = tokio::try_join!(described, statements, contents)?;
    let contents = contents.as_ref();
    let recorded = contents.and_then(|it| it.recorded.as_ref());
    let Some(described) = described else {
        let unknown = || cloud::Error::LayerVersionUnknown {
            region: region.clone(),
            layer: layer.to_owned(),
            version: Some(version),
        };
        let deleted = deleted::find(at, &clients, layer, version).await?;
        deleted::print(&deleted.ok_or_else(unknown)?, contents, global);
        return Ok(ExitCode::SUCCESS);
    };
    match global.format {
        Format::Json => print_json(&Document {
            region,
            layer,
            code_size: described.size,
            code_sha256: described.sha256.map(|it| it.to_string()),
            version: described.listed.into(),
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
        }),
        Format::Text => {
            print(
                &format!("{layer}:{version}"),
                &described,
                &statements,
                contents,
            );
            if let Some(contents) = contents {
                print_contents(contents, global);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints what a version consists of.
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
    let bold = anstyle::Style::new().bold();
    anstream::println!("{bold}{title}{bold:#}");
    let listed = &described.listed;
    let mut facts = vec![("ARN", listed.arn.clone())];
    let mut fact = |name, value: Option<String>| facts.extend(value.map(|value| (name, value)));
    fact("description", listed.description.clone());
    fact("licence", listed.license.clone());
    fact("runtimes", Some(listed.runtimes.join(" ")));
    fact("architectures", Some(listed.architectures.join(" ")));
    fact("created", listed.created_at.map(to_the_second));
    let unzipped =
        contents.map(|it| format!(", {} unzipped", BinaryBytes(it.content.unzipped_size)));
    let size = BinaryBytes(described.size);
    fact(
        "zip",
        Some(format!("{size}{}", unzipped.unwrap_or_default())),
    );
    fact("SHA-256", described.sha256.map(|it| it.to_string()));
    let grantees: Vec<_> = statements.iter().map(|it| it.grantee.to_string()).collect();
    let own = "nobody but the account itself".to_owned();
    let shared = (!grantees.is_empty()).then(|| grantees.join(", "));
    fact("shared with", Some(shared.unwrap_or(own)));
    if let Some(contents) = contents {
        let shape = contents.content.shape.map(|shape| match shape {
            Shape::Shared => "the same for all runtimes",
            Shape::PerRuntime => "installed for each runtime",
        });
        fact("packages", shape.map(ToOwned::to_owned));
    }
    if let Some(recorded) = contents.and_then(|it| it.recorded.as_ref()) {
        facts.extend(facts_of(recorded));
    }
    print_facts(facts);
    if contents.is_none() {
        anstream::println!(
            "\nNothing says what it consists of: neither a pipeline nor `accretion publish` has \
             published it."
        );
    }
}

/// The facts of the pipeline's record of a version.
fn facts_of(contents: &Recorded) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    let mut fact = |name, value: Option<String>| facts.extend(value.map(|value| (name, value)));
    let manifest = &contents.manifest;
    fact("digest", Some(manifest.digest.to_string()));
    fact("requirements", Some(manifest.requirements.join(", ")));
    if let Some(request) = &manifest.request {
        fact(
            "request",
            Some(format!("{} of {:.0}", request.id, request.received_at)),
        );
    }
    if let Some(version) = &manifest.rolled_back_to {
        let told = format!("to version {} of this layer", version.version);
        fact("rollback", Some(told));
    }
    fact(
        "latest version",
        contents
            .parameter
            .as_ref()
            .map(|it| format!("SSM parameter {it}")),
    );
    let built_at = &manifest.builder.built_at;
    fact(
        "built",
        Some(format!("{built_at} by {}", manifest.builder.version)),
    );
    let object = |key: &str| Some(format!("s3://{}/{key}", contents.bucket));
    fact("artifact", object(&manifest.artifact_s3_key));
    fact(
        "manifest",
        object(&contents.layer_manifest.artifact_manifest.key),
    );
    fact("lock", manifest.lock_s3_key.as_deref().and_then(object));
    fact("layer manifest", object(&contents.layer_manifest_key));
    facts
}

fn print_facts(facts: Vec<(&'static str, String)>) {
    for (name, value) in facts {
        // What packages and people say is in there.
        anstream::println!("  {name:<16}{}", printable(&value));
    }
}

/// How many characters the longest bar has.
const BAR: usize = 24;

/// Prints what a layer consists of, the largest first.
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
    // Of a merged layer, what is not there for all of its runtimes.
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
    // Two characters are between columns.
    let used = rows.column_max_content_widths();
    let used: usize = used.into_iter().map(|it| usize::from(it) + 2).sum();
    let room = table::terminal_width().map_or(BAR, |width| width.saturating_sub(used));
    for (row, package) in rows.row_iter_mut().zip(&packages) {
        row.add_cell(bar(package.unzipped_size, largest, room.min(BAR)).into());
    }
    anstream::println!();
    let added = usize::from(is_for_some);
    table::print(rows, &[2, 3, 4].map(|it| it + added));
}

/// Prints what there is to say of a layer's content besides the table.
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
        anstream::println!("files of one's own: {}, {size}", files.count);
    }
    if let Some(pruned) = &manifest.pruned {
        let size = BinaryBytes(pruned.unzipped_size);
        anstream::println!("pruned: {} files, {size}", pruned.files);
    }
    for it in &manifest.conflicts {
        let losers = it.losers.join(", ");
        let conflict = format!("{} is {}'s, not that of {losers}", it.path, it.winner);
        anstream::println!("conflict: {}", printable(&conflict));
    }
}

fn print_excluded(it: &Excluded) {
    let mut package = format!("{} {}", it.name, it.version);
    if let Some(version) = &it.runtime_version {
        package = format!("{package}, since the runtime has {version}");
    }
    anstream::println!("left out: {}", printable(&package));
}

/// A bar as long as a size is, of the longest one's length. What is there at all can be seen.
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
