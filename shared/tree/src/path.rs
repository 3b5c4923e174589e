//! The paths that files of a tree may have.

use accretion_archive::EntryKind;
use accretion_core::layer::{NOT_RELATIVE, path_problem};

/// The path of an archive's entry as installers have it: without `.` and empty parts. The error is
/// the rest of a sentence.
pub fn installed_path(name: &str, kind: EntryKind) -> Result<String, &'static str> {
    let is_part = |part: &&str| !matches!(*part, "" | ".");
    let path = name
        .split('/')
        .filter(is_part)
        .collect::<Vec<_>>()
        .join("/");
    // Info-ZIP gives a file `.` another name.
    let is_named =
        kind == EntryKind::Directory || name.rsplit('/').next().is_some_and(|last| is_part(&last));
    let is_root = path.is_empty() && kind == EntryKind::Directory;
    if name.starts_with('/') || !is_named {
        return Err(NOT_RELATIVE);
    }
    match path_problem(&path) {
        Some(problem) if !is_root => Err(problem),
        _ => Ok(path),
    }
}
