//! The environments that a lock file is for, and the one that markers are evaluated in.

use accretion_core::excerpt::shown;
use accretion_core::limits::Limits;
use accretion_core::target::{Architecture, Runtime, Target};
use pep440_rs::VersionSpecifiers;
use pep508_rs::MarkerEnvironment;

use super::constraint::Constraint;
use super::marker::{self, Activated};
use super::{Applies, Known, Lock, Package, invalid};
use crate::error::Error;
use crate::release::PythonRelease;

/// The Python versions that a lock file is for.
#[derive(Debug, Clone, Default)]
pub(super) enum PythonRange {
    #[default]
    Any,
    /// By PEP 440.
    Specifiers(String),
    /// By poetry.
    Constraint(String),
}

impl PythonRange {
    /// Those of a `requires-python`; any without one.
    pub(super) fn of_specifiers(text: Option<String>) -> Self {
        text.map_or(Self::Any, Self::Specifiers)
    }

    pub(super) fn text(&self) -> &str {
        match self {
            Self::Any => "",
            Self::Specifiers(text) | Self::Constraint(text) => text,
        }
    }

    /// The sets of specifiers of which a version has to satisfy one.
    pub(super) fn alternatives(&self) -> Result<Vec<VersionSpecifiers>, Error> {
        match self {
            Self::Any => Ok(vec![VersionSpecifiers::empty()]),
            Self::Specifiers(text) => Ok(vec![requires_python(text)?]),
            Self::Constraint(text) => Ok(Constraint::parse(text)?.into_alternatives()),
        }
    }
}

/// An environment that a lock file is for.
#[derive(Debug, Clone, Default)]
pub(super) struct Environment {
    pub(super) marker: Option<String>,
    /// A `requires-python`.
    pub(super) python: Option<String>,
    /// A platform tag.
    pub(super) platform: Option<String>,
}

impl Lock {
    /// Packages that no selection leads to, with their markers: they ask for an extra, and the lock
    /// file has none. Installers leave them out.
    pub(crate) fn out_of_reach(&self) -> impl Iterator<Item = (&str, &str)> {
        let has_extras = !matches!(&self.extras, Known::Named(extras) if extras.is_empty());
        let packages = self.packages.iter().filter(move |_| !has_extras);
        let markers = packages.flat_map(|package| {
            let markers: Vec<&str> = match &package.applies {
                Applies::Always => Vec::new(),
                Applies::If(marker) => vec![marker],
                Applies::In(groups) => groups.iter().filter_map(|it| it.1.as_deref()).collect(),
            };
            markers.into_iter().map(|marker| (&*package.name, marker))
        });
        let is_true = |marker: &str| {
            let activated = Activated::default();
            Target::all().any(|target| {
                let environment = PythonRelease::recent(target).markers();
                // One that is not valid is told where it applies.
                marker::evaluate(marker, &environment, &activated).unwrap_or(true)
            })
        };
        markers.filter(move |(_, marker)| marker.contains("extra") && !is_true(marker))
    }

    /// Returns whether some release of a runtime's Python is one that it is for. One that can't say
    /// so may be for any.
    pub(crate) fn is_for(&self, runtime: Runtime) -> bool {
        let targets = Architecture::ALL.map(|architecture| Target {
            runtime,
            architecture,
        });
        let is_for = |target| {
            let release = self.python(target, &Activated::default());
            !matches!(release, Err(Error::LockMismatch { .. }))
        };
        targets.into_iter().any(is_for)
    }

    /// The release of Python that its packages are selected for: of those that it is for, the recent
    /// one or else the newest.
    pub(super) fn python(
        &self,
        target: Target,
        activated: &Activated,
    ) -> Result<PythonRelease, Error> {
        let range = self.python.alternatives()?;
        let environments = self.environments.iter().flat_map(Environment::texts);
        let statements = [self.python.text()].into_iter().chain(environments);
        let mut releases = PythonRelease::told_apart_by(target, statements)
            .filter(|release| range.iter().any(|it| release.satisfies(it)))
            .peekable();
        if releases.peek().is_none() {
            let requires = shown(self.python.text());
            return Err(mismatch(target, format!("it requires Python {requires}")));
        }
        for release in releases.take(Limits::LOCK_RELEASES) {
            let mut fits = self.environments.is_empty();
            for candidate in &self.environments {
                fits |= candidate.fits(target, &release.markers(), activated)?;
            }
            if fits {
                return Ok(release);
            }
        }
        let problem = "none of its environments is this one".into();
        Err(mismatch(target, problem))
    }
}

impl Environment {
    pub(super) fn of_marker(marker: String) -> Self {
        Self {
            marker: Some(marker),
            ..Self::default()
        }
    }

    /// Returns what it says of Python versions, and of others.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.marker
            .as_deref()
            .into_iter()
            .chain(self.python.as_deref())
    }

    pub(super) fn fits(
        &self,
        target: Target,
        environment: &MarkerEnvironment,
        activated: &Activated,
    ) -> Result<bool, Error> {
        if let Some(marker) = &self.marker
            && !applies(marker, environment, activated)?
        {
            return Ok(false);
        }
        if let Some(python) = &self.python
            && !python_satisfies(python, environment)?
        {
            return Ok(false);
        }
        Ok(match self.platform.as_deref() {
            None => true,
            // PDM's names: of a platform that is asked for as `linux` the machine alone is meant, and it
            // writes the newest glibc that it knows. Each wheel is held against the target's own.
            Some(platform) => {
                [
                    "linux_",
                    "manylinux_",
                    "manylinux1_",
                    "manylinux2010_",
                    "manylinux2014_",
                ]
                .iter()
                .find_map(|family| platform.strip_prefix(family))
                .is_some_and(|rest| rest.ends_with(target.architecture.machine()))
                    || (platform == "linux" && target.architecture.machine() == "x86_64")
            }
        })
    }
}

pub(super) fn mismatch(target: Target, problem: String) -> Error {
    Error::LockMismatch {
        target: target.to_string(),
        problem,
    }
}

pub(super) fn applies(
    marker: &str,
    environment: &MarkerEnvironment,
    activated: &Activated,
) -> Result<bool, Error> {
    marker::evaluate(marker, environment, activated).map_err(|problem| {
        invalid(format!(
            "the marker `{}` is not valid: {problem}",
            shown(marker)
        ))
    })
}

/// Returns whether a marker is true in a target's runtime, at a recent patch version.
pub(crate) fn marker_applies(marker: &str, target: Target) -> Result<bool, Error> {
    let environment = PythonRelease::recent(target).markers();
    applies(marker, &environment, &Activated::default())
}

impl Package {
    pub(super) fn applies(
        &self,
        environment: &MarkerEnvironment,
        activated: &Activated,
    ) -> Result<bool, Error> {
        match &self.applies {
            Applies::Always => Ok(true),
            Applies::If(marker) => applies(marker, environment, activated),
            Applies::In(groups) => {
                let mut is_needed = false;
                for (group, marker) in groups {
                    is_needed |= activated.has_group(group)
                        && match marker {
                            Some(marker) => applies(marker, environment, activated)?,
                            None => true,
                        };
                }
                Ok(is_needed)
            }
        }
    }
}

/// Parses a `requires-python`.
pub(super) fn requires_python(text: &str) -> Result<VersionSpecifiers, Error> {
    let specifiers = (text.len() <= Limits::REQUIREMENT_BYTES).then(|| text.parse().ok());
    specifiers
        .flatten()
        .ok_or_else(|| invalid(format!("`{}` is not a requires-python", shown(text))))
}

/// Returns whether the Python of an environment is what a `requires-python` wants.
pub(super) fn python_satisfies(
    requires: &str,
    environment: &MarkerEnvironment,
) -> Result<bool, Error> {
    let python = &environment.python_full_version().version;
    Ok(requires_python(requires)?.contains(python))
}
