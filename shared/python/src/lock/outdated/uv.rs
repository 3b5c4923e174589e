//! `uv.lock`, which repeats what the project and the members of its workspace require.
//!
//! uv writes markers in their simplest form for the Python versions that the lock file is for. So
//! markers are compared by their meaning under that condition.

use std::collections::{BTreeMap, BTreeSet};

use accretion_core::excerpt::shown;
use accretion_core::limits::Limits;
use pep440_rs::{Version, VersionSpecifiers};
use pep508_rs::{MarkerTree, VerbatimUrl, VersionOrUrl};
use toml::{Table, Value};

use super::named::not_locked;
use super::{Beside, PROJECT, at};
use crate::lock::project::pep508_edge;
use crate::lock::selection::normalised;
use crate::lock::uv::{Document, DocumentEdge, DocumentPackage, Manifest};
use crate::requirement::Requirement;
use crate::script;

/// The differences of the lock file of a script.
pub(super) fn of_script(text: &str, script: &str) -> Option<Vec<String>> {
    let document: Document = toml::from_str(text).ok()?;
    let file: Table = toml::from_str(&script::metadata(script).ok()?).ok()?;
    let mut comparison = Comparison::new(&document, sources(&file));
    comparison.python(&document, [file.get("requires-python")]);
    let required = texts(file.get("dependencies"));
    comparison.compare("", &required, &document.manifest.requirements);
    comparison.settings(&file, &document.manifest);
    Some(comparison.differences)
}

/// The differences of the lock file of a project or of a workspace, whose root is given.
pub(super) fn of_project(text: &str, root: &str, beside: Beside<'_>) -> Option<Vec<String>> {
    let document: Document = toml::from_str(text).ok()?;
    let root: Table = toml::from_str(root).ok()?;
    let mut comparison = Comparison::new(&document, sources(&root));
    let mut pythons = Vec::new();
    let mut are_all_read = true;
    for package in &document.packages {
        let Some(place) = package.source.place() else {
            continue;
        };
        let is_root = place == ".";
        if !is_root && !document.manifest.members.contains(&package.name) {
            continue;
        }
        let file = if is_root {
            Some(root.clone())
        } else {
            let file = beside(&format!("{place}/{PROJECT}"));
            file.and_then(|text| toml::from_str(&text).ok())
        };
        let Some(file) = file else {
            are_all_read = false;
            continue;
        };
        comparison.project(package, &file, is_root);
        pythons.push(at(&file, &["project", "requires-python"]).cloned());
    }
    if are_all_read && pythons.iter().all(Option::is_some) && !pythons.is_empty() {
        comparison.python(&document, pythons.iter().map(Option::as_ref));
    }
    comparison.members(&root, &document);
    if root.get("project").is_none() {
        comparison.groups(&root, &document.manifest.dependency_groups, "");
    }
    comparison.settings(&root, &document.manifest);
    Some(comparison.differences)
}

struct Comparison {
    /// The Python versions that the lock file is for.
    range: MarkerTree,
    /// Packages for which the project names a source. Their entries say that, instead.
    sources: BTreeSet<String>,
    differences: Vec<String>,
}

impl Comparison {
    fn new(document: &Document, sources: BTreeSet<String>) -> Self {
        let requires = document.requires_python.as_deref();
        let specifiers = requires.and_then(|text| text.parse::<VersionSpecifiers>().ok());
        let clauses = specifiers
            .iter()
            .flat_map(|specifiers| specifiers.iter())
            .map(|specifier| {
                let (operator, version) = (specifier.operator(), specifier.version());
                let wildcard = if operator.is_star() { ".*" } else { "" };
                let written = operator.to_string();
                let comparison = written.trim_end_matches(".*");
                format!("python_full_version {comparison} '{version}{wildcard}'")
            });
        let marker = clauses.collect::<Vec<_>>().join(" and ");
        let range = MarkerTree::parse_str::<VerbatimUrl>(&marker).unwrap_or_default();
        Self {
            range,
            sources,
            differences: Vec::new(),
        }
    }

    /// Compares a project with what the lock file has of it.
    fn project(&mut self, package: &DocumentPackage, file: &Table, is_root: bool) {
        self.sources.extend(sources(file));
        let name = shown(&package.name);
        let of = if is_root {
            String::new()
        } else {
            format!(" by `{name}`")
        };
        let dynamic = texts(at(file, &["project", "dynamic"]));
        let is_dynamic = |it: &String| it == "dependencies" || it == "optional-dependencies";
        let metadata = package.metadata.as_ref();
        let requires_dist = metadata.map_or(&[][..], |it| &it.requires_dist);
        let nothing = BTreeMap::new();
        let requires_dev = metadata.map_or(&nothing, |it| &it.requires_dev);
        // It need not say what it requires, though it requires something.
        let is_silent =
            requires_dist.is_empty() && requires_dev.is_empty() && !package.dependencies.is_empty();
        if !dynamic.iter().any(is_dynamic) && !is_silent {
            let mut required = texts(at(file, &["project", "dependencies"]));
            let extras = at(file, &["project", "optional-dependencies"]);
            for (extra, items) in extras.and_then(Value::as_table).into_iter().flatten() {
                let items = texts(Some(items)).into_iter();
                required.extend(items.map(|text| with_extra(&text, extra)));
            }
            self.compare(&of, &required, requires_dist);
        }
        self.groups(file, requires_dev, &of);
    }

    /// Compares dependency groups.
    fn groups(&mut self, file: &Table, locked: &BTreeMap<String, Vec<DocumentEdge>>, of: &str) {
        let mut groups = BTreeMap::new();
        let table = file.get("dependency-groups").and_then(Value::as_table);
        let written: Vec<_> = table.into_iter().flatten().collect();
        for (name, _) in &written {
            groups.insert(normalised(name), group(&written, name));
        }
        let legacy = texts(at(file, &["tool", "uv", "dev-dependencies"]));
        if !legacy.is_empty() {
            groups.entry("dev".to_owned()).or_default().extend(legacy);
        }
        // They may restrict the Python versions of groups.
        if at(file, &["tool", "uv", "dependency-groups"]).is_some() {
            return;
        }
        let by_name: BTreeMap<_, _> = locked.iter().map(|(it, of)| (normalised(it), of)).collect();
        let names: BTreeSet<_> = groups.keys().chain(by_name.keys()).cloned().collect();
        for name in names {
            let required = groups.remove(&name).unwrap_or_default();
            self.compare(
                &format!("{of} in the group `{}`", shown(&name)),
                &required,
                by_name.get(&name).map_or(&[] as &[_], |it| it.as_slice()),
            );
        }
    }

    /// Compares settings that decide on versions.
    fn settings(&mut self, file: &Table, manifest: &Manifest) {
        for (key, locked) in [
            ("constraint-dependencies", &manifest.constraints),
            ("override-dependencies", &manifest.overrides),
        ] {
            let required = texts(at(file, &["tool", "uv", key]));
            self.compare(&format!(" in `tool.uv.{key}`"), &required, locked);
        }
    }

    /// Compares the members that the root names one by one.
    fn members(&mut self, root: &Table, document: &Document) {
        let members = texts(at(root, &["tool", "uv", "workspace", "members"]));
        let packages = document.packages.iter();
        let places: Vec<_> = packages.filter_map(|it| it.source.place()).collect();
        for member in members
            .iter()
            .filter(|it| !it.contains(['*', '?', '[', '{']))
        {
            let path = member.trim_start_matches("./").trim_end_matches('/');
            let is_locked = places.iter().any(|place| *place == path);
            if !path.is_empty() && path != "." && !is_locked {
                self.differences
                    .push(format!("the member `{}` is not locked", shown(path)));
            }
        }
    }

    /// Compares Python versions: by the releases that they mean.
    fn python<'a>(
        &mut self,
        document: &Document,
        required: impl IntoIterator<Item = Option<&'a Value>>,
    ) {
        let parse = |text: &str| text.parse::<VersionSpecifiers>().ok();
        let stated = required.into_iter().flatten();
        let texts: Vec<_> = stated.filter_map(Value::as_str).collect();
        let parsed: Option<Vec<_>> = texts.iter().map(|text| parse(text)).collect();
        let text = document.requires_python.as_deref().unwrap_or_default();
        let (Some(required), Some(locked)) = (parsed, parse(text)) else {
            return;
        };
        if required.is_empty() {
            return;
        }
        let differs = (0..40)
            .flat_map(|minor| (0..40).map(move |patch| [3, minor, patch]))
            .chain([[2, 7, 18], [4, 0, 0]])
            .map(Version::new)
            .any(|release| {
                let is_required = required.iter().all(|it| it.contains(&release));
                locked.contains(&release) != is_required
            });
        if differs {
            let (required, text) = (shown(&texts.join(",")), shown(text));
            let difference =
                format!("Python `{required}` is required, and it was locked for `{text}`");
            self.differences.push(difference);
        }
    }

    /// Compares requirements. `of` says whose they are, in words.
    fn compare(&mut self, of: &str, required: &[String], locked: &[DocumentEdge]) {
        let wanted: Vec<_> = required.iter().filter_map(|it| self.stated(it)).collect();
        let found: Vec<_> = locked.iter().filter_map(|it| self.stated_by(it)).collect();
        for stated in wanted.iter().filter(|stated| !found.contains(stated)) {
            let alike = found.iter().find(|it| it.name == stated.name);
            self.differences.push(match alike {
                None => format!("{}{of}", not_locked(&stated.name)),
                Some(locked) => format!(
                    "`{}` is required{of}, and it was locked for `{}`",
                    shown(&stated.text),
                    shown(&locked.text)
                ),
            });
        }
        for stated in found {
            if !wanted.iter().any(|it| it.name == stated.name) {
                let name = shown(&stated.name);
                self.differences
                    .push(format!("`{name}` is locked, and not required{of}"));
            }
        }
    }

    /// The statements of a project.
    fn stated(&self, text: &str) -> Option<Stated> {
        let edge = pep508_edge(text).ok()?;
        let is_url = edge.constraint.is_none() && text.split(';').next()?.contains('@');
        self.read(&edge.name, text, is_url)
    }

    /// The statement of an entry of the lock file.
    fn stated_by(&self, entry: &DocumentEdge) -> Option<Stated> {
        let extras = match entry.extras.as_slice() {
            [] => String::new(),
            extras => format!("[{}]", extras.join(",")),
        };
        let specifier = entry.specifier.as_deref().unwrap_or_default();
        let marker = entry.marker.as_ref();
        let condition = marker.map_or_else(String::new, |it| format!(" ; {it}"));
        let line = format!("{}{extras}{specifier}{condition}", entry.name);
        self.read(&entry.name, &line, entry.is_elsewhere())
    }

    fn read(&self, name: &str, text: &str, is_elsewhere: bool) -> Option<Stated> {
        let stated = Stated {
            text: text.trim().to_owned(),
            from: Origin::Elsewhere,
            name: normalised(name),
        };
        if self.sources.contains(&stated.name) {
            return Some(Stated {
                from: Origin::Source,
                ..stated
            });
        }
        if is_elsewhere {
            return Some(stated);
        }
        let requirement = Requirement::of_metadata(text)?.specifier;
        let mut marker = requirement.marker;
        marker.and(self.range.clone());
        // It applies to no Python that the lock file is for.
        if marker.is_false() {
            return None;
        }
        let versions = match requirement.version_or_url {
            Some(VersionOrUrl::VersionSpecifier(versions)) => {
                Some(versions).filter(|it| !it.is_empty())
            }
            _ => None,
        };
        let extras = requirement.extras.iter().map(ToString::to_string).collect();
        let from = Origin::Index {
            extras,
            versions,
            marker,
        };
        Some(Stated { from, ..stated })
    }
}

/// A requirement as a project or its lock file states it.
struct Stated {
    name: String,
    text: String,
    from: Origin,
}

/// The source of a required package.
#[derive(PartialEq, Eq)]
enum Origin {
    /// An index.
    Index {
        extras: BTreeSet<String>,
        versions: Option<VersionSpecifiers>,
        marker: MarkerTree,
    },
    /// A source that the project names in its settings.
    Source,
    /// A URL or a path.
    Elsewhere,
}

impl PartialEq for Stated {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.from == other.from
    }
}

/// A requirement that an extra adds.
fn with_extra(text: &str, extra: &str) -> String {
    let name = normalised(extra);
    let is_url = text.contains('@');
    match text.split_once(if is_url { " ;" } else { ";" }) {
        Some((line, marker)) => format!("{line} ; ({}) and extra == '{name}'", marker.trim()),
        None => format!("{text} ; extra == '{name}'"),
    }
}

/// The requirements of a dependency group and of those that it includes.
fn group(groups: &[(&String, &Value)], name: &str) -> Vec<String> {
    let (mut required, mut open) = (Vec::new(), vec![normalised(name)]);
    let mut seen = BTreeSet::new();
    while let Some(name) = open.pop() {
        if !seen.insert(name.clone()) || required.len() > Limits::PROJECT_REQUIREMENTS {
            continue;
        }
        let group = groups.iter().find(|(it, _)| normalised(it) == name);
        for item in group
            .and_then(|(_, items)| items.as_array())
            .into_iter()
            .flatten()
        {
            match item {
                Value::String(text) => required.push(text.clone()),
                item => {
                    let included = item.get("include-group").and_then(Value::as_str);
                    open.extend(included.map(normalised));
                }
            }
        }
    }
    required
}

/// The packages that a file names sources for.
fn sources(file: &Table) -> BTreeSet<String> {
    let sources = at(file, &["tool", "uv", "sources"]).and_then(Value::as_table);
    sources
        .into_iter()
        .flatten()
        .map(|(name, _)| normalised(name))
        .collect()
}

/// The texts of a list.
fn texts(list: Option<&Value>) -> Vec<String> {
    let items = list.and_then(Value::as_array).into_iter().flatten();
    items
        .filter_map(|item| item.as_str().map(ToOwned::to_owned))
        .collect()
}
