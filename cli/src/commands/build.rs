//! `accretion build`

use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use accretion_core::diagnostic::{ProblemRecord, Report, printable};
use accretion_core::layer::{LayerName, Shape};
use accretion_core::manifest::{Installed, Manifest};
use accretion_core::target::{Architecture, Compatibility, Runtime};
use accretion_layer::LayerZip;
use accretion_layer::files::LeftOut;
use accretion_local::layer_folder::PackedFolder;
use accretion_local::output::OutputFolder;
use accretion_python::request::Request;
use accretion_service::assemble::PackedFiles;
use accretion_service::build::{Build as LayerBuild, Built, Ports};
use accretion_service::ports::Clock;
use accretion_service::python::{OwnWheel, PythonPackages, SourceDistributions};
use comfy_table::Table;
use futures_util::future::join_all;
use indicatif::BinaryBytes;
use serde::Serialize;

use crate::args::{Build, Global};
use crate::contents::LeftOutRecord;
use crate::engine::Engine;
use crate::environment::Environment;
use crate::error::Error;
use crate::extra::{self, ExtraPackages};
use crate::failed::{self, Failed, FailureRecord};
use crate::progress::Terminal;
use crate::units::{counted, span};
use crate::unselected::Unselected;
use crate::{input, print, table};

struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }
}

/// Builds the layers of an input.
pub(crate) async fn run(
    mut args: Build,
    global: Global,
    environment: &Environment,
) -> Result<ExitCode, Error> {
    if !args.extra.is_input(&args.input.path) {
        args.input.choose(global)?;
    }
    let progress = Arc::new(Terminal::new(!global.is_chatty()));
    let Prepared {
        request,
        mut report,
        engine,
        packages,
    } = prepare(&args, environment, &progress).await?;
    report.add_missing(request.targets.warnings());
    if global.is_text() {
        print::report(&report, global);
        Unselected::print(&request, global);
    }
    let output = OutputFolder::new(&args.output).named(args.input.name.is_some());
    let known = known(&request, &output);
    extra::check_files(&request)?;
    let packed = args.extra.pack().await?;
    let left_out = packed.as_ref().map(|packed| packed.left_out().clone());
    if global.is_text()
        && let Some(left_out) = &left_out
    {
        args.extra.print_left_out(left_out, global);
    }
    let (files, _until_written) = packed.map(PackedFolder::into_parts).unzip();
    let extra = (files, packages.wheels);
    let outcomes = build(&request, &args, &engine, extra, &output, &progress).await?;
    progress.clear();

    let (mut built, mut failed) = (Vec::new(), Vec::new());
    for (target, outcome) in outcomes {
        let layer = LayerName::new(&request.name, target.target());
        match outcome {
            Ok(layer) => built.push(layer),
            Err(error) => failed.push(Failed {
                target,
                layer,
                error,
            }),
        }
    }
    let outcome = Outcome {
        built,
        failed,
        known,
        left_out,
    };
    if global.is_text() {
        print_text(&outcome, &args.output, global);
    } else {
        print_document(&report, Unselected::of(&request), &outcome, &output);
    }
    Ok(failed::exit_code(&outcome.failed))
}

/// The layers of a request that have a file in the output folder before the build.
fn known(request: &Request, output: &OutputFolder) -> Vec<LayerName> {
    let layers = request.layers().into_iter();
    let names = layers.map(|layer| LayerName::new(&request.name, layer.target()));
    let is_there = |name: &LayerName| output.zip(name).exists() || output.manifest(name).exists();
    names.filter(is_there).collect()
}

/// The outcome of a build.
struct Outcome {
    built: Vec<Built>,
    failed: Vec<Failed>,
    /// The layers that existed before.
    known: Vec<LayerName>,
    /// The files of `--include` that were left out.
    left_out: Option<LeftOut>,
}

impl Outcome {
    /// Returns whether a layer did not exist before.
    fn is_new(&self, layer: &Built) -> bool {
        layer.changed && !self.known.contains(&layer.layer)
    }

    fn change(&self, layer: &Built) -> &'static str {
        match layer.changed {
            true if self.is_new(layer) => "new",
            true => "changed",
            false => "unchanged",
        }
    }
}

/// A request and the engine that builds it.
struct Prepared {
    request: Request,
    report: Report,
    engine: Engine,
    packages: ExtraPackages,
}

/// Reads the input, and builds local projects.
async fn prepare(
    args: &Build,
    environment: &Environment,
    progress: &Arc<Terminal>,
) -> Result<Prepared, Error> {
    let (mut request, report) = if args.extra.is_input(&args.input.path) {
        args.extra.request(&args.input)?
    } else {
        input::read(&args.input, &args.extra.projects)?
    };
    let engine = Engine::new(&args.sources, environment, &request, progress)?;
    let given = args.sources.given(&request);
    let building = args.extra.build(&engine, &request, given, &args.input.path);
    let packages = building.await?;
    packages.require(&mut request, &args.input.path)?;
    Ok(Prepared {
        request,
        report,
        engine,
        packages,
    })
}

async fn build(
    request: &Request,
    args: &Build,
    engine: &Engine,
    (files, wheels): (Option<PackedFiles>, Vec<OwnWheel>),
    output: &OutputFolder,
    progress: &Terminal,
) -> Result<Vec<(Compatibility, Result<Built, accretion_service::Error>)>, Error> {
    let allowed = SourceDistributions::AsRequested;
    let packages = PythonPackages::new(request, allowed, engine.ports(), progress)?;
    let ports = Ports {
        artifacts: output,
        clock: &SystemClock,
        progress,
    };
    let build = LayerBuild::new(request, packages.with_wheels(wheels), &LayerZip, ports)
        .strict(args.strict)
        .with_files(files)
        .with_input(file_name(&args.input.path));
    let layers = request.layers();
    let outcomes = join_all(layers.iter().map(|layer| build.layer(layer))).await;
    Ok(layers.into_iter().zip(outcomes).collect())
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

fn print_text(outcome: &Outcome, folder: &Path, global: Global) {
    let Outcome { built, failed, .. } = outcome;
    let warnings: Vec<_> = built
        .iter()
        .flat_map(|it| {
            it.warnings
                .iter()
                .map(|text| (it.layer.to_string(), text.clone()))
        })
        .collect();
    failed::print_warnings(&warnings, global);
    if !built.is_empty() && !global.quiet {
        let is_merged = built.iter().any(|layer| layer.manifest.shape.is_some());
        let columns = usize::from(is_merged);
        table::print(
            table(outcome, is_merged),
            &[1, 2, 3, 4].map(|it| it + columns),
        );
        let layers = counted(built.len(), "layer");
        let path = printable(&folder.display().to_string());
        let folder = path.trim_end_matches('/');
        anstream::println!("{layers} in {folder}/");
        if cfg!(feature = "aws") && io::stderr().is_terminal() {
            anstream::eprintln!(
                "publish them: accretion publish --zip {folder}/*.zip --my-account --region REGION"
            );
        }
    }
    if global.verbose {
        for layer in built {
            anstream::println!("\n{}", layer.layer);
            for package in &layer.manifest.installed {
                let Installed {
                    name,
                    version,
                    wheel,
                    ..
                } = package;
                // A merged layer may have packages for some of its runtimes only.
                let runtimes = joined(&package.runtimes);
                let line = format!("  {name} {version}  {wheel}  {runtimes}");
                anstream::println!("{}", line.trim_end());
            }
        }
    }
    failed::print(failed);
}

fn joined(runtimes: &[Runtime]) -> String {
    let names: Vec<_> = runtimes.iter().map(ToString::to_string).collect();
    names.join(" ")
}

fn table(outcome: &Outcome, is_merged: bool) -> Table {
    let mut columns = vec!["layer", "packages", "zip", "unzipped", "time", ""];
    if is_merged {
        columns.insert(1, "runtimes");
    }
    let mut rows = table::new(&columns);
    for layer in &outcome.built {
        let manifest = &layer.manifest;
        let mut row = vec![
            layer.layer.to_string(),
            manifest.packages().to_string(),
            BinaryBytes(manifest.artifact_size).to_string(),
            BinaryBytes(manifest.unzipped_size).to_string(),
            span(layer.elapsed),
            outcome.change(layer).to_owned(),
        ];
        if is_merged {
            row.insert(1, runtimes(manifest));
        }
        rows.add_row(row);
    }
    rows
}

/// The runtimes of a layer, and the way in which it serves them.
fn runtimes(manifest: &Manifest) -> String {
    let names = joined(&manifest.runtimes);
    match manifest.shape {
        Some(Shape::PerRuntime) => format!("{names}, each its own"),
        Some(Shape::Shared) => format!("{names}, shared"),
        None => names,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a> {
    problems: Vec<ProblemRecord<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<Unselected>,
    layers: Vec<LayerRecord<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    files_left_out: Option<LeftOutRecord>,
    failures: Vec<FailureRecord<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct LayerRecord<'a> {
    layer: &'a str,
    runtime: Option<Runtime>,
    runtimes: Vec<Runtime>,
    architecture: Architecture,
    shape: Option<Shape>,
    changed: bool,
    new: bool,
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

fn print_document(
    report: &Report,
    left_out: Option<Unselected>,
    outcome: &Outcome,
    output: &OutputFolder,
) {
    let layers = outcome.built.iter().map(|built| LayerRecord {
        layer: built.layer.as_str(),
        runtime: built.target.target().runtime(),
        runtimes: built.target.runtimes().collect(),
        architecture: built.target.architecture(),
        shape: built.manifest.shape,
        changed: built.changed,
        new: outcome.is_new(built),
        zip: output.zip(&built.layer).display().to_string(),
        manifest: output.manifest(&built.layer).display().to_string(),
        digest: built.manifest.digest.to_string(),
        artifact_sha256: built.manifest.artifact_sha256.to_string(),
        artifact_size: built.manifest.artifact_size,
        unzipped_size: built.manifest.unzipped_size,
        packages: built.manifest.packages(),
        seconds: built.elapsed.as_secs_f64(),
        warnings: &built.warnings,
    });
    print::json(&Document {
        problems: report.records(),
        left_out,
        layers: layers.collect(),
        files_left_out: outcome.left_out.as_ref().map(Into::into),
        failures: outcome.failed.iter().map(Into::into).collect(),
    });
}
