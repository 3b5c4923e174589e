//! Lock files (`pylock.toml`, PEP 751): which file of which package a target gets.
//!
//! uv resolves into this format, and a user may bring one. Locked means locked: nothing here
//! chooses a version.

mod marker;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Range;

use pep440_rs::{Version, VersionSpecifiers};
use pep508_rs::{MarkerEnvironment, MarkerEnvironmentBuilder, PackageName};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use url::Url;

use crate::digest::Sha256;
use crate::error::{Error, shown};
use crate::requirement::{RequirementSet, distribution_name};
use crate::target::Target;
use crate::wheel::WheelFilename;

/// A file of a package that can be downloaded.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LockedFile {
    /// Where it is.
    pub url: Url,
    /// The SHA-256 that it has to have.
    pub sha256: Sha256,
    /// Its size in bytes, where the lock file says it.
    pub size: Option<u64>,
}

/// What a package is installed from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Locked {
    /// A wheel that fits the target.
    Wheel {
        /// Its file name.
        filename: WheelFilename,
        /// Where it is.
        file: LockedFile,
    },
    /// A source distribution, for want of a wheel that fits.
    SourceDistribution {
        /// Its file name.
        filename: String,
        /// Where it is.
        file: LockedFile,
    },
}

impl Locked {
    /// The file to download.
    pub fn file(&self) -> &LockedFile {
        match self {
            Self::Wheel { file, .. } | Self::SourceDistribution { file, .. } => file,
        }
    }
}

/// One package of a layer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LockedPackage {
    /// The normalised name.
    pub name: PackageName,
    /// The version, as the lock file writes it.
    pub version: String,
    /// What it is installed from.
    pub locked: Locked,
}

impl LockedPackage {
    /// A package whose wheel is at hand: nothing is fetched for it.
    pub fn at_hand(filename: WheelFilename, sha256: Sha256) -> Self {
        Self {
            name: filename.name().clone(),
            version: filename.version().to_string(),
            locked: Locked::Wheel {
                filename,
                file: LockedFile {
                    url: Url::parse("file:///").expect("it is a URL"),
                    sha256,
                    size: None,
                },
            },
        }
    }
}

/// What a selection is allowed to take.
#[derive(Debug, Clone, Copy, Default)]
pub struct Policy<'a> {
    /// Whether a package without a fitting wheel may come from its source distribution.
    pub allow_source_distributions: bool,
    /// What the packages were resolved from: files must have the hashes that it demands.
    pub requirements: Option<&'a RequirementSet>,
}

/// Why a text is no lock file, and where in it.
pub(crate) struct NotALock {
    pub(crate) problem: String,
    pub(crate) span: Option<Range<usize>>,
}

impl NotALock {
    /// The line of the place, from 1.
    pub(crate) fn line(&self, text: &str) -> Option<usize> {
        let start = self.span.as_ref()?.start;
        Some(text.get(..start)?.matches('\n').count() + 1)
    }
}

/// A parsed `pylock.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Lock {
    #[serde(rename = "lock-version")]
    form: String,
    #[serde(default)]
    environments: Vec<String>,
    requires_python: Option<String>,
    #[serde(default)]
    default_groups: Vec<String>,
    #[serde(default)]
    packages: Vec<Package>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Package {
    name: String,
    version: Option<String>,
    marker: Option<String>,
    requires_python: Option<String>,
    vcs: Option<toml::Table>,
    directory: Option<toml::Table>,
    archive: Option<File>,
    sdist: Option<File>,
    #[serde(default)]
    wheels: Vec<File>,
}

#[derive(Debug, Clone, Deserialize)]
struct File {
    name: Option<String>,
    url: Option<String>,
    path: Option<String>,
    size: Option<u64>,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
}

impl Lock {
    /// Parses a `pylock.toml`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::read(text).map_err(|error| {
            let line = error.line(text);
            invalid(line.map_or_else(String::new, |line| format!("line {line}: ")) + &error.problem)
        })
    }

    /// [`Self::parse`] for who wants to show the place.
    pub(crate) fn read(text: &str) -> Result<Self, NotALock> {
        let lock: Self = toml::from_str(text).map_err(|error| NotALock {
            problem: error.message().to_owned(),
            span: error.span(),
        })?;
        if lock.form.split('.').next() != Some("1") {
            let problem = format!(
                "its lock-version is {}; 1.x is supported",
                shown(&lock.form)
            );
            return Err(NotALock {
                problem,
                span: None,
            });
        }
        Ok(lock)
    }

    /// The packages that a target gets, ordered by name, each with the file that fits best.
    pub fn select(&self, target: Target, policy: Policy<'_>) -> Result<Vec<LockedPackage>, Error> {
        let environment = marker_environment(target)?;
        let mismatch = |problem| Error::LockMismatch {
            target: target.to_string(),
            problem,
        };
        if let Some(requires) = &self.requires_python
            && !python_satisfies(requires, &environment)?
        {
            return Err(mismatch(format!("it requires Python {requires}")));
        }
        let mut fits = self.environments.is_empty();
        for marker in &self.environments {
            fits |= self.applies(marker, &environment)?;
        }
        if !fits {
            return Err(mismatch("none of its environments is this one".into()));
        }
        let mut selected: BTreeMap<PackageName, LockedPackage> = BTreeMap::new();
        for package in &self.packages {
            if let Some(marker) = &package.marker
                && !self.applies(marker, &environment)?
            {
                continue;
            }
            let name = package.name()?;
            if let Some(requires) = &package.requires_python
                && !python_satisfies(requires, &environment)?
            {
                return Err(mismatch(format!("{name} requires Python {requires}")));
            }
            let locked = package.select(&name, target, &environment, policy)?;
            if selected.insert(name.clone(), locked).is_some() {
                return Err(invalid(format!(
                    "more than one version of {name} applies to {target}"
                )));
            }
        }
        Ok(selected.into_values().collect())
    }

    fn applies(&self, marker: &str, environment: &MarkerEnvironment) -> Result<bool, Error> {
        marker::evaluate(marker, environment, &self.default_groups).map_err(|problem| {
            let marker = shown(marker);
            invalid(format!("the marker `{marker}` is not valid: {problem}"))
        })
    }
}

impl Package {
    fn name(&self) -> Result<PackageName, Error> {
        distribution_name(&self.name)
            .ok_or_else(|| invalid(format!("`{}` is not a package name", shown(&self.name))))
    }

    fn select(
        &self,
        name: &PackageName,
        target: Target,
        environment: &MarkerEnvironment,
        policy: Policy<'_>,
    ) -> Result<LockedPackage, Error> {
        let origin = match (&self.vcs, &self.directory) {
            (Some(_), _) => Some("a version control system"),
            (_, Some(_)) => Some("a local folder"),
            _ => None,
        };
        if let Some(origin) = origin {
            return Err(Error::LockedSourceUnsupported {
                package: name.to_string(),
                origin,
            });
        }
        let mut wheels = Vec::new();
        let mut sdist = None;
        for file in self.wheels.iter().chain(&self.archive).chain(&self.sdist) {
            let filename = file.filename(name)?;
            match filename.strip_suffix(".whl") {
                Some(_) => {
                    let parsed: WheelFilename = filename
                        .parse()
                        .map_err(|error| invalid(format!("{error}")))?;
                    wheels.push((parsed, file));
                }
                None => sdist = Some((filename, file)),
            }
        }
        let version = self.version(name, &wheels)?;
        let accepted = policy
            .requirements
            .and_then(|set| set.accepted_hashes(name, environment));
        let is_accepted = |file: &File| match &accepted {
            None => Ok(true),
            Some(accepted) => Ok(accepted.contains(&file.sha256(name)?)),
        };
        let fitting: Vec<_> = wheels
            .iter()
            .filter_map(|(filename, file)| Some((target.rank_wheel(filename)?, filename, file)))
            .collect();
        let mut usable = Vec::new();
        for wheel in &fitting {
            if is_accepted(wheel.2)? {
                usable.push(wheel);
            }
        }
        // The best tag, then the highest build number; the name only so that one always wins.
        let best = usable.into_iter().min_by_key(|(rank, filename, _)| {
            (*rank, Reverse(filename.build()), filename.as_str())
        });
        if let Some((_, filename, file)) = best {
            if filename.name() != name || !same_version(filename.version(), &version) {
                return Err(invalid(format!(
                    "{name} {version} lists the wheel `{filename}`"
                )));
            }
            let locked = Locked::Wheel {
                filename: (*filename).clone(),
                file: file.locked(name)?,
            };
            return Ok(LockedPackage {
                name: name.clone(),
                version,
                locked,
            });
        }
        if !fitting.is_empty() {
            return Err(Error::HashNotAllowed {
                package: name.to_string(),
                version,
            });
        }
        match sdist {
            Some((filename, file)) if policy.allow_source_distributions => {
                if !is_accepted(file)? {
                    return Err(Error::HashNotAllowed {
                        package: name.to_string(),
                        version,
                    });
                }
                let locked = Locked::SourceDistribution {
                    filename,
                    file: file.locked(name)?,
                };
                Ok(LockedPackage {
                    name: name.clone(),
                    version,
                    locked,
                })
            }
            _ => {
                let wheels = wheels.iter().map(|(filename, _)| filename.to_string());
                let instead = wheels.chain(sdist.map(|(filename, _)| filename)).collect();
                let (package, target) = (name.to_string(), target.to_string());
                Err(Error::WheelNotFound {
                    package,
                    version,
                    target,
                    instead,
                })
            }
        }
    }

    /// The version, which may be absent where a wheel's name tells it (a direct URL).
    fn version(
        &self,
        name: &PackageName,
        wheels: &[(WheelFilename, &File)],
    ) -> Result<String, Error> {
        match (&self.version, wheels) {
            (Some(version), _) if version.parse::<Version>().is_ok() => Ok(version.clone()),
            (Some(version), _) => {
                let version = shown(version);
                Err(invalid(format!("`{version}` is not a version of {name}")))
            }
            (None, [(filename, _), ..]) => Ok(filename.version().to_string()),
            (None, []) => Err(invalid(format!("{name} has no version"))),
        }
    }
}

impl File {
    /// The file's name: one that can be the name of a file in any folder, and of no other.
    fn filename(&self, package: &PackageName) -> Result<String, Error> {
        let name = if let Some(name) = &self.name {
            name.clone()
        } else {
            let url = self.url(package)?;
            let last = url
                .path_segments()
                .and_then(|mut segments| segments.next_back());
            last.map(|segment| percent_decode_str(segment).decode_utf8_lossy())
                .unwrap_or_default()
                .into_owned()
        };
        let is_file_name = (1..=255).contains(&name.len())
            && !name.starts_with('.')
            && !name.contains(|c: char| c == '/' || c == '\\' || c.is_control());
        if is_file_name {
            Ok(name)
        } else {
            let name = shown(&name);
            Err(invalid(format!(
                "`{name}` of {package} is not the name of a file"
            )))
        }
    }

    fn url(&self, package: &PackageName) -> Result<Url, Error> {
        if self.path.is_some() && self.url.is_none() {
            let package = package.to_string();
            return Err(Error::LockedSourceUnsupported {
                package,
                origin: "a local file",
            });
        }
        let url = self.url.as_deref().unwrap_or_default();
        let url: Url = url.parse().map_err(|error| {
            let url = shown(url);
            invalid(format!("`{url}` of {package} is not a URL: {error}"))
        })?;
        match url.scheme() {
            "https" | "http" => Ok(url),
            scheme => Err(invalid(format!(
                "{package} has a `{scheme}:` URL; https is supported"
            ))),
        }
    }

    fn sha256(&self, package: &PackageName) -> Result<Sha256, Error> {
        let hash = self.hashes.get("sha256").ok_or_else(|| {
            let file = self.filename(package).unwrap_or_default();
            invalid(format!("`{file}` of {package} has no sha256"))
        })?;
        hash.parse()
            .map_err(|error| invalid(format!("{package}: {error}")))
    }

    fn locked(&self, package: &PackageName) -> Result<LockedFile, Error> {
        let mut url = self.url(package)?;
        url.set_fragment(None);
        Ok(LockedFile {
            url,
            sha256: self.sha256(package)?,
            size: self.size,
        })
    }
}

fn invalid(problem: String) -> Error {
    Error::LockInvalid { problem }
}

fn same_version(version: &Version, text: &str) -> bool {
    text.parse::<Version>().is_ok_and(|other| other == *version)
}

/// Whether a runtime's Python, at some patch version, is what a `requires-python` wants: Lambda keeps
/// its runtimes at a recent one, and which one is not ours to know.
fn python_satisfies(requires: &str, environment: &MarkerEnvironment) -> Result<bool, Error> {
    const NEWEST_PATCH: u64 = 999;
    let specifiers: VersionSpecifiers = requires
        .parse()
        .map_err(|_| invalid(format!("`{}` is not a requires-python", shown(requires))))?;
    let oldest = &environment.python_full_version().version;
    let mut release = oldest.release().to_vec();
    release.truncate(2);
    release.push(NEWEST_PATCH);
    Ok(specifiers.contains(oldest) || specifiers.contains(&Version::new(release)))
}

/// The values of environment markers in a target's runtime (PEP 508).
///
/// The patch version is 0, as uv takes it: the newest that every runtime satisfies.
pub fn marker_environment(target: Target) -> Result<MarkerEnvironment, Error> {
    let python_version = format!("3.{}", target.runtime.python_minor());
    let full_version = format!("{python_version}.0");
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
        python_version: &python_version,
        sys_platform: "linux",
    })
    .map_err(|error| invalid(error.to_string()))
}
