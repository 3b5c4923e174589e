//! The errors of this crate.

use accretion_core::excerpt::shown;
use accretion_core::fault::Fault;

use crate::oversize::{Oversize, mebibytes};
use crate::secrets::{self, Secret};

/// An error of making a layer.
#[derive(Debug, thiserror::Error, Fault)]
pub enum Error {
    /// Two packages claim paths that can't both exist, or differ in what they put there.
    #[error("`{path}` is claimed by {}", claimants.join(" and "))]
    #[fault(
        User,
        hint = "leave one of the packages out, or let the one that sorts last win (no --strict)"
    )]
    LayerConflict {
        /// The path below the layer's root.
        path: String,
        /// The archives of the packages that claim it.
        claimants: Vec<String>,
    },
    /// An extra file has the path of an installed one.
    #[error("`{path}` is in {folder}, and is installed by {package}, too")]
    #[fault(
        User,
        hint = "rename the file, or take the package out of the requirements"
    )]
    FileConflict {
        /// The path below the layer's root.
        path: String,
        /// A description of its folder.
        folder: String,
        /// The archive of the package.
        package: String,
    },
    /// Extra files contain secrets.
    #[error("files for the layer contain secrets: {}", secrets::listed(secrets))]
    #[fault(User, hint = letting_in(secrets))]
    SecretFound {
        /// The secrets, by file.
        secrets: Vec<Secret>,
    },
    /// Packed extra files differ from what was packed.
    #[error("the packed files cannot be used: {problem}")]
    #[fault(
        Internal,
        hint = "the artifacts bucket was changed from outside: drop the request again"
    )]
    OwnFilesInvalid {
        /// The problem with them.
        problem: String,
    },
    /// Extra files belong to a package that is not in the same folder of the layer.
    #[error(
        "{folder} adds files to the package `{package}`, which {archive} installs, and which is not \
         the same for all runtimes"
    )]
    #[fault(
        User,
        hint = "publish one layer for each runtime, or move the files to a package of their own"
    )]
    PackageSplit {
        /// The package's path below the layer's root.
        package: String,
        /// A description of their folder.
        folder: String,
        /// The archive of the package.
        archive: String,
    },
    /// The installed files differ between the architectures of one layer.
    #[error("what is installed for {runtime} differs between {} and {}: `{path}`", architectures[0], architectures[1])]
    #[fault(User, hint = "publish one layer for each architecture")]
    ArchitecturesDiffer {
        /// The runtime.
        runtime: accretion_core::target::Runtime,
        /// Two of the architectures.
        architectures: [accretion_core::target::Architecture; 2],
        /// The first path that differs.
        path: String,
    },
    /// A layer would be empty. Lambda refuses empty zips.
    #[error("no package is left for the layer: {}", if members.is_empty() {
        "what is required does not apply to its target, or is excluded"
    } else {
        "the root of the workspace requires nothing itself"
    })]
    #[fault(User, hint = instead_of_nothing(members))]
    LayerEmpty {
        /// The folders of the workspace's members, if the project is a workspace's root.
        members: Vec<String>,
    },
    /// The layer is over the limit of its output.
    #[error(
        "the layer would have {} MiB unzipped, {} MiB more than the {} MiB that {}",
        mebibytes(_0.unzipped),
        mebibytes(_0.excess()),
        mebibytes(_0.limit.bytes),
        _0.limit.of
    )]
    #[fault(User, hint = _0.hint())]
    LayerTooLarge(Box<Oversize>),
    /// The archive of a package could not be read.
    #[error("the archive `{archive}` could not be read: {error}")]
    #[fault(Internal)]
    ArchiveRead {
        /// The archive's file name.
        archive: String,
        /// The system's error.
        error: std::io::Error,
    },
    /// The layer's archive could not be written.
    #[error("the layer could not be written: {0}")]
    #[fault(Internal)]
    LayerWrite(#[source] accretion_archive::WriteError),
}

/// The advice about files that hold secrets.
fn letting_in(secrets: &[Secret]) -> String {
    let path = secrets
        .first()
        .map(|it| shown(&it.path))
        .unwrap_or_default();
    format!(
        "take them out, or name the files in an .accretionignore; allow a file that \
         every user of the layer may read with `--allow-secret '{path}'` (in a request \
         `\"AllowSecrets\": [\"{path}\"]`)"
    )
}

/// The advice where a layer would be empty.
fn instead_of_nothing(members: &[String]) -> String {
    match members.first() {
        None => "leave this target out".to_owned(),
        Some(first) => format!(
            "build one of its members: `accretion build --project {first}`; there is {}",
            members.join(", ")
        ),
    }
}
