//! `Pipfile.lock`.
//!
//! It lists for each category all packages, with hashes and without the files' names.

use std::collections::{BTreeMap, BTreeSet};

use accretion_core::excerpt::shown;
use accretion_core::fault::json_problem;
use serde::Deserialize;
use serde_json::Value;

use super::local::Foreign;
use super::selection::normalised;
use super::{Applies, File, Known, Lock, NotALock, Package, PythonRange, is_own_folder};

/// The category of what the project itself requires.
const DEFAULT: &str = "default";

#[derive(Deserialize)]
struct Meta {
    #[serde(rename = "pipfile-spec")]
    form: i64,
    #[serde(default)]
    requires: Requires,
    #[serde(default)]
    sources: Vec<Source>,
}

#[derive(Default, Deserialize)]
struct Requires {
    python_version: Option<String>,
    python_full_version: Option<String>,
}

impl Requires {
    /// The Python versions that are meant, as pipenv compares them: as many parts of a version as
    /// there are, or specifiers.
    fn python(self) -> PythonRange {
        let given = self.python_full_version.filter(|it| !it.is_empty());
        let Some(given) = given.or(self.python_version).filter(|it| it != "*") else {
            return PythonRange::Any;
        };
        PythonRange::Specifiers(if given.contains(['<', '>', '=', '~']) {
            given
        } else if given.split('.').count() < 3 {
            format!("=={given}.*")
        } else {
            format!("=={given}")
        })
    }
}

#[derive(Deserialize)]
struct Source {
    name: Option<String>,
    url: String,
}

#[derive(Deserialize)]
struct Entry {
    version: Option<String>,
    #[serde(default)]
    hashes: Vec<String>,
    markers: Option<String>,
    index: Option<String>,
    file: Option<String>,
    path: Option<Value>,
    git: Option<Value>,
    hg: Option<Value>,
    svn: Option<Value>,
    bzr: Option<Value>,
    #[serde(default)]
    editable: bool,
}

pub(super) fn read(text: &str) -> Result<Lock, NotALock> {
    let of_json = |error: serde_json::Error| {
        let problem = json_problem(&error);
        let (line, column) = (error.line().saturating_sub(1), error.column());
        let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
        let at = text.floor_char_boundary(start + column.saturating_sub(1));
        NotALock {
            // What was text once has no place.
            span: (error.line() > 0).then_some(at..at),
            ..NotALock::new(problem.split(" at line ").next().unwrap_or_default())
        }
    };
    let mut document: BTreeMap<String, Value> = serde_json::from_str(text).map_err(of_json)?;
    let meta = document.remove("_meta").unwrap_or_default();
    let meta = Meta::deserialize(meta).map_err(of_json)?;
    if meta.form != 6 {
        return Err(NotALock::version("pipfile-spec", &meta.form, "6 is"));
    }
    let mut packages = Vec::new();
    let mut groups = BTreeSet::from([DEFAULT.to_owned()]);
    for (category, entries) in document {
        let entries = BTreeMap::<String, Entry>::deserialize(entries).map_err(of_json)?;
        for (name, entry) in entries {
            packages.push(package(&category, name, entry, &meta.sources)?);
        }
        groups.insert(normalised(&category));
    }
    Ok(Lock {
        python: meta.requires.python(),
        default_groups: vec![DEFAULT.to_owned()],
        groups: Known::Named(groups),
        extras: Known::names([]),
        packages,
        may_repeat: true,
        ..Lock::default()
    })
}

fn package(
    category: &str,
    name: String,
    entry: Entry,
    sources: &[Source],
) -> Result<Package, NotALock> {
    let is_versioned = [&entry.git, &entry.hg, &entry.svn, &entry.bzr];
    let foreign = if is_versioned.iter().any(|it| it.is_some()) {
        Some(Foreign::repository())
    } else if entry.path.is_some() || entry.editable {
        let path = entry.path.as_ref().and_then(Value::as_str);
        Some(Foreign::folder(path.map(ToOwned::to_owned)))
    } else if entry
        .file
        .as_ref()
        .is_some_and(|file| !file.contains("://"))
    {
        Some(Foreign::file(entry.file.clone()))
    } else {
        None
    };
    let path = entry.path.as_ref().and_then(Value::as_str);
    // What names no index is from the first one.
    let index = match &entry.index {
        None => sources.first(),
        Some(index) => {
            let is_it = |source: &&Source| source.name.as_ref() == Some(index);
            Some(sources.iter().find(is_it).ok_or_else(|| {
                let (name, index) = (shown(&name), shown(index));
                NotALock::new(format!(
                    "the index `{index}` of {name} is not among its sources"
                ))
            })?)
        }
    };
    let files = entry.hashes.iter().map(|hash| File {
        url: entry.file.clone(),
        ..File::hashed(None, hash)
    });
    Ok(Package {
        name,
        version: entry
            .version
            .map(|it| it.trim_start_matches("==").to_owned()),
        applies: Applies::In(vec![(category.to_owned(), entry.markers)]),
        is_project: path.is_some_and(is_own_folder),
        foreign,
        index: index.map(|source| source.url.clone()),
        files: files.collect(),
        ..Package::default()
    })
}
