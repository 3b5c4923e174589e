//! Problems found in a text that a person wrote, each with the place it stands at.

use std::ops::Range;

/// How bad a [`Problem`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The input can be used; something about it deserves attention.
    Warning,
    /// The input can't be used.
    Error,
}

/// A text that problems point into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceText {
    /// What people call it: a path relative to the folder of the input.
    pub name: String,
    /// The whole text.
    pub text: String,
}

/// A place in one of the [`Report::sources`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// Index into [`Report::sources`].
    pub source: usize,
    /// Bytes of its text, on character boundaries.
    pub span: Range<usize>,
}

/// One thing that is wrong or deserves attention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The stable name of this kind of problem, in Pascal case.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong: a lowercase fragment without a full stop.
    pub message: String,
    /// Where it is. `None` for what is missing altogether.
    pub location: Option<Location>,
    /// What to do about it.
    pub help: Option<String>,
}

/// Everything that was found in an input, in the order of the input.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The texts that locations point into; the input itself is the first.
    pub sources: Vec<SourceText>,
    /// What was found.
    pub problems: Vec<Problem>,
}

impl Report {
    /// Whether any problem is an error.
    pub fn has_errors(&self) -> bool {
        self.problems
            .iter()
            .any(|problem| problem.severity == Severity::Error)
    }

    /// Line and column of a location, both from 1; the column counts characters.
    pub fn line_column(&self, location: &Location) -> (usize, usize) {
        let text = self
            .sources
            .get(location.source)
            .map_or("", |source| source.text.as_str());
        let before = text.get(..location.span.start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        let column = before[line_start..].chars().count() + 1;
        (line, column)
    }
}
