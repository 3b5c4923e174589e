//! The choice of files: the packages that a target gets, each with the wheel that fits best.

use std::collections::{BTreeMap, BTreeSet};

use accretion_core::excerpt::shown;
use accretion_core::limits::Limits;
use accretion_core::target::Target;
use pep440_rs::Version;
use pep508_rs::{MarkerEnvironment, PackageName};

use super::environment::{mismatch, python_satisfies};
use super::marker::Activated;
use super::pin::{self, Pins, Selected};
use super::selection::Selection;
use super::{File, Lock, Locked, LockedPackage, Package, invalid, outdated, same_version};
use crate::error::Error;
use crate::release::PythonRelease;
use crate::requirement::RequirementSet;
use crate::wheel::{self, Rank, WheelFilename};

/// The limits of a choice of files.
#[derive(Debug, Clone, Copy, Default)]
pub struct Policy<'a> {
    /// True if a package without a fitting wheel may come from its source distribution.
    pub allow_source_distributions: bool,
    /// The requirements that were resolved: files must have the hashes that they demand.
    pub requirements: Option<&'a RequirementSet>,
    /// Packages whose wheels are at hand: of what the lock file says of them, only what they require
    /// counts.
    pub own: &'a [PackageName],
}

impl Lock {
    /// The packages that a target gets, ordered by name, each with the file that fits best.
    ///
    /// # Errors
    ///
    /// Also [`Error::LockInvalid`] where a file's URL is not said, in formats that may not say it:
    /// [`Self::choose`] is for those.
    pub fn select(&self, target: Target, policy: Policy<'_>) -> Result<Vec<LockedPackage>, Error> {
        let selected = self.choose(target, policy, &Selection::default())?;
        if let Some(pin) = selected.pins.iter().flat_map(Pins::names).next() {
            return Err(invalid(format!(
                "it does not say where the files of {pin} are"
            )));
        }
        Ok(selected.packages)
    }

    /// Chooses for a target: packages with the file that fits best, and pins whose files have to be
    /// located.
    pub fn choose(
        &self,
        target: Target,
        policy: Policy<'_>,
        selection: &Selection,
    ) -> Result<Selected, Error> {
        let (environment, mut applying) = self.applying(target, policy, selection)?;
        applying.retain(|name, _| !policy.own.contains(name));
        if let Some(set) = policy.requirements {
            check_hashes(set, applying.keys(), &environment)?;
        }
        let several = |name: &PackageName| {
            invalid(format!(
                "more than one version of {name} applies to {target}"
            ))
        };
        let mut packages: BTreeMap<PackageName, pin::Choice> = BTreeMap::new();
        for (name, alike) in applying {
            // Which one is meant is not ours to guess; that none of them fits would be beside the point.
            let versions = alike.iter().map(|package| &package.version);
            if alike.len() > 1 && !(self.may_repeat && versions.is_sorted_by(|a, b| a == b)) {
                return Err(several(&name));
            }
            for package in alike {
                let choice = package.choose(&name, target, &environment, policy)?;
                if packages.get(&name).is_some_and(|before| choice != *before) {
                    return Err(several(&name));
                }
                packages.insert(name.clone(), choice);
            }
        }
        // Before an index is asked where they are.
        if packages.len() > Limits::PACKAGES {
            return Err(Error::TooManyPackages {
                packages: packages.len(),
            });
        }
        Ok(Selected::of(packages))
    }

    /// The packages of what was just resolved that have no file for the target, with their versions:
    /// the resolver may take the target's platform for a newer one.
    pub fn unfit(
        &self,
        target: Target,
        policy: Policy<'_>,
    ) -> Result<Vec<(PackageName, String)>, Error> {
        let environment = PythonRelease::recent(target).markers();
        let mut unfit = Vec::new();
        for package in &self.packages {
            let name = package.name()?;
            let chosen = package.choose(&name, target, &environment, policy);
            if let Err(Error::WheelNotFound { version, .. }) = chosen {
                unfit.push((name, version));
            }
        }
        Ok(unfit)
    }

    /// The packages that apply, by their names, and what their markers were judged by.
    pub(super) fn applying(
        &self,
        target: Target,
        policy: Policy<'_>,
        selection: &Selection,
    ) -> Result<(MarkerEnvironment, BTreeMap<PackageName, Vec<&Package>>), Error> {
        selection.check(self)?;
        let mut activated = Activated::new(&self.default_groups, selection);
        if self.extras_are_groups {
            activated.add_groups(&selection.extras);
        }
        // What was just resolved was resolved for the release of its requirements.
        let python = match policy.requirements {
            Some(requirements) => requirements.python(target)?,
            None => self.python(target, &activated)?,
        };
        let environment = python.markers();
        let chosen: BTreeSet<usize> = match &self.graph {
            Some(graph) => graph.reach(self, &environment, &activated, policy.own)?,
            None => (0..self.packages.len()).collect(),
        };
        let mut applying: BTreeMap<PackageName, Vec<&Package>> = BTreeMap::new();
        for package in chosen.iter().filter_map(|at| self.packages.get(*at)) {
            if !package.is_project && package.applies(&environment, &activated)? {
                applying.entry(package.name()?).or_default().push(package);
            }
        }
        Ok((environment, applying))
    }

    /// The requirements of a project that a target's packages do not satisfy, as sentences. What
    /// comes from the user's own wheels is not looked at.
    pub fn unmet(
        &self,
        requirements: &RequirementSet,
        target: Target,
        policy: Policy<'_>,
        selection: &Selection,
    ) -> Result<Vec<String>, Error> {
        let (environment, applying) = self.applying(target, policy, selection)?;
        let mut unmet = Vec::new();
        for requirement in &requirements.requirements {
            let specifier = &requirement.specifier;
            let name = &specifier.name;
            if policy.own.contains(name) || !specifier.evaluate_markers(&environment, &[]) {
                continue;
            }
            let Some(packages) = applying.get(name) else {
                unmet.push(outdated::not_locked(name.as_ref()));
                continue;
            };
            let is_unmet = |version: &Version| requirement.is_unmet_by(version, target);
            let locked = packages.iter().filter_map(|it| it.version.as_deref());
            let others = locked.filter(|it| it.parse().is_ok_and(|it| is_unmet(&it)));
            unmet.extend(others.map(|it| format!("`{specifier}` is required, and {it} is locked")));
        }
        Ok(unmet)
    }
}

type ListedFiles<'a> = (Vec<(WheelFilename, &'a File)>, Option<(String, &'a File)>);

impl Package {
    fn choose(
        &self,
        name: &PackageName,
        target: Target,
        environment: &MarkerEnvironment,
        policy: Policy<'_>,
    ) -> Result<pin::Choice, Error> {
        if let Some(requires) = &self.requires_python
            && !python_satisfies(requires, environment)?
        {
            let problem = format!("{name} requires Python {requires}");
            return Err(mismatch(target, problem));
        }
        if let Some(foreign) = &self.foreign {
            return Err(foreign.unsupported(name));
        }
        let is_located = |file: &File| file.url.is_some() || file.path.is_some();
        if self.files.iter().all(is_located) {
            self.select(name, target, environment, policy)
                .map(|package| pin::Choice::Package(Box::new(package)))
        } else {
            self.pin(name, target, policy).map(pin::Choice::Pin)
        }
    }

    fn select(
        &self,
        name: &PackageName,
        target: Target,
        environment: &MarkerEnvironment,
        policy: Policy<'_>,
    ) -> Result<LockedPackage, Error> {
        let (wheels, sdist) = self.listed_files(name)?;
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
            .filter(|(filename, _)| Rank::of_wheel(target, filename).is_some())
            .collect();
        let mut usable = Vec::new();
        for wheel in &fitting {
            if is_accepted(wheel.1)? {
                usable.push(*wheel);
            }
        }
        let best = wheel::best(target, usable, |(filename, _)| filename);
        let hash_not_allowed = |version: String| Error::HashNotAllowed {
            package: name.to_string(),
            version,
        };
        let locked = match (best, sdist) {
            (Some((filename, file)), _) => {
                if filename.name() != name || !same_version(filename.version(), &version) {
                    return Err(invalid(format!(
                        "`{filename}` is listed as a wheel of {name} {version}"
                    )));
                }
                Locked::Wheel {
                    filename: filename.clone(),
                    file: file.locked(name)?,
                }
            }
            (None, _) if !fitting.is_empty() => return Err(hash_not_allowed(version)),
            (None, Some((filename, file))) if policy.allow_source_distributions => {
                if !is_accepted(file)? {
                    return Err(hash_not_allowed(version));
                }
                Locked::SourceDistribution {
                    filename,
                    file: file.locked(name)?,
                }
            }
            (None, sdist) => {
                let names = wheels.iter().map(|(filename, _)| filename.to_string());
                return Err(Error::WheelNotFound {
                    package: name.to_string(),
                    version,
                    target: target.to_string(),
                    instead: names.chain(sdist.map(|(filename, _)| filename)).collect(),
                });
            }
        };
        Ok(LockedPackage {
            name: name.clone(),
            version,
            locked,
            yanked: self.yanked.clone(),
        })
    }

    /// The wheels that are listed, and the last source distribution.
    fn listed_files(&self, name: &PackageName) -> Result<ListedFiles<'_>, Error> {
        let mut wheels = Vec::new();
        let mut sdist = None;
        for file in &self.files {
            let filename = file.filename(name)?;
            if filename.strip_suffix(".whl").is_some() {
                let parsed: WheelFilename = filename
                    .parse()
                    .map_err(|error| invalid(format!("{error}")))?;
                wheels.push((parsed, file));
            } else {
                sdist = Some((filename, file));
            }
        }
        Ok((wheels, sdist))
    }

    /// The version, which may be absent where a wheel's name tells it (a direct URL).
    pub(super) fn version<T>(
        &self,
        name: &PackageName,
        wheels: &[(WheelFilename, T)],
    ) -> Result<String, Error> {
        match (&self.version, wheels) {
            (Some(version), _) if version.parse::<Version>().is_ok() => Ok(version.clone()),
            (Some(version), _) => Err(invalid(format!(
                "`{}` is not a version of {name}",
                shown(version)
            ))),
            (None, [(filename, _), ..]) => Ok(filename.version().to_string()),
            (None, []) => Err(invalid(format!("{name} has no version"))),
        }
    }
}

/// Checks that all packages have hashes where the requirements want them of all.
fn check_hashes<'a>(
    set: &RequirementSet,
    packages: impl Iterator<Item = &'a PackageName>,
    environment: &MarkerEnvironment,
) -> Result<(), Error> {
    if !set.wants_hashes() {
        return Ok(());
    }
    let unknown = |name: &&PackageName| set.accepted_hashes(name, environment).is_none();
    let without: Vec<_> = packages.filter(unknown).map(ToString::to_string).collect();
    if without.is_empty() {
        Ok(())
    } else {
        Err(Error::HashMissing { packages: without })
    }
}
