//! The errors of this crate.

use crate::excerpt::{listed, shown};
use crate::fault::{Class, Fault};
use crate::fault_codes;
use crate::layer::{Oversize, mebibytes};
use crate::limits::Limits;
use crate::requirement::{ALL_HASHES, no_hashes};
use crate::secrets::Secret;
use crate::wheel::WheelFilename;

/// What can go wrong in this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A wheel is broken, hostile or not what its name says.
    #[error("the wheel `{wheel}` cannot be used: {problem}")]
    WheelInvalid {
        /// The wheel's file name.
        wheel: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A wheel is beyond one of the [`limits`](crate::limits::WheelLimits).
    #[error("the wheel `{wheel}` is over a limit: {problem}")]
    WheelOverLimit {
        /// The wheel's file name.
        wheel: String,
        /// Which limit, and by how much.
        problem: String,
    },
    /// No file of a package fits the target.
    #[error("{package} {version} has no wheel for {target}")]
    WheelNotFound {
        /// The distribution's name.
        package: String,
        /// Its version.
        version: String,
        /// The target, as people read it.
        target: String,
        /// What there is instead: the file names of other wheels or of the source.
        instead: Vec<String>,
    },
    /// A package has wheels for the target, but none with a hash that the requirements allow.
    #[error("no wheel of {package} {version} has a hash that the requirements allow")]
    HashNotAllowed {
        /// The distribution's name.
        package: String,
        /// Its version.
        version: String,
    },
    /// Packages have no hash, and a requirement has one.
    #[error("{}", no_hashes(packages))]
    HashMissing {
        /// The distributions' names.
        packages: Vec<String>,
    },
    /// A lock file can't be used.
    #[error("the lock file cannot be used: {problem}")]
    LockInvalid {
        /// What is wrong with it.
        problem: String,
    },
    /// The data that the resolver found for a package can't be used.
    #[error("a required package cannot be used: {problem}")]
    PackageUnusable {
        /// The problem with it.
        problem: String,
    },
    /// Extras or groups were selected of which a lock file allows only one.
    #[error("`{one}` and `{other}` exclude each other in the lock file")]
    SelectionConflict {
        /// The one.
        one: String,
        /// The other.
        other: String,
    },
    /// A lock file does not say what the project requires.
    #[error("the lock file cannot be used alone: {problem}")]
    LockProjectMissing {
        /// What it does not say.
        problem: String,
    },
    /// A lock file is not up to date with its project.
    #[error("{0}")]
    LockOutdated(crate::lock::Outdated),
    /// A dependency group was selected that there is not.
    #[error("there is no dependency group `{name}`")]
    GroupUnknown {
        /// The group.
        name: String,
        /// The one that was probably meant.
        meant: Option<String>,
        /// Those that there are.
        known: Vec<String>,
    },
    /// An extra was selected that there is not.
    #[error("the project has no extra `{name}`")]
    ExtraUnknown {
        /// The extra.
        name: String,
        /// The one that was probably meant.
        meant: Option<String>,
        /// Those that there are.
        known: Vec<String>,
    },
    /// What is required is for another Python.
    #[error("{what} requires Python {requires}, which {target} does not have")]
    PythonMismatch {
        /// The script or the wheel, in words.
        what: String,
        /// The target, as people read it.
        target: String,
        /// A `requires-python`.
        requires: String,
    },
    /// A lock file was made for another Python.
    #[error("the lock file does not fit {target}: {problem}")]
    LockMismatch {
        /// The target, as people read it.
        target: String,
        /// What does not fit.
        problem: String,
    },
    /// A lock file's package comes from where no wheel can be had.
    #[error("the locked package {package} comes from {origin}, which is not supported")]
    LockedSourceUnsupported {
        /// The distribution's name.
        package: String,
        /// What kind of source it is: a repository, a folder.
        origin: &'static str,
        /// Its path, if it is on the disk.
        path: Option<String>,
    },
    /// A wheel of the user's own is not for the target.
    #[error("{} is not for {target}", wheels.join(" or "))]
    OwnWheelUnfit {
        /// The file names of the wheels of its name.
        wheels: Vec<String>,
        /// The target, as people read it.
        target: String,
    },
    /// A wheel of the user's own has another version than is required.
    #[error("{requirement} is required{by}, and the wheel of your own is {version}", by = by.as_ref().map_or_else(String::new, |by| format!(" by {by}")))]
    OwnVersionMismatch {
        /// The requirement.
        requirement: String,
        /// The package that requires it, if it is not the request itself.
        by: Option<String>,
        /// The version of the wheel.
        version: String,
    },
    /// Two wheels claim paths that can't both exist, or differ in what they put there.
    #[error("`{path}` is claimed by {}", claimants.join(" and "))]
    LayerConflict {
        /// The path below `python/`.
        path: String,
        /// The wheels that claim it.
        claimants: Vec<String>,
    },
    /// A file that is to be copied into a layer has the path of one that is installed there.
    #[error("`{path}` is in {folder}, and is installed by {wheel}, too")]
    FileConflict {
        /// The path below `python/`.
        path: String,
        /// Where the copied file is, in words.
        folder: String,
        /// The wheel.
        wheel: String,
    },
    /// Extra files hold what is plainly a secret.
    #[error(
        "there are secrets in what would become part of a layer: {}",
        crate::secrets::listed(secrets)
    )]
    SecretFound {
        /// The secrets, by file.
        secrets: Vec<Secret>,
    },
    /// Packed files of one's own are not what was packed.
    #[error("the packed files cannot be used: {problem}")]
    OwnFilesInvalid {
        /// What is wrong with them.
        problem: String,
    },
    /// Files that are to be copied belong to a package that is not in the same folder of the layer.
    #[error(
        "{folder} adds files to the package `{package}`, which {wheel} installs, and which is not \
         the same for all runtimes"
    )]
    PackageSplit {
        /// The package's path below `python/`.
        package: String,
        /// Where the copied files are, in words.
        folder: String,
        /// The wheel.
        wheel: String,
    },
    /// What is installed differs between the architectures of one layer.
    #[error("what is installed for {runtime} differs between {} and {}: `{path}`", architectures[0], architectures[1])]
    ArchitecturesDiffer {
        /// The runtime.
        runtime: crate::target::Runtime,
        /// Two of the architectures.
        architectures: [crate::target::Architecture; 2],
        /// The first path that differs.
        path: String,
    },
    /// There is nothing to make a layer of. Lambda refuses empty zips.
    #[error("no package is left for the layer: {}", if members.is_empty() {
        "what is required does not apply to its target, or is excluded"
    } else {
        "the root of the workspace requires nothing itself"
    })]
    LayerEmpty {
        /// The folders of the workspace's members, where what is built is the root of one.
        members: Vec<String>,
    },
    /// A layer would consist of more distributions than the limit.
    #[error(
        "the layer would have {packages} packages; the limit is {}",
        Limits::PACKAGES
    )]
    TooManyPackages {
        /// How many it would have.
        packages: usize,
    },
    /// The layer is over what Lambda takes.
    #[error(
        "the layer would have {} MiB unzipped, {} MiB more than the {} MiB that Lambda takes of a \
         function and all of its layers together",
        mebibytes(_0.unzipped),
        mebibytes(_0.unzipped.saturating_sub(Limits::LAYER_BYTES)),
        Limits::LAYER_BYTES >> 20
    )]
    LayerTooLarge(Box<Oversize>),
    /// The layer's archive could not be written.
    #[error("the layer could not be written: {0}")]
    LayerWrite(#[source] crate::archive::WriteError),
    /// What the cache is to hold about a wheel can't be written.
    #[error("the layout of the wheel `{wheel}` could not be written: {error}")]
    LayoutWrite {
        /// The wheel's file name.
        wheel: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// A wheel could not be read.
    #[error("the wheel `{wheel}` could not be read: {error}")]
    WheelRead {
        /// The wheel's file name.
        wheel: String,
        /// What the system said.
        error: std::io::Error,
    },
}

fault_codes! {
    impl Error {
        Self::WheelInvalid { .. } => "WheelInvalid", User;
        Self::WheelOverLimit { .. } => "WheelOverLimit", User;
        Self::WheelNotFound { .. } => "WheelNotFound", User;
        Self::HashMissing { .. } => "HashMissing", User;
        Self::HashNotAllowed { .. } => "HashNotAllowed", User;
        Self::LockInvalid { .. } => "LockInvalid", User;
        Self::PackageUnusable { .. } => "PackageUnusable", User;
        Self::SelectionConflict { .. } => "SelectionConflict", User;
        Self::LockProjectMissing { .. } => "LockProjectMissing", User;
        Self::LockOutdated(_) => "LockOutdated", User;
        Self::GroupUnknown { .. } => "GroupUnknown", User;
        Self::ExtraUnknown { .. } => "ExtraUnknown", User;
        Self::PythonMismatch { .. } => "PythonMismatch", User;
        Self::LockMismatch { .. } => "LockMismatch", User;
        Self::LockedSourceUnsupported { .. } => "LockedSourceUnsupported", User;
        Self::OwnWheelUnfit { .. } => "OwnWheelUnfit", User;
        Self::OwnVersionMismatch { .. } => "OwnVersionMismatch", User;
        Self::LayerConflict { .. } => "LayerConflict", User;
        Self::FileConflict { .. } => "FileConflict", User;
        Self::SecretFound { .. } => "SecretFound", User;
        Self::OwnFilesInvalid { .. } => "OwnFilesInvalid", Internal;
        Self::PackageSplit { .. } => "PackageSplit", User;
        Self::ArchitecturesDiffer { .. } => "ArchitecturesDiffer", User;
        Self::LayerEmpty { .. } => "LayerEmpty", User;
        Self::TooManyPackages { .. } => "TooManyPackages", User;
        Self::LayerTooLarge(_) => "LayerTooLarge", User;
        Self::LayerWrite(_) => "LayerWrite", Internal;
        Self::LayoutWrite { .. } => "LayoutWrite", Internal;
        Self::WheelRead { .. } => "WheelRead", Internal;
    }
}

impl Fault for Error {
    fn code(&self) -> &'static str {
        self.code_and_class().0
    }

    fn class(&self) -> Class {
        self.code_and_class().1
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::WheelInvalid { .. }
            | Self::WheelOverLimit { .. }
            | Self::PackageUnusable { .. } => {
                "require another version of the package, and tell its maintainers".into()
            }
            Self::WheelNotFound { package, .. } if substitute(package).is_some() => {
                without_wheel(package, true)
            }
            Self::WheelNotFound { instead, .. } if instead.is_empty() => {
                without_wheel("", false)
            }
            Self::WheelNotFound { instead, .. } => {
                let has_source = instead
                    .iter()
                    .any(|file| file.parse::<WheelFilename>().is_err());
                let advice = without_wheel("", has_source);
                format!("{advice}; there is {}", listed(instead, FILES))
            }
            Self::HashNotAllowed { .. } => {
                "add the hash of the target's wheel: a lock tool writes all of them".into()
            }
            Self::HashMissing { .. } => ALL_HASHES.into(),
            Self::LockInvalid { .. } => {
                "write the lock file again with the tool that made it".into()
            }
            Self::SelectionConflict { one, other } => format!(
                "select `{one}` or `{other}`: with --extra or --group, in a request with `Extras` \
                 or `Groups`"
            ),
            Self::LockProjectMissing { .. } => PROJECT_MISSING.into(),
            Self::LockOutdated(outdated) => outdated.hint(),
            Self::GroupUnknown { meant, known, .. } => selectable(meant.as_deref(), known, "group"),
            Self::ExtraUnknown { meant, known, .. } => selectable(meant.as_deref(), known, "extra"),
            Self::PythonMismatch { .. } => {
                "leave this target out, or change that `requires-python`".into()
            }
            Self::LockMismatch { .. } => "lock for this target, or leave it out".into(),
            Self::LockedSourceUnsupported { path: None, .. } => {
                "lock a release from a package index instead, or build with --project for a copy of it"
                    .into()
            }
            Self::LockedSourceUnsupported {
                path: Some(path), ..
            } => format!(
                "build with the lock file in its place and, if `{path}` is outside of its folder, \
                 with --project for that; or lock a release from a package index"
            ),
            Self::OwnWheelUnfit { .. } => {
                "it has compiled code: build this target on a machine of its architecture that \
                 has its Python, or leave it out"
                    .into()
            }
            Self::OwnVersionMismatch { .. } => {
                "change the version of the one, or what the other requires".into()
            }
            Self::LayerConflict { .. } => {
                "leave one of the packages out, or let the one that sorts last win (no --strict)"
                    .into()
            }
            Self::FileConflict { .. } => {
                "rename the file, or take the package out of the requirements".into()
            }
            Self::SecretFound { secrets } => {
                let path = secrets.first().map(|it| shown(&it.path)).unwrap_or_default();
                format!(
                    "take them out, or name the files in an .accretionignore; a file that may be \
                     read by all who get the layer, let in with `--allow-secret '{path}'` (in a \
                     request `\"AllowSecrets\": [\"{path}\"]`)"
                )
            }
            Self::OwnFilesInvalid { .. } => {
                "somebody has changed the artifacts bucket: drop the request again".into()
            }
            Self::PackageSplit { .. } => {
                "publish one layer for each runtime, or move the files to a package of their own"
                    .into()
            }
            Self::ArchitecturesDiffer { .. } => "publish one layer for each architecture".into(),
            Self::LayerEmpty { members } => match members.first() {
                None => "leave this target out".into(),
                Some(first) => format!(
                    "build one of its members: `accretion build --project {first}`; there is {}",
                    members.join(", ")
                ),
            },
            Self::TooManyPackages { .. } => "make several layers of them".into(),
            Self::LayerTooLarge(oversize) => oversize.hint(),
            Self::LayerWrite(_) | Self::LayoutWrite { .. } | Self::WheelRead { .. } => {
                return None;
            }
        })
    }
}

/// Packages that have no wheels for Linux, and those that their maintainers recommend instead.
///
/// Sources: the installation page of psycopg2's documentation ("Quick Install"), that of psycopg 3
/// ("Binary installation"), and the description of `sklearn` on the index.
const SUBSTITUTES: [(&str, &str); 3] = [
    ("psycopg2", "psycopg2-binary"),
    ("psycopg-c", "psycopg-binary"),
    ("sklearn", "scikit-learn"),
];

/// The first package that a text names which has a well-known substitute, and that.
pub fn substitute(text: &str) -> Option<(&'static str, &'static str)> {
    let is_end = |c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c);
    let mut words = text.split(is_end).map(|word| word.trim_end_matches('.'));
    words.find_map(|word| {
        SUBSTITUTES
            .into_iter()
            .find(|(package, _)| *package == word)
    })
}

/// The advice where a package has no wheel. `said` names it.
pub fn without_wheel(said: &str, has_source: bool) -> String {
    match substitute(said) {
        Some((package, other)) => {
            format!("{package} has no wheels for Linux: try {other}, or {ALLOW_SOURCES}")
        }
        None if has_source => {
            format!("require a version that has one, leave this target out, or {ALLOW_SOURCES}")
        }
        None => "require a version that has one, or leave this target out".to_owned(),
    }
}

/// How source distributions are allowed.
const ALLOW_SOURCES: &str = "allow source distributions (--allow-source-distributions, in a \
                             request `AllowSourceDistributions`)";

/// The number of files of a package that a hint names.
const FILES: usize = 5;

/// What to do about a lock file that needs its project.
pub(crate) const PROJECT_MISSING: &str = "put pyproject.toml beside it, or into a request as `Project`; newer versions of the tool write \
     lock files that need none";

/// What may be selected instead.
fn selectable(meant: Option<&str>, known: &[String], what: &str) -> String {
    match (meant, known) {
        (Some(meant), _) => format!("did you mean `{meant}`?"),
        (None, []) => format!("leave it out: there is no {what} to select"),
        (None, known) => {
            let known = known.iter().map(|it| format!("`{}`", shown(it)));
            format!("there are {}", listed(known, 10))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_upstream_recommends_is_named() {
        for (said, expected) in [
            ("psycopg2 2.9.10 has no wheel", Some("psycopg2-binary")),
            (
                "Because all versions of psycopg2 have no usable wheels",
                Some("psycopg2-binary"),
            ),
            ("you require psycopg2==2.9.1.", Some("psycopg2-binary")),
            ("sklearn", Some("scikit-learn")),
            ("psycopg2-binary and django-psycopg2 have no wheels", None),
            ("", None),
        ] {
            assert_eq!(substitute(said).map(|(_, other)| other), expected, "{said}");
        }
        assert_eq!(
            without_wheel("psycopg2", true),
            "psycopg2 has no wheels for Linux: try psycopg2-binary, or allow source distributions \
             (--allow-source-distributions, in a request `AllowSourceDistributions`)"
        );
    }
}
