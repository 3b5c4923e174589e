//! The formats of lock files.

use std::sync::Arc;

use strum::{Display, EnumString, IntoStaticStr};

use super::{Beside, Lock, NotALock, Outdated, PROJECT, pdm, pipfile, poetry, pylock, uv};
use crate::error::Error;

/// A format of lock files.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Display, EnumString, IntoStaticStr,
)]
pub enum LockFormat {
    /// PEP 751.
    #[strum(serialize = "pylock.toml")]
    Pylock,
    /// uv's, of a project or of a script.
    #[strum(serialize = "uv.lock")]
    Uv,
    /// Poetry's.
    #[strum(serialize = "poetry.lock")]
    Poetry,
    /// Pipenv's.
    #[strum(serialize = "Pipfile.lock")]
    Pipfile,
    /// PDM's.
    #[strum(serialize = "pdm.lock")]
    Pdm,
}

impl LockFormat {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Pylock,
        Self::Uv,
        Self::Poetry,
        Self::Pipfile,
        Self::Pdm,
    ];

    /// The name of such a file, which is also the `Type` of requirements in a request.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The format of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        name.parse().ok()
    }

    /// Returns whether such a file may need the project's `pyproject.toml`.
    pub fn takes_project(self) -> bool {
        matches!(self, Self::Poetry | Self::Pdm)
    }

    pub(crate) fn read(self, text: &str, project: Option<&str>) -> Result<Lock, NotALock> {
        match self {
            Self::Pylock => pylock::read(text),
            Self::Uv => uv::read(text),
            Self::Poetry => poetry::read(text, project),
            Self::Pipfile => pipfile::read(text),
            Self::Pdm => pdm::read(text, project),
        }
    }
}

/// A lock file of any format: its text, and what it says.
#[derive(Debug, Clone)]
pub struct LockFile {
    format: LockFormat,
    text: String,
    project: Option<String>,
    lock: Arc<Lock>,
    outdated: Option<Outdated>,
    outdated_beside: Option<Outdated>,
}

impl LockFile {
    /// Reads a lock file. `project` is the project's `pyproject.toml`; it is kept only if the lock
    /// file does not say enough without it.
    pub fn parse(format: LockFormat, text: &str, project: Option<&str>) -> Result<Self, Error> {
        Self::read(format, text, project).map_err(|error| error.into_error(text))
    }

    /// [`Self::parse`] for who wants to show the place.
    pub(crate) fn read(
        format: LockFormat,
        text: &str,
        project: Option<&str>,
    ) -> Result<Self, NotALock> {
        let lock = format.read(text, project)?;
        let beside = |path: &str| project.filter(|_| path == PROJECT).map(ToOwned::to_owned);
        let outdated = Outdated::find(format, format.name(), text, &lock, &beside);
        Ok(Self {
            format,
            text: text.to_owned(),
            project: project.filter(|_| lock.uses_project).map(ToOwned::to_owned),
            lock: Arc::new(lock),
            outdated,
            outdated_beside: None,
        })
    }

    /// The format.
    pub fn format(&self) -> LockFormat {
        self.format
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The project's `pyproject.toml`, if it was needed.
    pub fn project(&self) -> Option<&str> {
        self.project.as_deref()
    }

    /// Compares it with the project that merely lies beside it. `name` is the file's own name.
    ///
    /// If the project was needed, [`Self::outdated`] has the differences instead.
    pub(crate) fn compare(&mut self, name: &str, beside: Beside<'_>) {
        if self.project.is_none() {
            self.outdated = None;
            self.outdated_beside =
                Outdated::find(self.format, name, &self.text, &self.lock, beside);
        }
    }

    /// The differences from the project that merely lies beside it.
    pub(crate) fn outdated_beside(&self) -> Option<&Outdated> {
        self.outdated_beside.as_ref()
    }

    /// The differences from the `pyproject.toml` that it was given with.
    pub fn outdated(&self) -> Option<&Outdated> {
        self.outdated.as_ref()
    }

    /// Its contents.
    pub fn lock(&self) -> &Lock {
        &self.lock
    }
}

/// Compares the texts: the contents follow from them.
impl PartialEq for LockFile {
    fn eq(&self, other: &Self) -> bool {
        (self.format, &self.text, &self.project) == (other.format, &other.text, &other.project)
    }
}

impl Eq for LockFile {}
