//! The settings in a project's files that say where its dependencies come from and which versions
//! count, beside the metadata of its wheel.
//!
//! `tool.uv` is for uv, `tool.poetry` for Poetry, and so on. What is not honoured here is refused by
//! its name: a tool that locks the project honours it.

mod document;
mod settings;
mod source;
mod workspace;

use std::collections::BTreeMap;
use std::ops::Range;

use accretion_core::diagnostic::{Checked, Problem, Report, code};
use accretion_core::target::Target;
use pep440_rs::VersionSpecifiers;
use toml::de::DeTable;
use url::Url;

use self::document::{at, strings, text_at};
use self::settings::Setting;
use crate::index::without_credentials;
use crate::requirement::{
    ExtraName, NoInclude, PackageName, Requirement, RequirementSet, distribution_name, parse,
    parse_constraints,
};

pub use self::source::{Origin, Source};
pub use self::workspace::Workspace;

/// The sources that the user gives besides a project: they may satisfy what the project asks for.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// The index that takes the place of the default one.
    pub default_index: Option<Url>,
    /// The indexes that come before it.
    pub indexes: Vec<Url>,
    /// True if packages without a fitting wheel are built.
    pub allow_source_distributions: bool,
}

/// The settings that a file has for one tool or another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingsOf {
    /// All of them.
    All,
    /// Those for uv.
    Uv,
    /// Those for other tools.
    Others,
}

/// A kind of file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FileKind {
    /// A `pyproject.toml`.
    #[default]
    Pyproject,
    /// A `uv.toml`, which holds what `tool.uv` holds otherwise.
    UvToml,
}

/// A `pyproject.toml` or a `uv.toml`.
#[derive(Debug, Clone, Default)]
pub struct ProjectFile {
    source_name: String,
    text: String,
    /// The kind of file.
    pub kind: FileKind,
    /// The normalised name of the project.
    pub name: Option<PackageName>,
    /// True if it has `tool.uv`.
    pub has_uv: bool,
    /// The workspace whose root it is, if uv manages it.
    pub workspace: Option<Workspace>,
    /// True if uv builds the project; otherwise only its requirements count.
    pub is_package: bool,
    /// The releases of Python that the project says it is for.
    pub requires_python: Option<VersionSpecifiers>,
    /// The requirements of the project, if they are not left to the build.
    pub dependencies: Option<Vec<String>>,
    sources: BTreeMap<PackageName, Vec<Source>>,
    indexes: BTreeMap<String, String>,
    settings: Vec<Setting>,
    constraints: Vec<(String, Range<usize>)>,
}

impl ProjectFile {
    /// Reads a file. `source_name` is what problems call it.
    pub fn parse(source_name: &str, text: &str, kind: FileKind) -> Checked<Self> {
        let mut report = Report::new(source_name, text);
        let document = match DeTable::parse(text) {
            Ok(document) => document.into_inner(),
            Err(error) => {
                let problem = Problem::error(code::PROJECT_FILE_INVALID, error.message())
                    .help("correct the file");
                report.push(match error.span() {
                    Some(span) => problem.at(0, span),
                    None => problem,
                });
                return Err(report);
            }
        };
        let mut file = Self {
            source_name: source_name.to_owned(),
            text: text.to_owned(),
            kind,
            has_uv: true,
            is_package: true,
            ..Self::default()
        };
        match kind {
            FileKind::UvToml => file.read_uv(&document, ""),
            FileKind::Pyproject => file.read_project(&document),
        }
        report.conclude(Some(file))
    }

    fn read_project(&mut self, document: &DeTable<'_>) {
        self.name = text_at(document, &["project", "name"])
            .or_else(|| text_at(document, &["tool", "poetry", "name"]))
            .and_then(distribution_name);
        let requires_python = text_at(document, &["project", "requires-python"]);
        self.requires_python = requires_python.and_then(|it| it.parse().ok());
        let project = at(document, &["project"]).and_then(|it| it.get_ref().as_table());
        let is_dynamic = |table| strings(table, &["dynamic"]).any(|(it, _)| it == "dependencies");
        if let Some(table) = project.filter(|table| !is_dynamic(table)) {
            let dependencies = strings(table, &["dependencies"]);
            self.dependencies = Some(dependencies.map(|(it, _)| it.to_owned()).collect());
        }
        let uv = at(document, &["tool", "uv"]).and_then(|it| it.get_ref().as_table());
        self.has_uv = uv.is_some();
        if let Some(uv) = uv {
            self.workspace = Workspace::read(uv);
            self.is_package =
                at(uv, &["package"]).and_then(|it| it.get_ref().as_bool()) != Some(false);
            self.read_uv(uv, "tool.uv.");
        }
        self.settings.extend(settings::of_others(document));
        self.read_sources(document);
    }

    /// Reads uv's settings, as a file names them.
    fn read_uv(&mut self, table: &DeTable<'_>, prefix: &str) {
        self.settings.extend(settings::of_uv(table, prefix));
        self.indexes.extend(settings::indexes_of_uv(table));
        let constraints = strings(table, &["constraint-dependencies"]);
        self.constraints
            .extend(constraints.map(|(text, span)| (text.to_owned(), span)));
    }

    fn read_sources(&mut self, document: &DeTable<'_>) {
        for (name, source) in source::read(document) {
            self.sources.entry(name).or_default().push(source);
        }
        self.indexes.extend(settings::indexes_of_poetry(document));
    }

    /// The settings of one kind that can't be honoured.
    pub fn unsupported(&self, of: SettingsOf, given: &Given, targets: &[Target]) -> Report {
        let is_meant = |setting: &&Setting| match of {
            SettingsOf::All => true,
            SettingsOf::Uv => setting.is_of_uv(),
            SettingsOf::Others => !setting.is_of_uv(),
        };
        let settings = self.settings.iter().filter(is_meant);
        self.report(settings.filter_map(|setting| setting.problem(given, targets)))
    }

    /// The constraints that uv resolves under.
    pub fn constraints(&self) -> Checked<RequirementSet> {
        let lines: Vec<_> = self.constraints.iter().map(|(it, _)| it.as_str()).collect();
        let name = format!("constraint-dependencies of {}", self.source_name);
        parse_constraints(&name, &lines.join("\n"), true)
    }

    /// Returns the source of a dependency, if the file names one for these targets.
    ///
    /// # Errors
    ///
    /// A report, if the file names another source for each target.
    pub fn source(
        &self,
        name: &PackageName,
        extras: &[ExtraName],
        targets: &[Target],
    ) -> Result<Option<&Source>, Report> {
        let sources = self.sources.get(name).into_iter().flatten();
        for source in sources.filter(|source| source.is_for(extras)) {
            let all = targets.len();
            match targets.iter().filter(|it| source.applies(**it)).count() {
                0 => {}
                some if some == all => return Ok(Some(source)),
                _ => {
                    let message = format!(
                        "the setting `{}` does not apply to all runtimes and architectures alike",
                        source.setting
                    );
                    let help = "build them one by one: --runtime, --architecture";
                    let problem = Problem::error(code::OPTION_UNSUPPORTED, message).help(help);
                    return Err(self.report([problem.at(0, source.span.clone())]));
                }
            }
        }
        Ok(None)
    }

    /// The URL of an index that a source names.
    pub fn index(&self, name: &str) -> Option<&str> {
        self.indexes.get(name).map(String::as_str)
    }

    /// That a source can't be honoured; `way_out` is another one than to lock the project.
    pub fn refuse(&self, source: &Source, why: &str, way_out: Option<&str>) -> Report {
        let message = format!("the setting `{}` {why}", source.setting);
        let lock = settings::way_out(&source.setting);
        let help = match way_out {
            Some(way_out) => format!("{way_out}, or {lock}"),
            // No lock brings it along.
            None if source.origin == Origin::Repository => {
                format!("{lock} for the project and for a clone of the repository")
            }
            None => lock.to_owned(),
        };
        let problem = Problem::error(code::OPTION_UNSUPPORTED, message).help(help);
        self.report([problem.at(0, source.span.clone())])
    }

    /// That a dependency is a member of the workspace, and the file does not say whether that is meant.
    pub fn unclear_member(&self, name: &PackageName) -> Report {
        let message = format!("`{name}` is a member of the workspace, and has no source");
        let help = format!("add `{name} = {{ workspace = true }}` to `tool.uv.sources`");
        self.report([Problem::error(code::OPTION_UNSUPPORTED, message).help(help)])
    }

    /// A report of problems of this file.
    fn report(&self, problems: impl IntoIterator<Item = Problem>) -> Report {
        let mut report = Report::new(self.source_name.clone(), self.text.clone());
        for problem in problems {
            report.push(problem);
        }
        report
    }
}

impl Given {
    /// Returns whether an index of a project is one of these.
    pub fn has(&self, url: &str) -> bool {
        let given = self.default_index.iter().chain(&self.indexes);
        given.into_iter().any(|given| is_same_index(given, url))
    }

    fn is_default(&self, url: &str) -> bool {
        let default = self.default_index.as_ref();
        default.is_some_and(|default| is_same_index(default, url))
    }
}

/// Returns whether two URLs are of one index: credentials and a last slash make no difference.
fn is_same_index(given: &Url, url: &str) -> bool {
    let plain = |url: &Url| {
        let plain = without_credentials(url);
        plain.as_str().trim_end_matches('/').to_owned()
    };
    url.parse().is_ok_and(|url| plain(&url) == plain(given))
}

/// A dependency of a project.
#[derive(Debug, Clone)]
pub struct Dependency {
    /// The requirement, without the URL of a local file.
    pub requirement: Requirement,
    /// The URL of a local file or folder that it names.
    pub local: Option<String>,
}

/// Reads the dependencies of a project's metadata: those that apply with these extras of it, to any of
/// these targets.
pub fn dependencies(
    source_name: &str,
    required: &[String],
    extras: &[ExtraName],
    targets: &[Target],
) -> Checked<Vec<Dependency>> {
    let (mut lines, mut local) = (Vec::new(), Vec::new());
    for text in required {
        match split_local(text) {
            Some(line) => local.push(line),
            None => lines.push(text.as_str()),
        }
    }
    let mut report = Report::new(source_name, "");
    let mut read = Vec::new();
    if !lines.is_empty() {
        let (set, warnings) = parse(source_name, &lines.join("\n"), &NoInclude, true)?;
        report = warnings;
        read.extend(set.requirements.into_iter().map(|it| (it, None)));
    }
    for (line, url) in local {
        let (set, _) = parse(source_name, &line, &NoInclude, true)?;
        let with_url = |it| (it, Some(url.clone()));
        read.extend(set.requirements.into_iter().map(with_url));
    }
    let mut dependencies = Vec::new();
    for (mut requirement, url) in read {
        let marker = &mut requirement.specifier.marker;
        if !marker.evaluate_extras(extras) {
            continue;
        }
        *marker = marker.clone().simplify_extras(extras);
        let applies = |target: &Target| requirement.applies(*target);
        // What applies to no target is told when it is resolved.
        let is_anywhere = targets.iter().any(applies);
        dependencies.push(Dependency {
            local: url.filter(|_| is_anywhere),
            requirement,
        });
    }
    Ok((dependencies, report))
}

/// A requirement of a local file or folder without its URL, and the URL.
fn split_local(text: &str) -> Option<(String, String)> {
    let (head, tail) = text
        .split_once('@')
        .map(|(a, b)| (a.trim(), b.trim_start()))?;
    if !tail.starts_with("file:") {
        return None;
    }
    let (url, marker) = match tail.split_once(" ;") {
        Some((url, marker)) => (url, format!(" ;{marker}")),
        None => (tail, String::new()),
    };
    distribution_name(head.split('[').next()?.trim())?;
    Some((format!("{head}{marker}"), url.trim().to_owned()))
}

#[cfg(test)]
mod tests;
