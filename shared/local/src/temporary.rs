//! Files that have no name of their own yet.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tempfile::NamedTempFile;

/// No build takes so long.
const STALE: Duration = Duration::from_hours(24);

/// Makes a file in a folder, and the folder too. It is removed when dropped; those that processes
/// left which were killed are removed by whoever comes first a day later.
pub(crate) fn file(folder: &Path, prefix: &str) -> io::Result<NamedTempFile> {
    fs::create_dir_all(folder)?;
    sweep(folder, prefix);
    tempfile::Builder::new().prefix(prefix).tempfile_in(folder)
}

/// Removes stale files, once for each folder. Nothing depends on it.
fn sweep(folder: &Path, prefix: &str) {
    static SWEPT: Mutex<Option<HashSet<PathBuf>>> = Mutex::new(None);
    let mut swept = SWEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if !swept.get_or_insert_default().insert(folder.to_owned()) {
        return;
    }
    drop(swept);
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_temporary = entry.file_name().to_string_lossy().starts_with(prefix);
        let age = || entry.metadata().ok()?.modified().ok()?.elapsed().ok();
        if is_temporary && age().is_some_and(|age| age > STALE) {
            let _ = fs::remove_file(entry.path());
        }
    }
}
