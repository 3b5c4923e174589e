//! The requirements of a project's `pyproject.toml`, for lock files that do not say them.

use std::collections::{BTreeMap, BTreeSet};

use accretion_core::excerpt::shown;
use accretion_core::limits::Limits;
use serde::Deserialize;
use toml::{Table, Value};

use super::NotALock;
use super::graph::{Edge, When};
use super::selection::normalised;

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Document {
    project: ProjectTable,
    dependency_groups: BTreeMap<String, Vec<Value>>,
    tool: Tool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct ProjectTable {
    dependencies: Vec<String>,
    optional_dependencies: BTreeMap<String, Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Tool {
    poetry: Poetry,
    pdm: Pdm,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Poetry {
    dependencies: Table,
    dev_dependencies: Table,
    group: BTreeMap<String, PoetryGroup>,
    extras: BTreeMap<String, Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct PoetryGroup {
    dependencies: Table,
    include_groups: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Pdm {
    dev_dependencies: BTreeMap<String, Vec<String>>,
    source: Vec<PdmSource>,
}

#[derive(Deserialize)]
struct PdmSource {
    name: Option<String>,
    url: Option<String>,
}

/// The requirements of a project.
#[derive(Debug, Default)]
pub(super) struct Project {
    pub(super) roots: Vec<(When, Edge)>,
}

/// The requirements of a group, and the groups that it includes.
#[derive(Debug, Default)]
struct Group {
    edges: Vec<Edge>,
    includes: Vec<String>,
}

/// Groups by their normalised names.
type Groups = BTreeMap<String, Group>;

impl Project {
    /// Of a project that Poetry locks: in `[project]`, in `[tool.poetry]` or in both.
    pub(super) fn of_poetry(text: &str) -> Result<Self, NotALock> {
        let document = read(text)?;
        let mut roots = of_project(&document.project, When::Extra)?;
        // What is in `[project]` too only says more of where it comes from.
        let standard: BTreeSet<_> = roots
            .iter()
            .map(|(_, edge)| normalised(&edge.name))
            .collect();
        let poetry = document.tool.poetry;
        let mut extras: BTreeMap<String, Vec<&String>> = BTreeMap::new();
        for (extra, names) in &poetry.extras {
            for name in names {
                extras.entry(normalised(name)).or_default().push(extra);
            }
        }
        for (name, value) in &poetry.dependencies {
            if name == "python" || standard.contains(&normalised(name)) {
                continue;
            }
            for (is_optional, edge) in poetry_edges(name, value)? {
                if is_optional {
                    let of_name = extras.get(&normalised(name)).into_iter().flatten();
                    roots
                        .extend(of_name.map(|extra| (When::Extra((*extra).clone()), edge.clone())));
                } else {
                    roots.push((When::Always, edge));
                }
            }
        }
        let mut groups = of_groups(document.dependency_groups)?;
        let dev = PoetryGroup {
            dependencies: poetry.dev_dependencies,
            include_groups: Vec::new(),
        };
        let dev = (!dev.dependencies.is_empty()).then(|| ("dev".to_owned(), dev));
        for (name, of_poetry) in poetry.group.into_iter().chain(dev) {
            let group = groups.entry(normalised(&name)).or_default();
            for (name, value) in &of_poetry.dependencies {
                let edges = poetry_edges(name, value)?.into_iter();
                group.edges.extend(edges.map(|(_, edge)| edge));
            }
            group.includes.extend(of_poetry.include_groups);
        }
        with_groups(roots, &groups)
    }

    /// Of a project that PDM locks, which has extras among its groups.
    pub(super) fn of_pdm(text: &str) -> Result<Self, NotALock> {
        let document = read(text)?;
        let roots = of_project(&document.project, When::Group)?;
        let mut groups = of_groups(document.dependency_groups)?;
        for (name, requirements) in &document.tool.pdm.dev_dependencies {
            let group = groups.entry(normalised(name)).or_default();
            for requirement in requirements {
                // Editable ones are local, and refused where they apply.
                group
                    .edges
                    .push(pep508_edge(requirement.trim_start_matches("-e "))?);
            }
        }
        with_groups(roots, &groups)
    }

    /// The groups that something is required in.
    pub(super) fn groups(&self) -> BTreeSet<String> {
        let groups = self.roots.iter().filter_map(|(when, _)| match when {
            When::Group(group) => Some(normalised(group)),
            When::Always | When::Extra(_) => None,
        });
        groups.collect()
    }
}

/// The index that a project of PDM takes packages from, if it is not the default one.
pub(super) fn pdm_index(text: &str) -> Result<Option<String>, NotALock> {
    let document = read(text)?;
    match document.tool.pdm.source.as_slice() {
        [] => Ok(None),
        // The name that replaces the default.
        [
            PdmSource {
                name: Some(name),
                url: Some(url),
            },
        ] if name == "pypi" => Ok(Some(url.clone())),
        _ => Err(NotALock::new(
            "its project has several indexes, and it does not say which package is from where: \
             lock with the strategy `static_urls`",
        )),
    }
}

fn read(text: &str) -> Result<Document, NotALock> {
    toml::from_str(text).map_err(|error| {
        let message = error.message();
        NotALock::new(format!("its pyproject.toml can't be read: {message}"))
    })
}

fn of_project(
    project: &ProjectTable,
    optional: impl Fn(String) -> When,
) -> Result<Vec<(When, Edge)>, NotALock> {
    let mut roots = Vec::new();
    for requirement in &project.dependencies {
        roots.push((When::Always, pep508_edge(requirement)?));
    }
    for (extra, requirements) in &project.optional_dependencies {
        for requirement in requirements {
            roots.push((optional(extra.clone()), pep508_edge(requirement)?));
        }
    }
    Ok(roots)
}

/// Dependency groups (PEP 735).
fn of_groups(document: BTreeMap<String, Vec<Value>>) -> Result<Groups, NotALock> {
    let mut groups = Groups::new();
    for (name, items) in document {
        let group = groups.entry(normalised(&name)).or_default();
        for item in items {
            match item {
                Value::String(requirement) => group.edges.push(pep508_edge(&requirement)?),
                Value::Table(table) => match table.get("include-group") {
                    Some(Value::String(included)) => group.includes.push(included.clone()),
                    _ => return Err(NotALock::new("a dependency group includes no group")),
                },
                _ => return Err(NotALock::new("a dependency group has no requirements")),
            }
        }
    }
    Ok(groups)
}

/// Expands the groups that groups include.
fn with_groups(mut roots: Vec<(When, Edge)>, groups: &Groups) -> Result<Project, NotALock> {
    let mut steps = roots.len();
    for name in groups.keys() {
        let mut seen = BTreeSet::new();
        let mut open = vec![name.clone()];
        while let Some(of) = open.pop() {
            if seen.contains(&of) {
                continue;
            }
            let Some(group) = groups.get(&of) else {
                return Err(NotALock::new(format!(
                    "there is no dependency group `{}`",
                    shown(&of)
                )));
            };
            steps += 1 + group.edges.len() + group.includes.len();
            if steps > Limits::PROJECT_REQUIREMENTS {
                return Err(NotALock::new("its project requires too much"));
            }
            let edges = group.edges.iter().cloned();
            roots.extend(edges.map(|edge| (When::Group(name.clone()), edge)));
            open.extend(group.includes.iter().map(|included| normalised(included)));
            seen.insert(of);
        }
    }
    Ok(Project { roots })
}

/// A requirement by PEP 508. Its marker is kept as it is: only its value will count.
pub(super) fn pep508_edge(text: &str) -> Result<Edge, NotALock> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let line = text.trim();
    let (name, rest) = line.split_at(line.find(|c| !is_name(c)).unwrap_or(line.len()));
    let unclear = || NotALock::new(format!("`{}` is not a requirement", shown(line)));
    if name.is_empty() {
        return Err(unclear());
    }
    let after_name = rest.trim_start();
    let (extras, after_extras) = match after_name.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']').ok_or_else(unclear)?,
        None => ("", after_name),
    };
    let is_url = after_extras.trim_start().starts_with('@');
    // A URL may have semicolons of its own.
    let separator = if is_url { " ;" } else { ";" };
    let (before_marker, marker) = match after_extras.split_once(separator) {
        Some((version, marker)) => (version, Some(marker.trim().to_owned())),
        None => (after_extras, None),
    };
    let version = before_marker.trim().trim_matches(['(', ')']).trim();
    Ok(Edge {
        name: name.to_owned(),
        extras: extras
            .split(',')
            .map(str::trim)
            .filter(|it| !it.is_empty())
            .map(ToOwned::to_owned)
            .collect(),
        constraint: (!is_url && !version.is_empty()).then(|| version.to_owned()),
        marker: marker.filter(|marker| !marker.is_empty()),
        ..Edge::default()
    })
}

/// A dependency in Poetry's form: a constraint, a table, or several of them. Each with whether it
/// is optional.
pub(super) fn poetry_edges(name: &str, value: &Value) -> Result<Vec<(bool, Edge)>, NotALock> {
    let unclear = || {
        NotALock::new(format!(
            "what it says of the dependency `{}` is unclear",
            shown(name)
        ))
    };
    let alternatives = match value {
        Value::Array(alternatives) => alternatives.as_slice(),
        one => std::slice::from_ref(one),
    };
    let mut edges = Vec::new();
    for alternative in alternatives {
        let mut edge = Edge {
            name: name.to_owned(),
            ..Edge::default()
        };
        let mut is_optional = false;
        match alternative {
            Value::String(constraint) => edge.constraint = Some(constraint.clone()),
            Value::Table(table) => {
                let text = |key: &str| {
                    let value = table.get(key);
                    let text = value.map(|it| it.as_str().ok_or_else(unclear));
                    text.transpose().map(|it| it.map(ToOwned::to_owned))
                };
                edge.constraint = text("version")?;
                edge.python = text("python")?;
                edge.marker = text("markers")?.filter(|marker| !marker.is_empty());
                if let Some(platform) = text("platform")? {
                    let platform = format!("sys_platform == '{}'", platform.replace('\'', ""));
                    edge.marker = Some(match edge.marker {
                        Some(marker) => format!("({marker}) and {platform}"),
                        None => platform,
                    });
                }
                is_optional = table.get("optional").and_then(Value::as_bool) == Some(true);
                let extras = table.get("extras").and_then(Value::as_array);
                edge.extras = extras
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .map(ToOwned::to_owned)
                    .collect();
            }
            _ => return Err(unclear()),
        }
        edges.push((is_optional, edge));
    }
    Ok(edges)
}
