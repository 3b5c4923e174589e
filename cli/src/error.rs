//! Errors that end the command, for people, programs and shells.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use accretion_core::Fault;
use accretion_core::diagnostic::{ProblemRecord, Report};
use accretion_python::request::InputUnsupported;
use accretion_service::ports::PortError;
use serde::Serialize;

use crate::args::Format;
use crate::exit::{USAGE, code_of};
use crate::print::{self, ErrorRecord};

/// An error that ends the command before it has a result.
#[derive(Debug, thiserror::Error, Fault)]
pub(crate) enum Error {
    #[error("{} cannot be read: {error}", path.display())]
    #[fault(User)]
    InputUnreadable { path: PathBuf, error: io::Error },
    #[error("the folder {} has neither a lock file nor a requirements file", folder.display())]
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
    #[error("the project has no name, and the name of the folder, `{folder}`, is no project name")]
    #[fault(
        User,
        hint = "name it with --name: letters, digits, `-` and `_`, at most 70"
    )]
    NameMissing { folder: String },
    #[error("the folder {} cannot be written: {error}", path.display())]
    #[fault(Internal)]
    FolderUnwritable { path: PathBuf, error: io::Error },
    #[error("the folder {} has no files for a layer", path.display())]
    #[fault(
        User,
        hint = "hidden files, `__pycache__`, a `requirements.txt` at the top and ignored files are \
                left out: include hidden files with --hidden, and any file with a `!` in an \
                .accretionignore"
    )]
    IncludeEmpty { path: PathBuf },
    #[error("{} cannot be a part of the layer: {problem}", path.display())]
    #[fault(User)]
    ProjectUnusable { path: PathBuf, problem: String },
    #[error("the request names files of an inbox, which only the pipeline reads")]
    #[fault(
        User,
        hint = "remove `Files` from the request, and name a local folder with --include"
    )]
    FilesElsewhere,
    #[error("the lock would overwrite its input, {}", path.display())]
    #[fault(
        User,
        hint = "choose another folder with --output, or another name with --name"
    )]
    LockIsInput { path: PathBuf },
    #[error("no folder for the cache is known")]
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

impl From<accretion_local::Error> for Error {
    fn from(error: accretion_local::Error) -> Self {
        Self::Service(PortError::new(error).into())
    }
}

impl Error {
    /// The error of an unreadable input.
    pub(crate) fn unreadable(path: &Path, error: io::Error) -> Self {
        Self::InputUnreadable {
            path: path.to_owned(),
            error,
        }
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
    print::joined(paths.iter().map(|path| path.display()))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a> {
    error: ErrorRecord,
    problems: Vec<ProblemRecord<'a>>,
}

impl Error {
    /// Prints the error.
    pub(crate) fn print(&self, format: Format) {
        match (format, self) {
            (Format::Json, error) => {
                let problems = match error {
                    Self::InputInvalid(report) => report.records(),
                    _ => Vec::new(),
                };
                print::json(&Document {
                    error: error.into(),
                    problems,
                });
            }
            (Format::Text, Self::InputInvalid(report)) => {
                anstream::eprint!("{}", report.render_coloured());
            }
            (Format::Text, error) => print::fault(error, None),
        }
    }

    /// The exit code of the command.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::NameMissing { .. } => ExitCode::from(USAGE),
            #[cfg(feature = "aws")]
            Self::Cloud(error) => ExitCode::from(error.exit_code()),
            error => ExitCode::from(code_of(error.class())),
        }
    }
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
            accretion_egress::Error::CODES,
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
