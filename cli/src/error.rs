//! What ends the command, for people, for programs and for shells.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use accretion_core::diagnostic::{ProblemRecord, Report, printable};
use accretion_core::{Class, Fault};
use accretion_python::request::InputUnsupported;
use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::args::Format;

/// The exit code for [`Class::Internal`].
pub(crate) const MACHINE_AT_FAULT: u8 = 1;
/// The exit code for a wrong command line; clap's own.
pub(crate) const USAGE: u8 = 2;
/// The exit code for [`Class::User`].
pub(crate) const INPUT_AT_FAULT: u8 = 3;
/// The exit code for [`Class::Transient`].
pub(crate) const UPSTREAM_AT_FAULT: u8 = 4;
/// The exit code for what was begun in AWS and has failed there.
#[cfg(feature = "aws")]
pub(crate) const FAILED_IN_AWS: u8 = 5;

/// What ends the command before there is any result to print.
#[derive(Debug, thiserror::Error, Fault)]
pub(crate) enum Error {
    #[error("{} cannot be read: {error}", path.display())]
    #[fault(User)]
    InputUnreadable { path: PathBuf, error: io::Error },
    #[error("the folder {} has no lock file and no requirements file", folder.display())]
    #[fault(User, hint = instead_of_folder(folder, *lock_with))]
    InputMissing {
        folder: PathBuf,
        /// The command that locks the project in it.
        lock_with: Option<&'static str>,
    },
    #[error("the folder {} has several inputs: {}", folder.display(), listed(inputs))]
    #[fault(User, hint = format!("name one, such as {}", inputs[0].display()))]
    InputAmbiguous {
        folder: PathBuf,
        inputs: Vec<PathBuf>,
    },
    #[error(transparent)]
    #[fault(User, hint = _0.hint.to_owned())]
    InputUnsupported(#[from] InputUnsupported),
    #[error("the input has problems")]
    #[fault(User)]
    InputInvalid(Report),
    #[error("the project has no name, and the folder's name `{folder}` cannot serve")]
    #[fault(
        User,
        hint = "name it with --name: letters, digits, `-` and `_`, at most 70"
    )]
    NameMissing { folder: String },
    #[error("the folder {} cannot be written: {error}", path.display())]
    #[fault(Internal)]
    FolderUnwritable { path: PathBuf, error: io::Error },
    #[error("the folder {} holds nothing that goes into a layer", path.display())]
    #[fault(
        User,
        hint = "hidden files, `__pycache__`, a `requirements.txt` at the top and what ignore files \
                name are left out: --hidden brings hidden files back, a `!` in an .accretionignore \
                any"
    )]
    IncludeEmpty { path: PathBuf },
    #[error("{} cannot be a part of the layer: {problem}", path.display())]
    #[fault(User)]
    ProjectUnusable { path: PathBuf, problem: String },
    #[error("the request names files of an inbox, which only the pipeline reads")]
    #[fault(
        User,
        hint = "take `Files` out of it, and name a folder of yours with --include"
    )]
    FilesElsewhere,
    #[error("the lock would take the place of its input, {}", path.display())]
    #[fault(
        User,
        hint = "write it into another folder with --output, or name it with --name"
    )]
    LockIsInput { path: PathBuf },
    #[error("there is no folder for the cache")]
    #[fault(Internal, hint = "set ACCRETION_CACHE_DIR, XDG_CACHE_HOME or HOME")]
    CacheFolderMissing,
    #[error(transparent)]
    #[cfg(feature = "aws")]
    #[fault(transparent)]
    Cloud(#[from] crate::cloud::Error),
    #[error(transparent)]
    #[fault(transparent)]
    Service(#[from] accretion_service::Error),
}

#[cfg(feature = "aws")]
impl From<crate::cloud::StackError> for Error {
    fn from(error: crate::cloud::StackError) -> Self {
        Self::Cloud(error.into())
    }
}

/// The advice about a folder without an input.
fn instead_of_folder(folder: &Path, lock_with: Option<&str>) -> String {
    match lock_with {
        Some(command) => format!(
            "lock the project with `{command}`, or build it with `--project {}`",
            folder.display()
        ),
        None => "name a requirements.txt, a lock file, a script or a request, such as `accretion \
                 build deps/requirements.txt`"
            .to_owned(),
    }
}

fn listed(paths: &[PathBuf]) -> String {
    let paths: Vec<_> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    paths.join(", ")
}

/// An error for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ErrorRecord {
    code: &'static str,
    class: String,
    message: String,
    hint: Option<String>,
}

impl From<&dyn Fault> for ErrorRecord {
    fn from(error: &dyn Fault) -> Self {
        let (message, hint) = error.displayed();
        Self {
            code: error.code(),
            class: error.class().to_string(),
            message,
            hint,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a> {
    error: ErrorRecord,
    problems: Vec<ProblemRecord<'a>>,
}

impl Error {
    /// Says what happened.
    pub(crate) fn print(&self, format: Format) {
        match (format, self) {
            (Format::Json, error) => {
                let problems = match error {
                    Self::InputInvalid(report) => report.records(),
                    _ => Vec::new(),
                };
                crate::print_json(&Document {
                    error: ErrorRecord::from(error as &dyn Fault),
                    problems,
                });
            }
            (Format::Text, Self::InputInvalid(report)) => {
                anstream::eprint!("{}", report.render_coloured());
            }
            (Format::Text, error) => print_fault(error, None),
        }
    }

    /// What the shell is told.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::NameMissing { .. } => ExitCode::from(USAGE),
            #[cfg(feature = "aws")]
            Self::Cloud(error) => ExitCode::from(error.exit_code()),
            error => ExitCode::from(code_of(error.class())),
        }
    }
}

/// The exit code for a class of errors.
pub(crate) fn code_of(class: Class) -> u8 {
    match class {
        Class::User => INPUT_AT_FAULT,
        Class::Transient => UPSTREAM_AT_FAULT,
        Class::Internal => MACHINE_AT_FAULT,
    }
}

/// Prints an error for people, and what it is about.
pub(crate) fn print_fault(error: &dyn Fault, about: Option<&str>) {
    let (message, hint) = error.displayed();
    print_failure(error.code(), about, &message, hint.as_deref());
}

/// Prints for people what an error was elsewhere, and what it is about.
pub(crate) fn print_failure(code: &str, about: Option<&str>, message: &str, hint: Option<&str>) {
    let (red, cyan) = (bold(AnsiColor::Red), bold(AnsiColor::Cyan));
    let about = about.map(|about| format!("{}: ", printable(about)));
    let about = about.unwrap_or_default();
    let (code, message) = (printable(code), indent(message));
    anstream::eprintln!("{red}error[{code}]{red:#}: {about}{message}");
    if let Some(hint) = hint {
        anstream::eprintln!("{cyan}hint{cyan:#}: {}", indent(hint));
    }
}

/// Prints for people what they can do next.
#[cfg(feature = "aws")]
pub(crate) fn print_hint(hint: &str) {
    let cyan = bold(AnsiColor::Cyan);
    anstream::eprintln!("{cyan}hint{cyan:#}: {}", indent(hint));
}

/// Prints errors for people, each with the name of what it is about.
pub(crate) fn print_faults<'a>(errors: impl Iterator<Item = (&'a str, &'a dyn Fault)>) {
    let errors = errors.map(|(about, error)| (about, Said(error)));
    for (Said(error), names) in grouped(errors) {
        print_fault(error, Some(&names.join(", ")));
    }
}

/// An error, equal to those that say the same.
struct Said<'a>(&'a dyn Fault);

impl PartialEq for Said<'_> {
    fn eq(&self, other: &Self) -> bool {
        let said = |error: &dyn Fault| (error.code(), error.to_string(), error.hint());
        said(self.0) == said(other.0)
    }
}

/// What is said alike of several things is said once, with all of their names.
pub(crate) fn grouped<'a, T: PartialEq>(
    said: impl Iterator<Item = (&'a str, T)>,
) -> Vec<(T, Vec<&'a str>)> {
    let mut groups: Vec<(T, Vec<&str>)> = Vec::new();
    for (about, what) in said {
        match groups.iter_mut().find(|(known, _)| *known == what) {
            Some((_, names)) => names.push(about),
            None => groups.push((what, vec![about])),
        }
    }
    groups
}

/// Prints a warning for people.
pub(crate) fn print_warning(about: &str, warning: &str) {
    let yellow = bold(AnsiColor::Yellow);
    let (about, warning) = (printable(about), indent(warning));
    anstream::eprintln!("{yellow}warning{yellow:#}: {about}: {warning}");
}

/// Prints for people what is no problem.
pub(crate) fn print_note(note: &str) {
    let green = bold(AnsiColor::Green);
    anstream::eprintln!("{green}note{green:#}: {}", indent(note));
}

fn bold(color: AnsiColor) -> Style {
    color.on_default().bold()
}

/// The lines after the first one indented, so that they are seen to belong to it. What packages
/// and servers say is in there: no line may do more than show.
fn indent(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(printable).collect();
    lines.join("\n  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_documented() {
        let formats = include_str!("../../docs/formats.md");
        let tables = [
            accretion_python::Error::CODES,
            accretion_layer::Error::CODES,
            accretion_local::Error::CODES,
            accretion_service::Error::CODES,
            #[cfg(feature = "aws")]
            crate::cloud::Error::CODES,
            #[cfg(feature = "aws")]
            crate::cloud::StackError::CODES,
            Error::CODES,
        ];
        for (code, class) in tables.into_iter().flatten() {
            let row = format!("\n| `{code}` | {class} | ");
            assert!(formats.contains(&row), "docs/formats.md lacks{row}");
        }
    }
}
