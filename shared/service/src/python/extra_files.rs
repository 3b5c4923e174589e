//! Secrets in the extra files of a layer of Python packages.

use std::collections::BTreeSet;

use accretion_archive::{ArchiveError, Directory, ReadAt};
use accretion_core::limits::WheelLimits;
use accretion_layer::secrets::{self, Secret};
use accretion_python::SitePackages;
use accretion_tree::Installation as _;

/// Returns the secrets of a layer's extra files: those that no `RECORD` of a package lists. Their paths
/// are those below `python/`.
pub fn extra_file_secrets(
    zip: &(impl ReadAt + ?Sized),
    length: u64,
) -> Result<Vec<Secret>, ArchiveError> {
    let directory = Directory::read(zip, length, WheelLimits::default().entries)?;
    let mut installed = BTreeSet::new();
    for (index, entry) in directory.entries.iter().enumerate() {
        let Some(metadata) = entry.name.strip_suffix(".dist-info/RECORD") else {
            continue;
        };
        let folder = metadata.rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut record = Vec::new();
        directory.unpack(zip, index, |bytes| {
            record.extend_from_slice(bytes);
            Ok(())
        })?;
        let record = String::from_utf8_lossy(&record);
        let paths = record
            .lines()
            .map(|line| format!("{folder}/{}", recorded(line)));
        installed.extend(paths);
    }
    let mut found = secrets::of_archive(zip, &directory, |name| !installed.contains(name))?;
    for secret in &mut found {
        if let Some(inside) = secret.path.strip_prefix(SitePackages.root()) {
            secret.path = inside.to_owned();
        }
    }
    Ok(found)
}

/// The path of a line of a `RECORD`.
fn recorded(line: &str) -> String {
    match line.strip_prefix('"') {
        // A quotation mark in a path is there twice.
        Some(quoted) => quoted
            .rsplit_once("\",")
            .map_or(quoted, |(path, _)| path)
            .replace("\"\"", "\""),
        None => line.split(',').next().unwrap_or_default().to_owned(),
    }
}
