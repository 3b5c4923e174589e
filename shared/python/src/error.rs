//! The errors of this crate, and the texts of their messages and hints. Every other module may use it,
//! and it uses none of them.

use std::fmt;

use accretion_core::excerpt::{listed, shown};
use accretion_core::fault::Fault;
use accretion_core::limits::Limits;

/// An error of Python packages.
#[derive(Debug, thiserror::Error, Fault)]
pub enum Error {
    /// A wheel is broken, hostile or not what its name says.
    #[error("the wheel `{wheel}` cannot be used: {problem}")]
    #[fault(
        User,
        hint = "require another version of the package, and tell its maintainers"
    )]
    WheelInvalid {
        /// The wheel's file name.
        wheel: String,
        /// The problem with it.
        problem: String,
    },
    /// A wheel is beyond one of the [`limits`](accretion_core::limits::WheelLimits).
    #[error("the wheel `{wheel}` is over a limit: {problem}")]
    #[fault(
        User,
        hint = "require another version of the package, and tell its maintainers"
    )]
    WheelOverLimit {
        /// The wheel's file name.
        wheel: String,
        /// The limit, and the excess.
        problem: String,
    },
    /// No file of a package fits the target.
    #[error("{package} {version} has no wheel for {target}")]
    #[fault(User, hint = instead_of_wheel(package, instead))]
    WheelNotFound {
        /// The distribution's name.
        package: String,
        /// Its version.
        version: String,
        /// The target, as people read it.
        target: String,
        /// The files that exist: other wheels, or the source.
        instead: Vec<String>,
    },
    /// A package has wheels for the target, but none with a hash that the requirements allow.
    #[error("no wheel of {package} {version} has a hash that the requirements allow")]
    #[fault(
        User,
        hint = "add the hash of the target's wheel: a lock tool writes all of them"
    )]
    HashNotAllowed {
        /// The distribution's name.
        package: String,
        /// Its version.
        version: String,
    },
    /// Packages have no hash, and a requirement has one.
    #[error("{}", no_hashes(packages))]
    #[fault(User, hint = "{ALL_HASHES}")]
    HashMissing {
        /// The distributions' names.
        packages: Vec<String>,
    },
    /// A lock file can't be used.
    #[error("the lock file cannot be used: {problem}")]
    #[fault(User, hint = "write the lock file again with the tool that made it")]
    LockInvalid {
        /// The problem with it.
        problem: String,
    },
    /// The data that the resolver found for a package can't be used.
    #[error("a required package cannot be used: {problem}")]
    #[fault(
        User,
        hint = "require another version of the package, and tell its maintainers"
    )]
    PackageUnusable {
        /// The problem with it.
        problem: String,
    },
    /// Extras or groups were selected of which a lock file allows only one.
    #[error("`{one}` and `{other}` exclude each other in the lock file")]
    #[fault(
        User,
        hint = "select `{one}` or `{other}`: with --extra or --group, in a request with `Extras` or \
                `Groups`"
    )]
    SelectionConflict {
        /// The one.
        one: String,
        /// The other.
        other: String,
    },
    /// A lock file does not contain the project's own requirements.
    #[error("the lock file cannot be used alone: {problem}")]
    #[fault(User, hint = "{PROJECT_MISSING}")]
    LockProjectMissing {
        /// The missing statement.
        problem: String,
    },
    /// A lock file is not up to date with its project.
    #[error("{0}")]
    #[fault(User, hint = _0.way_out.clone())]
    LockOutdated(Outdated),
    /// A selected dependency group does not exist.
    #[error("there is no dependency group `{name}`")]
    #[fault(User, hint = selectable(meant.as_deref(), known, "group"))]
    GroupUnknown {
        /// The group.
        name: String,
        /// The one that the user probably meant.
        meant: Option<String>,
        /// The existing ones.
        known: Vec<String>,
    },
    /// A selected extra does not exist.
    #[error("the project has no extra `{name}`")]
    #[fault(User, hint = selectable(meant.as_deref(), known, "extra"))]
    ExtraUnknown {
        /// The extra.
        name: String,
        /// The one that the user probably meant.
        meant: Option<String>,
        /// The existing ones.
        known: Vec<String>,
    },
    /// A script or a wheel requires another Python.
    #[error("{what} requires Python {requires}, which {target} does not have")]
    #[fault(User, hint = "leave this target out, or change that `requires-python`")]
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
    #[fault(User, hint = "lock for this target, or leave it out")]
    LockMismatch {
        /// The target, as people read it.
        target: String,
        /// The mismatch.
        problem: String,
    },
    /// A locked package comes from a source without wheels.
    #[error("the locked package {package} comes from {origin}, which is not supported")]
    #[fault(User, hint = instead_of_source(path.as_deref()))]
    LockedSourceUnsupported {
        /// The distribution's name.
        package: String,
        /// The kind of its source: a repository, a folder.
        origin: &'static str,
        /// Its path, if it is on the disk.
        path: Option<String>,
    },
    /// A wheel that the user added is not for the target.
    #[error("{} is not for {target}", wheels.join(" or "))]
    #[fault(
        User,
        hint = "it has compiled code: build this target on a machine of its architecture that has \
                its Python, or leave it out"
    )]
    OwnWheelUnfit {
        /// The file names of the wheels of its name.
        wheels: Vec<String>,
        /// The target, as people read it.
        target: String,
    },
    /// A wheel that the user added has another version than is required.
    #[error("{requirement} is required{by}, and the added wheel is {version}", by = by.as_ref().map_or_else(String::new, |by| format!(" by {by}")))]
    #[fault(
        User,
        hint = "change the version of the one, or what the other requires"
    )]
    OwnVersionMismatch {
        /// The requirement.
        requirement: String,
        /// The package that requires it, if it is not the request itself.
        by: Option<String>,
        /// The version of the wheel.
        version: String,
    },
    /// A layer would consist of more distributions than the limit.
    #[error(
        "the layer would have {packages} packages; the limit is {}",
        Limits::PACKAGES
    )]
    #[fault(User, hint = "make several layers of them")]
    TooManyPackages {
        /// The number that it would have.
        packages: usize,
    },
    /// The layout of a cached wheel can't be written.
    #[error("the layout of the wheel `{wheel}` could not be written: {error}")]
    #[fault(Internal)]
    LayoutWrite {
        /// The wheel's file name.
        wheel: String,
        /// The system's error.
        error: std::io::Error,
    },
    /// A wheel could not be read.
    #[error("the wheel `{wheel}` could not be read: {error}")]
    #[fault(Internal)]
    WheelRead {
        /// The wheel's file name.
        wheel: String,
        /// The system's error.
        error: std::io::Error,
    },
}

/// A lock file that is not up to date, and how it is brought up to date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outdated {
    /// The file that says otherwise, such as `pyproject.toml`.
    pub(crate) project: String,
    /// The differences, each as a sentence without a full stop.
    pub(crate) differences: Vec<String>,
    /// The command or the edit that makes it again.
    pub(crate) way_out: String,
}

impl fmt::Display for Outdated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let differences = listed(&self.differences, SHOWN);
        let project = &self.project;
        write!(
            f,
            "the lock file is not up to date with {project}: {differences}"
        )
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

/// The advice where a package has no wheel for a target, but other files.
fn instead_of_wheel(package: &str, files: &[String]) -> String {
    if substitute(package).is_some() {
        return without_wheel(package, true);
    }
    let has_source = files.iter().any(|it| it.strip_suffix(".whl").is_none());
    let advice = without_wheel("", has_source);
    match files {
        [] => advice,
        files => format!("{advice}; there is {}", listed(files, SHOWN)),
    }
}

/// The ways to allow source distributions.
const ALLOW_SOURCES: &str = "allow source distributions (--allow-source-distributions, in a \
                             request `AllowSourceDistributions`)";

/// The number of files, packages or differences that a text names.
const SHOWN: usize = 5;

/// The way out where some packages have hashes and others have none.
pub(crate) const ALL_HASHES: &str = "give the hashes of all packages, dependencies included, as \
                                     `uv pip compile --generate-hashes` does, or of none";

/// Says which requirements or packages have no hash: the first of them, and how many more.
pub(crate) fn no_hashes(names: &[String]) -> String {
    let names = listed(names, SHOWN);
    format!("there is no hash for {names}, but one for another requirement")
}

/// The advice about a lock file that needs its project.
pub(crate) const PROJECT_MISSING: &str = "put pyproject.toml beside it, or into a request as `Project`; newer versions of the tool write \
     lock files that need none";

/// The advice where a locked package is no release, but may be on the disk.
fn instead_of_source(path: Option<&str>) -> String {
    match path {
        None => {
            "lock a release from a package index instead, or build with --project for a copy of it"
                .to_owned()
        }
        Some(path) => format!(
            "build with the lock file in its place and, if `{path}` is outside of its folder, with \
             --project for that; or lock a release from a package index"
        ),
    }
}

/// The choices instead of an unknown one.
fn selectable(meant: Option<&str>, known: &[String], what: &str) -> String {
    match (meant, known) {
        (Some(meant), _) => format!("did you mean `{meant}`?"),
        (None, []) => format!("leave it out: there is no {what} to select"),
        (None, known) => {
            let names = known.iter().map(|it| format!("`{}`", shown(it)));
            format!("there are {}", listed(names, 10))
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
