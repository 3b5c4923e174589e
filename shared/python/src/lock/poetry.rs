//! `poetry.lock`.
//!
//! Since lock-version 2.1 (Poetry 2) each package says in which groups and under which markers it
//! applies. Before, only the project's `pyproject.toml` tells what is required to begin with.

use std::collections::BTreeMap;

use accretion_core::excerpt::shown;
use serde::Deserialize;
use toml::Value;

use super::graph::{Edge, Graph, When};
use super::local::Foreign;
use super::project::{Project, poetry_edges};
use super::{Applies, File, Known, Lock, NotALock, Package, PythonRange};

/// The group of what the project itself requires.
const MAIN: &str = "main";

#[derive(Deserialize)]
struct Document {
    #[serde(default, rename = "package")]
    packages: Vec<DocumentPackage>,
    #[serde(default)]
    extras: BTreeMap<String, Vec<String>>,
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Metadata {
    lock_version: String,
    python_versions: Option<String>,
    /// The place of files in lock-version 1.
    #[serde(default)]
    files: BTreeMap<String, Vec<DocumentFile>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct DocumentPackage {
    name: String,
    version: Option<String>,
    #[serde(default)]
    groups: Vec<String>,
    markers: Option<Value>,
    #[serde(default)]
    files: Vec<DocumentFile>,
    #[serde(default)]
    dependencies: BTreeMap<String, Value>,
    source: Option<Source>,
}

#[derive(Clone, Deserialize)]
struct DocumentFile {
    file: String,
    hash: String,
}

#[derive(Default, Deserialize)]
struct Source {
    #[serde(rename = "type")]
    kind: Option<String>,
    url: Option<String>,
}

pub(super) fn read(text: &str, project: Option<&str>) -> Result<Lock, NotALock> {
    let document: Document = toml::from_str(text).map_err(|error| NotALock::of_toml(&error))?;
    let version = &document.metadata.lock_version;
    let mut parts = version.split('.').map(str::parse::<u32>);
    let says_groups = match (parts.next(), parts.next()) {
        (Some(Ok(1)), _) | (Some(Ok(2)), Some(Ok(0)) | None) => false,
        (Some(Ok(2)), Some(Ok(_))) => true,
        _ => {
            return Err(NotALock::version(
                "lock-version",
                version,
                "1.x and 2.x are",
            ));
        }
    };
    let python = document.metadata.python_versions.clone();
    let mut lock = Lock {
        python: python.map_or(PythonRange::Any, PythonRange::Constraint),
        default_groups: vec![MAIN.to_owned()],
        extras: Known::names(document.extras.keys()),
        uses_project: !says_groups,
        ..Lock::default()
    };
    if says_groups {
        lock.groups = Known::names(document.packages.iter().flat_map(|it| &it.groups));
    } else {
        let project = Project::of_poetry(project.ok_or_else(NotALock::without_project)?)?;
        lock.groups = Known::Named(project.groups());
        let mut graph = Graph {
            roots: project.roots,
            by_name: Graph::names(document.packages.iter().map(|it| it.name.as_str())),
            ..Graph::default()
        };
        for package in &document.packages {
            graph.edges.push(edges(package)?);
        }
        lock.graph = Some(graph);
    }
    let files = document.metadata.files;
    let packages = document.packages.into_iter();
    lock.packages = packages
        .map(|package| self::package(package, &files, says_groups))
        .collect::<Result<_, _>>()?;
    Ok(lock)
}

fn edges(package: &DocumentPackage) -> Result<Vec<(When, Edge)>, NotALock> {
    let mut edges = Vec::new();
    for (name, value) in &package.dependencies {
        let of_name = poetry_edges(name, value)?.into_iter();
        edges.extend(of_name.map(|(_, edge)| (When::Always, edge)));
    }
    Ok(edges)
}

fn package(
    package: DocumentPackage,
    of_metadata: &BTreeMap<String, Vec<DocumentFile>>,
    says_groups: bool,
) -> Result<Package, NotALock> {
    let source = package.source.unwrap_or_default();
    let (kind, url) = (source.kind.as_deref(), source.url);
    let foreign = match kind {
        Some("git" | "hg") => Some(Foreign::repository()),
        Some("directory") => Some(Foreign::folder(url.clone())),
        Some("file") => Some(Foreign::file(url.clone())),
        _ => None,
    };
    let (index, url) = match kind {
        Some("legacy") => (url, None),
        Some("url") => (None, url),
        _ => (None, None),
    };
    let mut files = package.files;
    if files.is_empty() {
        let of_name = of_metadata.get(&package.name).into_iter().flatten();
        files.extend(of_name.cloned());
    }
    let listed = files.into_iter().map(|file| File {
        url: url.clone(),
        ..File::hashed(Some(file.file), &file.hash)
    });
    let applies = if says_groups {
        applies(&package.name, package.groups, package.markers.as_ref())?
    } else {
        Applies::Always
    };
    Ok(Package {
        name: package.name,
        version: package.version,
        applies,
        foreign,
        index,
        files: listed.collect(),
        ..Package::default()
    })
}

/// Groups with their markers: one for all of them, or each its own.
fn applies(name: &str, groups: Vec<String>, markers: Option<&Value>) -> Result<Applies, NotALock> {
    let unclear = || NotALock::new(format!("the markers of `{}` are not texts", shown(name)));
    let mut of_groups = Vec::new();
    for group in groups {
        let marker = match markers {
            None => None,
            Some(Value::String(marker)) => Some(marker.clone()),
            Some(Value::Table(markers)) => match markers.get(&group) {
                None => None,
                Some(marker) => Some(marker.as_str().ok_or_else(unclear)?.to_owned()),
            },
            Some(_) => return Err(unclear()),
        };
        of_groups.push((group, marker));
    }
    Ok(Applies::In(of_groups))
}
