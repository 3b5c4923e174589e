//! The errors that can keep the pipeline from running on this machine.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// An error that can keep the pipeline from running on this machine.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder could not be used.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A program could not be started.
    #[error("{program} could not be started: {source}; `make tools` installs it")]
    ToolMissing {
        /// The program.
        program: String,
        /// The cause.
        source: std::io::Error,
    },
    /// A program failed.
    #[error("`{command}` failed ({status})\n{output}")]
    CommandFailed {
        /// The command line.
        command: String,
        /// The status with which it ended.
        status: String,
        /// The output of the program.
        output: String,
    },
    /// The emulator ended or did not answer.
    #[error("MiniStack {problem}; its log ends with\n{log}")]
    Emulator {
        /// The problem.
        problem: String,
        /// The end of its log.
        log: String,
    },
    /// A call of an AWS API failed.
    #[error("{call}: {problem}")]
    Aws {
        /// The call.
        call: &'static str,
        /// The error and its causes.
        problem: String,
    },
    /// Something did not come.
    #[error("no {what} within {} s", after.as_secs())]
    Timeout {
        /// The thing that was waited for.
        what: String,
        /// For how long.
        after: Duration,
    },
    /// Something that came is not what it should be.
    #[error("{0}")]
    Unexpected(String),
}

/// The result of the functions here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Makes a function that says which call failed, and why.
    pub fn aws<E: std::error::Error>(call: &'static str) -> impl FnOnce(E) -> Self {
        move |error| {
            let mut problem = error.to_string();
            let mut cause = error.source();
            while let Some(error) = cause {
                problem = format!("{problem}: {error}");
                cause = error.source();
            }
            Self::Aws { call, problem }
        }
    }

    /// Makes a function that says which file or folder could not be used.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io {
            path: path.to_owned(),
            source,
        }
    }
}
