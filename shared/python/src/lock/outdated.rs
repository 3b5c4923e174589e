//! Lock files that are not up to date with the project that they are of.
//!
//! Each format notes in its own way from which statements it was made: `uv.lock` the requirements
//! themselves, the locks of Poetry, PDM and Pipenv a hash of them. Only what is required counts: a
//! new version of the project itself makes no lock outdated.

mod hash;
mod named;
mod uv;

use toml::{Table, Value};

pub(super) use self::named::not_locked;
use super::{Lock, LockFormat, PROJECT};
use crate::error::Outdated;

/// Reads a file beside the lock file.
pub(super) type Beside<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Outdated {
    /// Compares a lock file with the project beside it. `name` is the lock file's own name.
    ///
    /// `None` if it is up to date, or if there is nothing to compare.
    pub(crate) fn find(
        format: LockFormat,
        name: &str,
        text: &str,
        lock: &Lock,
        beside: Beside<'_>,
    ) -> Option<Self> {
        let (project, differences) = match format {
            LockFormat::Uv if name.ends_with(".py.lock") => {
                let script = name.strip_suffix(".lock")?;
                (script, uv::of_script(text, &beside(script)?)?)
            }
            LockFormat::Uv => (PROJECT, uv::of_project(text, &beside(PROJECT)?, beside)?),
            LockFormat::Poetry => (PROJECT, hash::of_poetry(text, &beside(PROJECT)?, lock)?),
            LockFormat::Pdm => (PROJECT, hash::of_pdm(text, &beside(PROJECT)?, lock)?),
            LockFormat::Pipfile => (PIPFILE, hash::of_pipfile(text, &beside(PIPFILE)?, lock)?),
            // One with a name of its own may be of something else.
            LockFormat::Pylock if name == format.name() => {
                (PROJECT, named::of_pylock(text, &beside(PROJECT)?, lock)?)
            }
            LockFormat::Pylock => return None,
        };
        (!differences.is_empty()).then(|| Self {
            project: project.to_owned(),
            differences,
            way_out: way_out(format, name, text),
        })
    }

    /// A lock file that lacks what the metadata of a project require.
    pub fn of_metadata(
        format: LockFormat,
        name: &str,
        text: &str,
        differences: Vec<String>,
    ) -> Self {
        Self {
            project: "the project".to_owned(),
            differences,
            way_out: way_out(format, name, text),
        }
    }
}

/// The file that Pipenv makes its lock file from.
const PIPFILE: &str = "Pipfile";

/// The way to make a lock file again.
fn way_out(format: LockFormat, name: &str, text: &str) -> String {
    let command = match format {
        LockFormat::Uv => match name.strip_suffix(".py.lock") {
            Some(script) => format!("uv lock --script {script}.py"),
            None => "uv lock".to_owned(),
        },
        LockFormat::Poetry => "poetry lock".to_owned(),
        LockFormat::Pipfile => "pipenv lock".to_owned(),
        LockFormat::Pdm => "pdm lock".to_owned(),
        LockFormat::Pylock => match creator(text).as_deref() {
            Some("uv") => format!("uv export --format pylock.toml -o {name}"),
            Some("pdm") => "pdm lock".to_owned(),
            Some("pip") => format!("pip lock . -o {name}"),
            Some("accretion") => "accretion lock".to_owned(),
            _ => return "write the lock file again with the tool that made it".to_owned(),
        },
    };
    format!("make it again: `{command}`")
}

/// A value at a path of keys.
fn at<'a>(file: &'a Table, path: &[&str]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter()
        .try_fold(file.get(*first)?, |value, key| value.get(*key))
}

/// The tool that has written a `pylock.toml`.
fn creator(text: &str) -> Option<String> {
    let document: Table = toml::from_str(text).ok()?;
    document.get("created-by")?.as_str().map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests;
