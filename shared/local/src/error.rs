//! What can go wrong on this machine.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use accretion_core::digest::Sha256;
use accretion_core::error::{substitute, without_wheel};
use accretion_core::limits::Limits;
use accretion_core::{Class, Fault, fault_codes};

use crate::uv::OLDEST_UV;

/// What a folder is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Layers.
    Output,
    /// Wheels, and what uv knows.
    Cache,
    /// What is not kept.
    Temporary,
}

/// What can go wrong on this machine.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no uv.
    #[error("uv was not found{}", at.as_ref().map(|at| format!(" at {}", at.display())).unwrap_or_default())]
    UvMissing {
        /// Where it should have been; `None` for the folders of `PATH`.
        at: Option<PathBuf>,
    },
    /// uv failed in a way we do not know.
    #[error("uv failed: {output}")]
    UvFailed {
        /// What it wrote.
        output: String,
    },
    /// uv is older than the oldest one that will do.
    #[error("{} is uv {found}, and uv {OLDEST_UV} or newer is needed", program.display())]
    UvOutdated {
        /// The program.
        program: PathBuf,
        /// Its version.
        found: String,
    },
    /// There is no Python interpreter.
    #[error("no Python interpreter was found; uv needs one to resolve")]
    PythonMissing,
    /// The requirements contradict each other, or what exists.
    #[error("the requirements cannot be satisfied: {explanation}")]
    RequirementsUnsatisfiable {
        /// What uv found out.
        explanation: String,
    },
    /// A distribution is not in the index.
    #[error("a required package does not exist: {explanation}")]
    PackageNotFound {
        /// What uv found out.
        explanation: String,
    },
    /// What a distribution says of itself can't be used.
    #[error("a required package cannot be used: {explanation}")]
    PackageUnusable {
        /// What uv found out.
        explanation: String,
    },
    /// A distribution has no wheel that the target can use, and source distributions are not
    /// allowed.
    #[error("a required package has no wheel for {target}: {explanation}")]
    WheelNotFound {
        /// The target, as people read it.
        target: String,
        /// What uv found out.
        explanation: String,
        /// True if it has a source distribution.
        has_source: bool,
    },
    /// A distribution has no wheel, and its index needs credentials, which build sandboxes do not get: they
    /// can't find out what its source requires.
    #[error("build sandboxes do not get the credentials of the indexes: {problem}")]
    SandboxOutOfReach {
        /// Which distribution has no wheel.
        problem: String,
    },
    /// An index or file server did not answer as it should.
    #[error("{host} could not be reached or did not answer as it should: {problem}")]
    UpstreamUnavailable {
        /// The server; never a whole URL, which may hold a secret.
        host: String,
        /// What happened.
        problem: String,
    },
    /// The package index lets nobody in, or not us.
    #[error("the package index refused to answer: {explanation}")]
    IndexForbidden {
        /// What uv found out.
        explanation: String,
    },
    /// Packages are not in the index that they come from alone.
    #[error("the index that it comes from alone does not have {packages}: {explanation}")]
    PinnedPackageNotFound {
        /// The packages and their indexes.
        packages: String,
        /// What uv found out.
        explanation: String,
    },
    /// A package would come from elsewhere than it may.
    #[error("`{package}` would not come from `{index}`, or `{index}` is not for it")]
    PinNotKept {
        /// The package.
        package: String,
        /// The name of the index that it comes from alone.
        index: String,
    },
    /// A server does not have a file that the lock names, or does not give it out.
    #[error("{host} does not {} `{file}` (HTTP status {status})", if is_gone(*status) { "have" } else { "give out" })]
    FileNotFound {
        /// The server.
        host: String,
        /// The file's name.
        file: String,
        /// What the server said.
        status: u16,
    },
    /// A download ended early.
    #[error("`{file}` was cut off after {received} of {expected} bytes")]
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
    DownloadTooLarge {
        /// The file's name.
        file: String,
        /// How many bytes it may have.
        limit: u64,
    },
    /// A file is not the one that was locked.
    #[error("`{file}` has the SHA-256 {actual}; expected was {expected}")]
    HashMismatch {
        /// The file's name.
        file: String,
        /// What was locked.
        expected: Sha256,
        /// What came.
        actual: Sha256,
    },
    /// The folder has a layer of that name with other content, from another input.
    #[error("{} was built from {other}, and {input} would overwrite it", zip.display())]
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
    Offline {
        /// What it is, in words.
        what: String,
    },
    /// Something would not be encrypted on its way.
    #[error("{what} would come over plain HTTP from {host}")]
    InsecureUrl {
        /// The server.
        host: String,
        /// What it is, in words.
        what: String,
    },
    /// An address is one of this machine, where they are refused.
    #[error("{what} would come from {host}, an address of the machine that builds the layer")]
    LocalAddressRefused {
        /// The server.
        host: String,
        /// What it is, in words.
        what: String,
    },
    /// A server is not among those that the operator allows.
    #[error("{what} would come from {host}, which is not among the allowed hosts")]
    HostNotAllowed {
        /// The server.
        host: String,
        /// What it is, in words.
        what: String,
    },
    /// The files of a build are larger than the limit.
    #[error("the files of the layer have more than {limit} bytes, the limit for one build")]
    DownloadsTooLarge {
        /// How many bytes they may have.
        limit: u64,
    },
    /// A file takes too long to come.
    #[error("`{file}` had not come from {host} after {} seconds", limit.as_secs())]
    DownloadTooSlow {
        /// The server.
        host: String,
        /// The file's name.
        file: String,
        /// How long it may take.
        limit: Duration,
    },
    /// To resolve the requirements, or to build a package, costs more than the limit.
    #[error("the requirements cost too much to resolve: {problem}")]
    ResolutionOverLimit {
        /// Which limit, and what it is.
        problem: String,
    },
    /// A package was built for another architecture, and is not pure Python.
    #[error("`{file}` cannot be built on this machine for {target}: its wheel {problem}")]
    ArchitectureForeign {
        /// The source distribution's file name.
        file: String,
        /// The target, as people read it.
        target: String,
        /// The evidence for it, with the wheel as its subject.
        problem: String,
    },
    /// There is no interpreter to build a package with.
    #[error(
        "`{file}` has to be built from source, and there is no {python} on this machine: the folders \
         of PATH have neither `{python}` nor a `python3` of that version"
    )]
    InterpreterMissing {
        /// The source distribution's file name.
        file: String,
        /// The interpreter's name, such as `python3.13`.
        python: String,
    },
    /// A package could not be built.
    #[error("`{file}` could not be built:\n{output}")]
    SourceBuildFailed {
        /// The source distribution's file name.
        file: String,
        /// The end of what the build wrote.
        output: String,
    },
    /// A package could not be built for want of a program, such as a compiler.
    #[error("`{file}` could not be built: it needs `{program}`, which is not there\n{output}")]
    SourceNeedsCompiler {
        /// The source distribution's file name.
        file: String,
        /// What is not there.
        program: String,
        /// The end of what the build wrote.
        output: String,
    },
    /// To build a package costs more than the limit.
    #[error("`{file}` costs too much to build: {problem}")]
    SourceBuildOverLimit {
        /// The source distribution's file name.
        file: String,
        /// Which limit, and what it is.
        problem: String,
    },
    /// A build has left processes behind that can't be ended.
    #[error("processes of a build could not be ended: {problem}")]
    BuildNotEnded {
        /// What happened.
        problem: String,
    },
    /// A build sandbox has to make something first.
    #[error("{orders} things have to be made by build sandboxes first")]
    OrderedFirst {
        /// How many.
        orders: usize,
    },
    /// An order that a build sandbox got can't be carried out: what it names is not there any more, or
    /// not what it says.
    #[error("the order of `{key}` cannot be carried out: {problem}")]
    OrderInvalid {
        /// The key of what was ordered.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A file that is to be copied into a layer can't be read.
    #[error("{} cannot be read: {error}", path.display())]
    LayerFileUnreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A file can't be copied into a layer.
    #[error("{} cannot go into a layer: {problem}", path.display())]
    LayerFileRefused {
        /// The file or folder.
        path: PathBuf,
        /// Why not, as a sentence.
        problem: String,
    },
    /// The zip of a published layer could not be read.
    #[error("the layer's zip could not be read: {problem}")]
    LayerUnreadable {
        /// What happened; never the URL, which is signed.
        problem: String,
    },
    /// A file says what stays out of layers, and can't be understood.
    #[error("{} cannot be understood: {problem}", path.display())]
    IgnoreFileInvalid {
        /// The `.gitignore` or `.accretionignore`.
        path: PathBuf,
        /// What is wrong with it, with the line.
        problem: String,
    },
    /// A file of the cache, of the output or of the temporary ones could not be read or written.
    #[error("{action} {}: {error}", path.display())]
    Files {
        /// What was tried: "could not write", for example.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the folder is for.
        purpose: Purpose,
        /// What the system said.
        error: io::Error,
    },
    /// The domain refuses.
    #[error(transparent)]
    Core(#[from] accretion_core::Error),
}

impl Error {
    pub(crate) fn cache(action: &'static str, path: &Path, error: io::Error) -> Self {
        Self::files(Purpose::Cache, action, path, error)
    }

    pub(crate) fn output(action: &'static str, path: &Path, error: io::Error) -> Self {
        Self::files(Purpose::Output, action, path, error)
    }

    /// Something about a file below the folder for temporary files.
    pub(crate) fn temporary(action: &'static str, path: &Path, error: io::Error) -> Self {
        Self::files(Purpose::Temporary, action, path, error)
    }

    fn files(purpose: Purpose, action: &'static str, path: &Path, error: io::Error) -> Self {
        Self::Files {
            action,
            path: path.to_owned(),
            purpose,
            error: plain(error),
        }
    }
}

/// The advice about files that are larger than any layer: several layers hold no more than one.
const SMALLER_BUILD: &str = "it cannot fit: Lambda takes 250 MiB unzipped of a function and all of \
                             its layers together. Builds for GPUs are that large: take one for \
                             CPUs, if it is smaller, from an index that has it (--index NAME=URL, \
                             in a request `Indexes`), or make the function a container image, \
                             which may have 10 GB";

fn is_gone(status: u16) -> bool {
    matches!(status, 404 | 410)
}

/// The system's error without the path that `tempfile` adds: ours names it already.
fn plain(error: io::Error) -> io::Error {
    let text = error.to_string();
    match text.split_once(" at path \"") {
        Some((text, _)) => io::Error::new(error.kind(), text),
        None => error,
    }
}

fault_codes! {
    impl Error {
        Self::UvMissing { .. } => "UvMissing", Internal;
        Self::UvFailed { .. } => "UvFailed", Internal;
        Self::UvOutdated { .. } => "UvOutdated", Internal;
        Self::PythonMissing => "PythonMissing", Internal;
        Self::RequirementsUnsatisfiable { .. } => "RequirementsUnsatisfiable", User;
        Self::PackageNotFound { .. } => "PackageNotFound", User;
        Self::PackageUnusable { .. } => "PackageUnusable", User;
        Self::WheelNotFound { .. } => "WheelNotFound", User;
        Self::SandboxOutOfReach { .. } => "SandboxOutOfReach", User;
        Self::UpstreamUnavailable { .. } => "UpstreamUnavailable", Transient;
        Self::IndexForbidden { .. } => "IndexForbidden", User;
        Self::PinnedPackageNotFound { .. } => "PinnedPackageNotFound", User;
        Self::PinNotKept { .. } => "PinNotKept", User;
        Self::FileNotFound { .. } => "FileNotFound", User;
        Self::DownloadIncomplete { .. } => "DownloadIncomplete", Transient;
        Self::DownloadTooLarge { .. } => "DownloadTooLarge", User;
        Self::HashMismatch { .. } => "HashMismatch", User;
        Self::Offline { .. } => "Offline", User;
        Self::InsecureUrl { .. } => "InsecureUrl", User;
        Self::LocalAddressRefused { .. } => "LocalAddressRefused", User;
        Self::HostNotAllowed { .. } => "HostNotAllowed", User;
        Self::DownloadsTooLarge { .. } => "DownloadsTooLarge", User;
        Self::DownloadTooSlow { .. } => "DownloadTooSlow", User;
        Self::ResolutionOverLimit { .. } => "ResolutionOverLimit", User;
        Self::ArchitectureForeign { .. } => "ArchitectureForeign", User;
        Self::InterpreterMissing { .. } => "InterpreterMissing", User;
        Self::SourceBuildFailed { .. } => "SourceBuildFailed", User;
        Self::SourceNeedsCompiler { .. } => "SourceNeedsCompiler", User;
        Self::SourceBuildOverLimit { .. } => "SourceBuildOverLimit", User;
        Self::BuildNotEnded { .. } => "BuildNotEnded", Internal;
        Self::OrderedFirst { .. } => "OrderedFirst", Internal;
        Self::OrderInvalid { .. } => "OrderInvalid", Internal;
        Self::LayerFileUnreadable { .. } => "LayerFileUnreadable", User;
        Self::LayerFileRefused { .. } => "LayerFileRefused", User;
        Self::LayerOfOtherInput { .. } => "LayerOfOtherInput", User;
        Self::IgnoreFileInvalid { .. } => "IgnoreFileInvalid", User;
        Self::LayerUnreadable { .. } => "LayerUnreadable", Transient;
        Self::Files { purpose: Purpose::Output, .. } => "OutputUnwritable", Internal;
        Self::Files { purpose: Purpose::Cache, .. } => "CacheUnusable", Internal;
        Self::Files { purpose: Purpose::Temporary, .. } => "TemporaryFolderUnusable", Internal;
    }
    else {
        Self::Core(error) => error;
    }
}

impl Fault for Error {
    fn code(&self) -> &'static str {
        self.code_and_class().0
    }

    fn class(&self) -> Class {
        self.code_and_class().1
    }

    #[expect(clippy::too_many_lines, reason = "a table is as long as what it lists")]
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::UvMissing { .. } => {
                "install it (`pip install uv`), or set ACCRETION_UV to its path".into()
            }
            Self::UvOutdated { .. } => "update it (`pip install --upgrade uv`, or `uv self update`), \
                                        or set ACCRETION_UV to the path of a newer one"
                .into(),
            Self::UvFailed { .. }
            | Self::LayerFileUnreadable { .. }
            | Self::BuildNotEnded { .. }
            | Self::OrderedFirst { .. } => return None,
            Self::PythonMissing => {
                "install any Python 3, or set ACCRETION_PYTHON to an interpreter's path".into()
            }
            // What was said of it stands between others then.
            Self::RequirementsUnsatisfiable { explanation }
                if explanation.contains(" wheels") && substitute(explanation).is_some() =>
            {
                without_wheel(explanation, true)
            }
            Self::RequirementsUnsatisfiable { .. } => "relax one of the requirements named".into(),
            Self::PackageNotFound { .. } => "check the name's spelling".into(),
            Self::PackageUnusable { .. } => {
                "require another version of the package, and tell its maintainers".into()
            }
            Self::WheelNotFound {
                explanation,
                has_source,
                ..
            } => without_wheel(explanation, *has_source),
            Self::SandboxOutOfReach { .. } => {
                "require a version that has a wheel, or send what `accretion lock` writes: the \
                 sources that it names can be built"
                    .into()
            }
            Self::UpstreamUnavailable { .. } | Self::DownloadIncomplete { .. } => {
                "check the network and try again; what was downloaded is kept".into()
            }
            Self::LayerOfOtherInput { .. } => {
                "name the project with --name, write to another folder with --output, or delete \
                 what is there"
                    .into()
            }
            Self::FileNotFound { status, .. } if is_gone(*status) => {
                "it may have been removed from the index; a lock file has to be made again then"
                    .into()
            }
            Self::IndexForbidden { .. } | Self::FileNotFound { .. } => {
                "check the URL, and the credentials that open its server".into()
            }
            Self::PinnedPackageNotFound { .. } => {
                "check the package's name, upload it there, or take it out of the index's `Packages`"
                    .into()
            }
            Self::PinNotKept { .. } => {
                "require it by name and version, or correct the index's `Packages`".into()
            }
            Self::DownloadTooLarge { limit, .. } | Self::DownloadsTooLarge { limit }
                if *limit >= Limits::LAYER_BYTES =>
            {
                SMALLER_BUILD.into()
            }
            Self::DownloadTooLarge { .. } | Self::DownloadsTooLarge { .. } => {
                "require smaller packages, or have the parameters MaximumWheelMiB and \
                 MaximumDownloadMiB of the stack raised"
                    .into()
            }
            Self::HashMismatch { .. } => {
                "it was damaged on its way, or replaced: try again, and lock it again only if you \
                 know why it changed"
                    .into()
            }
            Self::Offline { .. } => "build once without --offline".into(),
            Self::InsecureUrl { .. } => "use https".into(),
            Self::LocalAddressRefused { .. } => {
                "put it on a server that can be reached from there, such as a package index".into()
            }
            Self::HostNotAllowed { .. } => {
                "require it from the package index, or have the host added to the parameter \
                 AllowedHosts of the stack"
                    .into()
            }
            Self::DownloadTooSlow { .. } => "try again later, or put it on a faster server".into(),
            Self::ResolutionOverLimit { .. } => {
                "name versions, as in `example>=2,<3`, or lock the requirements in a `pylock.toml`"
                    .into()
            }
            Self::ArchitectureForeign { .. } => {
                "require a version that has a wheel, or build on a machine of the target's \
                 architecture"
                    .into()
            }
            Self::InterpreterMissing { python, .. } => {
                let version = python.trim_start_matches("python");
                format!(
                    "install it into a folder of PATH (`uv python install {version}` takes \
                     ~/.local/bin), set ACCRETION_PYTHON to its path, or require a version of the \
                     package that has a wheel"
                )
            }
            Self::SourceBuildFailed { .. } => {
                "it may need compilers or libraries, which a wheel does not"
                    .into()
            }
            Self::SourceNeedsCompiler { program, .. } => format!(
                "require a version that has a wheel, or build the layer with the `accretion` \
                 command on a machine of the target's architecture that has {program}"
            ),
            Self::SourceBuildOverLimit { .. } => "require a version that has a wheel, or build \
                                                  the layer with the `accretion` command"
                .into(),
            Self::OrderInvalid { .. } => "drop the request again".into(),
            Self::LayerFileRefused { .. } => {
                "take it out of the folder, or name it in an .accretionignore".into()
            }
            Self::LayerUnreadable { .. } => "try it again".into(),
            Self::IgnoreFileInvalid { .. } => "correct the line, or take it out".into(),
            Self::Files { purpose, .. } => match purpose {
                Purpose::Output => "choose another folder with --output".into(),
                Purpose::Cache => "set ACCRETION_CACHE_DIR to a folder that can be written".into(),
                Purpose::Temporary => "set TMPDIR to a folder that can be written".into(),
            },
            Self::Core(error) => return error.hint(),
        })
    }
}
