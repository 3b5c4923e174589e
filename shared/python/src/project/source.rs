//! The sources of single dependencies: `tool.uv.sources`, and `tool.poetry.dependencies`.

use std::ops::Range;

use accretion_core::target::Target;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::document::{at, tables, text_at};
use crate::lock::marker_applies;
use crate::requirement::{ExtraName, PackageName, distribution_name};

/// The source of a dependency.
#[derive(Debug, Clone)]
pub struct Source {
    /// The name of the setting.
    pub(super) setting: String,
    pub(super) span: Range<usize>,
    /// The origin of the dependency.
    pub origin: Origin,
    /// True if it is built and installed. Otherwise only its requirements count.
    pub is_package: bool,
    marker: Option<String>,
    extra: Option<String>,
    is_of_group: bool,
}

/// A kind of source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The member of the workspace of that name.
    Workspace,
    /// A folder or a file, by its path from the folder of the file that says it.
    Path(String),
    /// The index of this name.
    Index(String),
    /// A git repository.
    Repository,
    /// An origin that is not supported, in words.
    Elsewhere(&'static str),
}

impl Source {
    /// Returns whether it is for uv.
    pub fn is_of_uv(&self) -> bool {
        self.setting.starts_with("tool.uv.")
    }

    /// Returns whether it counts when a project is installed with these extras.
    pub(super) fn is_for(&self, extras: &[ExtraName]) -> bool {
        let is_wanted = |extra: &String| {
            let name = extra.parse().ok();
            name.is_some_and(|name: ExtraName| extras.contains(&name))
        };
        !self.is_of_group && self.extra.as_ref().is_none_or(is_wanted)
    }

    pub(super) fn applies(&self, target: Target) -> bool {
        let marker = self.marker.as_ref();
        // What can't be read is uv's to refuse, and applies as long as it has not.
        marker.is_none_or(|marker| marker_applies(marker, target).unwrap_or(true))
    }
}

/// All sources that a `pyproject.toml` names, by their packages.
pub(super) fn read(document: &DeTable<'_>) -> Vec<(PackageName, Source)> {
    let mut sources = Vec::new();
    for (name, value) in entries(document, &["tool", "uv", "sources"]) {
        let setting = format!("tool.uv.sources.{name}");
        let of_name = tables(value).into_iter().map(|(table, span)| Source {
            setting: setting.clone(),
            span,
            origin: origin_of_uv(table),
            is_package: !is(table, "package", false),
            marker: text_at(table, &["marker"]).map(ToOwned::to_owned),
            extra: text_at(table, &["extra"]).map(ToOwned::to_owned),
            is_of_group: at(table, &["group"]).is_some(),
        });
        sources.extend(of_name.filter_map(|source| Some((distribution_name(name)?, source))));
    }
    for (name, value) in entries(document, &["tool", "poetry", "dependencies"]) {
        let alternatives = tables(value);
        let is_one = alternatives.len() == 1;
        for (table, span) in alternatives {
            let Some(origin) = origin_of_poetry(table) else {
                continue;
            };
            let origin = if is_one {
                origin
            } else {
                Origin::Elsewhere("has several alternatives, which is not supported")
            };
            let source = Source {
                setting: format!("tool.poetry.dependencies.{name}"),
                span,
                origin,
                is_package: true,
                // The metadata say where it applies.
                marker: None,
                extra: None,
                is_of_group: false,
            };
            sources.extend(distribution_name(name).map(|name| (name, source)));
        }
    }
    sources
}

/// Dependencies of Poetry that say more of what `project.dependencies` requires.
pub(super) fn refined<'a>(
    document: &'a DeTable<'_>,
) -> impl Iterator<Item = (String, Range<usize>)> + use<'a> {
    let is_refined = at(document, &["project", "dependencies"]).is_some();
    let dependencies = entries(document, &["tool", "poetry", "dependencies"]);
    let refining = dependencies.filter(move |(name, value)| {
        let is_version = |version: &str| version != "*";
        is_refined
            && *name != "python"
            && (value.get_ref().as_str().is_some_and(is_version)
                || tables(value).into_iter().any(|(table, _)| {
                    text_at(table, &["version"]).is_some_and(is_version)
                        || ["python", "markers", "platform"]
                            .iter()
                            .any(|key| at(table, &[key]).is_some())
                }))
    });
    refining.map(|(name, value)| (format!("tool.poetry.dependencies.{name}"), value.span()))
}

/// Dependencies of Poetry that may be versions before a release.
pub(super) fn prereleases<'a>(
    document: &'a DeTable<'_>,
) -> impl Iterator<Item = (String, Range<usize>)> + use<'a> {
    let dependencies = entries(document, &["tool", "poetry", "dependencies"]);
    dependencies.flat_map(|(name, value)| {
        let allowing = tables(value).into_iter().filter(|(table, _)| {
            is(table, "allow-prereleases", true) || is(table, "allows-prereleases", true)
        });
        let setting = format!("tool.poetry.dependencies.{name}.allow-prereleases");
        allowing.map(move |(_, span)| (setting.clone(), span))
    })
}

fn entries<'a, 'i>(
    document: &'a DeTable<'i>,
    path: &[&str],
) -> impl Iterator<Item = (&'a str, &'a Spanned<DeValue<'i>>)> + use<'a, 'i> {
    let table = at(document, path).and_then(|it| it.get_ref().as_table());
    let entries = table.into_iter().flat_map(|table| table.iter());
    entries.map(|(name, value)| (name.get_ref().as_ref(), value))
}

fn is(table: &DeTable<'_>, key: &str, value: bool) -> bool {
    at(table, &[key]).and_then(|it| it.get_ref().as_bool()) == Some(value)
}

fn origin_of_uv(table: &DeTable<'_>) -> Origin {
    let has = |key| at(table, &[key]).is_some();
    if is(table, "workspace", true) {
        Origin::Workspace
    } else if let Some(path) = text_at(table, &["path"]) {
        Origin::Path(path.to_owned())
    } else if let Some(index) = text_at(table, &["index"]) {
        Origin::Index(index.to_owned())
    } else if has("git") {
        Origin::Repository
    } else if has("url") {
        Origin::Elsewhere("names a URL, which is not supported: require `NAME @ URL` instead")
    } else {
        Origin::Elsewhere("is not supported")
    }
}

fn origin_of_poetry(table: &DeTable<'_>) -> Option<Origin> {
    let has = |key| at(table, &[key]).is_some();
    let path = text_at(table, &["path"]).or_else(|| text_at(table, &["file"]));
    if let Some(path) = path {
        Some(Origin::Path(match text_at(table, &["subdirectory"]) {
            Some(subdirectory) => format!("{path}/{subdirectory}"),
            None => path.to_owned(),
        }))
    } else if let Some(source) = text_at(table, &["source"]) {
        Some(Origin::Index(source.to_owned()))
    } else if has("git") {
        Some(Origin::Repository)
    } else if has("url") {
        Some(Origin::Elsewhere("names a URL, which is not supported"))
    } else {
        None
    }
}
