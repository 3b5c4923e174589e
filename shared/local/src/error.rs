//! The errors of the adapters on one machine.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use accretion_core::Fault;
use accretion_core::digest::Sha256;
use accretion_core::limits::Limits;
use accretion_python::{substitute, without_wheel};
use accretion_service::ports::{Condition, PortError};

/// The oldest uv that will do: the first one that has all options, and says why it fails in the words
/// that are known.
pub(crate) const OLDEST_UV: &str = "0.13.0";

/// An error of an adapter on this machine.
#[derive(Debug, thiserror::Error, Fault)]
pub enum Error {
    /// uv is missing.
    #[error("uv was not found{}", at.as_ref().map(|at| format!(" at {}", at.display())).unwrap_or_default())]
    #[fault(
        Internal,
        hint = "install it (`pip install uv`), or set ACCRETION_UV to its path"
    )]
    UvMissing {
        /// The expected path; `None` for the folder of this program and those of `PATH`.
        at: Option<PathBuf>,
    },
    /// uv failed in a way we do not know.
    #[error("uv failed: {output}")]
    #[fault(Internal)]
    UvFailed {
        /// Its output.
        output: String,
    },
    /// uv is older than the oldest supported version.
    #[error("{} is uv {found}, and uv {OLDEST_UV} or newer is needed", program.display())]
    #[fault(
        Internal,
        hint = "update it (`pip install --upgrade uv`, or `uv self update`), or set ACCRETION_UV \
                to the path of a newer one"
    )]
    UvOutdated {
        /// The program.
        program: PathBuf,
        /// Its version.
        found: String,
    },
    /// No Python interpreter was found.
    #[error("no Python interpreter was found; uv needs one to resolve")]
    #[fault(
        Internal,
        hint = "install any Python 3, or set ACCRETION_PYTHON to an interpreter's path"
    )]
    PythonMissing,
    /// The requirements contradict each other, or what exists.
    #[error("the requirements cannot be satisfied: {explanation}")]
    #[fault(User, hint = instead_of_contradiction(explanation, *lacks_wheels))]
    RequirementsUnsatisfiable {
        /// uv's explanation.
        explanation: String,
        /// True if it names a package without wheels, among other reasons.
        lacks_wheels: bool,
    },
    /// A distribution is not in the index.
    #[error("a required package does not exist: {explanation}")]
    #[fault(User, hint = "check the name's spelling")]
    PackageNotFound {
        /// uv's explanation.
        explanation: String,
    },
    /// A distribution's metadata can't be used.
    #[error("a required package cannot be used: {explanation}")]
    #[fault(
        User,
        hint = "require another version of the package, and tell its maintainers"
    )]
    PackageUnusable {
        /// uv's explanation.
        explanation: String,
    },
    /// A distribution has no wheel that the target can use, and source distributions are not
    /// allowed.
    #[error("a required package has no wheel for {target}: {explanation}")]
    #[fault(User, hint = without_wheel(explanation, *has_source))]
    WheelNotFound {
        /// The target, as people read it.
        target: String,
        /// uv's explanation.
        explanation: String,
        /// True if it has a source distribution.
        has_source: bool,
    },
    /// A distribution has no wheel, and its index needs credentials. Build sandboxes get none, so
    /// they can't read the requirements of its source.
    #[error("build sandboxes do not get the credentials of the indexes: {problem}")]
    #[fault(
        User,
        hint = "require a version that has a wheel, or send what `accretion lock` writes: the \
                sources that it names can be built"
    )]
    SandboxOutOfReach {
        /// The distribution without a wheel.
        problem: String,
    },
    /// The package index refuses access.
    #[error("the package index refused to answer: {explanation}")]
    #[fault(User, hint = "{SERVER_ACCESS}")]
    IndexForbidden {
        /// uv's explanation.
        explanation: String,
    },
    /// Packages are not in the index that they come from alone.
    #[error("the index that it comes from alone does not have {packages}: {explanation}")]
    #[fault(
        User,
        hint = "check the package's name, upload it there, or take it out of the index's `Packages`"
    )]
    PinnedPackageNotFound {
        /// The packages and their indexes.
        packages: String,
        /// uv's explanation.
        explanation: String,
    },
    /// A server does not have a file that the lock names, or does not give it out.
    #[error("{host} does not {} `{file}` (HTTP status {status})", if is_gone(*status) { "have" } else { "give out" })]
    #[fault(User, hint = instead_of_file(*status).to_owned())]
    FileNotFound {
        /// The server.
        host: String,
        /// The file's name.
        file: String,
        /// The server's answer.
        status: u16,
    },
    /// A download ended early.
    #[error("`{file}` was cut off after {received} of {expected} bytes")]
    #[fault(
        Transient,
        hint = "check the network and try again; finished downloads stay in the cache"
    )]
    DownloadIncomplete {
        /// The file's name.
        file: String,
        /// Bytes that came.
        received: u64,
        /// Bytes that were announced.
        expected: u64,
    },
    /// A file is larger than the limit.
    #[error("`{file}` has more than {limit} bytes, the limit for one download")]
    #[fault(User, hint = within_limit(*limit))]
    DownloadTooLarge {
        /// The file's name.
        file: String,
        /// The number of bytes that it may have.
        limit: u64,
    },
    /// A file is not the one that was locked.
    #[error("`{file}` has the SHA-256 {actual}; expected was {expected}")]
    #[fault(
        User,
        hint = "it was damaged on its way, or replaced: try again, and lock it again only if you \
                know why it changed"
    )]
    HashMismatch {
        /// The file's name.
        file: String,
        /// The locked hash.
        expected: Sha256,
        /// The hash of the download.
        actual: Sha256,
    },
    /// The folder has a layer of that name with other content, from another input.
    #[error("{} was built from {other}, and {input} would overwrite it", zip.display())]
    #[fault(
        User,
        hint = "name the project with --name, write to another folder with --output, or delete \
                what is there"
    )]
    LayerOfOtherInput {
        /// The layer's zip.
        zip: PathBuf,
        /// The name of the file that it was built from.
        other: String,
        /// The name of the file that is being built.
        input: String,
    },
    /// Something is not in the cache, and the network may not be used.
    #[error("{what} is not in the cache, and the network is off")]
    #[fault(User, hint = "build once without --offline")]
    Offline {
        /// Its description.
        what: String,
    },
    /// The files of a build are larger than the limit.
    #[error("the files of the layer have more than {limit} bytes, the limit for one build")]
    #[fault(User, hint = within_limit(*limit))]
    DownloadsTooLarge {
        /// The number of bytes that they may have.
        limit: u64,
    },
    /// A download takes too long.
    #[error("`{file}` had not come from {host} after {} seconds", limit.as_secs())]
    #[fault(User, hint = "try again later, or put it on a faster server")]
    DownloadTooSlow {
        /// The server.
        host: String,
        /// The file's name.
        file: String,
        /// The time that it may take.
        limit: Duration,
    },
    /// To resolve the requirements, or to build a package, costs more than the limit.
    #[error("the requirements cost too much to resolve: {problem}")]
    #[fault(
        User,
        hint = "name versions, as in `example>=2,<3`, or lock the requirements in a `pylock.toml`"
    )]
    ResolutionOverLimit {
        /// The limit, and its value.
        problem: String,
    },
    /// A package was built for another architecture, and is not pure Python.
    #[error("`{file}` cannot be built on this machine for {target}: its wheel {problem}")]
    #[fault(
        User,
        hint = "require a version that has a wheel, or build on a machine of the target's \
                architecture"
    )]
    ArchitectureForeign {
        /// The source distribution's file name.
        file: String,
        /// The target, as people read it.
        target: String,
        /// The evidence for it, with the wheel as its subject.
        problem: String,
    },
    /// No interpreter was found to build a package with.
    #[error(
        "`{file}` has to be built from source, and there is no {python} on this machine: the folders \
         of PATH have neither `{python}` nor a `python3` of that version"
    )]
    #[fault(
        User,
        hint = format!(
            "install it into a folder of PATH (`uv python install {}` takes ~/.local/bin), set \
             ACCRETION_PYTHON to its path, or require a version of the package that has a wheel",
            python.trim_start_matches("python")
        )
    )]
    InterpreterMissing {
        /// The source distribution's file name.
        file: String,
        /// The interpreter's name, such as `python3.13`.
        python: String,
    },
    /// A package could not be built.
    #[error("`{file}` could not be built:\n{output}")]
    #[fault(
        User,
        hint = "it may need compilers or libraries, which a wheel does not"
    )]
    SourceBuildFailed {
        /// The source distribution's file name.
        file: String,
        /// The end of what the build wrote.
        output: String,
    },
    /// A package could not be built without a program, such as a compiler.
    #[error("`{file}` could not be built: it needs `{program}`, which is not there\n{output}")]
    #[fault(
        User,
        hint = "require a version that has a wheel, or build the layer with the `accretion` command on a \
                machine of the target's architecture that has {program}"
    )]
    SourceNeedsCompiler {
        /// The source distribution's file name.
        file: String,
        /// The missing program.
        program: String,
        /// The end of what the build wrote.
        output: String,
    },
    /// To build a package costs more than the limit.
    #[error("`{file}` costs too much to build: {problem}")]
    #[fault(
        User,
        hint = "require a version that has a wheel, or build the layer with the `accretion` command"
    )]
    SourceBuildOverLimit {
        /// The source distribution's file name.
        file: String,
        /// The limit, and its value.
        problem: String,
    },
    /// A build has left processes behind that can't be ended.
    #[error("processes of a build could not be ended: {problem}")]
    #[fault(Internal)]
    BuildNotEnded {
        /// The failure.
        problem: String,
    },
    /// A build waits for results of build sandboxes. The builder answers with the orders.
    #[error("{orders} results of build sandboxes are pending")]
    #[fault(Internal)]
    SandboxResultsPending {
        /// Their number.
        orders: usize,
    },
    /// An order that a build sandbox got can't be carried out: what it names is not there any more, or
    /// not what it says.
    #[error("the order of `{key}` cannot be carried out: {problem}")]
    #[fault(Internal, hint = "drop the request again")]
    OrderInvalid {
        /// The key of what was ordered.
        key: String,
        /// The problem with it.
        problem: String,
    },
    /// An extra file can't be read.
    #[error("{} cannot be read: {error}", path.display())]
    #[fault(User)]
    LayerFileUnreadable {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// A file can't be copied into a layer.
    #[error("{} cannot go into a layer: {problem}", path.display())]
    #[fault(
        User,
        hint = "take it out of the folder, or name it in an .accretionignore"
    )]
    LayerFileRefused {
        /// The file or folder.
        path: PathBuf,
        /// The reason, as a sentence.
        problem: String,
    },
    /// The zip of a published layer could not be read.
    #[error("the layer's zip could not be read: {problem}")]
    #[fault(Transient, hint = "try it again")]
    LayerUnreadable {
        /// The failure; never the URL, which is signed.
        problem: String,
    },
    /// A file says what stays out of layers, and can't be understood.
    #[error("{} cannot be understood: {problem}", path.display())]
    #[fault(User, hint = "correct the line, or take it out")]
    IgnoreFileInvalid {
        /// The `.gitignore` or `.accretionignore`.
        path: PathBuf,
        /// The problem with it, with the line.
        problem: String,
    },
    /// A file of the output could not be read or written.
    #[error(transparent)]
    #[fault(Internal, hint = "choose another folder with --output")]
    OutputUnwritable(FileFailure),
    /// A file of the cache could not be read or written.
    #[error(transparent)]
    #[fault(
        Internal,
        hint = "set ACCRETION_CACHE_DIR to a folder that can be written"
    )]
    CacheUnusable(FileFailure),
    /// A temporary file could not be read or written.
    #[error(transparent)]
    #[fault(Internal, hint = "set TMPDIR to a folder that can be written")]
    TemporaryFolderUnusable(FileFailure),
    /// The network can't be used.
    #[error(transparent)]
    #[fault(transparent)]
    Egress(#[from] accretion_egress::Error),
    /// A Python package can't be used.
    #[error(transparent)]
    #[fault(transparent)]
    Python(#[from] accretion_python::Error),
    /// A layer can't be made.
    #[error(transparent)]
    #[fault(transparent)]
    Layer(#[from] accretion_layer::Error),
}

/// A failure to read or write a file or folder.
#[derive(Debug, thiserror::Error)]
#[error("{action} {}: {problem}", path.display())]
pub struct FileFailure {
    action: &'static str,
    path: PathBuf,
    problem: String,
}

impl FileFailure {
    /// `action` is the attempt: "could not write", for example.
    fn new(action: &'static str, path: &Path, error: &io::Error) -> Self {
        // `tempfile` adds the path, which is named already.
        let text = error.to_string();
        let (problem, _) = text.split_once(" at path \"").unwrap_or((&text, ""));
        Self {
            action,
            path: path.to_owned(),
            problem: problem.to_owned(),
        }
    }
}

impl Error {
    /// The condition by which a use case decides what to do about it.
    pub(crate) fn condition(&self) -> Option<Condition> {
        match self {
            Self::WheelNotFound { .. } => Some(Condition::NoFittingFile),
            Self::FileNotFound { .. } => Some(Condition::FileMoved),
            _ => None,
        }
    }

    /// The error about a file or folder of the cache.
    pub(crate) fn cache(action: &'static str, path: &Path) -> impl Fn(io::Error) -> Self + Copy {
        move |error| Self::CacheUnusable(FileFailure::new(action, path, &error))
    }

    /// The error about a file or folder of the output.
    pub(crate) fn output(action: &'static str, path: &Path) -> impl Fn(io::Error) -> Self + Copy {
        move |error| Self::OutputUnwritable(FileFailure::new(action, path, &error))
    }

    /// The error about a file or folder for temporary files.
    pub fn temporary(action: &'static str, path: &Path) -> impl Fn(io::Error) -> Self + Copy {
        move |error| Self::TemporaryFolderUnusable(FileFailure::new(action, path, &error))
    }

    /// The error about an extra file.
    pub(crate) fn unreadable(path: &Path) -> impl Fn(io::Error) -> Self + Copy {
        move |error| Self::LayerFileUnreadable {
            path: path.to_owned(),
            error,
        }
    }
}

impl From<Error> for PortError {
    fn from(error: Error) -> Self {
        let condition = error.condition();
        Self::new(error).with_condition(condition)
    }
}

/// The advice about requirements that contradict each other.
fn instead_of_contradiction(explanation: &str, lacks_wheels: bool) -> String {
    if lacks_wheels && substitute(explanation).is_some() {
        without_wheel(explanation, true)
    } else {
        "relax one of the requirements named".to_owned()
    }
}

/// The advice about a file that its server does not send.
fn instead_of_file(status: u16) -> &'static str {
    if is_gone(status) {
        "it may have been removed from the index; a lock file has to be made again then"
    } else {
        SERVER_ACCESS
    }
}

/// The advice about downloads over a limit.
fn within_limit(limit: u64) -> String {
    let largest = Limits::LAYER_BYTES;
    if limit < largest {
        return "require smaller packages, or have the parameters MaximumWheelMiB and \
                MaximumDownloadMiB of the stack raised"
            .to_owned();
    }
    format!(
        "it cannot fit: Lambda takes {} MiB unzipped of a function and all of its layers together. \
         Builds for GPUs are that large: take one for CPUs, if it is smaller, from an index that has \
         it (--index NAME=URL, in a request `Indexes`), or make the function a container image, which \
         may have 10 GB",
        largest >> 20
    )
}

/// The advice about a server that refuses to answer.
const SERVER_ACCESS: &str = "check the URL, and the credentials that open its server";

fn is_gone(status: u16) -> bool {
    matches!(status, 404 | 410)
}
