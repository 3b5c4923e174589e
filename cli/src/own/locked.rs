//! Packages of a lock file that are folders and files beside it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use accretion_core::digest::Sha256;
use accretion_python::request::{Request, Requirements};
use accretion_python::requirement::PackageName;

use crate::input::folder;

/// A package of a lock file that is in the folder of the input, or is given.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LocalPackage {
    pub(crate) name: PackageName,
    /// Free of links.
    pub(super) path: PathBuf,
    /// The hashes that a file may have. Any, if there are none.
    pub(super) hashes: Vec<Sha256>,
}

/// The packages of a request's lock file that are on the disk: in the folder of the input, or in one
/// of these projects. Links are followed first, so that none leads out of the folder.
pub(crate) fn local_packages(
    request: &Request,
    input: &Path,
    projects: &[PathBuf],
) -> Vec<LocalPackage> {
    let Requirements::Lock(file) = &request.input.requirements else {
        return Vec::new();
    };
    let Some(folder) = folder(input) else {
        return Vec::new();
    };
    let mut packages = BTreeSet::new();
    for target in request.targets.iter() {
        // What is wrong with a lock is told for each target, where it is built.
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
