//! Requirements that a lock file does not satisfy, by their names and versions.

use accretion_core::excerpt::shown;
use accretion_core::target::Target;
use pep440_rs::Version;
use toml::{Table, Value};

use super::hash::{self, SECTIONS};
use super::{at, creator};
use crate::lock::constraint::Constraint;
use crate::lock::graph::{Edge, When};
use crate::lock::project::{pep508_edge, poetry_edges};
use crate::lock::selection::normalised;
use crate::lock::{Lock, marker_applies};

/// The differences of a `pylock.toml`, which need not say what it was made from.
pub(super) fn of_pylock(text: &str, project: &str, lock: &Lock) -> Option<Vec<String>> {
    let document: Table = toml::from_str(text).ok()?;
    if let Some(hashes) = at(&document, &["tool", "pdm", "hashes"]) {
        return hash::pdm_differences(hashes.get("sha256")?.as_str()?, project, lock);
    }
    // It locks any kind of input, and names each lock after its project.
    if creator(text).as_deref() == Some("accretion") {
        return None;
    }
    let file: Table = toml::from_str(project).ok()?;
    let dependencies = at(&file, &["project", "dependencies"])?.as_array()?;
    let texts = dependencies.iter().filter_map(|it| it.as_str());
    let edges = texts.filter_map(|text| pep508_edge(text).ok());
    let roots: Vec<_> = edges.map(|edge| (When::Always, edge)).collect();
    Some(unmet(&roots, lock))
}

/// The requirements that are not locked, or not in such a version. If that depends on the target,
/// it says nothing.
pub(super) fn unmet(roots: &[(When, Edge)], lock: &Lock) -> Vec<String> {
    let mut unmet = Vec::new();
    for (_, edge) in roots {
        let Some(problem) = problem(edge, lock) else {
            continue;
        };
        if !unmet.contains(&problem) {
            unmet.push(problem);
        }
    }
    unmet
}

fn problem(edge: &Edge, lock: &Lock) -> Option<String> {
    let name = normalised(&edge.name);
    let packages = lock.packages.iter();
    let mut locked = packages
        .filter(|package| normalised(&package.name) == name)
        .peekable();
    if locked.peek().is_none() {
        let is_anywhere = edge.python.is_none() && applies_somewhere(edge, lock);
        return is_anywhere.then(|| not_locked(&name));
    }
    let text = edge.constraint.as_deref()?;
    let constraint = Constraint::parse(text).ok()?;
    let versions: Vec<_> = locked.map(|package| package.version.as_deref()).collect();
    let fits = |version: Option<&str>| {
        version
            .and_then(|it| it.parse::<Version>().ok())
            .is_none_or(|version| constraint.contains(&version))
    };
    if versions.iter().copied().any(fits) {
        return None;
    }
    let known: Vec<_> = versions.into_iter().flatten().map(shown).collect();
    let (name, text) = (shown(&edge.name), shown(text));
    Some(format!(
        "`{name}` is required as `{text}`, and locked as {}",
        known.join(", ")
    ))
}

/// Returns whether a requirement applies to any target that the lock file is for.
fn applies_somewhere(edge: &Edge, lock: &Lock) -> bool {
    let Some(marker) = &edge.marker else {
        return true;
    };
    let targets = Target::all().filter(|target| lock.is_for(target.runtime));
    let mut applies = targets.map(|target| marker_applies(marker, target).unwrap_or(false));
    applies.any(|applies| applies)
}

/// That something is required which is not there at all.
pub(in crate::lock) fn not_locked(name: &str) -> String {
    format!("`{}` is required, and not locked", shown(name))
}

/// The difference between the Python versions of a project and of its lock file.
pub(super) fn python(file: &Table, lock: &Lock) -> Vec<String> {
    let text = |path: &[&str]| at(file, path).and_then(Value::as_str);
    let stated = text(&["tool", "poetry", "dependencies", "python"])
        .or_else(|| text(&["project", "requires-python"]));
    let (required, locked) = (stated.unwrap_or_default(), lock.python.text());
    let plain = |text: &str| text.replace(' ', "");
    if required.is_empty() || plain(required) == plain(locked) {
        return Vec::new();
    }
    let (required, locked) = (shown(required), shown(locked));
    vec![format!(
        "Python `{required}` is required, and it was locked for `{locked}`"
    )]
}

/// The requirements of the categories of a `Pipfile`.
pub(super) fn roots_of_pipfile(file: &Table) -> Vec<(When, Edge)> {
    let sections = file
        .iter()
        .filter(|(name, _)| !SECTIONS.contains(&name.as_str()));
    let entries = sections
        .filter_map(|(_, section)| section.as_table())
        .flatten();
    let edges = entries.filter_map(|(name, value)| poetry_edges(name, value).ok());
    edges
        .flatten()
        .map(|(_, edge)| (When::Always, edge))
        .collect()
}
