//! The hashes by which Poetry, PDM and Pipenv recognise the project that a lock file was made from.
//!
//! Sources: `Locker._get_content_hash` of Poetry, `PyProject.content_hash` of PDM, and
//! `Pipfile.calculate_hash` of Pipenv. All of them hash JSON as Python's `json.dumps` writes it with
//! `sort_keys=True`.

use std::fmt::Write as _;

use accretion_core::digest::Sha256;
use pep440_rs::Version;
use toml::{Table, Value};

use super::{at, named};
use crate::lock::Lock;
use crate::lock::project::Project;
use crate::lock::selection::normalised;

/// The differences of a lock file of Poetry.
pub(super) fn of_poetry(text: &str, project: &str, lock: &Lock) -> Option<Vec<String>> {
    let document: Table = toml::from_str(text).ok()?;
    let hash = at(&document, &["metadata", "content-hash"])?.as_str()?;
    let file: Table = toml::from_str(project).ok()?;
    // Before Poetry 2.3, groups by PEP 735 were no part of it, and before Poetry 2, `project` was none.
    let is_before = |version: [u64; 2]| {
        let made_by = poetry_version(text);
        made_by.is_none_or(|made_by| made_by < Version::new(version))
    };
    let is_fresh = poetry(&file, true, true) == hash
        || is_before([2, 3]) && poetry(&file, true, false) == hash
        || is_before([2, 0]) && poetry(&file, false, false) == hash;
    if is_fresh {
        return Some(Vec::new());
    }
    let mut differences = named::python(&file, lock);
    if let Ok(project) = Project::of_poetry(project) {
        differences.extend(named::unmet(&project.roots, lock));
    }
    Some(or_changed(differences, "pyproject.toml"))
}

/// The version of Poetry that the first line names.
fn poetry_version(text: &str) -> Option<Version> {
    let (_, rest) = text.lines().next()?.split_once("Poetry ")?;
    rest.split(' ').next()?.parse().ok()
}

fn poetry(file: &Table, has_project: bool, has_groups: bool) -> String {
    const LEGACY: [&str; 4] = ["dependencies", "source", "extras", "dev-dependencies"];
    let table = |path: &[&str]| at(file, path).and_then(Value::as_table);
    let mut project = Table::new();
    for key in ["requires-python", "dependencies", "optional-dependencies"] {
        let value = table(&["project"]).and_then(|table| table.get(key));
        if let Some(value) = value.filter(|_| has_project) {
            project.insert(key.to_owned(), value.clone());
        }
    }
    let groups = table(&["dependency-groups"]).filter(|groups| has_groups && !groups.is_empty());
    let is_legacy = project.is_empty() && groups.is_none();
    let of_poetry = table(&["tool", "poetry"]);
    let mut tool = Vec::new();
    for key in LEGACY.into_iter().chain(["group"]) {
        let value = of_poetry.and_then(|table| table.get(key));
        if value.is_some() || (is_legacy && LEGACY.contains(&key)) {
            tool.push((
                key.to_owned(),
                value.map_or_else(|| "null".to_owned(), |it| SPACED.value(it)),
            ));
        }
    }
    let tool = SPACED.object(tool);
    if is_legacy {
        return sha256(&tool);
    }
    let mut content = Vec::new();
    if !project.is_empty() {
        content.push(("project".to_owned(), SPACED.table(&project)));
    }
    if let Some(groups) = groups {
        content.push(("dependency-groups".to_owned(), SPACED.table(groups)));
    }
    let tool = SPACED.object(vec![("poetry".to_owned(), tool)]);
    content.push(("tool".to_owned(), tool));
    sha256(&SPACED.object(content))
}

/// The differences of a lock file of PDM.
pub(super) fn of_pdm(text: &str, project: &str, lock: &Lock) -> Option<Vec<String>> {
    let document: Table = toml::from_str(text).ok()?;
    let hash = at(&document, &["metadata", "content_hash"])?.as_str()?;
    pdm_differences(hash.strip_prefix("sha256:")?, project, lock)
}

/// The differences of a lock file that has PDM's hash.
pub(super) fn pdm_differences(hash: &str, project: &str, lock: &Lock) -> Option<Vec<String>> {
    let file: Table = toml::from_str(project).ok()?;
    // The hash of a workspace is one of all members.
    if at(&file, &["tool", "pdm", "workspace"]).is_some() {
        return None;
    }
    if pdm(&file)? == hash {
        return Some(Vec::new());
    }
    let project = Project::of_pdm(project).ok();
    let unmet = project.map(|project| named::unmet(&project.roots, lock));
    Some(or_changed(unmet.unwrap_or_default(), "pyproject.toml"))
}

fn pdm(file: &Table) -> Option<String> {
    let mut groups = Table::new();
    for path in [
        &["dependency-groups"][..],
        &["tool", "pdm", "dev-dependencies"],
    ] {
        let written = at(file, path).and_then(Value::as_table);
        for (name, items) in written.into_iter().flatten() {
            let group = groups.entry(normalised(name));
            let all = group
                .or_insert_with(|| Value::Array(Vec::new()))
                .as_array_mut()?;
            all.extend(items.as_array()?.iter().cloned());
        }
    }
    let mut content = vec![("dev-dependencies".to_owned(), SPACED.table(&groups))];
    for (name, table, key, absent) in [
        ("sources", &["tool", "pdm"][..], "source", "[]"),
        ("dependencies", &["project"], "dependencies", "[]"),
        (
            "optional-dependencies",
            &["project"],
            "optional-dependencies",
            "{}",
        ),
        ("requires-python", &["project"], "requires-python", "\"\""),
        ("resolution", &["tool", "pdm"], "resolution", "{}"),
    ] {
        let value = at(file, table).and_then(|table| table.get(key));
        let written = value.map_or_else(|| absent.to_owned(), |it| SPACED.value(it));
        content.push((name.to_owned(), written));
    }
    Some(sha256(&SPACED.object(content)))
}

/// The differences of a lock file of Pipenv.
pub(super) fn of_pipfile(text: &str, pipfile: &str, lock: &Lock) -> Option<Vec<String>> {
    let document: serde_json::Value = serde_json::from_str(text).ok()?;
    let meta = document.get("_meta")?;
    let hash = meta.get("hash")?.get("sha256")?.as_str()?;
    let mut file: Table = toml::from_str(pipfile).ok()?;
    if !file.contains_key("source") {
        // Pipenv puts in its default then, and into the lock file, too.
        let sources = serde_json::from_value(meta.get("sources")?.clone()).ok()?;
        file.insert("source".to_owned(), sources);
    }
    // Before Pipenv 2026, names counted as they are written.
    if [true, false]
        .iter()
        .any(|normalises| self::pipfile(&file, *normalises) == hash)
    {
        return Some(Vec::new());
    }
    let roots = named::roots_of_pipfile(&file);
    Some(or_changed(named::unmet(&roots, lock), "Pipfile"))
}

/// Sections of a `Pipfile` that hold no packages.
pub(super) const SECTIONS: [&str; 5] = ["source", "requires", "scripts", "pipfile", "pipenv"];

fn pipfile(file: &Table, normalises: bool) -> String {
    let empty = Value::Table(Table::new());
    let of_file = |key: &str| file.get(key).unwrap_or(&empty);
    let packages = |section: &Value| match section {
        Value::Table(table) if normalises => {
            let normal = table
                .iter()
                .map(|(name, value)| (normalised(name), value.clone()));
            DENSE.table(&normal.collect())
        }
        other => DENSE.value(other),
    };
    let meta = ["sources", "requires"].map(|key| {
        let value = of_file(if key == "sources" { "source" } else { key });
        (key.to_owned(), DENSE.value(value))
    });
    let mut content = vec![
        ("_meta".to_owned(), DENSE.object(meta.into())),
        ("default".to_owned(), packages(of_file("packages"))),
        ("develop".to_owned(), packages(of_file("dev-packages"))),
    ];
    for (category, section) in file {
        let is_known = ["packages", "dev-packages", "default", "develop"].contains(&&**category);
        if !is_known && !SECTIONS.contains(&&**category) {
            content.push((category.clone(), packages(section)));
        }
    }
    sha256(&DENSE.object(content))
}

/// Falls back to the whole file if no difference can be named.
fn or_changed(differences: Vec<String>, file: &str) -> Vec<String> {
    if differences.is_empty() {
        return vec![format!("what {file} requires has changed since")];
    }
    differences
}

fn sha256(text: &str) -> String {
    Sha256::of(text.as_bytes()).to_string()
}

/// Python's way to write JSON: what is between items, and between a key and its value.
struct Json(&'static str, &'static str);

/// The defaults of `json.dumps`.
const SPACED: Json = Json(", ", ": ");

/// `separators=(",", ":")`.
const DENSE: Json = Json(",", ":");

impl Json {
    fn value(&self, value: &Value) -> String {
        match value {
            Value::String(text) => quoted(text),
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => format!("{number:?}"),
            Value::Boolean(flag) => flag.to_string(),
            // Python refuses to write one.
            Value::Datetime(time) => quoted(&time.to_string()),
            Value::Array(items) => {
                let written: Vec<_> = items.iter().map(|item| self.value(item)).collect();
                format!("[{}]", written.join(self.0))
            }
            Value::Table(table) => self.table(table),
        }
    }

    fn table(&self, table: &Table) -> String {
        let entries = table
            .iter()
            .map(|(key, value)| (key.clone(), self.value(value)));
        self.object(entries.collect())
    }

    /// An object of values that are written already.
    fn object(&self, mut entries: Vec<(String, String)>) -> String {
        entries.sort();
        let members: Vec<_> = entries
            .iter()
            .map(|(key, value)| format!("{}{}{value}", quoted(key), self.1))
            .collect();
        format!("{{{}}}", members.join(self.0))
    }
}

/// A text in ASCII.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            ' '..='~' => quoted.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing to a text does not fail.
                    let _ = write!(quoted, "\\u{unit:04x}");
                }
            }
        }
    }
    quoted.push('"');
    quoted
}
