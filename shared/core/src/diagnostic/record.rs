//! A report for programs.

use serde::Serialize;

use super::{Problem, Report};

/// A problem for programs: what `accretion check --format json` writes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ProblemRecord<'a> {
    /// [`Problem::code`](super::Problem::code).
    pub code: &'a str,
    /// `error` or `warning`.
    pub severity: &'static str,
    /// The problem.
    pub message: &'a str,
    /// The text that it is in; the input itself where the problem has no place.
    pub file: Option<&'a str>,
    /// From 1.
    pub line: Option<usize>,
    /// From 1, in characters.
    pub column: Option<usize>,
    /// The remedy.
    pub help: Option<&'a str>,
}

impl Report {
    /// The problems for programs, in the order of the report.
    pub fn records(&self) -> Vec<ProblemRecord<'_>> {
        let record = |problem| ProblemRecord::new(self, problem);
        self.problems.iter().map(record).collect()
    }
}

impl<'a> ProblemRecord<'a> {
    fn new(report: &'a Report, problem: &'a Problem) -> Self {
        let location = problem.location.as_ref();
        let source = location.map_or(0, |location| location.source);
        let place = location.map(|location| report.line_column(location));
        Self {
            code: problem.code,
            severity: problem.severity.into(),
            message: &problem.message,
            file: report
                .sources
                .get(source)
                .map(|source| source.name.as_str()),
            line: place.map(|(line, _)| line),
            column: place.map(|(_, column)| column),
            help: problem.help.as_deref(),
        }
    }
}
