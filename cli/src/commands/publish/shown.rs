//! Results of publishing, for people and for programs.

use accretion_core::Fault;
use accretion_core::diagnostic::ProblemRecord;
use accretion_core::layer::Shape;
use accretion_core::manifest::Installed;
use accretion_core::request::PermissionDocument;
use accretion_core::target::{Architecture, Runtime};
use accretion_layer::content::ContentManifest;
use indicatif::BinaryBytes;
use serde::Serialize;

use super::{Layer, Outcomes, Plan, Published};
use crate::args::Global;
use crate::commands::describe::described_shape;
use crate::contents::LeftOutRecord;
use crate::print::RegionFailure;
use crate::print::{self, joined};
use crate::table;
use crate::units::counted;

/// Prints the results of a layer, for people.
pub(super) fn print_text(plan: &Plan, layer: &Layer, outcomes: &Outcomes, global: Global) {
    let Layer {
        publication,
        content,
        ..
    } = layer;
    if !global.quiet {
        for warning in &layer.warnings {
            print::warning(publication.layer.as_str(), warning);
        }
        let mut held = vec![counted(files(content), "file")];
        if !content.installed.is_empty() {
            let packages = counted(content.packages(), "package");
            let shape = content.shape.map(described_shape);
            held.insert(0, joined([packages.as_str()].into_iter().chain(shape)));
        }
        anstream::println!(
            "{} {} for {} on {}\n{}; {}, unzipped {}",
            publication.layer,
            publication.description,
            joined(&publication.runtimes),
            joined(&publication.architectures),
            held.join("; "),
            BinaryBytes(layer.size),
            BinaryBytes(content.unzipped_size),
        );
    }
    if global.verbose {
        for installed in &content.installed {
            let (name, version, wheel) = (&installed.name, &installed.version, &installed.wheel);
            let of_runtimes = match content.shape {
                Some(Shape::PerRuntime) => format!("  {}", joined(runtimes(layer, installed))),
                _ => String::new(),
            };
            anstream::println!("  {name} {version}  {wheel}{of_runtimes}");
        }
    }
    let published = outcomes.iter().filter_map(|(region, outcome)| {
        let published = outcome.as_ref().ok()?;
        Some((region, published))
    });
    let mut rows = table::new(&["region", "version", "", "shared with"]);
    for (region, Published { arn, is_new, .. }) in published {
        rows.add_row([
            region.to_string(),
            arn.clone(),
            if *is_new { "published" } else { "unchanged" }.to_owned(),
            joined(&plan.permissions),
        ]);
    }
    if rows.row_count() > 0 && !global.quiet {
        table::print(rows, &[]);
    }
    print::faults(outcomes.iter().filter_map(|(region, outcome)| {
        let error = outcome.as_ref().err()?;
        Some((region.as_str(), error as &dyn Fault))
    }));
}

/// The number of copied files.
fn files(content: &ContentManifest) -> usize {
    let count = content.files.as_ref().map_or(0, |files| files.count);
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// The runtimes of a package.
fn runtimes<'a>(layer: &'a Layer, installed: &'a Installed) -> &'a [Runtime] {
    if installed.runtimes.is_empty() {
        &layer.publication.runtimes
    } else {
        &installed.runtimes
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Documents<'a> {
    layers: Vec<Document<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a> {
    problems: Vec<ProblemRecord<'a>>,
    layer: &'a str,
    description: &'a str,
    runtimes: &'a [Runtime],
    architectures: &'a [Architecture],
    shape: Option<Shape>,
    packages: Vec<PackageRecord<'a>>,
    files: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    files_left_out: Option<LeftOutRecord>,
    sha256: String,
    size: u64,
    unzipped_size: u64,
    warnings: &'a [String],
    permissions: Vec<PermissionDocument>,
    versions: Vec<VersionRecord<'a>>,
    failures: Vec<RegionFailure<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PackageRecord<'a> {
    name: &'a str,
    version: &'a str,
    wheel: &'a str,
    runtimes: &'a [Runtime],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct VersionRecord<'a> {
    region: &'a str,
    version: u64,
    version_arn: &'a str,
    changed: bool,
}

/// Prints the results of all layers, for programs: an object for a folder, a list for zips.
pub(super) fn print_documents(plan: &Plan, all: &[(Layer, Outcomes)], is_folder: bool) {
    let results = all.iter();
    let documents = results.map(|(layer, outcomes)| document(plan, layer, outcomes));
    if is_folder {
        documents.for_each(|layer| print::json(&layer));
    } else {
        let layers = documents.collect();
        print::json(&Documents { layers });
    }
}

fn document<'a>(plan: &Plan, layer: &'a Layer, outcomes: &'a Outcomes) -> Document<'a> {
    let Layer {
        publication,
        content,
        ..
    } = layer;
    let packages = content.installed.iter().map(|installed| PackageRecord {
        name: &installed.name,
        version: &installed.version,
        wheel: &installed.wheel,
        runtimes: runtimes(layer, installed),
    });
    let versions = outcomes.iter().filter_map(|(region, outcome)| {
        let published = outcome.as_ref().ok()?;
        Some(VersionRecord {
            region: region.as_str(),
            version: published.version,
            version_arn: &published.arn,
            changed: published.is_new,
        })
    });
    let failures = outcomes.iter().filter_map(|(region, outcome)| {
        let error = outcome.as_ref().err()?;
        Some(RegionFailure::new(Some(region.as_str()), error))
    });
    Document {
        problems: layer.report.records(),
        layer: publication.layer.as_str(),
        description: &publication.description,
        runtimes: &publication.runtimes,
        architectures: &publication.architectures,
        shape: content.shape,
        packages: packages.collect(),
        files: files(content),
        files_left_out: layer.left_out.as_ref().map(Into::into),
        sha256: publication.sha256.to_string(),
        size: layer.size,
        unzipped_size: content.unzipped_size,
        warnings: &layer.warnings,
        permissions: plan.permissions.iter().map(Into::into).collect(),
        versions: versions.collect(),
        failures: failures.collect(),
    }
}
