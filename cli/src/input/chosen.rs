//! The input of a folder.

use std::fs;
use std::path::{Path, PathBuf};

use accretion_python::lock::LockFormat;

use crate::args::{HERE, PYPROJECT};
use crate::error::Error;

/// The file of a path: itself, or the only lock file or requirements file of a folder. A
/// `pyproject.toml` stands for its folder.
pub(super) fn chosen(path: &Path) -> Result<PathBuf, Error> {
    let folder = if path.is_dir() {
        path
    } else if path.file_name().is_some_and(|name| name == PYPROJECT) && path.is_file() {
        path.parent().unwrap_or(Path::new(""))
    } else {
        return Ok(path.to_owned());
    };
    let mut inputs = inputs(folder).map_err(|error| Error::unreadable(path, error))?;
    // `accretion lock` wrote it from one of the others.
    let is_named_lock = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with("pylock.") && name != "pylock.toml")
    };
    if inputs.iter().any(|it| !is_named_lock(it)) {
        inputs.retain(|it| !is_named_lock(it));
    }
    match inputs.len() {
        1 => Ok(inputs.remove(0)),
        0 => Err(Error::InputMissing {
            folder: shown(folder),
            lock_with: lock_command(folder),
        }),
        _ => Err(Error::InputAmbiguous {
            folder: shown(folder),
            inputs,
        }),
    }
}

/// The lock files and requirements files of a folder, by name.
fn inputs(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let prefix = if folder == Path::new(HERE) {
        Path::new("")
    } else {
        folder
    };
    let mut inputs = Vec::new();
    for entry in fs::read_dir(shown(folder))? {
        let name = entry?.file_name();
        let path = prefix.join(&name);
        if name.to_str().is_some_and(is_input) && path.is_file() {
            inputs.push(path);
        }
    }
    inputs.sort();
    Ok(inputs)
}

fn is_input(name: &str) -> bool {
    let is = |start, end| name.starts_with(start) && name.strip_suffix(end).is_some();
    LockFormat::of_name(name).is_some() || is("pylock.", ".toml") || is("requirements", ".txt")
}

/// A folder as a user would write it.
fn shown(folder: &Path) -> PathBuf {
    if folder.as_os_str().is_empty() {
        PathBuf::from(HERE)
    } else {
        folder.to_owned()
    }
}

/// The command of the tool that locks the project of a folder.
fn lock_command(folder: &Path) -> Option<&'static str> {
    if folder.join("Pipfile").is_file() {
        return Some("pipenv lock");
    }
    let text = fs::read_to_string(folder.join(PYPROJECT)).ok()?;
    let project: toml::Table = text.parse().unwrap_or_default();
    let has = |tool| project.get("tool").and_then(|it| it.get(tool)).is_some();
    Some(match () {
        () if has("poetry") => "poetry lock",
        () if has("pdm") => "pdm lock",
        () => "uv lock",
    })
}
