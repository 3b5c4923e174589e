//! The Python of a runtime: the release that decides about markers and `Requires-Python`.
//!
//! Lambda keeps each runtime at a recent patch release. Which one depends on the region and the day,
//! so one release stands for all: everything that depends on a patch version uses
//! [`PythonRelease::recent`]. A statement about a whole input that this release does not
//! satisfy, such as `requires-python = "==3.12.6"`, may name another one.

use std::collections::BTreeSet;
use std::fmt;

use accretion_core::target::{Architecture, Runtime, Target};
use pep440_rs::{Version, VersionSpecifiers};
use pep508_rs::{MarkerEnvironment, MarkerEnvironmentBuilder};

/// The patch version that stands for the recent one that Lambda keeps a runtime at.
const RECENT_PATCH: u8 = 99;

/// A release of CPython in the runtime of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PythonRelease {
    target: Target,
    patch: u8,
}

impl PythonRelease {
    /// The release that stands for the recent one that Lambda keeps a target's runtime at.
    pub fn recent(target: Target) -> Self {
        let patch = RECENT_PATCH;
        Self { target, patch }
    }

    /// The releases that statements about Python versions distinguish: the recent one, then those
    /// next to a version that a statement names, newest first.
    ///
    /// Between two neighbours no statement changes its answer, so a statement that any release
    /// satisfies is satisfied by one of these. Statements are specifiers, constraints or markers.
    pub fn told_apart_by<'a>(
        target: Target,
        statements: impl IntoIterator<Item = &'a str>,
    ) -> impl Iterator<Item = Self> {
        let minor = target.runtime.python_minor();
        let named = statements
            .into_iter()
            .flat_map(|statement| patches(minor, statement));
        let mut distinct: BTreeSet<u8> = named
            .flat_map(|patch| [patch.saturating_sub(1), patch, patch.saturating_add(1)])
            .chain([0])
            .collect();
        distinct.remove(&RECENT_PATCH);
        let others = distinct.into_iter().rev();
        let patches = [RECENT_PATCH].into_iter().chain(others);
        patches.map(move |patch| Self { target, patch })
    }

    /// The release that a statement about a whole input selects: the recent one, or else the newest
    /// that satisfies it.
    pub fn satisfying(target: Target, specifiers: &VersionSpecifiers) -> Option<Self> {
        let statement = specifiers.to_string();
        Self::told_apart_by(target, [statement.as_str()])
            .find(|release| release.satisfies(specifiers))
    }

    /// Returns whether some release of a runtime's Python satisfies a `requires-python`.
    pub fn is_any_of(runtime: Runtime, requires_python: &VersionSpecifiers) -> bool {
        let target = Target {
            runtime,
            // It has no say.
            architecture: Architecture::X86_64,
        };
        Self::satisfying(target, requires_python).is_some()
    }

    /// Returns whether specifiers contain it.
    pub fn satisfies(self, specifiers: &VersionSpecifiers) -> bool {
        specifiers.contains(&self.version())
    }

    /// Its version, such as `3.12.99`.
    pub fn version(self) -> Version {
        let minor = self.target.runtime.python_minor();
        Version::new([3, u64::from(minor), u64::from(self.patch)])
    }

    /// The values of environment markers (PEP 508).
    ///
    /// # Panics
    ///
    /// Never: releases are versions.
    pub fn markers(self) -> MarkerEnvironment {
        let full_version = self.to_string();
        let target = self.target;
        MarkerEnvironment::try_from(MarkerEnvironmentBuilder {
            implementation_name: "cpython",
            implementation_version: &full_version,
            os_name: "posix",
            platform_machine: target.architecture.machine(),
            platform_python_implementation: "CPython",
            platform_release: "",
            platform_system: "Linux",
            platform_version: "",
            python_full_version: &full_version,
            python_version: &format!("3.{}", target.runtime.python_minor()),
            sys_platform: "linux",
        })
        .expect("releases are versions")
    }
}

impl fmt::Display for PythonRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minor = self.target.runtime.python_minor();
        write!(f, "3.{minor}.{}", self.patch)
    }
}

/// The patch versions of a minor version that a statement names.
fn patches(minor: u8, statement: &str) -> impl Iterator<Item = u8> {
    let versions = statement.split(|c: char| !(c.is_ascii_digit() || c == '.'));
    versions.filter_map(move |version| {
        let mut parts = version.split('.').map(str::parse::<u8>);
        let is_minor = parts.next()? == Ok(3) && parts.next()? == Ok(minor);
        parts.next()?.ok().filter(|_| is_minor)
    })
}

#[cfg(test)]
mod tests {
    use accretion_core::target::{Architecture, Runtime};

    use super::*;

    const TARGET: Target = Target {
        runtime: Runtime::Python312,
        architecture: Architecture::Arm64,
    };

    fn satisfying(specifiers: &str) -> Option<String> {
        let specifiers = specifiers.parse().unwrap();
        PythonRelease::satisfying(TARGET, &specifiers).map(|release| release.to_string())
    }

    #[test]
    fn a_statement_is_satisfied_by_the_recent_release_or_the_newest_that_does() {
        for (specifiers, expected) in [
            ("", Some("3.12.99")),
            (">=3.9", Some("3.12.99")),
            ("~=3.12", Some("3.12.99")),
            ("~=3.12.6", Some("3.12.99")),
            ("==3.12.*", Some("3.12.99")),
            ("!=3.12.6", Some("3.12.99")),
            (">3.12.6", Some("3.12.99")),
            (">=3.12.6,!=3.12.7", Some("3.12.99")),
            ("==3.12.6", Some("3.12.6")),
            ("===3.12.6", Some("3.12.6")),
            ("==3.12", Some("3.12.0")),
            ("<=3.12", Some("3.12.0")),
            (">=3.12.4,<3.12.9", Some("3.12.8")),
            (">=3.12.4,<3.12.9,!=3.12.8", Some("3.12.7")),
            (">3.12.4,<3.12.6", Some("3.12.5")),
            (">=3.10,<=3.12.3", Some("3.12.3")),
            ("<3.12.1", Some("3.12.0")),
            ("<3.12.7rc1", Some("3.12.6")),
            (">=3.12.100", Some("3.12.101")),
            (">=3.12.255", Some("3.12.255")),
            ("==3.12.0", Some("3.12.0")),
            (">3.12.5,<3.12.6", None),
            (">=3.12.4,<3.12.5,!=3.12.4", None),
            ("==3.13.6", None),
            ("!=3.12.*", None),
            ("<3.12", None),
            (">=3.13", None),
            ("==3.12.6,==3.12.7", None),
        ] {
            assert_eq!(satisfying(specifiers).as_deref(), expected, "{specifiers}");
        }
    }

    /// The releases that are tried are enough: whenever any release at all satisfies a statement,
    /// one of them does.
    #[test]
    fn no_release_that_satisfies_is_missed() {
        let versions = [
            "3.12", "3.12.0", "3.12.1", "3.12.4", "3.12.98", "3.12.99", "3.12.120",
        ];
        let operators = ["==", "!=", "<", "<=", ">", ">=", "~=", "==="];
        let single: Vec<String> = operators
            .iter()
            .flat_map(|operator| versions.iter().map(move |it| format!("{operator}{it}")))
            .collect();
        for one in &single {
            for other in &single {
                let text = format!("{one},{other}");
                let specifiers: VersionSpecifiers = text.parse().unwrap();
                let any = (0..=u8::MAX).any(|patch| {
                    let target = TARGET;
                    PythonRelease { target, patch }.satisfies(&specifiers)
                });
                assert_eq!(satisfying(&text).is_some(), any, "{text}");
            }
        }
    }

    #[test]
    fn statements_of_any_kind_tell_releases_apart() {
        for (statement, expected) in [
            ("", "99 0"),
            ("python_version >= '3.12'", "99 0"),
            ("python_full_version == '3.12.6'", "99 7 6 5 0"),
            (
                "python_full_version in '3.12.6,3.12.9'",
                "99 10 9 8 7 6 5 0",
            ),
            ("^3.12.6 || ~3.11.4", "99 7 6 5 0"),
            ("==v3.12.6.post1", "99 7 6 5 0"),
            ("==3.12.6.*", "99 7 6 5 0"),
            ("==3.12.300", "99 0"),
            ("==3.1.26", "99 0"),
            ("==13.12.6", "99 0"),
        ] {
            let releases = PythonRelease::told_apart_by(TARGET, [statement]);
            let patches: Vec<_> = releases.map(|release| release.patch.to_string()).collect();
            assert_eq!(patches.join(" "), expected, "{statement}");
        }
    }
}
