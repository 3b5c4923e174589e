//! Wheels that a user supplies.

use std::collections::BTreeSet;

use accretion_core::digest::Sha256;
use accretion_core::target::Target;
use accretion_python::lock::LockedPackage;
use accretion_python::requirement::{PackageName, Requirement};
use accretion_python::wheel::{self, WheelFilename};

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
        let best = wheel::best(target, of_name(), |it| &it.filename);
        let Some(OwnWheel { filename, sha256 }) = best else {
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

#[cfg(test)]
mod tests {
    use accretion_core::target::{Architecture, Runtime};

    use super::*;

    #[test]
    fn the_wheel_of_the_highest_build_number_is_installed() {
        let names = ["1", "10", "9"].map(|build| format!("demo-1.0-{build}-py3-none-any.whl"));
        let wheels = names.map(|name| OwnWheel {
            filename: name.parse().unwrap(),
            sha256: Sha256::of(name.as_bytes()),
        });
        let target = Target {
            runtime: Runtime::Python313,
            architecture: Architecture::Arm64,
        };
        let mut packages = Vec::new();
        install(&wheels, target, &mut packages).unwrap();
        let installed: Vec<_> = packages.iter().map(|it| it.locked.file().sha256).collect();
        assert_eq!(installed, [wheels[1].sha256]);
    }
}
