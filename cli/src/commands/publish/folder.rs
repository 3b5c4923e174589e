//! Layers from a folder.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use accretion_aws::operator::Publication;
use accretion_core::diagnostic::Report;
use accretion_core::manifest::{Files, Installed};
use accretion_core::request::Targets;
use accretion_core::target::Runtime;
use accretion_layer::content::{CONTENT_VERSION, ContentManifest};
use accretion_layer::{LayerZip, Output as _, Rules};
use accretion_local::layer_folder::{LayerFolder, PackedFolder};
use accretion_python::SitePackages;
use accretion_python::request::Request;
use accretion_service::assemble::{self, Assembled, InstalledTree, PackageOf};
use accretion_service::python::{PythonPackages, SourceDistributions};
use tempfile::NamedTempFile;

use super::{Layer, temporary, zip};
use crate::args::{Global, Input, Publish, TargetOptions};
use crate::contents::print_left_out;
use crate::engine::Engine;
use crate::environment::Environment;
use crate::error::Error;
use crate::progress::Terminal;
use crate::{cloud, input, print};

const REQUIRED: &str = "the command line requires it with a folder";

/// Builds the layer of a folder.
pub(super) async fn layer(
    args: &Publish,
    path: &Path,
    global: Global,
    environment: &Environment,
) -> Result<Layer, Error> {
    let folder = LayerFolder::open(path)?;
    let targets = Targets::default()
        .with_runtimes(args.runtimes.iter().copied())
        .with_architectures(args.architectures.iter().copied());
    let (request, mut report) = read(args, path, &folder)?;
    report.add_missing(targets.warnings());
    if global.is_text() {
        print::report(&report, global);
    }
    let (packed, trees) = gather(
        (args, path),
        global,
        environment,
        &folder,
        (request, &targets),
    )
    .await?;
    let left_out = packed.left_out().clone();
    if global.is_text() {
        print_left_out(path, &left_out, global);
    }
    let (files, _until_written) = packed.into_parts();
    let described = files.described();
    let rules = Rules::new(&SitePackages, LayerZip.limit());
    let assembled =
        assemble::assemble(trees, Some(files.into()), rules, &LayerZip, temporary()?).await?;
    let warnings = assembled.warnings();
    let content = content(&assembled, described, &targets.runtimes().collect());
    let (zip, written) = zip::with_content(assembled.staged, &content).await?;
    Ok(Layer {
        publication: Publication {
            layer: args.layer.clone().expect(REQUIRED),
            description: args.version.clone().expect(REQUIRED),
            runtimes: targets.runtimes().collect(),
            architectures: targets.architectures().collect(),
            license: None,
            sha256: written.sha256,
        },
        zip,
        size: written.size,
        content,
        left_out: Some(left_out),
        report,
        warnings,
    })
}

fn content(
    assembled: &Assembled<NamedTempFile>,
    files: Option<Files>,
    all: &BTreeSet<Runtime>,
) -> ContentManifest {
    let installed = assembled.packages.iter().map(|package| {
        let PackageOf {
            installed,
            runtimes,
        } = package;
        let is_for_all = runtimes.len() == all.len();
        Installed {
            runtimes: if is_for_all {
                Vec::new()
            } else {
                runtimes.clone()
            },
            ..installed.clone()
        }
    });
    ContentManifest {
        content_version: CONTENT_VERSION,
        shape: Some(assembled.shape),
        installed: installed.collect(),
        files,
        pruned: None,
        conflicts: assembled.conflicts.clone(),
        unzipped_size: assembled.unzipped,
    }
}

/// Reads the requirements of the folder, if it has some.
fn read(
    args: &Publish,
    path: &Path,
    folder: &LayerFolder,
) -> Result<(Option<Request>, Report), Error> {
    let Some(requirements) = folder.requirements() else {
        let source_name = path.display().to_string();
        return Ok((None, Report::new(source_name, "")));
    };
    let input = Input {
        // A placeholder, since the layer has its own name.
        name: "layer".parse().ok(),
        targets: TargetOptions {
            runtimes: args.runtimes.clone(),
            architectures: args.architectures.clone(),
        },
        allow_source_distributions: args.allow_source_distributions,
        ..Input::of_path(requirements)
    };
    let (request, report) = input::read(&input, &[])?;
    Ok((Some(request), report))
}

/// Packs the folder, and installs its requirements.
async fn gather(
    (args, path): (&Publish, &Path),
    global: Global,
    environment: &Environment,
    folder: &LayerFolder,
    (request, targets): (Option<Request>, &Targets),
) -> Result<(PackedFolder, Vec<InstalledTree>), Error> {
    let rules = args.files.rules(Some(path))?;
    let packed = async { folder.pack(&rules).await.map_err(Error::from) };
    let watcher = &Arc::new(Terminal::new(!global.is_chatty()));
    let trees = async {
        match &request {
            Some(request) => install(args, environment, request, watcher).await,
            None => Ok(assemble::install_nothing(targets)),
        }
    };
    let both = tokio::try_join!(packed, trees);
    watcher.clear();
    let (packed, trees) = both?;
    if request.is_none() && packed.files().is_empty() {
        let error = cloud::Error::LayerFolderEmpty { path: path.into() };
        return Err(error.into());
    }
    Ok((packed, trees))
}

async fn install(
    args: &Publish,
    environment: &Environment,
    request: &Request,
    progress: &Arc<Terminal>,
) -> Result<Vec<InstalledTree>, Error> {
    let engine = Engine::new(&args.sources, environment, request, progress)?;
    let allowed = SourceDistributions::AsRequested;
    let packages = PythonPackages::new(request, allowed, engine.ports(), &**progress)?;
    Ok(assemble::install(&request.targets, &packages, &**progress).await?)
}
