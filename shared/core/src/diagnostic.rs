//! Problems found in a text that a person wrote, each with the place it stands at; and the report
//! of them for people and for programs.

use std::ops::Range;

use strum::IntoStaticStr;

use crate::limits::Limits;

mod record;
mod render;

pub use self::record::ProblemRecord;
pub use crate::excerpt::printable;

/// The severity of a [`Problem`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Severity {
    /// The input can be used; something about it deserves attention.
    Warning,
    /// The input can't be used.
    Error,
}

/// A text that problems point into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceText {
    /// The name that people know it by: a path relative to the folder of the input.
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
    /// The severity.
    pub severity: Severity,
    /// The problem: a lowercase fragment without a full stop.
    pub message: String,
    /// The place in the text. `None` for something that is missing altogether.
    pub location: Option<Location>,
    /// The remedy.
    pub help: Option<String>,
}

impl Problem {
    /// A problem that makes the input unusable.
    ///
    /// The message may quote anything: it becomes one line of at most 1,000 characters.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: one_line(message.into()),
            location: None,
            help: None,
        }
    }

    /// A problem that leaves the input usable.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, message)
        }
    }

    /// Says where the problem is.
    #[must_use]
    pub fn at(self, source: usize, span: Range<usize>) -> Self {
        Self {
            location: Some(Location { source, span }),
            ..self
        }
    }

    /// Says what to do about it.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Self {
        Self {
            help: Some(one_line(help.into())),
            ..self
        }
    }
}

/// A text without characters that would break or garble a line, and cut after some length, with a note.
fn one_line(text: String) -> String {
    const MAX: usize = 1_000;
    let garbles = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    if text.len() <= MAX && !text.contains(garbles) {
        return text;
    }
    let mut line = String::new();
    let mut chars = text.chars();
    for c in chars.by_ref().take(MAX) {
        if garbles(c) {
            line.extend(c.escape_debug());
        } else {
            line.push(c);
        }
    }
    match chars.count() {
        0 => {}
        more => line.extend([" … ", &more.to_string(), " characters left out"]),
    }
    line
}

/// A value together with the warnings about it, or the report that says why there is none.
pub type Checked<T> = Result<(T, Report), Report>;

/// Everything that was found in an input, in the order of the input.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The texts that locations point into; the input itself is the first.
    pub sources: Vec<SourceText>,
    /// The problems that were found.
    pub problems: Vec<Problem>,
}

impl Report {
    /// A report about one text, without problems so far.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let mut report = Self::default();
        report.add_source(name, text);
        report
    }

    /// Hides a part of the input in all that is shown of it: it may be a secret. Places stay the same.
    pub(crate) fn hide(&mut self, span: Range<usize>) {
        let Some(source) = self.sources.first_mut() else {
            return;
        };
        if let Some(part) = source.text.get(span.clone()) {
            let hidden = |c: char| {
                if c == '\n' {
                    c.to_string()
                } else {
                    "*".repeat(c.len_utf8())
                }
            };
            let hidden: Vec<_> = part.chars().map(hidden).collect();
            source.text.replace_range(span, &hidden.concat());
        }
    }

    /// Adds a text that locations may point into; returns its index.
    pub fn add_source(&mut self, name: impl Into<String>, text: impl Into<String>) -> usize {
        self.sources.push(SourceText {
            name: name.into(),
            text: text.into(),
        });
        self.sources.len() - 1
    }

    /// Adds a problem. Past [`Limits::PROBLEMS`] of one severity, the rest of that severity is only
    /// hinted at.
    pub fn push(&mut self, problem: Problem) {
        let alike = |listed: &&Problem| listed.severity == problem.severity;
        let listed = self.problems.iter().filter(alike).count();
        if listed < Limits::PROBLEMS {
            self.problems.push(problem);
        } else if listed == Limits::PROBLEMS {
            self.problems.push(Problem {
                code: code::TOO_MANY_PROBLEMS,
                message: "there are more problems than are listed".to_owned(),
                help: Some("solve these and check again".to_owned()),
                ..problem
            });
        }
    }

    /// Returns whether further errors would not be listed.
    pub fn is_full(&self) -> bool {
        let is_error = |problem: &&Problem| problem.severity == Severity::Error;
        self.problems.iter().filter(is_error).count() > Limits::PROBLEMS
    }

    /// Adds what is not listed yet, wherever it is listed.
    pub fn add_missing(&mut self, problems: impl IntoIterator<Item = Problem>) {
        for problem in problems {
            let same =
                |listed: &Problem| listed.code == problem.code && listed.message == problem.message;
            if !self.problems.iter().any(same) {
                self.push(problem);
            }
        }
    }

    /// The value with this report, or the report alone if it has errors.
    ///
    /// # Panics
    ///
    /// If there is neither a value nor an error: the input would be refused without a reason.
    pub fn conclude<T>(self, value: Option<T>) -> Checked<T> {
        match value {
            Some(value) if !self.has_errors() => Ok((value, self)),
            value => {
                assert!(
                    value.is_some() || self.has_errors(),
                    "an input is refused without a reason"
                );
                Err(self)
            }
        }
    }

    /// Returns whether any problem is an error.
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

/// The known name that a mistyped one probably means.
pub fn closest<'a>(typed: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let lowercase = typed.to_lowercase();
    known
        .map(|name| (name, strsim::jaro_winkler(&lowercase, &name.to_lowercase())))
        .filter(|(_, likeness)| *likeness > 0.8)
        .max_by(|(_, one), (_, other)| one.total_cmp(other))
        .map(|(name, _)| name)
}

/// Declares the codes as constants and as one table, so that none is forgotten in the latter.
macro_rules! codes {
    ($($name:ident = $code:literal, $meaning:literal;)*) => {
        $(#[doc = concat!("`", $code, "`: ", $meaning)] pub const $name: &str = $code;)*

        /// Every code with its meaning, by name.
        pub const ALL: &[(&str, &str)] = &[$(($code, $meaning)),*];
    };
}

/// The codes of problems in requests and requirements. Stable: never renamed or reused.
pub mod code {
    codes! {
        ARCHITECTURE_UNKNOWN = "ArchitectureUnknown", "An architecture that AWS Lambda does not have.";
        CODE_ARTIFACT_MISMATCH = "CodeArtifactMismatch", "A domain of CodeArtifact that the index's URL does not lead to.";
        COMMENT_AMBIGUOUS = "CommentAmbiguous", "A comment ends in a backslash: pip reads the next line as part of it, uv does not.";
        CONSTRAINT_INVALID = "ConstraintInvalid", "A constraint with extras.";
        CONTROL_CHARACTER = "ControlCharacter", "A character that does not show and that readers take differently.";
        DISTRIBUTION_NAME_INVALID = "DistributionNameInvalid", "Not the name of a distribution.";
        EDITABLE_UNSUPPORTED = "EditableUnsupported", "An editable requirement (`-e`).";
        ENVIRONMENT_VARIABLE = "EnvironmentVariable", "A reference to an environment variable (`${NAME}`).";
        FIELD_MISSING = "FieldMissing", "A required field is missing.";
        FIELD_REPEATED = "FieldRepeated", "A field is there more than once in an object.";
        FIELD_UNKNOWN = "FieldUnknown", "A field that requests do not have.";
        FILES_INVALID = "FilesInvalid", "Extra files that can't go into a layer.";
        FILES_NOT_OWNED = "FilesNotOwned", "Files below `files/` that are another project's, where keys say whose a request is.";
        HASH_INVALID = "HashInvalid", "A hash that is malformed.";
        HASH_MISSING = "HashMissing", "A requirement without a hash, where another has one.";
        HASH_UNSUPPORTED = "HashUnsupported", "Hashes, but no SHA-256 among them.";
        INCLUDE_CYCLE = "IncludeCycle", "A file includes itself, directly or through others.";
        INCLUDE_MISSING = "IncludeMissing", "An included file that can't be read.";
        INCLUDE_OUTSIDE = "IncludeOutside", "An included file outside the folder of the input.";
        INCLUDE_REFUSED = "IncludeRefused", "An include where there are no other files, such as in a request.";
        INCLUDE_TOO_DEEP = "IncludeTooDeep", "Files include each other too deeply, or are too many.";
        INDEX_NAME_INVALID = "IndexNameInvalid", "Not the name of an index.";
        INDEX_REPEATED = "IndexRepeated", "Two indexes of the same name.";
        JSON_INVALID = "JsonInvalid", "The text is not JSON.";
        LANGUAGE_UNSUPPORTED = "LanguageUnsupported", "A language other than Python.";
        LAYER_VERSION_UNKNOWN = "LayerVersionUnknown", "A version to roll back to that the pipeline has not published.";
        LINE_TOO_LONG = "LineTooLong", "A line or requirement over the limit.";
        LIST_EMPTY = "ListEmpty", "A list that must name something is empty.";
        LIST_TOO_LONG = "ListTooLong", "A list with more items than the limit.";
        LOCAL_PATH_UNSUPPORTED = "LocalPathUnsupported", "A requirement on the local file system.";
        LOCK_EMPTY = "LockEmpty", "A lock file without content.";
        LOCK_INVALID = "LockInvalid", "A lock file that does not follow its format.";
        LOCK_OUTDATED = "LockOutdated", "A lock file that is not up to date with its project.";
        LOCK_PROJECT_MISSING = "LockProjectMissing", "A lock file that needs the project's `pyproject.toml`, which is not there.";
        MARKER_INVALID = "MarkerInvalid", "An environment marker whose meaning is unclear, or that takes too much.";
        MESSAGE_REFUSED = "MessageRefused", "A request sent as a message, where keys say whose a request is.";
        NOT_UTF8 = "NotUtf8", "The text is not UTF-8, nor what pip and uv both read of requirements files besides.";
        OBJECT_MISSING = "ObjectMissing", "An object of the inbox that was deleted before it could be read.";
        OPTION_INVALID = "OptionInvalid", "An option without or with a malformed value.";
        OPTION_UNKNOWN = "OptionUnknown", "An option that neither pip nor Accretion knows.";
        OPTION_UNSUPPORTED = "OptionUnsupported", "An option of pip, or a setting of a project or a script, that Accretion does not allow.";
        ORGANIZATION_ID_INVALID = "OrganizationIdInvalid", "Not the id of an AWS organization, or not with the principal `*`.";
        PACKAGE_PINNED_TWICE = "PackagePinnedTwice", "A package that is to come from two indexes.";
        PATTERN_INVALID = "PatternInvalid", "Not a pattern over paths.";
        PATTERN_UNUSED = "PatternUnused", "Patterns that bring back files where none are pruned.";
        PERMISSION_NOT_ALLOWED = "PermissionNotAllowed", "A permission that the operator does not let requests give.";
        PRINCIPAL_INVALID = "PrincipalInvalid", "A principal that is neither `*` nor an account id.";
        PROJECT_FILE_INVALID = "ProjectFileInvalid", "A `pyproject.toml` or a `uv.toml` that is not TOML.";
        PROJECT_NAME_INVALID = "ProjectNameInvalid", "Not a project name.";
        PROJECT_NAME_MISMATCH = "ProjectNameMismatch", "A `Name` that is not the project of the key, where keys say whose a request is.";
        REQUEST_KEY_INVALID = "RequestKeyInvalid", "A key that is not `requests/PROJECT/FILE`, where keys say whose a request is.";
        REQUIREMENT_INVALID = "RequirementInvalid", "A requirement that PEP 508 does not allow.";
        REQUIREMENT_NEVER_APPLIES = "RequirementNeverApplies", "A requirement whose marker is never true; it is left out.";
        REQUIREMENT_REPEATED = "RequirementRepeated", "The same requirement twice.";
        REQUIREMENTS_EMPTY = "RequirementsEmpty", "There is no requirement.";
        REQUIREMENTS_TYPE_UNKNOWN = "RequirementsTypeUnknown", "A type of requirements that does not exist.";
        REQUIREMENTS_TYPE_UNSUPPORTED = "RequirementsTypeUnsupported", "A type of requirements, or a kind of file, that is not supported.";
        ROLLBACK_INVALID = "RollbackInvalid", "A rollback that names no version of a layer of its project.";
        RUNTIME_DEPRECATED = "RuntimeDeprecated", "A runtime that AWS has deprecated.";
        RUNTIME_PREVIEW = "RuntimePreview", "A runtime that AWS offers only as a preview.";
        RUNTIME_UNKNOWN = "RuntimeUnknown", "A runtime that Accretion does not build for.";
        SECRET_ARN_INVALID = "SecretArnInvalid", "Not the ARN of a secret.";
        SECRET_FOUND = "SecretFound", "Extra files hold what is plainly a secret.";
        SCRIPT_INVALID = "ScriptInvalid", "A script without inline metadata, or with metadata that does not follow PEP 723.";
        SELECTION_INVALID = "SelectionInvalid", "Not the name of a dependency group or an extra, or one where there are none.";
        SOURCE_DISTRIBUTION_REFUSED = "SourceDistributionRefused", "A source distribution where they are not allowed.";
        TEXT_TOO_LONG = "TextTooLong", "A text over the limit of AWS Lambda.";
        TOO_LARGE = "TooLarge", "An input over the size limit.";
        TOO_MANY_PROBLEMS = "TooManyProblems", "More problems than are listed.";
        TOO_MANY_REQUIREMENTS = "TooManyRequirements", "More requirements than the limit.";
        URL_CREDENTIALS = "UrlCredentials", "Credentials in a URL.";
        URL_INVALID = "UrlInvalid", "A URL that can't be parsed, or whose file has another name than the requirement.";
        URL_UNSUPPORTED = "UrlUnsupported", "A URL of a scheme or to a kind of file that is not supported.";
        VALUE_REPEATED = "ValueRepeated", "The same value twice in a list.";
        VCS_UNSUPPORTED = "VcsUnsupported", "A requirement in a version control system.";
        WRONG_TYPE = "WrongType", "A JSON value of another type than expected.";
    }
}
