//! Packages of a lock file that are not downloaded: from repositories, and from folders and files on
//! the disk.

use accretion_core::digest::Sha256;
use accretion_core::excerpt::shown;
use accretion_core::target::Target;
use pep508_rs::PackageName;

use super::{Lock, Package, Policy, Selection};
use crate::error::Error;
use crate::wheel::Rank;
use crate::wheel::WheelFilename;

/// The origin of a package that is not downloaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Foreign {
    origin: &'static str,
    /// Its path from the lock file, if it is on the disk.
    path: Option<String>,
}

impl Foreign {
    fn new(origin: &'static str, path: Option<String>) -> Self {
        Self { origin, path }
    }

    pub(super) fn repository() -> Self {
        Self::new("a version control system", None)
    }

    pub(super) fn folder(path: Option<String>) -> Self {
        Self::new("a local folder", path)
    }

    pub(super) fn file(path: Option<String>) -> Self {
        Self::new("a local file", path)
    }

    pub(super) fn local_index() -> Self {
        Self::new("an index in a local folder", None)
    }

    /// Returns the origin that a URL of a scheme leads to.
    pub(super) fn of_scheme(scheme: &str) -> Self {
        match scheme {
            "file" => Self::file(None),
            "git" | "ssh" | "hg" | "svn" | "bzr" => Self::repository(),
            _ if scheme.contains('+') => Self::repository(),
            _ => Self::new("a URL of another scheme than https", None),
        }
    }

    pub(super) fn unsupported(&self, package: &PackageName) -> Error {
        Error::LockedSourceUnsupported {
            package: package.to_string(),
            origin: self.origin,
            path: self.path.as_deref().map(shown),
        }
    }
}

/// A package of a lock file that is a folder or a file on the disk.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LocalPackage {
    /// The normalised name.
    pub name: PackageName,
    /// The path, relative to the folder of the lock file.
    pub path: String,
    /// The hashes that a file may have. Any, if there are none.
    pub hashes: Vec<Sha256>,
}

impl Lock {
    /// The packages of a target that are on the disk. Of several files each that fits.
    pub fn local_packages(
        &self,
        target: Target,
        selection: &Selection,
    ) -> Result<Vec<LocalPackage>, Error> {
        let (_, applying) = self.applying(target, Policy::default(), selection)?;
        let mut all = Vec::new();
        for (name, packages) in applying {
            for package in packages {
                all.extend(package.local(&name, target));
            }
        }
        Ok(all)
    }
}

impl Package {
    fn local(&self, name: &PackageName, target: Target) -> Vec<LocalPackage> {
        let hash = |text: &Option<String>| text.as_deref().and_then(|it| it.parse().ok());
        if let Some(foreign) = &self.foreign {
            let path = foreign.path.clone().into_iter();
            return path
                .map(|path| LocalPackage {
                    name: name.clone(),
                    path,
                    hashes: self
                        .files
                        .iter()
                        .filter_map(|it| hash(&it.sha256))
                        .collect(),
                })
                .collect();
        }
        let without_url = self.files.iter().filter(|file| file.url.is_none());
        let files = without_url.filter_map(|file| {
            Some(LocalPackage {
                name: name.clone(),
                path: file.path.clone()?,
                hashes: hash(&file.sha256).into_iter().collect(),
            })
        });
        let (wheels, sources): (Vec<_>, Vec<_>) =
            files.partition(|it| it.path.strip_suffix(".whl").is_some());
        let rank = |it: &LocalPackage| {
            let filename: WheelFilename = it.path.rsplit('/').next()?.parse().ok()?;
            Rank::of_wheel(target, &filename)
        };
        let fitting = wheels.into_iter().filter_map(|it| Some((rank(&it)?, it)));
        let best = fitting.min_by(|(one, _), (other, _)| one.cmp(other));
        best.map(|(_, wheel)| wheel)
            .or_else(|| sources.into_iter().next())
            .into_iter()
            .collect()
    }
}
