//! A whole `requirements.txt` with the files it includes.

use std::collections::BTreeSet;
use std::ops::Range;

use accretion_core::diagnostic::{Checked, Location, Problem, Report, code};
use accretion_core::limits::Limits;

use super::collected::Collected;
use super::line::{Finding, LineContext, MarkerCosts, parse_line, wrong_option};
use super::logical::{LogicalLine, logical_lines};
use super::option::{self, OptionKind};
use super::{Requirement, RequirementSet, url};

/// Reads the files that a requirements file includes.
///
/// A path is relative to the folder of the input, with `/` between its parts, none of them `..` or
/// `.`. An implementation over a file system must not follow a symbolic link out of that folder.
pub trait Include {
    /// The file's text, without a byte order mark.
    fn read(&self, path: &str) -> Result<String, IncludeError>;
}

/// The reason why an included file has no text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IncludeError {
    /// The input stands alone.
    #[error("other files can't be included here")]
    Refused,
    /// The path leaves the folder of the input, through a symbolic link for example.
    #[error("the file is outside the folder of the input")]
    Outside,
    /// The file is not there, not readable, not UTF-8, too large; the text says which.
    #[error("{0}")]
    Unreadable(String),
}

/// Refuses every include: for texts that are embedded in a request.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoInclude;

impl Include for NoInclude {
    fn read(&self, _: &str) -> Result<String, IncludeError> {
        Err(IncludeError::Refused)
    }
}

impl<F: Fn(&str) -> Result<String, IncludeError>> Include for F {
    fn read(&self, path: &str) -> Result<String, IncludeError> {
        self(path)
    }
}

/// Parses a `requirements.txt` and what it includes; reports every problem at once.
///
/// `source_name` is what the report calls the text. Its last part is the file's own name in the
/// folder that includes are relative to.
pub fn parse(
    source_name: &str,
    text: &str,
    include: &dyn Include,
    allow_source_distributions: bool,
) -> Checked<RequirementSet> {
    let (set, mut report) = read(
        source_name,
        text,
        include,
        LineContext {
            constraint: false,
            allow_source_distributions,
            markers: &MarkerCosts::default(),
        },
    );
    if set.requirements.is_empty() && !report.has_errors() {
        report.push(
            Problem::error(code::REQUIREMENTS_EMPTY, "there is no requirement")
                .help("name at least one distribution, as in `requests>=2`"),
        );
    }
    report.conclude(Some(set))
}

/// Parses a constraints text that stands alone; it may be empty.
pub(crate) fn parse_constraints(
    source_name: &str,
    text: &str,
    allow_source_distributions: bool,
) -> Checked<RequirementSet> {
    let (set, report) = read(
        source_name,
        text,
        &NoInclude,
        LineContext {
            constraint: true,
            allow_source_distributions,
            markers: &MarkerCosts::default(),
        },
    );
    report.conclude(Some(set))
}

fn read(
    source_name: &str,
    text: &str,
    include: &dyn Include,
    context: LineContext<'_>,
) -> (RequirementSet, Report) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (folder, file) = source_name
        .rfind('/')
        .map_or(("", source_name), |at| source_name.split_at(at + 1));
    let mut parser = Parser {
        report: Report::new(source_name, text),
        include,
        context,
        display_folder: folder,
        stack: vec![file.to_owned()],
        included: BTreeSet::new(),
        requirements: Collected::new("requirements", Limits::REQUIREMENTS, "the line"),
        constraints: Collected::new("constraints", Limits::CONSTRAINTS, "the line"),
    };
    parser.file(0, text);
    let Parser {
        mut report,
        requirements,
        constraints,
        ..
    } = parser;
    let places = requirements.places().clone();
    let set = RequirementSet {
        requirements: requirements.into_sorted(),
        constraints: constraints.into_sorted(),
        requires_python: None,
    };
    if let Some(problem) = set.hashes_missing() {
        let lines = set.without_hashes().into_iter();
        let places = lines.filter_map(|line| places.get(&line.to_string()));
        report.push(Problem {
            location: places
                .min_by_key(|place| (place.source, place.span.start))
                .cloned(),
            ..problem
        });
    }
    (set, report)
}

struct Parser<'a> {
    report: Report,
    include: &'a dyn Include,
    context: LineContext<'a>,
    /// The prefix of paths in names of sources.
    display_folder: &'a str,
    /// The files being read, outermost first.
    stack: Vec<String>,
    /// The files that were read, as requirements and as constraints.
    included: BTreeSet<(String, bool)>,
    requirements: Collected<Location>,
    constraints: Collected<Location>,
}

impl Parser<'_> {
    fn file(&mut self, source: usize, text: &str) {
        for (at, character) in text.char_indices().filter(|(_, c)| is_unprintable(*c)) {
            let message = format!("the text has the control character {character:?}");
            let problem = Problem::error(code::CONTROL_CHARACTER, message).help("remove it");
            let span = at..at + character.len_utf8();
            self.report.push(problem.at(source, span));
        }
        for line in logical_lines(text) {
            // What follows would be neither kept nor reported.
            if self.report.is_full() || self.requirements.is_over() || self.constraints.is_over() {
                return;
            }
            if let Some(span) = line.continued_comment.clone() {
                let message = "a comment ends in a backslash: pip reads the next line as part of \
                               it, uv does not";
                let problem = Problem::error(code::COMMENT_AMBIGUOUS, message);
                self.report
                    .push(problem.at(source, span).help("remove the backslash"));
            } else if line.text.starts_with('-') {
                self.option(source, &line);
            } else {
                let (requirement, findings) = parse_line(&line.text, self.context);
                let sound = findings.is_empty();
                for finding in findings {
                    self.push(source, &line, finding);
                }
                if let Some(requirement) = requirement.filter(|_| sound) {
                    self.add(source, &line, requirement);
                }
            }
        }
    }

    fn add(&mut self, source: usize, line: &LogicalLine, requirement: Requirement) {
        let collected = if self.context.constraint {
            &mut self.constraints
        } else {
            &mut self.requirements
        };
        let span = line.span(0..line.text.len());
        let place = Location {
            source,
            span: span.clone(),
        };
        if let Some(problem) = collected.add(requirement, place) {
            self.report.push(problem.at(source, span));
        }
    }

    fn push(&mut self, source: usize, line: &LogicalLine, finding: Finding) {
        let span = line.span(finding.range);
        self.report.push(Problem {
            location: Some(Location { source, span }),
            ..finding.problem
        });
    }

    fn option(&mut self, source: usize, line: &LogicalLine) {
        let read = option::read(&line.text);
        let whole = 0..line.text.len();
        let constraint = match read.kind {
            Some(OptionKind::Requirement) => self.context.constraint,
            Some(OptionKind::Constraint) => true,
            _ => {
                let finding = wrong_option(&line.text, whole);
                self.push(source, line, finding);
                return;
            }
        };
        match self.resolve(read.value, read.name, whole) {
            Ok(path) => self.include(source, line, path, constraint),
            Err(finding) => self.push(source, line, finding),
        }
    }

    /// The path of an include, relative to the folder of the input.
    fn resolve(&self, path: &str, option: &str, range: Range<usize>) -> Result<String, Finding> {
        let outside = |reason: &str| {
            Finding::new(
                code::INCLUDE_OUTSIDE,
                range.clone(),
                reason,
                "name a file inside the folder of the input, with a relative path",
            )
        };
        let bytes = path.as_bytes();
        if path.is_empty() || path.starts_with('=') {
            return Err(Finding::new(
                code::OPTION_INVALID,
                range,
                format!("`{option}` needs the path of a file"),
                format!("write `{option} other.txt`"),
            ));
        }
        if path.contains("${") {
            return Err(Finding::new(
                code::ENVIRONMENT_VARIABLE,
                range,
                "environment variables are not expanded",
                "write the path itself",
            ));
        }
        if url::has_scheme(path) || path.starts_with("file:") {
            return Err(outside("files at URLs are not included"));
        }
        if path.starts_with(['/', '\\', '~']) || bytes.get(1) == Some(&b':') {
            return Err(outside("absolute paths are not included"));
        }
        if path.contains('\\') {
            return Err(outside(
                "the path has a backslash; its parts are separated by `/`",
            ));
        }
        let including = self.stack.last().map_or("", String::as_str);
        let folder = including.rfind('/').map_or("", |at| &including[..at]);
        let parts: Vec<&str> = folder
            .split('/')
            .chain(path.split('/'))
            .filter(|part| !matches!(*part, "" | "."))
            .collect();
        if parts.contains(&"..") {
            return Err(outside("`..` in a path of an include is not followed"));
        }
        if parts.is_empty() || path.ends_with('/') {
            return Err(outside("the path names no file"));
        }
        Ok(parts.join("/"))
    }

    fn include(&mut self, source: usize, line: &LogicalLine, path: String, constraint: bool) {
        let refused = |code, message: String, help: &str| {
            let span = line.span(0..line.text.len());
            Problem::error(code, message).at(source, span).help(help)
        };
        if self.stack.contains(&path) {
            self.report.push(refused(
                code::INCLUDE_CYCLE,
                format!("`{path}` includes itself"),
                "remove one of the includes",
            ));
            return;
        }
        if self.stack.len() > Limits::INCLUDE_DEPTH || self.included.len() >= Limits::INCLUDED_FILES
        {
            self.report.push(refused(
                code::INCLUDE_TOO_DEEP,
                format!(
                    "files may include each other {} deep, {} in all",
                    Limits::INCLUDE_DEPTH,
                    Limits::INCLUDED_FILES
                ),
                "put the requirements into fewer files",
            ));
            return;
        }
        // A file that several others include is read once.
        if !self.included.insert((path.clone(), constraint)) {
            return;
        }
        let text = match self.include.read(&path) {
            Ok(text) => text,
            Err(error) => {
                let (code, help) = match &error {
                    IncludeError::Refused => (
                        code::INCLUDE_REFUSED,
                        "write the requirements of that file here",
                    ),
                    IncludeError::Outside => (
                        code::INCLUDE_OUTSIDE,
                        "name a file inside the folder of the input",
                    ),
                    IncludeError::Unreadable(_) => (
                        code::INCLUDE_MISSING,
                        "paths are relative to the folder of the file that includes",
                    ),
                };
                let message = format!("`{path}` is not included: {error}");
                self.report.push(refused(code, message, help));
                return;
            }
        };
        let content = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let name = format!("{}{path}", self.display_folder);
        let included = self.report.add_source(name, content);
        let outer = std::mem::replace(&mut self.context.constraint, constraint);
        self.stack.push(path);
        self.file(included, content);
        self.stack.pop();
        self.context.constraint = outer;
    }
}

/// Characters that Python's `splitlines` takes for line ends, that are invisible, or that make others
/// show in another order than they stand in (UTR #36, "Bidirectional Text Spoofing").
fn is_unprintable(c: char) -> bool {
    (c.is_control() && !matches!(c, '\t' | '\n' | '\r'))
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
