//! A text that does not follow the format of a lock file.

use std::fmt::Display;
use std::ops::Range;

use accretion_core::excerpt::shown;

use super::invalid;
use crate::error::Error;

/// The reason why a text is no lock file, and its place in the text.
pub(crate) struct NotALock {
    pub(crate) problem: String,
    pub(crate) span: Option<Range<usize>>,
    /// True if the project's `pyproject.toml` would help.
    pub(crate) wants_project: bool,
}

impl NotALock {
    pub(super) fn new(problem: impl Into<String>) -> Self {
        Self {
            problem: problem.into(),
            span: None,
            wants_project: false,
        }
    }

    /// A version of the format, which a field states, and which is none of those that are supported.
    pub(super) fn version(field: &str, version: &impl Display, supported: &str) -> Self {
        let found = shown(&version.to_string());
        Self::new(format!("its {field} is {found}; {supported} supported"))
    }

    pub(super) fn without_project() -> Self {
        Self {
            wants_project: true,
            ..Self::new("it does not say what the project requires, which its pyproject.toml does")
        }
    }

    pub(super) fn of_toml(error: &toml::de::Error) -> Self {
        Self {
            span: error.span(),
            ..Self::new(error.message())
        }
    }

    pub(super) fn into_error(self, text: &str) -> Error {
        let line = self.line(text);
        if self.wants_project {
            return Error::LockProjectMissing {
                problem: self.problem,
            };
        }
        invalid(line.map_or_else(String::new, |line| format!("line {line}: ")) + &self.problem)
    }

    /// The line of the place, from 1.
    pub(crate) fn line(&self, text: &str) -> Option<usize> {
        let start = self.span.as_ref()?.start;
        Some(text.get(..start)?.matches('\n').count() + 1)
    }
}
