//! What goes into a layer besides what is required: files of one's own, and wheels.

use accretion_core::digest::{self, Sha256};
use accretion_core::lock::LockedPackage;
use accretion_core::manifest;
use accretion_core::target::Target;
use accretion_core::wheel::{LayoutFile, WheelFilename};

use crate::assemble::PackedFiles;

/// What goes into layers besides what is required. By default nothing.
#[derive(Debug, Default)]
pub struct Own {
    /// Files, the same for every target.
    pub files: Option<PackedFiles>,
    /// Wheels, which the [`Wheels`](crate::ports::Wheels) of the build have already.
    pub wheels: Vec<OwnWheel>,
}

impl Own {
    /// The files.
    pub(crate) fn files(&self) -> &[LayoutFile] {
        self.files.as_ref().map_or(&[], |packed| &packed.files)
    }

    /// What a manifest says of the files.
    pub(crate) fn described(&self) -> Option<manifest::Files> {
        let files = self.files();
        (!files.is_empty()).then(|| manifest::Files {
            count: files.len() as u64,
            unzipped_size: files.iter().map(|file| file.size).sum(),
            sha256: digest::of_files(files),
        })
    }
}

/// A wheel of one's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnWheel {
    /// Its file name.
    pub filename: WheelFilename,
    /// Its hash.
    pub sha256: Sha256,
}

/// Adds wheels of one's own to what was resolved. A package of the same name gives way: what is one's
/// own is never taken from an index.
pub(crate) fn install(
    wheels: &[OwnWheel],
    target: Target,
    packages: &mut Vec<LockedPackage>,
) -> Result<(), accretion_core::Error> {
    for OwnWheel { filename, sha256 } in wheels {
        if target.rank_wheel(filename).is_none() {
            return Err(accretion_core::Error::WheelNotFound {
                package: filename.name().to_string(),
                version: filename.version().to_string(),
                target: target.to_string(),
                instead: vec![filename.to_string()],
            });
        }
        packages.retain(|package| package.name != *filename.name());
        packages.push(LockedPackage::at_hand(filename.clone(), *sha256));
    }
    packages.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(())
}
