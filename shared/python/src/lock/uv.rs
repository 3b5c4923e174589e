//! `uv.lock`, of a project or a script.
//!
//! It says for all packages what each requires, so the packages of a target are those that the
//! project leads to.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::graph::{Edge, Fork, Graph, When};
use super::local::Foreign;
use super::pin::sha256_of;
use super::{Environment, File, Known, Lock, NotALock, Package, PythonRange};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Document {
    version: i64,
    pub(super) requires_python: Option<String>,
    #[serde(default)]
    supported_markers: Vec<String>,
    #[serde(default)]
    conflicts: Vec<Vec<DocumentConflict>>,
    #[serde(default)]
    pub(super) manifest: Manifest,
    #[serde(default, rename = "package")]
    pub(super) packages: Vec<DocumentPackage>,
}

#[derive(Deserialize)]
struct DocumentConflict {
    extra: Option<String>,
    group: Option<String>,
}

/// The projects of a workspace, and the requirements outside of projects.
#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct Manifest {
    pub(super) members: Vec<String>,
    pub(super) requirements: Vec<DocumentEdge>,
    pub(super) constraints: Vec<DocumentEdge>,
    pub(super) overrides: Vec<DocumentEdge>,
    pub(super) dependency_groups: BTreeMap<String, Vec<DocumentEdge>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct DocumentPackage {
    pub(super) name: String,
    version: Option<String>,
    #[serde(default)]
    pub(super) source: Source,
    #[serde(default)]
    resolution_markers: Vec<String>,
    #[serde(default)]
    pub(super) dependencies: Vec<DocumentEdge>,
    #[serde(default)]
    optional_dependencies: BTreeMap<String, Vec<DocumentEdge>>,
    #[serde(default)]
    dev_dependencies: BTreeMap<String, Vec<DocumentEdge>>,
    pub(super) metadata: Option<Metadata>,
    sdist: Option<DocumentFile>,
    #[serde(default)]
    wheels: Vec<DocumentFile>,
}

/// A project's own requirements. It has extras and groups without requirements, too.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Metadata {
    #[serde(default)]
    provides_extras: Vec<String>,
    #[serde(default)]
    pub(super) requires_dist: Vec<DocumentEdge>,
    #[serde(default)]
    pub(super) requires_dev: BTreeMap<String, Vec<DocumentEdge>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Source {
    registry: Option<String>,
    git: Option<String>,
    url: Option<String>,
    path: Option<String>,
    directory: Option<String>,
    editable: Option<String>,
    #[serde(rename = "virtual")]
    without_package: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct DocumentEdge {
    pub(super) name: String,
    version: Option<String>,
    source: Option<Source>,
    /// The extras that are required of it, in dependencies.
    #[serde(default)]
    extra: Vec<String>,
    /// The same in requirements.
    #[serde(default)]
    pub(super) extras: Vec<String>,
    pub(super) marker: Option<String>,
    pub(super) specifier: Option<String>,
    /// Its source, in requirements.
    git: Option<IgnoredAny>,
    url: Option<IgnoredAny>,
    path: Option<IgnoredAny>,
    directory: Option<IgnoredAny>,
    editable: Option<IgnoredAny>,
    #[serde(rename = "virtual")]
    without_package: Option<IgnoredAny>,
    index: Option<IgnoredAny>,
}

impl DocumentEdge {
    /// Returns whether a requirement names its source.
    pub(super) fn is_elsewhere(&self) -> bool {
        let local = [&self.path, &self.directory, &self.editable];
        let other = [&self.git, &self.url, &self.without_package, &self.index];
        local.into_iter().chain(other).any(Option::is_some)
    }
}

#[derive(Deserialize)]
struct DocumentFile {
    url: Option<String>,
    path: Option<String>,
    filename: Option<String>,
    hash: Option<String>,
    size: Option<u64>,
}

pub(super) fn read(text: &str) -> Result<Lock, NotALock> {
    let document: Document = toml::from_str(text).map_err(|error| NotALock::of_toml(&error))?;
    if document.version != 1 {
        return Err(NotALock::version("version", &document.version, "1 is"));
    }
    let projects = projects(&document);
    let (groups, extras) = known(&document, &projects);
    let members = members(&document, &projects);
    let mut graph = Graph {
        by_name: Graph::names(document.packages.iter().map(|it| it.name.as_str())),
        roots: roots(document.manifest),
        conflicts: document.conflicts.into_iter().map(conflict).collect(),
        projects,
        ..Graph::default()
    };
    let mut packages = Vec::with_capacity(document.packages.len());
    for mut package in document.packages {
        graph.edges.push(edges(&mut package));
        graph.forks.push(Fork {
            source: package.source.text(),
            markers: std::mem::take(&mut package.resolution_markers),
        });
        packages.push(self::package(package));
    }
    Ok(Lock {
        python: PythonRange::of_specifiers(document.requires_python),
        environments: document
            .supported_markers
            .into_iter()
            .map(Environment::of_marker)
            .collect(),
        groups,
        extras,
        packages,
        members,
        graph: Some(graph),
        ..Lock::default()
    })
}

/// The folders of the members that are not what is locked.
fn members(document: &Document, projects: &[usize]) -> Vec<String> {
    let packages = document.packages.iter().enumerate();
    let others = packages.filter(|(at, package)| {
        document.manifest.members.contains(&package.name) && !projects.contains(at)
    });
    others
        .filter_map(|(_, package)| package.source.place().cloned())
        .collect()
}

/// The packages that are what is locked: the project at the lock file's place, or, where there is
/// none, all of the workspace.
fn projects(document: &Document) -> Vec<usize> {
    let place = |package: &DocumentPackage| package.source.place().cloned();
    let packages = || document.packages.iter().enumerate();
    let root = packages().find(|(_, package)| place(package).as_deref() == Some("."));
    if let Some((at, _)) = root {
        return vec![at];
    }
    let members: BTreeSet<_> = document.manifest.members.iter().collect();
    let is_member =
        |package: &DocumentPackage| place(package).is_some() && members.contains(&package.name);
    let members = packages().filter(|(_, package)| is_member(package));
    members.map(|(at, _)| at).collect()
}

/// The groups and extras that there are.
fn known(document: &Document, projects: &[usize]) -> (Known, Known) {
    let mut groups: Vec<_> = document.manifest.dependency_groups.keys().collect();
    let mut extras = Vec::new();
    for package in projects.iter().map(|at| &document.packages[*at]) {
        groups.extend(package.dev_dependencies.keys());
        extras.extend(package.optional_dependencies.keys());
        if let Some(metadata) = &package.metadata {
            groups.extend(metadata.requires_dev.keys());
            extras.extend(&metadata.provides_extras);
        }
    }
    (Known::names(groups), Known::names(extras))
}

fn roots(manifest: Manifest) -> Vec<(When, Edge)> {
    let mut roots = edges_when(&When::Always, manifest.requirements, false);
    for (group, requirements) in manifest.dependency_groups {
        roots.extend(edges_when(&When::Group(group), requirements, false));
    }
    roots
}

fn conflict(items: Vec<DocumentConflict>) -> Vec<When> {
    let item = |it: DocumentConflict| it.extra.map(When::Extra).or(it.group.map(When::Group));
    items.into_iter().filter_map(item).collect()
}

fn edges(package: &mut DocumentPackage) -> Vec<(When, Edge)> {
    let always = std::mem::take(&mut package.dependencies);
    let mut edges = edges_when(&When::Always, always, true);
    for (extra, dependencies) in std::mem::take(&mut package.optional_dependencies) {
        edges.extend(edges_when(&When::Extra(extra), dependencies, true));
    }
    for (group, dependencies) in std::mem::take(&mut package.dev_dependencies) {
        edges.extend(edges_when(&When::Group(group), dependencies, true));
    }
    edges
}

fn edges_when(when: &When, list: Vec<DocumentEdge>, is_dependency: bool) -> Vec<(When, Edge)> {
    let edges = list.into_iter();
    edges
        .map(|it| (when.clone(), edge(it, is_dependency)))
        .collect()
}

/// Returns an edge; a dependency names the very package if there are several, a requirement
/// does not.
fn edge(document: DocumentEdge, is_dependency: bool) -> Edge {
    let mut extras = document.extra;
    extras.extend(document.extras);
    Edge {
        name: document.name,
        version: document.version.filter(|_| is_dependency),
        source: document
            .source
            .filter(|_| is_dependency)
            .map(|source| source.text()),
        extras,
        marker: document.marker,
        ..Edge::default()
    }
}

fn package(package: DocumentPackage) -> Package {
    let source = &package.source;
    let foreign = source.foreign();
    let of_source = source.url.clone();
    let index = source.registry.clone();
    let listed = package.wheels.into_iter().chain(package.sdist);
    let files = listed.map(|file| File {
        url: Some(url(
            file.url.or_else(|| of_source.clone()),
            index.as_deref(),
        )),
        name: file.filename,
        path: file.path,
        size: file.size,
        sha256: file.hash.as_deref().and_then(sha256_of),
    });
    Package {
        name: package.name,
        version: package.version,
        // A project that uv does not install: what it requires counts.
        is_project: package.source.without_package.is_some(),
        foreign,
        files: files.collect(),
        ..Package::default()
    }
}

/// The URL of a file, which may be relative to its index.
fn url(url: Option<String>, index: Option<&str>) -> String {
    let written = url.unwrap_or_default();
    if written.contains("://") {
        return written;
    }
    let base = index.and_then(|index| url::Url::parse(index).ok());
    let joined = base.and_then(|base| base.join(&written).ok());
    joined.map_or(written, Into::into)
}

impl Source {
    /// The kind of source, if it has no wheels.
    fn foreign(&self) -> Option<Foreign> {
        let is_local_index = |index: &String| !index.contains("://") || index.starts_with("file:");
        if self.git.is_some() {
            Some(Foreign::repository())
        } else if self.registry.as_ref().is_some_and(is_local_index) {
            Some(Foreign::local_index())
        } else if self.path.is_some() {
            Some(Foreign::file(self.path.clone()))
        } else {
            let folder = self.directory.as_ref().or(self.editable.as_ref());
            folder.map(|folder| Foreign::folder(Some(folder.clone())))
        }
    }

    /// The folder of a project.
    pub(super) fn place(&self) -> Option<&String> {
        let place = self.editable.as_ref().or(self.without_package.as_ref());
        place.or(self.directory.as_ref())
    }

    /// The source as a text, to be compared.
    fn text(&self) -> String {
        let kinds = [
            ("registry", &self.registry),
            ("git", &self.git),
            ("url", &self.url),
            ("path", &self.path),
            ("directory", &self.directory),
            ("editable", &self.editable),
            ("virtual", &self.without_package),
        ];
        let said = kinds
            .into_iter()
            .filter_map(|(kind, place)| Some(format!("{kind} {}", place.as_deref()?)));
        said.collect::<Vec<_>>().join(" ")
    }
}
