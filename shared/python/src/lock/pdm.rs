//! `pdm.lock`.
//!
//! With the strategy `inherit_metadata`, PDM's default, each package says in which groups and under
//! which marker it applies. Without it, only the project's `pyproject.toml` tells what is required
//! to begin with.

use serde::Deserialize;

use super::graph::{Edge, Graph, When};
use super::local::Foreign;
use super::pin::sha256_of;
use super::project::{Project, pdm_index, pep508_edge};
use super::selection::normalised;
use super::{Applies, Environment, File, Known, Lock, NotALock, Package, is_own_folder};

/// The group of what the project itself requires.
const DEFAULT: &str = "default";

#[derive(Deserialize)]
struct Document {
    metadata: Metadata,
    #[serde(default, rename = "package")]
    packages: Vec<DocumentPackage>,
}

#[derive(Deserialize)]
struct Metadata {
    lock_version: String,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    strategy: Vec<String>,
    #[serde(default)]
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    requires_python: Option<String>,
    platform: Option<String>,
    implementation: Option<String>,
}

#[derive(Deserialize)]
struct DocumentPackage {
    name: String,
    version: Option<String>,
    #[serde(default)]
    groups: Vec<String>,
    marker: Option<String>,
    #[serde(default)]
    extras: Vec<String>,
    #[serde(default)]
    dependencies: Vec<String>,
    #[serde(default)]
    files: Vec<DocumentFile>,
    git: Option<String>,
    hg: Option<String>,
    svn: Option<String>,
    path: Option<String>,
    url: Option<String>,
    #[serde(default)]
    editable: bool,
}

#[derive(Deserialize)]
struct DocumentFile {
    file: Option<String>,
    url: Option<String>,
    hash: String,
}

pub(super) fn read(text: &str, project: Option<&str>) -> Result<Lock, NotALock> {
    let document: Document = toml::from_str(text).map_err(|error| NotALock::of_toml(&error))?;
    let Metadata {
        lock_version,
        groups,
        strategy,
        targets,
    } = document.metadata;
    if lock_version.split('.').next() != Some("4") {
        return Err(NotALock::version("lock_version", &lock_version, "4.x is"));
    }
    let says_groups = strategy.iter().any(|it| it == "inherit_metadata");
    let index = match project {
        Some(project) => pdm_index_of(project, &document.packages)?,
        None => None,
    };
    let mut graph = None;
    if !says_groups {
        let project = Project::of_pdm(project.ok_or_else(NotALock::without_project)?)?;
        graph = Some(self::graph(project, &document.packages)?);
    }
    let known = Known::names(&groups);
    let environments = targets.into_iter().map(|target| Environment {
        marker: target
            .implementation
            .map(|it| format!("implementation_name == '{}'", it.replace('\'', ""))),
        python: target.requires_python,
        platform: target.platform,
    });
    Ok(Lock {
        environments: environments.collect(),
        default_groups: vec![DEFAULT.to_owned()],
        groups: known.clone(),
        extras: known,
        may_repeat: true,
        extras_are_groups: true,
        uses_project: !says_groups || index.is_some(),
        graph,
        packages: document
            .packages
            .into_iter()
            .map(|package| self::package(package, index.as_deref(), says_groups))
            .collect(),
        ..Lock::default()
    })
}

/// The index of files that have no URLs.
fn pdm_index_of(project: &str, packages: &[DocumentPackage]) -> Result<Option<String>, NotALock> {
    let mut files = packages.iter().flat_map(|package| &package.files);
    if files.all(|file| file.url.is_some()) {
        return Ok(None);
    }
    pdm_index(project)
}

/// A package with extras is another one in this format, and requires what the extras do.
fn graph(project: Project, packages: &[DocumentPackage]) -> Result<Graph, NotALock> {
    let name = |name: &str, extras: &[String]| {
        let mut names: Vec<_> = extras.iter().map(|it| normalised(it)).collect();
        names.sort();
        if names.is_empty() {
            name.to_owned()
        } else {
            format!("{name}[{}]", names.join(","))
        }
    };
    let of_extras = |mut edge: Edge| {
        edge.name = name(&edge.name, &std::mem::take(&mut edge.extras));
        edge
    };
    let roots = project.roots.into_iter();
    let names: Vec<_> = packages
        .iter()
        .map(|it| name(&it.name, &it.extras))
        .collect();
    let mut graph = Graph {
        roots: roots.map(|(when, edge)| (when, of_extras(edge))).collect(),
        by_name: Graph::names(names.iter().map(String::as_str)),
        ..Graph::default()
    };
    for package in packages {
        let mut edges = Vec::new();
        for dependency in &package.dependencies {
            edges.push((When::Always, of_extras(pep508_edge(dependency)?)));
        }
        graph.edges.push(edges);
    }
    Ok(graph)
}

fn package(package: DocumentPackage, index: Option<&str>, says_groups: bool) -> Package {
    let is_versioned = [&package.git, &package.hg, &package.svn];
    let foreign = if is_versioned.iter().any(|it| it.is_some()) {
        Some(Foreign::repository())
    } else if package.path.is_some() || package.editable {
        Some(Foreign::folder(package.path.clone()))
    } else {
        None
    };
    let of_package = package.url;
    let files = package.files.into_iter().map(|file| File {
        url: file.url.or_else(|| of_package.clone()),
        name: file.file,
        sha256: sha256_of(&file.hash),
        ..File::default()
    });
    let groups = package.groups.into_iter();
    Package {
        name: package.name,
        version: package.version,
        applies: match package.marker {
            _ if !says_groups => Applies::Always,
            // Of every group.
            marker if groups.len() == 0 => marker.map_or(Applies::Always, Applies::If),
            marker => Applies::In(groups.map(|group| (group, marker.clone())).collect()),
        },
        is_project: package.path.as_deref().is_some_and(is_own_folder),
        foreign,
        index: index.map(ToOwned::to_owned),
        files: files.collect(),
        ..Package::default()
    }
}
