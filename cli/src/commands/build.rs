//! `accretion build`

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use accretion_core::diagnostic::{ProblemRecord, Report};
use accretion_core::layer::LayerName;
use accretion_core::request::Request;
use accretion_core::target::{Architecture, Runtime, Target};
use accretion_local::output::OutputFolder;
use accretion_service::build::{Build as LayerBuild, Built, Options};
use accretion_service::ports::Clock;
use comfy_table::Table;
use futures_util::future::join_all;
use indicatif::BinaryBytes;
use serde::Serialize;

use crate::args::{Format, Global};
use crate::engine::{Engine, Sources};
use crate::environment::Environment;
use crate::error::{Error, grouped, print_warning};
use crate::failed::{self, Failed, FailureRecord};
use crate::input::{self, Input};
use crate::progress::Terminal;
use crate::table;
use crate::units::span;

/// Build layers from a request, a requirements.txt, a script or a lock file
///
/// Writes LAYER.zip and LAYER.manifest for each runtime and architecture. Layers whose content
/// has not changed are left as they are.
#[derive(Debug, clap::Args)]
pub(crate) struct Build {
    #[command(flatten)]
    input: Input,
    /// The folder that layers are written to
    #[arg(short, long, value_name = "DIR", default_value = "layers")]
    output: PathBuf,
    /// Fail when two wheels put different files at the same path
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    sources: Sources,
}

struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }
}

/// Builds the layers of an input.
pub(crate) async fn run(
    args: Build,
    global: Global,
    environment: &Environment,
) -> Result<ExitCode, Error> {
    let (request, mut report) = input::read(&args.input)?;
    report.add_missing(request.targets.warnings());
    if global.format == Format::Text {
        crate::print_report(&report, global);
    }
    let progress = Arc::new(Terminal::new(global.quiet || global.format == Format::Json));
    let output = OutputFolder::new(&args.output);
    let outcomes = build(&request, &args, environment, &output, Arc::clone(&progress)).await?;
    progress.clear();

    let (mut built, mut failed) = (Vec::new(), Vec::new());
    for (target, outcome) in outcomes {
        let layer = LayerName::new(&request.name, target);
        match outcome {
            Ok(layer) => built.push(layer),
            Err(error) => failed.push(Failed {
                target,
                layer,
                error,
            }),
        }
    }
    match global.format {
        Format::Json => print_document(&report, &built, &failed, &output),
        Format::Text => print_text(&built, &failed, global),
    }
    Ok(failed::exit_code(&failed))
}

async fn build(
    request: &Request,
    args: &Build,
    environment: &Environment,
    output: &OutputFolder,
    progress: Arc<Terminal>,
) -> Result<Vec<(Target, Result<Built, accretion_service::Error>)>, Error> {
    let engine = Engine::new(&args.sources, environment, request, &progress)?;
    let options = Options {
        strict: args.strict,
        ..Options::default()
    };
    let build = LayerBuild::new(
        request,
        None,
        options,
        &*engine.uv,
        &engine.wheels,
        output,
        &SystemClock,
        &*progress,
    )?;
    let targets = request.targets.iter();
    let outcomes = targets.map(async |target| (target, build.target(target).await));
    Ok(join_all(outcomes).await)
}

fn print_text(built: &[Built], failed: &[Failed], global: Global) {
    if !global.quiet {
        let warnings = built.iter().flat_map(|built| {
            let warnings = built.warnings.iter();
            warnings.map(|warning| (built.layer.as_str(), warning.as_str()))
        });
        for (warning, layers) in grouped(warnings) {
            print_warning(&layers.join(", "), warning);
        }
    }
    if !built.is_empty() && !global.quiet {
        table::print(table(built), &[1, 2, 3, 4]);
    }
    if global.verbose {
        for layer in built {
            anstream::println!("\n{}", layer.layer);
            for package in &layer.manifest.installed {
                anstream::println!("  {} {}  {}", package.name, package.version, package.wheel);
            }
        }
    }
    failed::print(failed);
}

fn table(built: &[Built]) -> Table {
    let mut rows = table::new(&["layer", "packages", "zip", "unzipped", "time", ""]);
    for layer in built {
        let manifest = &layer.manifest;
        rows.add_row([
            layer.layer.to_string(),
            manifest.installed.len().to_string(),
            BinaryBytes(manifest.artifact_size).to_string(),
            BinaryBytes(manifest.unzipped_size).to_string(),
            span(layer.elapsed),
            if layer.changed {
                "changed"
            } else {
                "unchanged"
            }
            .to_owned(),
        ]);
    }
    rows
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a> {
    problems: Vec<ProblemRecord<'a>>,
    layers: Vec<LayerRecord<'a>>,
    failures: Vec<FailureRecord<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct LayerRecord<'a> {
    layer: &'a str,
    runtime: Runtime,
    architecture: Architecture,
    changed: bool,
    zip: String,
    manifest: String,
    digest: String,
    artifact_sha256: String,
    artifact_size: u64,
    unzipped_size: u64,
    packages: usize,
    seconds: f64,
    warnings: &'a [String],
}

fn print_document(report: &Report, built: &[Built], failed: &[Failed], output: &OutputFolder) {
    let layers = built.iter().map(|built| LayerRecord {
        layer: built.layer.as_str(),
        runtime: built.target.runtime,
        architecture: built.target.architecture,
        changed: built.changed,
        zip: output.zip(&built.layer).display().to_string(),
        manifest: output.manifest(&built.layer).display().to_string(),
        digest: built.manifest.digest.to_string(),
        artifact_sha256: built.manifest.artifact_sha256.to_string(),
        artifact_size: built.manifest.artifact_size,
        unzipped_size: built.manifest.unzipped_size,
        packages: built.manifest.installed.len(),
        seconds: built.elapsed.as_secs_f64(),
        warnings: &built.warnings,
    });
    crate::print_json(&Document {
        problems: report.records(),
        layers: layers.collect(),
        failures: failed.iter().map(Into::into).collect(),
    });
}
