//! Wheels that a user supplies.

use std::collections::BTreeSet;

use accretion_core::digest::Sha256;
use accretion_core::target::Target;
use accretion_python::lock::LockedPackage;
use accretion_python::requirement::{PackageName, Requirement};
use accretion_python::wheel::{Rank, WheelFilename};

/// A wheel that the user supplies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnWheel {
    /// Its file name.
    pub filename: WheelFilename,
    /// Its hash.
    pub sha256: Sha256,
}

/// Adds the user's wheels to what was resolved: of each name the one that fits best. A package of the
/// same name gives way: what the user supplies is never taken from an index.
pub(crate) fn install(
    wheels: &[OwnWheel],
    target: Target,
    packages: &mut Vec<LockedPackage>,
) -> Result<(), accretion_python::Error> {
    let names: BTreeSet<_> = wheels.iter().map(|wheel| wheel.filename.name()).collect();
    for name in names {
        let of_name = || wheels.iter().filter(|it| it.filename.name() == name);
        let fitting = of_name().filter_map(|it| Some((Rank::of_wheel(target, &it.filename)?, it)));
        let best = fitting.min_by_key(|(rank, it)| (*rank, it.filename.as_str()));
        let Some((_, OwnWheel { filename, sha256 })) = best else {
            return Err(accretion_python::Error::OwnWheelUnfit {
                wheels: of_name().map(|it| it.filename.to_string()).collect(),
                target: target.to_string(),
            });
        };
        packages.retain(|package| package.name != *name);
        packages.push(LockedPackage::at_hand(filename.clone(), *sha256));
    }
    packages.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(())
}

/// Checks that the user's own wheels have the versions that are required of them; `by` is the
/// package that requires it, if it is not the request itself.
pub(crate) fn check_versions<'r>(
    own: &[OwnWheel],
    requirements: impl Iterator<Item = &'r Requirement>,
    target: Target,
    by: Option<&PackageName>,
) -> Result<(), accretion_python::Error> {
    for requirement in requirements {
        let name = &requirement.specifier.name;
        for wheel in own.iter().filter(|wheel| wheel.filename.name() == name) {
            let version = wheel.filename.version();
            if requirement.is_unmet_by(version, target) {
                return Err(accretion_python::Error::OwnVersionMismatch {
                    requirement: requirement.specifier.to_string(),
                    by: by.map(ToString::to_string),
                    version: version.to_string(),
                });
            }
        }
    }
    Ok(())
}
