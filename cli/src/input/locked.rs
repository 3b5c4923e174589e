//! Packages of a lock file that are local folders and files.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use accretion_core::digest::Sha256;
use accretion_python::request::{Request, Requirements};
use accretion_python::requirement::PackageName;

use super::folder;

/// A local package of a lock file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LocalPackage {
    pub(crate) name: PackageName,
    /// The path without links.
    pub(crate) path: PathBuf,
    /// The allowed hashes of a file. Any hash is allowed if there are none.
    pub(crate) hashes: Vec<Sha256>,
}

/// The packages of a request's lock file in the folder of the input, or in one of these projects.
/// Resolves links first, so that none leads out of the folder.
pub(crate) fn local_packages(
    request: &Request,
    input: &Path,
    projects: &[PathBuf],
) -> Vec<LocalPackage> {
    let Requirements::Lock(file) = &request.input.requirements else {
        return Vec::new();
    };
    let Ok(folder) = folder(input) else {
        return Vec::new();
    };
    let mut packages = BTreeSet::new();
    for target in request.targets.iter() {
        // The build reports the problems of a lock, for each target.
        let local = file.lock().local_packages(target, &request.input.selection);
        for package in local.into_iter().flatten() {
            let Ok(path) = fs::canonicalize(folder.join(&package.path)) else {
                continue;
            };
            if path.starts_with(&folder) || projects.contains(&path) {
                packages.insert(LocalPackage {
                    name: package.name,
                    path,
                    hashes: package.hashes,
                });
            }
        }
    }
    packages.into_iter().collect()
}
