//! Lock files that are not up to date with the project that they are of.
//!
//! Each format notes in its own way from which statements it was made: `uv.lock` the requirements
//! themselves, the locks of Poetry, PDM and Pipenv a hash of them. Only what is required counts: a
//! new version of the project itself makes no lock outdated.

mod hash;
mod named;
mod uv;

use std::fmt;

use toml::Table;

pub(super) use self::named::not_locked;
use super::{Lock, LockFormat, PROJECT};
use accretion_core::excerpt::listed;

/// The number of differences that are told.
const SHOWN: usize = 5;

/// A lock file that is not up to date, and how it is brought up to date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outdated {
    /// The file that says otherwise, such as `pyproject.toml`.
    project: String,
    /// The differences, each as a sentence without a full stop.
    differences: Vec<String>,
    /// The command or the edit that makes it again.
    way_out: String,
}

impl fmt::Display for Outdated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let differences = listed(&self.differences, SHOWN);
        write!(
            f,
            "the lock file is not up to date with {}: {differences}",
            self.project
        )
    }
}

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

    /// The command that makes the lock file again.
    pub fn hint(&self) -> String {
        self.way_out.clone()
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

/// The tool that has written a `pylock.toml`.
fn creator(text: &str) -> Option<String> {
    let document: Table = toml::from_str(text).ok()?;
    document.get("created-by")?.as_str().map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests;
