//! `pylock.toml` (PEP 751).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::local::Foreign;
use super::yanked::Notes;
use super::{
    Applies, Environment, File, Known, Lock, NotALock, Package, PythonRange, is_own_folder,
};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Document {
    lock_version: String,
    #[serde(default)]
    environments: Vec<String>,
    requires_python: Option<String>,
    extras: Option<Vec<String>>,
    dependency_groups: Option<Vec<String>>,
    #[serde(default)]
    default_groups: Vec<String>,
    #[serde(default)]
    packages: Vec<DocumentPackage>,
    #[serde(default)]
    tool: toml::Table,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct DocumentPackage {
    name: String,
    version: Option<String>,
    marker: Option<String>,
    requires_python: Option<String>,
    vcs: Option<toml::Table>,
    directory: Option<toml::Table>,
    archive: Option<DocumentFile>,
    sdist: Option<DocumentFile>,
    #[serde(default)]
    wheels: Vec<DocumentFile>,
}

#[derive(Deserialize)]
struct DocumentFile {
    name: Option<String>,
    url: Option<String>,
    path: Option<String>,
    size: Option<u64>,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
}

pub(super) fn read(text: &str) -> Result<Lock, NotALock> {
    let document: Document = toml::from_str(text).map_err(|error| NotALock::of_toml(&error))?;
    if document.lock_version.split('.').next() != Some("1") {
        return Err(NotALock::version(
            "lock-version",
            &document.lock_version,
            "1.x is",
        ));
    }
    let groups = document.dependency_groups.iter().flatten();
    let notes = Notes::read(&document.tool);
    let mut packages: Vec<_> = document.packages.into_iter().map(package).collect();
    for package in &mut packages {
        let version = package.version.as_deref().unwrap_or_default();
        package.yanked = notes.reason_of(&package.name, version).cloned();
    }
    Ok(Lock {
        python: PythonRange::of_specifiers(document.requires_python),
        environments: document
            .environments
            .into_iter()
            .map(Environment::of_marker)
            .collect(),
        groups: Known::names(groups.chain(&document.default_groups)),
        default_groups: document.default_groups,
        extras: Known::names(document.extras.iter().flatten()),
        packages,
        ..Lock::default()
    })
}

fn package(package: DocumentPackage) -> Package {
    let text = |key: &str| package.directory.as_ref()?.get(key)?.as_str();
    let folder = text("path");
    let is_project = folder.is_some_and(is_own_folder) && text("subdirectory").is_none();
    let path = folder.map(|path| match text("subdirectory") {
        Some(subdirectory) => format!("{path}/{subdirectory}"),
        None => path.to_owned(),
    });
    let foreign = match (&package.vcs, &package.directory) {
        (Some(_), _) => Some(Foreign::repository()),
        (_, Some(_)) => Some(Foreign::folder(path)),
        _ => None,
    };
    let listed = package.wheels.into_iter().chain(package.archive);
    let files = listed.chain(package.sdist).map(|file| File {
        // One without a URL is told as such.
        url: file.url.or_else(|| file.path.is_none().then(String::new)),
        name: file.name,
        path: file.path,
        size: file.size,
        sha256: file
            .hashes
            .into_iter()
            .find_map(|(algorithm, hash)| (algorithm == "sha256").then_some(hash)),
    });
    Package {
        name: package.name,
        version: package.version,
        applies: package.marker.map_or(Applies::Always, Applies::If),
        requires_python: package.requires_python,
        is_project,
        foreign,
        files: files.collect(),
        ..Package::default()
    }
}
