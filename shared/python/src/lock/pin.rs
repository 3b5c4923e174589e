//! Packages of lock files that name files and hashes, but not where the files are.

use std::collections::{BTreeMap, BTreeSet};

use accretion_core::digest::Sha256;
use accretion_core::excerpt::shown;
use accretion_core::target::Target;
use pep508_rs::PackageName;
use url::Url;

use super::{File, Lock, LockedPackage, Package, Policy, invalid, same_version};
use crate::error::Error;
use crate::requirement::{Requirement, RequirementSet};
use crate::wheel::Rank;
use crate::wheel::WheelFilename;

/// The choice for a package that applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Choice {
    Package(Box<LockedPackage>),
    Pin(Pin),
}

/// One version of a package, and the files that it may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pin {
    name: PackageName,
    version: String,
    hashes: BTreeSet<Sha256>,
    index: Option<Url>,
}

/// The packages that a lock file gives a target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selected {
    /// Packages with their files, ordered by name.
    pub packages: Vec<LockedPackage>,
    /// Packages whose files have to be located, by index: the default one first.
    pub pins: Vec<Pins>,
}

/// Pinned versions whose files are on one index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pins {
    /// The index that the lock file names; the default one if it names none.
    pub index: Option<Url>,
    /// `name==version` of each, with the hashes of the files that it may be.
    pub requirements: RequirementSet,
    versions: BTreeMap<PackageName, String>,
}

impl Selected {
    pub(super) fn of(choices: BTreeMap<PackageName, Choice>) -> Self {
        let mut selected = Self::default();
        let mut pins: BTreeMap<Option<String>, Pins> = BTreeMap::new();
        for (name, choice) in choices {
            match choice {
                Choice::Package(package) => selected.packages.push(*package),
                Choice::Pin(pin) => {
                    let key = pin.index.as_ref().map(ToString::to_string);
                    let of_index = pins.entry(key).or_insert_with(|| Pins {
                        index: pin.index.clone(),
                        requirements: RequirementSet::default(),
                        versions: BTreeMap::new(),
                    });
                    of_index.add(name, pin);
                }
            }
        }
        selected.pins = pins.into_values().collect();
        selected
    }

    /// Adds the packages that pins turned out to be.
    #[must_use]
    pub fn with(mut self, located: Vec<LockedPackage>) -> Self {
        self.packages.extend(located);
        self.packages
            .sort_by(|one, other| one.name.cmp(&other.name));
        self
    }
}

impl Pins {
    fn add(&mut self, name: PackageName, pin: Pin) {
        let text = format!("{name}=={}", pin.version);
        // A name and a version are a requirement.
        if let Ok(specifier) = text.parse() {
            self.requirements.requirements.push(Requirement {
                specifier,
                hashes: pin.hashes.into_iter().collect(),
                hash_in_url: false,
            });
        }
        self.versions.insert(name, pin.version);
    }

    /// The packages.
    pub fn names(&self) -> impl Iterator<Item = &PackageName> {
        self.versions.keys()
    }

    /// The packages with the files that fit a target best, out of what their index has: only those
    /// that were locked.
    pub fn locate(
        &self,
        found: &Lock,
        target: Target,
        allow_source_distributions: bool,
    ) -> Result<Vec<LockedPackage>, Error> {
        let policy = Policy {
            allow_source_distributions,
            requirements: Some(&self.requirements),
            ..Policy::default()
        };
        let located = found.select(target, policy).map_err(|error| match error {
            // Whatever is locked has hashes.
            Error::HashMissing { packages } => {
                invalid(format!("{} are not locked", packages.join(", ")))
            }
            error => error,
        })?;
        for package in &located {
            let is_locked = self.versions.get(&package.name).is_some_and(|version| {
                let parsed = version.parse();
                parsed.is_ok_and(|version| same_version(&version, &package.version))
            });
            if !is_locked {
                let (name, version) = (&package.name, shown(&package.version));
                return Err(invalid(format!("{name} {version} is not locked")));
            }
        }
        for name in self.names() {
            if !located.iter().any(|package| package.name == *name) {
                return Err(invalid(format!("the index does not have {name}")));
            }
        }
        Ok(located)
    }
}

impl Package {
    /// The pin of a package whose files have no URLs. Where they have names, one has to fit.
    pub(super) fn pin(
        &self,
        name: &PackageName,
        target: Target,
        policy: Policy<'_>,
    ) -> Result<Pin, Error> {
        let version = self.version(name, &[] as &[(WheelFilename, ())])?;
        if self.files.is_empty() {
            return Err(invalid(format!("{name} has no files")));
        }
        if self.files.iter().all(|file| file.name.is_some()) {
            self.check_names(name, &version, target, policy)?;
        }
        let index = self.index.as_deref().map(|index| index_url(name, index));
        let hashes = self.files.iter().map(|file| file.sha256(name));
        Ok(Pin {
            name: name.clone(),
            version,
            hashes: hashes.collect::<Result<_, _>>()?,
            index: index.transpose()?,
        })
    }

    fn check_names(
        &self,
        name: &PackageName,
        version: &str,
        target: Target,
        policy: Policy<'_>,
    ) -> Result<(), Error> {
        let mut instead = Vec::new();
        let mut has_source = false;
        for file in &self.files {
            let filename = file.filename(name)?;
            if filename.strip_suffix(".whl").is_some() {
                let wheel: WheelFilename = filename
                    .parse()
                    .map_err(|error| invalid(format!("{error}")))?;
                if Rank::of_wheel(target, &wheel).is_some() {
                    return Ok(());
                }
            } else {
                has_source = true;
            }
            instead.push(filename);
        }
        if has_source && policy.allow_source_distributions {
            return Ok(());
        }
        Err(Error::WheelNotFound {
            package: name.to_string(),
            version: version.to_owned(),
            target: target.to_string(),
            instead,
        })
    }
}

/// The URL of an index that a lock file names. Credentials are not its business: variables
/// that stand for credentials are left out.
fn index_url(package: &PackageName, text: &str) -> Result<Url, Error> {
    let unusable = |problem: &str| invalid(format!("the index of {package} {problem}"));
    let without_user = text
        .split_once("://")
        .and_then(|(scheme, rest)| Some((scheme, rest.split_once('@')?)));
    let plain = match without_user {
        Some((scheme, (user, rest))) if user.starts_with('$') => format!("{scheme}://{rest}"),
        _ => text.to_owned(),
    };
    let mut url: Url = plain.parse().map_err(|_| unusable("has no URL"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(unusable("has credentials in its URL"));
    }
    if !matches!(url.scheme(), "https" | "http") || !url.has_host() {
        return Err(unusable("is not at a `https:` URL"));
    }
    url.set_fragment(None);
    Ok(url)
}

impl File {
    /// A file that is known by its hash, `sha256:…`, and maybe by its name.
    pub(super) fn hashed(name: Option<String>, hash: &str) -> Self {
        Self {
            name,
            sha256: sha256_of(hash),
            ..Self::default()
        }
    }
}

/// The hash of a text `sha256:…`; that of other algorithms is none.
pub(super) fn sha256_of(hash: &str) -> Option<String> {
    hash.strip_prefix("sha256:").map(ToOwned::to_owned)
}
