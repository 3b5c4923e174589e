//! `accretion lock`

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use accretion_core::diagnostic::ProblemRecord;
use accretion_core::layer::LayerName;
use accretion_core::target::Target;
use accretion_python::lock::{self, LockedPackage};
use accretion_python::request::Request;
use accretion_service::python::{PythonPackages, SourceDistributions};
use serde::Serialize;
use tempfile::NamedTempFile;

use crate::args::{Global, Lock};
use crate::engine::Engine;
use crate::environment::Environment;
use crate::error::Error;
use crate::failed::{self, Failed, FailureRecord, Warning, WarningRecord};
use crate::progress::Terminal;
use crate::unselected::Unselected;
use crate::{extra, input, print};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a> {
    problems: Vec<ProblemRecord<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<Unselected>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lock: Option<String>,
    packages: usize,
    warnings: Vec<WarningRecord<'a>>,
    failures: Vec<FailureRecord<'a>>,
}

/// Locks an input. Writes nothing unless all of its layers resolve.
pub(crate) async fn run(
    mut args: Lock,
    global: Global,
    environment: &Environment,
) -> Result<ExitCode, Error> {
    args.input.choose(global)?;
    let (request, mut report) = input::read(&args.input, &[])?;
    extra::check_files(&request)?;
    report.add_missing(request.targets.warnings());
    if global.is_text() {
        print::report(&report, global);
        Unselected::print(&request, global);
    }
    let progress = Arc::new(Terminal::new(!global.is_chatty()));
    let engine = Engine::new(&args.sources, environment, &request, &progress)?;
    let Resolved {
        locked,
        warnings,
        failed,
    } = resolve(&request, &engine, &progress).await?;
    let name = format!("pylock.{}.toml", request.name);
    let path = args.output.as_deref().unwrap_or(Path::new("")).join(name);
    // The input may contain more than this lock, such as markers and groups.
    if same_file(&path, &args.input.path) {
        return Err(Error::LockIsInput { path });
    }
    if failed.is_empty() {
        let folder = args.output.unwrap_or_else(|| PathBuf::from("."));
        write(&folder, &path, &locked).map_err(|error| Error::FolderUnwritable {
            path: folder,
            error,
        })?;
    }
    if global.is_text() {
        failed::print_warnings(&warnings, global);
        print_text(&path, &locked, &failed, global);
    } else {
        print::json(&Document {
            problems: report.records(),
            left_out: Unselected::of(&request),
            lock: failed.is_empty().then(|| path.display().to_string()),
            packages: versions(&locked).len(),
            warnings: failed::records(&warnings),
            failures: failed.iter().map(Into::into).collect(),
        });
    }
    Ok(failed::exit_code(&failed))
}

/// The resolved contents of a request's layers.
pub(super) struct Resolved {
    pub(super) locked: Vec<(Target, Vec<LockedPackage>)>,
    pub(super) warnings: Vec<Warning>,
    pub(super) failed: Vec<Failed>,
}

/// Resolves a request for all of its targets.
pub(super) async fn resolve(
    request: &Request,
    engine: &Engine,
    progress: &Terminal,
) -> Result<Resolved, Error> {
    let allowed = SourceDistributions::AsRequested;
    let packages = PythonPackages::new(request, allowed, engine.ports(), progress)?;
    let outcomes = accretion_service::lock::lock(&request.targets, &packages, progress).await;
    progress.clear();
    let (mut locked, mut warnings, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for (target, outcome) in outcomes {
        let layer = LayerName::new(&request.name, target);
        match outcome {
            Ok(of_layer) => {
                let of = |warning| (layer.to_string(), warning);
                warnings.extend(of_layer.warnings.into_iter().map(of));
                locked.push((target, of_layer.packages));
            }
            Err(error) => failed.push(Failed {
                target: target.into(),
                layer,
                error,
            }),
        }
    }
    Ok(Resolved {
        locked,
        warnings,
        failed,
    })
}

/// Returns whether two paths lead to the same existing file.
fn same_file(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    real(one).is_some_and(|one| real(other) == Some(one))
}

/// Writes the lock, or nothing.
fn write(folder: &Path, path: &Path, locked: &[(Target, Vec<LockedPackage>)]) -> io::Result<()> {
    let selections: Vec<_> = locked
        .iter()
        .map(|(target, packages)| (*target, packages.as_slice()))
        .collect();
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new()
        .prefix(".accretion-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(folder)?;
    file.write_all(lock::write(&selections).as_bytes())?;
    NamedTempFile::persist(file, path).map_err(|error| error.error)?;
    Ok(())
}

/// Each version of a package once.
fn versions(locked: &[(Target, Vec<LockedPackage>)]) -> BTreeSet<(String, &str)> {
    let packages = locked.iter().flat_map(|(_, packages)| packages);
    packages
        .map(|package| (package.name.to_string(), package.version.as_str()))
        .collect()
}

fn print_text(
    path: &Path,
    locked: &[(Target, Vec<LockedPackage>)],
    failed: &[Failed],
    global: Global,
) {
    if failed.is_empty() {
        anstream::println!("{}", path.display());
        if global.verbose {
            for (name, version) in versions(locked) {
                anstream::println!("  {name} {version}");
            }
        }
    }
    failed::print(failed);
}
