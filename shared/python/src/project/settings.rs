//! Settings that choose packages, versions and indexes.

use std::ops::Range;

use accretion_core::diagnostic::{Problem, code};
use accretion_core::excerpt::shown;
use accretion_core::target::Target;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::document::{at, strings, tables, text_at};
use super::{Given, source};
use crate::lock::marker_applies;
use crate::uv_settings::is_harmless;

/// Values that some settings have anyway.
const DEFAULTS: [(&str, &str); 4] = [
    ("fork-strategy", "requires-python"),
    ("index-strategy", "first-index"),
    ("prerelease", "if-necessary-or-explicit"),
    ("resolution", "highest"),
];

/// A setting that counts.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    name: String,
    span: Range<usize>,
    effect: Effect,
}

/// The effect of a setting.
#[derive(Debug, Clone)]
enum Effect {
    /// Something that only the tool itself does.
    Own,
    /// Forbids to build packages, as is the case unless the user allows it.
    ForbidsBuilds,
    /// Limits what is resolved to environments, by their markers.
    Environments(Vec<String>),
    /// Takes packages from an index, in the place of the default one or not.
    Index { url: String, is_default: bool },
}

impl Setting {
    fn new(name: String, span: Range<usize>, effect: Effect) -> Self {
        Self { name, span, effect }
    }

    /// Returns whether it is for uv.
    pub(super) fn is_of_uv(&self) -> bool {
        let others = [
            "project.",
            "tool.pdm.",
            "tool.pixi.",
            "tool.poetry.",
            "tool.rye.",
        ];
        !others.iter().any(|other| self.name.starts_with(other))
    }

    /// Returns the problem with it, if it can't be honoured.
    pub(super) fn problem(&self, given: &Given, targets: &[Target]) -> Option<Problem> {
        let name = shown(&self.name);
        let is_honoured = match &self.effect {
            Effect::Own => false,
            Effect::ForbidsBuilds => !given.allow_source_distributions,
            Effect::Environments(markers) => targets.iter().all(|target| {
                let applies = |marker: &String| marker_applies(marker, *target).unwrap_or(false);
                markers.iter().any(applies)
            }),
            Effect::Index {
                url,
                is_default: true,
            } => given.is_default(url),
            Effect::Index { url, .. } => given.has(url),
        };
        if is_honoured {
            return None;
        }
        let way_out = way_out(&self.name);
        let help = match &self.effect {
            Effect::Index { is_default, .. } => {
                let option = if *is_default {
                    "default-index"
                } else {
                    "index"
                };
                format!("give the same index with --{option}, or {way_out}")
            }
            _ => way_out.to_owned(),
        };
        let message = format!("the setting `{name}` is not supported");
        let problem = Problem::error(code::OPTION_UNSUPPORTED, message);
        Some(problem.help(help).at(0, self.span.clone()))
    }
}

/// The lock that holds what a setting comes to.
pub(super) fn way_out(setting: &str) -> &'static str {
    let tool = setting.strip_prefix("tool.").unwrap_or_default();
    match tool.split('.').next() {
        Some("poetry") => "run `poetry lock` in the project, and build the lock with --project",
        Some("pdm") => "run `pdm lock` in the project, and build the lock with --project",
        _ => "run `uv lock` in the project, and build the lock with --project",
    }
}

/// The settings of uv that count.
pub(super) fn of_uv(table: &DeTable<'_>, prefix: &str) -> Vec<Setting> {
    let mut settings = Vec::new();
    for (key, value) in table {
        let name = format!("{prefix}{}", key.get_ref());
        let effect = match key.get_ref().as_ref() {
            key if is_harmless(key) || is_neutral(key, value.get_ref()) => continue,
            // They are constraints of ours.
            "constraint-dependencies" => continue,
            "pip" => {
                let pip = value.get_ref().as_table();
                settings.extend(
                    pip.into_iter()
                        .flat_map(|pip| of_uv(pip, &format!("{name}."))),
                );
                continue;
            }
            "index" => {
                settings.extend(indexes(value, &name));
                continue;
            }
            "index-url" | "extra-index-url" => {
                let is_default = *key.get_ref() == "index-url";
                settings.extend(index_urls(value, &name, is_default));
                continue;
            }
            "no-build" | "no-build-package" => Effect::ForbidsBuilds,
            "environments" => {
                let markers = strings(table, &["environments"]);
                Effect::Environments(markers.map(|(marker, _)| marker.to_owned()).collect())
            }
            _ => Effect::Own,
        };
        settings.push(Setting::new(name, key.span(), effect));
    }
    settings
}

/// Returns whether a value says no more than its absence does.
fn is_neutral(key: &str, value: &DeValue<'_>) -> bool {
    match value {
        DeValue::Boolean(value) => !value,
        DeValue::Array(array) => array.is_empty(),
        DeValue::Table(table) => table.is_empty(),
        DeValue::String(value) => DEFAULTS.contains(&(key, value)),
        _ => false,
    }
}

/// Indexes of uv that count for every package. Explicit ones count where a source names them.
fn indexes(value: &Spanned<DeValue<'_>>, name: &str) -> Vec<Setting> {
    let is = |table: &DeTable<'_>, key| at(table, &[key]).and_then(|it| it.get_ref().as_bool());
    let tables = tables(value).into_iter();
    let counting = tables.filter(|(table, _)| is(table, "explicit") != Some(true));
    let settings = counting.map(|(table, span)| {
        let effect = Effect::Index {
            url: text_at(table, &["url"]).unwrap_or_default().to_owned(),
            is_default: is(table, "default") == Some(true),
        };
        Setting::new(name.to_owned(), span, effect)
    });
    settings.collect()
}

fn index_urls(value: &Spanned<DeValue<'_>>, name: &str, is_default: bool) -> Vec<Setting> {
    let setting = |value: &Spanned<DeValue<'_>>| {
        let effect = Effect::Index {
            url: value.get_ref().as_str().unwrap_or_default().to_owned(),
            is_default,
        };
        Setting::new(name.to_owned(), value.span(), effect)
    };
    match value.get_ref() {
        DeValue::Array(array) => array.iter().map(setting).collect(),
        _ => vec![setting(value)],
    }
}

/// The URLs of uv's indexes by their names.
pub(super) fn indexes_of_uv(table: &DeTable<'_>) -> Vec<(String, String)> {
    at(table, &["index"]).into_iter().flat_map(named).collect()
}

/// The URLs of Poetry's sources by their names.
pub(super) fn indexes_of_poetry(document: &DeTable<'_>) -> Vec<(String, String)> {
    let sources = at(document, &["tool", "poetry", "source"]);
    sources.into_iter().flat_map(named).collect()
}

fn named(value: &Spanned<DeValue<'_>>) -> Vec<(String, String)> {
    let named = tables(value).into_iter().filter_map(|(table, _)| {
        let (name, url) = (text_at(table, &["name"])?, text_at(table, &["url"])?);
        Some((name.to_owned(), url.to_owned()))
    });
    named.collect()
}

/// The settings of other tools that count.
pub(super) fn of_others(document: &DeTable<'_>) -> Vec<Setting> {
    const OWN: [&[&str]; 6] = [
        &["tool", "pdm", "resolution"],
        &["tool", "pdm", "overrides"],
        &["tool", "pdm", "allow_prereleases"],
        &["tool", "rye", "workspace"],
        &["tool", "rye", "sources"],
        &["tool", "pixi", "pypi-options"],
    ];
    let mut settings = Vec::new();
    for path in OWN {
        let key = path.last().copied().unwrap_or_default();
        if let Some(value) = at(document, path)
            && !is_neutral(key, value.get_ref())
        {
            settings.push(Setting::new(path.join("."), value.span(), Effect::Own));
        }
    }
    for path in [["tool", "poetry", "source"], ["tool", "pdm", "source"]] {
        let sources = at(document, &path).into_iter().flat_map(tables);
        for (table, span) in sources {
            let is_explicit = text_at(table, &["priority"]) == Some("explicit");
            // The name of the default index, where it stands for it.
            let Some(url) = text_at(table, &["url"]).filter(|_| !is_explicit) else {
                continue;
            };
            let effect = Effect::Index {
                url: url.to_owned(),
                is_default: false,
            };
            settings.push(Setting::new(path.join("."), span, effect));
        }
    }
    let own = |(name, span)| Setting::new(name, span, Effect::Own);
    settings.extend(source::refined(document).map(own));
    let backend = text_at(document, &["build-system", "build-backend"]);
    let dependencies = at(document, &["project"])
        .and_then(|it| it.get_ref().as_table())
        .into_iter()
        .flat_map(|project| strings(project, &["dependencies"]));
    // PDM's own backend knows the variable.
    let unknown = dependencies.filter(|(it, _)| {
        it.contains("${") && !backend.is_some_and(|backend| backend.starts_with("pdm"))
    });
    let named = unknown.map(|(it, span)| (format!("project.dependencies: {it}"), span));
    settings.extend(named.map(own));
    settings.extend(source::prereleases(document).map(own));
    settings
}
